//! Chooses and writes phrases.
//!
//! A body can be split into phrases in many ways, and the cost of a phrase depends on the previous one. The cheapest
//! way is found by dynamic programming from left to right (A. J. Viterbi's algorithm): each position keeps the best
//! [`KEPT`] ways to it that end in different contexts. Keeping all of them was no better on the development messages
//! (0.3140 of the original size either way), and keeping one gave 0.3149.

use std::cell::RefCell;

use super::model::{ESCAPE, MAX_PHRASE, Symbol};
use super::set::{TableSet, of};
use crate::codec::huffman::bits::BitWriter;

/// The number of ways to a position that are kept.
const KEPT: usize = 2;

/// A position whose way costs this many bits more than a way to a later position is skipped. With 3 the messages become
/// 0.1 % larger than without skipping, in a tenth less of the time.
const MARGIN: u32 = 3;

/// The size of an array for a position and all positions that a phrase can reach from it. It is a power of two, because
/// then the remainder of a length is cheaper than a bounds check.
const AHEAD: usize = (MAX_PHRASE + 1).next_power_of_two();

/// Bodies are split into windows of this many bytes, and phrases do not cross them. This bounds the memory and costs a
/// few bits for each window.
const WINDOW: usize = 1024;

/// A way to a position: the bits so far in this window, the last phrase, the context after it, and which of the ways to
/// the position before that phrase it continues. It is packed so that the smaller number is the better way, and so that
/// the better of two is chosen without a branch that the processor would have to predict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Way(u64);

impl Way {
    const NONE: Way = Way(u64::MAX);

    #[inline]
    fn new(bits: u32, phrase: Symbol, context: u8, from: bool) -> Way {
        Way(u64::from(bits) << 32 | u64::from(phrase) << 16 | u64::from(context) << 8 | u64::from(from))
    }

    #[inline]
    fn bits(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn phrase(self) -> Symbol {
        (self.0 >> 16) as Symbol
    }

    #[inline]
    fn context(self) -> u8 {
        (self.0 >> 8) as u8
    }

    fn from(self) -> usize {
        usize::from(self.0 as u8)
    }
}

thread_local! {
    /// Reused for every body, because clearing the used part is faster than allocating.
    static WAYS: RefCell<Vec<[Way; KEPT]>> = const { RefCell::new(Vec::new()) };
}

impl TableSet {
    /// Splits `body` into the phrases that take the fewest bits, and passes them to `each` in order with their context.
    /// Returns the total number of bits.
    pub(super) fn cut(&self, body: &[u8], mut each: impl FnMut(u8, Symbol)) -> u64 {
        WAYS.with_borrow_mut(|ways| {
            let mut bits = 0;
            let mut context = self.start;
            let mut path = Vec::with_capacity(body.len().min(WINDOW));
            for window in body.chunks(WINDOW) {
                bits += self.cut_window(window, context, ways, &mut path);
                for &phrase in path.iter().rev() {
                    each(context, phrase);
                    context = self.phrase(phrase).after;
                }
            }
            bits
        })
    }

    /// Appends the codes of `body` to `frame`. Returns the number of their bits.
    pub(in crate::codec) fn encode(&self, body: &[u8], frame: &mut Vec<u8>) -> u64 {
        let mut writer = BitWriter::new(frame);
        let bits = self.cut(body, |context, phrase| self.write(context, phrase, &mut writer));
        writer.finish();
        bits
    }

    fn write(&self, context: u8, phrase: Symbol, writer: &mut BitWriter<'_>) {
        let own = self.context(context);
        let cost = of(self.costs(context), phrase);
        if let Some(code) = own.row.code(phrase, cost) {
            return writer.push(code, cost.into());
        }
        // The code is complete, so it contains the escape.
        let (code, len) = self.shared_codes[usize::from(phrase)];
        writer.push(own.row.code(ESCAPE, own.escape).unwrap_or_default(), own.escape.into());
        writer.push(code, len.into());
    }

    /// Writes the best phrases for `window` into `path`, the last one first.
    fn cut_window(
        &self,
        window: &[u8],
        context: u8,
        ways: &mut Vec<[Way; KEPT]>,
        path: &mut Vec<Symbol>,
    ) -> u64 {
        ways.clear();
        // There is room for a phrase after the end, so that the positions ahead are always an array of fixed size.
        ways.resize(window.len() + AHEAD, [Way::NONE; KEPT]);
        ways[0][0] = Way::new(0, 0, context, false);

        let after = self.after();
        // A later position with a cheap way, and the bits of that way.
        let mut goal = (0, u32::MAX);
        for at in 0..window.len() {
            let [first, second] = ways[at];
            if at >= goal.0 {
                goal.1 = u32::MAX;
            }
            if goal.1.saturating_add(MARGIN) <= first.bits() {
                continue;
            }
            let Some(ahead) = ways.get_mut(at..).and_then(<[_]>::first_chunk_mut::<AHEAD>) else { break };
            // Without a second way the first one is used twice, which changes nothing.
            let second = if second == Way::NONE { first } else { second };
            let (first_costs, second_costs) = (self.costs(first.context()), self.costs(second.context()));
            let text = &window[at..window.len().min(at + MAX_PHRASE)];
            self.finder.find(text, |len, phrase| {
                let by_first = first.bits() + u32::from(of(first_costs, phrase));
                let by_second = second.bits() + u32::from(of(second_costs, phrase));
                let bits = by_first.min(by_second);
                let way = Way::new(bits, phrase, of(after, phrase), by_second < by_first);
                goal = if bits <= goal.1 { (at + len, bits) } else { goal };
                offer(&mut ahead[len % AHEAD], way);
            });
        }

        path.clear();
        let mut at = window.len();
        let mut which = 0;
        let bits = ways[at][which].bits();
        while at > 0 {
            let way = ways[at][which];
            path.push(way.phrase());
            at -= self.phrase(way.phrase()).len();
            which = way.from();
        }
        bits.into()
    }
}

/// Keeps the best way to a position first, and second the best of those that end in another context.
#[inline]
fn offer(kept: &mut [Way; KEPT], way: Way) {
    let [first, second] = *kept;
    let best = first.min(way);
    let other = first.max(way);
    kept[0] = best;
    kept[1] = if first.context() == way.context() { second } else { second.min(other) };
}
