//! People who send messages and do not give up, and what must be true of the store afterwards.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_core::clock::Timestamp;
use chat_core::codec::{Blob, Encoding};
use chat_core::history::Window;
use chat_core::id::{ConversationId, MessageId, UserId};
use chat_core::model::{ClientId, Pair, Position, Seq};
use chat_core::store::{Appended, Change, NewMessage, Store, StoreError};
use parking_lot::Mutex;
use tokio::sync::watch;

/// How long a call may take, whatever happens to the server.
pub(crate) const MAX_CALL: Duration = Duration::from_secs(5);

/// For how long somebody tries again.
const STUBBORNNESS: Duration = Duration::from_secs(60);

fn id(kind: u8, n: u32) -> [u8; 12] {
    let mut bytes = [kind; 12];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    bytes
}

/// Person `n`.
pub(crate) fn person(n: u32) -> UserId {
    UserId::from_bytes(id(1, n))
}

/// What was acknowledged, by message.
#[derive(Default)]
pub(crate) struct Load {
    /// Sends have no client id, so nobody may send again, and none may fail.
    nameless: bool,
    acknowledged: Mutex<HashMap<MessageId, (ConversationId, Seq)>>,
    progress: watch::Sender<Progress>,
}

/// How many messages were acknowledged so far, and how many calls have failed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    pub(crate) acknowledged: usize,
    pub(crate) failed: usize,
}

impl Load {
    /// People whose clients give their sends no names: nothing but the store itself keeps a message from being doubled.
    pub(crate) fn nameless() -> Self {
        Self { nameless: true, ..Self::default() }
    }

    /// The conversation of persons 0 and 1, opened if need be.
    pub(crate) async fn conversation(store: &dyn Store) -> ConversationId {
        let (pair, now) = (Pair::new(person(0), person(1)), Timestamp::from_millis(0));
        let opened = store.open_direct(pair, ConversationId::from_bytes(id(2, 0)), now).await;
        opened.expect("a conversation must be opened").id
    }

    /// Somebody sends so many messages, each when the last one was acknowledged, and each again until it is.
    pub(crate) async fn send(&self, store: Arc<dyn Store>, to: ConversationId, sender: u32, count: u32) {
        for n in 0..count {
            let started = Instant::now();
            loop {
                let mut new = message(to, sender, n);
                if self.nameless {
                    new.client_id = None;
                }
                let asked = Instant::now();
                let answer = store.append(new.clone()).await;
                assert!(asked.elapsed() < MAX_CALL, "a call took {:?}: {answer:?}", asked.elapsed());
                let seq = match answer {
                    Ok(Appended::New { seq, .. }) => seq,
                    Ok(Appended::Repeated(first)) => {
                        assert_eq!(first.id, new.id, "a repeated send answers the first one");
                        first.seq
                    }
                    Ok(Appended::Refused(refusal)) => panic!("message {n} of {sender}: {refusal:?}"),
                    Err(StoreError::Unavailable(_)) if !self.nameless => {
                        self.progress.send_modify(|progress| progress.failed += 1);
                        assert!(
                            started.elapsed() < STUBBORNNESS,
                            "message {n} of {sender} never got through"
                        );
                        continue;
                    }
                    Err(error) => panic!("message {n} of {sender}: {error}"),
                };
                self.acknowledged.lock().insert(new.id, (to, seq));
                self.progress.send_modify(|progress| progress.acknowledged += 1);
                break;
            }
        }
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Waits until it is as far as wanted.
    pub(crate) async fn until(&self, what: &str, is_far_enough: impl Fn(Progress) -> bool) {
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|progress| is_far_enough(*progress));
        let reached = tokio::time::timeout(STUBBORNNESS, reached).await;
        assert!(reached.is_ok(), "{what}, but: {:?}", self.progress());
    }

    /// Every acknowledged message is there, at its place, once; nothing else is; positions and seqs have no gaps; and
    /// everybody's messages are in the order in which they were sent.
    pub(crate) async fn verify(&self, store: &dyn Store, conversation: ConversationId) {
        let acknowledged = self.acknowledged.lock().clone();
        let window = Window::Latest { limit: Window::MAX_LIMIT };
        let (history, _) = store.history(conversation, window, true).await.expect("a history");
        assert_eq!(history.len(), acknowledged.len(), "as many messages as were acknowledged");
        let mut last_of: HashMap<u8, u32> = HashMap::new();
        for (seq, said) in (1..).map(Seq).zip(&history) {
            assert_eq!(said.seq, seq, "seqs are 1, 2, 3, …");
            assert_eq!(acknowledged.get(&said.id), Some(&(conversation, seq)), "what was acknowledged");
            let n = number_of(&said.body.bytes);
            let device = said.id.as_bytes()[0];
            let last = last_of.insert(device, n);
            assert_eq!(last.map_or(0, |last| last + 1), n, "the order of what {device} sent");
        }
        let log = store.changes_after(Position(0), usize::MAX).await.expect("a log").expect("a whole log");
        let logged = log.iter().map(|entry| match &entry.change {
            Change::MessageSent(said) => (entry.position.0, said.id),
            other => panic!("nobody asked for {other:?}"),
        });
        let sent = (1..).zip(history.iter().map(|said| said.id));
        assert!(logged.eq(sent), "the log tells the same in the same order");
    }
}

/// Message `n` of a device, always the same. Those of even numbers are person 0's, the others person 1's.
pub(crate) fn message(to: ConversationId, sender: u32, n: u32) -> NewMessage {
    NewMessage {
        id: MessageId::from_bytes(id(3 + sender as u8, n)),
        conversation: to,
        // Only two people are in the conversation; each has many devices.
        sender: person(sender % 2),
        body: Blob { encoding: Encoding::Stored, bytes: n.to_be_bytes().to_vec() },
        file_name: None,
        image: None,
        client_id: ClientId::new(if sender < 2 { format!("send-{n}") } else { format!("send-{sender}-{n}") }),
        fingerprint: None,
        at: Timestamp::from_millis(i64::from(n)),
    }
}

fn number_of(body: &[u8]) -> u32 {
    u32::from_be_bytes(body.try_into().expect("four bytes"))
}
