//! The Huffman chat's family: people are named by user name, everything but the log-in goes over the socket.
//!
//! ```text
//! ann > privateMessage {"text":"hello","receiver":"bob","timestamp":"…"}
//! ann < privateMessage {"text":"hello","sender":"ann","receiver":"bob","timestamp":"…","compressed":false,"isFile":false,"fileName":null}
//! bob < privateMessage (the same)
//! bob > getMessageHistory {"otherUser":"ann"}
//! bob < messageHistory [{"text":"hello","sender":"ann",…}]
//! bob > getMessageHistory {"otherUser":"ann","limit":50,"before":51} (ack)
//!     {"ok":true,"success":true,"messages":[…],"hasMore":true,"nextBefore":1}
//! ```
//! A history holds the latest messages, as many as have room in an answer. Pages that ask with `before` and an
//! acknowledgement, which none of the family's does, get to the older ones.

mod events;
mod routes;
mod shapes;

pub(crate) use self::events::EVENTS;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Camel;
