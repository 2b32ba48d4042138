//! Which requests count as attempts to log in or to sign up, and what is logged about them.

use std::collections::HashMap;

use async_trait::async_trait;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use bytes::Bytes;
use chat_core::id::UserId;
use chat_core::model::PasswordHash;
use chat_core::model::Position;
use chat_core::prelude::Chat;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::*;
use crate::auth::password::MAX_WAITING_OF_ADDRESS;
use crate::cluster::{Bus, BusError, Heard, SharedCounters};
use crate::config::{Config, Options};
use crate::dispatch::tests::{options, search};
use crate::security_log::Source;
use crate::security_log::tests::capture;

const HERE: Address = Address(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)));
const PASSWORD: &str = "a word of ann";

fn ann() -> UserKey {
    UserKey::Username("ann".into())
}

async fn app(
    configure: impl FnOnce(&mut Options),
    bus: Option<Arc<dyn Bus>>,
) -> (Arc<App>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(&folder);
    (options.login_limit, options.login_address_limit, options.signup_limit) = (2, 3, 2);
    configure(&mut options);
    let app = App::with_bus(Config::check(&options).unwrap(), Chat::in_memory(), bus).await.unwrap();
    (app, folder)
}

async fn sign_up(app: &Arc<App>, name: &str) -> Result<Arc<User>, StatusCode> {
    let password = app.config.auth.passwords.check(PASSWORD.into(), 6).unwrap();
    let registered = app.register(HERE, password, Registration::named(name, PasswordHash::new(""))).await;
    registered.map_err(|error| error.into_response().status())
}

/// Whether a login succeeds, or the status of its refusal.
async fn log_in(app: &Arc<App>, key: UserKey, password: &str) -> Result<bool, StatusCode> {
    match app.log_in(HERE, key, password.into()).await {
        Ok(LogIn::Welcome(_)) => Ok(true),
        Ok(LogIn::WrongPassword | LogIn::Unknown) => Ok(false),
        Err(error) => Err(error.into_response().status()),
    }
}

const TOO_MANY: StatusCode = StatusCode::TOO_MANY_REQUESTS;
const AWAY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

#[tokio::test]
async fn failures_of_the_caller_count() {
    let (app, _folder) = app(|_| {}, None).await;
    sign_up(&app, "ann").await.unwrap();
    assert_eq!(log_in(&app, ann(), "wrong").await, Ok(false));
    // A successful login resets the failures of the account.
    assert_eq!(log_in(&app, ann(), PASSWORD).await, Ok(true));
    assert_eq!(log_in(&app, ann(), "wrong\0").await, Ok(false));
    assert_eq!(log_in(&app, ann(), "").await, Ok(false));
    assert_eq!(log_in(&app, ann(), PASSWORD).await, Err(TOO_MANY), "and now it is locked");
    assert_eq!(log_in(&app, UserKey::Username("nobody".into()), "x").await, Err(TOO_MANY), "the address too");
    // A sign-up that fails counts as an attempt.
    assert_eq!(sign_up(&app, "ANN").await, Err(StatusCode::BAD_REQUEST));
    assert_eq!(sign_up(&app, "bob").await, Err(TOO_MANY));
}

#[tokio::test]
async fn what_has_not_the_form_is_no_attempt() {
    let (app, _folder) = app(|_| {}, None).await;
    for _ in 0..5 {
        assert_eq!(sign_up(&app, "a\u{200b}nn").await, Err(StatusCode::BAD_REQUEST));
    }
    sign_up(&app, "ann").await.unwrap();
    sign_up(&app, "bob").await.unwrap();
    assert_eq!(sign_up(&app, "carl").await, Err(TOO_MANY));
}

#[tokio::test]
async fn what_is_our_fault_counts_for_nobody() {
    let bus = Arc::new(CountingBus::default());
    let (app, _folder) = app(|_| {}, Some(bus.clone())).await;
    sign_up(&app, "ann").await.unwrap();
    let now = app.chat.now();

    // The queue of password turns is full.
    let mut held = vec![app.passwords.turn(HERE).await.unwrap()];
    while let Some(Ok(turn)) = futures_util::FutureExt::now_or_never(app.passwords.turn(HERE)) {
        held.push(turn);
    }
    let mut waiting: Vec<_> =
        (0..MAX_WAITING_OF_ADDRESS).map(|_| Box::pin(app.passwords.turn(HERE))).collect();
    for turn in &mut waiting {
        assert!(futures_util::poll!(turn.as_mut()).is_pending());
    }
    for _ in 0..9 {
        assert_eq!(log_in(&app, ann(), PASSWORD).await, Err(TOO_MANY));
        assert_eq!(sign_up(&app, "bob").await, Err(TOO_MANY));
    }
    drop((waiting, held));
    assert_eq!(log_in(&app, ann(), PASSWORD).await, Ok(true));

    // The store is unavailable.
    app.chat.store().close().await.unwrap();
    for _ in 0..9 {
        assert_eq!(log_in(&app, ann(), PASSWORD).await, Err(AWAY));
        assert_eq!(log_in(&app, ann(), "wrong").await, Err(AWAY));
        assert_eq!(sign_up(&app, "bob").await, Err(AWAY));
    }
    for _ in 0..2 {
        assert!(app.log_ins.acquire((HERE, ann()), now).map(|permit| permit.count()).is_ok());
        assert!(app.log_ins_of_address.acquire(HERE, now).map(|permit| permit.count()).is_ok());
    }
    assert!(app.sign_ups.check(&HERE, now).is_ok(), "one account was made");
    // The limit counts on all nodes together, once the removed attempt has arrived there.
    bus.settled(1).await;
}

#[tokio::test]
async fn whoever_gives_up_while_waiting_has_not_tried() {
    let (app, _folder) = app(|_| {}, None).await;
    sign_up(&app, "ann").await.unwrap();
    let mut held = vec![app.passwords.turn(HERE).await.unwrap()];
    while let Some(Ok(turn)) = futures_util::FutureExt::now_or_never(app.passwords.turn(HERE)) {
        held.push(turn);
    }
    for _ in 0..9 {
        let mut trying = Box::pin(log_in(&app, ann(), "wrong"));
        assert!(futures_util::poll!(trying.as_mut()).is_pending(), "it waits, and counts for nothing yet");
    }
    drop(held);
    assert_eq!(log_in(&app, ann(), PASSWORD).await, Ok(true));
}

/// The server does the same password work before it checks whether a name is free or an account exists, so the response
/// time reveals neither.
#[tokio::test]
async fn who_exists_makes_nothing_faster() {
    let (app, _folder) = app(|options| options.login_limit = 0, None).await;
    sign_up(&app, "ann").await.unwrap();
    let mut held = vec![app.passwords.turn(HERE).await.unwrap()];
    while let Some(Ok(turn)) = futures_util::FutureExt::now_or_never(app.passwords.turn(HERE)) {
        held.push(turn);
    }
    let mut taken = Box::pin(sign_up(&app, "ann"));
    let mut wrong = Box::pin(log_in(&app, ann(), "wrong"));
    let mut empty = Box::pin(log_in(&app, ann(), ""));
    let mut unknown = Box::pin(log_in(&app, UserKey::Username("nobody".into()), "wrong"));
    assert!(futures_util::poll!(taken.as_mut()).is_pending());
    for trying in [&mut wrong, &mut empty, &mut unknown] {
        assert!(futures_util::poll!(trying.as_mut()).is_pending());
    }
    drop(held);
    assert_eq!(taken.await, Err(StatusCode::BAD_REQUEST));
    for trying in [wrong, empty, unknown] {
        assert_eq!(trying.await, Ok(false));
    }
}

#[tokio::test]
async fn an_account_is_one_however_its_name_is_typed() {
    let (app, _folder) = app(|_| {}, None).await;
    sign_up(&app, "zoé").await.unwrap();
    for typed in ["zoé", "ZOE\u{301}"] {
        assert_eq!(log_in(&app, UserKey::Username(typed.into()), "wrong").await, Ok(false));
    }
    assert_eq!(log_in(&app, UserKey::Username("zoe\u{301}".into()), PASSWORD).await, Err(TOO_MANY));
}

#[tokio::test]
async fn a_cheap_hash_is_renewed_when_its_owner_logs_in() {
    let (app, _folder) = app(|options| options.bcrypt_cost = 6, None).await;
    // The hash of an old backend.
    let old = PasswordHash::new(bcrypt::hash(PASSWORD, 4).unwrap());
    let id = app.chat.register(Registration::named("ann", old.clone())).await.unwrap().user.id;
    let kept = async || app.chat.credentials(&UserKey::Id(id)).await.unwrap().unwrap().1;
    assert_eq!(log_in(&app, ann(), "wrong").await, Ok(false));
    assert!(kept().await == old);
    assert_eq!(log_in(&app, ann(), PASSWORD).await, Ok(true));
    let new = kept().await;
    assert!(new.expose().starts_with("$2b$06$") && bcrypt::verify(PASSWORD, new.expose()).unwrap());
    assert_eq!(log_in(&app, ann(), PASSWORD).await, Ok(true));
    assert!(kept().await == new, "once");
    assert_eq!(app.chat.store().last_position().await.unwrap(), Position(0), "nobody is told");
}

#[tokio::test]
async fn the_security_log_tells_who_came_and_who_did_not() {
    let (lines, _guard) = capture();
    let (app, _folder) = app(|_| {}, None).await;
    let events = || {
        let lines = lines.take();
        let said = |line: &serde_json::Value| {
            for name in ["ann", "nobody", PASSWORD] {
                assert!(!line.to_string().contains(name), "{line}");
            }
            let text = |field: &str| line[field].as_str().map(str::to_owned);
            assert_eq!((text("address"), text("request_id")), (Some("10.0.0.1".into()), Some("r1".into())));
            (text("event").unwrap(), text("what"), text("user.id"))
        };
        lines.iter().map(said).collect::<Vec<_>>()
    };
    let source = Source { address: Some(HERE), request_id: Some("r1".into()) };
    let event =
        |event: &str, user: Option<UserId>| (event.to_owned(), None, user.map(|user| user.to_string()));
    source
        .scope(async {
            let user = Some(sign_up(&app, "ann").await.unwrap().id);
            assert_eq!(events(), [event("sign_up", user)]);
            let welcome = app.log_in(HERE, ann(), PASSWORD.into()).await.unwrap();
            let LogIn::Welcome(person) = welcome else { panic!("the password is good") };
            assert_eq!(events(), [event("log_in", user)]);
            log_in(&app, ann(), "wrong").await.unwrap();
            log_in(&app, UserKey::Username("nobody".into()), "wrong").await.unwrap();
            assert_eq!(events(), [event("log_in_failed", user), event("log_in_failed", None)]);
            log_in(&app, ann(), "wrong again").await.unwrap();
            assert_eq!(events(), [], "the same again is only counted");
            log_in(&app, ann(), PASSWORD).await.unwrap_err();
            log_in(&app, ann(), PASSWORD).await.unwrap_err();
            assert_eq!(events(), [event("locked_out", None)]);
            sign_up(&app, "bob").await.unwrap();
            sign_up(&app, "carl").await.unwrap_err();
            let met = |what: &str, user: Option<UserId>| {
                ("limit_met".to_owned(), Some(what.to_owned()), user.map(|user| user.to_string()))
            };
            assert_eq!(events()[1..], [met("sign-ups", None)]);
            let token = app.auth.issue(&person, app.config.dialects.find("camel").unwrap());
            app.log_out(&token).await.map_err(|_| ()).unwrap();
            app.log_out("nonsense").await.map_err(|_| ()).unwrap();
            assert_eq!(events(), [event("log_out", user)]);
            for _ in 0..4 {
                let _ = app.dispatch(person.id, search()).await;
            }
            assert_eq!(events(), [met("commands", user)]);
        })
        .await;
    app.security.close();
    let summed = lines.take();
    assert_eq!(summed.len(), 3, "{summed:#?}");
    assert!(summed.iter().all(|line| line["repeated"] == 1), "{summed:#?}");
}

/// A bus that only counts.
#[derive(Default)]
struct CountingBus {
    counted: Mutex<HashMap<String, Vec<Vec<u8>>>>,
    changed: tokio::sync::Notify,
}

impl CountingBus {
    /// Waits until at most `most` attempts are counted.
    async fn settled(&self, most: usize) {
        loop {
            let changed = self.changed.notified();
            let count: usize = self.counted.lock().values().map(Vec::len).sum();
            if count <= most {
                return;
            }
            changed.await;
        }
    }
}

#[async_trait]
impl Bus for CountingBus {
    fn listen(&self, _: mpsc::Sender<Heard>) {}

    async fn publish(&self, _: Bytes) -> Result<(), BusError> {
        Ok(())
    }

    fn counters(&self) -> Option<&dyn SharedCounters> {
        Some(self)
    }
}

#[async_trait]
impl SharedCounters for CountingBus {
    async fn count(
        &self,
        key: &str,
        attempt: &[u8],
        most: u32,
        within: Duration,
    ) -> Result<Option<Duration>, BusError> {
        let mut counted = self.counted.lock();
        let attempts = counted.entry(key.to_owned()).or_default();
        if attempts.len() >= most as usize {
            return Ok(Some(within));
        }
        attempts.push(attempt.to_owned());
        Ok(None)
    }

    async fn uncount(&self, key: &str, attempt: &[u8]) -> Result<(), BusError> {
        if let Some(attempts) = self.counted.lock().get_mut(key) {
            attempts.retain(|other| other != attempt);
        }
        self.changed.notify_waiters();
        Ok(())
    }

    async fn forget(&self, key: &str) -> Result<(), BusError> {
        self.counted.lock().remove(key);
        self.changed.notify_waiters();
        Ok(())
    }
}

#[tokio::test]
async fn what_happens_to_sessions_is_in_the_security_log() {
    let (lines, _guard) = capture();
    let (app, _folder) = app(|_| {}, None).await;
    let ann = sign_up(&app, "ann").await.unwrap();
    let native = app.config.dialects.find("native").unwrap().clone();
    let open = async || app.open_session(&ann, &native, "phone".into()).await.unwrap();
    let refresh = async |token: &str| app.refresh(HERE, &native, token).await;
    let events = || {
        let lines = lines.take();
        let of_ann = |line: &serde_json::Value| line["user.id"] == ann.id.to_string();
        lines.iter().filter(|line| of_ann(line)).map(|line| line["event"].clone()).collect::<Vec<_>>()
    };
    lines.take();
    let first = open().await;
    let second = refresh(&first.refresh).await.unwrap();
    refresh(&second.refresh).await.unwrap();
    assert_eq!(events(), [""; 0], "nothing of it matters");
    let Err(refused) = refresh(&first.refresh).await else { panic!("it was used") };
    assert_eq!(refused.into_response().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(events(), ["session_ended", "token_reused"]);
    assert!(app.auth.authenticate(&second.access).await.is_err(), "at once");
    // The other ways in which a session ends. The same again within a minute is only counted.
    let third = open().await;
    app.log_out(&third.access).await.unwrap();
    assert_eq!(events(), ["log_out"]);
    let fourth = open().await;
    app.log_out_refresh(&fourth.refresh).await.unwrap();
    app.log_out_refresh(&fourth.refresh).await.unwrap();
    app.log_out_refresh("nonsense").await.unwrap();
    for token in [third, fourth] {
        assert!(app.auth.authenticate(&token.access).await.is_err());
        assert!(refresh(&token.refresh).await.is_err());
    }
}

/// Its refresh token would be good again as soon as the store is back.
#[tokio::test]
async fn a_session_that_cannot_be_ended_is_not_said_to_be() {
    let (app, _folder) = app(|_| {}, None).await;
    let ann = sign_up(&app, "ann").await.unwrap();
    let native = app.config.dialects.find("native").unwrap().clone();
    let opened = app.open_session(&ann, &native, "phone".into()).await.unwrap();
    app.chat.store().close().await.unwrap();
    let Err(refused) = app.log_out(&opened.access).await else { panic!("it has not ended") };
    assert_eq!(refused.into_response().status(), AWAY);
}
