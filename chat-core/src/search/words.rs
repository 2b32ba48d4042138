//! Splits a text into runs of letters in the form in which they are compared; see the module above.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

use super::Terms;

/// A part of a text that is separated from the next one.
pub(super) enum Run<'a> {
    /// A word.
    Word(&'a str),
    /// Characters of scripts without spaces between words.
    Unspaced(&'a str),
}

/// Calls `found` for every run of the text until it returns false. The second argument says whether the text ends with
/// the run.
pub(super) fn each_run(text: &str, mut found: impl FnMut(Run<'_>, bool) -> bool) {
    let mut run = Current { text: String::new(), is_unspaced: false };
    if text.is_ascii() {
        // ASCII needs only case folding.
        for c in text.chars() {
            if c.is_ascii_alphanumeric() {
                run.text.push(c.to_ascii_lowercase());
            } else if !run.end(&mut found, false) {
                return;
            }
        }
        run.end(&mut found, true);
        return;
    }
    for c in folded(text) {
        let goes_on = match Class::of(c) {
            Class::Ignored => true,
            // A mark belongs to the preceding character. Without one it has no meaning.
            Class::Mark if run.text.is_empty() => true,
            Class::Mark => run.push(c),
            Class::Letter { is_unspaced } if run.is_unspaced == is_unspaced => run.push(c),
            Class::Letter { is_unspaced } => {
                let goes_on = run.end(&mut found, false);
                run.is_unspaced = is_unspaced;
                run.push(c) && goes_on
            }
            Class::Boundary => run.end(&mut found, false),
        };
        if !goes_on {
            return;
        }
    }
    run.end(&mut found, true);
}

/// A character of the folded text.
pub(super) enum Piece {
    /// A letter or a digit.
    Letter { c: char, is_unspaced: bool },
    /// A mark, which belongs to the preceding character. Without one it has no meaning.
    Mark(char),
    /// A separator: the run ends.
    Boundary,
}

/// The characters from which [`each_run`] builds runs, for callers that need their origin in the text.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = Piece> {
    folded(text).filter_map(|c| match Class::of(c) {
        Class::Ignored => None,
        Class::Mark => Some(Piece::Mark(c)),
        Class::Letter { is_unspaced } => Some(Piece::Letter { c, is_unspaced }),
        Class::Boundary => Some(Piece::Boundary),
    })
}

struct Current {
    text: String,
    is_unspaced: bool,
}

impl Current {
    fn push(&mut self, c: char) -> bool {
        self.text.push(c);
        true
    }

    fn end(&mut self, found: &mut impl FnMut(Run<'_>, bool) -> bool, is_last: bool) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let run = if self.is_unspaced { Run::Unspaced(&self.text) } else { Run::Word(&self.text) };
        let goes_on = found(run, is_last);
        self.text.clear();
        goes_on
    }
}

enum Class {
    Letter { is_unspaced: bool },
    Mark,
    Ignored,
    Boundary,
}

impl Class {
    fn of(c: char) -> Self {
        match c {
            // Invisible characters: the soft hyphen, joiners, direction marks, and variation selectors.
            '\u{ad}'
            | '\u{200c}'..='\u{200f}'
            | '\u{2060}'
            | '\u{feff}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{e0100}'..='\u{e01ef}' => Self::Ignored,
            c if c.is_alphanumeric() => Self::Letter { is_unspaced: is_unspaced(c) },
            c if is_combining_mark(c) => Self::Mark,
            _ => Self::Boundary,
        }
    }
}

/// Blocks of the Unicode standard with letters that are written without spaces between words.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}'        // Thai, Lao
        | '\u{1000}'..='\u{109f}'    // Burmese
        | '\u{1100}'..='\u{11ff}'    // Hangul
        | '\u{1780}'..='\u{17ff}'    // Khmer
        | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' // Han
        | '\u{3031}'..='\u{3035}' | '\u{3040}'..='\u{30ff}' // kana
        | '\u{3105}'..='\u{312f}'    // Bopomofo
        | '\u{3130}'..='\u{318f}'    // Hangul
        | '\u{31a0}'..='\u{31bf}'    // Bopomofo
        | '\u{31f0}'..='\u{31ff}'    // kana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' // Han
        | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}' // Hangul
        | '\u{f900}'..='\u{faff}'    // Han
        | '\u{1aff0}'..='\u{1b16f}'  // kana
        | '\u{20000}'..='\u{3ffff}'  // Han
    )
}

/// The text in the form in which letters are compared. The length limit applies before marks are removed, because a
/// text may consist of marks only.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.nfkd()
        .take(Terms::MAX_CHARS)
        .filter(|c| !is_accent(*c))
        .nfc()
        .flat_map(|c| Folded::of(c).0.into_iter().flatten())
}

/// Classes below 10 are signs that make another letter (nukta, the voicing of kana, virama), and class 0 contains vowel
/// signs.
fn is_accent(c: char) -> bool {
    canonical_combining_class(c) >= 10
}

/// The folded form of a character: at most three characters.
struct Folded([Option<char>; 3]);

impl Folded {
    fn of(c: char) -> Self {
        if c.is_ascii() {
            return Self([Some(c.to_ascii_lowercase()), None, None]);
        }
        let mut folded = [None; 3];
        // Lower case alone would not change ß, and upper case alone would yield its capital letter.
        let cases = c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
        for (place, c) in folded.iter_mut().zip(cases) {
            *place = Some(c);
        }
        let plain = match folded {
            [Some('ł'), None, None] => ['l', '\0'],
            [Some('ø'), None, None] => ['o', '\0'],
            [Some('đ'), None, None] => ['d', '\0'],
            [Some('ħ'), None, None] => ['h', '\0'],
            [Some('æ'), None, None] => ['a', 'e'],
            [Some('œ'), None, None] => ['o', 'e'],
            folded => return Self(folded),
        };
        Self([Some(plain[0]), Some(plain[1]).filter(|c| *c != '\0'), None])
    }
}
