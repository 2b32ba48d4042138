//! What holds for the funnel through which all commands go.

mod accounts;

use std::future::poll_fn;
use std::task::Poll;

use chat_core::command::Destination;
use chat_core::model::{Content, PasswordHash, Position};
use chat_core::search::Search;
use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::config::Options;

fn options(folder: &tempfile::TempDir) -> Options {
    let command = Options::command().mut_args(|arg| arg.env(None));
    let mut options = Options::from_arg_matches(&command.get_matches_from(["chat-server"])).unwrap();
    options.data_dir = folder.path().to_owned();
    options.search_limit = 2;
    options.bcrypt_cost = 4;
    options
}

/// An app over a store in memory with one person, whom it lets search twice.
async fn app_of_one(folder: &tempfile::TempDir) -> (Arc<App>, UserId) {
    let options = options(folder);
    let app = App::over(Config::check(&options).unwrap(), Chat::in_memory()).await.unwrap();
    let registration = Registration::named("ann", PasswordHash::new("x".to_owned()));
    let ann = app.chat.register(registration).await.unwrap().user.id;
    (app, ann)
}

fn search() -> Command {
    Command::Search(Search { text: "word".into(), within: None, before: None, limit: 1 })
}

fn note(user: UserId) -> Command {
    let to = Destination::Person(UserKey::Id(user));
    Command::Send { to, content: Content::text("word"), client_id: None, fingerprint: None }
}

#[tokio::test]
async fn who_searches_already_is_refused_and_it_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let (app, ann) = app_of_one(&folder).await;
    let turn = app.searching.try_of(ann);
    for _ in 0..5 {
        assert!(matches!(app.dispatch(ann, search()).await, Err(Error::RateLimited)));
        assert!(app.search_unless_busy(ann, search()).await.is_none());
    }
    drop(turn);
    for _ in 0..2 {
        assert!(matches!(app.dispatch(ann, search()).await, Ok(Reply::Found(_))));
    }
    assert!(matches!(app.dispatch(ann, search()).await, Err(Error::RateLimited)), "the limit");
}

#[tokio::test]
async fn what_only_reads_leaves_no_doubt_when_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (app, ann) = app_of_one(&folder).await;
    app.dispatch(ann, note(ann)).await.unwrap();
    app.chat.store().close().await.unwrap();
    for reading in [search(), Command::Sync { since: None, limit: 1 }, Command::ListUnread { limit: 1 }] {
        let failed = app.dispatch(ann, reading).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Unavailable);
        assert!(!app.announcer.is_in_doubt());
    }
    assert_eq!(app.dispatch(ann, note(ann)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(app.announcer.is_in_doubt(), "it may have been stored");
}

#[tokio::test]
async fn reading_much_takes_a_turn_and_too_many_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (app, user) = app_of_one(&folder).await;
    let asked = |n: usize| match n % 2 {
        0 => app.start(user, Command::Sync { since: Some(Position(0)), limit: 1 }),
        _ => app.start(user, Command::ListUnread { limit: 1 }),
    };
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(app.syncs.next().await.unwrap());
    }
    let mut waiting: Vec<_> = (0..MOST_WAITING).map(|n| Box::pin(asked(n))).collect();
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
    for asked in waiting {
        assert!(matches!(asked.await, Dispatched::Done(Ok(Reply::Changes(_) | Reply::Unread(_)))));
    }
    for n in 0..2 {
        assert!(matches!(asked(n).await, Dispatched::Done(Ok(_))), "nobody waits any more");
    }
}
