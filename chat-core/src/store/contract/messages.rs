//! Clauses of [`MessageStore`](crate::store::MessageStore): sending, deleting, restoring.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::support::{
    ODD_TEXTS, add, append, at, client_id, conversation_id, delete, deleting, direct, everything,
    last_position, set_deleted,
};
use super::support::{message_id, new_message, people, room, say, stored, whole_history, whole_log};
use crate::codec::{Blob, Encoding};
use crate::id::MessageId;
use crate::model::{Fingerprint, Pair, Position, Seq, Tombstone};
use crate::policy::Refusal;
use crate::store::{
    Appended, Change, FINGERPRINT_WINDOW, LoggedChange, NewMessage, Store, StoreError, StoredMessage,
};

async fn find(store: &dyn Store, message: MessageId) -> StoredMessage {
    store.message(message).await.expect("looking a message up must work").expect("the message must be there")
}

/// A message is stored with all its parts. Lookups, history and log return it unchanged.
pub async fn a_message_is_kept_as_given(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    let text = |text: &str| Some(text.to_owned());
    let variants = [
        (None, None, None),
        (text("notes.txt"), None, None),
        (None, text("https://example.org/a.png"), None),
        (text("a"), text("b"), Some(client_id("c"))),
        // Empty is different from missing.
        (text(""), text(""), None),
    ];
    let mut expected = Vec::new();
    for (n, (file_name, image, client_id)) in (1..).zip(variants) {
        let new = NewMessage { file_name, image, client_id, ..new_message(n, conversation, bob) };
        assert_eq!(store.message(new.id).await.unwrap(), None, "message {n} is not there yet");
        let place = append(&*store, new.clone()).await;
        assert_eq!(place, (Position(n.into()), Seq(n.into())), "the place of message {n}");
        expected.push(stored(new, Seq(n.into())));
        assert_eq!(find(&*store, message_id(n)).await, expected[usize::from(n) - 1], "message {n}");
    }
    assert_eq!(whole_history(&*store, conversation).await, expected, "the history");
    let log = (1..).map(Position).zip(expected.into_iter().map(Change::MessageSent));
    let log: Vec<_> = log.map(|(position, change)| LoggedChange { position, change }).collect();
    assert_eq!(whole_log(&*store).await, log, "the log");
}

/// The messages of each conversation are numbered 1, 2, 3, … even if conversations and senders alternate.
pub async fn seqs_have_no_gaps_in_any_conversation(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversations =
        [direct(&*store, 1, ann, bob).await, room(&*store, 2, ann).await, direct(&*store, 3, ann, ann).await];
    add(&*store, conversations[1], ann, bob, 1).await;
    let mut position = last_position(&*store).await;
    let mut counts = [0; 3];
    for n in 0..60 {
        let which = usize::from(n * n + n / 7) % 3;
        // Notes to oneself have only one sender.
        let sender = if n % 5 < 2 || which == 2 { ann } else { bob };
        counts[which] += 1;
        position.0 += 1;
        let place = append(&*store, new_message(n, conversations[which], sender)).await;
        assert_eq!(place, (position, Seq(counts[which])), "message {n} in conversation {which}");
        if n % 4 == 0 {
            // A deleted message keeps its seq, and a deletion does not use one.
            delete(&*store, message_id(n)).await;
            position.0 += 1;
        }
    }
    for (conversation, count) in conversations.into_iter().zip(counts) {
        let seqs: Vec<u32> =
            whole_history(&*store, conversation).await.iter().map(|said| said.seq.0).collect();
        assert_eq!(seqs, (1..=count).collect::<Vec<_>>(), "the history of {conversation}");
    }
}

/// Two sends with the same client id of the same sender are the same message. The second send returns the first
/// message in its current state and changes nothing, whatever else it contains.
pub async fn a_repeated_client_id_answers_the_first_message(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let [here, there] = [direct(&*store, 1, ann, bob).await, room(&*store, 2, ann).await];
    let named = |n, conversation| NewMessage {
        client_id: Some(client_id("tmp-1")),
        ..new_message(n, conversation, ann)
    };
    let first = named(1, here);
    append(&*store, first.clone()).await;
    let mut first = stored(first, Seq(1));
    say(&*store, 2, here, bob).await;

    let other_body =
        NewMessage { body: Blob { encoding: Encoding::Huffman, bytes: vec![9] }, ..named(3, here) };
    let repeats = [named(1, here), named(3, here), other_body, named(3, there), named(2, here)];
    for deleted in [false, true] {
        if deleted {
            delete(&*store, first.id).await;
            first = find(&*store, first.id).await;
        }
        let before = everything(&*store).await;
        for again in &repeats {
            let answer = store.append(again.clone()).await.unwrap();
            assert_eq!(answer, Appended::Repeated(Box::new(first.clone())), "sending again as {}", again.id);
            assert_eq!(everything(&*store).await, before, "a repeated send must change nothing");
        }
    }
    assert_eq!(store.message(message_id(3)).await.unwrap(), None, "no second message came of it");
    let (_, seq) = append(&*store, new_message(3, here, ann)).await;
    assert_eq!(seq, Seq(3), "repeated sends take no place");
}

/// Two sends with the same fingerprint of the same sender in the same conversation are the same message, for a day.
/// The second send returns the first message in its current state and changes nothing.
pub async fn a_repeated_fingerprint_answers_the_first_message(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let [here, there] = [direct(&*store, 1, ann, bob).await, room(&*store, 2, ann).await];
    let day = i64::try_from(FINGERPRINT_WINDOW.as_millis()).unwrap();
    let marked = |n, conversation, sender, fingerprint, sent| NewMessage {
        fingerprint: Some(Fingerprint(fingerprint)),
        at: at(sent),
        ..new_message(n, conversation, sender)
    };
    let mut firsts = Vec::new();
    let different = [(here, ann, 7), (here, ann, u64::MAX), (here, ann, 0), (here, bob, 7), (there, ann, 7)];
    for (n, (conversation, sender, fingerprint)) in (1..).zip(different) {
        let new = marked(n, conversation, sender, fingerprint, 1_000);
        let (_, seq) = append(&*store, new.clone()).await;
        firsts.push(stored(new, seq));
    }
    delete(&*store, firsts[0].id).await;
    firsts[0] = find(&*store, firsts[0].id).await;
    let before = everything(&*store).await;
    for (first, (conversation, sender, fingerprint)) in firsts.iter().zip(different) {
        for sent in [900, 1_000, 1_001, 999 + day] {
            let again = marked(20, conversation, sender, fingerprint, sent);
            let answer = store.append(again).await.unwrap();
            assert_eq!(answer, Appended::Repeated(Box::new(first.clone())), "sent again at {sent}");
        }
    }
    assert_eq!(everything(&*store).await, before, "a repeated send must change nothing");
    // A message without a fingerprint is always a new one. The same fingerprint a day later is a new message too.
    append(&*store, new_message(20, here, ann)).await;
    append(&*store, new_message(21, here, ann)).await;
    let later = marked(22, here, ann, 7, 1_000 + day);
    let (_, seq) = append(&*store, later.clone()).await;
    let answer = store.append(marked(23, here, ann, 7, 1_001 + day)).await.unwrap();
    assert_eq!(answer, Appended::Repeated(Box::new(stored(later, seq))), "and then that one is the first");
}

/// A message that could not be appended leaves no fingerprint.
pub async fn a_refused_message_leaves_no_fingerprint(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let conversation = room(&*store, 1, ann).await;
    say(&*store, 1, conversation, ann).await;
    let marked = |n| NewMessage { fingerprint: Some(Fingerprint(5)), ..new_message(n, conversation, ann) };
    let refused = store.append(marked(1)).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "the id is taken: {refused:?}");
    assert_eq!(append(&*store, marked(2)).await.1, Seq(2));
}

/// Client ids belong to their sender, and are compared exactly.
pub async fn client_ids_that_differ_are_different(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    let longest = "x".repeat(128);
    let names = ["id", "ID", "id ", " id", "Žofie", &longest, &longest[1..]];
    let names: Vec<&str> = ODD_TEXTS.iter().copied().filter(|text| !text.is_empty()).chain(names).collect();
    let message = |n: u16, sender, name| NewMessage {
        client_id: Some(client_id(name)),
        ..new_message(n, conversation, sender)
    };
    for (n, name) in (0..).zip(&names) {
        append(&*store, message(2 * n, ann, name)).await;
        append(&*store, message(2 * n + 1, bob, name)).await;
    }
    for (n, name) in (0..).zip(&names) {
        for (sender, first) in [(ann, 2 * n), (bob, 2 * n + 1)] {
            match store.append(message(9999, sender, name)).await.unwrap() {
                Appended::Repeated(message) => {
                    assert_eq!(message.id, message_id(first), "{name:?} of {sender}");
                }
                other => panic!("{name:?} of {sender} was sent before, but: {other:?}"),
            }
        }
    }
    // Any number of messages have no client id: a missing id is not a value that two messages share.
    for n in 0..3 {
        append(&*store, new_message(1000 + n, conversation, ann)).await;
    }
}

/// A message whose id is taken is refused. It uses no seq and does not use up its client id.
pub async fn a_taken_message_id_overwrites_nothing(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let [here, there] = [direct(&*store, 1, ann, bob).await, room(&*store, 2, ann).await];
    add(&*store, there, ann, bob, 1).await;
    say(&*store, 1, here, ann).await;
    let before = everything(&*store).await;
    for conversation in [here, there] {
        let new = NewMessage { client_id: Some(client_id("tmp")), ..new_message(1, conversation, bob) };
        let answer = store.append(new).await;
        assert!(
            matches!(answer, Err(StoreError::Refused(_))),
            "a message with the id of another: {answer:?}"
        );
        assert_eq!(everything(&*store).await, before, "a failed append must change nothing");
    }
    let new = NewMessage { client_id: Some(client_id("tmp")), ..new_message(2, here, bob) };
    assert_eq!(append(&*store, new).await.1, Seq(2), "the failed appends left no gap");
    assert_eq!(append(&*store, new_message(3, there, ann)).await.1, Seq(1));
}

/// Bodies are returned bit by bit, whatever their encoding is.
pub async fn bodies_come_back_bit_by_bit(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let conversation = room(&*store, 1, ann).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    // The noise has no period, so a driver's page or block size cannot hide an error.
    let noise =
        |len: u32| -> Vec<u8> { (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect() };
    let mut bodies =
        vec![vec![], vec![0], vec![0; 4096], b"\0middle\0".to_vec(), vec![0xff, 0xfe, 0xc3, 0x28]];
    bodies.extend([every_byte, noise(65_537), noise(1_000_003), "Žofie 👍".into(), b"'\"\\%_".to_vec()]);
    let blobs = |encoding| bodies.iter().map(move |bytes| Blob { encoding, bytes: bytes.clone() });
    let blobs: Vec<Blob> = blobs(Encoding::Stored).chain(blobs(Encoding::Huffman)).collect();
    for (n, body) in (0..).zip(&blobs) {
        append(&*store, NewMessage { body: body.clone(), ..new_message(n, conversation, ann) }).await;
    }
    // assert! rather than assert_eq!, because the difference between two texts of a megabyte is not readable.
    let (history, log) = (whole_history(&*store, conversation).await, whole_log(&*store).await);
    for (n, body) in blobs.iter().enumerate() {
        let what = format!("body {n} of {} bytes in {:?}", body.bytes.len(), body.encoding);
        assert!(find(&*store, message_id(n as u16)).await.body == *body, "{what} from message");
        assert!(history[n].body == *body, "{what} from history");
        assert!(
            matches!(&log[n + 1].change, Change::MessageSent(message) if message.body == *body),
            "{what} from the log"
        );
    }
}

/// File names and image URLs are returned as they were given.
pub async fn texts_of_messages_come_back_as_given(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    let conversation = room(&*store, 1, ann).await;
    for (n, text) in (0..).zip(ODD_TEXTS) {
        let text = Some((*text).to_owned());
        let new = NewMessage { file_name: text.clone(), image: text, ..new_message(n, conversation, ann) };
        append(&*store, new).await;
    }
    for (message, text) in whole_history(&*store, conversation).await.iter().zip(ODD_TEXTS) {
        assert_eq!(message.file_name.as_deref(), Some(*text), "the file's name");
        assert_eq!(message.image.as_deref(), Some(*text), "the image");
    }
}

/// A deleted message stays in the history, with its tombstone. Deleting it again changes nothing.
pub async fn a_message_is_deleted_once(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    for n in 1..=3 {
        say(&*store, n, conversation, ann).await;
    }
    let tombstone = Tombstone { at: at(777), by: ann };
    let mut expected = find(&*store, message_id(2)).await;
    (expected.deleted, expected.updated_at) = (Some(tombstone), at(777));
    let answer = set_deleted(&*store, message_id(2), true, 777).await;
    assert_eq!(answer, (Some(Position(4)), expected.clone()), "deleting");
    assert_eq!(find(&*store, message_id(2)).await, expected);
    let change = Change::MessageDeleted(expected.clone());
    assert_eq!(whole_log(&*store).await.pop(), Some(LoggedChange { position: Position(4), change }));

    let before = everything(&*store).await;
    for moment in [777, 888] {
        let answer = set_deleted(&*store, message_id(2), true, moment).await;
        assert_eq!(answer, (None, expected.clone()), "deleting what is deleted");
        assert_eq!(everything(&*store).await, before, "deleting what is deleted must change nothing");
    }
    let history = whole_history(&*store, conversation).await;
    assert_eq!(history.iter().map(|message| message.seq.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(history[1], expected);
    for n in [1, 3] {
        assert_eq!(find(&*store, message_id(n)).await.deleted, None, "message {n} is another");
    }
}

/// A restored message is the same as before except for `updated_at`. Restoring a message that is not deleted changes
/// nothing.
pub async fn a_message_is_restored_once(store: Arc<dyn Store>) {
    let [ann, bob] = people(&*store, [1, 2]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    let mut expected = find(&*store, say(&*store, 1, conversation, ann).await).await;
    let before = everything(&*store).await;
    let answer = set_deleted(&*store, expected.id, false, 5).await;
    assert_eq!(answer, (None, expected.clone()), "restoring what was never deleted");
    assert_eq!(everything(&*store).await, before, "restoring what is not deleted must change nothing");

    for round in 1..=2 {
        delete(&*store, expected.id).await;
        expected.updated_at = at(round);
        let answer = set_deleted(&*store, expected.id, false, round).await;
        let position = Position(1 + 2 * round as u64);
        assert_eq!(answer, (Some(position), expected.clone()), "restoring, round {round}");
        assert_eq!(find(&*store, expected.id).await, expected);
        let change = Change::MessageRestored(expected.clone());
        assert_eq!(whole_log(&*store).await.pop(), Some(LoggedChange { position, change }));
        let answer = set_deleted(&*store, expected.id, false, 999).await;
        assert_eq!(answer, (None, expected.clone()), "restoring what is restored");
    }
}

/// An unknown message is not found, and it cannot be deleted or restored.
pub async fn an_unknown_message_is_none(store: Arc<dyn Store>) {
    let [ann] = people(&*store, [1]).await;
    say(&*store, 1, room(&*store, 1, ann).await, ann).await;
    assert_eq!(store.message(message_id(2)).await.unwrap(), None);
    // A message that does not exist, and one that is in another conversation.
    let elsewhere = room(&*store, 2, ann).await;
    let before = everything(&*store).await;
    for (message, conversation) in [(2, conversation_id(1)), (1, elsewhere), (1, conversation_id(9))] {
        for delete in [true, false] {
            let refused =
                store.set_deleted(deleting(message_id(message), conversation, ann, delete, 1)).await;
            assert_eq!(refused.unwrap(), Err(Refusal::MessageNotFound));
        }
    }
    assert_eq!(everything(&*store).await, before, "nothing came of it");
    let same_bytes = MessageId::from_bytes(*conversation_id(1).as_bytes());
    assert_eq!(store.message(same_bytes).await.unwrap().map(|message| message.id), Some(message_id(1)));
}

/// A caller that has submitted a change may poll for its outcome later. Meanwhile the caller's other changes and
/// those of other callers are stored and answered.
pub async fn a_change_that_is_not_polled_again_holds_nobody_up(store: Arc<dyn Store>) {
    let [ann, bob, carl] = people(&*store, [1, 2, 3]).await;
    let conversation = direct(&*store, 1, ann, bob).await;
    let mut first = store.append(new_message(1, conversation, ann));
    let handed_over = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx))).await;
    for n in 2..10 {
        let opened = store.open_direct(Pair::new(ann, carl), conversation_id(n), at(1));
        within_reason(opened).await.expect("a conversation is opened while a message waits");
        let said = store.append(new_message(n, conversation, bob));
        within_reason(said).await.expect("somebody else's message is stored while one waits");
    }
    let outcome = match handed_over {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => first.await,
    };
    let Ok(Appended::New { seq, .. }) = outcome else {
        panic!("the first message must be stored: {outcome:?}")
    };
    assert_eq!(seq, Seq(1), "changes are made in the order in which they were handed over");
}

/// The library has no timer, so this test polls the clock itself.
async fn within_reason<T>(work: impl Future<Output = T>) -> T {
    let started = std::time::Instant::now();
    let mut work = std::pin::pin!(work);
    poll_fn(|cx| {
        let outcome = work.as_mut().poll(cx);
        if outcome.is_pending() {
            assert!(started.elapsed().as_secs() < 10, "a change is held up by another that is not polled");
            cx.waker().wake_by_ref();
        }
        outcome
    })
    .await
}
