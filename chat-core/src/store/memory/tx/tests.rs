//! Every write, watched: that it looks only at what it has named, logs no more than it has said, and has written nothing when it
//! is refused.

mod about_messages;
mod sessions;
mod watched;

use std::collections::{BTreeMap, HashSet};

use self::watched::Watched;
use super::*;
use crate::codec::{Blob, Encoding};
use crate::id::ReportId;
use crate::model::{ChatSettingsPatch, ProfilePatch, RelationAct, RoomInfo, Visibility};
use crate::reactions::{Emoji, React, Reacting};
use crate::reports::{CloseReport, FileReport, Queue, Report, Reported, ReportedAs, Resolution};
use crate::rooms::{ChangeRoom, RoomAct};
use crate::store::tx::Reads;
use crate::store::write::{
    AddMember, Append, CreateRoom, CreateUser, EditRows, MarkRead, NoteDelivered, OpenDirect, RecordLastSeen,
    Relate, RemoveMember, RevokeToken, SetChatSettings, SetDeleted, SetPasswordHash, SetRole, UpdateProfile,
};
use crate::store::{NewRoom, Write, Written};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % bound
    }

    fn id(&mut self, most: u64) -> [u8; 12] {
        [self.below(most) as u8; 12]
    }

    fn user(&mut self) -> UserId {
        UserId::from_bytes(self.id(5))
    }

    fn room(&mut self) -> ConversationId {
        ConversationId::from_bytes(self.id(6))
    }

    fn message(&mut self) -> MessageId {
        MessageId::from_bytes(self.id(200))
    }

    fn role(&mut self) -> Role {
        [Role::Member, Role::Moderator, Role::Admin][self.below(3) as usize]
    }

    fn new_user(&mut self, at: Timestamp) -> NewUser {
        let id = self.user();
        let mut name = || Some(format!("Name-{}", self.below(7)));
        let user = User {
            id,
            username: name(),
            email: name(),
            full_name: String::new(),
            picture: String::new(),
            created_at: at,
            updated_at: at,
            last_seen: None,
        };
        NewUser::new(user, PasswordHash::new("x"))
    }

    fn new_room(&mut self, at: Timestamp) -> NewRoom {
        let by = self.user();
        let visibility = if self.below(2) == 0 { Visibility::Public } else { Visibility::Private };
        let other = self.user();
        let mut members = vec![Member { user: by, role: Role::Admin, joined_at: at }];
        members.extend((other != by).then_some(Member { user: other, role: Role::Member, joined_at: at }));
        NewRoom { id: self.room(), info: RoomInfo::new("room", visibility), members, by, at }
    }

    fn new_message(&mut self, at: Timestamp) -> NewMessage {
        NewMessage {
            id: self.message(),
            conversation: self.room(),
            sender: self.user(),
            body: Blob { encoding: Encoding::Stored, bytes: vec![1] },
            file_name: None,
            image: None,
            client_id: if self.below(2) == 0 { ClientId::new(self.below(20).to_string()) } else { None },
            fingerprint: if self.below(2) == 0 { Some(Fingerprint(self.below(20))) } else { None },
            at,
        }
    }

    /// Sometimes with a key that is none.
    fn edit_rows(&mut self) -> EditRows {
        let table = [Table::Reactions, Table::Pins, Table::Relations][self.below(3) as usize];
        let edits = (0..self.below(4)).map(|_| {
            let len = if table == Table::Reactions { 25 } else { 24 } - usize::from(self.below(20) == 0);
            (vec![self.below(5) as u8; len], if self.below(3) == 0 { None } else { Some(vec![1]) })
        });
        EditRows { table, edits: edits.collect(), then: Some((vec![self.below(5) as u8], 3)) }
    }

    /// A report of a person, or of a message in a room. Its id is made of the two people, so that it is found again.
    fn report(&mut self, at: Timestamp, by: UserId, user: UserId, room: ConversationId) -> FileReport {
        let mut id = *by.as_bytes();
        id[0] = user.as_bytes()[11];
        let message = (self.below(2) == 0).then(|| (room, MessageId::from_bytes(self.id(20))));
        let queue = if message.is_some() { Queue::Room(room) } else { Queue::Operators };
        let report = Report {
            id: ReportId::from_bytes(id),
            by,
            user,
            message,
            reason: ReportedAs::Spam,
            text: String::new(),
            quote: String::new(),
            at,
            resolved: None,
        };
        FileReport { report, queue }
    }

    fn write(&mut self, at: Timestamp) -> Write {
        let (room, by, user) = (self.room(), self.user(), self.user());
        let hash = |n: u64| PasswordHash::new(if n == 0 { "x" } else { "y" });
        match self.below(36) {
            0 => CreateUser(self.new_user(at)).into(),
            1 => UpdateProfile { user, patch: ProfilePatch::default(), at }.into(),
            2 => SetPasswordHash { user, old: hash(self.below(2)), new: hash(self.below(2)) }.into(),
            3 => RecordLastSeen { user, at }.into(),
            4 => RevokeToken { fingerprint: [1; 32], until: at }.into(),
            5 => OpenDirect { pair: Pair::new(by, user), id: room, at }.into(),
            6 => CreateRoom(self.new_room(at)).into(),
            7 => AddMember { room, by, user, at, max_members: self.below(5) as usize }.into(),
            8 => SetRole { room, by, user, role: self.role(), at }.into(),
            9 => RemoveMember { room, by, user, at }.into(),
            10 => Append(self.new_message(at)).into(),
            11 => {
                let delete = self.below(2) == 0;
                SetDeleted { message: self.message(), conversation: room, by, delete, at }.into()
            }
            12 => self.edit_rows().into(),
            13 => {
                if self.below(2) == 0 {
                    let act =
                        [RelationAct::Block, RelationAct::Unblock, RelationAct::Ask, RelationAct::Accept];
                    return Relate { by, with: user, act: act[self.below(4) as usize], at }.into();
                }
                let emoji = Emoji::parse(["👍", "🎉"][self.below(2) as usize]).unwrap();
                let reacting = [Reacting::Add, Reacting::Remove, Reacting::Toggle][self.below(3) as usize];
                let message = MessageId::from_bytes(self.id(20));
                React { message, conversation: room, by, emoji, reacting, at }.into()
            }
            19 | 20 => self.report(at, by, user, room).into(),
            21 => {
                let (report, queue) = (self.report(at, by, user, room).report, Queue::Operators);
                let about = Reported::User(user);
                let action = Resolution::Acted;
                CloseReport { queue, id: report.id, reporter: by, about, by: user, action, at }.into()
            }
            22 => NoteDelivered(vec![(user, Position(self.below(9)))]).into(),
            14 | 15 => {
                let act = match self.below(6) {
                    0 => RoomAct::Ban(user),
                    1 => RoomAct::LiftBan(user),
                    2 | 3 => RoomAct::Mute(user, at.after(std::time::Duration::from_millis(self.below(500)))),
                    4 => RoomAct::LiftMute(user),
                    _ => RoomAct::Update { slow_mode: Some(self.below(2) as u32) },
                };
                ChangeRoom { room, by, act, at }.into()
            }
            16 => {
                let draft = ["", "x"][self.below(2) as usize].to_owned();
                let patch = ChatSettingsPatch { draft: Some(draft), ..ChatSettingsPatch::default() };
                SetChatSettings { user, conversation: room, patch, at }.into()
            }
            17 | 18 | 25..=34 => self.write_about_message((room, by, user), at),
            23 | 24 => self.of_session(user, at),
            _ => MarkRead { conversation: room, user, up_to: None, at }.into(),
        }
    }
}

/// Whether something was to be changed and was not.
fn is_refusal(written: &Written) -> bool {
    match written {
        Written::CreateUser(created) => !matches!(created, crate::store::CreatedUser::Created(_)),
        Written::AddMember(change) | Written::SetRole(change) | Written::RemoveMember(change) => {
            change.as_ref().map_or(true, |change| change.position.is_none())
        }
        Written::Append(appended) | Written::AppendWith(appended) => {
            !matches!(appended, crate::store::Appended::New { .. })
        }
        Written::FileReport(filed) => filed.map_or(true, |filed| !filed.is_new),
        Written::CloseReport(closed) => closed.as_ref().map_or(true, |closed| !closed.is_new),
        Written::ChangeRoom(log) => log.as_ref().map_or(true, Vec::is_empty),
        Written::SetDeleted(changed)
        | Written::Edit(changed)
        | Written::Hide(changed)
        | Written::Follow(changed) => changed.as_ref().map_or(true, |(position, _)| position.is_none()),
        Written::SetDeletedInThread(done) => done.as_ref().map_or(true, |done| done.position.is_none()),
        Written::Pin(pinned) => pinned.as_ref().map_or(true, |(position, _)| position.is_none()),
        Written::Reindex(is_done) => !is_done,
        Written::React(reacted) => reacted.as_ref().map_or(true, |reacted| reacted.position.is_none()),
        Written::MarkRead(moved) => moved.as_ref().is_none_or(|(position, _)| position.is_none()),
        Written::UpdateProfile(updated) => updated.is_none(),
        Written::Relate(related) => related.map_or(true, |related| related.position.is_none()),
        Written::SetChatSettings(set) => set.as_ref().map_or(true, |(position, _)| position.is_none()),
        Written::CreateRoom(made) => made.is_err(),
        Written::StartSession(started) => started.is_err(),
        Written::RefreshSession(refreshed) => refreshed.is_err(),
        Written::EndSessions(ended) => ended.is_err(),
        Written::SetPasswordHash(_)
        | Written::RecordLastSeen(())
        | Written::NoteDelivered(())
        | Written::RevokeToken(())
        | Written::OpenDirect(_)
        | Written::EditRows(_) => false,
    }
}

#[test]
fn a_write_looks_only_at_what_it_names_and_is_refused_before_it_writes() {
    let mut random = Random(7);
    let mut state = State::default();
    // How often each was made, and how often it was refused.
    let mut seen: BTreeMap<&'static str, (u32, u32)> = BTreeMap::new();
    let mut successions = 0;
    for millis in 0..120_000 {
        let write = random.write(Timestamp::from_millis(millis));
        let mut reads = Reads::default();
        write.reads(&mut reads);
        let mut watched =
            Watched { state: &mut state, first: HashSet::new(), reads, logged: 0, has_written: false };
        let written = write.apply(&mut watched);
        let Watched { logged, has_written, .. } = watched;
        assert!(logged <= write.most_logged(), "{write:?} has logged {logged}");
        let refused = match &written {
            Ok(written) => is_refusal(written),
            Err(Abort::Refused(_)) => true,
            Err(Abort::Failed(error)) => panic!("{write:?} failed: {error}"),
        };
        assert!(!(refused && has_written), "{write:?} was refused half-way: {written:?}");
        let (made, not_made) = seen.entry(write.name()).or_default();
        *if refused { not_made } else { made } += 1;
        if let Ok(Written::SetRole(Ok(change)) | Written::RemoveMember(Ok(change))) = written {
            successions += u32::from(change.successor.is_some());
        }
    }
    assert_eq!(seen.len(), 31, "all writes were tried: {seen:?}");
    assert!(seen.values().all(|(made, _)| *made > 0), "each was made: {seen:?}");
    let refusable = [
        "CreateUser",
        "AddMember",
        "SetRole",
        "RemoveMember",
        "Append",
        "AppendWith",
        "SetDeleted",
        "React",
        "Edit",
        "Hide",
        "Pin",
        "Follow",
        "SetDeletedInThread",
        "Reindex",
        "MarkRead",
        "ChangeRoom",
        "EditRows",
        "CreateRoom",
        "Relate",
        "EndSessions",
        "RefreshSession",
        "SetChatSettings",
        "FileReport",
        "CloseReport",
        "StartSession",
    ];
    for name in refusable {
        assert!(seen[name].1 > 0, "{name} was refused: {seen:?}");
    }
    assert!(successions > 0, "somebody has followed a last admin");
}
