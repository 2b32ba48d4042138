//! Codes over single bytes, which the first release wrote. They are now only read.

mod code;
mod decoder;
pub(in crate::codec) mod lengths;
mod tables;
#[cfg(test)]
mod tests;

pub(in crate::codec) use self::decoder::Decoder;
pub(in crate::codec) use self::tables::StaticTable;
