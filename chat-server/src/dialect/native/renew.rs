//! Going on with a connection whose token expires.
//!
//! ```text
//! ann > session.renew {"token":"…"} (ack)      {"ok":true,"success":true,"expiresAt":1700000900000}
//! ```
//! A connection ends when the access token expires with which it was opened. Before that, its client sends the access token
//! of the same session that `POST /api/v1/auth/refresh` has given it. There is no route for it.

use chat_core::clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fields::TOKEN;
use crate::dialect::field::Field;
use crate::dialect::payload::Text;
use crate::dialect::{Call, DecodeError};

/// Its event, in every dialect.
pub(crate) const EVENT: &str = "session.renew";
/// What it does.
pub(crate) const ABOUT: &str = "Has the connection go on until a later access token of its session expires.";
/// Its fields.
pub(crate) const FIELDS: &[Field] = &[TOKEN];

#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow, default)]
    token: Text<'a>,
}

/// The token of an event.
pub(super) fn decode(call: &Call<'_>) -> Result<String, DecodeError> {
    let form: Form<'_> = call.object()?;
    Ok(form.token.required("token")?.into_owned())
}

/// Until when a connection lasts.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Renewed {
    /// Milliseconds since 1970.
    expires_at: i64,
}

impl Renewed {
    pub(crate) fn until(at: Timestamp) -> Self {
        Self { expires_at: at.as_millis() }
    }
}
