//! Reactions.

use std::sync::Arc;

use super::parallel::{Spawn, all as at_once};
use super::support::{
    add, at, delete, direct, everything, last_position, message_id, people, remove, restore, room, say,
    user_id, whole_log,
};
use crate::aspects::MessageChange;
use crate::change::Change;
use crate::chat::Chat;
use crate::id::{ConversationId, UserId};
use crate::policy::Refusal;
use crate::reactions::{Emoji, MAX_EMOJIS, MAX_NAMED, React, Reacted, Reacting, Reaction};
use crate::store::write::make;
use crate::store::{Store, Table};

fn reacting(conversation: ConversationId, by: UserId, emoji: &str, reacting: Reacting) -> React {
    let emoji = Emoji::parse(emoji).expect("an emoji");
    React { message: message_id(1), conversation, by, emoji, reacting, at: at(5) }
}

async fn react(store: &dyn Store, react: React) -> Result<Reacted, Refusal> {
    make(store, react).await.expect("the store works")
}

/// The reactions that a message shows: emojis, counts and users.
async fn shown(store: &Arc<dyn Store>) -> Vec<(String, u32, Vec<UserId>)> {
    let message = store.message(message_id(1)).await.unwrap().expect("the message");
    let annexes = Chat::new(store.clone()).annexes_of(&message).await.unwrap();
    plain(&annexes.reactions)
}

fn plain(shown: &[Reaction]) -> Vec<(String, u32, Vec<UserId>)> {
    let one = |one: &Reaction| (one.emoji.as_str().to_owned(), one.count, one.users.clone());
    shown.iter().map(one).collect()
}

/// A user adds each emoji once and removes it once. Each change is logged, and the message shows who reacted.
pub async fn a_person_reacts_once_with_each_emoji(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let id = direct(&*store, 1, ann, bob).await;
    say(&*store, 1, id, ann).await;
    let before = store.message(message_id(1)).await.unwrap();
    let steps = [
        (bob, "👍", Reacting::Add, true, true),
        (bob, "👍", Reacting::Add, false, true),
        (ann, "👍", Reacting::Toggle, true, true),
        (bob, "❤", Reacting::Toggle, true, true),
        (bob, "👍", Reacting::Toggle, true, false),
        (bob, "👍", Reacting::Remove, false, false),
        (bob, "👍", Reacting::Add, true, true),
        (ann, "❤️", Reacting::Remove, false, false),
    ];
    let mut expected = Vec::new();
    for (by, emoji, how, changes, is_there) in steps {
        let last = last_position(&*store).await.0;
        let reacted = react(&*store, reacting(id, by, emoji, how)).await.unwrap();
        assert_eq!(reacted.is_there, is_there, "{emoji} {how:?}");
        assert_eq!(reacted.position.map(|position| position.0), changes.then_some(last + 1));
        assert_eq!(plain(&reacted.reactions), shown(&store).await, "the answer is what is shown");
        expected.extend(changes.then(|| (by, Emoji::parse(emoji), is_there)));
    }
    // Sorted by the bytes of the emoji. A user who removes a reaction and adds it again is the last one.
    let both = [("❤️".to_owned(), 1, vec![bob]), ("👍".to_owned(), 2, vec![ann, bob])];
    assert_eq!(shown(&store).await, both);
    let now = store.message(message_id(1)).await.unwrap().expect("the message");
    let log = whole_log(&*store).await;
    let told: Vec<_> = log
        .iter()
        .filter_map(|entry| match &entry.change {
            Change::MessageChanged { message, by, what: MessageChange::Reacted(change) } => {
                assert_eq!(*message, now);
                Some((*by, Some(change.emoji), change.is_there))
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, expected);
    assert_eq!(store.changes_for(bob, crate::model::Position(0), 99).await.unwrap().unwrap().changes, log);
    // Reactions do not change the message itself. When the last reaction is removed, no rows remain.
    for (by, emoji) in [(ann, "👍"), (bob, "👍"), (bob, "❤️")] {
        assert!(now.facets.contains(Table::Reactions) && now.facets.contains(Table::ReactionTallies));
        react(&*store, reacting(id, by, emoji, Reacting::Remove)).await.unwrap();
    }
    assert_eq!(store.message(message_id(1)).await.unwrap(), before);
    for table in [Table::Reactions, Table::ReactionTallies] {
        assert_eq!(store.rows(table, &[], None, 9).await.unwrap(), []);
    }
}

/// Only members react, and only to existing messages that are not deleted. A refused reaction changes nothing.
pub async fn only_members_react_to_what_is_there(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let [club, other] = [room(&*store, 1, ann).await, direct(&*store, 2, ann, eve).await];
    add(&*store, club, ann, bob, 1).await;
    say(&*store, 1, club, ann).await;
    react(&*store, reacting(club, bob, "👍", Reacting::Add)).await.unwrap();
    let refused = async |react_: React| {
        let before = everything(&*store).await;
        let refusal = react(&*store, react_).await.unwrap_err();
        assert_eq!(everything(&*store).await, before, "what was refused has changed nothing");
        refusal
    };
    for how in [Reacting::Add, Reacting::Remove, Reacting::Toggle] {
        assert_eq!(refused(reacting(club, eve, "👍", how)).await, Refusal::MessageNotFound);
        assert_eq!(refused(reacting(other, eve, "👍", how)).await, Refusal::MessageNotFound, "not there");
        let missing = React { message: message_id(9), ..reacting(club, ann, "👍", how) };
        assert_eq!(refused(missing).await, Refusal::MessageNotFound);
    }
    delete(&*store, message_id(1)).await;
    assert_eq!(shown(&store).await, [], "nothing is shown of a deleted message");
    for how in [Reacting::Add, Reacting::Remove, Reacting::Toggle] {
        assert!(matches!(refused(reacting(club, bob, "👍", how)).await, Refusal::Forbidden(_)));
        assert_eq!(refused(reacting(club, eve, "👍", how)).await, Refusal::MessageNotFound);
    }
    restore(&*store, message_id(1), 7).await;
    assert_eq!(shown(&store).await, [("👍".to_owned(), 1, vec![bob])]);
    remove(&*store, club, ann, bob, 8).await;
    assert_eq!(refused(reacting(club, bob, "👍", Reacting::Remove)).await, Refusal::MessageNotFound);
}

/// A message has at most `MAX_EMOJIS` different emojis, from all users together. Any number of users can react with
/// those.
pub async fn a_message_has_only_so_many_emojis(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let id = direct(&*store, 1, ann, bob).await;
    say(&*store, 1, id, ann).await;
    let emojis: Vec<_> = ('🐀'..).take(MAX_EMOJIS + 1).map(String::from).collect();
    for (n, emoji) in emojis[..MAX_EMOJIS].iter().enumerate() {
        let by = if n % 2 == 0 { ann } else { bob };
        react(&*store, reacting(id, by, emoji, Reacting::Add)).await.unwrap();
    }
    let one_more = || reacting(id, ann, &emojis[MAX_EMOJIS], Reacting::Toggle);
    assert!(matches!(react(&*store, one_more()).await, Err(Refusal::Forbidden(_))));
    react(&*store, reacting(id, ann, &emojis[1], Reacting::Add)).await.unwrap();
    assert_eq!(shown(&store).await[1], (emojis[1].clone(), 2, vec![bob, ann]));
    react(&*store, reacting(id, ann, &emojis[0], Reacting::Remove)).await.unwrap();
    react(&*store, one_more()).await.unwrap();
    assert_eq!(shown(&store).await.len(), MAX_EMOJIS);
}

/// All concurrent reactions are counted, and the first users are listed. Two concurrent toggles of the same user
/// change nothing in the end.
pub async fn reactions_at_once_are_all_counted(store: Arc<dyn Store>, spawn: Spawn<'_>) {
    const MANY: u16 = MAX_NAMED as u16 + 10;
    let [ann] = people(&*store, [1]).await;
    let club = room(&*store, 1, ann).await;
    say(&*store, 1, club, ann).await;
    for n in 2..2 + MANY {
        people(&*store, [n]).await;
        add(&*store, club, ann, user_id(n), 1).await;
    }
    let all = |how| {
        let store = store.clone();
        (2..2 + MANY).map(move |n| {
            let store = store.clone();
            async move { react(&*store, reacting(club, user_id(n), "🎉", how)).await.unwrap() }
        })
    };
    at_once(spawn, all(Reacting::Add)).await;
    let [(_, count, named)] = &shown(&store).await[..] else { panic!("one emoji") };
    assert_eq!((*count, named.len()), (u32::from(MANY), MAX_NAMED));
    let rows = store.rows(Table::Reactions, &[], None, usize::MAX).await.unwrap();
    assert_eq!(rows.len(), usize::from(MANY));
    at_once(spawn, all(Reacting::Toggle).chain(all(Reacting::Toggle))).await;
    assert_eq!(shown(&store).await[0].1, u32::from(MANY));
    at_once(spawn, all(Reacting::Remove)).await;
    assert_eq!(shown(&store).await, []);
    assert_eq!(store.rows(Table::Reactions, &[], None, 9).await.unwrap(), []);
}
