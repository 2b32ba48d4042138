//! `docs/native.md`: an example of every command and event of `native`, from the transcripts that the tests run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{Document, committed_or_written, json};

/// A line of a transcript: who, which way, and what.
struct Line {
    file: String,
    who: String,
    way: &'static str,
    what: String,
}

/// What is said and heard in the transcripts of `native`, in the order of the files.
fn transcripts() -> Vec<Line> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/transcripts/native");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut lines: Vec<Line> = Vec::new();
    for path in files {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        for line in fs::read_to_string(&path).unwrap().lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with(' ') {
                lines.last_mut().expect("a line that is continued").what.push_str(&format!("\n{line}"));
                continue;
            }
            let ways = [" >? ", " <? ", " > ", " < "];
            let split = |way: &&'static str| line.split_once(*way).filter(|(who, _)| !who.contains(' '));
            let Some(way) = ways.into_iter().find(|way| split(way).is_some()) else { continue };
            let (who, what) = line.split_once(way).unwrap();
            lines.push(Line { file: file.clone(), who: who.to_owned(), way, what: what.to_owned() });
        }
    }
    lines
}

impl Line {
    fn is_event(&self, name: &str) -> bool {
        self.what == name || self.what.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '))
    }

    fn is_request(&self, (method, path): &(String, String)) -> bool {
        let Some(asked) = self.what.strip_prefix(&**method).and_then(|rest| rest.strip_prefix(' ')) else {
            return false;
        };
        let asked: Vec<_> = asked.split([' ', '?']).next().unwrap_or_default().split('/').collect();
        let parts: Vec<_> = path.split('/').collect();
        let is_same = |(asked, part): (&&str, &&str)| part.starts_with('{') || asked == part;
        asked.len() == parts.len() && asked.iter().zip(&parts).all(is_same)
    }

    fn is_success(&self) -> bool {
        self.what.contains("\"ok\":true") || self.what.starts_with('2')
    }

    fn shown(&self) -> String {
        format!("{}{}{}", self.who, self.way, self.what)
    }

    /// How much of it is not shown.
    fn hidden(&self) -> usize {
        self.what.matches("\"...\"").count()
    }
}

/// What is asked and answered, on a socket if there is such an example: the one that shows most.
fn of_command(name: &str, route: Option<&(String, String)>, lines: &[Line]) -> Option<(String, String)> {
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let (is_http, answered) = match line.way {
            " >? " if line.is_event(name) => (false, " <? "),
            " > " if route.is_some_and(|route| line.is_request(route)) => (true, " < "),
            _ => continue,
        };
        let answer = lines[at + 1..].iter().find(|next| next.who == line.who && next.way == answered);
        if let Some(answer) = answer.filter(|answer| answer.file == line.file && answer.is_success()) {
            let shown = format!("{}\n{}", line.shown(), answer.shown());
            found.push((is_http, answer.hidden(), shown, line.file.clone()));
        }
    }
    let best = found.into_iter().min_by_key(|(is_http, hidden, ..)| (*is_http, *hidden))?;
    Some((best.2, best.3))
}

fn of_event(name: &str, lines: &[Line]) -> Option<(String, String)> {
    let told = lines.iter().filter(|line| line.way == " < " && line.is_event(name));
    let best = told.min_by_key(|line| line.hidden())?;
    Some((best.shown(), best.file.clone()))
}

/// `./test --describe` writes it.
#[test]
fn every_command_and_event_has_an_example_that_is_run() {
    let (asyncapi, openapi) = (json(Document::AsyncApi), json(Document::OpenApi));
    let mut routes = BTreeMap::new();
    for (path, methods) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            routes.insert(id, (method.to_uppercase(), path.clone()));
        }
    }
    let lines = transcripts();
    let (mut commands, mut events, mut missing) = (String::new(), String::new(), Vec::new());
    for message in asyncapi["channels"]["native"]["messages"].as_object().unwrap().values() {
        let (name, about) = (message["name"].as_str().unwrap(), message["summary"].as_str().unwrap());
        let is_command = message.get("x-acknowledgement").is_some();
        let route = routes.get(name).filter(|_| is_command);
        let example = if is_command { of_command(name, route, &lines) } else { of_event(name, &lines) };
        let Some((shown, file)) = example else {
            missing.push(name.to_owned());
            continue;
        };
        let route = route.map(|(method, path)| format!("`{method} {path}`\n\n")).unwrap_or_default();
        let part = format!(
            "\n### `{name}`\n\n{about}\n\n{route}```text\n{shown}\n```\n\nFrom [{file}](../tests/transcripts/native/{file}).\n"
        );
        if is_command { commands.push_str(&part) } else { events.push_str(&part) }
    }
    assert!(missing.is_empty(), "no transcript of native shows {missing:?}");
    let page = format!(
        "# Every command and event of `native`\n\nMade of the code and of the transcripts that the tests run, by `./test --describe`. What there is \
         to say beside it is in\n[protocol.md](protocol.md#native); all fields and answers are in [`api`](api), which `/docs` of a server shows. `>?` \
         asks for the answer\nthat comes with `<?`, `\"...\"` stands for what is not shown, and `$id:name` and `$any` for values.\n\n## Commands\n\
         {commands}\n## Events\n{events}"
    );
    committed_or_written("../docs/native.md", &page);
}
