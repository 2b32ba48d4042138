//! What a seed decides beforehand: who is there, and how bad it gets.

use std::time::Duration;

use crate::agenda::{Dice, Millis};
use crate::network::Flow;

/// The circumstances of one run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The seed.
    pub(crate) seed: u64,
    /// How many people there are.
    pub(crate) people: usize,
    /// The pages that they have open.
    pub(crate) pages: Vec<PagePlan>,
    /// How long bad things happen.
    pub(crate) storm: Millis,
    /// How often a page does something: the longest pause.
    pub(crate) pause: Millis,
    /// How the store behaves.
    pub(crate) store: StorePlan,
    /// Longest time between two accidents of the network, if there are any.
    pub(crate) weather: Option<Millis>,
    /// Longest time between two ends of the server, if there are any.
    pub(crate) restarts: Option<Millis>,
    /// Heartbeat.
    pub(crate) ping_interval: Duration,
    /// Heartbeat.
    pub(crate) ping_timeout: Duration,
    /// How long a client may refuse to read.
    pub(crate) stall_timeout: Duration,
    /// Most changes that are replayed.
    pub(crate) recovery_limit: u64,
    /// Most packets that wait for a client that polls.
    pub(crate) max_queue: usize,
    /// Most bytes that wait for a client before changes are held back.
    pub(crate) max_pending_bytes: usize,
    /// What goes wrong on purpose, to see whether it is noticed.
    pub(crate) mutation: Option<Mutation>,
}

/// A page in a browser.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PagePlan {
    /// Whose.
    pub(crate) person: usize,
    /// What it speaks.
    pub(crate) family: Family,
    /// How its socket is connected.
    pub(crate) way: Way,
}

/// A family of frontends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// `privateMessage` over the socket.
    Camel,
    /// REST in, events out.
    Push,
}

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A websocket from the beginning.
    WebSocket,
    /// Long polling for ever.
    Polling,
    /// Long polling first, then a websocket, as clients do if they are not told otherwise.
    Upgrade,
}

/// How the store behaves. Chances are per mille.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StorePlan {
    /// Longest time that a call takes before and after its effect.
    pub(crate) delay: Millis,
    /// A call fails before it changed anything.
    pub(crate) fails: u32,
    /// A change is committed, and the answer is an error.
    pub(crate) answer_lost: u32,
    /// The server dies about when a change is committed.
    pub(crate) kills: u32,
}

/// Something that a correct server, store or network would not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// The log leaves out changes when it is read.
    LogLosesEntries,
    /// The store does not know client ids.
    ClientIdsForgotten,
    /// The store says that messages are stored that are not.
    NotStored,
    /// Everything that the server sends comes twice.
    FramesDoubled,
    /// Events overtake each other.
    FramesSwapped,
    /// A page does not tell how far it has got.
    OffsetIgnored,
    /// A page tells that it has got farther.
    OffsetAhead,
    /// What others say to each other is shown too.
    StrangersTold,
    /// The store says that something was marked as read and forgets it.
    MarksForgotten,
}

impl Mutation {
    /// All.
    pub(crate) const ALL: [Self; 9] = [
        Self::LogLosesEntries,
        Self::ClientIdsForgotten,
        Self::NotStored,
        Self::FramesDoubled,
        Self::FramesSwapped,
        Self::OffsetIgnored,
        Self::OffsetAhead,
        Self::StrangersTold,
        Self::MarksForgotten,
    ];
}

impl Plan {
    /// The circumstances that a seed stands for.
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::of(seed, "plan");
        let people = dice.number(2, 4) as usize;
        let families: &[Family] = match dice.number(0, 3) {
            0 => &[Family::Push],
            1 => &[Family::Camel],
            _ => &[Family::Push, Family::Camel],
        };
        let mut pages = Vec::new();
        for person in 0..people {
            for _ in 0..dice.weigh(&[(3, 1), (1, 2)]) {
                let way = dice.weigh(&[(5, Way::WebSocket), (1, Way::Polling), (2, Way::Upgrade)]);
                pages.push(PagePlan { person, family: *dice.pick(families), way });
            }
        }
        let (rough, fragile) = (dice.chance(500), dice.chance(600));
        Self {
            seed,
            people,
            pages,
            storm: dice.number(1_500, 6_000),
            pause: *dice.pick(&[300, 900, 2_000]),
            store: StorePlan {
                delay: *dice.pick(&[0, 3, 15, 60]),
                fails: if rough { dice.number(5, 60) as u32 } else { 0 },
                answer_lost: if rough { dice.number(5, 60) as u32 } else { 0 },
                kills: if fragile { dice.number(0, 25) as u32 } else { 0 },
            },
            weather: dice.chance(800).then(|| *dice.pick(&[400, 1_500, 4_000])),
            restarts: dice.chance(600).then(|| *dice.pick(&[3_000, 8_000])),
            ping_interval: Duration::from_millis(dice.number(800, 3_000)),
            ping_timeout: Duration::from_millis(dice.number(600, 2_000)),
            stall_timeout: Duration::from_millis(dice.number(1_000, 4_000)),
            recovery_limit: dice.weigh(&[(6, 10_000), (1, 5), (1, 40)]),
            max_queue: *dice.pick(&[8, 64, 1_024]),
            max_pending_bytes: *dice.pick(&[500, 5_000, 1 << 20]),
            mutation: None,
        }
    }

    /// How a new connection behaves.
    pub(crate) fn flow(&self, dice: &mut Dice) -> Flow {
        let most = *dice.pick(&[2, 20, 80]);
        Flow {
            latency: (0, most),
            chunk: *dice.pick(&[16, 500, 65_536, 65_536]),
            rate: None,
            window: *dice.pick(&[2_048, 65_536, 65_536]),
        }
    }
}
