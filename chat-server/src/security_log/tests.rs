//! Tests for [`security_log`](super).

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use tracing_subscriber::fmt::MakeWriter;

use super::*;

thread_local! {
    /// The lines that this thread's test captures.
    static CAPTURED: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// The lines that this thread logs under the target `security` while the guard lives, one JSON object per line. All
/// tests share one subscriber: with several, tracing may cache that an event is disabled because it is so in one
/// thread.
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
    /// Takes the captured lines; returns the fields of each without the absent ones.
    pub(crate) fn take(&self) -> Vec<serde_json::Value> {
        let bytes = std::mem::take(&mut *self.0.lock());
        let lines = String::from_utf8(bytes).unwrap();
        let fields = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!((line["target"].as_str(), line["level"].as_str()), (Some("security"), Some("INFO")));
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
    Source { address: Some(Address([10, 0, 0, n].into())), request_id: Some(format!("request-{n}").into()) }
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
    // The event repeats after the window: the count is logged first.
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
