//! The `.env` file of the working folder. Those of the folders above belong to others: a server that is started in a
//! folder anybody can write to must not take its secret from there.
//!
//! It is read as Node's `dotenv` reads it, because it was written for that; see [`parse`].

mod parse;
// Not below `parse`, because the example `dotenv` has that file, too.
#[cfg(test)]
mod parse_tests;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use clap::CommandFactory;

const FILE: &str = ".env";

/// Most bytes of the file.
const MAX_BYTES: u64 = 1 << 20;

/// What the file has contributed, by name. Values may be secrets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// There is a file.
    pub(crate) exists: bool,
    /// Variables of this program that the environment has from the file.
    pub(crate) names: Vec<String>,
    /// Variables of this program that the environment had before, so that the file does not count.
    pub(crate) overruled: Vec<String>,
    /// How many others there are.
    pub(crate) others: usize,
}

/// Puts what the file says into the environment, where that does not say it already. A missing file is fine: everything
/// in it can also be set in the environment.
///
/// # Errors
/// What is wrong with the file, and in which line. Never what stands in it, which may be a secret.
pub(crate) fn read<C: CommandFactory>() -> Result<Taken, String> {
    let Some(content) = content(Path::new(FILE))? else { return Ok(Taken::default()) };
    let command = C::command();
    let known = |name: &str| command.get_arguments().any(|arg| arg.get_env().is_some_and(|env| env == name));
    let parsed = parse::parse(&content, known);
    if let Some(line) = parsed.broken_line {
        return Err(format!(
            "line {line} is no assignment (NAME=value). A remark begins with #, and a value of several lines stands in quotes"
        ));
    }
    let mut taken = Taken { exists: true, ..Taken::default() };
    let mut script = String::new();
    for (name, value) in &parsed.values {
        let is_set = std::env::var_os(name).is_some();
        match (known(name), is_set) {
            (true, true) => taken.overruled.push(name.clone()),
            (true, false) => taken.names.push(name.clone()),
            (false, _) => taken.others += 1,
        }
        if !is_set && can_be_set(name) {
            // It cannot fail: a text has room for everything.
            let _ = writeln!(script, "{name}=\"{}\"", escaped(value));
        }
    }
    // Only in a program of one thread the environment may be changed, for which the standard library wants a promise (`unsafe`).
    // dotenvy gives it; nothing else of it is used. What it is given is written so that it can be read in one way only.
    dotenvy::from_read(script.as_bytes())
        .map_err(|_| "a value cannot be put into the environment".to_owned())?;
    Ok(taken)
}

/// What the file says now of one variable; none when it says nothing, or is gone.
///
/// # Errors
/// Those of [`read`].
pub(crate) fn look_up(name: &str) -> Result<Option<String>, String> {
    let Some(content) = content(Path::new(FILE))? else { return Ok(None) };
    let parsed = parse::parse(&content, |known| known == name);
    if let Some(line) = parsed.broken_line {
        return Err(format!("line {line} is no assignment (NAME=value)"));
    }
    Ok(parsed.values.get(name).cloned())
}

/// The content of the file, if it is there.
fn content(path: &Path) -> Result<Option<String>, String> {
    let unreadable = |error: std::io::Error| format!("it cannot be read: {error}");
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err("it is larger than 1 MiB".to_owned());
    }
    let line = |at: usize| lines(&bytes[..at]) + 1;
    if let Err(error) = std::str::from_utf8(&bytes) {
        return Err(format!("line {} is not UTF-8 text", line(error.valid_up_to())));
    }
    if let Some(nul) = bytes.iter().position(|byte| *byte == 0) {
        return Err(format!("line {} holds a zero byte", line(nul)));
    }
    Ok(String::from_utf8(bytes).ok())
}

/// How many lines end in this text, each with LF, CR or both.
fn lines(bytes: &[u8]) -> usize {
    let ends = |at: usize| match bytes[at] {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    (0..bytes.len()).filter(|at| ends(*at)).count()
}

/// Whether dotenvy takes this name. RemotePresence are nobody's: no program asks for `a-b`.
fn can_be_set(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(is_letter)
        && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit() || byte == b'.')
}

/// A value as it stands in double quotes for dotenvy.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\\' | '"' | '$' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}

impl Taken {
    /// What an operator wants to know at the start: names only.
    pub(crate) fn log(&self) {
        if !self.exists {
            return;
        }
        let listed = |names: &[String]| match names {
            [] => "nothing".to_owned(),
            names => names
                .iter()
                .map(String::as_str)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
                .join(", "),
        };
        tracing::info!("taken from .env: {}; {} others are passed over", listed(&self.names), self.others);
        if !self.overruled.is_empty() {
            tracing::info!("in .env, but the environment says otherwise: {}", listed(&self.overruled));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotenvy_is_told_exactly_what_was_read() {
        for value in [
            "",
            "Chat App",
            "a\nb\r\nc\r",
            "$HOME ${HOME} \\$",
            "\\n",
            "'\"`",
            " # ",
            "\u{feff}\u{2028}é😀",
            "\\",
            "\t",
        ] {
            let script = format!("A=\"{}\"\nB=\"$A\"\n", escaped(value));
            let read: Vec<_> =
                dotenvy::from_read_iter(script.as_bytes()).take(1).map(Result::unwrap).collect();
            assert_eq!(read, [("A".to_owned(), value.to_owned())]);
        }
        for (name, can) in
            [("A", true), ("_a.1", true), ("a-b", false), ("1a", false), (".a", false), ("", false)]
        {
            assert_eq!(can_be_set(name), can, "{name}");
            assert_eq!(
                dotenvy::from_read_iter(format!("{name}=\"\"").as_bytes()).all(|read| read.is_ok()),
                can,
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_no_text_is_named_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        let told = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            content(&path).unwrap_err()
        };
        assert_eq!(told(b"A=b\r\n\r\nB=hush\xff"), "line 3 is not UTF-8 text");
        assert_eq!(told(b"\xff\xfeA\0=\0b\0"), "line 1 is not UTF-8 text");
        assert_eq!(told(b"A=b\rB=h\0ush"), "line 2 holds a zero byte");
        assert_eq!(told(&vec![b'\n'; (1 << 20) + 1]), "it is larger than 1 MiB");
        assert!(content(folder.path()).unwrap_err().starts_with("it cannot be read: "));
        assert_eq!(content(&folder.path().join("missing")), Ok(None));
    }
}
