//! The command line.
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Drives a Socket.IO chat server of any dialect and measures it from outside.
#[derive(Parser)]
#[command(about, version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub mode: Mode,
}

/// Options of every mode.
#[derive(Args, Clone)]
pub struct Common {
    /// Dialect profile (TOML or JSON).
    #[arg(long)]
    pub profile: PathBuf,
    /// Where the server listens.
    #[arg(long, default_value = "http://127.0.0.1:4000")]
    pub url: String,
    /// Server process to account; repeat for a database beside it (the first is "the server").
    #[arg(long)]
    pub pid: Vec<u32>,
    /// Users, each with one connection.
    #[arg(long, default_value_t = 200)]
    pub conns: usize,
    /// Handshakes (and registrations) in flight.
    #[arg(long, default_value_t = 64)]
    pub concurrency: usize,
    /// Loopback source addresses to spread over (127.0.0.1 …); 0 = let the kernel choose.
    #[arg(long, default_value_t = 0)]
    pub sources: u8,
    /// Worker threads of this process; 1 leaves the rest of a small machine to the server.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Append the JSON result here as one line.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Copied into the result.
    #[arg(long, default_value = "")]
    pub label: String,
    /// Keep the users made by the profile's HTTP setup in this file, and reuse them.
    #[arg(long)]
    pub users_file: Option<PathBuf>,
}

/// Options of the modes that send messages.
#[derive(Args, Clone)]
pub struct LoadArgs {
    /// Messages in flight per sender (closed loop).
    #[arg(long, default_value_t = 4)]
    pub window: usize,
    /// Messages per second over all senders (open loop); 0 = closed loop.
    #[arg(long, default_value_t = 0.0)]
    pub rate: f64,
    /// Body length in bytes.
    #[arg(long, default_value_t = 100)]
    pub body: usize,
    /// Seconds before the measured window.
    #[arg(long, default_value_t = 2.0)]
    pub warmup: f64,
    /// Seconds of the measured window.
    #[arg(long, default_value_t = 8.0)]
    pub duration: f64,
    /// Messages per sender instead of a duration (then without warm-up).
    #[arg(long, default_value_t = 0)]
    pub messages: u64,
    /// Seconds without any delivery after which the rest counts as lost.
    #[arg(long, default_value_t = 5.0)]
    pub drain: f64,
    /// Compare every n-th body byte for byte; 0 = none.
    #[arg(long, default_value_t = 64)]
    pub verify_every: u64,
}

/// Options of the crowd.
#[derive(Args, Clone)]
pub struct CrowdArgs {
    /// Users who are not of the crowd, and send what it misses.
    #[arg(long, default_value_t = 50)]
    pub senders: usize,
    /// Messages that each of the crowd misses.
    #[arg(long, default_value_t = 5)]
    pub missed: u64,
}

/// What to measure.
#[derive(Subcommand)]
pub enum Mode {
    /// Only makes the profile's users and keeps them in --users-file.
    Users {
        #[command(flatten)]
        c: Common,
    },
    /// Opens and holds connections: connect rate, CPU per connect, memory per connection, idle CPU.
    Connect {
        #[command(flatten)]
        c: Common,
        /// Seconds to hold them (idle CPU is measured meanwhile).
        #[arg(long, default_value_t = 5.0)]
        hold: f64,
    },
    /// All are cut off, miss messages, and come back at once. Prints `ready` when they are gone; a line with the process id
    /// of the (restarted) server lets them come back.
    Crowd {
        #[command(flatten)]
        c: Common,
        #[command(flatten)]
        a: CrowdArgs,
    },
    /// Private messages between pairs of sockets.
    Pairs {
        #[command(flatten)]
        c: Common,
        #[command(flatten)]
        l: LoadArgs,
        /// Both ends of each pair send.
        #[arg(long)]
        duplex: bool,
    },
    /// Fan-out in rooms.
    Room {
        #[command(flatten)]
        c: Common,
        #[command(flatten)]
        l: LoadArgs,
        /// Senders among the members.
        #[arg(long, default_value_t = 1)]
        senders: usize,
    },
    /// Pages of history, after filling each pair's conversation.
    History {
        #[command(flatten)]
        c: Common,
        #[command(flatten)]
        l: LoadArgs,
        /// Messages to send in each pair first.
        #[arg(long, default_value_t = 60)]
        fill: u64,
    },
}

impl Mode {
    /// The options every mode has.
    pub fn common(&self) -> &Common {
        match self {
            Self::Users { c }
            | Self::Connect { c, .. }
            | Self::Crowd { c, .. }
            | Self::Pairs { c, .. }
            | Self::Room { c, .. }
            | Self::History { c, .. } => c,
        }
    }
}
