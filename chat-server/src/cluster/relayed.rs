//! Client events that other nodes must relay.

use chat_core::id::UserId;

/// A client event that other nodes must relay.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Relayed {
    pub(crate) dialect: String,
    pub(crate) event: String,
    pub(crate) payload: String,
    pub(crate) to: Vec<UserId>,
}

impl Relayed {
    /// An upper bound of its size between nodes, in bytes: every byte of the payload may need an escape, and ids are
    /// hexadecimal.
    pub(crate) fn bytes(&self) -> usize {
        256 + 2 * self.payload.len() + 24 * self.to.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_size_between_nodes_is_not_underrated() {
        let relayed = Relayed {
            dialect: "d".repeat(32),
            event: "ringing".to_owned(),
            payload: serde_json::json!({ "\"\\": "\"".repeat(1_000) }).to_string(),
            to: vec![UserId::from_bytes([7; 12]); 100],
        };
        let written = serde_json::json!([relayed.dialect, relayed.event, relayed.payload]).to_string();
        assert!(written.len() + 24 * relayed.to.len() + 64 <= relayed.bytes(), "{}", relayed.bytes());
    }
}
