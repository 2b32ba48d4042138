//! Per-flow sequence tracking: lost, duplicated and out-of-order deliveries.
use std::collections::HashSet;

/// What one connection has seen of one flow.
#[derive(Default, Debug)]
pub struct Flow {
    next: u64,
    missing: HashSet<u64>,
    /// Different messages seen.
    pub got: u64,
    /// Messages seen again.
    pub dup: u64,
    /// Messages that came after a later one.
    pub out_of_order: u64,
}

impl Flow {
    /// Takes note of one delivery.
    pub fn see(&mut self, seq: u64) {
        if seq == self.next {
            self.next += 1;
            self.got += 1;
        } else if seq > self.next {
            self.missing.extend(self.next..seq);
            self.next = seq + 1;
            self.got += 1;
        } else if self.missing.remove(&seq) {
            self.out_of_order += 1;
            self.got += 1;
        } else {
            self.dup += 1;
        }
    }

    /// How many of `sent` messages have not been seen.
    pub fn lost(&self, sent: u64) -> u64 {
        sent.saturating_sub(self.got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let mut f = Flow::default();
        for s in [0, 1, 3, 2, 2, 5] {
            f.see(s);
        }
        assert_eq!((f.got, f.dup, f.out_of_order, f.lost(7)), (5, 1, 1, 2));
    }
}
