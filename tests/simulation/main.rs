//! The deterministic simulation: the real server, on virtual time, with a network, a store and clients that behave as
//! badly as a seed says; and the rules that hold all the same. Every acknowledged message reaches every member's every
//! page exactly once, in order, and nobody else's; histories agree, and so does what is unread; nothing is stored twice; the server ends in time;
//! nobody with a good token is sent away.
//!
//! Real are the router, the transport, sessions, dialects, recovery and the domain; what is played is below and above:
//! `network` (streams in memory), `store` (a disk that outlives servers, behind a driver that fails), `engine` and
//! `page` (clients), `world` (servers that are killed and started). `run` is the story of one seed, `view` and `run`
//! hold the rules. All of a run happens on one thread with tokio's paused clock, so a seed tells the same story again.
//!
//! ```sh
//! cargo test --test simulation                         # some hundreds of seeds
//! SIMULATION_SEEDS=5000 cargo test --test simulation   # more of them; SIMULATION_FIRST_SEED=… says where they begin
//! SIMULATION_SEED=17 cargo test --test simulation -- replay --ignored --nocapture   # one of them, with its whole trace
//! ```
//! With `RUST_LOG=chat_server=debug` the last one also prints what the server logs.

mod agenda;
mod engine;
mod ledger;
mod network;
mod page;
mod plan;
mod request;
mod run;
mod store;
mod trace;
mod unread;
mod view;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use chat_server::config::{Config, Options};
use clap::{CommandFactory, FromArgMatches};
use tempfile::TempDir;

use self::plan::{Mutation, PagePlan, Plan, StorePlan, Way};
use self::run::{Counts, Report};

/// How many seeds are tried if nobody says otherwise; `./test` says more.
const SEEDS: u64 = 200;

/// How many seeds are tried where it was hard once.
const SEEDS_FOR_HARD: u64 = 12;

/// How many seeds a mutation must show itself in.
const SEEDS_FOR_MUTATIONS: u64 = 40;

/// After so many failures it is enough.
const MAX_FAILURES: usize = 5;

/// How much of the trace a failure shows.
const LAST: usize = 60;

thread_local! {
    /// What has panicked on this thread: panics inside tasks are seen nowhere else.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            before(info);
        }));
    });
}

fn config(data: &TempDir) -> Config {
    let command = Options::command().mut_args(|arg| arg.env(None));
    let matches = command.get_matches_from(["chat-server"]);
    let mut options = Options::from_arg_matches(&matches).expect("the defaults are good");
    options.jwt_secret = Some("a secret for tests only, with more than 32 characters".to_owned());
    options.data_dir = data.path().to_owned();
    options.store = Some("memory:".to_owned());
    options.codec = "none".to_owned();
    // Every start makes one hash, for the names that nobody has.
    options.bcrypt_cost = 4;
    Config::check(&options).expect("the configuration is good")
}

fn run(plan: Plan, config: &Config) -> Report {
    watch_panics();
    PANICS.take();
    let mut report = run::run(plan, config);
    if let Some(panic) = PANICS.take().first() {
        report.broken.get_or_insert_with(|| format!("something panicked: {panic}"));
    }
    report
}

/// How long one seed may take in real time: hundreds of times what it needs.
const TEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Watches from outside until everybody has gone: a task that never lets others run stops virtual time and everything
/// with it, and nothing inside can see that.
fn watch(news: &Receiver<(u64, bool)>, how: &str) {
    let mut running = BTreeMap::new();
    loop {
        match news.recv_timeout(Duration::from_secs(1)) {
            Ok((seed, true)) => drop(running.insert(seed, Instant::now())),
            Ok((seed, false)) => drop(running.remove(&seed)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if let Some((seed, _)) = running.iter().find(|(_, began)| began.elapsed() > TEST_TIMEOUT) {
            eprintln!(
                "{how}seed {seed} takes more than {TEST_TIMEOUT:?}: something in it runs without a pause"
            );
            std::process::exit(101);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number")))
}

/// A failure, for people.
fn explain(seed: u64, how: &str, rule: &str, report: &Report) -> String {
    let last = report.trace.last(LAST);
    format!(
        "seed {seed}: {rule}\n{last}\nto see all of it: \
         {how}SIMULATION_SEED={seed} cargo test --test simulation -- replay --ignored --nocapture\n"
    )
}

/// Runs the plans of these seeds on all cores.
///
/// # Errors
/// What has failed, and how to see it again.
fn try_all(seeds: Range<u64>, how: &str, plan: impl Fn(u64) -> Plan + Sync) -> Result<Counts, String> {
    let data = tempfile::tempdir().expect("a folder can be made");
    let config = config(&data);
    let next = AtomicU64::new(seeds.start);
    let (counts, failures) = (Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    let work = |tell: &Sender<(u64, bool)>| {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failures.lock().unwrap().len() >= MAX_FAILURES {
                return;
            }
            let _ = tell.send((seed, true));
            match catch_unwind(AssertUnwindSafe(|| run(plan(seed), &config))) {
                Ok(report) => {
                    counts.lock().unwrap().add(&report.counts);
                    if let Some(rule) = &report.broken {
                        // At once, for whoever watches a long run; the whole story comes at the end.
                        eprintln!("{how}seed {seed}: {rule}");
                        failures.lock().unwrap().push(explain(seed, how, rule, &report));
                    }
                }
                Err(_) => failures.lock().unwrap().push(format!("seed {seed}: the harness panicked")),
            }
            let _ = tell.send((seed, false));
        }
    };
    let (tell, news) = channel();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            let (work, tell) = (&work, tell.clone());
            scope.spawn(move || work(&tell));
        }
        drop(tell);
        watch(&news, how);
    });
    let (counts, failures) = (counts.into_inner().unwrap(), failures.into_inner().unwrap());
    println!("{how}seeds {seeds:?}: {counts:?} in {:?}", began.elapsed());
    if failures.is_empty() { Ok(counts) } else { Err(failures.join("\n\n")) }
}

#[test]
fn whatever_goes_wrong_everybody_gets_everything_once_and_in_order() {
    let first = number("SIMULATION_FIRST_SEED").unwrap_or(0);
    let seeds = number("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let counts = try_all(first..first + seeds, "", Plan::of).unwrap_or_else(|failures| panic!("{failures}"));
    // Otherwise all of it might be about nothing.
    if seeds >= 100 {
        let seeds = seeds as usize;
        let Counts { acknowledged, marks, kills, shutdowns, recovered, fresh, .. } = counts;
        for (what, count, least) in [
            ("acknowledged messages", acknowledged, 10 * seeds),
            ("marks", marks, seeds),
            ("kills", kills, seeds / 4),
            ("shutdowns", shutdowns, seeds / 4),
            ("recovered sessions", recovered, 2 * seeds),
            ("fresh sessions", fresh, seeds),
        ] {
            assert!(count >= least, "only {count} {what} in {seeds} seeds");
        }
    }
}

/// Circumstances in which something has gone wrong once, more often than chance brings them about.
#[test]
fn where_it_was_hard_once() {
    let try_hard = |(name, make_hard): (&str, MakeHard)| {
        let how = format!("SIMULATION_HARD={name} ");
        try_all(0..SEEDS_FOR_HARD, &how, |seed| make_hard(Plan::of(seed))).err()
    };
    let failures: Vec<_> = HARD.into_iter().filter_map(try_hard).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

type MakeHard = fn(Plan) -> Plan;

/// See [`where_it_was_hard_once`].
const HARD: [(&str, MakeHard); 4] = [
    // A change that was stored although its answer was lost must be announced, also when nothing happens after it.
    ("answers-lost", |plan| Plan {
        store: StorePlan { delay: 15, fails: 0, answer_lost: 500, kills: 0 },
        weather: None,
        restarts: None,
        storm: 2_000,
        pause: 2_000,
        ..plan
    }),
    // A client that comes back while the store is out of reach must not be sent away for good.
    ("store-out-of-reach", |plan| Plan {
        store: StorePlan { delay: 15, fails: 300, answer_lost: 0, kills: 0 },
        weather: Some(400),
        ..plan
    }),
    // Nor one that comes while the server shuts down.
    ("shutdowns", |plan| Plan {
        weather: Some(200),
        restarts: Some(800),
        store: StorePlan { kills: 0, fails: 0, ..plan.store },
        ..plan
    }),
    // A queue that is full while a websocket is about to take over from long polling must be waited for with pauses.
    ("full-queues", |plan| {
        let pages = plan.pages.iter().map(|page| PagePlan { way: Way::Upgrade, ..*page }).collect();
        Plan { pages, max_queue: 4, max_pending_bytes: 500, pause: 300, weather: Some(400), ..plan }
    }),
];

#[test]
fn a_seed_tells_the_same_story_again() {
    let data = tempfile::tempdir().expect("a folder can be made");
    let config = config(&data);
    for seed in 0..12 {
        let [first, second] = [0, 1].map(|_| run(Plan::of(seed), &config));
        if first.trace.fingerprint() != second.trace.fingerprint() {
            let [first, second] = [first, second].map(|report| report.trace.last(usize::MAX));
            let differs = first.lines().zip(second.lines()).position(|(a, b)| a != b).unwrap_or_default();
            let around = |text: &str| -> Vec<String> {
                text.lines().skip(differs.saturating_sub(8)).take(20).map(str::to_owned).collect()
            };
            panic!("seed {seed}:\n{:#?}\nand then:\n{:#?}", around(&first), around(&second));
        }
    }
}

/// Whoever makes one of these mistakes is caught: the rules are no empty words.
#[test]
fn mistakes_are_noticed() {
    let data = tempfile::tempdir().expect("a folder can be made");
    let config = config(&data);
    let unnoticed: Vec<_> = Mutation::ALL
        .into_iter()
        .filter(|mutation| {
            let caught = (0..SEEDS_FOR_MUTATIONS).find_map(|seed| {
                let plan = Plan { mutation: Some(*mutation), ..Plan::of(seed) };
                run(plan, &config).broken.map(|rule| (seed, rule))
            });
            match &caught {
                Some((seed, rule)) => println!("{mutation:?}: seed {seed}: {rule}"),
                None => println!("{mutation:?}: not noticed"),
            }
            caught.is_none()
        })
        .collect();
    assert!(unnoticed.is_empty(), "{unnoticed:?} are not noticed in {SEEDS_FOR_MUTATIONS} seeds");
}

#[test]
#[ignore = "replays one seed: SIMULATION_SEED=…"]
fn replay() {
    let seed = number("SIMULATION_SEED").expect("SIMULATION_SEED must say which");
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    }
    let mut plan = Plan::of(seed);
    if let Ok(wanted) = std::env::var("SIMULATION_HARD") {
        let hard = HARD.into_iter().find(|(name, _)| *name == wanted);
        let (_, make_hard) = hard.unwrap_or_else(|| panic!("there is no SIMULATION_HARD={wanted}"));
        plan = make_hard(plan);
    }
    let data = tempfile::tempdir().expect("a folder can be made");
    let report = run(plan, &config(&data));
    println!("{}", report.trace.last(usize::MAX));
    assert_eq!(report.broken, None, "seed {seed}");
}
