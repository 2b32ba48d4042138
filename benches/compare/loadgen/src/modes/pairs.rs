//! Private messages between pairs of sockets.
use super::{Session, load, merge, with_peer};
use crate::cli::LoadArgs;
use crate::engine::{Conn, Load, Outcome, Run};
use crate::sio::Ws;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Neighbours write to each other: every even user to the next odd one, with `duplex` also back.
pub async fn pairs(s: Session, l: LoadArgs, duplex: bool) -> Result<Value> {
    let socks = s.sockets().await?;
    let o = s.send_in_pairs(socks, load(&l), duplex).await?;
    let head = json!({"window": l.window, "rate": l.rate, "body": l.body, "duplex": duplex});
    Ok(s.result("pairs", merge(head, serde_json::to_value(o)?)))
}

impl Session {
    /// Sends `count` messages in each pair and makes sure that all arrived.
    pub(super) async fn fill_pairs(&self, l: &LoadArgs, count: u64) -> Result<Value> {
        let socks = self.sockets().await?;
        let once = LoadArgs { messages: count, rate: 0.0, ..l.clone() };
        let o = self.send_in_pairs(socks, load(&once), false).await?;
        if o.lost > 0 || o.send_errors > 0 {
            bail!("fill failed: {} lost, {} errors, {:?}", o.lost, o.send_errors, o.first_error);
        }
        Ok(json!({"sent": o.sent_all, "seconds": o.seconds}))
    }

    async fn send_in_pairs(&self, socks: Vec<Ws>, load: Load, duplex: bool) -> Result<Outcome> {
        let p = self.p.pairs.as_ref().context("the profile has no [pairs]")?;
        let run = Run {
            target: &self.t,
            send: &p.send,
            recv: &p.recv,
            load,
            id: self.run,
            pids: &self.c.pid,
            echo: p.echo,
        };
        run.over(self.pair_up(socks, duplex)).await
    }

    fn pair_up(&self, socks: Vec<Ws>, duplex: bool) -> Vec<Conn> {
        let even = socks.len() & !1;
        // the flow a connection sends: its pair's number, or its own when both ends send
        let flow_of = |i: usize| match duplex {
            true => Some(i as u32),
            false => i.is_multiple_of(2).then_some((i / 2) as u32),
        };
        let conn = |(i, ws): (usize, Ws)| Conn {
            ws,
            vars: with_peer(&self.users[i], &self.users[i ^ 1]),
            flow: flow_of(i),
            credits: flow_of(i ^ 1),
            expects: flow_of(i ^ 1).into_iter().collect(),
        };
        socks.into_iter().take(even).enumerate().map(conn).collect()
    }
}
