//! The adaptive binary range coder for table files.
//!
//! It is the carry-less coder of LZMA (Igor Pavlov's `lzma-specification.txt`) after G. N. N. Martin's "Range encoding"
//! (1979), with probabilities that adapt faster the fewer bits they have seen, and that can be combined in pairs.
//! Packing and unpacking share one description of the format through [`Bits`]: a writer encodes the value that it gets,
//! and a reader returns the value that it reads.
//!
//! All of this is part of the file format: with other constants old files could not be read.

/// The probability that the next bit is 0, learned from the previous bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance {
    /// In units of 2^-16.
    zero: u16,
    /// The number of bits it has seen, at most [`Chance::MAX_SEEN`].
    seen: u16,
}

impl Chance {
    /// The initial probability, without any information.
    pub(super) const EVEN: Chance = Chance { zero: 1 << 15, seen: 0 };

    /// Up to this number of bits every bit has the same weight. After that old bits lose weight.
    const MAX_SEEN: u16 = 60;

    /// The additional weight of a bit that was seen in the narrow context.
    const NARROW: u32 = 3;

    /// No bit is ever certain: the minimum probability.
    const LEAST: u32 = 24;

    /// In units of 2^-16, never 0 and never 1.
    fn of_zero(self) -> u32 {
        u32::from(self.zero).clamp(Chance::LEAST, (1 << 16) - Chance::LEAST)
    }

    /// The combined probability of this one, which has seen bits in a narrower context, and `wide`. The one that has
    /// seen more bits has more weight.
    fn of_zero_with(self, wide: Chance) -> u32 {
        let (own, other) = (u32::from(self.seen) * Chance::NARROW + 1, u32::from(wide.seen) + 1);
        (self.of_zero() * own + wide.of_zero() * other) / (own + other)
    }

    fn learn(&mut self, bit: bool) {
        let target = if bit { 0 } else { i32::from(u16::MAX) };
        let step = (target - i32::from(self.zero)) * 2 / (2 * i32::from(self.seen) + 3);
        self.zero = (i32::from(self.zero) + step) as u16;
        self.seen = (self.seen + 1).min(Chance::MAX_SEEN);
    }
}

/// One direction of the coder.
pub(super) trait Bits {
    /// Codes one bit that is 0 with a probability of `zero` in 2^16. The writer encodes `bit`; the reader ignores it.
    fn pass(&mut self, zero: u32, bit: bool) -> bool;

    /// Codes one bit and learns from it.
    fn bit(&mut self, chance: &mut Chance, bit: bool) -> bool {
        let bit = self.pass(chance.of_zero(), bit);
        chance.learn(bit);
        bit
    }

    /// As [`bit`](Self::bit), with a narrow and a wide context.
    fn bit_of_both(&mut self, narrow: &mut Chance, wide: &mut Chance, bit: bool) -> bool {
        let bit = self.pass(narrow.of_zero_with(*wide), bit);
        narrow.learn(bit);
        wide.learn(bit);
        bit
    }

    /// As [`number`](Self::number), with a narrow and a wide context.
    fn number_of_both(&mut self, narrow: &mut [Chance], wide: &mut [Chance], width: u32, number: u32) -> u32 {
        let mut node = 1;
        for shift in (0..width).rev() {
            let bit = self.bit_of_both(&mut narrow[node], &mut wide[node], number >> shift & 1 == 1);
            node = node << 1 | usize::from(bit);
        }
        node as u32 - (1 << width)
    }

    /// Codes a number of `width` bits, the high bit first. `chances` must have `1 << width` items.
    fn number(&mut self, chances: &mut [Chance], width: u32, number: u32) -> u32 {
        let mut node = 1;
        for shift in (0..width).rev() {
            let bit = self.bit(&mut chances[node], number >> shift & 1 == 1);
            node = node << 1 | usize::from(bit);
        }
        node as u32 - (1 << width)
    }
}

const TOP: u32 = 1 << 24;

/// Packs a file.
#[cfg(any(feature = "train", test))]
#[derive(Debug)]
pub(super) struct Writer {
    low: u64,
    range: u32,
    /// The last byte that is not final yet, and how many bytes of ones follow it.
    held: u8,
    waiting: u64,
    out: Vec<u8>,
}

#[cfg(any(feature = "train", test))]
impl Writer {
    pub(super) fn new() -> Writer {
        Writer { low: 0, range: u32::MAX, held: 0, waiting: 1, out: Vec::new() }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        for _ in 0..5 {
            self.shift();
        }
        self.out
    }

    fn shift(&mut self) {
        let carry = (self.low >> 32) as u8;
        if self.low < 0xff00_0000 || carry != 0 {
            let mut byte = self.held;
            for _ in 0..self.waiting {
                self.out.push(byte.wrapping_add(carry));
                byte = 0xff;
            }
            self.waiting = 0;
            self.held = (self.low >> 24) as u8;
        }
        self.waiting += 1;
        self.low = (self.low & 0x00ff_ffff) << 8;
    }
}

#[cfg(any(feature = "train", test))]
impl Bits for Writer {
    fn pass(&mut self, zero: u32, bit: bool) -> bool {
        let bound = (self.range >> 16) * zero;
        if bit {
            self.low += u64::from(bound);
            self.range -= bound;
        } else {
            self.range = bound;
        }
        while self.range < TOP {
            self.range <<= 8;
            self.shift();
        }
        bit
    }
}

/// Unpacks a file. After the end it reads zeros; the caller checks the result.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    code: u32,
    range: u32,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(packed: &'a [u8]) -> Reader<'a> {
        let mut reader = Reader { code: 0, range: u32::MAX, rest: packed };
        for _ in 0..5 {
            reader.code = reader.code << 8 | reader.next();
        }
        reader
    }

    fn next(&mut self) -> u32 {
        let Some((&byte, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        byte.into()
    }
}

impl Bits for Reader<'_> {
    fn pass(&mut self, zero: u32, _: bool) -> bool {
        let bound = (self.range >> 16) * zero;
        let bit = self.code >= bound;
        if bit {
            self.code -= bound;
            self.range -= bound;
        } else {
            self.range = bound;
        }
        while self.range < TOP {
            self.range <<= 8;
            self.code = self.code << 8 | self.next();
        }
        bit
    }
}

#[cfg(test)]
mod tests;
