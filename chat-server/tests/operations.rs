//! Every line that the server can write at the levels `warn` and `error` is explained in docs/operations.md.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The files of the server and of its library that are no tests.
fn sources() -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in folder.read_dir().expect("the source can be read") {
            let path = entry.expect("the source can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && name != "tests" {
                below(&path, found);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    below(&root.join("src"), &mut found);
    below(&root.join("../chat-core/src"), &mut found);
    found
}

/// Where a text in quotes ends that begins here.
fn end_of_text(source: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while source[at] != b'"' {
        at += if source[at] == b'\\' { 2 } else { 1 };
    }
    at
}

/// The arguments of a macro, of which the first begins here.
fn arguments(source: &str, begin: usize) -> Vec<&str> {
    let bytes = source.as_bytes();
    let (mut depth, mut from, mut at, mut found) = (0, begin, begin, Vec::new());
    loop {
        match bytes[at] {
            b'"' => at = end_of_text(bytes, at),
            b'(' | b'[' | b'{' => depth += 1,
            b')' if depth == 0 => {
                found.push(source[from..at].trim());
                found.retain(|argument| !argument.is_empty());
                return found;
            }
            b')' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                found.push(source[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
}

/// What a line says, whatever stands beside it in fields.
fn message(arguments: &[&str]) -> Option<String> {
    let last = arguments.iter().rfind(|argument| argument.starts_with('"'))?;
    let text = last.strip_prefix('"')?.strip_suffix('"')?;
    // A text of several lines goes on behind the white space of the next one.
    let mut lines = text.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    Some(lines.fold(first, |text, line| text + line.trim_start()).replace("\\\"", "\""))
}

/// The warnings and errors of a file, and what is wrong with how they are written.
fn lines(source: &str) -> Vec<Result<String, String>> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = Vec::new();
    for name in ["warn!(", "error!("] {
        for (at, _) in code.match_indices(name) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|before| before.is_alphanumeric() || before == '_') {
                continue;
            }
            let arguments = arguments(code, at + name.len());
            let message = message(&arguments).ok_or_else(|| format!("{arguments:?} has no message"));
            // Otherwise nobody could look it up.
            found.push(message.and_then(|message| match message.contains('{') {
                true => Err(format!("{message:?} is not always the same: what differs belongs into a field")),
                false => Ok(message),
            }));
        }
    }
    found
}

/// What the tables of the documentation explain: what is in backquotes in their first columns.
fn explained(documentation: &str) -> Vec<&str> {
    let begin = documentation.find("## What the log says").expect("there is such a chapter");
    let chapter = &documentation[begin..];
    let end = chapter[2..].find("\n## ").map_or(chapter.len(), |end| end + 2);
    let rows = chapter[..end].lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    rows.flat_map(|(first, _)| first.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_warning_and_error_is_explained_to_operators() {
    let mut written = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in sources() {
        let source = std::fs::read_to_string(&path).expect("the source can be read");
        for line in lines(&source) {
            match line {
                Ok(message) => drop(written.insert(message, path.clone())),
                Err(problem) => wrong.push(format!("{}: {problem}", path.display())),
            }
        }
    }
    assert!(written.len() > 60, "only {} were found", written.len());
    let documentation = include_str!("../../docs/operations.md");
    let explained = explained(documentation);
    for (message, path) in &written {
        if !explained.contains(&message.as_str()) {
            wrong.push(format!("{}: docs/operations.md does not explain {message:?}", path.display()));
        }
    }
    for (n, message) in explained.iter().enumerate() {
        if !written.contains_key(*message) {
            wrong.push(format!("docs/operations.md explains {message:?}, which nobody writes"));
        }
        if explained[..n].contains(message) {
            wrong.push(format!("docs/operations.md explains {message:?} twice"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lines_are_found_however_they_are_written() {
    let source = r#"
        tracing::warn!("one");
        warn!(%error, reason = "not this", "two, (and) more");
        tracing::error!(
            remedy = f(a, "b"),
            "a long \
             line",
        );
        forewarn!("no line");
        tracing::warn!("{difference}");
        tracing::error!(%error);
        tracing::info!("no warning");
        #[cfg(test)]
mod tests {
        tracing::warn!("of a test");
    "#;
    let found = lines(source);
    let good: Vec<_> = found.iter().flatten().map(String::as_str).collect();
    assert_eq!(good, ["one", "two, (and) more", "a long line"]);
    assert_eq!(found.iter().filter(|line| line.is_err()).count(), 2, "{found:?}");
    assert_eq!(
        explained("## What the log says\n\n| `a`, `b` | `c` |\n| d | e |\n## Next\n| `f` | g |\n"),
        ["a", "b"]
    );
}
