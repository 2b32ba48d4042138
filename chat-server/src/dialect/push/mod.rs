//! The REST family: everything is asked for over HTTP with a cookie, and news is pushed over the socket.
//!
//! ```text
//! ann > POST /api/messages/send/BOB {"text":"hello","image":null}      → 201 the message
//! bob < newMessage {"_id":"…","senderId":"ANN","receiverId":"BOB","text":"hello","image":null,"deleted":false,…}
//! ann > DELETE /api/messages/ID                                        → 200 {"success":true,"message":"…"}
//! both < messageDeleted {"messageId":"ID","_id":"ID","deleted":true}
//! ```
//!
//! Beyond what the family's pages know (they ignore events they do not listen to):
//! `PUT /api/messages/:id/restore` undoes a deletion and `messageRestored` tells of it; `messageSent` keeps the
//! sender's other tabs up to date; `userJoined` and `userUpdated` keep lists of people fresh. Forks of the family tell who
//! types and what was seen, each in spellings of its own: see the modules `typing` and `reading`.

mod changed;
mod described;
mod events;
mod reading;
mod routes;
mod shapes;
pub(crate) mod told;
mod typing;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Push;

/// The cookie that its log-in is kept in.
pub(crate) const COOKIE: &str = "jwt";
