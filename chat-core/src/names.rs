//! Names by the rules of Unicode: which characters they may contain, and which names look the same.
//!
//! - Invisible characters and changes of the text direction are not allowed, except where a script needs them: joiners
//!   in Persian and Indic words (RFC 5892, appendix A) and in emoji, and variation selectors after the characters that
//!   they modify.
//! - A user name must not mix scripts that are not written together (UTS 39, section 5.2, "Highly Restrictive"): Latin
//!   may be combined with Japanese, Korean and Chinese only.
//! - Two user names with the same [key](name_key) look the same. The key is the skeleton of UTS 39, section 4, for
//!   non-ASCII characters. ASCII stays unchanged: by the rules `modem` would equal `modern` and `user1` would equal
//!   `userl`, so the owners of such names could not both have accounts.

use icu_properties::props::{
    CanonicalCombiningClass, Emoji, ExtendedPictographic, GeneralCategory, JoiningType, Script,
};
use icu_properties::script::ScriptWithExtensions;
use icu_properties::{CodePointMapData, CodePointSetData};
use unicode_normalization::UnicodeNormalization;
use unicode_security::mixed_script::AugmentedScriptSet;

const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';
/// The flag that the invisible letters of a region follow (UTS 51, emoji tag sequences).
const BLACK_FLAG: char = '\u{1f3f4}';
const END_OF_TAGS: char = '\u{e007f}';

/// The key of a name: names with the same key look the same. `None` when no character of the name is visible.
///
/// Case, width, composition, runs of whitespace and invisible characters make no difference.
pub fn name_key(name: &str) -> Option<String> {
    let mut key = String::with_capacity(name.len());
    for c in fold(&fold(name)).chars() {
        if c.is_whitespace() {
            if !key.is_empty() && !key.ends_with(' ') {
                key.push(' ');
            }
        } else if c.is_ascii() {
            key.push(c);
        } else {
            push_prototype(&mut key, c);
        }
    }
    key.truncate(key.trim_end().len());
    (!key.is_empty()).then_some(key)
}

/// Full case folding and compatibility composition. Folding through upper case joins characters with the same upper
/// case, such as `ς` and `σ`, or `ß` and `ss`.
fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}

/// Appends the UTS 39 prototype of a non-ASCII character. Characters without a prototype are invisible.
fn push_prototype(key: &mut String, c: char) {
    let text = c.to_string();
    let prototype: String = unicode_security::skeleton(&text).flat_map(char::to_lowercase).collect();
    // `rn` is the prototype of `m`. Here it can only come from characters that look like `m`.
    key.push_str(if prototype == "rn" { "m" } else { &prototype });
}

/// Whether a user name mixes scripts that are not written together.
pub(crate) fn mixes_scripts(name: &str) -> bool {
    if !AugmentedScriptSet::for_str(name).is_empty() {
        return false;
    }
    let is_latin = |c: &char| ScriptWithExtensions::new().has_script(*c, Script::Latin);
    let rest: String = name.chars().filter(|c| !is_latin(c)).collect();
    let rest = AugmentedScriptSet::for_str(&rest);
    !(rest.jpan || rest.kore || rest.hanb)
}

/// The problem with the characters of a user name, if any.
pub(crate) fn problem_in_user_name(name: &str) -> Option<&'static str> {
    let selected = |chars: &[char], at: usize| is_selector_in_place(chars, at);
    problem(name, selected).or_else(|| {
        let category = CodePointMapData::<GeneralCategory>::new();
        let nameless =
            |c| matches!(category.get(c), GeneralCategory::PrivateUse | GeneralCategory::Unassigned);
        name.chars().any(nameless).then_some("must not contain characters that have no meaning")
    })
}

/// The problem with the characters of a display name, if any.
pub(crate) fn problem_in_display_name(name: &str) -> Option<&'static str> {
    problem(name, |chars, at| {
        is_selector_in_place(chars, at) || is_joiner_in_place(chars, at) || is_flag_in_place(chars, at)
    })
}

fn problem(name: &str, may_stand: impl Fn(&[char], usize) -> bool) -> Option<&'static str> {
    let chars: Vec<char> = name.chars().collect();
    let category = CodePointMapData::<GeneralCategory>::new();
    for (at, &c) in chars.iter().enumerate() {
        match category.get(c) {
            GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator => return Some("must not contain control characters"),
            category if is_invisible(c, category) && !may_stand(&chars, at) => {
                return Some("must not contain invisible characters");
            }
            _ => {}
        }
    }
    None
}

/// Whether a character is invisible, or only affects other characters.
fn is_invisible(c: char, category: GeneralCategory) -> bool {
    // Characters with an empty glyph: the empty Braille cell, the null note head.
    category == GeneralCategory::Format
        || matches!(c, '\u{2800}' | '\u{1d159}')
        || (!c.is_ascii() && unicode_security::skeleton(&c.to_string()).next().is_none())
}

/// Whether this is a variation selector after a character that has variants.
fn is_selector_in_place(chars: &[char], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| chars[before]) else { return false };
    let is_of = |script| ScriptWithExtensions::new().has_script(before, script);
    match chars[at] {
        '\u{fe0e}' | '\u{fe0f}' => CodePointSetData::new::<Emoji>().contains(before),
        '\u{e0100}'..='\u{e01ef}' => is_of(Script::Han),
        '\u{180b}'..='\u{180d}' | '\u{180f}' => is_of(Script::Mongolian),
        _ => false,
    }
}

/// Whether this is a joiner or non-joiner that its script or an emoji needs.
fn is_joiner_in_place(chars: &[char], at: usize) -> bool {
    let (before, after) = (&chars[..at], &chars[at + 1..]);
    let follows_virama = before.last().is_some_and(|&c| {
        CodePointMapData::<CanonicalCombiningClass>::new().get(c) == CanonicalCombiningClass::Virama
    });
    match chars[at] {
        ZERO_WIDTH_NON_JOINER => follows_virama || is_between_joining(before, after),
        ZERO_WIDTH_JOINER => follows_virama || is_within_emoji(before, after),
        _ => false,
    }
}

/// RFC 5892, appendix A.1: between letters that would join but must not.
fn is_between_joining(before: &[char], after: &[char]) -> bool {
    let types = CodePointMapData::<JoiningType>::new();
    let joining = |c: Option<&char>| c.map(|c| types.get(*c));
    let is_transparent = |c: &&char| types.get(**c) == JoiningType::Transparent;
    let before = joining(before.iter().rev().find(|c| !is_transparent(c)));
    let after = joining(after.iter().find(|c| !is_transparent(c)));
    matches!(before, Some(JoiningType::LeftJoining | JoiningType::DualJoining))
        && matches!(after, Some(JoiningType::RightJoining | JoiningType::DualJoining))
}

/// Whether this is within an emoji ZWJ sequence (UTS 51).
fn is_within_emoji(before: &[char], after: &[char]) -> bool {
    let pictographs = CodePointSetData::new::<ExtendedPictographic>();
    let is_form = |c: &&char| matches!(**c, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}');
    let before = before.iter().rev().find(|c| !is_form(c));
    [before, after.first()].into_iter().all(|c| c.is_some_and(|c| pictographs.contains(*c)))
}

/// Whether this is one of the tags after a flag that name its region.
fn is_flag_in_place(chars: &[char], at: usize) -> bool {
    let is_tag = |c: &char| ('\u{e0020}'..='\u{e007e}').contains(c);
    if !is_tag(&chars[at]) && chars[at] != END_OF_TAGS {
        return false;
    }
    let start = chars[..at].iter().rev().find(|c| !is_tag(c));
    let end = chars[at..].iter().find(|c| !is_tag(c));
    start == Some(&BLACK_FLAG) && end == Some(&END_OF_TAGS)
}

#[cfg(test)]
mod tests;
