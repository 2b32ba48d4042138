use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use super::*;
use crate::chat::{Chat, Registration};
use crate::command::{Actor, CreateRoom, Request};
use crate::model::{Members, PasswordHash, Position, Role, Visibility};
use crate::store::{self, MemoryStore};

struct Scene {
    chat: Chat,
    room: ConversationId,
    people: Vec<UserId>,
}

impl Scene {
    async fn new() -> Self {
        let chat = Chat::new(Arc::new(MemoryStore::new()));
        let mut people = Vec::new();
        for name in ["ann", "bob", "cid"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let create = CreateRoom { name: "r".into(), visibility: Visibility::Private, members: vec![] };
        let room = Self::run(&chat, people[0], create).await.id;
        chat.directory.conversation(room).await.unwrap();
        Self { chat, room, people }
    }

    async fn run<R: Request>(chat: &Chat, user: UserId, request: R) -> R::Reply {
        chat.execute(&Actor { user }, request).await.unwrap().reply
    }

    /// Adds a member directly in the store, as another process would.
    async fn add(&self, user: UserId) {
        let (by, at, max_members) = (self.people[0], Timestamp::from_millis(1), 9);
        let add = store::AddMember { room: self.room, by, user, at, max_members };
        self.chat.store.add_member(add).await.unwrap().unwrap();
    }

    async fn remove(&self, user: UserId) {
        let (by, at) = (self.people[0], Timestamp::from_millis(2));
        let remove = store::RemoveMember { room: self.room, by, user, at };
        self.chat.store.remove_member(remove).await.unwrap().unwrap();
    }

    /// The cached members and the stored ones.
    async fn both(&self) -> (Members, Members) {
        let remembered = self.chat.directory.conversation(self.room).await.unwrap();
        let stored = self.chat.store.conversation(self.room).await.unwrap().unwrap();
        (remembered.members.clone(), stored.members.clone())
    }

    fn is_remembered(&self) -> bool {
        self.chat.directory.conversations.peek(&self.room).is_some()
    }
}

#[tokio::test]
async fn what_is_heard_of_late_undoes_nothing_newer() {
    let scene = Scene::new().await;
    let bob = scene.people[1];
    // Bob joined, left and joined again; the directory hears of it in another order.
    scene.add(bob).await;
    scene.chat.directory.refresh_members(scene.room, &[bob]).await;
    let before = scene.chat.directory.conversation(scene.room).await.unwrap();
    assert!(before.member(bob).is_some());
    scene.remove(bob).await;
    scene.chat.directory.refresh_members(scene.room, &[bob]).await;
    // Only now the directory learns from the log that he joined.
    scene.chat.changes_after(Position(0), 2).await.unwrap();
    let (remembered, stored) = scene.both().await;
    assert_eq!((remembered.get(bob), remembered == stored), (None, true));
    assert!(before.member(bob).is_some(), "who has the room from before keeps it as it was");
    assert!(scene.is_remembered(), "nothing was looked up as a whole");
}

#[tokio::test]
async fn those_who_wait_for_a_look_up_find_what_is_so_after_it() {
    let scene = Scene::new().await;
    let [_, bob, cid] = scene.people[..] else { unreachable!() };
    let directory = &scene.chat.directory;
    let known = directory.conversations.peek(&scene.room).unwrap();
    let turn = known.hold_turn().await;
    let mut context = Context::from_waker(Waker::noop());
    scene.add(bob).await;
    let mut first = pin!(directory.refresh_members(scene.room, std::slice::from_ref(&bob)));
    assert!(first.as_mut().poll(&mut context).is_pending());
    scene.add(cid).await;
    scene.remove(bob).await;
    let both = [bob, cid];
    let mut second = pin!(directory.refresh_members(scene.room, &both));
    assert!(second.as_mut().poll(&mut context).is_pending());
    drop(turn);
    first.await;
    second.await;
    let (remembered, stored) = scene.both().await;
    assert_eq!(remembered, stored);
    assert_eq!((remembered.get(bob), remembered.get(cid).map(|cid| cid.role)), (None, Some(Role::Member)));
}

#[tokio::test]
async fn a_look_up_that_is_given_up_leaves_nothing_behind_that_is_old() {
    let scene = Scene::new().await;
    let bob = scene.people[1];
    let directory = &scene.chat.directory;
    let known = directory.conversations.peek(&scene.room).unwrap();
    let turn = known.hold_turn().await;
    scene.add(bob).await;
    {
        let mut context = Context::from_waker(Waker::noop());
        let mut given_up = pin!(directory.refresh_members(scene.room, std::slice::from_ref(&bob)));
        assert!(given_up.as_mut().poll(&mut context).is_pending());
    }
    assert!(!scene.is_remembered());
    drop(turn);
    let (remembered, stored) = scene.both().await;
    assert!(remembered == stored && remembered.get(bob).is_some());
}

#[tokio::test]
async fn a_look_up_under_way_does_not_remember_what_was_before() {
    let scene = Scene::new().await;
    let bob = scene.people[1];
    let directory = &scene.chat.directory;
    directory.conversations.remove(&scene.room);
    // The entry is held as by a look-up that has read the store but not yet cached the result.
    let Err(place) = directory.conversations.get_value_or_guard_async(&scene.room).await else {
        panic!("it is not remembered");
    };
    let before = scene.chat.store.conversation(scene.room).await.unwrap().unwrap();
    scene.add(bob).await;
    directory.refresh_members(scene.room, &[bob]).await;
    assert!(place.insert(Arc::new(Known::new(before))).is_err(), "it is out of date");
    let (remembered, stored) = scene.both().await;
    assert!(remembered == stored && remembered.get(bob).is_some());
}
