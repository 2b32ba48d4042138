//! One run: bad things happen for a while, then everything must come right.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chat_core::command::{
    AddMember, Command, CreateRoom, Destination, RemoveMember, Reply, SendMessage, SetRole,
};
use chat_core::id::ConversationId;
use chat_core::model::{Content, Role, Visibility};
use chat_server::config::Config;

use crate::agenda::{Dice, Millis, Owner};
use crate::ledger::Outcome;
use crate::network::Side;
use crate::page::{Page, Watched};
use crate::plan::Plan;
use crate::store::{Entry, Kind};
use crate::trace::{Actor, Trace};
use crate::unread::look_at_what_is_unread;
use crate::world::World;

/// Whose timers those of the run are.
const OWNER: Owner = 3;
/// Whose timers those of the network's accidents are.
const WEATHER: Owner = 4;

/// How long everything may take to come right: heartbeats must run out, pauses must end.
const QUIET: Millis = 60_000;

/// How long a run may take after all is calm.
const MAX: Millis = 4 * QUIET;

/// What came of a run.
pub(crate) struct Report {
    /// The rule that was broken, if any.
    pub(crate) broken: Option<String>,
    /// What happened.
    pub(crate) trace: Arc<Trace>,
    /// What was done.
    pub(crate) counts: Counts,
}

/// What was done in a run, or in several.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Messages that were asked to be sent.
    pub(crate) sends: usize,
    /// How many of them were acknowledged.
    pub(crate) acknowledged: usize,
    /// Read marks that were asked for.
    pub(crate) marks: usize,
    /// Changes in the log.
    pub(crate) changes: usize,
    /// Servers that were killed.
    pub(crate) kills: usize,
    /// Servers that were shut down.
    pub(crate) shutdowns: usize,
    /// Sessions that went on after a cut.
    pub(crate) recovered: usize,
    /// Sessions that began afresh.
    pub(crate) fresh: usize,
}

impl Counts {
    /// Adds another run's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sends += other.sends;
        self.acknowledged += other.acknowledged;
        self.marks += other.marks;
        self.changes += other.changes;
        self.kills += other.kills;
        self.shutdowns += other.shutdowns;
        self.recovered += other.recovered;
        self.fresh += other.fresh;
    }
}

/// Runs a plan.
pub(crate) fn run(plan: Plan, config: &Config) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    let config = config.clone();
    runtime.block_on(async move {
        let world = World::new(plan, config).await;
        tokio::select! {
            biased;
            () = world.trace.stop.notified() => {}
            () = live(&world) => {}
            () = world.agenda.sleep_until(world.plan.storm + MAX, OWNER) => {
                world.trace.broken(Actor::Operator, "the story does not end");
            }
        }
        report(&world)
    })
}

fn report(world: &World) -> Report {
    let sends = world.ledger.all();
    let acknowledged = sends.iter().filter(|send| matches!(send.outcome, Outcome::Acknowledged(_))).count();
    let trace = world.trace.clone();
    let counts = Counts {
        sends: sends.len(),
        acknowledged,
        marks: trace.count("has read up to"),
        changes: world.disk.last() as usize,
        kills: trace.count("is killed"),
        shutdowns: trace.count("has ended"),
        recovered: trace.count("is back and recovered"),
        fresh: trace.count("is connected afresh"),
    };
    Report { broken: trace.rule(), trace, counts }
}

async fn live(world: &Arc<World>) {
    world.trace.note(Actor::Operator, format!("{:?}", world.plan));
    world.start_server().await;
    let mut pages = Vec::new();
    for nr in 0..world.plan.pages.len() {
        let page = Page::new(world, nr);
        pages.push(page.watch());
        tokio::spawn(page.run());
    }
    tokio::join!(operate(world), weather(world), use_rooms(world));
    world.agenda.sleep_until(world.plan.storm, OWNER).await;
    world.trace.note(Actor::Operator, "all is calm now");
    world.calm.store(true, Ordering::Relaxed);
    // Whatever comes too much comes in the pause; a heartbeat may run out in it.
    for pause in [2_000, 0] {
        let since = world.agenda.now();
        while let Err(problem) = is_right(world, &pages) {
            if !world.is_up() {
                world.start_server().await;
            }
            if world.agenda.now() > since + QUIET {
                return world.trace.broken(Actor::Operator, problem);
            }
            world.agenda.sleep(100, OWNER).await;
        }
        world.agenda.sleep(pause, OWNER).await;
    }
    look_at_the_log(world);
    let mut looked = last_look(world, &pages).await;
    if looked.is_ok() {
        looked = look_at_what_is_unread(world).await;
    }
    if let Err(problem) = looked {
        return world.trace.broken(Actor::Operator, problem);
    }
    world.shut_down().await;
}

/// Whether everything has come right.
fn is_right(world: &World, pages: &[Watched]) -> Result<(), String> {
    if let Some(pending) = world.ledger.pending() {
        return Err(format!("{pending} is never settled"));
    }
    let log = world.disk.log();
    let mut online: Vec<_> =
        world.plan.pages.iter().map(|page| world.people[page.person].user.id.to_string()).collect();
    online.sort();
    for (nr, (page, plan)) in pages.iter().zip(&world.plan.pages).enumerate() {
        let view = page.view.lock().unwrap();
        let me = world.people[plan.person].user.id;
        view.complete(&log, me, plan.family).map_err(|problem| format!("page {nr} {problem}"))?;
        if let Some(told) = &view.online
            && !online.iter().all(|user| told.contains(user))
        {
            return Err(format!("page {nr} is told that {told:?} are online, and {online:?} are"));
        }
    }
    Ok(())
}

/// What was stored against what was asked for.
fn look_at_the_log(world: &World) {
    let log = world.disk.log();
    let broken = |rule: String| world.trace.broken(Actor::Store, rule);
    let sent = |token: &str| -> Vec<usize> {
        let is_it = |entry: &Entry| {
            entry.kind == Kind::Sent && entry.message.as_ref().is_some_and(|said| said.token == token)
        };
        log.iter().enumerate().filter(|(_, entry)| is_it(entry)).map(|(index, _)| index).collect()
    };
    let mut in_order = std::collections::BTreeMap::new();
    for send in world.ledger.all() {
        let places = sent(&send.token);
        match (&send.outcome, places.as_slice()) {
            (_, [_, _, ..]) => broken(format!("{} is stored {} times", send.token, places.len())),
            (Outcome::Acknowledged(_), []) => {
                broken(format!("{} was acknowledged and is not stored", send.token));
            }
            (Outcome::Acknowledged(Some(id)), [place]) => {
                let stored = log[*place].message.as_ref().map(|said| said.id.to_string());
                if stored.as_ref() != Some(id) {
                    broken(format!("{} was acknowledged as {id} and is stored as {stored:?}", send.token));
                }
            }
            _ => {}
        }
        if let (Some(connection), [place]) = (send.in_order_on, places.as_slice()) {
            let last = in_order.insert((send.page, connection), *place);
            if last.is_some_and(|last| last > *place) {
                broken(format!("{} is stored before what was sent before it", send.token));
            }
        }
    }
    let mut seqs = std::collections::BTreeMap::<ConversationId, u32>::new();
    for said in log.iter().filter(|entry| entry.kind == Kind::Sent).filter_map(|entry| entry.message.as_ref())
    {
        let last = seqs.entry(said.conversation).or_default();
        *last += 1;
        if *last != said.seq {
            broken(format!("{} is number {} of its conversation instead of {last}", said.token, said.seq));
        }
    }
}

/// Pages read all histories once more.
async fn last_look(world: &Arc<World>, pages: &[Watched]) -> Result<(), String> {
    // One page of each person and family: what their others would be answered is the same.
    let mut seen = std::collections::HashSet::new();
    let looking: Vec<_> = pages
        .iter()
        .zip(&world.plan.pages)
        .enumerate()
        .filter(|(_, (_, plan))| seen.insert((plan.person, plan.family as u8)))
        .map(|(nr, (page, plan))| (nr, page, plan))
        .collect();
    for (_, page, _) in &looking {
        page.last_look.store(true, Ordering::Relaxed);
    }
    let deadline = world.agenda.now() + QUIET;
    while looking.iter().any(|(_, page, _)| page.view.lock().unwrap().final_histories.is_none()) {
        if world.agenda.now() > deadline {
            return Err("the histories cannot be read".into());
        }
        world.agenda.sleep(20, OWNER).await;
    }
    let log = world.disk.log();
    for (nr, page, plan) in looking {
        let me = world.people[plan.person].user.id;
        let mut expected = std::collections::BTreeMap::<ConversationId, Vec<(u32, &str)>>::new();
        for entry in log.iter().filter(|entry| entry.concerns(me)) {
            let Some(said) = entry.message.as_ref().filter(|said| said.recipient.is_some()) else { continue };
            let list = expected.entry(said.conversation).or_default();
            list.retain(|(seq, _)| *seq != said.seq);
            if entry.kind != Kind::Deleted {
                list.push((said.seq, &said.token));
            }
        }
        let mut expected: Vec<Vec<&str>> = expected
            .into_values()
            .map(|mut list| {
                list.sort_unstable();
                list.into_iter().map(|(_, token)| token).collect()
            })
            .filter(|list: &Vec<_>| !list.is_empty())
            .collect();
        expected.sort();
        let view = page.view.lock().unwrap();
        let mut histories = view.final_histories.clone().unwrap_or_default();
        histories.retain(|list| !list.is_empty());
        histories.sort();
        if histories != expected {
            return Err(format!("page {nr} reads {histories:?}, and {expected:?} was said"));
        }
    }
    Ok(())
}

/// Servers are killed, shut down and started.
async fn operate(world: &Arc<World>) {
    let mut dice = Dice::of(world.plan.seed, "operator");
    let mut next_end = world.plan.restarts.map(|most| dice.number(most / 4, most));
    while world.agenda.now() < world.plan.storm {
        world.agenda.sleep(dice.number(1, 100), OWNER).await;
        if !world.is_up() {
            world.agenda.sleep(*dice.pick(&[0, 50, 400, 2_500]), OWNER).await;
            world.start_server().await;
        }
        if let (Some(most), Some(at)) = (world.plan.restarts, next_end)
            && at <= world.agenda.now()
        {
            match dice.chance(600) {
                true => world.kill(None),
                false => world.shut_down().await,
            }
            next_end = Some(world.agenda.now() + dice.number(most / 4, most));
        }
    }
}

/// Accidents of the network.
async fn weather(world: &Arc<World>) {
    let Some(most) = world.plan.weather else { return };
    let mut dice = Dice::of(world.plan.seed, "weather");
    loop {
        world.agenda.sleep(dice.number(1, most), WEATHER).await;
        let now = world.agenda.now();
        if now >= world.plan.storm {
            return;
        }
        let page = dice.number(0, world.plan.pages.len() as u64 - 1) as usize;
        let links = world.links_of(page);
        let all = dice.chance(500);
        let accident = dice.number(0, 8);
        let until = now + *dice.pick(&[100, 700, 3_000]);
        if accident == 8 {
            world.trace.note(Actor::Weather, format!("page {page} has no network"));
            world.offline(page, until);
            continue;
        }
        for link in &links {
            if !all && !dice.chance(500) {
                continue;
            }
            let what = match accident {
                0 => {
                    link.reset(Side::Client);
                    link.reset(Side::Server);
                    "is cut"
                }
                1 => {
                    link.swallow(Side::Server);
                    link.swallow(Side::Client);
                    link.reset(Side::Client);
                    "is cut, and the server does not know"
                }
                2 => {
                    link.swallow(Side::Client);
                    "is a hole towards the client"
                }
                3 => {
                    link.swallow(Side::Server);
                    "is a hole towards the server"
                }
                4 => {
                    link.stall(Side::Client, until);
                    "stalls towards the client"
                }
                5 => {
                    link.stall(Side::Server, until);
                    "stalls towards the server"
                }
                6 => {
                    link.change(Side::Client, |flow| (flow.rate, flow.window) = (Some(1), 600));
                    "is slow towards the client"
                }
                _ => {
                    link.change(Side::Client, |flow| flow.latency = (0, 400));
                    link.change(Side::Server, |flow| flow.latency = (0, 400));
                    "has jitter"
                }
            };
            world.trace.note(Actor::Weather, format!("a connection of page {page} {what}"));
        }
    }
}

/// Somebody who embeds the server uses rooms, of which pages of these families know nothing: changes pass that no
/// page is told of.
async fn use_rooms(world: &Arc<World>) {
    let mut dice = Dice::of(world.plan.seed, "rooms");
    if !dice.chance(400) {
        return;
    }
    let rooms: Arc<std::sync::Mutex<Vec<ConversationId>>> = Arc::default();
    while world.agenda.now() < world.plan.storm {
        world.agenda.sleep(dice.number(1, 1_500), WEATHER).await;
        let Some(mounted) = world.mounted() else { continue };
        let user = dice.pick(&world.people).user.id;
        let other = dice.pick(&world.people).user.id;
        let room = {
            let rooms = rooms.lock().unwrap();
            if rooms.is_empty() { None } else { Some(*dice.pick(&rooms)) }
        };
        let command: Command = match (room, dice.number(0, 6)) {
            (Some(room), 1 | 2) => Command::SendMessage(SendMessage {
                to: Destination::Conversation(room),
                content: Content::text(format!("room {}", "x".repeat(dice.number(0, 40) as usize))),
                client_id: None,
                fingerprint: None,
                context: Default::default(),
            }),
            (Some(room), 3) => Command::AddMember(AddMember { room, user: other }),
            (Some(room), 4) => Command::RemoveMember(RemoveMember { room, user: other }),
            (Some(room), 5) => Command::RemoveMember(RemoveMember { room, user }),
            (Some(room), 6) => {
                let role = *dice.pick(&[Role::Member, Role::Moderator, Role::Admin]);
                Command::SetRole(SetRole { room, user: other, role })
            }
            _ => {
                let (name, visibility) = ("a room".to_owned(), Visibility::Public);
                Command::CreateRoom(CreateRoom { name, visibility, members: vec![other] })
            }
        };
        let rooms = rooms.clone();
        tokio::spawn(async move {
            // Refused, when they are not in the room, and that is as good.
            if let Ok(Reply::Conversation(room)) = mounted.app.dispatch(user, command).await {
                rooms.lock().unwrap().push(room.id);
            }
        });
    }
}
