//! Contract tests with many concurrent tasks.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::task::Poll;

use parking_lot::Mutex;

use super::support::{
    add, adding, at, client_id, conversation_id, deleting, direct, give_role, giving, last_position, member,
    message_id, new_message, new_room, remove, removing, set_deleted,
};
use super::support::{hash, new_user, people, room, say, user_id, whole_history, whole_log};
use crate::id::UserId;
use crate::model::{NewUser, Pair, PasswordHash, Position, ProfilePatch, Role, Seq, UserKey, Visibility};
use crate::policy::Refusal;
use crate::store::{AddMember, Appended, Change, CreatedUser, NewMessage, Store};

/// A future that runs to completion.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Starts a task at once; the returned future completes when the task has. The library starts no runtime, so the tests
/// get one.
pub(super) type Spawn<'a> = &'a dyn Fn(Task) -> Task;

/// Starts all tasks, waits for all of them, and returns their results in the order of the tasks.
pub(super) async fn all<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    spawn: Spawn<'_>,
    tasks: impl IntoIterator<Item = F>,
) -> Vec<T> {
    let start = |task: F| {
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        let running = spawn(Box::pin(async move {
            let value = task.await;
            *slot.lock() = Some(value);
        }));
        (running, result)
    };
    let mut results = Vec::new();
    for (running, result) in tasks.into_iter().map(start).collect::<Vec<_>>() {
        running.await;
        results.push(result.lock().take().expect("a task that has ended has a result"));
    }
    results
}

/// Yields to other tasks on the same thread.
async fn take_turns() {
    let mut waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

const TASKS: u16 = 8;

/// Concurrent messages in a few conversations get positions and seqs without gaps, in the same order. The messages of
/// one task keep the order in which it sent them.
pub async fn messages_of_many_tasks_all_get_their_place(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    const EACH: u16 = 24;
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversations = [direct(&*store, 1, ann, bob).await, direct(&*store, 2, ann, ann).await];
    let sender = |task: u16| {
        let store = store.clone();
        async move {
            let mut answers = Vec::new();
            for n in task * EACH..(task + 1) * EACH {
                let new = new_message(n, conversations[usize::from(n % 3 / 2)], ann);
                match store.append(new).await {
                    Ok(Appended::New { position, seq }) => answers.push((position, seq, message_id(n))),
                    other => panic!("message {n}: {other:?}"),
                }
            }
            assert!(
                answers.is_sorted(),
                "one task's messages are committed in the order of calling: {answers:?}"
            );
            answers
        }
    };
    let mut answers: Vec<_> = all(spawn, (0..TASKS).map(sender)).await.into_iter().flatten().collect();
    answers.sort_unstable();
    let log: Vec<_> = whole_log(&*store)
        .await
        .into_iter()
        .map(|entry| match entry.change {
            Change::MessageSent(message) => (entry.position, message.seq, message.id),
            other => panic!("nobody asked for {other:?}"),
        })
        .collect();
    assert_eq!(answers, log, "the answers must be what is in the log");
    let positions = log.iter().map(|(position, ..)| position.0);
    assert!(positions.eq(1..=u64::from(TASKS * EACH)), "positions must be 1, 2, 3, …: {log:?}");
    for conversation in conversations {
        let messages = whole_history(&*store, conversation).await;
        let ids: Vec<_> = messages.iter().map(|message| message.id).collect();
        let logged = log.iter().map(|(.., id)| *id).filter(|id| ids.contains(id));
        assert!(logged.eq(ids.iter().copied()), "seqs and positions must tell the same order");
        assert!(
            messages.iter().map(|message| message.seq.0).eq(1..=ids.len() as u32),
            "seqs must be 1, 2, 3, …"
        );
    }
}

/// A task that reads the log during writes sees every position once, in order, and never one before a lower one.
pub async fn a_reader_never_sees_a_gap(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    const EACH: u16 = 16;
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    let total = u64::from(TASKS) * u64::from(EACH) * 3;
    let writers = Arc::new(AtomicU16::new(TASKS));
    let writer = |task: u16| -> Task {
        let (store, writers) = (store.clone(), writers.clone());
        Box::pin(async move {
            for n in task * EACH..(task + 1) * EACH {
                say(&*store, n, conversation, ann).await;
                let (position, _) = set_deleted(&*store, message_id(n), true, 1).await;
                let seen = last_position(&*store).await;
                let is_visible = position.is_some_and(|position| position <= seen);
                assert!(is_visible, "what was answered must be visible: {position:?}, {seen:?}");
                store.update_profile(bob, ProfilePatch::default(), at(1)).await.unwrap();
            }
            writers.fetch_sub(1, Ordering::SeqCst);
        })
    };
    let reader = |limit: usize| -> Task {
        let (store, writers) = (store.clone(), writers.clone());
        Box::pin(async move {
            let mut seen = 0;
            loop {
                let all_written = writers.load(Ordering::SeqCst) == 0;
                let last = last_position(&*store).await;
                let part = store.changes_after(Position(seen), limit).await.unwrap().unwrap();
                for entry in &part {
                    seen += 1;
                    assert_eq!(entry.position, Position(seen), "the next position that a reader sees");
                    assert!(seen <= total, "nobody wrote a change {seen}");
                }
                assert!(seen >= last.0 || part.len() == limit, "the log must reach to the last position");
                if all_written && part.is_empty() {
                    break;
                }
                take_turns().await;
            }
            assert_eq!(seen, total, "everything that was written must be in the log");
        })
    };
    all(spawn, (0..TASKS).map(writer).chain([reader(usize::MAX), reader(7)])).await;
    assert_eq!(last_position(&*store).await, Position(total));
}

/// When many tasks open the same pair concurrently, all get the same conversation.
pub async fn a_pair_opened_at_once_is_one_conversation(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let open = |n: u16| {
        let store = store.clone();
        let pair = if n.is_multiple_of(2) { Pair::new(ann, bob) } else { Pair::new(bob, ann) };
        async move { store.open_direct(pair, conversation_id(n), at(n.into())).await.expect("opening must work") }
    };
    let opened = all(spawn, (0..TASKS).map(open)).await;
    let kept = store.direct(Pair::new(ann, bob)).await.unwrap().expect("the conversation must be there");
    for (n, answer) in opened.iter().enumerate() {
        assert_eq!(*answer, kept, "what task {n} was answered");
    }
    for n in (0..TASKS).map(conversation_id).filter(|n| *n != kept.id) {
        assert_eq!(store.conversation(n).await.unwrap(), None, "an id that was not needed is not taken");
    }
}

/// When many tasks ask for the same name concurrently, one of them gets it.
pub async fn a_name_asked_for_at_once_is_given_once(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    let ask = |n: u16| {
        let store = store.clone();
        let (name, address) = (["ann", "ANN", "Ann"][usize::from(n % 3)], format!("{n}@example.org"));
        async move { store.create_user(new_user(n, Some(name), Some(&address))).await.expect("asking must work") }
    };
    let answers = all(spawn, (0..TASKS).map(ask)).await;
    let made: Vec<_> = answers.iter().filter(|answer| matches!(answer, CreatedUser::Created(_))).collect();
    assert_eq!(made.len(), 1, "one gets the name: {answers:?}");
    let users = store.users(usize::MAX).await.unwrap();
    assert_eq!(*made[0], CreatedUser::Created(users[0].clone()));
    assert_eq!(users.len(), 1, "the others get no account");
}

/// When many tasks concurrently ask for conflicting names and addresses, or for names with the same key, one of them
/// gets an account. When many tasks replace the same password hash, one of them succeeds.
pub async fn what_only_one_may_have_is_given_once(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    for round in 0..4 {
        let ask = |n: u16| {
            let (store, number) = (store.clone(), 100 + round * TASKS + n);
            let shared = format!("Shared-{round}@example.org");
            let (own, own_address) = (format!("name-{number}"), format!("{number}@example.org"));
            let new = match n % 4 {
                0 => new_user(number, Some(&shared), None),
                1 => new_user(number, None, Some(&shared.to_lowercase())),
                2 => new_user(number, Some(&own), Some(&shared.to_lowercase())),
                _ => new_user(number, Some(&shared.to_uppercase()), Some(&own_address)),
            };
            async move { store.create_user(new).await.expect("asking must work") }
        };
        let answers = all(spawn, (0..TASKS).map(ask)).await;
        let made = answers.iter().filter(|answer| matches!(answer, CreatedUser::Created(_))).count();
        assert_eq!(made, 1, "name or address, it is one person's: {answers:?}");

        let ask = |n: u16| {
            let (store, number) = (store.clone(), 500 + round * TASKS + n);
            let name = format!("keyed-{number}");
            let new =
                NewUser { name_key: Some(format!("key-{round}")), ..new_user(number, Some(&name), None) };
            async move { store.create_user(new).await.expect("asking must work") }
        };
        let answers = all(spawn, (0..TASKS).map(ask)).await;
        let made: Vec<_> = answers
            .iter()
            .filter_map(|answer| match answer {
                CreatedUser::Created(user) => Some(user.id),
                CreatedUser::UsernameTaken | CreatedUser::EmailTaken => None,
            })
            .collect();
        let [winner] = *made else { panic!("a key is given once: {answers:?}") };

        let replace = |n: u16| {
            let (store, new) = (store.clone(), PasswordHash::new(format!("hash {round} of {n}")));
            async move {
                let replaced = store.set_password_hash(winner, &hash(winner), new.clone()).await;
                replaced.expect("replacing must work").then_some(new)
            }
        };
        let replaced: Vec<_> = all(spawn, (0..TASKS).map(replace)).await.into_iter().flatten().collect();
        let [kept] = &*replaced else { panic!("{} have replaced the same hash", replaced.len()) };
        let found = store.credentials(&UserKey::Id(winner)).await.unwrap();
        assert!(found.is_some_and(|(_, hash)| hash == *kept), "what was answered is what is kept");
    }
}

/// When the same message is sent many times concurrently, it is stored once, and every send returns that message.
pub async fn a_client_id_used_at_once_is_one_message(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    let send = |n: u16| {
        let store = store.clone();
        let new = NewMessage { client_id: Some(client_id("once")), ..new_message(n, conversation, ann) };
        async move { store.append(new).await.expect("sending must work") }
    };
    let answers = all(spawn, (0..TASKS).map(send)).await;
    let [only] = &*whole_history(&*store, conversation).await else { panic!("one message must be stored") };
    let (new, repeated): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| matches!(answer, Appended::New { .. }));
    assert_eq!(new, [Appended::New { position: Position(1), seq: Seq(1) }], "one is new");
    for answer in repeated {
        assert_eq!(answer, Appended::Repeated(Box::new(only.clone())));
    }
    assert_eq!(last_position(&*store).await, Position(1));
}

/// When many tasks ask for the same state concurrently, one change is made and logged, and one call returns its
/// position.
pub async fn a_change_wanted_at_once_is_made_once(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    let [ann] = people(&*store, [1]).await;
    let id = room(&*store, 1, ann).await;
    let message = say(&*store, 1, id, ann).await;
    people(&*store, std::array::from_fn::<u16, { TASKS as usize }, _>(|n| 10 + n as u16)).await;
    let change = |n: u16| {
        let store = store.clone();
        async move {
            let deletion = deleting(message, id, ann, true, n.into());
            let (deleted, now) = store.set_deleted(deletion).await.unwrap().expect("it is hers");
            assert!(now.deleted.is_some(), "the answer must show the message deleted");
            let joined = add(&*store, id, ann, user_id(10), n.into()).await.position;
            let own = add(&*store, id, ann, user_id(10 + n), 1).await.position;
            let role = give_role(&*store, id, ann, (user_id(10), Role::Moderator), 1).await.position;
            (deleted, joined, own, role)
        }
    };
    let answers = all(spawn, (0..TASKS).map(change)).await;
    assert_eq!(answers.iter().filter_map(|(deleted, ..)| *deleted).count(), 1, "deleted once: {answers:?}");
    let mut positions: Vec<Position> = answers
        .iter()
        .flat_map(|(deleted, joined, own, role)| [deleted, joined, own, role])
        .filter_map(|found| *found)
        .collect();
    positions.sort_unstable();
    let before = 2;
    let last = last_position(&*store).await.0;
    assert!(
        positions.iter().map(|position| position.0).eq(before + 1..=last),
        "every change is answered once"
    );
    let members = store.conversation(id).await.unwrap().expect("the room is there").members.clone();
    assert_eq!(members.len(), 1 + usize::from(TASKS), "everybody is in once: {members:?}");
}

/// When many tasks move the marks of one member during writes, every move is logged once and goes forward, and the mark
/// ends at the highest place.
pub async fn marks_moved_at_once_end_at_the_farthest(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let id = direct(&*store, 1, ann, bob).await;
    for n in 0..TASKS {
        say(&*store, n, id, ann).await;
    }
    let mark = |task: u16| {
        let store = store.clone();
        async move {
            let mut moves = Vec::new();
            for step in 0..TASKS {
                // Each task uses a different order.
                let up_to = Seq(u32::from((step * 3 + task) % TASKS) + 1);
                let marked = store.mark_read(id, bob, Some(up_to), at(1)).await.unwrap();
                let (position, seq) = marked.expect("he is a member");
                assert!(seq >= up_to, "the mark is at least where it was asked to be: {seq:?}, {up_to:?}");
                assert!(position.is_none() || seq == up_to, "a move is to where it was asked to be");
                moves.extend(position.map(|position| (position, seq)));
            }
            say(&*store, TASKS + task, id, ann).await;
            moves
        }
    };
    let mut moves: Vec<_> = all(spawn, (0..TASKS).map(mark)).await.into_iter().flatten().collect();
    moves.sort_unstable();
    assert!(moves.is_sorted_by(|a, b| a.1 < b.1), "every move goes forward: {moves:?}");
    assert_eq!(moves.last().map(|(_, seq)| *seq), Some(Seq(TASKS.into())), "the farthest");
    let logged = whole_log(&*store).await.into_iter().filter_map(|entry| match entry.change {
        Change::ReadMarked { conversation, user, seq } if (conversation, user) == (id, bob) => {
            Some((entry.position, seq))
        }
        Change::MessageSent(_) => None,
        other => panic!("nobody asked for {other:?}"),
    });
    assert!(logged.eq(moves), "what was answered is what is in the log");
    let unread = store.unread(bob, 9).await.unwrap();
    assert_eq!((unread.len(), unread[0].unread), (1, TASKS.into()), "what was said since is unread");
}

/// However many people join concurrently, a room never exceeds its member limit.
pub async fn only_so_many_join_at_once(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    let [ann] = people(&*store, [1]).await;
    let mut new = new_room(1, vec![member(ann, Role::Admin, 10)], ann);
    new.info.visibility = Visibility::Public;
    let id = store.create_room(new).await.unwrap().unwrap().1.id;
    people(&*store, std::array::from_fn::<u16, { TASKS as usize }, _>(|n| 10 + n as u16)).await;
    let max_members = usize::from(TASKS / 2);
    let join = |n: u16| {
        let store = store.clone();
        let user = user_id(10 + n);
        let add = AddMember { max_members, ..adding(id, user, user, 1) };
        async move { store.add_member(add).await.expect("asking must work") }
    };
    let answers = all(spawn, (0..TASKS).map(join)).await;
    let refused = Err(Refusal::TooManyMembers { limit: max_members });
    let (joined, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(joined.len(), max_members - 1, "the admin is in already");
    assert!(others.iter().all(|answer| *answer == refused), "{others:?}");
    let room = store.conversation(id).await.unwrap().expect("the room is there");
    assert_eq!(room.members.len(), max_members);
    assert_eq!(last_position(&*store).await, Position(max_members as u64), "who was refused is not logged");
}

/// When all admins leave concurrently and other members remain, one of these becomes admin. A member who is removed
/// during a role change stays removed. The log shows what has happened.
pub async fn a_room_left_at_once_keeps_an_admin(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    let admins = people(&*store, std::array::from_fn::<u16, { TASKS as usize }, _>(|n| 10 + n as u16)).await;
    let [eve, bob] = people(&*store, [1, 2]).await;
    let role_of = |user: UserId| if user == eve || user == bob { Role::Member } else { Role::Admin };
    let everybody = admins.into_iter().chain([eve, bob]);
    let cast = everybody.map(|user| member(user, role_of(user), 10)).collect();
    let id = store.create_room(new_room(1, cast, admins[0])).await.unwrap().unwrap().1.id;
    let leave = |n: u16| {
        let (store, user) = (store.clone(), user_id(10 + n));
        async move {
            let given = store.set_role(giving(id, user, eve, Role::Moderator, 2)).await.unwrap();
            let removed = store.remove_member(removing(id, user, eve, 3)).await.unwrap();
            remove(&*store, id, user, user, 4).await;
            (given.is_ok_and(|change| change.position.is_some()), removed.is_ok())
        }
    };
    let answers = all(spawn, (0..TASKS).map(leave)).await;
    assert_eq!(answers.iter().filter(|(_, removed)| *removed).count(), 1, "removed once: {answers:?}");
    let room = store.conversation(id).await.unwrap().expect("the room is there");
    assert_eq!(room.members, [member(bob, Role::Admin, 10)].into());
    let mut roles: HashMap<UserId, Role> = HashMap::new();
    let mut given = 0;
    for entry in whole_log(&*store).await {
        match entry.change {
            Change::RoomCreated { .. } => {
                let all = admins.into_iter().chain([eve, bob]);
                roles.extend(all.map(|user| (user, role_of(user))));
            }
            Change::MemberRemoved { user, .. } => {
                assert!(roles.remove(&user).is_some(), "{user} is taken out, and was not in");
            }
            Change::RoleChanged { user, role, .. } => {
                given += usize::from(user == eve);
                let before = roles.insert(user, role);
                assert!(
                    before.is_some_and(|before| before != role),
                    "{user} gets {role:?}, and had {before:?}"
                );
            }
            other => panic!("nobody asked for {other:?}"),
        }
    }
    assert_eq!(given, answers.iter().filter(|(given, _)| *given).count(), "what was answered is in the log");
    assert_eq!(roles.into_iter().collect::<Vec<_>>(), [(bob, Role::Admin)]);
}
