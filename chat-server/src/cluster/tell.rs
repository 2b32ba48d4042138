//! Publishes the content of the outbox: one envelope at a time. What is added meanwhile goes into the next one.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_core::id::UserId;

use super::bus::Bus;
use super::notice::{Notice, People, Token};
use super::outbox::{Outbox, Pending};
use super::seal::Seals;
use crate::app::App;

/// The pause between two envelopes, which batches what is added in it.
const PACE: Duration = Duration::from_millis(2);

pub(super) async fn tell(app: Weak<App>, seals: Arc<Seals>, bus: Arc<dyn Bus>, outbox: Arc<Outbox>) {
    let mut list = List::default();
    loop {
        let pending = outbox.take().await;
        let sealed = {
            let Some(app) = app.upgrade() else { return };
            let notices = notices(pending, &mut list, |user| app.presence.is_here(user));
            (!notices.is_empty()).then(|| seals.seal(&notices, app.chat.now()))
        };
        if let Some(sealed) = sealed {
            // A failed publish is not retried: the other nodes recover by themselves.
            let _ = bus.publish(sealed).await;
        }
        tokio::time::sleep(PACE).await;
    }
}

/// The users who are connected here, as they were last published.
#[derive(Default)]
struct List {
    number: u64,
    people: HashSet<UserId>,
}

impl List {
    /// Returns what has changed. Users may have disconnected and reconnected meanwhile, so only the current state
    /// counts.
    fn update(&mut self, moved: HashSet<UserId>, is_here: impl Fn(UserId) -> bool) -> Option<Notice> {
        let (mut came, mut went) = (Vec::new(), Vec::new());
        for user in moved {
            match is_here(user) {
                true if self.people.insert(user) => came.push(user),
                false if self.people.remove(&user) => went.push(user),
                _ => {}
            }
        }
        if came.is_empty() && went.is_empty() {
            return None;
        }
        self.number += 1;
        Some(Notice::Changed { number: self.number, came: People(came), went: People(went) })
    }

    fn everybody(&self) -> Notice {
        Notice::Everybody { number: self.number, people: People(self.people.iter().copied().collect()) }
    }
}

fn notices(pending: Pending, list: &mut List, is_here: impl Fn(UserId) -> bool) -> Vec<Notice> {
    let mut notices = Vec::new();
    if pending.bell > 0 {
        notices.push(Notice::LogAdvanced(pending.bell));
    }
    let revoked = pending.revoked.into_iter();
    notices.extend(
        revoked.map(|(token, until)| Notice::Revoked { token: Token(token), until: until.as_millis() }),
    );
    let ended = pending.ended.into_iter();
    notices.extend(
        ended.map(|(session, until)| Notice::Ended { session: Token(session), until: until.as_millis() }),
    );
    notices.extend(pending.ephemerals.into_iter().map(Notice::from));
    notices.extend(pending.relayed.into_iter().map(Notice::from));
    notices.extend(list.update(pending.moved, is_here));
    if pending.everybody {
        notices.push(list.everybody());
    }
    if pending.alive {
        notices.push(Notice::Alive { number: list.number });
    }
    if pending.hello {
        notices.push(Notice::Hello);
    }
    notices.extend(pending.asked.into_iter().map(|node| Notice::Ask { node }));
    if !pending.sent.is_empty() {
        notices
            .push(Notice::Sent { by: pending.sent.into_iter().map(|(user, n)| (user.into(), n)).collect() });
    }
    notices
}
