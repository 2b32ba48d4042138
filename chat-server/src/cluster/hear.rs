//! Handles the notices of the other nodes.

use std::sync::{Arc, Weak};

use chat_core::clock::Timestamp;
use chat_core::event::Ephemeral;
use chat_core::model::Position;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::bus::{Bus, Heard};
use super::notice::{NodeId, Notice};
use super::presence::{Moves, Told};
use super::relayed::Relayed;
use super::seal::{Replays, Seals};
use super::start;
use crate::app::App;
use crate::presence::leaving;
use crate::relay;

/// The maximum number of received notices that wait, and of ephemeral events that wait for a look-up. More are dropped.
const MAX_WAITING: usize = 4_096;

/// What the receiving task needs.
pub(super) struct Ears {
    pub(super) node: NodeId,
    pub(super) seals: Arc<Seals>,
    /// Triggers a reload of the revoked tokens from the store.
    pub(super) recheck_revoked: Arc<Notify>,
}

pub(super) async fn hear(app: Weak<App>, ears: Ears, bus: Arc<dyn Bus>) {
    let (to_hear, mut heard) = mpsc::channel(MAX_WAITING);
    let (to_look_up, ephemerals) = mpsc::channel(MAX_WAITING);
    bus.listen(to_hear);
    drop(bus);
    let look_up = tell_ephemerals(app.clone(), ephemerals);
    let mut replays = Replays::default();
    let hear = async {
        while let Some(heard) = heard.recv().await {
            let Some(app) = app.upgrade() else { return };
            match heard {
                Heard::Up => start::set_up(&app, true),
                Heard::Down => start::set_up(&app, false),
                Heard::Notice(sealed) => {
                    let Some(opened) = ears.seals.open(&sealed) else { continue };
                    if replays.is_new(opened.from, opened.number, opened.at, app.chat.now()) {
                        for notice in opened.notices {
                            handle_notice(&app, &ears, opened.from, notice, &to_look_up);
                        }
                    }
                }
            }
        }
        // This bus never reports anything.
        std::future::pending::<()>().await;
    };
    tokio::join!(look_up, hear);
}

/// Looks up the recipients of ephemeral events one after the other, so that "started typing" and "stopped typing" keep
/// their order.
async fn tell_ephemerals(app: Weak<App>, mut ephemerals: mpsc::Receiver<Ephemeral>) {
    while let Some(ephemeral) = ephemerals.recv().await {
        let Some(app) = app.upgrade() else { return };
        match app.chat.ephemeral(ephemeral).await {
            Ok(delivery) => app.announcer.announce(delivery.into_iter().collect()),
            // An ephemeral event is useless later, so there is no retry.
            Err(error) => {
                tracing::debug!(%error, "an ephemeral event of another node could not be looked up");
            }
        }
    }
}

fn handle_notice(
    app: &Arc<App>,
    ears: &Ears,
    from: NodeId,
    notice: Notice,
    to_look_up: &mpsc::Sender<Ephemeral>,
) {
    let now = Instant::now();
    match notice {
        Notice::LogAdvanced(position) => app.announcer.advance_to(Position(position)),
        Notice::Typing { .. } | Notice::Registered { .. } => {
            if let Some(ephemeral) = notice.ephemeral() {
                let _ = to_look_up.try_send(ephemeral);
            }
        }
        Notice::Relayed { dialect, event, payload, to } => {
            relay::hear(app, &Relayed { dialect, event, payload, to: to.0 });
        }
        Notice::Revoked { token, until } => {
            if !app.auth.note_revoked(token.0, Timestamp::from_millis(until)) {
                // The sender stores a revocation before it publishes it, so the store already has it.
                ears.recheck_revoked.notify_one();
            }
            app.sessions.close_opened_with(&token.0);
        }
        Notice::Ended { session, until } => {
            // If the memory for revocations is full, the node soon reads the entry from the store instead.
            let _ = app.auth.note_revoked(session.0, Timestamp::from_millis(until));
        }
        Notice::Alive { number } => {
            let told = app.presence.others().told(from, Told::Alive(number), now);
            moved(app, from, &told);
        }
        Notice::Changed { number, came, went } => {
            let told = app.presence.others().told(from, Told::Changed(number, came.0, went.0), now);
            moved(app, from, &told);
        }
        Notice::Everybody { number, people } => {
            let told = app.presence.others().told(from, Told::Everybody(number, people.0), now);
            moved(app, from, &told);
        }
        Notice::Bye => {
            let went = app.presence.others().left(from);
            leaving::others_went(app, &went, false);
        }
        Notice::Ask { node: asked } if asked == ears.node => app.outbox(|outbox| outbox.say_everybody()),
        Notice::Ask { .. } => {}
        Notice::Hello => app.outbox(|outbox| outbox.say_alive()),
        Notice::Sent { by } => {
            for (user, messages) in by {
                if let Some(user) = user.user() {
                    app.limits.count_messages(user, messages);
                }
            }
        }
    }
}

fn moved(app: &Arc<App>, from: NodeId, moves: &Moves) {
    if moves.ask {
        app.outbox(|outbox| outbox.ask(from));
    }
    if moves.any_came {
        app.presence.others_came();
    }
    leaving::others_went(app, &moves.went, false);
}
