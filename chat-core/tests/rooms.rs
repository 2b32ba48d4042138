//! Who is in a room and what they may do: decided when it happens, whatever a process remembers, and told live as it is told
//! from the log.

use std::sync::Arc;

use chat_core::command::{AddMember, CreateRoom, RemoveMember, SetRole};
use chat_core::model::{Role, Visibility};
use chat_core::policy::Limits;
use chat_core::prelude::*;
use chat_core::store::MemoryStore;

async fn registered<const N: usize>(chat: &Chat, names: [&str; N]) -> [UserId; N] {
    let mut ids = Vec::new();
    for name in names {
        let registered = chat.register(Registration::named(name, PasswordHash::new("x"))).await;
        ids.push(registered.unwrap().user.id);
    }
    ids.try_into().unwrap()
}

/// What was told of a command.
async fn run<R: Request>(chat: &Chat, actor: UserId, command: R) -> Result<Vec<Delivery>, Error> {
    chat.execute(&Actor { user: actor }, command).await.map(|outcome| outcome.deliveries)
}

async fn make_room(chat: &Chat, actor: UserId, visibility: Visibility, members: &[UserId]) -> ConversationId {
    let create = CreateRoom { name: "room".into(), visibility, members: members.to_vec() };
    let told = run(chat, actor, create).await.unwrap();
    let [Delivery { event: Event::RoomCreated { room, .. }, .. }] = &*told else { panic!("{told:?}") };
    room.id
}

/// The events and positions, as text that can be compared.
fn shown(told: &[Delivery]) -> Vec<String> {
    told.iter().map(|told| format!("{:?} {:?}", told.position, told.event)).collect()
}

#[tokio::test]
async fn a_process_that_remembers_old_roles_goes_by_the_new_ones() {
    let store = Arc::new(MemoryStore::new());
    let (here, there) = (Chat::new(store.clone()), Chat::new(store));
    let [ann, bob, cid, eve] = registered(&here, ["ann", "bob", "cid", "eve"]).await;
    let room = make_room(&here, ann, Visibility::Private, &[bob, cid]).await;
    let role = |user, role| SetRole { room, user, role };
    run(&here, ann, role(bob, Role::Moderator)).await.unwrap();
    // Now the other process remembers that Bob is a moderator, and Cid a member.
    let say = SendMessage {
        to: Destination::Conversation(room),
        content: Content::text("hello"),
        client_id: None,
        fingerprint: None,
        context: Default::default(),
    };
    run(&there, bob, say).await.unwrap();
    run(&here, ann, role(bob, Role::Member)).await.unwrap();
    let refused = run(&there, bob, AddMember { room, user: eve }).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden, "{refused}");
    run(&here, ann, role(bob, Role::Moderator)).await.unwrap();
    run(&here, ann, RemoveMember { room, user: cid }).await.unwrap();
    let refused = run(&there, ann, role(cid, Role::Moderator)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "a role brings nobody back: {refused}");
    run(&there, bob, AddMember { room, user: cid }).await.unwrap();
    // Here Cid is out and Bob a moderator; adding Bob leaves him one.
    let told = run(&here, ann, AddMember { room, user: bob }).await.unwrap();
    assert!(told.is_empty(), "{told:?}");
    run(&there, bob, AddMember { room, user: eve }).await.unwrap();
}

#[tokio::test]
async fn a_room_that_is_full_elsewhere_is_full_here() {
    let store = Arc::new(MemoryStore::new());
    let limits = Limits { room_members: 2, ..Limits::default() };
    let (here, there) = (Chat::new(store.clone()).with_limits(limits), Chat::new(store).with_limits(limits));
    let [ann, bob, eve] = registered(&here, ["ann", "bob", "eve"]).await;
    let room = make_room(&here, ann, Visibility::Public, &[]).await;
    let elsewhere = RemoveMember { room, user: bob };
    assert!(run(&there, bob, elsewhere).await.is_err(), "it remembers a room with one member");
    run(&here, bob, AddMember { room, user: bob }).await.unwrap();
    let refused = run(&there, eve, AddMember { room, user: eve }).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge, "{refused}");
}

#[tokio::test]
async fn who_follows_the_last_admin_is_told_live_as_from_the_log() {
    let chat = Chat::in_memory();
    let [ann, bob, cid] = registered(&chat, ["ann", "bob", "cid"]).await;
    let room = make_room(&chat, ann, Visibility::Private, &[bob, cid]).await;
    for (actor, command) in [
        (ann, Command::from(SetRole { room, user: ann, role: Role::Member })),
        (bob, Command::from(RemoveMember { room, user: bob })),
    ] {
        let before = chat.store().last_position().await.unwrap();
        let told = run(&chat, actor, command).await.unwrap();
        let logged = chat.changes_after(before, 9).await.unwrap().unwrap();
        assert_eq!(shown(&told), shown(&logged));
        let [_, Delivery { event: Event::RoleChanged { user, role, room: now }, audience, .. }] = &*told
        else {
            panic!("{told:?}")
        };
        let heir = if actor == ann { bob } else { ann };
        assert_eq!((*user, *role), (heir, Role::Admin), "who came first");
        assert_eq!(now.member(heir).map(|member| member.role), Some(Role::Admin));
        assert!(audience.includes(cid));
    }
    let told = run(&chat, ann, RemoveMember { room, user: cid }).await.unwrap();
    assert_eq!(told.len(), 1, "the admin stays");
    let refused = run(&chat, ann, SetRole { room, user: ann, role: Role::Moderator }).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Forbidden, "nobody could follow");
    let told = run(&chat, ann, RemoveMember { room, user: ann }).await.unwrap();
    assert_eq!(told.len(), 1, "an empty room has no admin");
}
