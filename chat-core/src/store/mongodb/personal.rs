//! The part of the log that one user receives. It is found by the user's conversations: see the indexes `personal` of
//! the messages and `of_room`, `of_user` of the log.

use std::collections::BTreeMap;

use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};

use super::collections::{LOG, MEMBERS, MESSAGES, USERS};
use super::damage::skip;
use super::documents::{self, Entry, number, object_id};
use super::faults::Fault;
use super::fields::Reading;
use super::reads::{self, Logged, MAX_BYTES_AT_ONCE, batch_size, raw};
use crate::change::{ChangeKind, Fields};
use crate::id::{ConversationId, UserId};
use crate::model::Position;
use crate::store::{Change, LoggedChange, PersonalChanges};

/// The entries that were found, and the position up to which they are complete.
struct Found {
    logged: BTreeMap<Position, Logged>,
    complete_to: Position,
}

impl Found {
    /// Notes that one of several reads ended early at this position.
    fn end(&mut self, at: Position) {
        self.complete_to = self.complete_to.min(at);
    }
}

pub(super) async fn changes_for(
    db: &Database,
    user: UserId,
    position: Position,
    most: usize,
) -> Result<Option<PersonalChanges>, Fault> {
    // The following reads all see everything up to this position. Later commits are left for the next call.
    let last = reads::last_position(db).await?.max(position);
    let found = if most == 0 || last == position {
        let complete_to = if most == 0 { position } else { last };
        Ok(Found { logged: BTreeMap::new(), complete_to })
    } else {
        find(db, user, (position, last), most).await
    };
    // Read last: entries that were removed while the log was read are missing in the result.
    if position < reads::log_begin(db).await? {
        return Ok(None);
    }
    let Found { mut logged, mut complete_to } = found?;
    while let Some((at, _)) = logged.last_key_value()
        && (*at > complete_to || logged.len() > most)
    {
        complete_to = complete_to.min(Position(at.0 - 1));
        logged.pop_last();
    }
    if logged.len() == most {
        complete_to = logged.last_key_value().map_or(complete_to, |(at, _)| *at);
    }
    let asked: Vec<_> = logged.into_iter().collect();
    let (count, first) = (asked.len(), asked.first().map(|(at, _)| *at));
    let positions: Vec<_> = asked.iter().map(|(at, _)| *at).collect();
    let changes = match reads::with_messages(db, asked).await {
        Ok(changes) => changes,
        // An unreadable entry is an error only if it is the very next entry of the log. Otherwise the result ends
        // before it.
        Err(Fault::Store(_)) if first.is_some_and(|first| first.0 - 1 > position.0) => Vec::new(),
        Err(error) => return Err(error),
    };
    let read_to = match positions.get(changes.len()) {
        Some(next) if changes.len() < count => Position(next.0 - 1),
        _ => complete_to,
    };
    let mine = conversations_of(db, user).await?;
    let is_told = |logged: &LoggedChange| match &logged.change {
        // An older entry does not say which conversation its message is in.
        Change::MessageDeleted(stored) | Change::MessageRestored(stored) => {
            mine.contains(&stored.conversation)
        }
        _ => true,
    };
    Ok(Some(PersonalChanges { changes: changes.into_iter().filter(is_told).collect(), read_to }))
}

async fn find(
    db: &Database,
    user: UserId,
    (after, last): (Position, Position),
    most: usize,
) -> Result<Found, Fault> {
    let mine = conversations_of(db, user).await?;
    let mut found = Found { logged: BTreeMap::new(), complete_to: last };

    for mine in mine.chunks(CONVERSATIONS_AT_ONCE) {
        find_sent(db, mine, (after, last), most, &mut found).await?;
    }

    for filter in entries(&mine, user, after, last) {
        let log = raw(db, LOG);
        let find = log.find(filter).sort(doc! { "_id": 1 });
        let mut others = find.limit(reads::limit(most)).batch_size(batch_size(most)).await?;
        let (mut count, mut read_to) = (0, after);
        while others.advance().await? {
            match documents::read_entry(others.current()) {
                Ok(entry) => {
                    (count, read_to) = (count + 1, entry.position);
                    found.logged.insert(entry.position, Logged::Other(entry));
                }
                Err(error) => {
                    let at = Reading::new("log entry", others.current()).int("_id");
                    let before = at.map_or(read_to, |at| Position(at.unsigned_abs().saturating_sub(1)));
                    if before <= after {
                        return Err(error.into());
                    }
                    found.end(before);
                    break;
                }
            }
        }
        if count == most {
            found.end(read_to);
        }
    }

    let users = raw(db, USERS);
    let changed = users.find(profiles(after, last)).sort(doc! { "profile_position": 1 });
    let changed = changed.projection(doc! { "profile_position": 1, "updated_at": 1 });
    let mut changed = changed.limit(reads::limit(most)).batch_size(batch_size(most)).await?;
    let (mut count, mut read_to) = (0, after);
    while changed.advance().await? {
        let fields = Reading::new("user", changed.current());
        let position = Position(fields.int("profile_position")?.unsigned_abs());
        (count, read_to) = (count + 1, position);
        // Reads only enough of the account to see that it is not damaged.
        let read = || fields.moment("updated_at").and_then(|_| fields.id("_id").map(UserId::from_bytes));
        let Some(user) = skip(db, USERS, changed.current(), read())? else { continue };
        let fields = Fields { user: Some(user), ..Fields::default() };
        let entry = Entry { position, kind: ChangeKind::ProfileUpdated, fields };
        found.logged.insert(position, Logged::Other(entry));
    }
    if count == most {
        found.end(read_to);
    }
    Ok(found)
}

pub(super) async fn count(
    db: &Database,
    user: UserId,
    position: Position,
    most: u64,
) -> Result<Option<u64>, Fault> {
    let last = reads::last_position(db).await?.max(position);
    let mine = conversations_of(db, user).await?;
    let mut counts = vec![(MESSAGES, sent_in(&mine, position, last)), (USERS, profiles(position, last))];
    counts.extend(entries(&mine, user, position, last).map(|filter| (LOG, filter)));
    let mut counted = 0;
    for (collection, filter) in counts {
        if counted >= most {
            break;
        }
        let missing = (most - counted).min(i64::MAX as u64);
        counted += raw(db, collection).count_documents(filter).limit(missing).await?;
    }
    if position < reads::log_begin(db).await? {
        return Ok(None);
    }
    Ok(Some(counted.min(most)))
}

/// The messages that were sent in these conversations.
async fn find_sent(
    db: &Database,
    mine: &[ConversationId],
    (after, last): (Position, Position),
    most: usize,
    found: &mut Found,
) -> Result<(), Fault> {
    let sort = doc! { "position": 1 };
    let sent = raw(db, MESSAGES);
    let sent = sent.find(sent_in(mine, after, last)).sort(sort);
    let mut sent = sent.limit(reads::limit(most)).batch_size(batch_size(most)).await?;
    let (mut bytes, mut count, mut read_to) = (0, 0, after);
    while sent.advance().await? {
        if bytes > MAX_BYTES_AT_ONCE {
            found.end(read_to);
            break;
        }
        match documents::read_message(sent.current()) {
            Ok(message) => {
                (bytes, count) = (bytes + message.message.body.bytes.len(), count + 1);
                read_to = message.position;
                found.logged.insert(message.position, Logged::Sent(message.message));
            }
            Err(error) => {
                let at = Reading::new("message", sent.current()).int("position");
                let before = at.map_or(read_to, |at| Position(at.unsigned_abs().saturating_sub(1)));
                if before <= after {
                    return Err(error.into());
                }
                found.end(before);
                break;
            }
        }
    }
    if count == most {
        found.end(read_to);
    }
    Ok(())
}

/// The number of conversations in one query. MongoDB merges the index entries of up to 200; for more it would sort
/// whole documents (`internalQueryMaxScansToExplode`).
const CONVERSATIONS_AT_ONCE: usize = 100;

/// The conversations of a user.
async fn conversations_of(db: &Database, user: UserId) -> Result<Vec<ConversationId>, Fault> {
    let mut cursor = raw(db, MEMBERS).find(doc! { "_id.user": object_id(user.as_bytes()) }).await?;
    let mut mine = Vec::new();
    while cursor.advance().await? {
        let doc = cursor.current();
        mine.extend(skip(db, MEMBERS, doc, documents::read_member(doc))?.map(|(id, ..)| id));
    }
    Ok(mine)
}

fn range(after: Position, last: Position) -> Document {
    doc! { "$gt": number(after.0), "$lte": number(last.0) }
}

fn any_of(mine: &[ConversationId]) -> Document {
    doc! { "$in": mine.iter().map(|id| Bson::from(object_id(id.as_bytes()))).collect::<Vec<_>>() }
}

fn sent_in(mine: &[ConversationId], after: Position, last: Position) -> Document {
    doc! { "conversation": any_of(mine), "position": range(after, last) }
}

fn profiles(after: Position, last: Position) -> Document {
    doc! { "profile_position": range(after, last) }
}

/// Filters for the log: entries of the user's rooms, entries for only this user, the user's removals from other
/// rooms, and older entries that do not say which conversation their message is in.
fn entries(
    mine: &[ConversationId],
    user: UserId,
    after: Position,
    last: Position,
) -> impl Iterator<Item = Document> {
    let range = || range(after, last);
    let deletions = [ChangeKind::MessageDeleted.name(), ChangeKind::MessageRestored.name()];
    let not_mine: Vec<_> = mine.iter().map(|id| Bson::from(object_id(id.as_bytes()))).collect();
    let rooms: Vec<_> = mine
        .chunks(CONVERSATIONS_AT_ONCE)
        .map(|mine| doc! { "room": any_of(mine), "_id": range() })
        .collect();
    let own = ChangeKind::all().filter(|kind| kind.is_personal()).map(|kind| kind.name());
    let others = [
        doc! {
            "user": object_id(user.as_bytes()),
            "kind": { "$in": own.collect::<Vec<_>>() },
            "_id": range(),
        },
        doc! {
            "user": object_id(user.as_bytes()),
            "kind": ChangeKind::MemberRemoved.name(),
            "_id": range(),
            "room": { "$nin": not_mine },
        },
        doc! { "room": Bson::Null, "kind": { "$in": deletions.to_vec() }, "_id": range() },
    ];
    rooms.into_iter().chain(others)
}
