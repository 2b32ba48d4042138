//! Choosing how a block is written.

use super::{
    MIN_CODED, STREAMS, block,
    code::Lengths,
    histogram::{self, looks_like_noise},
    table,
};

/// How a block is to be written.
#[derive(Debug)]
pub(super) enum Plan {
    /// As it is.
    Stored,
    /// As one byte that is repeated.
    Run(u8),
    /// With a code.
    Coded {
        /// The code, or `None` for that of the coded block before.
        own: Option<Box<Lengths>>,
        /// The code as it is written; nothing for that of the coded block before.
        table: Vec<u8>,
        /// Size in bits of all codes.
        bits: usize,
    },
}

impl Plan {
    /// Size in bytes of a block of `len` bytes that is written like this, or up to [`STREAMS`]
    /// more: how many bytes the streams begin without filling them is not known beforehand.
    pub(super) fn size(&self, len: usize) -> usize {
        match self {
            Plan::Stored => 1 + len,
            Plan::Run(_) => 2,
            Plan::Coded { table, bits, .. } => block::HEAD + table.len() + bits / 8 + STREAMS + 1,
        }
    }
}

/// Plans one block after another.
#[derive(Default, Debug)]
pub(super) struct Planner {
    /// The code of the last coded block.
    code: Option<Lengths>,
    /// Whether the last block was made smaller, which makes it likely that the next one will be.
    gained: bool,
}

impl Planner {
    /// Chooses how to write `block`.
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
        // What saves less than 1 % is not worth the reader's time.
        if plan.size(block.len()) > block.len() - block.len() / 100 {
            return Plan::Stored;
        }
        plan
    }
}
