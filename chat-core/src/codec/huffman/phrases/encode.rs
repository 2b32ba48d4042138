//! Choosing and writing phrases.
//!
//! A body can be cut into phrases in many ways, and what a phrase costs depends on the one before
//! it. The cheapest way is found by dynamic programming from left to right (A. J. Viterbi's
//! algorithm): for each position it keeps the best [`KEPT`] ways to get there that end in different
//! contexts. Keeping all of them was no better on the development messages (0.3140 of the original
//! size either way), keeping one gave 0.3149.

use std::cell::RefCell;

use super::model::{ESCAPE, MAX_PHRASE, Symbol};
use super::set::TableSet;
use crate::codec::huffman::bits::BitWriter;

/// How many ways to get to a position are kept.
const KEPT: usize = 2;

/// A position that takes so many bits more to get to than one further on leads nowhere. With 3 the
/// messages become 0.1 % larger than if all were looked at, in a tenth less of the time.
const MARGIN: u32 = 3;

/// Bodies are cut into windows of this many bytes and phrases do not cross them, which bounds the
/// memory and costs a few bits for each.
const WINDOW: usize = 1024;

/// A way to get to a position.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Bits so far in this window.
    bits: u32,
    /// The last phrase.
    phrase: Symbol,
    /// The context after it.
    context: u8,
    /// Which of the ways to the position before that phrase it goes on from.
    from: u8,
}

const NO_WAY: Way = Way { bits: u32::MAX, phrase: 0, context: u8::MAX, from: 0 };

thread_local! {
    /// Kept from body to body, because clearing what was used takes less than asking for memory.
    static WAYS: RefCell<Vec<[Way; KEPT]>> = const { RefCell::new(Vec::new()) };
}

impl TableSet {
    /// Cuts `body` into the phrases that take the fewest bits, hands them to `each` in order with
    /// the context they are in, and answers with the bits of all.
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

    /// Appends the codes of `body` to `frame` and answers with the number of their bits.
    pub(in crate::codec) fn encode(&self, body: &[u8], frame: &mut Vec<u8>) -> u64 {
        let mut writer = BitWriter::new(frame);
        let bits = self.cut(body, |context, phrase| self.write(context, phrase, &mut writer));
        writer.finish();
        bits
    }

    fn write(&self, context: u8, phrase: Symbol, writer: &mut BitWriter<'_>) {
        let own = self.context(context);
        let cost = self.costs(context)[usize::from(phrase)];
        if let Some(code) = own.row.code(phrase, cost) {
            return writer.push(code, cost.into());
        }
        // The code is complete, so it knows the escape.
        let (code, len) = self.shared_codes[usize::from(phrase)];
        writer.push(own.row.code(ESCAPE, own.escape).unwrap_or_default(), own.escape.into());
        writer.push(code, len.into());
    }

    /// Puts the best phrases for `window` into `path`, the last one first.
    fn cut_window(
        &self,
        window: &[u8],
        context: u8,
        ways: &mut Vec<[Way; KEPT]>,
        path: &mut Vec<Symbol>,
    ) -> u64 {
        ways.clear();
        ways.resize(window.len() + 1, [NO_WAY; KEPT]);
        ways[0][0] = Way { bits: 0, context, ..NO_WAY };

        // A position ahead to which there is a cheap way already, and the bits of that way.
        let mut goal = (0, u32::MAX);
        for at in 0..window.len() {
            let [first, second] = ways[at];
            if at >= goal.0 {
                goal.1 = u32::MAX;
            }
            if goal.1.saturating_add(MARGIN) <= first.bits.min(second.bits) {
                continue;
            }
            let first_costs = self.costs(first.context);
            let text = &window[at..window.len().min(at + MAX_PHRASE)];
            let ahead = &mut ways[at + 1..];
            if second.bits == u32::MAX {
                self.finder.find(text, |len, phrase| {
                    let bits = first.bits + u32::from(first_costs[usize::from(phrase)]);
                    let context = self.phrase(phrase).after;
                    if bits <= goal.1 {
                        goal = (at + len, bits);
                    }
                    offer(&mut ahead[len - 1], Way { bits, phrase, context, from: 0 });
                });
                continue;
            }
            let second_costs = self.costs(second.context);
            self.finder.find(text, |len, phrase| {
                let by_first = first.bits + u32::from(first_costs[usize::from(phrase)]);
                let by_second = second.bits + u32::from(second_costs[usize::from(phrase)]);
                let from = u8::from(by_second < by_first);
                let context = self.phrase(phrase).after;
                let bits = by_first.min(by_second);
                if bits <= goal.1 {
                    goal = (at + len, bits);
                }
                offer(&mut ahead[len - 1], Way { bits, phrase, context, from });
            });
        }

        path.clear();
        let mut at = window.len();
        let best = |ways: [Way; KEPT]| usize::from(ways[1].bits < ways[0].bits);
        let mut which = best(ways[at]);
        let bits = ways[at][which].bits;
        while at > 0 {
            let way = ways[at][which];
            path.push(way.phrase);
            at -= self.phrase(way.phrase).len();
            which = way.from.into();
        }
        bits.into()
    }
}

/// Keeps `way` among the ways to a position if it is one of the best, and the best in its context.
#[inline]
fn offer(kept: &mut [Way; KEPT], way: Way) {
    let [first, second] = kept;
    let place = if first.context == way.context {
        first
    } else if second.context == way.context || second.bits > first.bits {
        second
    } else {
        first
    };
    if way.bits < place.bits {
        *place = way;
    }
}
