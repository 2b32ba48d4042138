//! The security log: logins, refusals, and limits that were reached.
//!
//! Every line has the target `security`, so `CHAT_LOG=warn,security=info` logs these lines and hides the rest. With
//! `CHAT_LOG_FORMAT=json` each line is one object. A line contains the event (`event`, and `what` for its kind), the id
//! of the account (`user.id`) if it is known, the address of the client, and the id of the request, which the answer
//! has in `X-Request-Id`. No line contains names, mail addresses, passwords or tokens.
//!
//! **It cannot be flooded.** If an event repeats within a minute, for the same account and the same address, it is only
//! counted. The count becomes one more line at the end of that minute (`repeated`). There are at most [`MAX_LINES`]
//! different events in a minute; beyond that, only the number of omitted events is logged.
//!
//! All work for a request runs [within](Source::scope) its source, so the source need not be passed from function to
//! function.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::id::UserId;
use parking_lot::Mutex;

use crate::address::Address;

/// Maximum number of different events that are logged in a minute.
pub const MAX_LINES: usize = 1_000;

/// How long repeated events are only counted.
const WINDOW: Duration = Duration::from_secs(60);

/// An event that matters for the security of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecurityEvent {
    /// A successful login.
    LogIn,
    /// A failed login, with a wrong password or an unknown name.
    LogInFailed,
    /// A login attempt after too many failures.
    LockedOut,
    /// A refused connection, and the reason.
    Refused(&'static str),
    /// A logout: a token is revoked.
    LogOut,
    /// A new account.
    SignUp,
    /// A limit was reached, and which one.
    LimitMet(&'static str),
    /// A changed password.
    PasswordChanged,
    /// A login session has ended before its time.
    SessionEnded,
    /// A refresh token was used again, so somebody else may have it. Its session has ended.
    TokenReused,
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
            Self::SessionEnded => "session_ended",
            Self::TokenReused => "token_reused",
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
            | Self::PasswordChanged
            | Self::SessionEnded
            | Self::TokenReused => None,
        }
    }
}

/// The origin of the current work, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The address of the client.
    pub address: Option<Address>,
    /// The id of the request, or of the request that opened the connection.
    pub request_id: Option<Arc<str>>,
}

tokio::task_local! {
    static SOURCE: Source;
}

impl Source {
    /// The source of the current task.
    pub fn current() -> Self {
        SOURCE.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs `work` with this source.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        SOURCE.scope(self, work).await
    }
}

/// Writes the log and counts repeated events.
#[derive(Default)]
pub struct SecurityLog {
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    seen: HashMap<Key, Seen>,
    /// How many of these belong to no account. Any client can cause them.
    about_nobody: usize,
    /// The number of omitted events since it was last logged.
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

/// Maximum number of different events per minute without an account. Unauthenticated clients cannot push out events of
/// accounts in this way.
const MAX_LINES_ABOUT_NOBODY: usize = MAX_LINES / 2;

impl SecurityLog {
    /// Logs an event, for this account if one is known.
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
        // Written under the lock, so that lines are in order.
        write(&key, source.request_id.as_deref(), None);
    }

    /// Logs the counts of repeated events whose minute is over, and forgets these events.
    pub(crate) fn flush(&self, now: Timestamp) {
        let mut recent = self.recent.lock();
        let Recent { seen, about_nobody, .. } = &mut *recent;
        seen.retain(|key, seen| {
            // After the clock was set back, the window must not last longer than a minute.
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

    /// Logs all counts at shutdown.
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
