//! Measures, and writes markdown.

use crate::attachments::Attachment;
use crate::corpus::{Corpus, Group};
use crate::measure::{Effort, Measured, measure, order0};
use crate::rivals::{ATTACHMENTS, Entry, MESSAGES};

/// The group whose messages of about 100 bytes are timed by themselves.
const TIMED_GROUP: &str = "en";

pub(crate) fn messages(corpus: &Corpus, effort: Effort) {
    println!(
        "## Messages\n\nOf 51 bytes and more, none of the split `train`; dictionaries of 112 KiB are trained on that \
         split.\nWhere both splits come from the same sources, what was trained looks better than it will on \
         other texts.\n\nBytes out per byte in.\n"
    );
    header(["group", "messages", "order-0"].into_iter().chain(MESSAGES.iter().map(|entry| entry.name)));
    let mut sums = [Measured::default(); MESSAGES.len()];
    let mut ratios = [0.0; MESSAGES.len()];
    let mut limit = 0.0;
    for (name, group) in &corpus.groups {
        let bodies = bodies(&group.test);
        let order0 = order0(&bodies);
        limit += order0 * bodies.iter().map(|body| body.len()).sum::<usize>() as f64;
        let mut cells = vec![bodies.len().to_string(), format!("{order0:.3}")];
        for (index, entry) in MESSAGES.iter().enumerate() {
            let measured = best(entry, &bodies, &group.dictionaries(corpus), effort);
            sums[index] = sums[index].plus(measured);
            ratios[index] += measured.ratio() / corpus.groups.len() as f64;
            cells.push(format!("{:.3}", measured.ratio()));
        }
        row(name, cells);
    }
    let total = sums[0].bodies.to_string();
    let limit = format!("{:.3}", limit / sums[0].bytes_in as f64);
    let of_sums = sums.iter().map(|sum| format!("{:.3}", sum.ratio()));
    row("**all**", [total, limit].into_iter().chain(of_sums));
    let of_groups = ratios.iter().map(|ratio| format!("{ratio:.3}"));
    row("mean of the groups", [String::new(), String::new()].into_iter().chain(of_groups));

    let about_100 = corpus.groups.get(TIMED_GROUP).map(|group| (group, about_100(group)));
    let about_100 = about_100.filter(|(_, bodies)| !bodies.is_empty());
    println!("\nNanoseconds per message.\n");
    let timed = format!("{TIMED_GROUP}, 90 to 110 bytes: ");
    header([
        "".to_owned(),
        "all: encode".to_owned(),
        "decode".to_owned(),
        format!("{timed}encode"),
        "decode".to_owned(),
    ]);
    for (entry, sum) in MESSAGES.iter().zip(sums) {
        let times = |measured: &Measured| {
            [measured.encode, measured.decode].map(|time| format!("{:.0}", measured.per_body(time)))
        };
        let mut cells = times(&sum).to_vec();
        if let Some((group, bodies)) = &about_100 {
            cells.extend(times(&best(entry, bodies, &group.dictionaries(corpus), effort)));
        }
        row(entry.name, cells);
    }
    println!();
}

pub(crate) fn attachments(attachments: &[Attachment], effort: Effort) {
    println!("## Attachments\n\nBytes out per byte in.\n");
    let names = || ATTACHMENTS.iter().map(|entry| entry.name);
    header(["file", "bytes", "order-0"].into_iter().chain(names()));
    let mut speeds = Vec::new();
    for Attachment { name, body } in attachments {
        let measured = ATTACHMENTS.iter().map(|entry| best(entry, &[body], &[], effort));
        let measured: Vec<_> = measured.collect();
        let ratios = measured.iter().map(|measured| format!("{:.3}", measured.ratio()));
        row(name, [body.len().to_string(), format!("{:.3}", order0(&[body]))].into_iter().chain(ratios));
        speeds.push((name, measured));
    }
    println!("\nMB/s: encode / decode.\n");
    header(["file"].into_iter().chain(names()));
    for (name, measured) in speeds {
        let cell = |measured: &Measured| {
            let [encode, decode] =
                [measured.encode, measured.decode].map(|time| measured.megabytes_per_second(time));
            format!("{encode:.0} / {decode:.0}")
        };
        row(name, measured.iter().map(cell));
    }
}

/// Measures with each dictionary, if it uses one; what leaves least counts.
fn best(entry: &Entry, bodies: &[&[u8]], dictionaries: &[&[u8]], effort: Effort) -> Measured {
    let none: &[&[u8]] = &[&[]];
    let dictionaries = if entry.uses_dictionary && !dictionaries.is_empty() { dictionaries } else { none };
    let results =
        dictionaries.iter().map(|dictionary| measure(&mut *(entry.make)(dictionary), bodies, effort));
    results.min_by_key(|measured| measured.bytes_out).unwrap_or_default()
}

fn bodies(messages: &[String]) -> Vec<&[u8]> {
    messages.iter().map(String::as_bytes).collect()
}

fn about_100(group: &Group) -> Vec<&[u8]> {
    bodies(&group.test).into_iter().filter(|body| (90..=110).contains(&body.len())).collect()
}

fn header<S: AsRef<str>>(cells: impl IntoIterator<Item = S>) {
    let cells: Vec<_> = cells.into_iter().map(|cell| cell.as_ref().to_owned()).collect();
    println!("| {} |\n|---|{}", cells.join(" | "), "---:|".repeat(cells.len() - 1));
}

fn row(name: &str, cells: impl IntoIterator<Item = String>) {
    println!("| {name} | {} |", cells.into_iter().collect::<Vec<_>>().join(" | "));
}
