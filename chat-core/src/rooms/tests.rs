//! What holds for [`rooms`](super).

use std::sync::Arc;
use std::time::Duration;

use crate::chat::{Chat, Registration};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::command::{
    Actor, AddMember, CreateRoom, Destination, Outcome, ReadHistory, Request, SendMessage, SetRole,
};
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::history::Window;
use crate::id::{ConversationId, UserId};
use crate::model::{Content, ConversationKind, PasswordHash, Role, RoomAspect, Visibility};
use crate::rooms::{ListBans, MAX_SLOW_MODE, Muting, Rules, SetBan, SetMute, UpdateRoom};
use crate::store::MemoryStore;

struct World {
    chat: Chat,
    /// Another process over the same store.
    there: Chat,
    clock: Arc<ManualClock>,
    ann: UserId,
    bob: UserId,
    cid: UserId,
    club: ConversationId,
}

impl World {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
        let chat = Chat::new(store.clone()).with_clock(clock.clone());
        let there = Chat::new(store).with_clock(clock.clone());
        let mut people = Vec::new();
        for name in ["ann", "bob", "cid"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let (ann, bob, cid) = (people[0], people[1], people[2]);
        let create = CreateRoom { name: "club".into(), visibility: Visibility::Public, members: vec![bob] };
        let club = chat.execute(&Actor { user: ann }, create).await.unwrap().reply.id;
        Self { chat, there, clock, ann, bob, cid, club }
    }

    async fn ask<R: Request>(&self, user: UserId, request: R) -> Result<Outcome<R::Reply>, Error> {
        self.chat.execute(&Actor { user }, request).await
    }

    fn say(&self) -> SendMessage {
        let to = Destination::Conversation(self.club);
        SendMessage {
            to,
            content: Content::text("x"),
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        }
    }

    fn ban(&self, user: UserId, is_banned: bool) -> SetBan {
        SetBan { room: self.club, user, is_banned }
    }

    fn mute(&self, user: UserId, muting: Muting) -> SetMute {
        SetMute { room: self.club, user, muting }
    }
}

#[test]
fn rules_come_back_as_they_were_kept() {
    let rules = Rules::from_value(&[1, 0, 0, 1, 0, 9, 9]);
    assert_eq!((rules.has_mutes, rules.slow_mode), (true, 256), "what is behind is of a newer version");
    assert_eq!(Rules::from_value(&[]), Rules::default());
    assert_eq!(Rules::from_value(&[0xfe, 0, 0]), Rules::default(), "half a number is none");
}

#[tokio::test]
async fn a_ban_takes_out_is_listed_and_is_lifted() {
    let world = World::new().await;
    let (ann, bob, cid, club) = (world.ann, world.bob, world.cid, world.club);
    let banned = world.ask(ann, world.ban(bob, true)).await.unwrap();
    assert!(banned.reply.member(bob).is_none(), "the answer is the room as it is then");
    let [gone, told] = &banned.deliveries[..] else { panic!("{banned:?}") };
    assert!(matches!(gone.event, Event::MemberRemoved { user, .. } if user == bob));
    assert!(gone.audience.includes(bob) && !told.audience.includes(bob));
    assert!(
        matches!(told.event, Event::RoomChanged { aspect: RoomAspect::Banned(user), by, .. } if (user, by) == (bob, ann))
    );
    world.ask(ann, world.ban(cid, true)).await.unwrap();
    let again = world.ask(ann, world.ban(cid, true)).await.unwrap();
    assert!(again.deliveries.is_empty(), "twice is once");
    for user in [bob, cid] {
        let error = world.ask(user, AddMember { room: club, user }).await.unwrap_err();
        assert_eq!(error.to_string(), "You are banned from this room");
        let refused = world.ask(user, ListBans { room: club, after: None, limit: 9 }).await.unwrap_err();
        assert!(matches!(refused, Error::ConversationNotFound), "{refused}");
    }
    let list = |after, limit| ListBans { room: club, after, limit };
    let all = world.ask(ann, list(None, 9)).await.unwrap().reply;
    assert_eq!(all.bans.iter().map(|ban| (ban.user, ban.by)).collect::<Vec<_>>(), [(bob, ann), (cid, ann)]);
    assert!(!all.has_more);
    let first = world.ask(ann, list(None, 1)).await.unwrap().reply;
    assert_eq!((&first.bans[..], first.has_more), (&all.bans[..1], true));
    let second = world.ask(ann, list(Some(bob), 1)).await.unwrap().reply;
    assert_eq!((&second.bans[..], second.has_more), (&all.bans[1..], false));
    world.ask(ann, world.ban(bob, false)).await.unwrap();
    world.ask(bob, AddMember { room: club, user: bob }).await.unwrap();
    let refused = world.ask(bob, list(None, 9)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden, "plain members do not see who is banned");
    world.ask(ann, SetRole { room: club, user: bob, role: Role::Moderator }).await.unwrap();
    assert_eq!(world.ask(bob, list(None, 9)).await.unwrap().reply.bans.len(), 1);
}

#[tokio::test]
async fn a_mute_ends_by_itself() {
    let world = World::new().await;
    let now = world.clock.now();
    let until = now.after(Duration::from_secs(60));
    for past in [now, Timestamp::from_millis(0), Timestamp::from_millis(i64::MIN)] {
        let error = world.ask(world.ann, world.mute(world.bob, Muting::Until(past))).await.unwrap_err();
        assert_eq!(error.to_string(), "until must be later than now");
    }
    world.ask(world.ann, world.mute(world.bob, Muting::Until(until))).await.unwrap();
    let error = world.ask(world.bob, world.say()).await.unwrap_err();
    assert_eq!(error.to_string(), "You are muted in this room");
    let read = ReadHistory {
        of: Destination::Conversation(world.club),
        window: Window::Latest { limit: 9 },
        include_deleted: false,
    };
    assert!(world.ask(world.bob, read).await.is_ok(), "they read on");
    world.clock.advance(Duration::from_secs(60));
    world.ask(world.bob, world.say()).await.unwrap();
    world.ask(world.ann, world.mute(world.bob, Muting::ForEver)).await.unwrap();
    world.clock.advance(Duration::from_secs(1 << 30));
    assert!(world.ask(world.bob, world.say()).await.is_err());
    world.ask(world.ann, world.mute(world.bob, Muting::Lifted)).await.unwrap();
    world.ask(world.bob, world.say()).await.unwrap();
}

#[tokio::test]
async fn a_wait_is_set_shown_and_says_for_how_long() {
    let world = World::new().await;
    let shown = async |chat: &Chat| {
        let room = chat.directory.conversation(world.club).await.unwrap();
        match &room.kind {
            ConversationKind::Room(info) => info.details.slow_mode,
            ConversationKind::Direct { .. } => unreachable!(),
        }
    };
    assert_eq!((shown(&world.chat).await, shown(&world.there).await), (0, 0));
    let update = |seconds| UpdateRoom { room: world.club, slow_mode: Some(seconds) };
    let error = world.ask(world.ann, update(MAX_SLOW_MODE + 1)).await.unwrap_err();
    assert_eq!(error.to_string(), "slowMode is larger than 21600 seconds");
    assert_eq!(world.ask(world.bob, update(9)).await.unwrap_err().kind(), ErrorKind::Forbidden);
    let updated = world.ask(world.ann, update(30)).await.unwrap();
    assert_eq!(updated.deliveries.len(), 1);
    assert_eq!(shown(&world.chat).await, 30);
    let before = updated.deliveries[0].position.unwrap().0 - 1;
    let told = world.there.changes_after(crate::model::Position(before), 9).await.unwrap().unwrap();
    assert!(matches!(told[0].event, Event::RoomChanged { aspect: RoomAspect::Updated, .. }));
    assert_eq!(shown(&world.there).await, 30, "another process has heard of it");
    world.ask(world.bob, world.say()).await.unwrap();
    world.clock.advance(Duration::from_secs(10));
    let error = world.ask(world.bob, world.say()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(20))));
    world.clock.advance(Duration::from_secs(20));
    world.ask(world.bob, world.say()).await.unwrap();
}
