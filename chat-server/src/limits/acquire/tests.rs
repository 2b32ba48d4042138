//! Tests for acquiring all limits at once.

use chat_core::command::{Command, Destination, Request, SendMessage};
use chat_core::model::{Content, UserKey};
use chat_core::search::Search;
use futures_util::FutureExt;

use super::*;
use crate::limits::Rates;
use crate::memory::Memory;

const ANN: UserId = UserId::from_bytes([1; 12]);

/// Two messages and two searches per minute, and at most 1 MB sent per minute, with a burst of two minutes.
fn limits() -> Limits {
    let budgets = Budgets::new(Rates::new(0, 0, 1), Memory::new(1 << 30));
    Limits::new(Arc::new(Chat::in_memory()), budgets, LongWork::new(2), (2, 2), None)
}

fn message(bytes: usize) -> Command {
    let to = Destination::Person(UserKey::Id(ANN));
    let content = Content { file_name: Some("a.txt".into()), ..Content::text("a".repeat(bytes)) };
    SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() }.into()
}

fn search() -> Command {
    Search { text: "word".into(), ..Search::default() }.into()
}

async fn acquire_as(limits: &Limits, user: UserId, command: &Command) -> Result<Permit, Refused> {
    let person = limits.budgets.of(user, limits.now());
    limits.acquire(user, &person, command.as_command()).await
}

async fn acquire(limits: &Limits, command: &Command) -> Result<Permit, Refused> {
    acquire_as(limits, ANN, command).await
}

fn remaining(rate: Option<RateLimit>) -> u64 {
    rate.expect("there is a limit").remaining
}

#[tokio::test]
async fn what_another_limit_refuses_does_not_count_as_a_message() {
    let limits = limits();
    // The message uses up the budget, and is not refused for that.
    drop(acquire(&limits, &message(8 << 20)).await.expect("the first may be as large as it likes"));
    assert_eq!(remaining(limits.message_rate(ANN)), 1);
    for _ in 0..3 {
        let refused = acquire(&limits, &message(8 << 20)).await.err();
        assert!(matches!(refused, Some(Refused::OverBudget(Error::OverBudget { .. }))), "{refused:?}");
        assert_eq!(remaining(limits.message_rate(ANN)), 1);
    }
}

#[tokio::test]
async fn messages_count_once_they_are_permitted_and_however_long_that_lasts() {
    let limits = limits();
    let held = acquire(&limits, &message(1)).await.expect("the first");
    drop(acquire(&limits, &message(1)).await.expect("the second"));
    drop(held);
    assert_eq!(remaining(limits.message_rate(ANN)), 0);
    assert!(matches!(acquire(&limits, &message(1)).await, Err(Refused::TooMany)));
    assert!(acquire(&limits, &search()).await.is_ok(), "searches are counted by themselves");
}

#[tokio::test]
async fn a_search_that_is_given_up_while_it_waits_does_not_count() {
    let limits = limits();
    let others: Vec<_> = [2, 3].map(|n| UserId::from_bytes([n; 12])).into();
    let mut held = Vec::new();
    for other in others {
        held.push(acquire_as(&limits, other, &search()).await.expect("there is room for two"));
    }
    for _ in 0..5 {
        assert!(acquire(&limits, &search()).now_or_never().is_none(), "it waits for one of the others");
        assert_eq!(remaining(limits.search_rate(ANN)), 2);
    }
    drop(held);
    for _ in 0..2 {
        drop(acquire(&limits, &search()).await.expect("a search"));
    }
    assert!(matches!(acquire(&limits, &search()).await, Err(Refused::TooMany)));
}
