//! What SIGHUP does: it never ends the server, and has what can be read again read again.
//!
//! That is `CHAT_LOG`, from the `.env`: the environment of a process that runs cannot be changed from outside. And the
//! certificates of the connection to Redis, which are renewed in their files: connections that stand go on, and those that are
//! made from then on use the new ones. The folder of CHAT_STATIC_DIR, also where it is a link, and its files are looked at anew
//! for every request anyway.

use std::sync::{Arc, OnceLock};

use chat_server::cluster::Certificates;
use chat_server::config::Options;
use chat_server::logging::LogFilter;
use tokio::signal::unix::Signal;

use crate::dotenv;
use crate::supervisor::Supervisor;

const VARIABLE: &str = "CHAT_LOG";

/// Where the filter of the log comes from.
pub(crate) struct Hangup {
    log: LogFilter,
    /// Whether the `.env` decides, since neither a flag nor the environment does.
    is_of_file: bool,
    certificates: CertificatesLater,
}

/// The certificates of the connection to Redis, once it is known whether there are any.
pub(crate) type CertificatesLater = Arc<OnceLock<Arc<Certificates>>>;

impl Hangup {
    pub(crate) fn new(options: &Options, taken: &dotenv::Taken, log: LogFilter) -> Self {
        let has = |names: &[String]| names.iter().any(|name| name == VARIABLE);
        let in_environment = std::env::var(VARIABLE).ok().filter(|value| !value.trim().is_empty());
        let is_of_file = match in_environment {
            // Otherwise a flag has overruled it.
            Some(value) => has(&taken.names) && value == options.log,
            None => !has(&taken.overruled) && options.log == "info",
        };
        Self { log, is_of_file, certificates: CertificatesLater::default() }
    }

    /// Where to put the certificates that are to be read again.
    pub(crate) fn certificates(&self) -> CertificatesLater {
        self.certificates.clone()
    }

    /// Does it at every signal, for ever.
    pub(crate) async fn obey(self, mut signal: Signal, supervisor: Supervisor) {
        while signal.recv().await.is_some() {
            match supervisor.reload(|| self.read_again()) {
                Ok(Some(filter)) => {
                    tracing::info!("SIGHUP: the log is written by CHAT_LOG={filter} of .env from now on");
                }
                Ok(None) => {
                    tracing::info!(
                        "SIGHUP: CHAT_LOG is set by the environment or a flag, and stays as it is"
                    );
                }
                Err(problem) => {
                    tracing::warn!(problem, "SIGHUP: nothing was changed of how the log is written");
                }
            }
            let Some(certificates) = self.certificates.get() else { continue };
            match certificates.read_again() {
                Ok(()) => tracing::info!(
                    "SIGHUP: the certificates for Redis were read again, for connections from now on"
                ),
                Err(error) => tracing::warn!(%error, "SIGHUP: the certificates for Redis stay as they are"),
            }
        }
    }

    fn read_again(&self) -> Result<Option<String>, String> {
        if !self.is_of_file {
            return Ok(None);
        }
        let said = dotenv::look_up(VARIABLE).map_err(|problem| format!("the file .env: {problem}"))?;
        let filter = said.filter(|filter| !filter.trim().is_empty()).unwrap_or_else(|| "info".to_owned());
        chat_server::config::check_log_filter(&filter).map_err(|error| error.to_string())?;
        self.log.set(&filter)?;
        Ok(Some(filter))
    }
}
