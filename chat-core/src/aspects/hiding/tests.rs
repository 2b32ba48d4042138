use super::*;
use crate::chat::Registration;
use crate::command::{Actor, Destination, ListUnread, ReadChanges, ReadHistory, Request, SendMessage};
use crate::event::Event;
use crate::history::Window;
use crate::model::{Content, PasswordHash, Position, UserKey};
use crate::search::Search;

struct World {
    chat: Chat,
    ann: UserId,
    bob: UserId,
    eve: UserId,
    messages: Vec<MessageId>,
}

impl World {
    async fn new() -> Self {
        let chat = Chat::in_memory();
        let mut people = Vec::new();
        for name in ["ann", "bob", "eve"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let mut world = Self { chat, ann: people[0], bob: people[1], eve: people[2], messages: Vec::new() };
        for text in ["first words", "second words"] {
            let to = Destination::Person(UserKey::Id(world.bob));
            let content = Content::text(text);
            let send =
                SendMessage { to, content, client_id: None, fingerprint: None, context: Default::default() };
            world.messages.push(world.run(world.ann, send).await.reply.message.id);
        }
        world
    }

    async fn run<R: Request>(&self, user: UserId, request: R) -> Outcome<R::Reply> {
        self.chat.execute(&Actor { user }, request).await.unwrap()
    }

    fn hide(&self, hidden: bool) -> HideMessage {
        HideMessage { message: self.messages[0], hidden }
    }

    /// The places that a person sees in the history, in a search and in the log, and how many are unread.
    async fn seen(&self, user: UserId) -> [Vec<u32>; 4] {
        let other = if user == self.ann { self.bob } else { self.ann };
        let of = Destination::Person(UserKey::Id(other));
        let read = ReadHistory { of, window: Window::Latest { limit: 9 }, include_deleted: true };
        let history = self.run(user, read).await.reply.messages;
        let search = Search { text: "words".into(), limit: 9, ..Search::default() };
        let found = self.run(user, search).await.reply.messages;
        let since = Some(Position(0).into());
        let log = self.run(user, ReadChanges { since, limit: 9 }).await.reply.deliveries;
        let unread = self.run(user, ListUnread { limit: 9 }).await.reply;
        [
            history.iter().map(|view| view.message.seq.0).collect(),
            found.iter().rev().map(|view| view.message.seq.0).collect(),
            log.iter().filter_map(|told| Some(told.event.message()?.message.seq.0)).collect(),
            unread.iter().map(|unread| unread.unread).collect(),
        ]
    }
}

#[tokio::test]
async fn a_message_is_hidden_from_one_person_and_shown_again() {
    let world = World::new().await;
    assert_eq!(world.seen(world.bob).await, [vec![1, 2], vec![1, 2], vec![1, 2], vec![2]]);
    let outcome = world.run(world.bob, world.hide(true)).await;
    let [told] = &outcome.deliveries[..] else { panic!("one change") };
    assert!(told.audience.includes(world.bob) && !told.audience.includes(world.ann), "only Bob is told");
    let Event::MessageChanged(changed) = &told.event else { panic!("{:?}", told.event) };
    assert_eq!(changed.what, HidingChange { hidden: true }.into());
    assert!(told.invalidates.audience.is_some(), "what is kept of the log is read again");
    assert_eq!(world.seen(world.bob).await, [vec![2], vec![2], vec![2], vec![1]]);
    assert_eq!(world.seen(world.ann).await, [vec![1, 2], vec![1, 2], vec![1, 2], vec![]]);
    assert!(world.run(world.bob, world.hide(true)).await.deliveries.is_empty(), "it is hidden already");
    // Ann's own message is hidden from her, and then both see it again.
    world.run(world.ann, world.hide(true)).await;
    assert_eq!(world.seen(world.ann).await, [vec![2], vec![2], vec![2], vec![]]);
    world.run(world.bob, world.hide(false)).await;
    assert_eq!(world.seen(world.bob).await, [vec![1, 2], vec![1, 2], vec![1, 2], vec![2]]);
    assert_eq!(world.seen(world.ann).await, [vec![2], vec![2], vec![2], vec![]]);
    world.run(world.ann, world.hide(false)).await;
    assert_eq!(world.seen(world.ann).await, [vec![1, 2], vec![1, 2], vec![1, 2], vec![]]);
}

/// The person's other devices are told of it live, and by the log those that were away.
#[tokio::test]
async fn the_log_tells_only_the_person() {
    let world = World::new().await;
    for hidden in [true, false] {
        world.run(world.bob, world.hide(hidden)).await;
    }
    let told = async |user| -> Vec<bool> {
        let since = Some(Position(0).into());
        let log = world.run(user, ReadChanges { since, limit: 9 }).await.reply.deliveries;
        let hiding = log.iter().filter_map(|delivery| match &delivery.event {
            Event::MessageChanged(changed) => match changed.what {
                crate::aspects::MessageChange::Hidden(change) => Some(change.hidden),
                _ => None,
            },
            _ => None,
        });
        hiding.collect()
    };
    assert_eq!(told(world.bob).await, [true, false]);
    assert_eq!(told(world.ann).await, [false; 0]);
}

#[tokio::test]
async fn for_strangers_there_is_nothing_to_hide() {
    let world = World::new().await;
    let refused = |error: Result<_, Error>| matches!(error, Err(Error::MessageNotFound));
    let eve = Actor { user: world.eve };
    assert!(refused(world.chat.execute(&eve, world.hide(true)).await.map(drop)));
    let missing = HideMessage { message: MessageId::from_bytes([7; 12]), hidden: true };
    assert!(refused(world.chat.execute(&eve, missing).await.map(drop)));
}
