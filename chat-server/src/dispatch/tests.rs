//! Tests of the single entry point for commands.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use chat_core::chat::{Chat, Registration};
use chat_core::command::{
    Command, Destination, ListUnread, ReadChanges, ReadHistory, SendMessage, SetTyping, UpdateProfile,
};
use chat_core::model::{Content, PasswordHash, Position, UserKey};
use chat_core::search::Search;
use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::config::{Config, Options};
use crate::limits::acquire::{MAX_WAITING, READS_AT_ONCE};

pub(crate) fn options(folder: &tempfile::TempDir) -> Options {
    let command = Options::command().mut_args(|arg| arg.env(None));
    let mut options = Options::from_arg_matches(&command.get_matches_from(["chat-server"])).unwrap();
    options.data_dir = folder.path().to_owned();
    options.search_limit = 2;
    options.bcrypt_cost = 4;
    options
}

/// An app with an in-memory store and one user, who may run two searches.
async fn app_of_one(folder: &tempfile::TempDir) -> (Arc<App>, UserId) {
    let options = options(folder);
    let app = App::from_chat(Config::check(&options).unwrap(), Chat::in_memory()).await.unwrap();
    let registration = Registration::named("ann", PasswordHash::new("x".to_owned()));
    let ann = app.chat.register(registration).await.unwrap().user.id;
    (app, ann)
}

pub(crate) fn search() -> Search {
    Search { text: "word".into(), limit: 1, ..Search::default() }
}

fn note(user: UserId) -> SendMessage {
    let to = Destination::Person(UserKey::Id(user));
    SendMessage {
        to,
        content: Content::text("word"),
        client_id: None,
        fingerprint: None,
        context: Default::default(),
    }
}

#[tokio::test]
async fn who_searches_already_is_refused_and_it_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let (app, ann) = app_of_one(&folder).await;
    let turn = app.limits.searching.try_of(ann);
    for _ in 0..5 {
        assert!(matches!(app.dispatch(ann, search()).await, Err(Error::RateLimited)));
        assert!(app.search_unless_busy(ann, search()).await.is_none());
    }
    drop(turn);
    for _ in 0..2 {
        assert!(app.dispatch(ann, search()).await.is_ok());
    }
    assert!(matches!(app.dispatch(ann, search()).await, Err(Error::RateLimited)), "the limit");
}

#[tokio::test]
async fn what_only_reads_leaves_no_doubt_when_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (app, ann) = app_of_one(&folder).await;
    app.dispatch(ann, note(ann)).await.unwrap();
    app.chat.store().close().await.unwrap();
    let readings: [Command; 3] =
        [search().into(), ReadChanges { since: None, limit: 1 }.into(), ListUnread { limit: 1 }.into()];
    for reading in readings {
        let failed = app.dispatch(ann, reading).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Unavailable);
        assert!(!app.announcer.is_in_doubt());
    }
    let typing =
        SetTyping { to: Destination::Person(UserKey::Id(UserId::from_bytes([9; 12]))), typing: true };
    assert_eq!(app.dispatch(ann, typing).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(!app.announcer.is_in_doubt(), "what is in no log is not looked for there");
    assert_eq!(app.dispatch(ann, note(ann)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(app.announcer.is_in_doubt(), "it may have been stored");
}

fn nth(n: usize) -> UserId {
    let mut id = [0; 12];
    id[4..].copy_from_slice(&n.to_be_bytes());
    UserId::from_bytes(id)
}

fn history(of: UserId) -> ReadHistory {
    let window = chat_core::history::Window::Latest { limit: 10_000 };
    ReadHistory { of: Destination::Person(UserKey::Id(of)), window, include_deleted: false }
}

async fn start(app: &App, user: UserId, command: impl Into<Command>) -> Dispatched<'_> {
    let person = app.limits.budgets.of(user, app.chat.now());
    app.start(user, &person, command.into()).await
}

#[tokio::test]
async fn reading_takes_a_turn_and_too_many_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (app, ann) = app_of_one(&folder).await;
    let (most, most_of_one) = MAX_WAITING;
    let asked = |n: usize| match n % 2 {
        0 => start(&app, nth(n), Command::from(ReadChanges { since: Some(Position(0).into()), limit: 1 })),
        _ => start(&app, nth(n), Command::from(ListUnread { limit: 1 })),
    };
    let mut turns = Vec::new();
    for n in 0..READS_AT_ONCE.0 {
        turns.push(app.limits.reads.acquire(nth(n)).await.unwrap());
    }
    // The commands of one user come first: they must not use the slots of other users.
    let of_one = (0..most_of_one).map(|_| Box::pin(start(&app, ann, history(ann))));
    let mut of_one: Vec<_> = of_one.collect();
    let others = 0..most - most_of_one;
    let mut waiting: Vec<_> = others.map(|n| Box::pin(asked(n))).collect();
    poll_fn(|cx| {
        assert!(of_one.iter_mut().all(|asked| asked.as_mut().poll(cx).is_pending()));
        Poll::Ready(())
    })
    .await;
    let Dispatched::Done(Err(error)) = start(&app, ann, history(ann)).await else {
        panic!("too many of one")
    };
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    poll_fn(|cx| {
        assert!(waiting.iter_mut().all(|asked| asked.as_mut().poll(cx).is_pending()));
        Poll::Ready(())
    })
    .await;
    for n in 0..2 {
        let Dispatched::Done(Err(error)) = asked(n).await else { panic!("there is no place left") };
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    drop(turns);
    let done = futures_util::future::join(
        futures_util::future::join_all(waiting),
        futures_util::future::join_all(of_one),
    );
    let (others, of_one) = done.await;
    for reply in others.into_iter().chain(of_one) {
        assert!(matches!(reply, Dispatched::CarriedOut(_)));
    }
    for n in 0..2 {
        assert!(matches!(asked(n).await, Dispatched::CarriedOut(_)), "nobody waits any more");
    }
}

#[tokio::test]
async fn those_who_read_much_do_so_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (app, ann) = app_of_one(&folder).await;
    let person = app.limits.budgets.of(ann, app.chat.now());
    let asked = || Box::pin(start(&app, ann, history(ann)));
    let turn = app.limits.greedy_reads.acquire(nth(1)).await.unwrap();
    person.has_read(59_000_000, app.chat.now());
    assert!(matches!(asked().await, Dispatched::CarriedOut(_)), "not that much");
    person.has_read(2_000_000, app.chat.now());
    let mut greedy = asked();
    poll_fn(|cx| {
        assert!(greedy.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    let modest = start(&app, nth(2), Command::from(ListUnread { limit: 1 })).await;
    assert!(matches!(modest, Dispatched::CarriedOut(_)), "nobody else waits for that");
    drop(turn);
    assert!(matches!(greedy.await, Dispatched::CarriedOut(_)));
}

/// Twenty connections of one user that request large histories repeatedly do not delay other users.
#[tokio::test]
async fn who_reads_without_end_is_slowed_and_refused_and_nobody_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let (app, ann) = app_of_one(&folder).await;
    let bob = Registration::named("bob", PasswordHash::new("x".to_owned()));
    let bob = app.chat.register(bob).await.unwrap().user.id;
    for _ in 0..4 {
        let content = Content { file_name: Some("a.txt".into()), ..Content::text("a".repeat(1 << 20)) };
        let to = Destination::Person(UserKey::Id(bob));
        let send =
            SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
        app.dispatch(ann, send).await.unwrap();
    }
    let (mut read, mut refused) = (0, None);
    while refused.is_none() && read < 1_000 {
        let replies = futures_util::future::join_all((0..20).map(|_| app.dispatch(ann, history(bob)))).await;
        for reply in replies {
            match reply {
                Ok(history) => read += history.messages.len().min(1),
                Err(error) => refused = refused.or(error.retry_after()),
            }
        }
    }
    // The budget is 240 MB at once and 60 MB a minute; a history has about 4 MB.
    assert!((50..=70).contains(&read), "{read} histories");
    let wait = refused.expect("it is said when to come back");
    assert!(wait > crate::limits::MAX_DELAY && wait < Duration::from_secs(60), "{wait:?}");
    for _ in 0..20 {
        assert!(app.dispatch(bob, history(ann)).await.is_ok(), "others may read");
    }
    assert!(app.dispatch(ann, note(ann)).await.is_ok(), "and she may speak");
}

#[tokio::test]
async fn a_profile_is_changed_a_few_times_and_then_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (app, ann) = app_of_one(&folder).await;
    let change = || UpdateProfile { patch: chat_core::model::ProfilePatch::default() };
    for n in 0..20 {
        assert!(app.dispatch(ann, change()).await.is_ok(), "{n}");
    }
    let refused = app.dispatch(ann, change()).await;
    // The first wait is almost zero, and later waits pay off the debt.
    let refused = if refused.is_ok() { app.dispatch(ann, change()).await } else { refused };
    let wait = refused.unwrap_err().retry_after().unwrap();
    assert!(wait > Duration::from_secs(20) && wait <= Duration::from_secs(31), "{wait:?}");
}
