//! Sessions as their owners see them.

use std::sync::Arc;

use super::*;
use crate::chat::Registration;
use crate::clock::{Clock as _, ManualClock};
use crate::command::Actor;
use crate::error::ErrorKind;
use crate::event::{Audience, Event};
use crate::model::PasswordHash;

const LIVES: SessionLives =
    SessionLives { access: Duration::from_secs(900), refresh: Duration::from_secs(86_400) };

struct Scene {
    chat: Chat,
    clock: Arc<ManualClock>,
    ann: UserId,
    bob: UserId,
}

impl Scene {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(crate::clock::Timestamp::from_millis(1_000_000)));
        let chat = Chat::in_memory().with_clock(clock.clone());
        let mut people = Vec::new();
        for name in ["ann", "bob"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        Self { chat, clock, ann: people[0], bob: people[1] }
    }

    async fn start(&self, user: UserId, n: u8) -> LoginSession {
        let first = FirstToken { family: TokenHash([n; 32]), token: TokenHash([0; 32]) };
        self.chat.start_session(user, &format!(" Device {n} "), first, LIVES).await.unwrap().reply
    }

    /// Uses the token with this number of the session, which is to be replaced by the next one.
    async fn refresh(&self, session: &LoginSession, family: u8, n: u8) -> Result<Outcome<Refreshed>, Error> {
        let used = TokenUse {
            session: session.id,
            family: TokenHash([family; 32]),
            token: TokenHash([n; 32]),
            next: TokenHash([n + 1; 32]),
            nonce: TokenNonce([n; 32]),
        };
        self.chat.refresh_session(self.ann, used, LIVES).await
    }

    async fn list(&self, user: UserId) -> Vec<LoginSession> {
        let list = ListSessions { current: None };
        self.chat.execute(&Actor { user }, list).await.unwrap().reply.sessions
    }
}

#[tokio::test]
async fn a_session_lasts_as_long_as_it_is_refreshed() {
    let scene = Scene::new().await;
    let session = scene.start(scene.ann, 1).await;
    assert_eq!(session.device, "Device 1");
    for n in 0..3 {
        scene.clock.advance(Duration::from_secs(86_399));
        let refreshed = scene.refresh(&session, 1, n).await.unwrap();
        assert_eq!((refreshed.reply, refreshed.deliveries.len()), (Refreshed::Replaced, 0));
    }
    let listed = scene.list(scene.ann).await;
    assert_eq!((listed.len(), listed[0].used_at), (1, scene.clock.now()));
    assert_eq!(listed[0].created_at, session.created_at);
    scene.clock.advance(Duration::from_secs(86_400));
    assert_eq!(scene.list(scene.ann).await, []);
    for n in [2, 3] {
        assert!(matches!(scene.refresh(&session, 1, n).await, Err(Error::SessionNotFound)), "{n}");
    }
}

#[tokio::test]
async fn a_used_token_ends_its_session() {
    let scene = Scene::new().await;
    let session = scene.start(scene.ann, 1).await;
    let other = scene.start(scene.ann, 2).await;
    scene.refresh(&session, 1, 0).await.unwrap();
    scene.refresh(&session, 1, 1).await.unwrap();
    let reused = scene.refresh(&session, 1, 0).await.unwrap();
    let [delivery] = &reused.deliveries[..] else { panic!("one session has ended") };
    assert!(matches!(&delivery.audience, Audience::Users(users) if users[..] == [scene.ann]));
    let expected = scene.clock.now().after(LIVES.access);
    assert!(matches!(
        delivery.event,
        Event::SessionEnded { user, session: id, until }
            if user == scene.ann && id == session.id && until == expected
    ));
    let revoked = scene.chat.store().revoked_tokens(scene.clock.now()).await.unwrap();
    assert_eq!(revoked, [(session.id.revocation(scene.ann), expected)]);
    assert!(matches!(scene.refresh(&session, 1, 2).await, Err(Error::SessionNotFound)), "the good one too");
    assert_eq!(scene.list(scene.ann).await.iter().map(|it| it.id).collect::<Vec<_>>(), [other.id]);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again() {
    let scene = Scene::new().await;
    let session = scene.start(scene.ann, 1).await;
    scene.refresh(&session, 1, 0).await.unwrap();
    let again = scene.refresh(&session, 1, 0).await.unwrap();
    assert_eq!(again.reply, Refreshed::Repeated(TokenNonce([0; 32])));
    // Not when it is too late.
    scene.clock.advance(policy::REFRESH_GRACE + Duration::from_millis(1));
    assert!(matches!(scene.refresh(&session, 1, 0).await.unwrap().reply, Refreshed::Reused(_)));
}

#[tokio::test]
async fn people_end_their_own_sessions_only() {
    let scene = Scene::new().await;
    let (mine, theirs) = (scene.start(scene.ann, 1).await, scene.start(scene.bob, 2).await);
    for (user, id, family, is_there) in [
        (scene.ann, mine.id, 1, true),
        (scene.ann, mine.id, 2, false),
        (scene.bob, mine.id, 1, false),
        (scene.ann, theirs.id, 2, false),
    ] {
        let has = scene.chat.has_session(user, id, TokenHash([family; 32])).await.unwrap();
        assert_eq!(has, is_there, "{family}");
    }
    let more = [scene.start(scene.ann, 3).await.id, scene.start(scene.ann, 4).await.id];
    let end = async |user, session| {
        let ended = scene.chat.execute(&Actor { user }, EndSession { session }).await;
        ended.map(|ended| (ended.reply.count, ended.deliveries.len())).map_err(|error| error.kind())
    };
    assert_eq!(end(scene.ann, theirs.id).await, Err(ErrorKind::NotFound));
    assert_eq!(end(scene.ann, LoginSessionId::from_bytes([9; 12])).await, Err(ErrorKind::NotFound));
    assert_eq!(end(scene.bob, theirs.id).await, Ok((1, 1)));
    assert_eq!(end(scene.bob, theirs.id).await, Err(ErrorKind::NotFound), "it has ended");
    let others = EndOtherSessions { current: Some(mine.id) };
    let ended = scene.chat.execute(&Actor { user: scene.ann }, others).await.unwrap();
    let told: Vec<_> = ended
        .deliveries
        .iter()
        .map(|delivery| match delivery.event {
            Event::SessionEnded { session, .. } => session,
            _ => panic!("{delivery:?}"),
        })
        .collect();
    assert_eq!((ended.reply.count, told.len()), (2, 2));
    assert!(more.iter().all(|id| told.contains(id)));
    assert_eq!(scene.list(scene.ann).await, [mine]);
    let none = scene.chat.execute(&Actor { user: scene.ann }, EndOtherSessions { current: None }).await;
    assert_eq!(none.unwrap().reply.count, 1, "without a session of one's own all end");
}

#[tokio::test]
async fn a_device_has_a_name_that_can_be_shown() {
    let scene = Scene::new().await;
    let first = FirstToken { family: TokenHash([1; 32]), token: TokenHash([0; 32]) };
    for (device, kind) in [
        ("", ErrorKind::Invalid),
        (" ", ErrorKind::Invalid),
        ("a\u{202e}b", ErrorKind::Invalid),
        (&"a".repeat(101), ErrorKind::TooLarge),
    ] {
        let refused = scene.chat.start_session(scene.ann, device, first, LIVES).await;
        assert_eq!(refused.map(|_| ()).map_err(|error| error.kind()), Err(kind), "{device:?}");
    }
    let nobody = UserId::from_bytes([9; 12]);
    let refused = scene.chat.start_session(nobody, "phone", first, LIVES).await;
    assert!(matches!(refused, Err(Error::UserNotFound)));
    assert_eq!(scene.list(nobody).await, []);
}
