//! The frames that clients receive for a change.

use chat_core::event::Delivery;

use crate::dialect::{Dialect, EventPosition, Frames, PositionStyle};
use crate::links::Base;

/// The frames for the clients of one dialect, live or read from the log later. Links begin with the base URL `base`.
///
/// A change that is read from the log contains the current state of its message. A message that was deleted since then
/// is no longer shown; the event of its deletion follows.
pub(crate) fn frames(
    dialect: &dyn Dialect,
    delivery: &Delivery,
    base: &Base,
    style: PositionStyle,
) -> Frames {
    if let Some(view) = delivery.event.message().filter(|_| delivery.event.shows_message())
        && view.message.deleted.is_some()
    {
        return Frames::new();
    }
    let frames = dialect.outbound(&base.event(&delivery.event), EventPosition(delivery.position));
    match style {
        PositionStyle::Event => frames,
        PositionStyle::Argument => {
            frames.into_iter().map(|(to, frame)| (to, frame.in_style(style))).collect()
        }
    }
}
