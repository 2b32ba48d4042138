//! Where the random requests come from.

mod messages;
mod relations;
mod rooms;
mod rows;
mod search;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chat_core::clock::Timestamp;
use chat_core::codec::{Blob, Encoding};
use chat_core::history::Window;
use chat_core::id::{ConversationId, MessageId, UserId};
use chat_core::model::{
    ClientId, Conversation, Fingerprint, Member, Pair, PasswordHash, Position, ProfilePatch, Role, RoomInfo,
    Seq, User, UserKey, Visibility,
};
use chat_core::store::{
    AddMember, Appended, CreatedUser, NewMessage, NewRoom, RemoveMember, RoomChange, SetRole,
};

use super::{Answer, Request};

/// How many ids of conversations are ever used.
pub(crate) const CONVERSATIONS: u64 = 24;
const USERS: u64 = 40;
/// Enough that most ids are free.
const MESSAGES: u64 = 4000;

/// Few enough that they meet, and such that some are one without regard to case and some only look alike.
const TEXTS: [&str; 24] = [
    "ann",
    "Ann",
    "ANN",
    "Žofie",
    "žOFIE",
    "zofie",
    "ΔΈΛΤΑ",
    "δέλτα",
    "\u{130}",
    "i\u{307}",
    "%",
    "_",
    "a%",
    "'; --",
    "\"",
    "\\",
    "",
    " ",
    "ann ",
    "\u{1}\n\t",
    "👩‍👩‍👧",
    "e\u{301}",
    "\u{e9}",
    "?1 :a $b @c",
];

/// The id of conversation `n`.
pub(crate) fn conversation_id(n: u64) -> ConversationId {
    ConversationId::from_bytes(bytes(n))
}

/// Ids in an order that is not that of their numbers.
fn bytes(n: u64) -> [u8; 12] {
    let mut bytes = [0x5a; 12];
    bytes[2..10].copy_from_slice(&n.reverse_bits().rotate_left(8).to_be_bytes());
    bytes
}

/// A stream of requests that is the same for the same seed, in every release of every library.
#[derive(Default)]
pub(crate) struct Requests {
    state: u64,
    now: i64,
    /// What there is by now: requests keep to what callers may ask, and mostly to what is there.
    people: Vec<UserId>,
    conversations: Vec<ConversationId>,
    rooms: Vec<ConversationId>,
    /// The rooms as they are.
    cast: BTreeMap<ConversationId, Arc<Conversation>>,
    messages: Vec<MessageId>,
    /// Where each message was said, and by whom.
    said: BTreeMap<MessageId, (ConversationId, UserId)>,
    /// The people of each direct conversation.
    pairs: BTreeMap<ConversationId, [UserId; 2]>,
    positions: u64,
    /// Whether the log is shortened now and then. If so, there are no fingerprints: they may be forgotten with it.
    forgets: bool,
    /// Whether nothing is indexed or searched.
    leaves_index_alone: bool,
}

impl Requests {
    /// The stream of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, forgets: seed.is_multiple_of(2), ..Self::default() }
    }

    /// Without what the index of searches is needed for.
    pub(crate) fn without_index(self) -> Self {
        Self { leaves_index_alone: true, ..self }
    }

    /// The present moment of the stream, which never goes back.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    /// Takes note of what came of a request.
    pub(crate) fn learn(&mut self, request: &Request, answer: &Answer) {
        match (request, answer) {
            (_, Answer::Created(CreatedUser::Created(user))) => self.people.push(user.id),
            (_, Answer::Opened(opened)) if !self.conversations.contains(&opened.id) => {
                self.conversations.push(opened.id);
                let people: Vec<_> = opened.members.iter().map(|member| member.user).collect();
                if let (Some(one), Some(other)) = (people.first(), people.last()) {
                    self.pairs.insert(opened.id, [*one, *other]);
                }
            }
            (_, Answer::Made(Ok((_, room)))) => {
                self.conversations.push(room.id);
                self.rooms.push(room.id);
                self.cast.insert(room.id, room.clone());
            }
            (Request::AddMember(AddMember { room, user, .. }), Answer::Changed(Ok(change)))
            | (Request::SetRole(SetRole { room, user, .. }), Answer::Changed(Ok(change)))
            | (Request::RemoveMember(RemoveMember { room, user, .. }), Answer::Changed(Ok(change))) => {
                self.learn_cast(*room, *user, change);
            }
            (_, Answer::RoomChanged(Some(Ok(log)))) => self.learn_log(log),
            (
                Request::Append(new) | Request::AppendWith(new, _),
                Answer::Appended(Appended::New { position, .. }),
            ) => {
                self.messages.push(new.id);
                self.said.insert(new.id, (new.conversation, new.sender));
                self.positions = position.0;
            }
            _ => {}
        }
    }

    /// Takes note of who is in a room now.
    fn learn_cast(&mut self, id: ConversationId, user: UserId, change: &RoomChange) {
        let room = self.cast.get_mut(&id).expect("what has changed was made");
        let before = room.clone();
        let members = &mut Arc::make_mut(room).members;
        match change.member {
            Some(member) => members.put(member),
            None => members.remove(user),
        }
        if let Some((_, heir)) = change.successor {
            let role = members.get(heir).map(|member| member.role);
            assert!(role.is_some_and(|role| role < Role::Admin), "the successor {heir} of {before:?}");
            members.set_role(heir, Role::Admin);
        }
        if before.members.admins() > 0 && !members.is_empty() {
            assert!(members.admins() > 0, "a room that is not empty keeps an admin: {before:?}, {room:?}");
        }
        let successor = change
            .successor
            .map(|(position, _)| position.0 - change.position.expect("somebody has gone before").0);
        assert!(successor.is_none_or(|behind| behind == 1), "it is logged right behind");
    }

    /// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random() % bound
    }

    /// True once in `times`.
    pub(crate) fn chance(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of the things that `from` shows, if there is one.
    fn pick<T: Copy>(&mut self, from: impl Fn(&Self) -> &[T]) -> Option<T> {
        let count = from(self).len().max(1) as u64;
        let index = self.below(count) as usize;
        from(self).get(index).copied()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (!self.chance(3)).then(|| make(self))
    }

    fn text(&mut self) -> String {
        let text = TEXTS[self.below(TEXTS.len() as u64) as usize];
        if self.chance(4) { format!("{text}{}", self.below(4)) } else { text.to_owned() }
    }

    /// Any moment, sometimes far away.
    fn moment(&mut self) -> Timestamp {
        let millis = match self.below(20) {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => -1,
            3..8 => self.now - self.below(1000) as i64,
            _ => self.now,
        };
        Timestamp::from_millis(millis)
    }

    fn any_user(&mut self) -> UserId {
        UserId::from_bytes(bytes(self.below(USERS)))
    }

    /// Somebody who is there, once there is somebody.
    fn person(&mut self) -> UserId {
        self.pick(|all| &all.people).unwrap_or(UserId::from_bytes(bytes(0)))
    }

    fn any_conversation(&mut self) -> ConversationId {
        conversation_id(self.below(CONVERSATIONS))
    }

    /// One that is there, mostly.
    fn conversation(&mut self) -> ConversationId {
        let there = self.pick(|all| &all.conversations).filter(|_| !self.chance(8));
        there.unwrap_or_else(|| self.any_conversation())
    }

    fn room(&mut self) -> ConversationId {
        // Until there is a room, one that will never be made.
        self.pick(|all| &all.rooms).unwrap_or(conversation_id(CONVERSATIONS))
    }

    /// Somebody who asks for a change in a room: mostly one of those with the greatest role, so that some are made.
    fn asks(&mut self, room: ConversationId) -> UserId {
        let members: Vec<Member> =
            self.cast.get(&room).map_or(Vec::new(), |room| room.members.iter().copied().collect());
        let may = members.iter().map(|member| member.role).max();
        let (greatest, others): (Vec<Member>, Vec<Member>) =
            members.into_iter().partition(|member| Some(member.role) == may);
        let one = match self.below(8) {
            0 => None,
            1 => self.pick_of(&others),
            _ => self.pick_of(&greatest),
        };
        one.map_or_else(|| self.person(), |member| member.user)
    }

    /// Somebody in a room, mostly.
    fn is_in(&mut self, room: ConversationId) -> UserId {
        let members: Vec<Member> =
            self.cast.get(&room).map_or(Vec::new(), |room| room.members.iter().copied().collect());
        let one = self.pick_of(&members).filter(|_| !self.chance(4));
        one.map_or_else(|| self.person(), |member| member.user)
    }

    fn pick_of<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let index = self.below(from.len().max(1) as u64) as usize;
        from.get(index).copied()
    }

    fn add_member(&mut self) -> Request {
        let room = self.room();
        let max_members = if self.chance(4) { self.below(8) as usize } else { 100 };
        let (by, user) = (self.asks(room), self.person());
        let user = if self.chance(5) { by } else { user };
        Request::AddMember(AddMember { room, by, user, at: self.moment(), max_members })
    }

    fn set_role(&mut self) -> Request {
        let (room, role) = (self.room(), self.member().role);
        let (by, user) = (self.asks(room), self.is_in(room));
        Request::SetRole(SetRole { room, by, user, role, at: self.moment() })
    }

    fn remove_member(&mut self) -> Request {
        let room = self.room();
        let (by, user) = (self.asks(room), self.is_in(room));
        let user = if self.chance(3) { by } else { user };
        Request::RemoveMember(RemoveMember { room, by, user, at: self.moment() })
    }

    fn message(&mut self) -> MessageId {
        let message = self.pick(|all| &all.messages);
        message.filter(|_| !self.chance(20)).unwrap_or(MessageId::from_bytes(bytes(self.below(MESSAGES))))
    }

    fn key(&mut self) -> UserKey {
        match self.below(3) {
            0 => UserKey::Id(self.any_user()),
            1 => UserKey::Username(self.text()),
            _ => UserKey::Email(self.text()),
        }
    }

    fn limit(&mut self) -> usize {
        match self.below(10) {
            0 => 0,
            1 => 1,
            2 => usize::MAX,
            3 => 100,
            _ => self.below(12) as usize,
        }
    }

    fn member(&mut self) -> Member {
        let role = match self.below(3) {
            0 => Role::Member,
            1 => Role::Moderator,
            _ => Role::Admin,
        };
        Member { user: self.person(), role, joined_at: self.moment() }
    }

    fn create_user(&mut self) -> Request {
        let user = User {
            id: self.any_user(),
            username: self.maybe(Self::text),
            // The type says that addresses are in lower case.
            email: self.maybe(Self::text).map(|email| email.to_lowercase()),
            full_name: self.text(),
            picture: self.text(),
            created_at: self.moment(),
            updated_at: self.moment(),
            last_seen: None,
        };
        Request::CreateUser(Box::new(user), PasswordHash::new(self.text()))
    }

    fn new_room(&mut self) -> NewRoom {
        let mut members: Vec<Member> = Vec::new();
        for _ in 0..self.below(5) {
            let member = self.member();
            if members.iter().all(|other| other.user != member.user) {
                members.push(member);
            }
        }
        let visibility = if self.chance(2) { Visibility::Public } else { Visibility::Private };
        let info = RoomInfo::new(self.text(), visibility);
        NewRoom { id: self.any_conversation(), info, members, by: self.person(), at: self.moment() }
    }

    fn new_message(&mut self, conversation: ConversationId) -> NewMessage {
        let len = if self.chance(40) { self.below(100_000) } else { self.below(40) };
        let bytes_of_body = (0..len).map(|_| self.random() as u8).collect();
        let encoding = if self.chance(2) { Encoding::Huffman } else { Encoding::Stored };
        let client_id = if self.chance(2) { ClientId::new(self.text()) } else { None };
        let sender = self.speaks(conversation);
        NewMessage {
            id: MessageId::from_bytes(bytes(self.below(MESSAGES))),
            conversation,
            sender,
            body: Blob { encoding, bytes: bytes_of_body },
            file_name: if self.chance(5) { Some(self.text()) } else { None },
            image: if self.chance(5) { Some(self.text()) } else { None },
            fingerprint: if !self.forgets && self.chance(3) {
                Some(Fingerprint(self.below(200)))
            } else {
                None
            },
            client_id: client_id.map(|id| self.rarely_the_same(id)).unwrap_or_default(),
            at: self.moment(),
        }
    }

    /// Most client ids are new, or nothing would ever be sent after a while.
    fn rarely_the_same(&mut self, id: ClientId) -> Option<ClientId> {
        if self.chance(2) { Some(id) } else { ClientId::new(format!("{}{}", id.as_str(), self.below(50))) }
    }

    fn window(&mut self) -> Window {
        let limit = self.limit();
        let seq = match self.below(12) {
            0 => Seq(u32::MAX),
            _ => Seq(self.below(40) as u32),
        };
        match self.below(4) {
            0 => Window::Latest { limit },
            1 => Window::Before { seq, limit },
            2 => Window::After { seq, limit },
            _ => Window::Page { page: self.below(6) as usize, size: limit },
        }
    }

    fn position(&mut self) -> Position {
        match self.below(12) {
            0 => Position(0),
            1 => Position(u64::MAX),
            2 => Position(self.positions + self.below(5)),
            _ => Position(self.below(self.positions + 1)),
        }
    }

    /// The next request.
    pub(crate) fn next(&mut self) -> Request {
        self.now += self.below(3) as i64;
        if self.people.is_empty() {
            return self.create_user();
        }
        match self.below(if self.leaves_index_alone { 112 } else { 136 }) {
            0..4 => self.create_user(),
            4..7 => Request::User(self.key()),
            7..9 => Request::Credentials(self.key()),
            9 => Request::Users(self.limit()),
            10 => {
                let first = self.text().to_lowercase().chars().take(1).collect();
                let after = self.maybe(|it| it.text().to_lowercase());
                Request::UsersNamed(first, after, self.limit())
            }
            11..15 => {
                let patch =
                    ProfilePatch { full_name: self.maybe(Self::text), picture: self.maybe(Self::text) };
                Request::UpdateProfile(self.any_user(), patch, self.moment())
            }
            15 => Request::SetPasswordHash(self.any_user(), !self.chance(4), PasswordHash::new(self.text())),
            16 => Request::RecordLastSeen(self.any_user(), self.moment()),
            17..19 => {
                let until = self.now + self.below(200) as i64 - 50;
                Request::RevokeToken([self.below(30) as u8; 32], Timestamp::from_millis(until))
            }
            19..21 => Request::RevokedTokens(self.now()),
            21..25 => {
                let pair = Pair::new(self.person(), self.person());
                Request::OpenDirect(pair, self.any_conversation(), self.moment())
            }
            25..27 => Request::Direct(Pair::new(self.person(), self.person())),
            27..29 => Request::CreateRoom(self.new_room()),
            29 => Request::Conversation(self.conversation()),
            30 if self.chance(2) => {
                // Each once: some stores answer as often as they are asked.
                let users: BTreeSet<_> = (0..self.below(4)).map(|_| self.person()).collect();
                Request::MembersOf(self.conversation(), users.into_iter().collect())
            }
            30 => Request::Members(self.conversation(), self.below(4) as usize, self.limit()),
            31..33 => self.add_member(),
            33..36 => self.set_role(),
            36 => self.remove_member(),
            37 if self.chance(3) => self.remove_member(),
            37 => self.change_room(),
            38..42 => Request::ChatPartners(self.person(), self.limit()),
            42..67 => {
                let conversation = self.pick(|all| &all.conversations);
                conversation.map_or(Request::Check, |id| self.append(id))
            }
            67..69 => Request::Message(self.message()),
            69 => {
                let mut ids: Vec<_> = (0..self.below(5)).map(|_| self.message()).collect();
                ids.sort_unstable();
                ids.dedup();
                Request::Messages(ids)
            }
            70..79 => self.set_deleted(),
            79..84 => {
                let up_to = self.maybe(|it| match it.below(8) {
                    0 => Seq(u32::MAX),
                    _ => Seq(it.below(40) as u32),
                });
                Request::MarkRead(self.conversation(), self.any_user(), up_to, self.moment())
            }
            84 if self.chance(4) => self.report(),
            84 if self.chance(3) => self.note_delivered(),
            84 if self.chance(2) => Request::Marks(self.conversation(), self.limit(), self.message()),
            84..86 => Request::Unread(self.any_user(), self.limit()),
            86 => Request::Chats(self.any_user(), self.below(4) as usize),
            87..92 => Request::History(self.conversation(), self.window(), self.chance(2)),
            92..94 => Request::LastPosition,
            94 => Request::LogBegin,
            95 if self.forgets && self.chance(4) => {
                Request::ForgetBefore(Timestamp::from_millis(self.now - self.below(300) as i64))
            }
            95 if self.chance(3) => self.relate(),
            95 if self.chance(2) => self.of_session(),
            95..97 => Request::ChangesAfter(self.position(), self.limit()),
            97..99 => Request::ChangesFor(self.any_user(), self.position(), self.limit()),
            99 if self.chance(3) => self.set_chat_settings(),
            99 if self.chance(2) => self.of_session(),
            99 => self.relate(),
            100..105 => self.edit_rows(),
            105..108 => self.rows(),
            108..112 => self.react(),
            112..124 => self.index(),
            124..134 => self.search(),
            134 if self.chance(2) => self.count_terms(),
            134 => Request::SearchProgress(self.conversation()),
            _ => Request::SearchProgressOf(self.person()),
        }
    }
}
