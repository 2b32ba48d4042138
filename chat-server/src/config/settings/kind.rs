//! The kinds of values of a setting.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use tracing_subscriber::EnvFilter;

use super::names::nearest;
use crate::config::switch::switch;

/// Maximum sizes in bytes: of a secret, and of every other text.
const MAX_SECRET_BYTES: usize = 64 << 10;
const MAX_TEXT_BYTES: usize = 4 << 10;

/// The valid values of a setting.
pub(super) enum Kind {
    /// A whole number in this range.
    Number(RangeInclusive<u64>),
    /// A whole number up to this one; 0 means no limit.
    Limit(u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// On or off, see [`switch`].
    Switch,
    /// A text that passes this function; its error says what the text must be.
    Text(fn(&str) -> Result<(), &'static str>),
    /// Files or folders with any name. The code that opens them reports errors.
    Path,
    /// A text that is never shown.
    Secret,
    /// A format of its own, which is checked where it is used.
    CheckedElsewhere,
}

impl Kind {
    /// Describes what is wrong with a value; `None` is a value that is not UTF-8.
    pub(super) fn check(&self, value: Option<&str>) -> Result<(), String> {
        let Some(value) = value else {
            return if matches!(self, Self::Path) { Ok(()) } else { Err("is not UTF-8 text".to_owned()) };
        };
        let trimmed = value.trim();
        match self {
            Self::Number(range) => in_range(trimmed, range.clone()),
            Self::Limit(most) => in_range(trimmed, 0..=*most),
            Self::Choice(words) => {
                if words.contains(&value) {
                    return Ok(());
                }
                let meant = nearest(&trimmed.to_ascii_lowercase(), words.iter().copied());
                let meant = meant.map(|word| format!(" (is {word} meant?)")).unwrap_or_default();
                Err(format!("{} is not one of {}{meant}", shown(value), words.join(", ")))
            }
            Self::Switch => match switch(value) {
                Ok(_) => Ok(()),
                Err(form) => Err(format!("{} cannot be: it {form}", shown(value))),
            },
            Self::Text(check) => {
                if value.len() > MAX_TEXT_BYTES {
                    return Err(format!("is longer than {MAX_TEXT_BYTES} bytes"));
                }
                check(value).map_err(str::to_owned)
            }
            Self::Secret if value.len() > MAX_SECRET_BYTES => {
                Err(format!("is longer than {MAX_SECRET_BYTES} bytes"))
            }
            Self::Secret | Self::Path | Self::CheckedElsewhere => Ok(()),
        }
    }
}

fn in_range(value: &str, range: RangeInclusive<u64>) -> Result<(), String> {
    if value.parse().is_ok_and(|number: u64| range.contains(&number)) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(format!("{} is not a whole number from {least} to {most}", shown(value)))
}

/// The value for an error message. The operator may have put a URL with a password, or a key, into the wrong variable,
/// so only short and plain values are shown.
fn shown(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.,=+ ".contains(c);
    if value.len() <= 16 && value.chars().all(is_plain) {
        format!("{value:?}")
    } else {
        "what it is".to_owned()
    }
}

pub(super) fn is_address(value: &str) -> Result<(), &'static str> {
    let form = "must be an address of this machine such as 127.0.0.1 or ::1, without a port; names are not looked up";
    value.trim().parse::<IpAddr>().map(drop).map_err(|_| form)
}

pub(super) fn is_web_address(value: &str) -> Result<(), &'static str> {
    let value = value.trim();
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    let is_plain = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(is_plain) => Ok(()),
        _ => Err("must be an address that begins with https:// (or http://)"),
    }
}

/// `ann@example.com`, or `Ann <ann@example.com>`.
pub(super) fn is_mail_address(value: &str) -> Result<(), &'static str> {
    let value = value.trim();
    let address = value.strip_suffix('>').and_then(|named| named.split_once('<'));
    let address = address.map_or(value, |(_, address)| address);
    let is_good = |part: &str| {
        !part.is_empty()
            && !part.contains(|c: char| c.is_control() || c.is_whitespace() || "<>@,;".contains(c))
    };
    match address.split_once('@') {
        Some((name, host)) if is_good(name) && is_good(host) && is_one_line(value).is_ok() => Ok(()),
        _ => Err("must be a mail address such as chat@example.com"),
    }
}

pub(super) fn is_one_line(value: &str) -> Result<(), &'static str> {
    if value.len() > 256 || value.contains(char::is_control) {
        return Err("must be one line of at most 256 bytes");
    }
    Ok(())
}

pub(super) fn is_name(value: &str) -> Result<(), &'static str> {
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    if value.len() > 128 || !value.bytes().all(is_plain) {
        return Err("must be up to 128 letters, digits, - and _");
    }
    Ok(())
}

/// The naming rules of S3 buckets.
pub(super) fn is_bucket(value: &str) -> Result<(), &'static str> {
    let is_plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'.');
    if !(3..=63).contains(&value.len()) || !value.bytes().all(is_plain) {
        return Err("must be 3 to 63 lower-case letters, digits, - and .");
    }
    Ok(())
}

pub(super) fn is_file_name(value: &str) -> Result<(), &'static str> {
    if value.contains(char::is_control) {
        return Err("must be the name of a file");
    }
    Ok(())
}

pub(super) fn is_log_filter(value: &str) -> Result<(), &'static str> {
    let form = "must be error, warn, info, debug, trace or off, or a filter such as info,chat_server=debug";
    let is_level = |word: &str| {
        ["error", "warn", "info", "debug", "trace", "off"]
            .iter()
            .any(|level| level.eq_ignore_ascii_case(word.trim()))
    };
    // Brackets contain spans and fields, which may have commas of their own.
    let is_directive = |part: &str| match part.rsplit_once('=') {
        Some((target, level)) => is_level(level) && !target.trim().is_empty(),
        None => is_level(part),
    };
    let parts = value.split(',').filter(|part| !part.trim().is_empty());
    if value.contains('[') || parts.clone().count() == 0 || !parts.clone().all(is_directive) {
        return Err(form);
    }
    EnvFilter::try_new(value).map(drop).map_err(|_| form)
}
