//! HTTP: what all routes share. Every error, whatever its cause, is JSON with a `message`, so that any frontend can
//! show it.

pub(crate) mod accounted;
pub(crate) mod body;
pub(crate) mod caller;
mod client_files;
pub(crate) mod common;
pub mod cookie;
mod docs;
mod edge;
pub(crate) mod error;
pub(crate) mod foreign;
pub(crate) mod headers;
mod origin;
mod own_page;
mod page;
pub(crate) mod proxies;
mod rate;
pub(crate) mod route_names;
pub(crate) mod route_table;
mod router;
pub(crate) mod served;
mod site;

pub use self::body::Body;
pub use self::caller::{caller, caller_by_bearer};
pub(crate) use self::common::{BUSY, parameter, parameters};
pub use self::common::{bearer, json};
pub use self::error::HttpError;
pub use self::foreign::is_foreign;
pub use self::origin::Origin;
pub use self::rate::with_rate;
pub use self::router::router;
pub use crate::address::Address;
pub use crate::limits::RateLimit;
