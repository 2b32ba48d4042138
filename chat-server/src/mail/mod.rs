//! Mail that the server sends unprompted: at present a welcome to new users.
//!
//! A [`Mail`] is created ([`welcome`]), put into a [`MailQueue`], and sent from there by a [`Mailer`]:
//! [`ResendMailer`], or [`LogMailer`] if no mail service is configured. No request waits for a mail or fails because of
//! one.
//!
//! This module is deliberately not a mail system: the queue lives in memory, and mails that are not sent when the
//! server stops are lost.

mod queue;
mod recipients;
mod resend;
mod welcome;

pub use queue::{MailQueue, QueueLimits};
pub use recipients::{
    DOMAIN_WINDOW, MAX_PER_DOMAIN, MAX_PER_RECIPIENT, RECIPIENT_WINDOW, Recipients, recipient,
};
pub use resend::{ResendConfig, ResendMailer};
pub use welcome::welcome;

use std::fmt;

use async_trait::async_trait;

/// Sends mail.
///
/// # Guarantees
///
/// - `send` returns once the service has accepted the mail, which does not mean that it has arrived.
/// - `send` retries where that may help. A retry does not send the mail twice.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Sends one mail. This may take minutes; callers that cannot wait use [`MailQueue`].
    ///
    /// # Errors
    ///
    /// [`MailError`] says who must act.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// One mail to one recipient.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The bare address, such as `ada@example.com`.
    pub to: String,
    /// The subject, in one line.
    pub subject: String,
    /// The content as plain text.
    pub text: String,
    /// The same content as an HTML document.
    pub html: String,
}

/// Shows only the subject, so that no log line can contain an address or the content of a mail.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The mail itself is invalid. A retry is useless.
    #[error("The mail cannot be sent: {0}")]
    Invalid(&'static str),
    /// The service refuses the mail or our account. A retry is useless until the operator has fixed the cause.
    #[error("The mail service refuses with status {status}, {name}")]
    Refused {
        /// The HTTP status of the refusal.
        status: u16,
        /// The service's name for the reason, such as `validation_error`.
        name: String,
    },
    /// The service was unreachable, failed or was overloaded at every attempt.
    #[error("The mail service is not available: {what}")]
    Unavailable {
        /// What happened at the last attempt.
        what: &'static str,
        /// The underlying error, if there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The configuration of the mailer is invalid. Only constructors return this.
    #[error("{0}")]
    Configuration(&'static str),
}

/// Sends nothing, and logs that there was a mail. For servers without a mail service.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogMailer;

#[async_trait]
impl Mailer for LogMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        chat_core::log_throttled!(
            info,
            subject = mail.subject,
            "a mail would be sent if a mail service were configured"
        );
        Ok(())
    }
}
