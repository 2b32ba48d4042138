//! Sockets: the Socket.IO endpoint and the streams under it.
//!
//! The server answers the websocket upgrade itself and hands socketioxide the bare stream, wrapped in a
//! [`guard::Guarded`]. The wrapper enforces a write deadline, can cut a connection whose client has stopped reading,
//! keeps no buffers of the HTTP server alive, and sends events on a path of their own ([`wire`]).

mod accept_queue;
mod admission;
mod affinity;
mod arrivals;
mod authenticate;
mod connect;
mod connect_payload;
pub(crate) mod connections;
#[cfg(test)]
mod deployment_tests;
mod endpoint;
mod frames;
pub mod guard;
mod guests;
mod handshake;
mod http_stream;
mod large_frames;
mod late_credentials;
mod newcomers;
pub mod payload;
mod polling;
mod serve;
pub(crate) mod text_frame;
pub(crate) mod together;
mod unauthenticated;
mod upgrade;
pub mod wire;

pub use self::admission::MAX_UNAUTHENTICATED_BYTES;
pub(crate) use self::connect::end_all;
pub(crate) use self::connect_payload::{ConnectPayload, Field};
pub use self::connections::raise_open_files_limit;
pub use self::endpoint::SocketIoEndpoint;
#[doc(hidden)]
pub use self::frames::FrameFuzz;
pub use self::guard::Wires;
pub(crate) use self::serve::serve_connections;
