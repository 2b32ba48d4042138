//! Trains table sets for [`HuffmanCodec`](super::HuffmanCodec) on custom messages.
//!
//! [`train`] creates a file, and [`OwnTables`](super::OwnTables) reads it. [`SHIPPED`] records how the sets that come
//! with the program were made. They are never made again, because frames depend on them, but a later set is made in the
//! same way.

#[cfg(test)]
pub(super) mod tests;

pub use super::huffman::train::{CONTEXTS, MIN_BYTES, PHRASES, Plan, TrainError, train};

/// A training message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample<'a> {
    /// The kind of text, usually its language.
    pub group: &'a str,
    /// The source of the message.
    pub source: &'a str,
    /// The message.
    pub text: &'a str,
}

/// How a shipped set is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recipe {
    /// The name of the set and of its file.
    pub name: &'static str,
    /// See [`Plan::phrases`].
    pub phrases: usize,
    /// See [`Plan::contexts`].
    pub contexts: usize,
    /// The training texts: a group, or a group and the last word of the source after a colon.
    learns: &'static [&'static str],
}

/// The sets that come with the program, in the order of their frame ids.
///
/// Their number and size are the largest that fit into 256 KB together. Languages that share words share a set. A
/// separate set gained 5 to 10 % for each language with enough text.
pub const SHIPPED: [Recipe; 16] = [
    Recipe::new("english", 4095, 64, &["en", "en-irc"]),
    Recipe::new("french", 3584, 32, &["fr"]),
    Recipe::new("iberian", 3072, 24, &["es", "pt", "other-latin:cat", "other-latin:ron", "other-latin:ro"]),
    Recipe::new("italian", 3072, 24, &["it"]),
    Recipe::new(
        "germanic",
        3072,
        24,
        &[
            "de",
            "other-latin:swe",
            "other-latin:dan",
            "other-latin:nob",
            "other-latin:nld",
            "other-latin:afr",
            "other-latin:sv",
            "other-latin:da",
            "other-latin:nl",
        ],
    ),
    Recipe::new(
        "slavic",
        3072,
        24,
        &["other-latin:ces", "other-latin:slk", "other-latin:hrv", "other-latin:pl", "other-latin:cs"],
    ),
    Recipe::new(
        "latin",
        3072,
        24,
        &[
            "other-latin:fin",
            "other-latin:est",
            "other-latin:hun",
            "other-latin:fi",
            "other-latin:hu",
            "other-latin:lit",
            "other-latin:tr",
            "other-latin:vi",
        ],
    ),
    Recipe::new("malay", 3584, 32, &["id"]),
    Recipe::new("cyrillic", 4095, 48, &["ru"]),
    Recipe::new("chinese", 3584, 32, &["zh"]),
    Recipe::new("japanese", 3584, 32, &["ja"]),
    Recipe::new("korean", 3584, 32, &["ko"]),
    Recipe::new("arabic", 3072, 24, &["ar"]),
    Recipe::new("indic", 3072, 24, &["hi"]),
    Recipe::new("other", 2560, 24, &["other"]),
    Recipe::new("code", 3584, 32, &["code"]),
];

impl Recipe {
    const fn new(
        name: &'static str,
        phrases: usize,
        contexts: usize,
        learns: &'static [&'static str],
    ) -> Recipe {
        Recipe { name, phrases, contexts, learns }
    }

    /// Trains the set on its own `samples`, and on a few others, so that it can handle foreign words.
    ///
    /// # Errors
    ///
    /// As [`train`].
    pub fn train(&self, samples: &[Sample<'_>]) -> Result<Vec<u8>, TrainError> {
        let plan = Plan { name: self.name.to_owned(), phrases: self.phrases, contexts: self.contexts };
        let mut mine: Vec<String> = Vec::new();
        let mut foreign: Vec<&str> = Vec::new();
        for sample in samples {
            if self.is_for(sample) { mine.push(sample.text.to_owned()) } else { foreign.push(sample.text) }
        }
        for (at, text) in mine.iter_mut().enumerate() {
            if !self.learns.contains(&"code") {
                liven(at, text);
            }
        }
        let every = (foreign.len() * FOREIGN_OF / mine.len().max(1)).max(1);
        mine.extend(foreign.into_iter().step_by(every).map(str::to_owned));
        let messages: Vec<&[u8]> = mine.iter().map(String::as_bytes).collect();
        train(&plan, &messages)
    }

    fn is_for(&self, sample: &Sample<'_>) -> bool {
        let matches = |wanted: &&str| match wanted.split_once(':') {
            Some((group, source)) => {
                group == sample.group && sample.source.split([' ', '(', ')']).next_back() == Some(source)
            }
            None => *wanted == sample.group,
        };
        self.learns.iter().any(matches)
    }
}

/// Makes some messages more similar to chat: public texts contain hardly any emoji, addresses, times, numbers or
/// capital letters, and they use straight quotes where phones insert curly ones. `at` is the number of the message.
fn liven(at: usize, text: &mut String) {
    if at % CURLY_EVERY == 1 {
        *text = curly(text);
    }
    if at % SHOUT_EVERY == 2 {
        *text = text.to_uppercase();
    }
    if at % TAIL_EVERY == 3 {
        text.push(' ');
        text.push_str(&tail(at / TAIL_EVERY));
    }
    if at.is_multiple_of(EMOJI_EVERY) {
        let which = at / EMOJI_EVERY;
        text.push(' ');
        text.extend(std::iter::repeat_n(EMOJI[which * which % EMOJI.len()], 1 + which % 5 / 4));
    }
}

/// Replaces quotes with curly ones: opening quotes after a space or at the beginning, closing quotes elsewhere.
fn curly(text: &str) -> String {
    let mut before = ' ';
    let change = |char: char| {
        let opens = before.is_whitespace() || before == '(';
        before = char;
        match (char, opens) {
            ('\'', true) => '\u{2018}',
            ('\'', false) => '\u{2019}',
            ('"', true) => '\u{201c}',
            ('"', false) => '\u{201d}',
            _ => char,
        }
    };
    text.chars().map(change).collect()
}

/// Something that occurs in messages of every language: a time, a date, a price, a number, an address, a name.
fn tail(which: usize) -> String {
    // A linear congruential generator (D. E. Knuth, MMIX). Its high bits are random enough for arbitrary digits.
    let mut state = (which as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut any = |most: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let site = ["youtube.com", "google.com", "instagram.com", "example.com", "wikipedia.org", "github.com"];
    match which % 12 {
        0 | 1 => format!("{}:{:02}", any(24), 5 * any(12)),
        2 => format!("{}.{}.{}", 1 + any(31), 1 + any(12), 2000 + any(30)),
        3 => format!("{}/{}/{}", 1 + any(31), 1 + any(12), 2000 + any(30)),
        4 => format!("{}{}.{:02}", ["$", "€", "£", "₹"][any(4) as usize], any(200), any(100)),
        5 => format!("+{} {} {}", 1 + any(98), 100 + any(900), 1_000_000 + any(9_000_000)),
        6 => format!("https://www.{}/watch?v={:x}", site[any(6) as usize], any(u64::MAX >> 33)),
        7 => format!("https://{}/p/{}", site[any(6) as usize], any(100_000)),
        8 => format!("@user{}", any(100)),
        9 => "**ok** `code`".to_owned(),
        10 => any(100_000).to_string(),
        _ => [":)", ":D", ";)", ":(", "xD", "<3", ":P", "^^"][any(8) as usize].to_owned(),
    }
}

/// One message in this many gets such an ending.
const TAIL_EVERY: usize = 20;

/// One message in this many gets curly quotes.
const CURLY_EVERY: usize = 6;

/// One message in this many is converted to capital letters.
const SHOUT_EVERY: usize = 60;

/// One message in this many gets an emoji at its end.
const EMOJI_EVERY: usize = 60;

/// One foreign message is added for this many of the set's own messages.
const FOREIGN_OF: usize = 100;

/// Emoji by frequency, based on the Unicode Consortium's list "Emoji frequency". The first ones are repeated to make
/// them more frequent.
const EMOJI: &[&str] = &[
    "😂", "😂", "❤️", "❤️", "🤣", "👍", "😭", "🙏", "😘", "🥰", "😍", "😊", "🎉", "😁", "💕", "🥺", "😅",
    "🔥", "☺️", "🤦", "♥️", "🤷", "🙄", "😆", "🤗", "😉", "🎂", "🤔", "👏", "🙂", "😳", "🥳", "😎", "👌",
    "💜", "😔", "💪", "✨", "💖", "👀", "😋", "😏", "😢", "👉", "💗", "😩", "💯", "🌹", "💞", "🎈", "💙",
    "😃", "😡", "💐", "😜", "🙈", "🤞", "😄", "🤤", "🙌", "🤪", "❣️", "😀", "💋", "💀", "👇", "💔", "😌",
    "💓", "🤩", "🙃", "😬", "😱", "😴", "🤭", "😐", "🌞", "😒", "😇", "🌸", "😈", "🎶", "✌️", "🎊", "🥵",
    "😞", "💚", "☀️", "🖤", "💰", "😚", "👑", "🎁", "💥", "🙋", "😑", "🥴", "👈", "💩", "✅", "👋", "🤮",
    "😤", "🤢", "🌟", "❗", "😥", "🌈", "💛", "😝",
];
