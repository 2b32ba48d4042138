//! Connects to a URI and prepares the database: it must be reachable and support transactions, and gets its collections
//! and indexes.

use std::time::Duration;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, ReadConcern, SelectionCriteria, WriteConcern};
use mongodb::{Client, ClientSession, Database};
use tokio::time::timeout;

use super::collections::{self, COUNTERS};
use super::commit::{end_sessions, read_counter};
use super::faults::{self, Fault};
use super::name_keys;
use crate::epoch::Epoch;
use crate::store::{Opened, StoreError};

/// How long the driver searches for a server that accepts writes, if the URI does not say.
const SERVER_SELECTION: Duration = Duration::from_secs(3);

/// How long the driver waits for a single connection, if the URI does not say. After a failed attempt there must be
/// time for another one.
const CONNECT: Duration = Duration::from_secs(3);

/// How often the driver checks its servers, if the URI does not say. It limits how long a recovered server goes
/// unnoticed.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How long another transaction may block the creation of a counter document.
const REGISTRATION: Duration = Duration::from_secs(2);

/// How long it may take to build all indexes on a database with data but without indexes.
const INDEXES: Duration = Duration::from_secs(600);

/// The layout version of the collections. A database with a higher version was written by a newer version of the
/// program.
const VERSION: i64 = 1;

/// After this many milliseconds the note of a store that was not closed is deleted.
const FORGET_WRITERS_AFTER: i64 = 24 * 60 * 60 * 1000;

/// The parts of a connected store.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) db: Database,
    pub(super) session: ClientSession,
    pub(super) me: ObjectId,
    pub(super) opened: Opened,
}

pub(super) async fn connect(uri: &str, may_make_new: bool) -> Result<Connected, StoreError> {
    let options = client_options(uri).await?;
    let name = options.default_database.clone().unwrap_or_else(|| "chat".into());
    let client = Client::with_options(options).map_err(|error| faults::store_error(&error))?;
    let db = client.database(&name);
    let prepared = async {
        refuse_without_transactions(&db).await?;
        refuse_unfit(&db).await?;
        let made_new = db.collection::<Document>(COUNTERS).find_one(doc! { "_id": "log" }).await?.is_none();
        if made_new && !may_make_new {
            let missing = format!("in the MongoDB database {} there is nothing of a chat-server", db.name());
            return Err(StoreError::Missing(missing).into());
        }
        timeout(INDEXES, collections::make(&db)).await.unwrap_or(Err(Fault::TimedOut))?;
        let session = client.start_session().causal_consistency(false).await?;
        let me = register(&client, &db, &session).await?;
        timeout(INDEXES, name_keys::give(&db)).await.unwrap_or(Err(Fault::TimedOut))?;
        let layout = u32::try_from(VERSION).unwrap_or(u32::MAX);
        Ok((session, me, Opened { made_new, layout_before: layout, layout }))
    };
    let (session, me, opened) = prepared.await.map_err(Fault::into_store_error)?;
    Ok(Connected { client, db, session, me, opened })
}

pub(super) async fn client_options(uri: &str) -> Result<ClientOptions, StoreError> {
    let mut options = ClientOptions::parse(uri).await.map_err(|error| {
        if matches!(*error.kind, mongodb::error::ErrorKind::DnsResolve { .. }) {
            return StoreError::Unavailable(format!("MongoDB: {}", error.kind));
        }
        // The driver quotes parts of the URI, and a URI with an @ contains a password.
        let problem = if uri.contains('@') {
            "the URI cannot be used; user name and password must be percent-encoded".into()
        } else {
            error.kind.to_string()
        };
        StoreError::Refused(format!("MongoDB: {problem}"))
    })?;
    options.server_selection_timeout.get_or_insert(SERVER_SELECTION);
    options.connect_timeout.get_or_insert(CONNECT);
    options.heartbeat_freq.get_or_insert(HEARTBEAT);
    options.app_name.get_or_insert_with(|| "chat".into());
    // Acknowledged writes must be visible at once and durable, whatever the URI says.
    options.selection_criteria =
        Some(SelectionCriteria::ReadPreference(mongodb::options::ReadPreference::Primary));
    options.read_concern = Some(ReadConcern::majority());
    options.write_concern = Some(WriteConcern::majority());
    Ok(options)
}

async fn refuse_without_transactions(db: &Database) -> Result<(), Fault> {
    let hello = db.run_command(doc! { "hello": 1 }).await?;
    let sharded = hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
    if hello.contains_key("setName") || sharded {
        return Ok(());
    }
    Err(Fault::Store(StoreError::Refused(
        "MongoDB: this server is not part of a replica set, so it has no transactions, without which messages could \
         be lost. One server is enough for a replica set: start mongod with --replSet rs0, then run rs.initiate() \
         once in mongosh. The data stays"
            .into(),
    )))
}

/// Refuses a database from a newer version, or one with an unfinished copy.
pub(super) async fn refuse_unfit(db: &Database) -> Result<(), Fault> {
    let Ok(counter) = read_counter(db).await else { return Ok(()) };
    let problem = match counter.get_i64("version") {
        Ok(version) if version > VERSION => {
            format!("the database has version {version}, this program knows versions up to {VERSION}")
        }
        _ if counter.contains_key("importing") => {
            "MongoDB: another store is being copied into this database, or that was not finished: drop its \
             collections whose names begin with chat_, and copy again"
                .into()
        }
        _ => return Ok(()),
    };
    Err(StoreError::Refused(problem).into())
}

/// Records this store and its session in the counter document, and creates that document if it does not exist.
async fn register(client: &Client, db: &Database, session: &ClientSession) -> Result<ObjectId, Fault> {
    let me = ObjectId::new();
    let session = session.id().get("id").cloned();
    let first = doc! { "version": VERSION, "position": 0_i64, "batches": 0_i64, "begin": 0_i64,
    "read_up_to": 0_i64 };
    let update = doc! {
        "$setOnInsert": first,
        "$set": { format!("writers.{me}.session"): session },
        "$currentDate": { format!("writers.{me}.at"): true },
    };
    let counters = db.collection::<Document>(COUNTERS);
    let register = || counters.update_one(doc! { "_id": "log" }, update.clone()).upsert(true);
    if let Ok(done) = timeout(REGISTRATION, register()).await {
        done?;
    } else {
        // A plain write waits for an open transaction. That transaction belongs to a node that died, or it would have
        // ended.
        tracing::warn!("a transaction of another node blocks all writing: it is ended");
        end_sessions(client, &read_counter(db).await?, None).await?;
        timeout(REGISTRATION, register()).await.unwrap_or_else(|_| Err(still_blocked()))?;
    }
    // An existing epoch is not written, so this does not wait for other transactions.
    super::epoch::begin(db, Epoch::first()).await?;
    note_what_is_read(db).await?;
    note_profiles(db).await?;
    forget_old_writers(db, me).await?;
    Ok(me)
}

/// In a database from before there were read marks, everything up to now counts as read. The position is written once,
/// in one place.
async fn note_what_is_read(db: &Database) -> Result<(), Fault> {
    let counter = read_counter(db).await?;
    if counter.contains_key("read_up_to") {
        return Ok(());
    }
    // Another node may write it first, with a later position. Either position is fine.
    let first = doc! { "_id": "log", "read_up_to": { "$exists": false } };
    let now = doc! { "$set": { "read_up_to": counter.get_i64("position").unwrap_or_default() } };
    let counters = db.collection::<Document>(COUNTERS);
    let noting = async { counters.update_one(first, now).await };
    timeout(REGISTRATION, noting).await.unwrap_or_else(|_| Err(still_blocked()))?;
    Ok(())
}

/// Records for each account the position of its last profile change, in a database from before that was recorded.
async fn note_profiles(db: &Database) -> Result<(), Fault> {
    if read_counter(db).await?.contains_key("profiles_noted") {
        return Ok(());
    }
    timeout(INDEXES, collections::note_profiles(db)).await.unwrap_or(Err(Fault::TimedOut))?;
    let noted = doc! { "$set": { "profiles_noted": true } };
    let counters = db.collection::<Document>(COUNTERS);
    let noting = async { counters.update_one(doc! { "_id": "log" }, noted).await };
    timeout(REGISTRATION, noting).await.unwrap_or_else(|_| Err(still_blocked()))?;
    Ok(())
}

/// Deletes the notes of stores that ended long ago without being closed.
async fn forget_old_writers(db: &Database, me: ObjectId) -> Result<(), Fault> {
    let counter = read_counter(db).await?;
    let Ok(writers) = counter.get_document("writers") else { return Ok(()) };
    let last_seen = |name: &str| {
        let writer = writers.get_document(name).ok()?;
        writer.get_datetime("at").ok().map(|at| at.timestamp_millis())
    };
    // Uses the clock of the database server, which wrote all of these times.
    let now = last_seen(&me.to_hex()).unwrap_or_default();
    let is_old = |name: &&String| last_seen(name).is_some_and(|at| at < now - FORGET_WRITERS_AFTER);
    let old: Document =
        writers.keys().filter(is_old).map(|name| (format!("writers.{name}"), "".into())).collect();
    if !old.is_empty() {
        let counters = db.collection::<Document>(COUNTERS);
        counters.update_one(doc! { "_id": "log" }, doc! { "$unset": old }).await?;
    }
    Ok(())
}

fn still_blocked() -> mongodb::error::Error {
    let message = "another node's transaction blocks all writing";
    std::io::Error::new(std::io::ErrorKind::TimedOut, message).into()
}
