//! Tests of [`reading`](super).

use super::*;
use crate::chat::Registration;
use crate::command::{Actor, AddMember, CreateRoom, Destination, RemoveMember, Request, SendMessage};
use crate::error::ErrorKind;
use crate::id::ConversationId;
use crate::model::{Content, PasswordHash, Position, UserKey, Visibility};

async fn person(chat: &Chat, name: &str) -> UserId {
    chat.register(Registration::named(name, PasswordHash::new("x"))).await.unwrap().user.id
}

fn with(user: UserId) -> Destination {
    Destination::Person(UserKey::Id(user))
}

async fn run<R: Request>(chat: &Chat, user: UserId, request: R) -> Result<Outcome<R::Reply>, Error> {
    chat.execute(&Actor { user }, request).await
}

async fn say(chat: &Chat, from: UserId, to: Destination) -> MessageId {
    let content = Content::text("hello");
    let send = SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
    run(chat, from, send).await.unwrap().reply.message.id
}

async fn mark(
    chat: &Chat,
    user: UserId,
    of: Destination,
    up_to: ReadUpTo,
) -> Result<Outcome<Option<ReadMark>>, Error> {
    run(chat, user, MarkRead { of, up_to }).await
}

/// The mark, and the log positions of its deliveries.
fn seq(outcome: &Outcome<Option<ReadMark>>) -> (Option<u32>, Vec<u64>) {
    let positions = outcome.deliveries.iter().filter_map(|delivery| delivery.position);
    (outcome.reply.as_ref().map(|mark| mark.seq.0), positions.map(|position| position.0).collect())
}

async fn unread(chat: &Chat, user: UserId) -> Vec<(Option<String>, u32)> {
    let unread = run(chat, user, ListUnread { limit: 9 }).await.unwrap().reply;
    unread.iter().map(|count| (count.other.as_ref().map(|user| user.handle()), count.unread)).collect()
}

#[tokio::test]
async fn a_mark_is_told_to_all_members_live_and_from_the_log() {
    let chat = Chat::in_memory();
    let [ann, bob, eve] =
        [person(&chat, "ann").await, person(&chat, "bob").await, person(&chat, "eve").await];
    let first = say(&chat, ann, with(bob)).await;
    say(&chat, ann, with(bob)).await;
    say(&chat, ann, with(bob)).await;
    assert_eq!(unread(&chat, bob).await, [(Some("ann".into()), 3)]);
    assert_eq!(unread(&chat, ann).await, []);

    let by_message = mark(&chat, bob, with(ann), ReadUpTo::Message(first)).await.unwrap();
    assert_eq!(seq(&by_message), (Some(1), vec![4]));
    let by_seq = mark(&chat, bob, with(ann), ReadUpTo::Seq(Seq(2))).await.unwrap();
    assert_eq!(seq(&by_seq), (Some(2), vec![5]));
    assert_eq!(unread(&chat, bob).await, [(Some("ann".into()), 1)]);
    for up_to in [ReadUpTo::Message(first), ReadUpTo::Seq(Seq(2))] {
        let again = mark(&chat, bob, with(ann), up_to.clone()).await.unwrap();
        assert_eq!(seq(&again), (Some(2), vec![]), "{up_to:?}: a mark that does not move is no news");
    }
    let run_to_completion = mark(&chat, bob, with(ann), ReadUpTo::TheLast).await.unwrap();
    assert_eq!(seq(&run_to_completion), (Some(3), vec![6]));
    assert_eq!(unread(&chat, bob).await, []);

    let live = [by_message, by_seq, run_to_completion].map(|outcome| outcome.deliveries[0].clone());
    let logged = chat.changes_after(Position(3), 9).await.unwrap().unwrap();
    assert_eq!(format!("{live:?}"), format!("{logged:?}"), "each with where the mark was then");
    for delivery in &logged {
        assert!(delivery.audience.includes(ann) && delivery.audience.includes(bob));
        assert!(!delivery.audience.includes(eve));
        assert!(delivery.event.ephemeral().is_none(), "it is in the log");
    }
    assert_eq!(chat.changes_for(eve, Position(3), 9).await.unwrap().unwrap().0.len(), 0);
    assert_eq!(chat.changes_for(ann, Position(3), 9).await.unwrap().unwrap().0.len(), 3);
}

#[tokio::test]
async fn only_members_have_a_mark_and_only_where_something_was_said() {
    let chat = Chat::in_memory();
    let [ann, bob, eve] =
        [person(&chat, "ann").await, person(&chat, "bob").await, person(&chat, "eve").await];
    let elsewhere = say(&chat, ann, with(ann)).await;
    let nobody = Destination::Person(UserKey::Username("nobody".into()));
    let refused = async |user, of, up_to| mark(&chat, user, of, up_to).await.unwrap_err();

    // Nobody has sent her a message.
    for up_to in [ReadUpTo::TheLast, ReadUpTo::Seq(Seq(9))] {
        assert_eq!(seq(&mark(&chat, ann, with(eve), up_to).await.unwrap()), (None, vec![]));
    }
    assert!(matches!(refused(ann, with(eve), ReadUpTo::Message(elsewhere)).await, Error::MessageNotFound));
    assert!(matches!(refused(ann, nobody, ReadUpTo::TheLast).await, Error::UserNotFound));

    say(&chat, ann, with(bob)).await;
    let marked = mark(&chat, bob, with(ann), ReadUpTo::TheLast).await.unwrap().reply;
    let conversation = marked.expect("something was said").conversation;
    let there = || Destination::Conversation(conversation.id);
    for up_to in [ReadUpTo::TheLast, ReadUpTo::Seq(Seq(1)), ReadUpTo::Message(elsewhere)] {
        let error = refused(eve, there(), up_to).await;
        assert!(matches!(error, Error::ConversationNotFound), "strangers learn nothing: {error:?}");
    }
    let unknown = MessageId::from_bytes([9; 12]);
    for message in [elsewhere, unknown] {
        let error = refused(ann, there(), ReadUpTo::Message(message)).await;
        assert!(matches!(error, Error::MessageNotFound), "{error:?}");
    }
    let unknown = Destination::Conversation(ConversationId::from_bytes([9; 12]));
    assert_eq!(refused(ann, unknown, ReadUpTo::TheLast).await.kind(), ErrorKind::NotFound);
    assert_eq!(seq(&mark(&chat, ann, with(ann), ReadUpTo::TheLast).await.unwrap()).0, Some(1), "notes");
}

#[tokio::test]
async fn rooms_have_marks_too() {
    let chat = Chat::in_memory();
    let [ann, bob, cid] =
        [person(&chat, "ann").await, person(&chat, "bob").await, person(&chat, "cid").await];
    let create = CreateRoom { name: "r".into(), visibility: Visibility::Public, members: vec![bob] };
    let room = run(&chat, ann, create).await.unwrap().reply;
    let there = || Destination::Conversation(room.id);
    say(&chat, ann, there()).await;
    assert_eq!(unread(&chat, bob).await, [(None, 1)]);
    run(&chat, cid, AddMember { room: room.id, user: cid }).await.unwrap();
    assert_eq!(unread(&chat, cid).await, [], "what was said before somebody came is read");
    say(&chat, bob, there()).await;
    assert_eq!(unread(&chat, cid).await, [(None, 1)]);
    let marked = mark(&chat, cid, there(), ReadUpTo::TheLast).await.unwrap();
    assert!([ann, bob, cid].iter().all(|user| marked.deliveries[0].audience.includes(*user)));
    run(&chat, bob, RemoveMember { room: room.id, user: bob }).await.unwrap();
    assert_eq!(unread(&chat, bob).await, []);
    assert!(mark(&chat, bob, there(), ReadUpTo::TheLast).await.is_err());
}
