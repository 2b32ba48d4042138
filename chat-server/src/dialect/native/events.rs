//! What clients send, and what they are told.

use chat_core::command::Reply;
use chat_core::event::Event;
use chat_core::id::UserId;
use schemars::JsonSchema;
use serde::Serialize;

use super::changed::threads;
use super::shapes::{OfMessage, OfRoom, OfUser, UserId24, message, room, status, user};
use super::{
    Native, arguments, batch, chats, messages, moderation, people, read, receipts, relations, renew, reports,
    rooms, routes, search, sessions, settings, sync, table, told,
};
use crate::dialect::{
    Answer, Asked, Call, DecodeError, Dialect, EventPosition, Failure, Frame, Frames, Inbound,
    PresenceChange, Roster, Route, Whereabouts,
};

impl Dialect for Native {
    fn name(&self) -> &str {
        "native"
    }

    fn routes(&self) -> Vec<Route> {
        routes::all()
    }

    fn events(&self) -> &[&str] {
        super::events()
    }

    fn decode(&self, call: &Call<'_>) -> Result<Inbound, DecodeError> {
        if call.event == batch::EVENT {
            return batch::decode(call).map(Inbound::Batch);
        }
        if call.event == renew::EVENT {
            return renew::decode(call).map(Inbound::Renew);
        }
        let (command, request) = table::decode(call)?;
        Ok(Inbound::Command(command, request))
    }

    fn outbound(&self, event: &Event, mark: EventPosition) -> Frames {
        told::frames(event, mark)
    }

    fn reply(&self, asked: &Asked<'_>, reply: &Reply) -> Answer {
        // Where an event of another dialect was for a command of this one, there is no name for the answer but the oldest.
        let event = match asked.request.event {
            "" => read::READ,
            event => event,
        };
        match Fields::of(reply, asked.user, asked.whereabouts) {
            Some(fields) => Answer::by_ack_or_event(asked, event, &fields),
            None => Answer::done(),
        }
    }

    fn refusal(&self, failure: Failure) -> Failure {
        arguments::in_own_words(failure)
    }

    fn roster(&self) -> Roster {
        Roster::Changes
    }

    fn presence(&self, change: &PresenceChange) -> Option<Frame> {
        let (user_id, last_seen) = (change.user.to_string(), change.at.as_millis());
        Some(Frame::new("presence", &Presence { user_id, status: status(change.online), last_seen }))
    }
}

/// What a command is answered with, on the socket and over HTTP alike.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Fields<'a> {
    Message(OfMessage<'a>),
    Messages(messages::Listed<'a>),
    Thread(threads::HistoryObject<'a>),
    Threads(threads::PageObject<'a>),
    Users(people::Listed<'a>),
    UserPage(people::Page<'a>),
    User(OfUser<'a>),
    Room(OfRoom<'a>),
    Members(rooms::Listed),
    Bans(moderation::Listed),
    Read(read::Marked),
    Unread(read::UnreadList<'a>),
    Related(relations::RelatedObject<'a>),
    RelatedPage(relations::PageObject<'a>),
    Report(reports::ReportObject<'a>),
    ReportPage(reports::PageObject<'a>),
    Receipts(receipts::PageObject),
    Chats(chats::PageObject<'a>),
    ChatSet(settings::SettingsObject<'a>),
    ChatSetPage(settings::PageObject<'a>),
    Changes(sync::SyncObject<'a>),
    Found(search::FoundObject<'a>),
    Sessions(sessions::Listed<'a>),
    EndedSessions(sessions::EndedObject),
}

impl<'a> Fields<'a> {
    /// None where there is nothing more to say than that it was carried out.
    pub(super) fn of(reply: &'a Reply, asker: UserId, whereabouts: Whereabouts<'_>) -> Option<Self> {
        Some(match reply {
            Reply::Done => return None,
            Reply::Message(view) => Self::Message(OfMessage { message: message(&view.message) }),
            Reply::Messages(history) => Self::Messages(messages::listed(history)),
            Reply::Thread(page) => Self::Thread(threads::history(page)),
            Reply::Threads(page) => Self::Threads(threads::page(page)),
            Reply::Users(users) => Self::Users(people::listed(users, whereabouts)),
            Reply::UserPage(page) => Self::UserPage(people::page(page, whereabouts)),
            Reply::User(of) => Self::User(OfUser { user: user(of) }),
            Reply::Conversation(of) => Self::Room(OfRoom { room: room(of, of.member(asker).is_some()) }),
            Reply::Members(page) => Self::Members(rooms::listed(page)),
            Reply::Bans(page) => Self::Bans(moderation::listed(page)),
            Reply::Read(mark) => Self::Read(read::marked(mark.as_ref())),
            Reply::Unread(unread) => Self::Unread(read::listed(unread)),
            Reply::Related(related) => Self::Related(relations::related(&related.user, related.relation)),
            Reply::RelatedPage(page) => Self::RelatedPage(relations::page(page)),
            Reply::Report(of) => Self::Report(reports::report(of)),
            Reply::ReportPage(page) => Self::ReportPage(reports::page(page)),
            Reply::Receipts(page) => Self::Receipts(receipts::page(page)),
            Reply::Chats(page) => Self::Chats(chats::page(page, whereabouts)),
            Reply::ChatSet(set) => Self::ChatSet(settings::set_to(set)),
            Reply::ChatSetPage(page) => Self::ChatSetPage(settings::page(page)),
            Reply::Changes(changes) => Self::Changes(sync::answer(changes, asker)),
            Reply::Found(found) => Self::Found(search::answer(found)),
            Reply::Sessions(list) => Self::Sessions(sessions::listed(list)),
            Reply::EndedSessions(ended) => Self::EndedSessions(sessions::ended(*ended)),
        })
    }
}

/// Whether somebody is there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Presence {
    user_id: UserId24,
    #[schemars(extend("enum" = ["online", "offline"]))]
    status: &'static str,
    /// Milliseconds since 1970.
    last_seen: i64,
}
