//! The members of a room at the moment when a message of that room is announced.
//!
//! A delivery carries the members at the moment when its command was accepted. Since then another command or another
//! node may have added or removed members. A delivery that comes after such a change in the log uses the members after
//! the change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat_core::event::{Audience, Delivery, Event};
use chat_core::id::{ConversationId, UserId};
use chat_core::model::{Conversation, Member};
use tokio::time::Instant;

/// How long a command may run that still has the members from before a change.
const UNDER_WAY: Duration = Duration::from_secs(60);

/// The rooms whose members changed recently, with their current members.
#[derive(Default)]
pub(super) struct Rooms {
    known: HashMap<ConversationId, (Instant, Arc<Conversation>)>,
    /// When old entries were last removed. Not done at every change, because there are too many.
    swept_at: Option<Instant>,
}

impl Rooms {
    /// Handles the next delivery in log order: records member changes and corrects the audience.
    pub(super) fn pass(&mut self, delivery: &mut Delivery) {
        match &delivery.event {
            Event::MemberAdded { room, user } => {
                let known = self.changed(room, *user, room.member(*user));
                delivery.audience = Audience::Members(known);
            }
            Event::MemberRemoved { room, user } => {
                let known = self.changed(room, *user, None);
                delivery.audience = Audience::MembersAnd(known, *user);
            }
            // Every other event goes to the current members.
            _ => {
                if let Audience::Members(conversation) | Audience::MembersBut(conversation, _) =
                    &mut delivery.audience
                    && let Some((_, known)) = self.known.get(&conversation.id)
                {
                    *conversation = known.clone();
                }
            }
        }
    }

    /// Records a member change and returns the updated room. The event is reliable only about this one member at its
    /// position. About other members it may lack earlier changes, or already contain later ones.
    fn changed(
        &mut self,
        room: &Arc<Conversation>,
        user: UserId,
        member: Option<&Member>,
    ) -> Arc<Conversation> {
        let now = Instant::now();
        if self.swept_at.is_none_or(|swept_at| now.duration_since(swept_at) >= UNDER_WAY) {
            self.known.retain(|_, (since, _)| now.duration_since(*since) < UNDER_WAY);
            self.swept_at = Some(now);
        }
        let (since, known) = self.known.entry(room.id).or_insert_with(|| (now, room.clone()));
        *since = now;
        if known.member(user) != member {
            let members = &mut Arc::make_mut(known).members;
            match member {
                Some(member) => members.put(*member),
                None => members.remove(user),
            }
        }
        known.clone()
    }
}

#[cfg(test)]
mod tests {
    use chat_core::chat::Registration;
    use chat_core::command::{
        Actor, AddMember, CreateRoom, Destination, Outcome, RemoveMember, Request, SendMessage,
    };
    use chat_core::model::{Content, PasswordHash, Visibility};
    use chat_core::prelude::Chat;

    use super::*;

    async fn execute<R: Request>(chat: &Chat, actor: UserId, request: R) -> Outcome<R::Reply> {
        chat.execute(&Actor { user: actor }, request).await.unwrap()
    }

    #[tokio::test]
    async fn who_has_come_is_told_and_who_has_gone_is_not() {
        let chat = Chat::in_memory();
        let mut people = Vec::new();
        for name in ["ann", "bob"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let (ann, bob) = (people[0], people[1]);
        let create = CreateRoom { name: "r".into(), visibility: Visibility::Private, members: vec![] };
        let room = execute(&chat, ann, create).await.reply;
        let say = || SendMessage {
            to: Destination::Conversation(room.id),
            content: Content::text("x"),
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        // Both messages were accepted before the member changes and are announced after them.
        let mut without_bob = execute(&chat, ann, say()).await.deliveries.remove(0);
        let mut added = execute(&chat, ann, AddMember { room: room.id, user: bob }).await;
        let mut with_bob = execute(&chat, ann, say()).await.deliveries.remove(0);
        let mut removed = execute(&chat, ann, RemoveMember { room: room.id, user: bob }).await;

        let mut rooms = Rooms::default();
        rooms.pass(&mut added.deliveries[0]);
        rooms.pass(&mut without_bob);
        assert!(without_bob.audience.includes(bob));
        rooms.pass(&mut removed.deliveries[0]);
        assert!(removed.deliveries[0].audience.includes(bob), "he is told that he is out");
        rooms.pass(&mut with_bob);
        assert!(!with_bob.audience.includes(bob) && with_bob.audience.includes(ann));
    }

    #[tokio::test]
    async fn of_two_who_come_at_once_neither_is_lost() {
        let chat = Chat::in_memory();
        let mut people = Vec::new();
        for name in ["ann", "bob", "cid"] {
            let registration = Registration::named(name, PasswordHash::new("x"));
            people.push(chat.register(registration).await.unwrap().user.id);
        }
        let (ann, bob, cid) = (people[0], people[1], people[2]);
        let create = CreateRoom { name: "r".into(), visibility: Visibility::Private, members: vec![] };
        let room = execute(&chat, ann, create).await.reply;
        let mut bob_came = execute(&chat, ann, AddMember { room: room.id, user: bob }).await;
        let mut cid_came = execute(&chat, ann, AddMember { room: room.id, user: cid }).await;
        let mut bob_went = execute(&chat, ann, RemoveMember { room: room.id, user: bob }).await;
        // Each command may have run without knowing of the other one.
        let forget = |outcome: &mut Outcome<Arc<Conversation>>, user| {
            let (Event::MemberAdded { room, .. } | Event::MemberRemoved { room, .. }) =
                &mut outcome.deliveries[0].event
            else {
                panic!("{outcome:?}");
            };
            Arc::make_mut(room).members.remove(user);
        };
        forget(&mut cid_came, bob);
        forget(&mut bob_went, cid);

        let mut rooms = Rooms::default();
        rooms.pass(&mut bob_came.deliveries[0]);
        rooms.pass(&mut cid_came.deliveries[0]);
        for user in [ann, bob, cid] {
            assert!(cid_came.deliveries[0].audience.includes(user), "{user} is told that cid has come");
        }
        rooms.pass(&mut bob_went.deliveries[0]);
        for user in [ann, bob, cid] {
            assert!(bob_went.deliveries[0].audience.includes(user), "{user} is told that bob has gone");
        }
        let say = SendMessage {
            to: Destination::Conversation(room.id),
            content: Content::text("x"),
            client_id: None,
            fingerprint: None,
            context: Default::default(),
        };
        let mut said = execute(&chat, ann, say).await.deliveries.remove(0);
        rooms.pass(&mut said);
        assert!(!said.audience.includes(bob) && said.audience.includes(cid));
    }
}
