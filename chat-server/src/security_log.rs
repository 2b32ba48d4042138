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
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::io;
    use std::sync::Once;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    thread_local! {
        /// What the thread's own test captures.
        static CAPTURED: RefCell<Option<Lines>> = const { RefCell::new(None) };
    }

    /// What this thread logs under the target `security` while the other value lives, one JSON object a line. There is one
    /// subscriber for all: with several, tracing may take what one thread does not log for what nobody does.
    pub(crate) fn capture() -> (Lines, Capturing) {
        static BEGIN: Once = Once::new();
        BEGIN.call_once(|| {
            let subscriber = tracing_subscriber::fmt()
                .json()
                .with_env_filter(tracing_subscriber::EnvFilter::new("off,security=info"))
                .with_writer(OfThisThread)
                .finish();
            tracing::subscriber::set_global_default(subscriber).expect("nobody else sets one");
        });
        let lines = Lines::default();
        CAPTURED.set(Some(lines.clone()));
        (lines, Capturing)
    }

    pub(crate) struct Capturing;

    impl Drop for Capturing {
        fn drop(&mut self) {
            CAPTURED.set(None);
        }
    }

    struct OfThisThread;

    impl MakeWriter<'_> for OfThisThread {
        type Writer = Lines;

        fn make_writer(&self) -> Lines {
            CAPTURED.with_borrow(|lines| lines.clone().unwrap_or_default())
        }
    }

    #[derive(Clone, Default)]
    pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        /// The fields of each line, with nothing that is absent, and takes them out.
        pub(crate) fn take(&self) -> Vec<serde_json::Value> {
            let bytes = std::mem::take(&mut *self.0.lock());
            let lines = String::from_utf8(bytes).unwrap();
            let fields = |line: &str| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(
                    (line["target"].as_str(), line["level"].as_str()),
                    (Some("security"), Some("INFO"))
                );
                line["fields"].clone()
            };
            lines.lines().map(fields).collect()
        }
    }

    impl io::Write for Lines {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn source(n: u8) -> Source {
        Source {
            address: Some(Address([10, 0, 0, n].into())),
            request_id: Some(format!("request-{n}").into()),
        }
    }

    const START: Timestamp = Timestamp::from_millis(1_000_000);

    #[tokio::test]
    async fn a_line_says_what_who_and_where_from() {
        let (lines, _guard) = capture();
        let log = SecurityLog::default();
        let ann = UserId::from_bytes([7; 12]);
        source(1).scope(async { log.note(SecurityEvent::LogIn, Some(ann), START) }).await;
        log.note(SecurityEvent::Refused("too many connections"), None, START);
        assert_eq!(
            lines.take(),
            [
                serde_json::json!({ "event": "log_in", "user.id": ann.to_string(), "address": "10.0.0.1",
                    "request_id": "request-1" }),
                serde_json::json!({ "event": "refused", "what": "too many connections" }),
            ]
        );
    }

    #[tokio::test]
    async fn what_happens_again_is_counted_and_summed_up() {
        let (lines, _guard) = capture();
        let log = SecurityLog::default();
        let fail = async |n: u8, now: Timestamp| {
            source(n).scope(async { log.note(SecurityEvent::LogInFailed, None, now) }).await;
        };
        for n in 0..50 {
            fail(1, START.after(Duration::from_millis(n))).await;
            fail(2, START.after(Duration::from_millis(n))).await;
        }
        let first = lines.take();
        assert_eq!(first.len(), 2, "one for each address: {first:?}");
        log.flush(START.after(WINDOW / 2));
        assert_eq!(lines.take(), [] as [serde_json::Value; 0], "its minute is not over");
        // It happens again when that is over: the sum comes first.
        fail(1, START.after(WINDOW)).await;
        let summed = serde_json::json!({ "event": "log_in_failed", "address": "10.0.0.1", "repeated": 49 });
        let again =
            serde_json::json!({ "event": "log_in_failed", "address": "10.0.0.1", "request_id": "request-1" });
        assert_eq!(lines.take(), [summed, again]);
        log.flush(START.after(WINDOW));
        let summed = serde_json::json!({ "event": "log_in_failed", "address": "10.0.0.2", "repeated": 49 });
        assert_eq!(lines.take(), [summed]);
        log.close();
        assert_eq!(lines.take(), [] as [serde_json::Value; 0], "what happened once is not summed up");
    }

    #[tokio::test]
    async fn it_cannot_be_flooded() {
        let (lines, _guard) = capture();
        let log = SecurityLog::default();
        let from_everywhere = async |now: Timestamp| {
            for n in 0..2 * MAX_LINES as u32 {
                let source =
                    Source { address: Some(Address(std::net::Ipv4Addr::from(n).into())), request_id: None };
                source.scope(async { log.note(SecurityEvent::LockedOut, None, now) }).await;
            }
        };
        from_everywhere(START).await;
        assert_eq!(lines.take().len(), MAX_LINES_ABOUT_NOBODY);
        log.note(SecurityEvent::LogIn, Some(UserId::from_bytes([7; 12])), START);
        assert_eq!(lines.take().len(), 1, "what is about an account is not pushed out");
        log.flush(START);
        let left_out = lines.take();
        let expected = 2 * MAX_LINES - MAX_LINES_ABOUT_NOBODY;
        assert_eq!((left_out.len(), &left_out[0]["repeated"]), (1, &expected.into()));
        assert_eq!(log.recent.lock().seen.len(), MAX_LINES_ABOUT_NOBODY + 1);
        log.flush(START.after(WINDOW));
        assert!(log.recent.lock().seen.is_empty(), "nothing is kept");
        from_everywhere(START.after(WINDOW)).await;
        assert_eq!(lines.take().len(), MAX_LINES_ABOUT_NOBODY);
    }
}
