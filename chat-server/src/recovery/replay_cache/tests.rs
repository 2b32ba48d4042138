//! Tests of what reconnecting clients receive, and of what they must not receive any more.

use chat_core::aspects::context::Context;
use chat_core::aspects::edits::EditMessage;
use chat_core::chat::Registration;
use chat_core::command::{
    Actor, CreateRoom, DeleteMessage, Destination, RemoveMember, Request, RestoreMessage, SendMessage,
    UpdateProfile,
};
use chat_core::model::{Content, PasswordHash, UserKey, Visibility};

use super::*;

fn everything_after(after: Position) -> Missing {
    Missing { after, up_to: Position(u64::MAX) }
}

struct World {
    chat: Arc<Chat>,
    cache: ReplayCache,
    ann: UserId,
    bob: UserId,
}

impl World {
    async fn new() -> Self {
        let chat = Arc::new(Chat::in_memory());
        let mut users = Vec::new();
        for name in ["ann", "bob"] {
            let registration = Registration::named(name, PasswordHash::new("x".to_owned()));
            users.push(chat.register(registration).await.unwrap().user.id);
        }
        Self {
            cache: ReplayCache::new(chat.clone(), &Dialects::built_in()),
            chat,
            ann: users[0],
            bob: users[1],
        }
    }

    /// Stores, observes and announces, as a server does.
    async fn execute<R: Request>(&self, actor: UserId, request: R) -> R::Reply {
        let outcome = self.chat.execute(&Actor { user: actor }, request).await.unwrap();
        outcome.deliveries.iter().for_each(|delivery| self.cache.observe(delivery));
        outcome.reply
    }

    async fn say(&self, to: Destination, text: &str) -> MessageId {
        let content = Content::text(text);
        let send =
            SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
        self.execute(self.ann, send).await.message.id
    }

    fn bob(&self) -> Destination {
        Destination::Person(UserKey::Id(self.bob))
    }

    /// The positions that a user receives after `position`, read to the end.
    async fn told(&self, user: UserId, position: u64) -> Vec<u64> {
        let (mut at, mut told) = (Position(position), Vec::new());
        while let Some(read) = self.cache.after(everything_after(at)).await.unwrap() {
            let push = &Dialects::built_in().find("push").unwrap().clone();
            let shown = read.of_user(user, push, Base::default()).filter(|(_, frames)| !frames.is_empty());
            told.extend(shown.map(|(position, _)| position.0));
            let Some(to) = read.to() else { break };
            assert!(to > at, "every answer leads on");
            at = to;
        }
        told
    }
}

#[tokio::test]
async fn everything_is_found_from_everywhere_also_what_came_since() {
    let world = World::new().await;
    let last = 3 * LENGTH + 7;
    for n in 0..last {
        world.say(world.bob(), &format!("{n}")).await;
    }
    for round in 0..2 {
        for from in [0, 1, LENGTH - 1, LENGTH, LENGTH + 1, last - 1, last, last + 1, last + LENGTH] {
            let expected: Vec<u64> = (from + 1..=last + round).collect();
            assert_eq!(world.told(world.bob, from).await, expected, "after {from} in round {round}");
        }
        world.say(world.bob(), "one more").await;
    }
}

#[tokio::test]
async fn what_was_deleted_since_it_was_read_is_not_shown() {
    let world = World::new().await;
    let first = world.say(world.bob(), "one").await;
    world.say(world.bob(), "two").await;
    assert_eq!(world.told(world.bob, 0).await, [1, 2]);
    world.execute(world.ann, DeleteMessage { message: first }).await;
    assert_eq!(world.told(world.bob, 0).await, [2, 3], "the deletion is told of, the message is not");
    world.execute(world.ann, RestoreMessage { message: first }).await;
    assert_eq!(world.told(world.bob, 3).await, [4]);
}

/// A deleted message was restored, and that is not announced yet: a client that read now would receive only the
/// deletion.
#[tokio::test]
async fn what_is_not_announced_yet_is_left_for_later() {
    let world = World::new().await;
    let id = world.say(world.bob(), "one").await;
    world.execute(world.ann, DeleteMessage { message: id }).await;
    let restore = RestoreMessage { message: id };
    let outcome = world.chat.execute(&Actor { user: world.ann }, restore).await.unwrap();
    let push = &Dialects::built_in().find("push").unwrap().clone();
    let told = async |missing| {
        let read = world.cache.after(missing).await.unwrap().unwrap();
        let positions: Vec<u64> =
            read.of_user(world.bob, push, Base::default()).map(|(at, _)| at.0).collect();
        (positions, read.to().map(|to| to.0))
    };
    assert_eq!(told(Missing { after: Position(0), up_to: Position(2) }).await, (vec![2], Some(2)));
    outcome.deliveries.iter().for_each(|delivery| world.cache.observe(delivery));
    assert_eq!(told(Missing { after: Position(2), up_to: Position(3) }).await, (vec![3], Some(3)));
}

#[tokio::test]
async fn who_has_left_is_told_nothing_more() {
    let world = World::new().await;
    let create =
        CreateRoom { name: "room".into(), visibility: Visibility::Private, members: vec![world.bob] };
    let room = world.execute(world.ann, create).await;
    world.say(Destination::Conversation(room.id), "secret").await;
    assert!(world.cache.after(everything_after(Position(1))).await.unwrap().is_some(), "it is known now");
    world.execute(world.ann, RemoveMember { room: room.id, user: world.bob }).await;
    let read = world.cache.after(everything_after(Position(1))).await.unwrap().unwrap();
    let push = &Dialects::built_in().find("push").unwrap().clone();
    assert_eq!(
        read.of_user(world.bob, push, Base::default()).map(|(at, _)| at.0).collect::<Vec<_>>(),
        [3],
        "his leaving"
    );
    assert_eq!(
        read.of_user(world.ann, push, Base::default()).map(|(at, _)| at.0).collect::<Vec<_>>(),
        [2, 3]
    );
}

#[tokio::test]
async fn what_was_forgotten_is_none() {
    let world = World::new().await;
    for n in 0..10 {
        world.say(world.bob(), &format!("{n}")).await;
    }
    let latest = chat_core::clock::Timestamp::from_millis(i64::MAX);
    assert_eq!(world.chat.store().forget_before(latest).await.unwrap(), Position(9));
    assert!(world.cache.after(everything_after(Position(3))).await.unwrap().is_none());
    assert_eq!(world.told(world.bob, 9).await, [10], "the rest of a part can be read");
}

#[tokio::test]
async fn who_was_away_for_long_is_told_the_same() {
    let world = World::new().await;
    let registration = Registration::named("cid", PasswordHash::new("x".to_owned()));
    let cid = world.chat.register(registration).await.unwrap().user.id;
    let name = "room".to_owned();
    let create = CreateRoom { name, visibility: Visibility::Public, members: vec![cid] };
    let room = world.execute(world.ann, create).await;
    for n in 0..3 * AT_ONCE {
        let id = match n % 3 {
            0 => world.say(Destination::Conversation(room.id), "to the room").await,
            _ => world.say(world.bob(), "to bob").await,
        };
        if n % 7 == 0 {
            world.execute(world.ann, DeleteMessage { message: id }).await;
        }
    }
    let profile = chat_core::model::ProfilePatch::default();
    world.execute(world.bob, UpdateProfile { patch: profile }).await;
    let push = &Dialects::built_in().find("push").unwrap().clone();
    for user in [world.ann, world.bob, cid] {
        for from in [0, 1, 2, 100] {
            let (mut at, mut told) = (Position(from), Vec::new());
            loop {
                let read = world.cache.long_after(everything_after(at), user).await.unwrap().unwrap();
                let shown =
                    read.of_user(user, push, Base::default()).filter(|(_, frames)| !frames.is_empty());
                told.extend(shown.map(|(position, _)| position.0));
                let Some(to) = read.to() else { break };
                at = to;
            }
            assert_eq!(told, world.told(user, from).await, "after {from}");
        }
    }
    assert!(world.told(cid, 0).await.len() < world.told(world.bob, 0).await.len());
}

#[test]
fn who_was_away_for_long_asks_for_their_own() {
    let missing = |count| Missing { after: Position(7), up_to: Position(7 + count) };
    assert!(ReplayCache::is_far(missing(REACH + 1)));
    assert!(!ReplayCache::is_far(missing(REACH)));
}

#[tokio::test]
async fn of_many_changes_of_a_profile_the_last_of_each_part_is_told() {
    let world = World::new().await;
    let change = async |user, name: &str| {
        let full_name = Some(name.to_owned());
        let patch = chat_core::model::ProfilePatch { full_name, picture: None };
        world.execute(user, UpdateProfile { patch }).await;
    };
    for n in 0..LENGTH / 2 - 1 {
        change(world.ann, &format!("Ann {n}")).await;
        change(world.bob, &format!("Bob {n}")).await;
    }
    world.say(world.bob(), "and").await;
    change(world.ann, "Ann").await;
    assert_eq!(world.told(world.bob, 0).await, [LENGTH - 2, LENGTH - 1, LENGTH]);
    assert_eq!(world.told(world.bob, LENGTH - 4).await, [LENGTH - 2, LENGTH - 1, LENGTH]);
}

/// Files that are stored in a few hundred bytes are read one at a time, and their part is not read from its beginning
/// again for each of them.
#[tokio::test]
async fn what_is_large_when_it_is_decoded_is_read_in_small_parts() {
    let world = World::new().await;
    let large: Arc<str> = "x".repeat(3 << 20).into();
    for n in 0..12 {
        let file_name = (n % 2 == 0).then(|| "x.txt".to_owned());
        let text = if file_name.is_some() { large.clone() } else { "small".into() };
        let content = Content { text, file_name, image: None };
        let send = SendMessage {
            to: world.bob(),
            content,
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        world.execute(world.ann, send).await;
    }
    let most = world.chat.limits().answer_bytes;
    let (mut at, mut told) = (Position(0), Vec::new());
    while let Some(read) = world.cache.after(everything_after(at)).await.unwrap() {
        let held: usize = read.changes.iter().map(|change| change.weight()).sum();
        assert!(held < 3 * most + 64 * 1_500, "{held} bytes are held");
        let push = &Dialects::built_in().find("push").unwrap().clone();
        told.extend(read.of_user(world.bob, push, Base::default()).map(|(position, _)| position.0));
        let Some(to) = read.to() else { break };
        at = to;
    }
    assert_eq!(told, (1..=12).collect::<Vec<_>>());
    let memory = world.cache.memory.lock();
    assert!(memory.bytes == 0 && memory.parts[&0].changes.is_none(), "it is known to be large");
}

#[tokio::test]
async fn large_parts_are_not_kept() {
    let world = World::new().await;
    let large = "x".repeat(60_000);
    for _ in 0..2 * LENGTH {
        world.say(world.bob(), &large).await;
    }
    assert_eq!(world.told(world.bob, 0).await.len() as u64, 2 * LENGTH);
    assert_eq!(world.cache.memory.lock().bytes, 0);
}

#[test]
fn memory_is_bounded() {
    let mut memory = Memory::default();
    for (count, bytes) in [(3 * MAX_PARTS as u64, 1_000), (50, LARGEST_PART), (10, 1)] {
        for number in 0..count {
            memory.insert(number, Some(Arc::new([])), bytes);
            assert!(memory.bytes <= MAX_BYTES && memory.parts.len() <= MAX_PARTS);
            assert!(memory.parts.contains_key(&number), "the newest is kept");
            assert_eq!(memory.bytes, memory.parts.values().map(|part| part.bytes).sum::<usize>());
        }
    }
}

/// The message was edited: no client may receive the old text, not even with the change that brought it.
#[tokio::test]
async fn what_has_changed_since_it_was_read_is_shown_as_it_is_now() {
    let world = World::new().await;
    let id = world.say(world.bob(), "a secret that was not meant to be said").await;
    world.say(world.bob(), "two").await;
    let push = &Dialects::built_in().find("push").unwrap().clone();
    let packets = async || {
        let read = world.cache.after(everything_after(Position(0))).await.unwrap().unwrap();
        let told = read.of_user(world.bob, push, Base::default());
        let packets = told
            .flat_map(|(_, frames)| frames.into_owned())
            .map(|(_, frame)| String::from_utf8_lossy(frame.packet()).into_owned());
        packets.collect::<String>()
    };
    assert!(packets().await.contains("a secret"), "it is kept now");
    world.execute(world.ann, DeleteMessage { message: id }).await;
    let restore = RestoreMessage { message: id };
    let mut outcome = world.chat.execute(&Actor { user: world.ann }, restore).await.unwrap();
    for delivery in &mut outcome.deliveries {
        delivery.event.message_mut().unwrap().message.content.text = "something harmless".into();
        world.cache.observe(delivery);
    }
    let told = packets().await;
    assert!(
        told.contains("something harmless") && told.contains("two") && !told.contains("a secret"),
        "{told}"
    );
}

#[tokio::test]
async fn when_too_much_has_changed_everything_is_read_again() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(world.say(world.bob(), &format!("{n}")).await);
    }
    let expected = world.told(world.bob, 0).await;
    let large: Arc<str> = "x".repeat(MAX_CHANGED_BYTES / 3).into();
    for (n, id) in ids.iter().enumerate() {
        world.execute(world.ann, DeleteMessage { message: *id }).await;
        let restore = RestoreMessage { message: *id };
        let mut outcome = world.chat.execute(&Actor { user: world.ann }, restore).await.unwrap();
        for delivery in &mut outcome.deliveries {
            delivery.event.message_mut().unwrap().message.content.text = large.clone();
            world.cache.observe(delivery);
        }
        let memory = world.cache.memory.lock();
        let held: usize = memory.changed.messages.values().map(Now::bytes).sum();
        assert_eq!(memory.changed.bytes, held);
        assert!(held <= MAX_CHANGED_BYTES, "{held} bytes are held after {n}");
        assert!(memory.changed.messages.contains_key(id), "the latest is known");
    }
    assert!(world.cache.memory.lock().epoch > 0, "it was forgotten");
    let told = world.told(world.bob, 0).await;
    assert!(expected.iter().all(|position| told.contains(position)), "and is read again");
}

/// A message that quotes another one is shown with what that says now, or with nothing when it is deleted.
#[tokio::test]
async fn a_quote_follows_its_message() {
    let world = World::new().await;
    let quoted = world.say(world.bob(), "first words").await;
    let context = Context { reply_to: Some(quoted), ..Context::default() };
    let answer = SendMessage {
        to: world.bob(),
        content: Content::text("an answer"),
        client_id: None,
        fingerprint: None,
        context,
    };
    world.execute(world.ann, answer).await;
    // What Bob is told at the position of the answer.
    let told = async || {
        let native = &Dialects::built_in().find("native").unwrap().clone();
        let read = world.cache.after(everything_after(Position(1))).await.unwrap().unwrap();
        let mut told = read.of_user(world.bob, native, Base::default());
        let (position, frames) = told.next().expect("the answer");
        assert_eq!(position, Position(2));
        String::from_utf8_lossy(frames[0].1.packet()).into_owned()
    };
    assert!(told().await.contains("first words"));
    world.execute(world.ann, EditMessage { message: quoted, text: "other words".into() }).await;
    let edited = told().await;
    assert!(edited.contains("other words") && !edited.contains("first words"), "{edited}");
    world.execute(world.ann, DeleteMessage { message: quoted }).await;
    let deleted = told().await;
    assert!(deleted.contains("an answer") && !deleted.contains("words"), "{deleted}");
    world.execute(world.ann, RestoreMessage { message: quoted }).await;
    assert!(told().await.contains("other words"));
}
