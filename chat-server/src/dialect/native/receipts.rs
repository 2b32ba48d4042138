//! Receipts: who has received and who has read a message.
//!
//! ```text
//! ann > message.receipts {"messageId":"…","limit":100} (ack)
//!     {"ok":true,"success":true,"messageId":"…","receipts":[{"userId":"…","state":"delivered"}],"next":null}
//! ```
//! `state` is `sent`, `delivered` (it has arrived on one of the user's devices) or `read`. Listed are those who were
//! members when the message was sent, without its sender. `next` is the `after` of the next page, if there is one.

use chat_core::command::{Arrival, Command, ReadReceipts, ReceiptPage};
use chat_core::id::UserId;
use chat_core::model::JoinOrder;
use schemars::JsonSchema;
use serde::Serialize;

use super::arguments::Arguments;
use super::shapes::UserId24;
use crate::dialect::DecodeError;

pub(super) fn list(arguments: &Arguments<'_>) -> Result<Command, DecodeError> {
    let after = JoinOrder(arguments.count("after")?.unwrap_or_default());
    Ok(ReadReceipts { message: arguments.message()?, after, limit: arguments.limit()? }.into())
}

/// Who has received and who has read a message.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Receipts")]
pub(super) struct PageObject {
    message_id: String,
    receipts: Vec<ReceiptObject>,
    /// The `after` of the next page; null on the last page.
    next: Option<u64>,
}

/// How far a message has come on its way to a member.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Receipt")]
struct ReceiptObject {
    user_id: UserId24,
    #[schemars(extend("enum" = ["sent", "delivered", "read"]))]
    state: &'static str,
}

pub(super) fn page(page: &ReceiptPage) -> PageObject {
    let receipt = |(user, arrival): &(UserId, Arrival)| ReceiptObject {
        user_id: user.to_string(),
        state: match arrival {
            Arrival::Sent => "sent",
            Arrival::Delivered => "delivered",
            Arrival::Read => "read",
        },
    };
    PageObject {
        message_id: page.message.to_string(),
        receipts: page.receipts.iter().map(receipt).collect(),
        next: page.next.map(|next| next.0),
    }
}
