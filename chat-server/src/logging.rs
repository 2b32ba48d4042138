//! What may be logged.
//!
//! Our own code never logs a token, a password, a text or a search, at any level. Libraries do: below `info` they show
//! frames, requests and commands as they are, and which of them do so changes with their versions and features. So their
//! records below `info` are never written, whatever the filter asks for.

use std::io::IsTerminal;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// Whose records may be written at every level, by the first part of their target.
const OURS: &[&str] = &["chat_core", "chat_server"];

/// Changes what is logged while the program runs.
#[derive(Debug, Clone)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Logs what this filter asks for from now on.
    ///
    /// # Errors
    /// When it cannot be understood, and then nothing changes.
    pub fn set(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}

/// Writes what is logged to the standard error output, so that the output of commands stays clean: what `filter` asks
/// for (see [`Options::log`](crate::config::Options::log)) and [`may_show`] allows. A filter that cannot be understood
/// counts as `info`.
pub fn start(filter: &str, as_json: bool) -> LogFilter {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let log = tracing_subscriber::registry().with(filter).with(filter_fn(may_show));
    let output = fmt::layer().with_writer(std::io::stderr).with_ansi(has_colours());
    if as_json {
        log.with(output.json()).init();
    } else {
        log.with(output).init();
    }
    LogFilter(handle)
}

/// Colours are for terminals, and not for those who want none (<https://no-color.org>).
fn has_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether a record can hold nothing that must not be logged. Programs that mount this server and log by themselves have
/// to ask this, too: `.with(filter_fn(may_show))`.
pub fn may_show(record: &Metadata<'_>) -> bool {
    let origin = record.target().split("::").next().unwrap_or_default();
    *record.level() <= Level::INFO || OURS.contains(&origin)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn libraries_do_not_show_payloads_whatever_the_filter_asks_for() {
        for filter in ["trace", "tungstenite=trace", "tungstenite::protocol=trace,hyper=debug,mongodb=trace"]
        {
            let written = Written::default();
            let output = written.clone();
            let log = tracing_subscriber::registry()
                .with(EnvFilter::new(format!("{filter},chat_server=trace,chat_core=trace")))
                .with(filter_fn(may_show))
                .with(fmt::layer().with_ansi(false).with_writer(move || output.clone()));
            tracing::subscriber::with_default(log, || {
                tracing::trace!(target: "tungstenite::protocol", "hush");
                tracing::trace!(target: "tungstenite", "hush");
                tracing::debug!(target: "hyper::proto", "hush");
                tracing::debug!(target: "mongodb::command", "hush");
                tracing::trace!(target: "chat_servers", "hush");
                tracing::trace!(target: "chat_server::session", "ours 1");
                tracing::debug!(target: "chat_core", "ours 2");
                tracing::warn!(target: "chat_core", "ours 3");
            });
            let written = String::from_utf8(written.0.lock().clone()).unwrap();
            assert!(!written.contains("hush"), "{filter}: {written}");
            for ours in ["ours 1", "ours 2", "ours 3"] {
                assert!(written.contains(ours), "{filter}: {written}");
            }
        }
    }
}
