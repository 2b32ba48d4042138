//! Sockets: the Socket.IO endpoint and the streams under it.
//!
//! We answer the websocket upgrade ourselves and hand socketioxide the bare stream, wrapped in a [`guard::Guarded`].
//! That gives us a deadline for writes, a way to cut a connection whose client has stopped reading, and connections
//! that pin none of the HTTP server's buffers.

mod connect;
mod endpoint;
pub mod guard;
mod serve;

pub use self::endpoint::SocketIoEndpoint;
pub use self::guard::KillSwitches;
pub(crate) use self::serve::serve_connections;
