//! Load generator for Socket.IO chat servers. See README.md.
mod body;
mod cli;
mod engine;
mod flow;
mod http;
mod modes;
mod proc;
mod profile;
mod sio;
mod stats;
mod template;
mod users;

use anyhow::{Context, Result};
use clap::Parser;
use cli::{Cli, Mode};
use std::io::Write;

fn main() -> Result<()> {
    let mode = Cli::parse().mode;
    proc::raise_nofile();
    let c = mode.common().clone();
    let rt = if c.threads <= 1 {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(c.threads).enable_all().build()?
    };
    let result = rt.block_on(async {
        let s = modes::Session::open(&c).await?;
        match mode {
            Mode::Users { .. } => s.users(),
            Mode::Connect { hold, .. } => modes::connect(s, hold).await,
            Mode::Crowd { a, .. } => modes::crowd(s, a).await,
            Mode::Pairs { l, duplex, .. } => modes::pairs(s, l, duplex).await,
            Mode::Room { l, senders, .. } => modes::room(s, l, senders).await,
            Mode::History { l, fill, .. } => modes::history(s, l, fill).await,
        }
    })?;
    let line = serde_json::to_string(&result)?;
    println!("{line}");
    if let Some(f) = &c.out {
        let mut f = std::fs::OpenOptions::new().create(true).append(true).open(f).context("--out")?;
        writeln!(f, "{line}")?;
    }
    // leave at once: the kernel closes the sockets faster than ten thousand polite goodbyes
    std::process::exit(0)
}
