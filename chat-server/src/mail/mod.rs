//! Mail that the server sends of its own accord: at present a welcome to new users.
//!
//! A [`Mail`] is made ([`welcome`]), put into a [`MailQueue`], and sent from there by a [`Mailer`]:
//! [`ResendMailer`], or [`LogMailer`] where no mail service is configured. Nobody waits for a mail and
//! nothing fails for want of one.
//!
//! This module is deliberately not a mail system: the queue lives in memory, and what has not left when the
//! server stops is lost.

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

/// A way to send mail.
///
/// # Guarantees
///
/// - `send` returns once the mail is taken over by the service, which is not to say that it has arrived.
/// - Attempts are repeated inside `send` where that may help, and a repeated attempt does not send the mail
///   twice.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands one mail over. This may take minutes; see [`MailQueue`] for callers that cannot wait.
    ///
    /// # Errors
    ///
    /// [`MailError`] tells who has to act.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// One mail to one person.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The address alone, such as `ada@example.com`.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The content for programs that show plain text.
    pub text: String,
    /// The same content as an HTML document.
    pub html: String,
}

/// Shows the subject alone, so that a log line can never hold an address or somebody's mail.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The mail itself cannot be sent; repeating it is useless.
    #[error("The mail cannot be sent: {0}")]
    Invalid(&'static str),
    /// The service refuses the mail or our account; repeating it is useless until somebody looks into it.
    #[error("The mail service refuses with status {status}, {name}")]
    Refused {
        /// The HTTP status of the refusal.
        status: u16,
        /// The service's name for the reason, such as `validation_error`.
        name: String,
    },
    /// The service was not reached, or failed, or had too much to do, at every attempt.
    #[error("The mail service is not available: {what}")]
    Unavailable {
        /// What happened at the last attempt.
        what: &'static str,
        /// The error beneath, if there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The mailer cannot be set up as configured; only constructors return this.
    #[error("{0}")]
    Configuration(&'static str),
}

/// Sends nothing and notes in the log that there was something to send; for servers without a mail service.
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
