//! Chooses the format of a block.

use super::{
    MIN_CODED, STREAMS, block,
    code::Lengths,
    histogram::{self, looks_like_noise},
    table,
};

/// The format in which a block is written.
#[derive(Debug)]
pub(super) enum Plan {
    /// Unencoded.
    Stored,
    /// As one repeated byte.
    Run(u8),
    /// With a code.
    Coded {
        /// The code, or `None` for that of the previous coded block.
        own: Option<Box<Lengths>>,
        /// The encoded table. It is empty for the code of the previous coded block.
        table: Vec<u8>,
        /// The size of all codes in bits.
        bits: usize,
    },
}

impl Plan {
    /// The size in bytes of a block of `len` bytes in this format, or up to [`STREAMS`] more: the number of partial
    /// bytes at the ends of the streams is not known in advance.
    pub(super) fn size(&self, len: usize) -> usize {
        match self {
            Plan::Stored => 1 + len,
            Plan::Run(_) => 2,
            Plan::Coded { table, bits, .. } => block::HEAD + table.len() + bits / 8 + STREAMS + 1,
        }
    }
}

/// Plans the blocks one after the other.
#[derive(Default, Debug)]
pub(super) struct Planner {
    /// The code of the last coded block.
    code: Option<Lengths>,
    /// Whether the last block became smaller. Then the next one probably will as well.
    gained: bool,
}

impl Planner {
    /// Chooses the format of `block`.
    pub(super) fn plan(&mut self, block: &[u8]) -> Plan {
        let hopeless = block.len() < MIN_CODED || (!self.gained && looks_like_noise(block));
        let plan = if hopeless { Plan::Stored } else { self.choose(block) };
        self.gained = !matches!(plan, Plan::Stored);
        if let Plan::Coded { own: Some(own), .. } = &plan {
            self.code = Some(Lengths::clone(own));
        }
        plan
    }

    fn choose(&self, block: &[u8]) -> Plan {
        let counts = histogram::count(block);
        let Some(own) = Lengths::for_counts(&counts) else { return Plan::Run(block[0]) };
        let Some(own_bits) = own.cost(&counts) else { return Plan::Stored };
        let table = table::pack(&own);
        let before = self.code.as_ref().and_then(|before| before.cost(&counts));
        let plan = match before {
            Some(bits) if bits <= own_bits + 8 * table.len() => {
                Plan::Coded { own: None, table: Vec::new(), bits }
            }
            _ => Plan::Coded { own: Some(own.into()), table, bits: own_bits },
        };
        // A saving of less than 1 % is not worth the time for decoding.
        if plan.size(block.len()) > block.len() - block.len() / 100 {
            return Plan::Stored;
        }
        plan
    }
}
