//! One prefix code over phrases.

use super::model::{MAX_LEN, Symbol};

/// Codes up to this many bits are decoded with one look-up. A larger table would be evicted from the cache by its
/// neighbours, because a set has one table for each of its contexts.
const DIRECT: u32 = 10;

/// A complete canonical code: short codes first, equal lengths by symbol.
#[derive(Debug)]
pub(super) struct Row {
    /// Indexed by the next [`DIRECT`] bits: `symbol << 4 | length`, or 0 if the code is longer.
    direct: Box<[u16; 1 << DIRECT]>,
    /// Indexed by the length of the code.
    classes: [Class; MAX_LEN as usize + 1],
    /// The symbols in canonical order.
    symbols: Box<[Symbol]>,
}

/// All codes of one length.
#[derive(Clone, Copy, Default, Debug)]
struct Class {
    /// The first code.
    first: u16,
    /// Number of codes.
    count: u16,
    /// The position of the first code's symbol in canonical order.
    position: u16,
}

impl Row {
    /// Creates the code in which each symbol has the given length in bits. Symbols of length 0 have no code.
    ///
    /// Returns `None` unless the code is complete, that is, unless every sequence of bits has a meaning.
    pub(super) fn new(lengths: impl IntoIterator<Item = (Symbol, u8)>) -> Option<Row> {
        let mut codes: Vec<(u8, Symbol)> =
            lengths.into_iter().filter(|&(_, len)| len != 0).map(|(symbol, len)| (len, symbol)).collect();
        codes.sort_unstable();
        let space = |&(len, _): &(u8, Symbol)| 1_u64.checked_shl(u32::from(MAX_LEN.checked_sub(len)?));
        let spaces: Option<Vec<u64>> = codes.iter().map(space).collect();
        if spaces?.iter().sum::<u64>() != 1 << MAX_LEN {
            return None;
        }

        let mut row = Row {
            direct: Box::new([0; 1 << DIRECT]),
            classes: Default::default(),
            symbols: codes.iter().map(|&(_, symbol)| symbol).collect(),
        };
        let mut code = 0_u32;
        let mut before = 0;
        for (position, &(len, symbol)) in codes.iter().enumerate() {
            code <<= len - before;
            before = len;
            let class = &mut row.classes[usize::from(len)];
            if class.count == 0 {
                class.first = code as u16;
                class.position = position as u16;
            }
            class.count += 1;
            if let Some(free) = DIRECT.checked_sub(len.into()) {
                let first = (code << free) as usize;
                row.direct[first..first + (1 << free)].fill(symbol << 4 | u16::from(len));
            }
            code += 1;
        }
        Some(row)
    }

    /// The code of `symbol` if its length is `len`.
    pub(super) fn code(&self, symbol: Symbol, len: u8) -> Option<u16> {
        let class = self.classes.get(usize::from(len))?;
        let start = usize::from(class.position);
        let peers = self.symbols.get(start..start + usize::from(class.count))?;
        let rank = peers.binary_search(&symbol).ok()?;
        Some(class.first + rank as u16)
    }

    /// The symbol of the code at the high end of `buffer`, and the length of that code.
    #[inline]
    pub(super) fn read(&self, buffer: u64) -> (Symbol, u32) {
        let entry = self.direct[(buffer >> (64 - DIRECT)) as usize];
        if entry == 0 {
            return self.read_long(buffer);
        }
        (entry >> 4, u32::from(entry & 0xf))
    }

    fn read_long(&self, buffer: u64) -> (Symbol, u32) {
        let bits = (buffer >> (64 - u32::from(MAX_LEN))) as u32;
        for len in DIRECT + 1..=MAX_LEN.into() {
            let class = self.classes[len as usize];
            let code = bits >> (u32::from(MAX_LEN) - len);
            // Canonical codes of one length are consecutive, and all shorter ones are below them.
            if let Some(offset) = code.checked_sub(class.first.into())
                && offset < class.count.into()
            {
                return (self.symbols[(u32::from(class.position) + offset) as usize], len);
            }
        }
        unreachable!("a complete code has a meaning for all bits")
    }

    /// The memory in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        size_of::<Row>() + size_of_val(&*self.direct) + size_of_val(&*self.symbols)
    }
}
