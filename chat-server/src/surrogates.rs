//! Halves of surrogate pairs in JSON.
//!
//! JavaScript counts texts in UTF-16, so a page that cuts one in the middle of an emoji sends `"\ud83d"`. That is JSON, but no
//! text: `serde_json` refuses it, and with it the whole message. Node keeps it, and writes U+FFFD when it stores or sends it. So
//! each half is replaced by the escape of U+FFFD, which is as long, before anything of ours reads the JSON.

use std::borrow::Cow;

use memchr::memmem;

/// The escape that stands for what is no character.
const REPLACEMENT: &[u8; 6] = b"\\ufffd";

/// The same JSON with U+FFFD in the place of each half of a surrogate pair that stands alone. Without one nothing is copied.
/// Takes linear time; what is no JSON stays as it is otherwise.
pub(crate) fn mended(json: &str) -> Cow<'_, str> {
    let mut read = start(json.as_bytes());
    let Some(mut half) = next_half(json.as_bytes(), &mut read) else { return Cow::Borrowed(json) };
    let mut mended = String::with_capacity(json.len());
    let mut copied = 0;
    loop {
        mended.push_str(&json[copied..half]);
        mended.push_str("\\ufffd");
        copied = half + REPLACEMENT.len();
        let Some(next) = next_half(json.as_bytes(), &mut read) else { break };
        half = next;
    }
    mended.push_str(&json[copied..]);
    Cow::Owned(mended)
}

/// The same where it stands.
pub(crate) fn mend(json: &mut [u8]) {
    let mut read = start(json);
    while let Some(half) = next_half(json, &mut read) {
        json[half..][..REPLACEMENT.len()].copy_from_slice(REPLACEMENT);
    }
}

/// From where on escapes have to be looked at: nearly no text has any of a half, since clients write characters as they are.
fn start(json: &[u8]) -> usize {
    let has_any = [&b"\\ud"[..], b"\\uD"].iter().any(|begin| memmem::find(json, begin).is_some());
    if has_any { 0 } else { json.len() }
}

/// Where the next escape of a half begins that no other half makes a pair with; all before `read` has been looked at.
fn next_half(json: &[u8], read: &mut usize) -> Option<usize> {
    loop {
        let here = *read + memchr::memchr(b'\\', &json[*read..])?;
        let behind = (here + REPLACEMENT.len()).min(json.len());
        *read = behind;
        match escaped(&json[here..]) {
            None => *read = (here + 2).min(json.len()),
            Some(0xd800..=0xdbff) if matches!(escaped(&json[behind..]), Some(0xdc00..=0xdfff)) => {
                *read = behind + REPLACEMENT.len();
            }
            Some(0xd800..=0xdfff) => return Some(here),
            Some(_) => {}
        }
    }
}

/// The code unit of an escape with which this begins.
fn escaped(json: &[u8]) -> Option<u16> {
    let digits = json.get(..REPLACEMENT.len())?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | digit as u16)
    })
}

#[cfg(test)]
mod tests;
