//! Fan-out in one room.
use super::{Session, load, merge};
use crate::cli::LoadArgs;
use crate::engine::{Conn, Run};
use crate::http::{Http, Step};
use crate::sio;
use crate::template::Template;
use crate::users::Vars;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// User 0 makes a room, everybody joins, the first `senders` members write to it.
pub async fn room(s: Session, l: LoadArgs, senders: usize) -> Result<Value> {
    let p = s.p.room.as_ref().context("the profile has no [room]")?;
    let mut socks = s.sockets().await?;
    let mut first = s.users[0].clone();
    first.insert("room".into(), Template::parse(&p.id).render(|v| first.get(v).cloned())?);
    let mut http = Http::new(s.t.addr, &s.t.host);
    for step in &p.setup {
        http.step_into(&Step::new(step), &mut first).await?;
    }
    for e in &p.create {
        sio::emit_and_wait(&mut socks[0], &s.t.ns, e, &first).await?;
    }
    let room = first["room"].clone();
    let (n, senders) = (socks.len(), senders.clamp(1, socks.len()));
    let sender = |i: usize| (i < senders).then_some(i as u32);
    let mut conns = Vec::with_capacity(n);
    for (i, (mut ws, u)) in socks.into_iter().zip(&s.users).enumerate() {
        let mut vars: Vars = u.clone();
        vars.insert("room".into(), room.clone());
        vars.insert("me".into(), u["id"].clone());
        let joined = sio::emit_and_wait(&mut ws, &s.t.ns, &p.join, &vars).await;
        joined.with_context(|| format!("member {i} joining"))?;
        conns.push(Conn {
            ws,
            vars,
            flow: sender(i),
            // without an echo, the member before a sender gives its credits
            credits: if p.echo { sender(i) } else { sender((i + 1) % n) },
            expects: (0..senders as u32).filter(|f| p.echo || *f as usize != i).collect(),
        });
    }
    let run = Run {
        target: &s.t,
        send: &p.send,
        recv: &p.recv,
        load: load(&l),
        id: s.run,
        pids: &s.c.pid,
        // the senders' own copies are expected deliveries like any other member's
        echo: false,
    };
    let o = run.over(conns).await?;
    let head = json!({"senders": senders, "window": l.window, "rate": l.rate, "body": l.body});
    Ok(s.result("room", merge(head, serde_json::to_value(o)?)))
}
