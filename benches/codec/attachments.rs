//! Files that are always the same, made here, and those of a folder.

use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use crate::measure::Effort;

/// A file.
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) body: Vec<u8>,
}

/// Largest file of a folder in bytes that is measured.
const LARGEST: u64 = 32 << 20;

/// What is made here, and either the files of the folder or noise.
pub(crate) fn all(folder: Option<&Path>, effort: Effort) -> io::Result<Vec<Attachment>> {
    let size = effort.attachment_bytes();
    let mut chance = Chance::new();
    let mut all = Vec::new();
    let mut add = |name: &str, body: Vec<u8>| all.push(Attachment { name: name.to_owned(), body });
    add("text", grown(size, |text| sentence(&mut chance, text)));
    add("JSON", grown(size, |text| json(&mut chance, text)));
    add("CSV", grown(size, |text| csv(&mut chance, text)));
    add("code", sources(size)?);
    match folder {
        Some(folder) => all.extend(files(folder)?),
        None => add("noise, for PNG and JPEG", (0..size).map(|_| chance.below(256) as u8).collect()),
    }
    Ok(all)
}

/// The same numbers in every run (xorshift64).
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((u128::from(self.0) * end as u128) >> 64) as usize
    }

    /// A word of a few thousand, the n-th about 1/n as often as the first.
    fn word(&mut self, text: &mut String) {
        const COMMON: &str = "the of and to in that is was he for it with as his on be at by had not are but from or \
             have an they which one you were her all she there would their we him been has when who will more no if \
             out so said what up its about into than them can only other new some could time these two may then do";
        const SYLLABLES: [&str; 24] = [
            "con", "ter", "ing", "re", "de", "la", "ver", "tion", "mo", "st", "ni", "per", "ed", "sa", "li",
            "ment", "tr", "an", "ous", "pro", "ca", "ble", "er", "en",
        ];
        let common = COMMON.split_whitespace().count();
        // A uniform exponent gives ranks of about that frequency.
        let rank = 8_f64.powf(4.0 * self.below(1 << 20) as f64 / f64::from(1 << 20)) as usize - 1;
        match COMMON.split_whitespace().nth(rank) {
            Some(word) => text.push_str(word),
            None => {
                let mut rest = rank - common + 1;
                while rest > 0 {
                    text.push_str(SYLLABLES[rest % SYLLABLES.len()]);
                    rest /= SYLLABLES.len();
                }
            }
        }
    }
}

fn grown(size: usize, mut grow: impl FnMut(&mut String)) -> Vec<u8> {
    let mut text = String::new();
    while text.len() < size {
        grow(&mut text);
    }
    text.truncate(size);
    text.into_bytes()
}

fn sentence(chance: &mut Chance, text: &mut String) {
    let start = text.len();
    let words = 4 + chance.below(16);
    for word in 0..words {
        chance.word(text);
        let comma = word + 1 < words && chance.below(9) == 0;
        text.push_str(if word + 1 == words {
            "."
        } else if comma {
            ", "
        } else {
            " "
        });
    }
    text[start..=start].make_ascii_uppercase();
    text.push_str(if chance.below(6) == 0 { "\n\n" } else { " " });
}

fn json(chance: &mut Chance, text: &mut String) {
    let (id, user, minute) = (chance.below(1 << 40), chance.below(5_000), chance.below(1_440));
    let (hour, minute, second) = (minute / 60, minute % 60, chance.below(60));
    let _ = write!(
        text,
        r#"{{"id":"{id:012x}","user":{{"id":{user},"active":{}}},"at":"2026-11-21T{hour:02}:{minute:02}:{second:02}Z","text":""#,
        chance.below(4) > 0,
    );
    sentence(chance, text);
    text.truncate(text.trim_end().len());
    let _ = writeln!(text, r#"","score":{}.{:02},"tags":["a","b"]}},"#, chance.below(100), chance.below(100));
}

fn csv(chance: &mut Chance, text: &mut String) {
    let _ = write!(
        text,
        "{},2026-{:02}-{:02},",
        chance.below(1_000_000),
        1 + chance.below(12),
        1 + chance.below(28)
    );
    chance.word(text);
    let state = ["open", "paid", "sent", "returned"][chance.below(4)];
    let _ = writeln!(text, ",{state},{}.{:02},{}", chance.below(5_000), chance.below(100), chance.below(20));
}

/// The sources of the two crates, one after the other. Repeating them to the full size would favour whoever finds
/// repetitions.
fn sources(size: usize) -> io::Result<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut body, mut folders) =
        (Vec::new(), vec![root.join("chat-server/src"), root.join("chat-core/src")]);
    while let Some(folder) = folders.pop() {
        for path in sorted(&folder)? {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                body.extend(fs::read(path)?);
            }
        }
    }
    body.truncate(size);
    Ok(body)
}

fn files(folder: &Path) -> io::Result<Vec<Attachment>> {
    let mut files = Vec::new();
    for path in sorted(folder)? {
        let about = fs::metadata(&path)?;
        if about.is_file() && (1025..=LARGEST).contains(&about.len()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push(Attachment { name, body: fs::read(&path)? });
        }
    }
    Ok(files)
}

/// What is in a folder, in an order that does not depend on the disk.
fn sorted(folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
