//! Sockets: the Socket.IO endpoint and the streams under it.
//!
//! We answer the websocket upgrade ourselves and hand socketioxide the bare stream, wrapped in a [`guard::Guarded`].
//! That gives us a deadline for writes, a way to cut a connection whose client has stopped reading, connections that pin
//! none of the HTTP server's buffers, and a lane of our own for events ([`wire`]).

mod affinity;
mod connect;
mod endpoint;
pub mod guard;
mod serve;
pub mod wire;

pub(crate) use self::connect::{end, end_all, store_last_seen};
pub use self::endpoint::SocketIoEndpoint;
pub use self::guard::Wires;
pub(crate) use self::serve::serve_connections;
