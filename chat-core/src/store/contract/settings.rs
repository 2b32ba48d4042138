//! Settings of members for conversations.

use std::sync::Arc;

use super::support::{
    adding, at, direct, everything, last_position, people, removing, room, user_id, whole_log,
};
use crate::id::{ConversationId, UserId};
use crate::model::{ChatSettings, ChatSettingsPatch, Position};
use crate::policy::Refusal;
use crate::rooms::{ChangeRoom, RoomAct};
use crate::store::write::make;
use crate::store::{Change, LoggedChange, SetChatSettings, Store, Table};

async fn set(
    store: &dyn Store,
    user: UserId,
    conversation: ConversationId,
    patch: ChatSettingsPatch,
) -> Result<(Option<Position>, ChatSettings), Refusal> {
    let set = SetChatSettings { user, conversation, patch, at: at(50_000) };
    store.set_chat_settings(set).await.expect("the store must work")
}

fn draft(text: &str) -> ChatSettingsPatch {
    ChatSettingsPatch { draft: Some(text.into()), ..ChatSettingsPatch::default() }
}

/// The settings of a member are stored for this member alone, and each change is logged for this member alone.
pub async fn settings_of_a_chat_are_kept_and_told_to_nobody_else(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let here = direct(&*store, 1, ann, bob).await;
    let pinned = ChatSettingsPatch { pinned: Some(true), ..draft("dear bob") };
    let (position, settings) = set(&*store, ann, here, pinned.clone()).await.unwrap();
    let (first, expected) = (position.expect("it is new"), "dear bob");
    assert!(settings.pinned && !settings.archived && settings.draft == expected);
    let before = everything(&*store).await;
    assert_eq!(set(&*store, ann, here, pinned).await, Ok((None, settings.clone())));
    for nobody in [eve, user_id(99)] {
        assert_eq!(set(&*store, nobody, here, draft("x")).await, Err(Refusal::ConversationNotFound));
    }
    assert_eq!(everything(&*store).await, before, "what is refused or so already changes nothing");
    set(&*store, bob, here, draft("dear ann")).await.unwrap();
    let (second, cleared) = set(&*store, ann, here, draft("")).await.unwrap();
    assert_eq!(cleared, ChatSettings { pinned: true, ..ChatSettings::default() });
    let key = ChatSettings::key(ann, here);
    let rows = store.rows(Table::ChatSettings, ann.as_bytes(), None, 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| &row.key).collect::<Vec<_>>(), [&key]);
    assert_eq!(ChatSettings::from_value(&rows[0].value), Some(cleared));
    let begin = store.log_begin().await.unwrap();
    let mine = store.changes_for(ann, begin, 99).await.unwrap().unwrap().changes;
    let of = |logged: &LoggedChange| match logged.change {
        Change::ChatSettingsChanged { user, conversation } => Some((logged.position, user, conversation)),
        _ => None,
    };
    let told: Vec<_> = mine.iter().filter_map(of).collect();
    assert_eq!(told, [(first, ann, here), (second.expect("it is new"), ann, here)]);
    let counted = store.count_changes_for(eve, begin, 99).await.unwrap();
    assert_eq!(counted, Some(0), "she is told of nothing");
    assert_eq!(whole_log(&*store).await.iter().filter_map(of).count(), 3);
}

/// A member who leaves a room loses the settings for it.
pub async fn who_leaves_keeps_no_settings(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let club = room(&*store, 1, ann).await;
    store.add_member(adding(club, ann, bob, 9)).await.unwrap().unwrap();
    for user in [ann, bob] {
        set(&*store, user, club, draft("x")).await.unwrap();
    }
    store.remove_member(removing(club, ann, bob, 10)).await.unwrap().unwrap();
    assert_eq!(set(&*store, bob, club, draft("y")).await, Err(Refusal::ConversationNotFound));
    let rows = store.rows(Table::ChatSettings, &[], None, 9).await.unwrap();
    assert_eq!(rows.iter().map(|row| &row.key).collect::<Vec<_>>(), [&ChatSettings::key(ann, club)]);
    let before = last_position(&*store).await;
    store.add_member(adding(club, ann, bob, 9)).await.unwrap().unwrap();
    let (position, settings) = set(&*store, bob, club, draft("z")).await.unwrap();
    assert!(position > Some(before) && settings.draft == "z");
    let ban = ChangeRoom { room: club, by: ann, act: RoomAct::Ban(bob), at: at(60_000) };
    make(&*store, ban).await.unwrap().unwrap();
    let rows = store.rows(Table::ChatSettings, bob.as_bytes(), None, 9).await.unwrap();
    assert_eq!(rows.len(), 0, "who is banned has left, too");
}
