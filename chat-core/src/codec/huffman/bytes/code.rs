//! Canonical prefix codes over bytes: their lengths and their bits.

/// The longest code, in bits.
///
/// Four such codes and the seven bits left over from a flush fit into one 64-bit buffer, so encoder and decoder access
/// memory once for four symbols. A limit of 15 would allow only three and save less than 1 % of the code space.
pub(super) const MAX_LEN: u8 = 14;

/// Code length in bits for every byte value; 0 marks a byte that has no code.
///
/// Always describes a code that can be decoded: see [`Lengths::new`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::codec) struct Lengths([u8; 256]);

impl Lengths {
    /// Accepts complete codes (a Kraft sum of exactly 1, so that every bit pattern has a meaning), and the code of a
    /// single byte value, which is the one bit `0`.
    pub(super) fn new(lengths: [u8; 256]) -> Option<Lengths> {
        let mut space = 0_u32;
        let mut used = 0_u32;
        for &len in lengths.iter().filter(|&&len| len != 0) {
            if len > MAX_LEN {
                return None;
            }
            space += 1 << (MAX_LEN - len);
            used += 1;
        }
        let whole = 1 << MAX_LEN;
        let complete = space == whole;
        let single = used == 1 && space == whole / 2;
        (complete || single).then_some(Lengths(lengths))
    }

    /// The byte values that have a code, with the code and its length, in canonical order: short codes first, equal
    /// lengths by byte value.
    pub(super) fn codes(&self) -> impl Iterator<Item = (u8, u16, u8)> {
        let mut next = 0_u16;
        (1..=MAX_LEN).flat_map(move |len| {
            next <<= 1;
            let mut codes = Vec::new();
            for (byte, _) in (0..=u8::MAX).zip(&self.0).filter(|&(_, &l)| l == len) {
                codes.push((byte, next, len));
                next += 1;
            }
            codes
        })
    }
}
