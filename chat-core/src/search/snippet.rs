//! The part of a message that is shown with a search result, and the marks in it.
//!
//! Marks are ranges, not tags: a page creates its own elements for them, so text of users never becomes markup. They
//! count UTF-16 code units, as JavaScript's `String.prototype.slice` does (ECMA-262, section 6.1.4), and never split a
//! surrogate pair.

use std::fmt;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};

use super::words::{Piece, pieces};
use super::{Query, Tokens, cut, head};
use crate::model::Content;

/// A part of a text with its marks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Snippet {
    /// An unchanged part of the message's text, at most [`Self::MAX_UNITS`] UTF-16 code units long.
    pub text: String,
    /// The matches, in UTF-16 code units of [`Self::text`]: in order, not empty, and not adjacent. There may be none
    /// when only the file name matches.
    pub marks: Vec<Range<usize>>,
    /// Whether the message has more text before it.
    pub is_cut_before: bool,
    /// Whether the message has more text after it.
    pub is_cut_behind: bool,
    /// The matches in the file name, which is shown completely.
    pub file_name_marks: Vec<Range<usize>>,
}

// The text is confidential, so it must not be logged.
impl fmt::Debug for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snippet")
            .field("bytes", &self.text.len())
            .field("marks", &self.marks)
            .field("file_name_marks", &self.file_name_marks)
            .finish()
    }
}

impl Snippet {
    /// The maximum length, in UTF-16 code units.
    pub const MAX_UNITS: usize = 160;
    /// The text before the first mark, in UTF-16 code units, if there is enough.
    const UNITS_BEFORE: usize = 40;
    /// The maximum number of matches that are compared to choose the best part of a text.
    const MAX_PLACES: usize = 1_000;

    /// The part of a message with the most matches, or its beginning if it has none.
    pub(crate) fn of(content: &Content, query: &Query) -> Self {
        let places = Self::places(head(&content.text), query);
        let (start, end) = part(&content.text, &places);
        let text = &content.text[start..end];
        let inside = places.iter().map(|(place, _)| place.start.max(start)..place.end.min(end));
        let inside =
            inside.filter(|place| !place.is_empty()).map(|place| place.start - start..place.end - start);
        let name = content.file_name.as_deref().unwrap_or_default();
        let in_name = Self::places(name, query).into_iter().map(|(place, _)| place);
        Self {
            text: text.to_owned(),
            marks: units(text, merged(inside.collect())),
            is_cut_before: start > 0,
            is_cut_behind: end < content.text.len(),
            file_name_marks: units(name, merged(in_name.collect())),
        }
    }

    /// The matches in a text, as byte ranges with the index of the pattern, in order.
    fn places(text: &str, query: &Query) -> Vec<(Range<usize>, usize)> {
        let located = Located::of(text);
        let mut places = Vec::new();
        for (which, pattern) in query.patterns().enumerate() {
            let of_pattern = pattern.places(&located.tokens).take(Self::MAX_PLACES);
            places.extend(of_pattern.map(|tokens| (located.bytes(tokens), which)));
        }
        places.sort_unstable_by_key(|(place, which)| (place.start, place.end, *which));
        places
    }
}

/// The part of a text to show, in bytes: the first one with the most different patterns.
fn part(text: &str, places: &[(Range<usize>, usize)]) -> (usize, usize) {
    let mut best = (0, 0);
    for (first, (place, _)) in places.iter().enumerate() {
        let end = forward(text, place.start, Snippet::MAX_UNITS - Snippet::UNITS_BEFORE);
        let mut things: Vec<usize> = Vec::new();
        for (nth, (other, which)) in places[first..].iter().enumerate() {
            // The first match counts, even if it is longer than the part.
            if nth > 0 && other.end > end {
                break;
            }
            if !things.contains(which) {
                things.push(*which);
            }
        }
        if things.len() > best.0 {
            best = (things.len(), place.start);
        }
    }
    let at = best.1;
    let earliest = backward(text, at, Snippet::UNITS_BEFORE);
    // The part begins at the beginning of a word, if one is near.
    let start = match earliest {
        0 => 0,
        earliest => text[earliest..at].find(char::is_whitespace).map_or(earliest, |space| {
            let behind = &text[earliest + space..at];
            at - behind.trim_start().len()
        }),
    };
    let latest = forward(text, start, Snippet::MAX_UNITS);
    if latest == text.len() {
        return (start, latest);
    }
    // The part ends at the end of a word, if one is near, and after the last mark.
    let marked = places.iter().filter(|(place, _)| place.start >= start && place.end <= latest);
    let least = marked.map(|(place, _)| place.end).max().unwrap_or(start);
    let space = text[least..latest].rfind(char::is_whitespace).map(|space| least + space);
    let end =
        space.filter(|space| text[start..*space].contains(|c: char| !c.is_whitespace())).unwrap_or(latest);
    (start, start + text[start..end].trim_end().len().max(least - start))
}

/// The last boundary of a character cluster at most this many UTF-16 code units after `from`.
fn forward(text: &str, from: usize, units: usize) -> usize {
    let (mut left, mut end, mut is_joined) = (units, from, false);
    for (at, c) in text[from..].char_indices() {
        if !is_attached(c) && !is_joined {
            end = from + at;
        }
        is_joined = c == JOINER;
        let Some(rest) = left.checked_sub(c.len_utf16()) else {
            // The cluster is longer than the limit, so it cannot be shown completely.
            return if end > from { end } else { from + at };
        };
        left = rest;
    }
    text.len()
}

/// The first boundary of a character cluster at most this many UTF-16 code units before `from`.
fn backward(text: &str, from: usize, units: usize) -> usize {
    let mut left = units;
    let mut start = from;
    for (at, c) in text[..from].char_indices().rev() {
        let Some(rest) = left.checked_sub(c.len_utf16()) else { return start };
        left = rest;
        if !is_attached(c) && !text[..at].ends_with(JOINER) {
            start = at;
        }
    }
    0
}

/// The joiner of emoji sequences.
const JOINER: char = '\u{200d}';

/// Whether a character belongs to the previous one.
fn is_attached(c: char) -> bool {
    is_combining_mark(c)
        || matches!(c, '\u{200c}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
}

/// Merges ranges that overlap or touch.
fn merged(mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    places.sort_unstable_by_key(|place| (place.start, place.end));
    let mut merged: Vec<Range<usize>> = Vec::new();
    for place in places {
        match merged.last_mut() {
            Some(last) if place.start <= last.end => last.end = last.end.max(place.end),
            _ => merged.push(place),
        }
    }
    merged
}

/// Converts byte ranges to UTF-16 code units.
fn units(text: &str, places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let (mut at, mut count) = (0, 0);
    let mut to = |end: usize| {
        count += text[at..end].chars().map(char::len_utf16).sum::<usize>();
        at = end;
        count
    };
    places.into_iter().map(|place| to(place.start)..to(place.end)).collect()
}

/// The words of a text with their ranges.
struct Located {
    tokens: Tokens,
    places: Vec<Range<usize>>,
}

impl Located {
    /// The same words as [`Tokens::of`]. The text is split into clusters, that is characters with the marks attached to
    /// them, and each cluster is folded separately. So characters that fold together stay together.
    fn of(text: &str) -> Self {
        let mut located = Self { tokens: Tokens::default(), places: Vec::new() };
        let mut run = Growing::default();
        for (place, cluster) in clusters(text) {
            for piece in pieces(cluster) {
                match piece {
                    Piece::Mark(_) if run.is_empty() => {}
                    Piece::Mark(c) => located.add(&mut run, c, &place),
                    Piece::Letter { c, is_unspaced } => {
                        if run.is_unspaced != is_unspaced {
                            located.end(&mut run);
                        }
                        run.is_unspaced = is_unspaced;
                        located.add(&mut run, c, &place);
                    }
                    Piece::Boundary => located.end(&mut run),
                }
            }
        }
        located.end(&mut run);
        located
    }

    fn add(&mut self, run: &mut Growing, c: char, place: &Range<usize>) {
        if run.is_unspaced {
            self.tokens.push(c.encode_utf8(&mut [0; 4]), run.has_chars);
            self.places.push(place.clone());
            run.has_chars = true;
        } else {
            let start = if run.word.is_empty() { place.start } else { run.place.start };
            run.word.push(c);
            run.place = start..place.end;
        }
    }

    fn end(&mut self, run: &mut Growing) {
        if !run.word.is_empty() {
            self.tokens.push(cut(&run.word), false);
            self.places.push(run.place.clone());
        }
        run.word.clear();
        run.has_chars = false;
    }

    /// The byte range of these words.
    fn bytes(&self, tokens: Range<usize>) -> Range<usize> {
        self.places[tokens.start].start..self.places[tokens.end - 1].end
    }
}

/// A run that has not ended yet.
#[derive(Default)]
struct Growing {
    word: String,
    place: Range<usize>,
    is_unspaced: bool,
    has_chars: bool,
}

impl Growing {
    fn is_empty(&self) -> bool {
        self.word.is_empty() && !self.has_chars
    }
}

/// Splits a text into characters, each with the marks that compose with it or are attached to it.
fn clusters(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut rest = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, _) = rest.next()?;
        while rest.next_if(|(_, c)| composes(*c)).is_some() {}
        let end = rest.peek().map_or(text.len(), |(at, _)| *at);
        Some((start..end, &text[start..end]))
    })
}

/// Whether a character may compose with the previous one: marks, voicing signs, and the second and third letters of a
/// Hangul syllable.
fn composes(c: char) -> bool {
    if c.is_ascii() {
        return false;
    }
    let first = std::iter::once(c).nfkd().next().unwrap_or(c);
    canonical_combining_class(first) != 0
        || is_combining_mark(first)
        || matches!(first, '\u{1160}'..='\u{11ff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn snippet(query: &str, text: &str) -> Snippet {
        Snippet::of(&Content::text(text), &Query::parse(query).unwrap())
    }

    /// The text with brackets at the marks, cut as a page would do it.
    fn shown(text: &str, marks: &[Range<usize>]) -> String {
        let units: Vec<u16> = text.encode_utf16().collect();
        let (mut shown, mut at) = (String::new(), 0);
        let part = |range: Range<usize>| String::from_utf16(&units[range]).expect("no half of a pair");
        for mark in marks {
            assert!(at <= mark.start && mark.start < mark.end, "{marks:?}");
            shown += &format!("{}[{}]", part(at..mark.start), part(mark.clone()));
            at = mark.end;
        }
        shown + &part(at..units.len())
    }

    fn marked(query: &str, text: &str) -> String {
        let snippet = snippet(query, text);
        shown(&snippet.text, &snippet.marks)
    }

    #[test]
    fn what_was_found_is_marked_as_it_was_written() {
        for (query, text, expected) in [
            ("train", "The TRAIN, a train.", "The [TRAIN], a [train]."),
            ("strasse", "in der Straße 5", "in der [Straße] 5"),
            ("koln", "nach Ko\u{308}ln!", "nach [Ko\u{308}ln]!"),
            ("tra", "a train, trams", "a [train], [trams]"),
            ("tra ", "a train, trams", "a train, trams"),
            ("\"the train\" at", "at the  train: the tram", "[at] [the  train]: the tram"),
            ("train -tram", "a train", "a [train]"),
            ("北京", "我们去北京吧，北，京", "我们去[北京]吧，北，京"),
            ("去北京", "我们去北京吧", "我们[去北京]吧"),
            ("火", "火车和火", "[火]车和[火]"),
            ("手机", "iPhone手机16", "iPhone[手机]16"),
            ("16", "iPhone手机16", "iPhone手机[16]"),
            ("ガス", "ｶﾞｽの臭い", "[ｶﾞｽ]の臭い"),
            (
                "한국",
                "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}어",
                "[\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}]어",
            ),
            ("train", "👩‍👩‍👧 train 👍🏽", "👩‍👩‍👧 [train] 👍🏽"),
            ("kg", "5㎏ kg", "5㎏ [kg]"),
            ("file", "a ﬁle", "a [ﬁle]"),
            ("b", "a⑴b b", "a⑴[b] [b]"),
            ("<b>", "<b>&amp;", "<[b]>&amp;"),
        ] {
            assert_eq!(marked(query, text), expected, "{query}");
        }
    }

    #[test]
    fn the_best_part_of_a_long_text_is_shown() {
        let filling = "filling words that say nothing at all ".repeat(20);
        let text = format!("{filling}one here {filling}the one and the other, and one {filling}");
        let found = snippet("one other ", &text);
        assert!(found.text.contains("the one and the other, and one") && found.marks.len() == 3);
        assert!(found.is_cut_before && found.is_cut_behind);
        assert!(found.text.starts_with(|c: char| c.is_alphanumeric()) && !found.text.ends_with(' '));
        assert!(filling.contains(found.text.split(" the one").next().unwrap()), "whole words");
        let first = snippet("here ", &text);
        assert!(shown(&first.text, &first.marks).contains("one [here] filling"));
        // If only the file name matches, the beginning of the text is shown.
        let named = Content { file_name: Some("Über-Uns.txt".into()), ..Content::text(&*filling) };
        let named = Snippet::of(&named, &Query::parse("uns").unwrap());
        assert_eq!((named.marks.len(), named.is_cut_before, named.is_cut_behind), (0, false, true));
        assert!(filling.starts_with(&named.text));
        assert_eq!(shown("Über-Uns.txt", &named.file_name_marks), "Über-[Uns].txt");
        // A word that is longer than the snippet.
        let long = snippet("x", &"x".repeat(1_000));
        assert_eq!(long.text.len(), Snippet::MAX_UNITS);
        assert!(long.marks.len() == 1 && long.marks[0] == (0..Snippet::MAX_UNITS));
    }

    #[test]
    fn nothing_of_it_shows_in_a_log() {
        assert!(!format!("{:?}", snippet("secret", "a secret")).contains("secret"));
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            r"[\p{L}\p{M}\p{N}\p{P}\p{Zs}]{0,60}",
            "[a-c ]{0,400}",
            "[京北 火👍🏽e\u{301}\u{200d}]{0,300}",
        ]
    }

    proptest! {
        #[test]
        fn the_words_are_those_of_the_index(text in any_text()) {
            let (expected, located) = (Tokens::of(&text), Located::of(&text));
            prop_assert_eq!(located.places.len(), located.tokens.len());
            prop_assert!(expected == located.tokens, "{text:?}");
        }

        #[test]
        fn a_snippet_is_a_part_with_marks(text in any_text(), query in "[a-c京北火]{1,2}( [a-c京北]{1,2})?") {
            let query = Query::parse(&query).unwrap();
            let found = Snippet::of(&Content::text(&*text), &query);
            prop_assert!(found.text.encode_utf16().count() <= Snippet::MAX_UNITS);
            let at = text.find(&found.text);
            prop_assert!(at.is_some());
            prop_assert!(found.is_cut_before || text.starts_with(&found.text));
            prop_assert!(found.is_cut_behind || text.ends_with(&found.text));
            shown(&found.text, &found.marks);
            prop_assert!(found.marks.iter().zip(found.marks.iter().skip(1)).all(|(one, next)| one.end < next.start));
            let is_found = query.finds(&super::super::Terms::of(&text, None));
            prop_assert!(!is_found || !found.marks.is_empty(), "{text:?}");
        }
    }
}
