//! Edits of messages, and that they are found by what they say.

use std::sync::Arc;
use std::time::Duration;

use super::support::{
    add, append, at, client_id, delete, direct, everything, last_position, message_id, new_message, people,
    remove, restore, room, say, whole_history, whole_log,
};
use crate::aspects::edits::{Edit, EditChange, MAX_EDITS};
use crate::change::Change;
use crate::codec::{Blob, Encoding};
use crate::id::{ConversationId, UserId};
use crate::model::{Position, Seq};
use crate::policy::Refusal;
use crate::rooms::{ChangeRoom, RoomAct};
use crate::search::Terms;
use crate::store::reindexing::Reindex;
use crate::store::write::make;
use crate::store::{NewMessage, Store, StoredMessage, Table};

fn body(text: &str) -> Blob {
    Blob { encoding: Encoding::Stored, bytes: text.into() }
}

fn editing(conversation: ConversationId, by: UserId, text: &str) -> Edit {
    Edit {
        message: message_id(1),
        conversation,
        by,
        body: body(text),
        window: None,
        kept_as: None,
        most_kept: 64 << 10,
        at: at(50),
    }
}

async fn edit(store: &dyn Store, edit: Edit) -> Result<(Option<Position>, StoredMessage), Refusal> {
    make(store, edit).await.expect("the store works")
}

/// An edit replaces the text and nothing else, is logged, and keeps what was there if that is wanted.
pub async fn an_edit_replaces_the_text(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let id = direct(&*store, 1, ann, bob).await;
    let sent = NewMessage { client_id: Some(client_id("once")), ..new_message(1, id, ann) };
    append(&*store, sent.clone()).await;
    say(&*store, 2, id, bob).await;
    let before = store.message(message_id(1)).await.unwrap().expect("the message");
    let last = last_position(&*store).await.0;
    let texts = ["", "two", "\0 three", &"long ".repeat(30_000)];
    for (n, text) in texts.iter().enumerate() {
        let name = [n as u8 + 1; 12];
        let moment = at(100 + n as i64);
        let one = Edit { kept_as: Some(name), most_kept: 200_000, at: moment, ..editing(id, ann, text) };
        let (position, now) = edit(&*store, one.clone()).await.unwrap();
        assert_eq!(position, Some(Position(last + 1 + n as u64)));
        let facets = before.facets.with(Table::Edits, true);
        let expected = StoredMessage { body: body(text), updated_at: moment, facets, ..before.clone() };
        assert_eq!(now, expected);
        assert_eq!(store.message(message_id(1)).await.unwrap(), Some(now.clone()));
        assert_eq!(whole_history(&*store, id).await[0], now);
        // The same again changes nothing.
        assert_eq!(edit(&*store, Edit { at: at(999), ..one }).await.unwrap(), (None, now));
    }
    let now = store.message(message_id(1)).await.unwrap().expect("the message");
    let log = whole_log(&*store).await;
    assert_eq!(log[0].change, Change::MessageSent(now.clone()), "it is told with what it says now");
    for logged in &log[2..] {
        assert_eq!(
            logged.change,
            Change::MessageChanged { message: now.clone(), by: ann, what: EditChange.into() }
        );
    }
    assert_eq!(store.changes_for(bob, Position(0), 99).await.unwrap().unwrap().changes, log);
    // The count, the three short texts, and nothing of the long one, which is still there.
    let rows = store.rows(Table::Edits, message_id(1).as_bytes(), None, 99).await.unwrap();
    assert_eq!(rows.len(), 1 + texts.len());
    let kept: Vec<_> = rows[1..].iter().map(|row| &row.value[9..]).collect();
    assert_eq!(kept[0], before.body.bytes);
    assert_eq!(kept[1..], texts[..3].iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
    // Of a long one all pieces.
    let again = Edit { kept_as: Some([9; 12]), most_kept: 200_000, ..editing(id, ann, "short") };
    edit(&*store, again).await.unwrap();
    let rows = store.rows(Table::Edits, message_id(1).as_bytes(), None, 99).await.unwrap();
    let long: usize = rows[1 + texts.len()..].iter().map(|row| row.value.len()).sum();
    assert_eq!((rows.len(), long), (1 + texts.len() + 3, 150_000 + 9));
    // A send that is repeated is answered with what it has become.
    let repeated = store.append(NewMessage { id: message_id(7), ..sent }).await.unwrap();
    let crate::store::Appended::Repeated(first) = repeated else { panic!("{repeated:?}") };
    assert_eq!(first.body, body("short"));
}

/// Senders edit what is there, not deleted, and young enough; what is refused changes nothing.
pub async fn only_senders_edit_what_is_there(store: Arc<dyn Store>) {
    let [ann, bob, eve] = people(&*store, [1, 2, 3]).await;
    let [club, other] = [room(&*store, 1, ann).await, direct(&*store, 2, bob, eve).await];
    add(&*store, club, ann, bob, 1).await;
    let sent = NewMessage { at: at(10), ..new_message(1, club, bob) };
    append(&*store, sent).await;
    append(&*store, NewMessage { file_name: Some("a.txt".into()), ..new_message(2, club, bob) }).await;
    let refused = async |one: Edit| {
        let before = everything(&*store).await;
        let refusal = edit(&*store, one).await.unwrap_err();
        assert_eq!(everything(&*store).await, before, "what was refused has changed nothing");
        refusal
    };
    assert!(matches!(refused(editing(club, ann, "x")).await, Refusal::Forbidden(_)), "admins do not either");
    assert_eq!(refused(editing(club, eve, "x")).await, Refusal::MessageNotFound);
    assert_eq!(refused(editing(other, bob, "x")).await, Refusal::MessageNotFound, "it is not there");
    let missing = Edit { message: message_id(9), ..editing(club, bob, "x") };
    assert_eq!(refused(missing).await, Refusal::MessageNotFound);
    let file = Edit { message: message_id(2), ..editing(club, bob, "x") };
    assert!(matches!(refused(file).await, Refusal::Forbidden(_)));
    let within = |millis| Edit { window: Some(Duration::from_millis(millis)), ..editing(club, bob, "x") };
    assert!(matches!(refused(within(39)).await, Refusal::Forbidden(_)));
    let too_long = Edit { kept_as: Some([1; 12]), most_kept: 0, ..editing(club, bob, &"x".repeat(200_000)) };
    edit(&*store, Edit { kept_as: None, ..too_long.clone() }).await.unwrap();
    let shorter = Edit { body: body("y"), ..too_long };
    assert!(matches!(refused(shorter).await, Refusal::Forbidden(_)), "it cannot be kept");
    edit(&*store, within(40)).await.unwrap();
    let act = |act| ChangeRoom { room: club, by: ann, act, at: at(55) };
    make(&*store, act(RoomAct::Mute(bob, at(1_000)))).await.unwrap().unwrap();
    assert!(matches!(refused(editing(club, bob, "quiet")).await, Refusal::Forbidden(_)), "he is muted");
    make(&*store, act(RoomAct::LiftMute(bob))).await.unwrap().unwrap();
    delete(&*store, message_id(1)).await;
    assert!(matches!(refused(editing(club, bob, "z")).await, Refusal::Forbidden(_)));
    restore(&*store, message_id(1), 60).await;
    for n in 2..MAX_EDITS {
        edit(&*store, editing(club, bob, &n.to_string())).await.unwrap();
    }
    assert!(matches!(refused(editing(club, bob, "once more")).await, Refusal::Forbidden(_)));
    remove(&*store, club, ann, bob, 70).await;
    assert_eq!(refused(editing(club, bob, "z")).await, Refusal::MessageNotFound);
}

/// Each edit notes that the message is to be indexed again, so that terms of a text that has changed again are not stored.
pub async fn an_edited_message_is_indexed_again(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let id = direct(&*store, 1, ann, bob).await;
    say(&*store, 1, id, ann).await;
    store.index(id, Seq(0), vec![["old"].into_iter().collect()]).await.unwrap();
    let pending = async || store.rows(Table::Unindexed, id.as_bytes(), None, 9).await.unwrap();
    let reindex = |change: &[u8], word: &str| {
        let (message, terms) = (message_id(1), [word].into_iter().collect::<Terms>());
        make(&*store, Reindex { message, conversation: id, change: change.to_vec(), terms })
    };
    let mut changes = Vec::new();
    for text in ["new", "newer"] {
        edit(&*store, editing(id, ann, text)).await.unwrap();
        changes.push(pending().await.remove(0).value);
    }
    assert!(!reindex(&changes[0], "new").await.unwrap(), "the text has changed since");
    assert!(reindex(&changes[1], "newer").await.unwrap());
    assert_eq!(pending().await, []);
    edit(&*store, editing(id, ann, "newest")).await.unwrap();
    assert_ne!(pending().await.remove(0).value, changes[1]);
}
