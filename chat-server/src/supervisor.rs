//! Notifies the service manager that has started this process: that it is ready, that it is alive, and its status (see
//! sd_notify(3)). Without `NOTIFY_SOCKET` nothing is sent.
//!
//! A thread of its own sends the notifications, because a manager that does not read would block the sender. The
//! keep-alive (`WatchdogSec=`) is triggered by the runtime that serves connections, so it stops when that runtime
//! hangs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chat_server::Stage;
use chat_server::app::App;
use sd_notify::NotifyState;
use tokio::task::AbortHandle;

/// Each notification during a start extends the manager's timeout by this time.
const MORE_TIME: Duration = Duration::from_secs(60);
/// How often a start is reported, and how often the status of a running server is checked for changes.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Maximum number of queued notifications. Further ones are dropped.
const MAX_WAITING: usize = 64;
/// How long the end of the process waits until all notifications are sent.
const LAST_WORD: Duration = Duration::from_millis(500);
/// Maximum length of the status in characters.
const MAX_STATUS: usize = 300;

/// A notification to the manager.
#[derive(Debug)]
enum Word {
    Starting,
    /// Includes the status, if it has changed.
    Ready(Option<String>),
    Status(String),
    Reloading,
    Stopping,
    Lives,
    /// Not sent to the manager: confirms that all earlier notifications were sent.
    Said(SyncSender<()>),
}

/// The service manager.
#[derive(Clone)]
pub(crate) struct Supervisor {
    /// `None` if there is no service manager.
    words: Option<SyncSender<Word>>,
    /// The manager was told that the server is ready.
    is_ready: Arc<AtomicBool>,
}

impl Supervisor {
    /// The service manager that the environment names.
    pub(crate) fn find() -> Self {
        let is_there = std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty());
        let words = is_there.then(|| {
            let (words, to_say) = sync_channel(MAX_WAITING);
            let speaker = std::thread::Builder::new().name("supervisor".to_owned());
            speaker.spawn(move || speak(&to_say)).map(|_| words)
        });
        let words = words.transpose().unwrap_or_else(|error| {
            tracing::warn!(%error, "the service manager is not told anything");
            None
        });
        Self { words, is_ready: Arc::default() }
    }

    /// Reports that the server is starting, until the start is complete. Also starts the keep-alive, if the manager
    /// wants it. Needs a tokio runtime.
    pub(crate) fn begin(&self) -> Starting {
        if self.words.is_none() {
            return Starting { supervisor: self.clone(), saying: None };
        }
        let watchdog = sd_notify::watchdog_enabled().filter(|within| !within.is_zero());
        if let Some(within) = watchdog {
            let supervisor = self.clone();
            // Half of the interval, so that a late keep-alive is still in time.
            let mut beats = tokio::time::interval((within / 2).max(Duration::from_millis(1)));
            tokio::spawn(async move {
                loop {
                    beats.tick().await;
                    supervisor.say(Word::Lives);
                }
            });
        }
        self.say(Word::Starting);
        let supervisor = self.clone();
        let saying = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                supervisor.say(Word::Starting);
            }
        });
        Starting { supervisor: self.clone(), saying: Some(saying.abort_handle()) }
    }

    /// Reports a reload, runs `read`, and reports that the server is ready again.
    pub(crate) fn reload<T>(&self, read: impl FnOnce() -> T) -> T {
        // A server that is still starting must not be reported as ready.
        let is_ready = self.is_ready.load(Ordering::Relaxed);
        if is_ready {
            self.say(Word::Reloading);
        }
        let read = read();
        if is_ready {
            self.say(Word::Ready(None));
        }
        read
    }

    /// Before the process ends: waits for a moment until all notifications are sent.
    pub(crate) fn finish(&self) {
        let (said, is_said) = sync_channel(1);
        if self.words.is_some() {
            self.say(Word::Said(said));
            let _ = is_said.recv_timeout(LAST_WORD);
        }
    }

    fn say(&self, word: Word) {
        if let Some(words) = &self.words {
            // If the manager does not read, notifications are dropped.
            let _ = words.try_send(word);
        }
    }
}

/// A start in progress.
pub(crate) struct Starting {
    supervisor: Supervisor,
    saying: Option<AbortHandle>,
}

impl Starting {
    /// Reports that the server has reached this stage.
    pub(crate) fn tell(&self, stage: &Stage<'_>) {
        if let Some(saying) = &self.saying {
            saying.abort();
        }
        let supervisor = &self.supervisor;
        match stage {
            Stage::Serving(app) => {
                supervisor.say(Word::Ready(Some(status(app))));
                supervisor.is_ready.store(true, Ordering::Relaxed);
                if supervisor.words.is_some() {
                    tokio::spawn(show_status(supervisor.clone(), Arc::downgrade(app)));
                }
            }
            Stage::Stopping => {
                supervisor.is_ready.store(false, Ordering::Relaxed);
                supervisor.say(Word::Stopping);
            }
        }
    }
}

/// Reports the status of the server whenever it has changed.
async fn show_status(supervisor: Supervisor, app: Weak<App>) {
    let mut shown = String::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        if app.is_draining() {
            return;
        }
        let status = status(&app);
        if status != shown {
            shown.clone_from(&status);
            supervisor.say(Word::Status(status));
        }
    }
}

fn status(app: &App) -> String {
    let mut status = format!("serving, {} connections", app.sessions.len());
    for (part, reason) in app.outages.away() {
        status += &format!("; {} is away: {reason}", part.name());
    }
    if app.hears_others() == Some(false) {
        status += "; other nodes are not heard";
    }
    status
}

/// Sends all notifications in order, until no sender is left.
fn speak(to_say: &Receiver<Word>) {
    while let Ok(word) = to_say.recv() {
        if let Err(error) = said(&word) {
            chat_core::log_throttled!(warn, %error, "the service manager could not be told how it is");
        }
    }
}

fn said(word: &Word) -> std::io::Result<()> {
    match word {
        Word::Starting => {
            let more = u32::try_from(MORE_TIME.as_micros()).unwrap_or(u32::MAX);
            sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(more), NotifyState::Status("starting")])
        }
        Word::Ready(None) => sd_notify::notify(&[NotifyState::Ready]),
        Word::Ready(Some(status)) => {
            sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&one_line(status))])
        }
        Word::Status(status) => sd_notify::notify(&[NotifyState::Status(&one_line(status))]),
        Word::Reloading => sd_notify::notify(&[
            NotifyState::Reloading,
            // Since systemd 253 this time lets the manager distinguish the reload from an earlier one.
            NotifyState::monotonic_usec_now()?,
        ]),
        Word::Stopping => sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]),
        Word::Lives => sd_notify::notify(&[NotifyState::Watchdog]),
        Word::Said(to) => {
            let _ = to.try_send(());
            Ok(())
        }
    }
}

/// The manager parses each line as a notification of its own, so foreign text in the status must not contain a line
/// break.
fn one_line(status: &str) -> String {
    let plain = status.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(MAX_STATUS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_written_is_no_word_of_ours() {
        assert_eq!(one_line("store is away: no\nREADY=1\r\0"), "store is away: no READY=1  ");
        assert_eq!(one_line(&"é".repeat(1_000)).chars().count(), MAX_STATUS);
    }

    #[test]
    fn a_manager_that_does_not_listen_holds_nobody_up() {
        let (words, _to_say) = sync_channel(MAX_WAITING);
        let supervisor = Supervisor { words: Some(words), is_ready: Arc::default() };
        for _ in 0..10 * MAX_WAITING {
            supervisor.say(Word::Lives);
        }
    }
}
