//! The network: pairs of streams in memory that behave as badly as TCP may.
//!
//! Each direction of a connection is a [`Lane`]. What is written is cut into chunks that arrive later, in order, as fast
//! as the lane's [`Flow`] allows. A lane can be stalled (everything arrives, but late), or become a hole: nothing arrives
//! any more, the writer is told nothing, and only after its window is full does it have to wait. A connection can be
//! reset, for both ends at once or for one of them while the other goes on believing in it.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::agenda::{Agenda, Dice, Millis, Owner};

/// How a lane treats what is sent on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    /// Shortest and longest time that bytes take.
    pub(crate) latency: (Millis, Millis),
    /// Most bytes that arrive together.
    pub(crate) chunk: usize,
    /// Bytes for each millisecond; none for no limit.
    pub(crate) rate: Option<u64>,
    /// Bytes that may be on their way before the writer must wait.
    pub(crate) window: usize,
}

/// One direction.
pub(crate) struct Lane {
    agenda: Agenda,
    owner: Owner,
    state: Mutex<State>,
}

struct State {
    flow: Flow,
    dice: Dice,
    /// What has left, in order, and when it is due.
    under_way: VecDeque<(Millis, Sent)>,
    /// How many bytes have left and not arrived, or fell into the hole.
    outstanding: usize,
    /// What may be read.
    arrived: VecDeque<u8>,
    last_due: Millis,
    stalled_until: Millis,
    hole: bool,
    ending: bool,
    ended: bool,
    reset_for_reader: bool,
    reset_for_writer: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

enum Sent {
    Bytes(Vec<u8>),
    /// Nothing more comes. With the lane back if the writer is gone altogether: nobody reads that one any more.
    End(Option<Arc<Lane>>),
}

impl State {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Lane {
    fn new(agenda: &Agenda, owner: Owner, flow: Flow, dice: Dice) -> Arc<Self> {
        let state = State {
            flow,
            dice,
            under_way: VecDeque::new(),
            outstanding: 0,
            arrived: VecDeque::new(),
            last_due: 0,
            stalled_until: 0,
            hole: false,
            ending: false,
            ended: false,
            reset_for_reader: false,
            reset_for_writer: false,
            reader: None,
            writer: None,
        };
        Arc::new(Self { agenda: agenda.clone(), owner, state: Mutex::new(state) })
    }

    fn send(self: &Arc<Self>, state: &mut State, bytes: usize, sent: Sent) {
        if state.hole {
            return;
        }
        let (least, most) = state.flow.latency;
        let latency = state.dice.number(least, most);
        let taken = state.flow.rate.map_or(0, |rate| bytes as u64 / rate.max(1));
        state.last_due = (self.agenda.now() + latency).max(state.last_due) + taken;
        state.under_way.push_back((state.last_due, sent));
        self.advance_at(state.last_due);
    }

    fn advance_at(self: &Arc<Self>, at: Millis) {
        let lane = self.clone();
        self.agenda.at(at, self.owner, move || lane.advance());
    }

    /// Takes in what is due.
    fn advance(&self) {
        let now = self.agenda.now();
        let mut state = self.state.lock().unwrap();
        if state.hole || state.stalled_until > now {
            return;
        }
        let mut gone = None;
        while state.under_way.front().is_some_and(|(due, _)| *due <= now) {
            match state.under_way.pop_front() {
                Some((_, Sent::Bytes(bytes))) => {
                    state.outstanding -= bytes.len();
                    state.arrived.extend(bytes);
                }
                Some((_, Sent::End(back))) => {
                    state.ended = true;
                    gone = back.or(gone);
                }
                None => {}
            }
            if let Some(reader) = state.reader.take() {
                reader.wake();
            }
        }
        drop(state);
        if let Some(back) = gone {
            let mut back = back.state.lock().unwrap();
            back.reset_for_writer = true;
            back.wake();
        }
    }

    fn write(self: &Arc<Self>, mut bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock().unwrap();
        if state.reset_for_writer || state.ending {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = state.flow.window.saturating_sub(state.arrived.len() + state.outstanding);
        if room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        bytes = &bytes[..bytes.len().min(room)];
        let taken = bytes.len();
        state.outstanding += taken;
        while !bytes.is_empty() {
            let most = state.flow.chunk.min(bytes.len()) as u64;
            // Mostly whole, sometimes in pieces.
            let length = if state.dice.chance(800) { most } else { state.dice.number(1, most) } as usize;
            let (chunk, rest) = bytes.split_at(length);
            bytes = rest;
            self.send(&mut state, length, Sent::Bytes(chunk.to_vec()));
        }
        Poll::Ready(Ok(taken))
    }

    fn read(&self, buf: &mut ReadBuf<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock().unwrap();
        if state.reset_for_reader {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.arrived.is_empty() {
            if state.ended {
                return Poll::Ready(Ok(()));
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let some = state.arrived.as_slices().0;
        let taken = some.len().min(buf.remaining());
        buf.put_slice(&some[..taken]);
        state.arrived.drain(..taken);
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing more is written.
    fn end(self: &Arc<Self>, back: Option<Arc<Lane>>) {
        let mut state = self.state.lock().unwrap();
        if !state.ending || back.is_some() {
            state.ending = true;
            self.send(&mut state, 0, Sent::End(back));
        }
    }
}

/// A connection, for whoever does it harm.
pub(crate) struct Link {
    agenda: Agenda,
    owner: Owner,
    up: Arc<Lane>,
    down: Arc<Lane>,
}

/// The side of the one who has connected, or of the one who has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// A stream.
pub(crate) struct End {
    to: Arc<Lane>,
    from: Arc<Lane>,
    /// There as long as one of its ends is.
    _link: Arc<Link>,
}

impl Link {
    /// A connection: the client's end, the server's end, and the connection itself.
    pub(crate) fn new(
        agenda: &Agenda,
        owner: Owner,
        seed: u64,
        up: Flow,
        down: Flow,
    ) -> (End, End, Arc<Self>) {
        let up = Lane::new(agenda, owner + 1, up, Dice::of(seed, ("up", owner)));
        let down = Lane::new(agenda, owner, down, Dice::of(seed, ("down", owner)));
        let link = Arc::new(Self { agenda: agenda.clone(), owner, up: up.clone(), down: down.clone() });
        let client = End { to: up.clone(), from: down.clone(), _link: link.clone() };
        let server = End { to: down, from: up, _link: link.clone() };
        (client, server, link)
    }

    /// One end is told that the connection is broken. A hole on the way to it does not keep this from it.
    pub(crate) fn reset(&self, side: Side) {
        let (from, to) = match side {
            Side::Client => (&self.down, &self.up),
            Side::Server => (&self.up, &self.down),
        };
        let mut state = from.state.lock().unwrap();
        state.reset_for_reader = true;
        state.wake();
        drop(state);
        let mut state = to.state.lock().unwrap();
        state.reset_for_writer = true;
        state.wake();
    }

    /// The server's process is gone: its end is broken at once, the client learns of it `after` this time, unless
    /// nothing reaches it any more. What arrives before that has left in time.
    pub(crate) fn server_died(self: &Arc<Self>, after: Millis) {
        self.reset(Side::Server);
        let link = self.clone();
        self.agenda.at(self.agenda.now() + after, self.owner, move || {
            if !link.down.state.lock().unwrap().hole {
                link.reset(Side::Client);
            }
        });
    }

    /// Nothing that is sent towards this side arrives any more, and nobody is told.
    pub(crate) fn swallow(&self, towards: Side) {
        let mut state = self.lane(towards).state.lock().unwrap();
        state.hole = true;
    }

    /// What is sent towards this side arrives only after `until`.
    pub(crate) fn stall(&self, towards: Side, until: Millis) {
        let lane = self.lane(towards);
        let mut state = lane.state.lock().unwrap();
        state.stalled_until = until.max(state.stalled_until);
        lane.advance_at(state.stalled_until);
    }

    /// Changes how what is sent towards this side travels from now on.
    pub(crate) fn change(&self, towards: Side, change: impl FnOnce(&mut Flow)) {
        change(&mut self.lane(towards).state.lock().unwrap().flow);
    }

    fn lane(&self, towards: Side) -> &Arc<Lane> {
        match towards {
            Side::Client => &self.down,
            Side::Server => &self.up,
        }
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.from.read(buf, cx)
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.to.write(buf, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to.end(None);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.to.end(Some(self.from.clone()));
    }
}
