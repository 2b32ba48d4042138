//! The static tables: codes every release knows, so that frames need not carry them.
//!
//! The lengths are trained on public chat, sentences and source text (see `phrases/tables/ATTRIBUTION.md` beside
//! this file), with a floor under each byte value so that any input has a code. They are part of
//! the stored format and must never change; a better table takes a new frame id.

use std::sync::LazyLock;

use super::code::Lengths;
use super::decoder::Decoder;

/// A table known to every release. The order is that of the frame ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::codec) enum StaticTable {
    /// English chat, with technical words.
    English,
    /// Western European languages and Indonesian.
    Latin,
    /// Languages in Latin script with many accents, and Germanic ones.
    Accented,
    /// Languages in Cyrillic script.
    Cyrillic,
    /// Chinese and Japanese.
    Han,
    /// Korean.
    Hangul,
    /// Arabic, Devanagari, Bengali and the other scripts that have no table.
    Abugida,
    /// Source text.
    Code,
}

impl StaticTable {
    /// All tables, each at its index.
    pub(super) const ALL: [StaticTable; COUNT] = [
        StaticTable::English,
        StaticTable::Latin,
        StaticTable::Accented,
        StaticTable::Cyrillic,
        StaticTable::Han,
        StaticTable::Hangul,
        StaticTable::Abugida,
        StaticTable::Code,
    ];

    pub(in crate::codec) fn index(self) -> u8 {
        self as u8
    }

    pub(in crate::codec) fn from_index(index: u8) -> Option<StaticTable> {
        StaticTable::ALL.get(usize::from(index)).copied()
    }

    pub(in crate::codec) fn decoder(self) -> &'static Decoder {
        &DECODERS[self as usize]
    }
}

const COUNT: usize = 8;

/// Built at the first use, about 40 KiB in all.
static DECODERS: LazyLock<Vec<Decoder>> = LazyLock::new(|| {
    let decoder = |&lengths| Decoder::new(&Lengths::new(lengths).expect("a test checks every static table"));
    LENGTHS.iter().map(decoder).collect()
});

/// The code lengths by table and byte value.
pub(super) static LENGTHS: [[u8; 256]; COUNT] = [
    // English
    digits([
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee39aceed8aadb786899aaabbbbb8cdcc8",
        b"eabaabbbb8ccbbbbaebaaacbcceeeeeae4665466549755446b44457696aedeee",
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeceeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeceeeeeeeeeeeeeee",
    ]),
    // Latin
    digits([
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee39ceebe8bbee796ccccddddeedceded8",
        b"e9bbbbcdcbbcbbccbdd8bddcedeeeeebe36654866475554558445579a69eeeee",
        b"beeeeeeeeeeeeeeeeeeeeeeeedeedeecabdcdeeba8bedcdeeedcdedeedddceee",
        b"eec7eeeeeeeeeeeeeeeeeeeeeeeeeeeeeebeeeeeeeeeeeeeceeeeeeeeeeeeeee",
    ]),
    // Accented
    digits([
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee3c9ee8ea88ed7969ddeeeeeeeeadabab",
        b"d9ab9abbabaab9abaeba9aabecbbebe8d4665476647655456b554568a77bebee",
        b"9eb9eaeadceeeaeddaeeeeebc9e9bacab8ba79aad8cde8bbb9e9cc9dae999a9e",
        b"eee577be9eeeeeeeeeeeeeeeeeeeeeeee89eeeeeeeeeeeeeceeeeeeeeeeeeeee",
    ]),
    // Cyrillic
    digits([
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee38beeeeeeeee796ecdeeeeeeeeceeee8",
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeedeeeeeeeeeeeeeeeeeeeeeeeeee",
        b"6656a8978ad77987aa9b9bcbbeaba9a9ba9bdcdbeeeeeaea5767658758666547",
        b"eeeeeeeeeeeeeeee23eeeeeeeeeeeeeeeedeeeeeeeeeeeeeceeeeeeeeeeeeeee",
    ]),
    // Han
    digits([
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee8eceebdebbeecb99bbbccccdddbeeced",
        b"eccccbdcdceeccdccecbbceeeeeeeeece9aa97b9a9cc99999e898abbbceeeeee",
        b"5356687867776787778788878678789678887776787787767898898867776778",
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeec3555566eeeee7ceeeeeeeeeeeeeee",
    ]),
    // Hangul
    digits([
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee39deeceeccee8e6dccccdddeeeeeeee8",
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeedecdddbeeedeecccceecbcceeeeeeeeee",
        b"6867589a6a6679a878c865775889657a688a6786899c7aca6877599768ca69db",
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeebeeeeee5335eeceeeeeeeeeeeeeee",
    ]),
    // Abugida
    digits([
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee4daee9eb99eebc7aeeeeeeeeeebecdcb",
        b"eeeedededdeeedeeeedddeeeededcdeae9baa8bbbacd9a9abea89abdddededee",
        b"87786666777867da999a97a9b9999aa8a9a94655676a887676778799668ba967",
        b"eedeeeeeeeeeee67eeeeeee63476eeee3eaeeeeeeeeeeeeeceeeeeeeeeeeeeee",
    ]),
    // Code
    digits([
        b"eeeeeeeeeb6eeeeeeeeeeeeeeeeeeeee2989ad9966ab797688899a9a9a58978b",
        b"e898979aa8db99889c8789aabbb8b9e68576646775b866556a5546878798b8ee",
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeceeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
        b"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeceeeeeeeeeeeeeee",
    ]),
];

/// Parses lengths that are written as one hexadecimal digit for each byte value.
const fn digits(rows: [&[u8; 64]; 4]) -> [u8; 256] {
    let mut lengths = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        lengths[byte] = match rows[byte / 64][byte % 64] {
            digit @ b'1'..=b'9' => digit - b'0',
            digit @ b'a'..=b'e' => digit - b'a' + 10,
            _ => panic!("not a code length"),
        };
        byte += 1;
    }
    lengths
}
