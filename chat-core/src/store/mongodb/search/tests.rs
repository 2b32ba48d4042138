//! What holds for [`search`](super).

use std::future::{pending, ready};

use futures_util::FutureExt;

use super::*;

#[test]
fn rounds_are_few() {
    // A thousand deleted messages before the one that is wanted.
    let (mut looked_at, mut step, mut rounds) = (0, 2, 0);
    while looked_at <= STEP {
        (looked_at, step, rounds) = (looked_at + step, step_after(step), rounds + 1);
    }
    assert!(rounds <= 5, "{rounds}");
    assert_eq!((step_after(STEP), step_after(usize::MAX)), (STEP, STEP));
}

#[tokio::test]
async fn what_was_found_is_answered_before_patience_ends() {
    let now = Instant::now();
    let part = |has_something| while_something_is_missing(now, has_something, pending::<Result<(), Fault>>());
    assert!(matches!(part(true).await, Ok(None)));
    assert!(part(false).now_or_never().is_none(), "nothing is no answer");
    let there = while_something_is_missing(now, true, ready(Ok::<_, Fault>(7)));
    assert!(matches!(there.await, Ok(Some(7))));
}

#[test]
fn a_beginning_is_a_range() {
    for (text, end) in [
        ("ab", Some("ac")),
        ("a\u{10ffff}", Some("b")),
        ("\u{d7ff}", Some("\u{e000}")),
        ("é", Some("ê")),
        ("\u{7f}", Some("\u{80}")),
        ("\u{10ffff}", None),
    ] {
        assert_eq!(after_all_that_begin_with(text).as_deref(), end, "{text:?}");
    }
}
