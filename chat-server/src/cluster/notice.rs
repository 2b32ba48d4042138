//! The notices between nodes, and their encoding.
//!
//! ```text
//! {"from":"5f0c…","number":17,"at":1700000000000,"notices":[{"bell":4711},{"typing":{"conversation":"66…","user":"66…","typing":true}}]}
//! ```
//! Notices are JSON, because they are small, and because nodes of different versions run side by side during an update:
//! a node skips notices that it does not know. They contain no message texts, names or tokens, except the payload of
//! relayed client events. They travel [sealed](super::seal).

use std::fmt;

use chat_core::clock::Timestamp;
use chat_core::event::Ephemeral;
use chat_core::id::{ConversationId, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use super::relayed::Relayed;
use super::seal::Opened;
use crate::auth::token::Fingerprint;

/// The maximum number of notices that are read from one envelope. A node sends at most a few thousand at once.
const MAX_NOTICES: usize = 10_000;

/// Identifies a node for the lifetime of its process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId([u8; 8]);

/// One notice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Notice {
    /// The log goes up to this position. Earlier versions call it `bell`.
    #[serde(rename = "bell")]
    LogAdvanced(u64),
    /// A user types, or has stopped typing.
    Typing { conversation: Id, user: Id, typing: bool },
    /// An account was created.
    Registered { user: Id },
    /// A client event that is relayed unchanged to these users.
    Relayed { dialect: String, event: String, payload: String, to: People },
    /// A token is revoked. `until` is when it would have expired, in milliseconds since 1970.
    Revoked { token: Token, until: i64 },
    /// A session was ended explicitly and must not be resumed. It is identified by a fingerprint of the same kind as a
    /// token.
    Ended { session: Token, until: i64 },
    /// A heartbeat. `number` is the current number of the sender's list of users.
    Alive { number: u64 },
    /// Users connected or disconnected. After this change the list has this number.
    Changed { number: u64, came: People, went: People },
    /// The whole list of connected users.
    Everybody { number: u64, people: People },
    /// Asks this node to publish its whole list.
    Ask { node: NodeId },
    /// Asks every node for a heartbeat, because the sender may have missed notices.
    Hello,
    /// The sender stops.
    Bye,
    /// How many messages each user has sent since the last notice of this kind.
    Sent { by: Vec<(Id, u32)> },
}

/// An id as 24 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Id(String);

/// Users, encoded as their concatenated ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct People(pub(super) Vec<UserId>);

/// The fingerprint of a token, as hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Token(pub(super) Fingerprint);

#[derive(Serialize)]
struct Written<'a> {
    from: NodeId,
    number: u64,
    at: i64,
    notices: &'a [Notice],
}

#[derive(Deserialize)]
struct Read<'a> {
    from: NodeId,
    number: u64,
    at: i64,
    #[serde(borrow)]
    notices: Vec<&'a RawValue>,
}

/// Encodes the content of an envelope.
pub(super) fn write(from: NodeId, number: u64, at: Timestamp, notices: &[Notice]) -> Vec<u8> {
    // This cannot fail: it is a plain struct with string keys.
    serde_json::to_vec(&Written { from, number, at: at.as_millis(), notices }).unwrap_or_default()
}

/// Decodes the content of an envelope. Returns `None` when it is malformed.
pub(super) fn read(content: &[u8]) -> Option<Opened> {
    let Read { from, number, at, notices } = serde_json::from_slice(content).ok()?;
    let notices = notices.iter().filter_map(|notice| serde_json::from_str(notice.get()).ok());
    let notices = notices.take(MAX_NOTICES).collect();
    Some(Opened { from, number, at: Timestamp::from_millis(at), notices })
}

impl From<Ephemeral> for Notice {
    fn from(ephemeral: Ephemeral) -> Self {
        match ephemeral {
            Ephemeral::Typing { conversation, user, typing } => {
                Self::Typing { conversation: Id(conversation.to_string()), user: user.into(), typing }
            }
            Ephemeral::Registered { user } => Self::Registered { user: user.into() },
        }
    }
}

impl From<Relayed> for Notice {
    fn from(Relayed { dialect, event, payload, to }: Relayed) -> Self {
        Self::Relayed { dialect, event, payload, to: People(to) }
    }
}

impl Notice {
    /// The ephemeral event in this notice, if it has one.
    pub(super) fn ephemeral(&self) -> Option<Ephemeral> {
        match self {
            Self::Typing { conversation, user, typing } => Some(Ephemeral::Typing {
                conversation: conversation.conversation()?,
                user: user.user()?,
                typing: *typing,
            }),
            Self::Registered { user } => Some(Ephemeral::Registered { user: user.user()? }),
            _ => None,
        }
    }
}

impl Id {
    pub(super) fn user(&self) -> Option<UserId> {
        self.0.parse().ok()
    }

    fn conversation(&self) -> Option<ConversationId> {
        self.0.parse().ok()
    }
}

impl From<UserId> for Id {
    fn from(user: UserId) -> Self {
        Self(user.to_string())
    }
}

impl NodeId {
    pub(crate) fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bytes_of(&String::deserialize(deserializer)?).map(Self)
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bytes_of(&String::deserialize(deserializer)?).map(Self)
    }
}

impl Serialize for People {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|user| *user.as_bytes()).collect();
        serializer.serialize_str(&hex::encode(bytes))
    }
}

impl<'de> Deserialize<'de> for People {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = hex::decode(String::deserialize(deserializer)?).map_err(de::Error::custom)?;
        let (ids, []) = bytes.as_chunks() else { return Err(de::Error::custom("ids have 12 bytes each")) };
        Ok(Self(ids.iter().map(|id| UserId::from_bytes(*id)).collect()))
    }
}

fn bytes_of<const LENGTH: usize, E: de::Error>(digits: &str) -> Result<[u8; LENGTH], E> {
    let mut bytes = [0; LENGTH];
    hex::decode_to_slice(digits, &mut bytes).map_err(E::custom)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_come_out_as_they_went_in() {
        let (ann, bob) = (UserId::from_bytes([1; 12]), UserId::from_bytes([2; 12]));
        let ephemeral =
            Ephemeral::Typing { conversation: ConversationId::from_bytes([3; 12]), user: ann, typing: true };
        let notices = [
            Notice::LogAdvanced(7),
            ephemeral.into(),
            Ephemeral::Registered { user: bob }.into(),
            Notice::Relayed {
                dialect: "corner".into(),
                event: "ringing".into(),
                payload: "{\"a\":1}".into(),
                to: People(vec![ann]),
            },
            Notice::Revoked { token: Token([9; 32]), until: i64::MAX },
            Notice::Ended { session: Token([8; 32]), until: 9 },
            Notice::Alive { number: 3 },
            Notice::Changed { number: 4, came: People(vec![ann, bob]), went: People::default() },
            Notice::Everybody { number: 4, people: People(vec![bob]) },
            Notice::Ask { node: NodeId([5; 8]) },
            Notice::Hello,
            Notice::Bye,
            Notice::Sent { by: vec![(ann.into(), 2)] },
        ];
        let (from, at) = (NodeId([4; 8]), Timestamp::from_millis(5));
        let opened = Opened { from, number: 3, at, notices: notices.to_vec() };
        assert_eq!(read(&write(from, 3, at, &notices)), Some(opened));
        assert_eq!(notices[1].ephemeral(), Some(ephemeral));
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        let notices = |text: &str| read(text.as_bytes()).map(|opened| opened.notices);
        let text = r#"{"from":"0404040404040404","number":1,"at":1,"notices":[{"dance":1},{"bell":-1},{"bell":5},"x",{"typing":{"user":1}}]}"#;
        assert_eq!(notices(text), Some(vec![Notice::LogAdvanced(5)]));
        for strange in [
            r#"{"from":"0404040404040404","number":1,"notices":[{"bell":5}]}"#,
            r#"{"from":"0404040404040404","number":-1,"at":1,"notices":[{"bell":5}]}"#,
            r#"{"from":"04","number":1,"at":1,"notices":[]}"#,
            r#"{"number":1,"at":1,"notices":[]}"#,
            "[]",
            "",
            "\u{0}",
        ] {
            assert_eq!(notices(strange), None, "{strange}");
        }
        let odd = r#"{"from":"0404040404040404","number":1,"at":1,"notices":[{"everybody":{"number":1,"people":"abc"}},{"everybody":{"number":1,"people":"abcd"}}]}"#;
        assert_eq!(notices(odd), Some(Vec::new()));
        let many = write(NodeId([4; 8]), 1, Timestamp::from_millis(1), &vec![Notice::Hello; MAX_NOTICES + 1]);
        assert_eq!(read(&many).unwrap().notices.len(), MAX_NOTICES);
        let unknown_person = Notice::Registered { user: Id("nobody".into()) };
        assert_eq!(unknown_person.ephemeral(), None);
    }
}
