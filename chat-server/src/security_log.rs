//! The security log: who came in, who did not, and which limits were met.
//!
//! Every line has the target `security`, so `CHAT_LOG=warn,security=info` keeps these and leaves the rest out, and with
//! `CHAT_LOG_FORMAT=json` each is one object. A line says what happened (`event`, and `what` where there are kinds of
//! it), the account's id (`user.id`) where it is known, the address that asked and the id of the request, which the
//! answer carries as `X-Request-Id`. Names, mail addresses, passwords and tokens are in none.
//!
//! **It cannot be flooded.** What happens again within a minute, to the same account from the same address, is counted
//! and becomes one more line at the end of that minute (`repeated`). In all there are at most [`MAX_LINES`] such kinds in
//! a minute; of what is left out, the number is logged.
//!
//! Whatever is done for a request is done [within](Source::scope) what is known of where it came from, so nothing has to
//! be handed from function to function.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use parking_lot::Mutex;

use crate::address::Address;

/// Most different things that are logged in a minute.
pub const MAX_LINES: usize = 1_000;

/// For how long what happens again is only counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Something that whoever guards the server wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecurityEvent {
    /// Somebody has logged in.
    LogIn,
    /// Somebody has tried to, with a wrong password or an unknown name.
    LogInFailed,
    /// Somebody has tried to who has failed too often.
    LockedOut,
    /// A connection was refused, and why.
    Refused(&'static str),
    /// Somebody has logged out: a token is revoked.
    LogOut,
    /// An account was made.
    SignUp,
    /// A limit was met, and which.
    LimitMet(&'static str),
    /// A password was changed.
    PasswordChanged,
}

impl SecurityEvent {
    fn name(self) -> &'static str {
        match self {
            Self::LogIn => "log_in",
            Self::LogInFailed => "log_in_failed",
            Self::LockedOut => "locked_out",
            Self::Refused(_) => "refused",
            Self::LogOut => "log_out",
            Self::SignUp => "sign_up",
            Self::LimitMet(_) => "limit_met",
            Self::PasswordChanged => "password_changed",
        }
    }

    fn what(self) -> Option<&'static str> {
        match self {
            Self::Refused(what) | Self::LimitMet(what) => Some(what),
            Self::LogIn
            | Self::LogInFailed
            | Self::LockedOut
            | Self::LogOut
            | Self::SignUp
            | Self::PasswordChanged => None,
        }
    }
}

/// Where something that is being done came from, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The address that asked.
    pub address: Option<Address>,
    /// The id of the request, or of the one that a connection began with.
    pub request_id: Option<Arc<str>>,
}

tokio::task_local! {
    static SOURCE: Source;
}

impl Source {
    /// Where what is being done now came from.
    pub fn current() -> Self {
        SOURCE.try_with(Clone::clone).unwrap_or_default()
    }

    /// Does something as coming from here.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        SOURCE.scope(self, work).await
    }
}

/// Writes the log and counts what happens again.
#[derive(Default)]
pub struct SecurityLog {
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    seen: HashMap<Key, Seen>,
    /// How many of these are about no account: anybody can bring them about.
    about_nobody: usize,
    /// How much was left out since that was logged.
    left_out: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    event: SecurityEvent,
    address: Option<Address>,
    user: Option<UserId>,
}

struct Seen {
    since: Timestamp,
    repeated: u64,
}

/// Most different lines in a minute that are about no account, so that strangers cannot push out what is about accounts.
const MAX_LINES_ABOUT_NOBODY: usize = MAX_LINES / 2;

impl SecurityLog {
    /// Notes that something has happened, to this account if one is known.
    pub fn note(&self, event: SecurityEvent, user: Option<UserId>, now: Timestamp) {
        let source = Source::current();
        let key = Key { event, address: source.address, user };
        let mut recent = self.recent.lock();
        if let Some(seen) = recent.seen.get_mut(&key) {
            if seen.since.after(WINDOW) > now {
                seen.repeated += 1;
                return;
            }
            let seen = std::mem::replace(seen, Seen { since: now, repeated: 0 });
            sum_up(&key, &seen);
        } else if recent.seen.len() >= MAX_LINES
            || (user.is_none() && recent.about_nobody >= MAX_LINES_ABOUT_NOBODY)
        {
            recent.left_out += 1;
            return;
        } else {
            recent.about_nobody += usize::from(user.is_none());
            recent.seen.insert(key.clone(), Seen { since: now, repeated: 0 });
        }
        // Under the lock, so that lines are in order.
        write(&key, source.request_id.as_deref(), None);
    }

    /// Sums up what has happened again, where its minute is over, and forgets it.
    pub(crate) fn flush(&self, now: Timestamp) {
        let mut recent = self.recent.lock();
        let Recent { seen, about_nobody, .. } = &mut *recent;
        seen.retain(|key, seen| {
            // A clock that was set back must not silence it.
            let is_over = seen.since.after(WINDOW) <= now || seen.since > now;
            if is_over {
                sum_up(key, seen);
                *about_nobody -= usize::from(key.user.is_none());
            }
            !is_over
        });
        let left_out = std::mem::take(&mut recent.left_out);
        if left_out > 0 {
            tracing::info!(target: "security", event = "left_out", repeated = left_out, "too much happens to log all");
        }
    }

    /// Sums up everything; for the end.
    pub(crate) fn close(&self) {
        self.flush(Timestamp::from_millis(i64::MAX));
    }
}

fn sum_up(key: &Key, seen: &Seen) {
    if seen.repeated > 0 {
        write(key, None, Some(seen.repeated));
    }
}

fn write(key: &Key, request_id: Option<&str>, repeated: Option<u64>) {
    let address = key.address.map(|address| tracing::field::display(address.0));
    let user = key.user.map(tracing::field::display);
    tracing::info!(
        target: "security",
        event = key.event.name(),
        what = key.event.what(),
        user.id = user,
        address,
        request_id,
        repeated,
    );
}

#[cfg(test)]
pub(crate) mod tests;
