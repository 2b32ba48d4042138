//! What clients receive of a change.

use chat_core::event::Delivery;

use crate::dialect::{Dialect, EventPosition, Frames, PositionStyle};
use crate::links::Base;

/// What the clients of one dialect are told of a change, live or later, with links that begin with this base.
///
/// A change that is read from the log comes with its message as it is now. What has been deleted since is not shown any
/// more; that it was deleted follows.
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
