//! What Node's `dotenv` reads in a file (version 17, which reads as 15 and 16 do), to the last letter.
//!
//! It finds assignments by one regular expression, wherever they begin a line, and passes over everything else:
//!
//! ```text
//! /^\s*(?:export\s+)?([\w.-]+)(?:\s*=\s*?|:\s+?)(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\r\n]+)?\s*(?:#.*)?$/mg
//! ```
//!
//! Here the same is done by hand, in linear time: of all ways in which the expression can go back and try something else,
//! only those are left that can change what it finds. JavaScript's `\s`, and its idea of where a line ends, are not those of
//! Rust's libraries. `tests/js/dotenv.test.mjs` compares both over hundreds of made-up files.

use std::collections::BTreeMap;

const QUOTES: [char; 3] = ['\'', '"', '`'];

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// The assignments. Of several to one name, the last.
    pub(crate) values: BTreeMap<String, String>,
    /// The first line, from 1, that is passed over although it looks as if it should say something.
    pub(crate) broken_line: Option<usize>,
}

/// Reads the content of a file. `is_known` tells the names of variables that would be missed.
pub(crate) fn parse(content: &str, is_known: impl Fn(&str) -> bool) -> Parsed {
    let text = content.replace("\r\n", "\n").replace('\r', "\n");
    let mut parsed = Parsed::default();
    let (mut at, mut read) = (Some(0), 0);
    while let Some(start) = at {
        match assignment(&text, start) {
            Ok(found) => {
                parsed.note_passed(&text, read, start, &is_known);
                read = found.end;
                // In JavaScript, to assign a text to this property of an object does nothing.
                if found.name != "__proto__" {
                    parsed.values.insert(found.name.to_owned(), value(found.value));
                }
                at = if starts_line(&text, read) { Some(read) } else { next_line(&text, read) };
            }
            // Nothing begins on the empty lines before the place where this one has failed.
            Err(failed) => at = next_line(&text, failed),
        }
    }
    parsed.note_passed(&text, read, text.len(), &is_known);
    parsed
}

impl Parsed {
    /// Looks for a mistake in what was passed over.
    fn note_passed(&mut self, text: &str, from: usize, to: usize, is_known: &impl Fn(&str) -> bool) {
        if self.broken_line.is_some() {
            return;
        }
        let mut lines = text[from..to].split('\n').enumerate();
        let broken = lines.find(|(_, line)| is_mistake(line.trim_matches(is_space), is_known));
        let before = || text[..from].matches('\n').count();
        self.broken_line = broken.map(|(nth, _)| before() + nth + 1);
    }
}

/// Whether a line that is no assignment was surely meant to be one, or a part of one. Everything else is a remark, a
/// heading or a command of a shell, for which nobody would thank us for not starting.
fn is_mistake(line: &str, is_known: &impl Fn(&str) -> bool) -> bool {
    let is_remark = line.starts_with(['#', ';']) || line.starts_with("//");
    if is_remark || !line.contains(|c: char| c.is_alphanumeric()) {
        return false;
    }
    // A key or certificate whose lines no quotes hold together.
    if line.starts_with("-----BEGIN ") || line.starts_with("-----END ") {
        return true;
    }
    // `=== heading ===` is none.
    if line.contains('=') && !line.starts_with("==") {
        return true;
    }
    let (rest, is_exported) = match line.strip_prefix("export").filter(|rest| rest.starts_with(is_space)) {
        Some(rest) => (rest.trim_start_matches(is_space), true),
        None => (line, false),
    };
    let name = &rest[..name_end(rest, 0)];
    let behind = &rest[name.len()..];
    let looks_like_a_variable = name.contains('_') && !name.contains(|c: char| c.is_ascii_lowercase());
    // `NAME value`, `NAME:value`, or the name alone, which a shell knows behind `export`.
    (is_known(name) || looks_like_a_variable)
        && (behind.is_empty() && !is_exported || behind.starts_with(is_space) || behind.starts_with(':'))
}

struct Assignment<'a> {
    name: &'a str,
    /// As it stands there.
    value: &'a str,
    /// Where the match ends.
    end: usize,
}

/// The assignment that begins in this place, at the start of a line. If there is none, how far was looked: nothing begins
/// before the next line behind that either.
fn assignment(text: &str, start: usize) -> Result<Assignment<'_>, usize> {
    let first = skip_space(text, start);
    let exported = text[first..].strip_prefix("export").map(|rest| text.len() - rest.len());
    let behind_export = exported.map(|end| skip_space(text, end)).filter(|end| Some(*end) > exported);
    for name_start in behind_export.into_iter().chain([first]) {
        let name_end = name_end(text, name_start);
        let name = &text[name_start..name_end];
        if name.is_empty() {
            continue;
        }
        let behind = skip_space(text, name_end);
        let value_start = if text[behind..].starts_with('=') {
            behind + 1
        } else if let Some(first) = text[name_end..].strip_prefix(':').and_then(|rest| rest.chars().next())
            && is_space(first)
        {
            name_end + 1 + first.len_utf8()
        } else {
            continue;
        };
        let (value_end, end) = value_and_end(text, value_start);
        return Ok(Assignment { name, value: &text[value_start..value_end], end });
    }
    Err(first)
}

/// Where the value that begins here ends, and where the match does.
fn value_and_end(text: &str, start: usize) -> (usize, usize) {
    let opening = skip_space(text, start);
    if let Some(quote) = QUOTES.into_iter().find(|quote| text[opening..].starts_with(*quote)) {
        let inner = opening + 1;
        let (mut escaped, mut last) = (Vec::new(), None);
        for (at, _) in text[inner..].match_indices(quote) {
            let at = inner + at;
            if at > inner && text.as_bytes()[at - 1] == b'\\' {
                escaped.push(at);
                continue;
            }
            last = Some(at);
            break;
        }
        // First the one that no backslash precedes, then those before it, from the last on.
        for closing in last.into_iter().chain(escaped.into_iter().rev()) {
            if let Some(end) = rest_of_line(text, closing + 1) {
                return (closing + 1, end);
            }
        }
    }
    let end = text[start..].find(['#', '\n']).map_or(text.len(), |at| start + at);
    (end, rest_of_line(text, end).unwrap_or(end))
}

/// Where `\s*(?:#.*)?$` ends that begins here.
fn rest_of_line(text: &str, start: usize) -> Option<usize> {
    let behind = skip_space(text, start);
    match text[behind..].chars().next() {
        None => Some(behind),
        Some('#') => Some(text[behind..].find(is_line_end).map_or(text.len(), |at| behind + at)),
        // The last end of a line among the space.
        Some(_) => text[start..behind].rfind(is_line_end).map(|at| start + at),
    }
}

/// Trims a value, takes its quotes away, and writes out what double quotes let stand for the ends of lines.
fn value(raw: &str) -> String {
    let raw = raw.trim_matches(is_space);
    let bare = without_quotes(raw);
    if raw.starts_with('"') { bare.replace("\\n", "\n").replace("\\r", "\r") } else { bare }
}

/// `replace(/^(['"`])([\s\S]*)\1$/mg, '$2')`: from the first quote that begins a line to the last that ends one.
fn without_quotes(text: &str) -> String {
    let ends = |closing: &usize| text[closing + 1..].chars().next().is_none_or(is_line_end);
    let last_of = |quote: char| text.rmatch_indices(quote).map(|(at, _)| at).find(ends);
    let last = QUOTES.map(last_of);
    let mut bare = String::with_capacity(text.len());
    let (mut at, mut copied) = (0, 0);
    loop {
        let quote = QUOTES.iter().position(|quote| text[at..].starts_with(*quote));
        if let Some(closing) = quote.and_then(|quote| last[quote]).filter(|closing| *closing > at) {
            bare.push_str(&text[copied..at]);
            bare.push_str(&text[at + 1..closing]);
            copied = closing + 1;
            at = copied;
        }
        match next_line(text, at) {
            Some(next) => at = next,
            None => break,
        }
    }
    bare.push_str(&text[copied..]);
    bare
}

fn skip_space(text: &str, start: usize) -> usize {
    text.len() - text[start..].trim_start_matches(is_space).len()
}

fn name_end(text: &str, start: usize) -> usize {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    text[start..].find(|c| !is_name(c)).map_or(text.len(), |at| start + at)
}

/// Where the first line behind this place begins.
fn next_line(text: &str, from: usize) -> Option<usize> {
    let (at, end) = text[from..].char_indices().find(|(_, c)| is_line_end(*c))?;
    Some(from + at + end.len_utf8())
}

fn starts_line(text: &str, at: usize) -> bool {
    text[..at].chars().next_back().is_none_or(is_line_end)
}

/// Where `^` and `$` match, and what `.` does not (ECMA-262, "LineTerminator").
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

/// What `\s` matches (ECMA-262, "WhiteSpace" and "LineTerminator"); a byte order mark is among it, U+0085 is not.
fn is_space(c: char) -> bool {
    matches!(
        c,
        '\t'..='\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}'
            | '\u{3000}' | '\u{feff}'
    )
}
