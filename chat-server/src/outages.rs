//! What the server depends on and is away: one line of the log when it goes, one when it is back, and a reminder now and
//! then with how often it was missed, however many requests fail meanwhile. What comes and goes all the time is said a few
//! times in a minute only, with how often it went unsaid.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use chat_core::throttle::Throttle;
use parking_lot::Mutex;
use tokio::time::Instant;

/// While it goes on it is said again that often.
const REMIND_EVERY: Duration = Duration::from_secs(60);

/// What may be away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The database.
    Store,
    /// Where images are kept.
    Media,
    /// The mail service.
    Mail,
}

const PARTS: [Part; 3] = [Part::Store, Part::Media, Part::Mail];

impl Part {
    /// Its name in the log and in `/readyz`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Media => "media",
            Self::Mail => "mail",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What is away at the moment.
#[derive(Default)]
pub struct Outages {
    /// A bit for each part, so that what works takes no lock.
    away: AtomicU8,
    /// For each part, how often it may be said that it goes.
    lines: [Throttle; PARTS.len()],
    known: Mutex<[Option<Outage>; PARTS.len()]>,
}

struct Outage {
    since: Instant,
    failures: u64,
    said_at: Instant,
    /// That it goes on was written to the log, so it is written that it is over.
    is_said: bool,
    reason: String,
}

impl Outages {
    /// It did not do what was asked of it. The reason must hold no secret and no text of a message.
    pub fn failed(&self, part: Part, reason: &dyn fmt::Display) {
        let (reason, now) = (reason.to_string(), Instant::now());
        let mut known = self.known.lock();
        let Some(outage) = &mut known[part as usize] else {
            let permit = self.lines[part as usize].permit_at(now.into_std());
            if let Some(left_out) = permit {
                let repeated = (left_out > 0).then_some(left_out);
                tracing::error!(
                    part = part.name(),
                    reason,
                    repeated,
                    "something the server depends on is away"
                );
            }
            let is_said = permit.is_some();
            known[part as usize] = Some(Outage { since: now, failures: 1, said_at: now, is_said, reason });
            self.away.fetch_or(part.bit(), Ordering::Relaxed);
            return;
        };
        outage.failures += 1;
        outage.reason = reason;
        if now - outage.said_at >= REMIND_EVERY {
            outage.said_at = now;
            outage.is_said = true;
            let (failures, seconds) = (outage.failures, (now - outage.since).as_secs());
            tracing::error!(
                part = part.name(),
                reason = outage.reason,
                failures,
                seconds,
                "it is still away"
            );
        }
    }

    /// It has done what was asked of it.
    pub fn worked(&self, part: Part) {
        if !self.is_away(part) {
            return;
        }
        let mut known = self.known.lock();
        let Some(outage) = known[part as usize].take() else { return };
        self.away.fetch_and(!part.bit(), Ordering::Relaxed);
        let seconds = outage.since.elapsed().as_secs();
        if outage.is_said {
            tracing::warn!(part = part.name(), failures = outage.failures, seconds, "it is back");
        }
    }

    /// Whether it is away.
    pub fn is_away(&self, part: Part) -> bool {
        self.away.load(Ordering::Relaxed) & part.bit() != 0
    }

    /// What is away, and why.
    pub fn away(&self) -> Vec<(Part, String)> {
        let known = self.known.lock();
        let away = PARTS.iter().zip(known.iter());
        away.filter_map(|(part, outage)| Some((*part, outage.as_ref()?.reason.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_begins_and_ends_once() {
        let outages = Outages::default();
        outages.worked(Part::Store);
        assert_eq!(outages.away(), []);
        for _ in 0..1_000 {
            outages.failed(Part::Store, &"the disk is full");
        }
        outages.failed(Part::Mail, &"refused");
        assert_eq!(outages.known.lock()[0].as_ref().map(|outage| outage.failures), Some(1_000));
        assert_eq!(
            outages.away(),
            [(Part::Store, "the disk is full".into()), (Part::Mail, "refused".into())]
        );
        outages.worked(Part::Store);
        assert_eq!(outages.away(), [(Part::Mail, "refused".into())]);
        tokio::time::advance(REMIND_EVERY).await;
        outages.failed(Part::Mail, &"refused again");
        assert_eq!(outages.known.lock()[2].as_ref().map(|outage| outage.said_at), Some(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_and_goes_is_not_said_each_time() {
        let outages = Outages::default();
        let is_said = |outages: &Outages| outages.known.lock()[0].as_ref().map(|outage| outage.is_said);
        let mut said = 0;
        for _ in 0..1_000 {
            outages.failed(Part::Store, &"a time-out");
            said += u32::from(is_said(&outages) == Some(true));
            outages.worked(Part::Store);
        }
        assert_eq!(said, chat_core::throttle::BURST);
        // One that goes on is said in the end, however much was said before.
        outages.failed(Part::Store, &"a time-out");
        assert_eq!(is_said(&outages), Some(false));
        tokio::time::advance(REMIND_EVERY).await;
        outages.failed(Part::Store, &"a time-out");
        assert_eq!(is_said(&outages), Some(true));
    }
}
