//! Random requests to a store, and their answers in a form that can be compared.

mod requests;
mod run;

use std::sync::Arc;

use chat_core::aspects::context::AppendWith;
use chat_core::aspects::edits::Edit;
use chat_core::aspects::hiding::Hide;
use chat_core::aspects::pins::{Pin, PinDone};
use chat_core::aspects::threads::{DeletedInThread, Follow, SetDeletedInThread, root_in};
use chat_core::clock::Timestamp;
use chat_core::history::Window;
use chat_core::id::{ConversationId, MessageId, UserId};
use chat_core::model::{
    ChatSettings, Conversation, JoinOrder, Member, NewUser, Pair, PasswordHash, Position, ProfilePatch, Seq,
    User, UserKey,
};
use chat_core::policy::Refusal;
use chat_core::reactions::{React, Reacted};
use chat_core::reports::{CloseReport, Closed, FileReport, Filed};
use chat_core::rooms::{ChangeRoom, RoomLog};
use chat_core::search::{Filter, Query, Terms, Wanted};
use chat_core::store::reindexing::Reindex;
use chat_core::store::write::{Append, WriteOf as _};
use chat_core::store::{
    Activity, AddMember, Appended, ChatSummary, CreatedUser, EditRows, EditedRows, EndSessions, EndedSession,
    LoggedChange, Lookup, Match, NewMessage, NewRoom, PersonalChanges, RefreshSession, Refreshed, Relate,
    Related, RemoveMember, RoomChange, Row, SearchProgress, SetChatSettings, SetDeleted, SetRole,
    StartSession, Store, StoreError, StoredMessage, Table, UnreadCount,
};

pub(crate) use self::requests::{CONVERSATIONS, Requests, conversation_id};
pub(crate) use self::run::{Run, seeds, steps};

/// One call of one method.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    CreateUser(Box<User>, PasswordHash),
    User(UserKey),
    Credentials(UserKey),
    Users(usize),
    UsersNamed(String, Option<String>, usize),
    UpdateProfile(UserId, ProfilePatch, Timestamp),
    /// The hash that somebody has, if the first is true.
    SetPasswordHash(UserId, bool, PasswordHash),
    RecordLastSeen(UserId, Timestamp),
    RevokeToken([u8; 32], Timestamp),
    RevokedTokens(Timestamp),
    OpenDirect(Pair, ConversationId, Timestamp),
    Direct(Pair),
    CreateRoom(NewRoom),
    Conversation(ConversationId),
    /// The members behind the first so many, at most so many.
    Members(ConversationId, usize, usize),
    MembersOf(ConversationId, Vec<UserId>),
    AddMember(AddMember),
    SetRole(SetRole),
    RemoveMember(RemoveMember),
    ChangeRoom(ChangeRoom),
    ChatPartners(UserId, usize),
    Append(Box<NewMessage>),
    AppendWith(Box<NewMessage>, Vec<(Table, Row)>),
    Message(MessageId),
    Messages(Vec<MessageId>),
    SetDeleted(SetDeleted),
    React(React),
    Edit(Edit),
    Hide(Hide),
    Pin(Pin),
    Follow(Follow),
    /// If the message is in the index and its text has changed since.
    Reindex(MessageId, ConversationId, Vec<String>),
    History(ConversationId, Window, bool),
    MarkRead(ConversationId, UserId, Option<Seq>, Timestamp),
    Unread(UserId, usize),
    /// The chat list of a user, from this place of it.
    Chats(UserId, usize),
    LastPosition,
    ChangesAfter(Position, usize),
    ChangesFor(UserId, Position, usize),
    LogBegin,
    ForgetBefore(Timestamp),
    SearchProgress(ConversationId),
    SearchProgressOf(UserId),
    /// The terms of the messages after a place, or after the end of the index.
    Index(ConversationId, Option<Seq>, Vec<Vec<String>>),
    /// What is wanted and unwanted; everything when nothing is wanted.
    Search(Vec<ConversationId>, [Vec<(String, bool)>; 2], Filter, Option<Position>, usize),
    Relate(Relate),
    SetChatSettings(SetChatSettings),
    NoteDelivered(Vec<(UserId, Position)>),
    FileReport(FileReport),
    CloseReport(CloseReport),
    /// The marks of a conversation's members, and where a message is in the log.
    Marks(ConversationId, usize, MessageId),
    StartSession(StartSession),
    RefreshSession(RefreshSession),
    EndSessions(EndSessions),
    EditRows(EditRows),
    /// The rows with a prefix, behind a key.
    Rows(Table, Vec<u8>, Option<Vec<u8>>, usize),
    RowsOf(Table, Vec<Vec<u8>>, usize),
    CountTerms(Vec<ConversationId>, Vec<(String, bool)>, u64),
    Check,
}

/// What came of a [`Request`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Created(CreatedUser),
    User(Option<Arc<User>>),
    Credentials(Option<(Arc<User>, String)>),
    Users(Vec<Arc<User>>),
    Updated(Option<(Position, Arc<User>)>),
    Replaced(bool),
    Tokens(Vec<([u8; 32], Timestamp)>),
    Opened(Arc<Conversation>),
    Made(Result<(Position, Arc<Conversation>), Refusal>),
    Conversation(Option<Arc<Conversation>>),
    /// Their places are each driver's own affair, but not their order.
    Members(Vec<Member>),
    Changed(Result<RoomChange, Refusal>),
    RoomChanged(Option<Result<RoomLog, Refusal>>),
    People(Vec<UserId>),
    Appended(Appended),
    Message(Option<StoredMessage>),
    DeletedInThread(Option<Result<DeletedInThread, Refusal>>),
    Deleted(Result<(Option<Position>, StoredMessage), Refusal>),
    Reacted(Option<Result<Reacted, Refusal>>),
    Pinned(Option<Result<PinDone, Refusal>>),
    History(Vec<StoredMessage>, bool),
    Marked(Option<(Option<Position>, Seq)>),
    Unread(Vec<UnreadCount>),
    Chats(Vec<Activity>, Vec<ChatSummary>),
    Position(Position),
    Changes(Option<Vec<LoggedChange>>),
    Mine(Option<PersonalChanges>, Option<u64>),
    SearchProgress(Vec<SearchProgress>),
    Indexed(Option<Seq>),
    Found(Vec<Match>, bool),
    Edited(EditedRows),
    Related(Result<Related, Refusal>),
    Filed(Option<Result<Filed, Refusal>>),
    Closed(Option<Result<Closed, Refusal>>),
    Marks(Vec<(Member, Seq)>, Option<Position>),
    ChatSet(Result<(Option<Position>, ChatSettings), Refusal>),
    Sessions(Result<Vec<EndedSession>, Refusal>),
    Refreshed(Result<Refreshed, Refusal>),
    Rows(Vec<Vec<Row>>),
    Counts(Vec<u64>),
    /// Why is each driver's own affair, but not whether.
    Refused,
}

/// Asks a store, as the request says.
pub(crate) async fn ask(store: &dyn Store, request: &Request) -> Answer {
    match answer(store, request.clone()).await {
        Ok(answer) => answer,
        Err(StoreError::Refused(_)) => Answer::Refused,
        Err(error) => panic!("{request:?} failed: {error}"),
    }
}

async fn answer(store: &dyn Store, request: Request) -> Result<Answer, StoreError> {
    Ok(match request {
        Request::CreateUser(user, password_hash) => {
            Answer::Created(store.create_user(NewUser::new(*user, password_hash)).await?)
        }
        Request::User(key) => Answer::User(store.user(&key).await?),
        Request::Credentials(key) => {
            let known = store.credentials(&key).await?;
            Answer::Credentials(known.map(|(user, hash)| (user, hash.expose().to_owned())))
        }
        Request::UsersNamed(prefix, after, limit) => {
            Answer::Users(store.users_named(&prefix, after.as_deref(), limit).await?)
        }
        Request::Users(limit) => Answer::Users(store.users(limit).await?),
        Request::UpdateProfile(user, patch, at) => {
            Answer::Updated(store.update_profile(user, patch, at).await?)
        }
        Request::SetPasswordHash(user, known, new) => {
            let found = store.credentials(&UserKey::Id(user)).await?.filter(|_| known);
            let old = found.map_or(PasswordHash::new("another"), |(_, hash)| hash);
            Answer::Replaced(store.set_password_hash(user, &old, new).await?)
        }
        Request::RecordLastSeen(user, at) => {
            store.record_last_seen(user, at).await?;
            Answer::Done
        }
        Request::RevokeToken(fingerprint, until) => {
            store.revoke_token(fingerprint, until).await?;
            Answer::Done
        }
        Request::RevokedTokens(now) => {
            let mut tokens = store.revoked_tokens(now).await?;
            tokens.sort_unstable();
            Answer::Tokens(tokens)
        }
        Request::OpenDirect(pair, id, at) => Answer::Opened(store.open_direct(pair, id, at).await?),
        Request::Direct(pair) => Answer::Conversation(store.direct(pair).await?),
        Request::CreateRoom(room) => Answer::Made(store.create_room(room).await?),
        Request::Conversation(id) => Answer::Conversation(store.conversation(id).await?),
        Request::Members(id, skipped, limit) => {
            let before = store.members(id, JoinOrder(0), skipped).await?;
            let after = before.last().map_or(JoinOrder(0), |(order, _)| *order);
            let page = store.members(id, after, limit).await?;
            assert!(page.is_sorted_by(|a, b| a.0 < b.0) && page.iter().all(|(order, _)| *order > after));
            Answer::Members(page.into_iter().map(|(_, member)| member).collect())
        }
        Request::MembersOf(id, users) => {
            let mut found = store.members_of(id, &users).await?;
            found.sort_unstable_by_key(|(order, _)| *order);
            Answer::Members(found.into_iter().map(|(_, member)| member).collect())
        }
        Request::AddMember(add) => Answer::Changed(store.add_member(add).await?),
        Request::SetRole(set) => Answer::Changed(store.set_role(set).await?),
        Request::RemoveMember(remove) => Answer::Changed(store.remove_member(remove).await?),
        Request::ChangeRoom(change) => {
            Answer::RoomChanged(ChangeRoom::done(store.write(change.into()).await?))
        }
        Request::ChatPartners(user, limit) => Answer::People(store.chat_partners(user, limit).await?),
        Request::Append(new) => Answer::Appended(store.append(*new).await?),
        Request::AppendWith(new, rows) => {
            let append = AppendWith { append: Append(*new), rows };
            let appended = AppendWith::done(store.write(append.into()).await?);
            Answer::Appended(appended.expect("the answer of an append"))
        }
        Request::Messages(ids) => {
            let mut messages = store.messages(&ids).await?;
            messages.sort_by_key(|message| message.id);
            Answer::History(messages, false)
        }
        Request::Message(id) => Answer::Message(store.message(id).await?),
        Request::SetDeleted(set) => {
            let rows = store.rows(Table::InThread, set.message.as_bytes(), None, 1).await?;
            let Some(root) = rows.first().and_then(|row| root_in(&row.value)) else {
                return Ok(Answer::Deleted(store.set_deleted(set).await?));
            };
            let seq = store.message(set.message).await?.map_or(Seq(1), |message| message.seq);
            let set = SetDeletedInThread { set, seq, root };
            Answer::DeletedInThread(SetDeletedInThread::done(store.write(set.into()).await?))
        }
        Request::Follow(follow) => {
            let followed = Follow::done(store.write(follow.into()).await?);
            Answer::Deleted(followed.expect("the answer of following"))
        }
        Request::Edit(edit) => {
            let edited = Edit::done(store.write(edit.into()).await?);
            Answer::Deleted(edited.expect("the answer of an edit"))
        }
        Request::Pin(pin) => Answer::Pinned(Pin::done(store.write(pin.into()).await?)),
        Request::Hide(hide) => {
            let seq = store.message(hide.message).await?.map_or(hide.seq, |message| message.seq);
            let hidden = Hide::done(store.write(Hide { seq, ..hide }.into()).await?);
            Answer::Deleted(hidden.expect("the answer of hiding"))
        }
        Request::Reindex(message, conversation, terms) => {
            let key = [*conversation.as_bytes(), *message.as_bytes()].concat();
            let row = store.rows(Table::Unindexed, &key, None, 1).await?.pop();
            let indexed =
                store.search_progress(conversation).await?.map_or(Seq(0), |progress| progress.indexed);
            let said = store.message(message).await?.filter(|said| said.seq <= indexed);
            let (Some(row), Some(_)) = (row, said) else { return Ok(Answer::Done) };
            let terms = Terms::from_iter(terms);
            let reindex = Reindex { message, conversation, change: row.value, terms };
            assert_eq!(Reindex::done(store.write(reindex.into()).await?), Some(true));
            Answer::Indexed(None)
        }
        Request::React(react) => Answer::Reacted(React::done(store.write(react.into()).await?)),
        Request::History(id, window, include_deleted) => {
            let (messages, has_more) = store.history(id, window, include_deleted).await?;
            Answer::History(messages, has_more)
        }
        Request::MarkRead(id, user, up_to, at) => Answer::Marked(store.mark_read(id, user, up_to, at).await?),
        Request::Unread(user, limit) => Answer::Unread(store.unread(user, limit).await?),
        Request::Chats(user, skipped) => {
            let mut order = store.activity(user).await?;
            order.sort_unstable();
            let ids: Vec<_> = order.iter().skip(skipped).map(|activity| activity.conversation).collect();
            let summaries = store.summaries(user, &ids).await?;
            Answer::Chats(order, summaries)
        }
        Request::LastPosition => Answer::Position(store.last_position().await?),
        Request::ChangesAfter(position, limit) => {
            Answer::Changes(store.changes_after(position, limit).await?)
        }
        Request::ChangesFor(user, position, limit) => {
            let count = store.count_changes_for(user, position, limit as u64).await?;
            Answer::Mine(store.changes_for(user, position, limit).await?, count)
        }
        Request::LogBegin => Answer::Position(store.log_begin().await?),
        Request::ForgetBefore(at) => Answer::Position(store.forget_before(at).await?),
        Request::SearchProgress(id) => {
            Answer::SearchProgress(store.search_progress(id).await?.into_iter().collect())
        }
        Request::SearchProgressOf(user) => {
            let mut progress = store.search_progress_of(user).await?;
            progress.sort_unstable();
            Answer::SearchProgress(progress)
        }
        Request::Index(id, after, terms) => {
            let after = match after {
                Some(after) => after,
                None => store.search_progress(id).await?.map_or(Seq(0), |progress| progress.indexed),
            };
            Answer::Indexed(store.index(id, after, terms.into_iter().map(Terms::from_iter).collect()).await?)
        }
        Request::Search(conversations, terms, filter, before, limit) => {
            let [wanted, unwanted] = terms.map(|terms| {
                let terms = terms.into_iter().map(|(term, is_prefix)| Wanted { term, is_prefix });
                terms.collect::<Vec<_>>()
            });
            let query = Query::of(wanted).and_then(|query| query.without(unwanted));
            let query = query.unwrap_or_else(Query::everything);
            let lookup = Lookup { filter, ..Lookup::new(query) };
            let matches = store.search(&conversations, &lookup, before, limit).await?;
            assert_eq!(matches.looked_at_from, None, "nothing bounds it");
            Answer::Found(matches.found, matches.has_more)
        }
        Request::Relate(relate) => Answer::Related(store.relate(relate).await?),
        Request::SetChatSettings(set) => Answer::ChatSet(store.set_chat_settings(set).await?),
        Request::FileReport(file) => Answer::Filed(FileReport::done(store.write(file.into()).await?)),
        Request::CloseReport(close) => Answer::Closed(CloseReport::done(store.write(close.into()).await?)),
        Request::NoteDelivered(positions) => {
            store.note_delivered(positions).await?;
            Answer::Done
        }
        Request::Marks(id, limit, message) => {
            let marks = store.marks(id, JoinOrder(0), limit).await?.into_iter();
            let sent = store.sent_at(message).await?;
            Answer::Marks(marks.map(|(_, member, read)| (member, read)).collect(), sent)
        }
        Request::StartSession(start) => Answer::Sessions(store.start_session(start).await?),
        Request::RefreshSession(refresh) => Answer::Refreshed(store.refresh_session(refresh).await?),
        Request::EndSessions(end) => Answer::Sessions(store.end_sessions(end).await?),
        Request::EditRows(edit) => Answer::Edited(store.edit_rows(edit).await?),
        Request::Rows(table, prefix, after, limit) => {
            Answer::Rows(vec![store.rows(table, &prefix, after.as_deref(), limit).await?])
        }
        Request::RowsOf(table, prefixes, limit) => {
            let keys: Vec<_> =
                prefixes.iter().filter(|prefix| table.parts(prefix).is_some()).cloned().collect();
            let values = store.values(table, &keys).await?;
            let mut rows = store.rows_of(table, &prefixes, limit).await?;
            let row = |(key, value): (_, Option<Vec<u8>>)| Some(Row { key, value: value? });
            rows.push(keys.into_iter().zip(values).filter_map(row).collect());
            Answer::Rows(rows)
        }
        Request::CountTerms(conversations, terms, at_most) => {
            let terms = terms.into_iter().map(|(term, is_prefix)| Wanted { term, is_prefix });
            Answer::Counts(store.count_terms(&conversations, &terms.collect::<Vec<_>>(), at_most).await?)
        }
        Request::Check => {
            store.check().await?;
            Answer::Done
        }
    })
}
