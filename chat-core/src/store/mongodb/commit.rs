//! Runs batches of changes in transactions, and again where that is called for.
//!
//! # One after the other, on all nodes
//! Every transaction begins by changing the one document of `counters`: it takes a block of positions and the next
//! number of a batch. MongoDB lets one open transaction at a time do so; another one that tries is told at once that it
//! conflicts, and is run again. So transactions take effect in the order of their numbers, what one reads is true until
//! it is committed, and positions become visible in order.
//!
//! # Exactly once
//! A commit whose answer is lost may have taken place. In the same document each store notes the number of its last
//! transaction: the next one on the same session finds there whether the last one counts, and that cannot change any
//! more, because the server ends an older transaction of a session before it begins a newer one. The session is the
//! same as long as the store lives, for this reason.
//!
//! # When a node dies
//! A transaction whose client is gone would be in everybody's way until the server gives it up, after a minute. So
//! whoever is kept waiting for long while nobody commits ends the sessions of all others: those that are alive only
//! notice that their transaction has to be run again.

use std::collections::HashMap;
use std::time::Duration;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Document, RawDocumentBuf, doc, rawdoc};
use mongodb::options::{Acknowledgment, ReadConcern, WriteConcern};
use mongodb::{Client, ClientSession, Database};
use tokio::time::{Instant, timeout, timeout_at};

use super::OPERATION_TIMEOUT;
use super::collections::COUNTERS;
use super::documents::number;
use super::faults::Fault;
use super::fields::Reading;
use super::transaction::Transaction;
use super::writer::Job;
use super::writing::Writing;
use crate::id::{ConversationId, UserId};
use crate::model::{Position, Role, Seq};
use crate::store::StoreError;
use crate::store::keyed::Table;
use crate::store::tx::Reads;

/// How many conversations' ends, and how many members' roles, are remembered.
const REMEMBERED: usize = 100_000;

/// For how long a transaction of somebody else may be in the way while nobody commits.
const STUCK: Duration = Duration::from_millis(1_500);

/// How long cleaning up after a failed transaction may take.
const CLEAN_UP: Duration = Duration::from_millis(500);

/// Commits batches, one at a time.
pub(super) struct Committer {
    client: Client,
    db: Database,
    session: ClientSession,
    /// The name of this store in `counters.writers`.
    me: ObjectId,
    /// The number of the last transaction this store began.
    begun: i64,
    /// What is known by heart, and the number of the batch after which it was true.
    known: Option<i64>,
    ends: HashMap<ConversationId, Seq>,
    /// Who of the two in a direct conversation in `ends` blocks the other one, where one does.
    blockers: HashMap<ConversationId, Vec<UserId>>,
    /// What members may do. Nobody is here who is no member.
    roles: HashMap<(ConversationId, UserId), Role>,
    /// Rows of tables that are known by heart, and which are not there.
    rows: HashMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

/// What the counter held before a transaction changed it.
struct Before {
    position: Position,
    batches: i64,
    /// The last transaction of this store that was committed.
    mine: i64,
    read_up_to: Position,
}

/// Somebody else's transaction has been in the way since.
struct InTheWay {
    since: Instant,
    batches: i64,
}

impl Committer {
    pub(super) fn new(client: Client, db: Database, session: ClientSession, me: ObjectId) -> Self {
        let (ends, blockers, roles, rows) = Default::default();
        Self { client, db, session, me, begun: 0, known: None, ends, blockers, roles, rows }
    }

    /// Makes all these changes and answers.
    pub(super) async fn commit(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        let deadline = Instant::now() + OPERATION_TIMEOUT;
        let outcome = self.transact(&mut jobs, deadline).await;
        match outcome {
            Ok(()) => jobs.into_iter().for_each(|job| job.finish(Ok(()))),
            // One change that cannot be made must not fail the others: each gets a transaction of its own.
            Err(failed) if failed.is_certain && jobs.len() > 1 => {
                for mut job in jobs {
                    let outcome = self.transact(std::slice::from_mut(&mut job), deadline).await;
                    job.finish(outcome.map_err(|failed| failed.fault.into_store_error()));
                }
            }
            Err(failed) => {
                let error = failed.fault.into_store_error();
                jobs.into_iter().for_each(|job| job.finish(Err(error.clone())));
            }
        }
    }

    /// Leaves the place as it was found.
    pub(super) async fn end(self) {
        let mine = format!("writers.{}", self.me);
        let counters = self.db.collection::<Document>(COUNTERS);
        let forget = counters.update_one(doc! { "_id": "log" }, doc! { "$unset": { mine: "" } });
        // What is left behind is cleared away some day later.
        let _ = timeout(CLEAN_UP, forget).await;
    }

    async fn transact(&mut self, jobs: &mut [Box<dyn Job>], deadline: Instant) -> Result<(), Failed> {
        let mut unsure = None;
        let mut in_the_way = None;
        let mut attempt = 0;
        loop {
            let trying = self.attempt(jobs, &mut unsure);
            let fault = match timeout_at(deadline, trying).await.unwrap_or(Err(Fault::TimedOut)) {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            };
            self.known = None;
            self.clean_up(&fault).await;
            if !fault.is_transient() {
                return Err(Failed { is_certain: unsure.is_none(), fault });
            }
            if fault.is_conflict() {
                let _ = timeout_at(deadline, self.look_who_is_in_the_way(&mut in_the_way)).await;
            }
            let wait = pause(attempt, &fault);
            attempt += 1;
            if Instant::now() + wait >= deadline {
                return Err(Failed { is_certain: false, fault });
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Runs all changes in one transaction. `unsure` is the number of an earlier one with the same changes that may have
    /// been committed; it is set while this one may have been.
    async fn attempt(&mut self, jobs: &mut [Box<dyn Job>], unsure: &mut Option<i64>) -> Result<(), Fault> {
        let durable = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
        let begin = self.session.start_transaction();
        begin.read_concern(ReadConcern::snapshot()).write_concern(durable).await?;
        self.begun += 1;
        let mine = self.begun;
        let most: u64 = jobs.iter().map(|job| job.most_logged()).sum();
        let before = self.take(most, mine).await?;
        if unsure.take_if(|unsure| *unsure == before.mine).is_some() {
            // What the changes gave in that transaction is what happened.
            self.abort(CLEAN_UP).await;
            return Ok(());
        }
        *unsure = None;
        let is_current = self.known == Some(before.batches);
        if !is_current || self.ends.len() > REMEMBERED {
            self.ends.clear();
            self.blockers.clear();
        }
        if !is_current || self.roles.len() > REMEMBERED {
            self.roles.clear();
        }
        if !is_current || self.rows.len() > REMEMBERED {
            self.rows.clear();
        }
        let mut writing = Writing::new(before.batches + 1, before.position, before.read_up_to);
        let mut reads = Reads::default();
        jobs.iter().for_each(|job| job.reads(&mut reads));
        let known = reads.ends.iter().filter_map(|id| self.ends.get_key_value(id));
        writing.ends.extend(known.map(|(id, seq)| (*id, *seq)));
        let known = reads.ends.iter().filter_map(|id| self.blockers.get_key_value(id));
        writing.blockers.extend(known.map(|(id, blockers)| (*id, blockers.clone())));
        let known = reads.roles.iter().filter_map(|key| self.roles.get_key_value(key));
        writing.roles.extend(known.map(|(key, role)| (*key, *role)));
        for (key, value) in reads.rows.iter().filter_map(|key| self.rows.get_key_value(key)) {
            writing.known_rows.insert(key.clone());
            writing.rows.extend(value.clone().map(|value| (key.clone(), value)));
        }
        let mut transaction = Transaction { db: &self.db, session: &mut self.session };
        transaction.load(&reads, &mut writing).await?;
        jobs.iter_mut().for_each(|job| job.run(&mut writing));
        transaction.store(&mut writing).await?;
        let unused = before.position.0 + most - writing.position().0;
        if unused > 0 {
            transaction.change_counter(rawdoc! { "$inc": { "position": -number(unused) } }).await?;
        }
        if let Some(begin) = writing.writes.log_begin {
            transaction.change_counter(rawdoc! { "$max": { "begin": number(begin.0) } }).await?;
        }
        *unsure = Some(mine);
        if let Err(fault) = commit_transaction(&mut self.session).await {
            if fault.is_refusal() {
                *unsure = None;
            }
            return Err(fault);
        }
        *unsure = None;
        self.known = Some(before.batches + 1);
        self.ends.extend(writing.ends);
        for (id, blockers) in writing.blockers {
            match blockers.is_empty() {
                true => self.blockers.remove(&id),
                false => self.blockers.insert(id, blockers),
            };
        }
        for gone in writing.writes.members.iter().filter(|key| !writing.roles.contains_key(key)) {
            self.roles.remove(gone);
        }
        self.roles.extend(writing.roles);
        let by_heart = reads.rows.into_iter().chain(writing.writes.rows);
        let by_heart = by_heart.filter(|(table, _)| table.is_known_by_heart());
        self.rows.extend(by_heart.map(|key| (key.clone(), writing.rows.get(&key).cloned())));
        Ok(())
    }

    /// The first step of every transaction: takes positions and the next number of a batch.
    async fn take(&mut self, positions: u64, mine: i64) -> Result<Before, Fault> {
        let path = format!("writers.{}", self.me);
        let mut set = Document::new();
        set.insert(format!("{path}.batch"), mine);
        let update = doc! {
            "$inc": { "position": number(positions), "batches": 1_i64 },
            "$set": set,
            "$currentDate": { format!("{path}.at"): true },
        };
        let update = RawDocumentBuf::try_from(&update).map_err(mongodb::error::Error::from)?;
        let fields =
            RawDocumentBuf::try_from(&doc! { "position": 1, "batches": 1, "read_up_to": 1, path: 1 });
        let command = rawdoc! {
            "findAndModify": COUNTERS,
            "query": { "_id": "log" },
            "update": update,
            "fields": fields.map_err(mongodb::error::Error::from)?,
        };
        let mut transaction = Transaction { db: &self.db, session: &mut self.session };
        let reply = transaction.command(command).await?;
        let before = Reading::new("counter", &reply).document("value")?;
        let before = Reading::new("counter", before);
        let position =
            |name| u64::try_from(before.int(name)?).map(Position).map_err(|_| before.corrupt(name));
        let writers = before.document("writers").ok();
        let me = writers.and_then(|writers| writers.get_document(self.me.to_hex()).ok());
        Ok(Before {
            position: position("position")?,
            read_up_to: position("read_up_to")?,
            batches: before.int("batches")?,
            mine: me.and_then(|me| me.get_i64("batch").ok()).unwrap_or_default(),
        })
    }

    /// Ends a transaction that has failed. Where nobody hears it the next transaction of the session ends it, so then this
    /// does not wait.
    async fn clean_up(&mut self, fault: &Fault) {
        let patience = if fault.is_out_of_reach() { Duration::ZERO } else { CLEAN_UP };
        self.abort(patience).await;
    }

    async fn abort(&mut self, patience: Duration) {
        // An error means that there is no transaction.
        let _ = timeout(patience, self.session.abort_transaction()).await;
    }

    /// Notes who is in the way, and clears the way when it has been blocked for too long.
    async fn look_who_is_in_the_way(&self, in_the_way: &mut Option<InTheWay>) -> Result<(), Fault> {
        if in_the_way.as_ref().is_some_and(|found| found.since.elapsed() < STUCK) {
            return Ok(());
        }
        let counter = read_counter(&self.db).await?;
        let batches = counter.get_i64("batches").unwrap_or_default();
        if in_the_way.take_if(|found| found.batches == batches).is_some() {
            crate::log_throttled!(warn, "a transaction of another node blocks all writing: it is ended");
            end_sessions(&self.client, &counter, Some(self.me)).await?;
        }
        *in_the_way = Some(InTheWay { since: Instant::now(), batches });
        Ok(())
    }
}

/// Why a batch was not committed.
struct Failed {
    fault: Fault,
    /// It certainly was not, and would not be if it was tried again as it is.
    is_certain: bool,
}

/// Commits, again and again while it is unknown whether it worked; whoever calls this sets a limit.
pub(super) async fn commit_transaction(session: &mut ClientSession) -> Result<(), Fault> {
    let mut attempt = 0;
    loop {
        let Err(error) = session.commit_transaction().await else { return Ok(()) };
        let fault = Fault::from(error);
        if !fault.is_unknown_commit() {
            return Err(fault);
        }
        tokio::time::sleep(pause(attempt, &fault)).await;
        attempt += 1;
    }
}

/// How long to wait before another attempt.
pub(super) fn pause(attempt: u32, fault: &Fault) -> Duration {
    let most = if fault.is_out_of_reach() { 200.0 } else { 2.0 * f64::from(1_u32 << attempt.min(4)) };
    Duration::from_secs_f64(most * (0.5 + rand::random::<f64>() / 2.0) / 1_000.0)
}

/// The counter as it was committed last.
pub(super) async fn read_counter(db: &Database) -> Result<Document, Fault> {
    let counters = db.collection::<Document>(COUNTERS);
    let found = counters.find_one(doc! { "_id": "log" }).await?;
    found.ok_or_else(|| StoreError::Corrupt { what: "counter", id: "log".into() }.into())
}

/// Ends the open transactions of all stores but one.
pub(super) async fn end_sessions(
    client: &Client,
    counter: &Document,
    but: Option<ObjectId>,
) -> Result<(), Fault> {
    let but = but.map(|but| but.to_hex());
    let Ok(writers) = counter.get_document("writers") else { return Ok(()) };
    let others = writers.iter().filter(|(name, _)| Some(*name) != but.as_ref());
    let sessions = others.filter_map(|(_, writer)| writer.as_document()?.get("session").cloned());
    let sessions: Vec<_> = sessions.map(|id| doc! { "id": id }).collect();
    if !sessions.is_empty() {
        client.database("admin").run_command(doc! { "killSessions": sessions }).await?;
    }
    Ok(())
}
