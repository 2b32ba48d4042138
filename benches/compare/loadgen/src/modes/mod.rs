//! The modes. Each returns one JSON object.
mod connect;
mod crowd;
mod history;
mod pairs;
mod room;

pub use connect::connect;
pub use crowd::crowd;
pub use history::history;
pub use pairs::pairs;
pub use room::room;

use crate::cli::{Common, LoadArgs};
use crate::engine::Load;
use crate::profile::Profile;
use crate::sio::{self, Resume, Target, Ws};
use crate::stats::Hist;
use crate::users::{self, Vars};
use anyhow::{Context, Result};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What every mode starts from. Its users exist already: nothing measured later includes their making.
pub struct Session {
    c: Common,
    p: Profile,
    t: Target,
    run: u32,
    users: Vec<Vars>,
}

impl Session {
    /// Reads the profile and makes the users.
    pub async fn open(c: &Common) -> Result<Self> {
        let p = Profile::load(&c.profile)?;
        let host = c.url.strip_prefix("http://").context("--url must be http://host:port")?;
        let host = host.trim_end_matches('/');
        let addr = host.to_socket_addrs()?.next().context("--url")?;
        let run = (SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() % 1_000_000_000) as u32;
        let make = users::Make { profile: &p, run, addr, host, concurrency: c.concurrency };
        let users = make.users(c.conns, c.users_file.as_deref()).await?;
        let t = Target {
            addr,
            host: host.into(),
            path: p.path.clone(),
            ns: p.namespace.clone(),
            connect: p.connect.clone(),
        };
        Ok(Self { c: c.clone(), p, t, run, users })
    }

    /// The `users` mode: only make them, into `--users-file`.
    pub fn users(&self) -> Result<Value> {
        self.c.users_file.as_ref().context("users needs --users-file")?;
        Ok(self.result("users", json!({ "users": self.users.len() })))
    }

    /// Opens every user's socket, in the users' order.
    async fn sockets(&self) -> Result<Vec<Ws>> {
        Ok(self.resumable_sockets().await?.into_iter().map(|x| x.0).collect())
    }

    /// The same, each with what it can come back with.
    async fn resumable_sockets(&self) -> Result<Vec<(Ws, Resume)>> {
        let mut out = Vec::with_capacity(self.users.len());
        self.each_socket(&Hist::default(), |i, ws, resume| out.push((i, ws, resume))).await?;
        out.sort_by_key(|x| x.0);
        Ok(out.into_iter().map(|(_, ws, resume)| (ws, resume)).collect())
    }

    /// Opens every user's socket and hands each over as soon as it is connected; the handshake times go to `h`.
    async fn each_socket(&self, h: &Hist, mut take: impl FnMut(usize, Ws, Resume)) -> Result<()> {
        let mut opening = stream::iter(self.users.iter().enumerate())
            .map(|(i, u)| async move {
                let t = Instant::now();
                let (ws, resume) = tokio::time::timeout(Duration::from_secs(60), self.socket(i, u))
                    .await
                    .context("timeout")
                    .and_then(|r| r)
                    .with_context(|| format!("connection {i}"))?;
                anyhow::Ok((i, ws, resume, t.elapsed()))
            })
            .buffer_unordered(self.c.concurrency.max(1));
        while let Some(r) = opening.next().await {
            let (i, ws, resume, t) = r?;
            h.add(t.as_micros() as u64);
            take(i, ws, resume);
        }
        Ok(())
    }

    async fn socket(&self, i: usize, user: &Vars) -> Result<(Ws, Resume)> {
        let n = self.c.sources as usize;
        let source = (n > 0).then(|| IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1 + (i % n) as u8)));
        let joined = sio::connect(&self.t, user, source, &Resume::default()).await?;
        let (mut ws, resume) = (joined.ws, joined.resume);
        for e in &self.p.connect.after {
            sio::emit_and_wait(&mut ws, &self.t.ns, e, user).await?;
        }
        Ok((ws, resume))
    }

    fn result(&self, mode: &str, extra: Value) -> Value {
        let head = json!({
            "mode": mode, "label": self.c.label, "profile": self.p.name, "url": self.c.url,
            "conns": self.c.conns, "run": self.run,
        });
        merge(head, extra)
    }
}

fn merge(mut a: Value, b: Value) -> Value {
    if let (Some(a), Value::Object(b)) = (a.as_object_mut(), b) {
        a.extend(b);
    }
    a
}

fn load(l: &LoadArgs) -> Load {
    Load {
        window: l.window,
        rate: l.rate,
        body: l.body,
        warmup: Duration::from_secs_f64(if l.messages > 0 { 0.0 } else { l.warmup }),
        duration: Duration::from_secs_f64(l.duration),
        limit: l.messages,
        drain: Duration::from_secs_f64(l.drain),
        verify_every: l.verify_every,
    }
}

/// A user's placeholders with those of the one it writes to as `to` and `to_…`.
fn with_peer(u: &Vars, peer: &Vars) -> Vars {
    let mut v = u.clone();
    for (k, x) in peer {
        v.insert(format!("to_{k}"), x.clone());
    }
    v.insert("to".into(), peer["id"].clone());
    v.insert("me".into(), u["id"].clone());
    v
}
