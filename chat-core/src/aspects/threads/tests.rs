use super::*;
use crate::aspects::MessageChange;
use crate::aspects::edits::EditMessage;
use crate::aspects::hiding::HideMessage;
use crate::command::{
    AddMember, DeleteMessage, Destination, ListUnread, MarkRead, Outcome, ReadUpTo, RemoveMember,
    RestoreMessage, SendMessage,
};
use crate::event::Event;
use crate::model::{ClientId, Content};
use crate::search::Search;
use crate::testing::{Scene, sending, with};

/// Ann and Bob are in a room, and Ann has said something there.
async fn scene_with_root() -> (Scene, ConversationId, MessageId) {
    let scene = Scene::new().await;
    let room = scene.room(scene.ann, &[scene.bob]).await;
    let root = scene.say(scene.ann, Destination::Conversation(room), "lunch?").await.message.id;
    (scene, room, root)
}

fn replying(room: ConversationId, root: MessageId, text: &str) -> SendMessage {
    let mut send = sending(Destination::Conversation(room), Content::text(text));
    send.context.thread = Some(root);
    send
}

async fn thread_of(scene: &Scene, user: UserId, room: ConversationId, root: MessageId) -> Option<Thread> {
    let history = scene.history(user, Destination::Conversation(room)).await;
    let root = history.into_iter().find(|view| view.message.id == root).expect("the root");
    root.message.annexes.thread
}

async fn read(scene: &Scene, user: UserId, root: MessageId) -> ThreadHistory {
    scene.reply(user, ReadThread { root, before: None, limit: 99 }).await
}

/// The roots of the threads that a person follows, and how many messages are unread in each.
async fn listed(scene: &Scene, user: UserId) -> Vec<(MessageId, u32)> {
    let mut all = Vec::new();
    // Pages of every size show the same.
    for limit in [99, 1, 2] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = scene.reply(user, ListThreads { after, limit }).await;
            assert!(page.threads.len() <= limit);
            seen.extend(page.threads.iter().map(|followed| (followed.root.message.id, followed.unread)));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(limit == 99 || all == seen, "{limit}: {seen:?} and not {all:?}");
        all = seen;
    }
    all
}

fn texts(thread: &ThreadHistory) -> Vec<&str> {
    thread.messages.iter().map(|view| &*view.message.content.text).collect()
}

/// A reply is a message of its conversation, and shows its thread; so does the root. The log tells what was told live.
#[tokio::test]
async fn a_message_in_a_thread_is_one_of_its_conversation() {
    let (scene, room, root) = scene_with_root().await;
    let outcome = scene.run(scene.bob, replying(room, root, "at noon")).await;
    let reply = outcome.reply.message;
    let thread = Thread { replies: 1, last_at: reply.created_at, users: vec![scene.bob] };
    assert_eq!(reply.annexes.in_thread, Some(InThread { root, thread: Some(thread.clone()) }));
    let [live] = &outcome.deliveries[..] else { panic!("one event") };
    assert_eq!(live.event.message().map(|view| &view.message), Some(&reply));
    assert_eq!(thread_of(&scene, scene.bob, room, root).await, Some(thread));
    assert_eq!(scene.history(scene.ann, Destination::Conversation(room)).await[1].message, reply);
    let log = scene.log(scene.ann, 0).await;
    assert_eq!(log.last().and_then(|told| told.event.message()).map(|view| &view.message), Some(&reply));
    let unread = scene.reply(scene.ann, ListUnread { limit: 9 }).await;
    assert_eq!(unread.iter().map(|unread| unread.unread).collect::<Vec<_>>(), [1]);
    let search = Search { text: "noon".into(), limit: 9, ..Search::default() };
    assert_eq!(scene.reply(scene.ann, search).await.messages[0].message, reply);
    // Other messages show nothing of it, and a reply in a direct conversation is one, too.
    let plain = scene.say(scene.ann, Destination::Conversation(room), "x").await.message.annexes;
    assert_eq!((plain.in_thread, plain.thread), (None, None));
    let root = scene.say(scene.ann, with(scene.eve), "hi").await.message;
    let reply = scene.reply(scene.eve, replying(root.conversation, root.id, "hello")).await;
    assert_eq!(reply.message.annexes.in_thread.map(|of| of.root), Some(root.id));
}

/// Who has written last comes first, and everybody once.
#[tokio::test]
async fn a_root_shows_who_has_written_last() {
    let (scene, room, root) = scene_with_root().await;
    scene.run(scene.ann, AddMember { room, user: scene.eve }).await;
    for (by, users) in [
        (scene.bob, vec![scene.bob]),
        (scene.ann, vec![scene.ann, scene.bob]),
        (scene.bob, vec![scene.bob, scene.ann]),
        (scene.eve, vec![scene.eve, scene.bob, scene.ann]),
    ] {
        scene.run(by, replying(room, root, "x")).await;
        assert_eq!(thread_of(&scene, scene.ann, room, root).await.unwrap().users, users);
    }
}

#[tokio::test]
async fn what_a_root_shows_is_right_after_deletions() {
    let (scene, room, root) = scene_with_root().await;
    let one = scene.reply(scene.bob, replying(room, root, "one")).await.message;
    let first = thread_of(&scene, scene.ann, room, root).await;
    let two = scene.reply(scene.ann, replying(room, root, "two")).await.message;
    let both = thread_of(&scene, scene.ann, room, root).await;
    // A moderator deletes, too.
    for (by, message, left) in [(scene.ann, two.id, &first), (scene.ann, one.id, &None)] {
        let told = scene.run(by, DeleteMessage { message }).await.deliveries;
        let [deleted, changed] = &told[..] else { panic!("two events: {told:?}") };
        assert!(matches!(deleted.event, Event::MessageDeleted(_)));
        let Event::MessageChanged(change) = &changed.event else { panic!("{:?}", changed.event) };
        assert_eq!((change.message.id, change.by), (root, by));
        assert_eq!((change.what, &change.annexes.thread), (ThreadChange.into(), left));
        assert!(changed.audience.includes(scene.bob) && changed.position > deleted.position);
        assert_eq!(thread_of(&scene, scene.bob, room, root).await, *left);
        assert!(scene.run(by, DeleteMessage { message }).await.deliveries.is_empty(), "it is deleted");
        assert_eq!(thread_of(&scene, scene.bob, room, root).await, *left);
        // The log tells both, and shows what is there now.
        let log = scene.log(scene.bob, deleted.position.unwrap().0 - 1).await;
        let positions: Vec<_> = log.iter().map(|told| told.position).collect();
        assert_eq!(positions, [deleted.position, changed.position]);
    }
    assert_eq!(texts(&read(&scene, scene.bob, root).await), [""; 0]);
    for (message, there) in [(one.id, &first), (two.id, &both)] {
        let outcome = scene.run(scene.ann, RestoreMessage { message }).await;
        let shown = outcome.reply.message.annexes.in_thread;
        assert_eq!(shown, Some(InThread { root, thread: (*there).clone() }));
        assert_eq!(outcome.deliveries.len(), 2);
        assert_eq!(thread_of(&scene, scene.bob, room, root).await, *there);
    }
    assert_eq!(texts(&read(&scene, scene.bob, root).await), ["one", "two"]);
}

/// Without its root a thread can be read, continued and followed.
#[tokio::test]
async fn a_thread_outlives_its_root() {
    let (scene, room, root) = scene_with_root().await;
    scene.run(scene.bob, replying(room, root, "one")).await;
    scene.run(scene.ann, DeleteMessage { message: root }).await;
    assert_eq!(thread_of(&scene, scene.bob, room, root).await, None, "a deleted message shows nothing");
    let reply = scene.reply(scene.bob, replying(room, root, "two")).await.message;
    let thread = reply.annexes.in_thread.and_then(|of| of.thread).expect("the thread");
    assert_eq!(thread.replies, 2);
    let page = read(&scene, scene.ann, root).await;
    assert_eq!(texts(&page), ["one", "two"]);
    assert!(page.root.is_some_and(|view| view.message.deleted.is_some()));
    let list = scene.reply(scene.ann, ListThreads { after: None, limit: 9 }).await;
    assert_eq!((&list.threads[0].thread, list.threads[0].unread), (&thread, 2));
    scene.run(scene.ann, RestoreMessage { message: root }).await;
    assert_eq!(thread_of(&scene, scene.bob, room, root).await, Some(thread));
}

#[tokio::test]
async fn a_thread_is_read_in_pages() {
    let (scene, room, root) = scene_with_root().await;
    let mut sent = Vec::new();
    for n in 0..7 {
        // Others say something in between.
        scene.say(scene.ann, Destination::Conversation(room), "elsewhere").await;
        sent.push(scene.reply(scene.bob, replying(room, root, &n.to_string())).await.message);
    }
    scene.run(scene.ann, DeleteMessage { message: sent[2].id }).await;
    scene.run(scene.ann, HideMessage { message: sent[4].id, hidden: true }).await;
    scene.run(scene.bob, EditMessage { message: sent[0].id, text: "zero".into() }).await;
    let expected = ["zero", "1", "3", "5", "6"];
    for limit in [1, 2, 3, 5, 6, 99] {
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = scene.reply(scene.ann, ReadThread { root, before, limit }).await;
            assert!(page.messages.len() <= limit);
            let is_full = page.messages.len() == limit;
            seen.splice(0..0, page.messages.iter().map(|view| view.message.content.text.to_string()));
            before = page.next;
            if before.is_none() {
                break;
            }
            assert!(is_full, "what is left out does not shorten a page");
        }
        assert_eq!(seen, expected, "{limit}");
    }
    assert_eq!(texts(&read(&scene, scene.bob, root).await), ["zero", "1", "3", "4", "5", "6"]);
    // A page is no longer than an answer.
    let limits = crate::policy::Limits { answer_bytes: 3, ..*scene.chat.limits() };
    let scene = scene.with_limits(limits);
    let page = scene.reply(scene.ann, ReadThread { root, before: None, limit: 9 }).await;
    assert_eq!((texts(&page), page.next), (vec!["3", "5", "6"], Some(sent[3].seq)));
    // A message without a thread has an empty one.
    let plain = scene.say(scene.ann, Destination::Conversation(room), "x").await.message.id;
    let page = read(&scene, scene.bob, plain).await;
    assert_eq!((texts(&page), page.next, page.following), (vec![], None, false));
}

/// Those who write follow, and the sender of the root; and they can stop.
#[tokio::test]
async fn those_who_take_part_follow() {
    let (scene, room, root) = scene_with_root().await;
    let follow = |following| FollowThread { root, following };
    assert_eq!(listed(&scene, scene.ann).await, []);
    scene.run(scene.bob, replying(room, root, "one")).await;
    assert_eq!(listed(&scene, scene.ann).await, [(root, 1)]);
    assert_eq!(listed(&scene, scene.bob).await, [(root, 0)]);
    assert!(read(&scene, scene.ann, root).await.following);
    let told = scene.run(scene.ann, follow(false)).await.deliveries;
    let [change] = &told[..] else { panic!("one event") };
    assert!(change.audience.includes(scene.ann) && !change.audience.includes(scene.bob), "only Ann is told");
    assert!(scene.run(scene.ann, follow(false)).await.deliveries.is_empty());
    scene.run(scene.bob, replying(room, root, "two")).await;
    assert_eq!(listed(&scene, scene.ann).await, [], "she has stopped");
    assert!(!read(&scene, scene.ann, root).await.following);
    scene.run(scene.ann, replying(room, root, "three")).await;
    // She has read none of Bob's two.
    assert_eq!(listed(&scene, scene.ann).await, [(root, 2)], "she takes part again");
    let follows = |log: &[crate::event::Delivery]| -> Vec<bool> {
        let changes = log.iter().filter_map(|told| match &told.event {
            Event::MessageChanged(changed) => match changed.what {
                MessageChange::Followed(change) => Some(change.following),
                _ => None,
            },
            _ => None,
        });
        changes.collect()
    };
    assert_eq!(follows(&scene.log(scene.ann, 0).await), [false]);
    assert_eq!(follows(&scene.log(scene.bob, 0).await), [false; 0], "it is not his");
    // Others follow if they want, and before there is a reply.
    scene.run(scene.ann, AddMember { room, user: scene.eve }).await;
    scene.run(scene.eve, follow(true)).await;
    assert_eq!(listed(&scene, scene.eve).await, [(root, 0)], "she has joined later");
    let quiet = scene.say(scene.ann, Destination::Conversation(room), "x").await.message.id;
    scene.run(scene.eve, FollowThread { root: quiet, following: true }).await;
    scene.run(scene.ann, FollowThread { root: quiet, following: false }).await;
    assert_eq!(listed(&scene, scene.eve).await, [(root, 0)]);
    scene.run(scene.bob, replying(room, quiet, "x")).await;
    assert_eq!(listed(&scene, scene.eve).await, [(quiet, 1), (root, 0)]);
    assert_eq!(listed(&scene, scene.ann).await, [(root, 2)], "she has stopped before");
}

/// What is unread in a thread is what is unread in the conversation.
#[tokio::test]
async fn unread_messages_are_counted_in_threads() {
    let (scene, room, root) = scene_with_root().await;
    let other = scene.say(scene.ann, Destination::Conversation(room), "tea?").await.message.id;
    let mut sent = Vec::new();
    for (root, text) in [(root, "a"), (other, "b"), (root, "c"), (other, "d")] {
        sent.push(scene.reply(scene.bob, replying(room, root, text)).await.message);
    }
    assert_eq!(listed(&scene, scene.ann).await, [(other, 2), (root, 2)]);
    scene.run(scene.bob, DeleteMessage { message: sent[2].id }).await;
    scene.run(scene.ann, HideMessage { message: sent[1].id, hidden: true }).await;
    assert_eq!(listed(&scene, scene.ann).await, [(other, 1), (root, 1)]);
    let of = Destination::Conversation(room);
    scene.run(scene.ann, MarkRead { of, up_to: ReadUpTo::Seq(sent[0].seq) }).await;
    assert_eq!(listed(&scene, scene.ann).await, [(other, 1), (root, 0)]);
    scene.run(scene.ann, HideMessage { message: root, hidden: true }).await;
    assert_eq!(listed(&scene, scene.ann).await, [(other, 1)], "she has hidden its root");
    let page = read(&scene, scene.ann, root).await;
    assert!(page.root.is_none() && texts(&page) == ["a"]);
    scene.run(scene.ann, HideMessage { message: root, hidden: false }).await;
    // Nothing is listed from where one is no member.
    scene.run(scene.bob, RemoveMember { room, user: scene.bob }).await;
    assert_eq!(listed(&scene, scene.bob).await, []);
    scene.run(scene.ann, AddMember { room, user: scene.bob }).await;
    assert_eq!(listed(&scene, scene.bob).await, [(other, 0), (root, 0)]);
}

/// A long list of conversations with long messages is whole.
#[tokio::test]
async fn threads_of_many_conversations_are_listed() {
    let scene = Scene::new().await;
    let mut roots = Vec::new();
    for _ in 0..30 {
        let room = scene.room(scene.ann, &[scene.bob]).await;
        let root = scene.say(scene.ann, Destination::Conversation(room), "x").await.message.id;
        scene.run(scene.bob, replying(room, root, &"x".repeat(2_000))).await;
        roots.insert(0, (root, 1));
    }
    let page = scene.reply(scene.ann, ListThreads { after: None, limit: 99 }).await;
    let seen: Vec<_> = page.threads.iter().map(|shown| (shown.root.message.id, shown.unread)).collect();
    assert_eq!(seen.len(), 30);
    assert!(seen.iter().all(|shown| roots.contains(shown)) && page.next.is_none());
    let limits = crate::policy::Limits { answer_bytes: 7, ..*scene.chat.limits() };
    let scene = scene.with_limits(limits);
    let page = scene.reply(scene.ann, ListThreads { after: None, limit: 99 }).await;
    assert_eq!(page.threads.len(), 7);
    let rest = scene.reply(scene.ann, ListThreads { after: page.next, limit: 5 }).await;
    let seen_now: Vec<_> =
        page.threads.iter().chain(&rest.threads).map(|shown| shown.root.message.id).collect();
    assert_eq!(seen_now, seen[..12].iter().map(|(id, _)| *id).collect::<Vec<_>>());
}

#[tokio::test]
async fn only_roots_of_the_same_conversation_have_threads() {
    let (scene, room, root) = scene_with_root().await;
    let reply = scene.reply(scene.bob, replying(room, root, "one")).await.message.id;
    let elsewhere = scene.say(scene.ann, with(scene.bob), "hidden").await.message.id;
    let before = scene.chat.store.last_position().await.unwrap();
    for wrong in [reply, elsewhere, MessageId::from_bytes([7; 12])] {
        let error = scene.refused(scene.ann, replying(room, wrong, "x")).await;
        assert!(matches!(error, Error::Invalid { field: "thread", .. }), "{error:?}");
    }
    let error = scene.refused(scene.ann, ReadThread { root: reply, before: None, limit: 9 }).await;
    assert!(matches!(error, Error::Invalid { field: "thread", .. }), "{error:?}");
    let error = scene.refused(scene.ann, FollowThread { root: reply, following: true }).await;
    assert!(matches!(error, Error::Invalid { field: "thread", .. }), "{error:?}");
    // A stranger learns nothing.
    for root in [root, reply, MessageId::from_bytes([7; 12])] {
        let error = scene.refused(scene.eve, ReadThread { root, before: None, limit: 9 }).await;
        assert!(matches!(error, Error::MessageNotFound), "{error:?}");
        let error = scene.refused(scene.eve, FollowThread { root, following: true }).await;
        assert!(matches!(error, Error::MessageNotFound), "{error:?}");
        let error = scene.refused(scene.eve, replying(room, root, "x")).await;
        assert!(matches!(error, Error::ConversationNotFound), "{error:?}");
    }
    assert_eq!(scene.chat.store.last_position().await.unwrap(), before, "nothing was stored");
    // What was sent under a client id can be sent again.
    let again = SendMessage { client_id: ClientId::new("once"), ..replying(room, root, "two") };
    let first = scene.reply(scene.bob, again.clone()).await.message;
    let Outcome { reply: repeated, deliveries } = scene.run(scene.bob, again).await;
    assert_eq!((repeated.message, deliveries.len()), (first, 0));
    assert_eq!(thread_of(&scene, scene.ann, room, root).await.unwrap().replies, 2);
}

#[test]
fn a_cursor_is_read_again_and_nothing_else() {
    let cursor =
        ThreadCursor { last_at: Timestamp::from_millis(70), root: MessageId::from_bytes([0xab; 12]) };
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
    let id = "ab".repeat(12);
    for text in [
        "",
        "+7",
        "7-",
        "-7",
        &id,
        &format!("-{id}"),
        &format!("+7-{id}"),
        &format!("7-{id}-"),
        &format!("x-{id}"),
    ] {
        assert_eq!(text.parse::<ThreadCursor>(), Err(InvalidThreadCursor), "{text}");
    }
}

#[test]
fn what_is_stored_is_read_again() {
    let [ann, bob] = [1, 2].map(|n| UserId::from_bytes([n; 12]));
    let thread = Thread { replies: 7, last_at: Timestamp::from_millis(-5), users: vec![ann, bob] };
    let value = thread.to_value();
    assert_eq!(Thread::from_value(&value), Some(thread));
    for length in [0, 3, 11, 13, value.len() - 1] {
        assert_eq!(Thread::from_value(&value[..length]), None, "{length}");
    }
    for seq in [Seq(0), Seq(7), Seq(u32::MAX)] {
        assert_eq!(seq_in(&reply_key(MessageId::from_bytes([1; 12]), seq)), Some(seq));
    }
}
