//! How a dialect authenticates, how it refuses a connection without a valid token, and the limits for its clients.

/// How a dialect authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Auth {
    /// The claim by which the old backend's tokens name people. The server reads every known claim in any case.
    pub named_by: NamedBy,
    /// The cookie that holds the log-in token, if the dialect uses one. Several dialects may share a cookie.
    pub cookie: Option<&'static str>,
    /// The error messages for refused sockets.
    pub refusals: Refusals,
    /// Whether a socket may connect without a token and authenticate by an [event](super::Inbound::Hello) afterwards.
    /// Until then, for at most 45 seconds, the limits of an unauthenticated connection apply to what it sends, all
    /// other events are ignored, and it receives nothing.
    pub guests: bool,
}

/// How an old backend's tokens identify people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NamedBy {
    /// By an id (`userId`, `id`, `_id`, `sub`).
    #[default]
    Id,
    /// By the user name alone, so that such a token also identifies the dialect.
    Username,
}

/// The messages of `connect_error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusals {
    /// The client sent no token.
    pub missing: &'static str,
    /// No token of the client is valid.
    pub invalid: &'static str,
    /// The client named its user but sent no token, because its cookie was missing.
    pub no_cookie: &'static str,
}

impl Default for Refusals {
    fn default() -> Self {
        Self::with("Authentication error")
    }
}

impl Refusals {
    /// The same message for all cases.
    pub const fn with(words: &'static str) -> Self {
        Self { missing: words, invalid: words, no_cookie: words }
    }
}

/// The limits of a dialect. The operator may set stricter ones, and the limits of the core apply too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The minimum length of a new password in characters.
    pub password_min: usize,
    /// The maximum length of a message in characters; `None`: the limit of the core.
    pub text_max: Option<usize>,
    /// The most messages that a user may send per minute in this dialect, on one node; 0: only `CHAT_MESSAGE_LIMIT`
    /// applies.
    pub messages_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            password_min: crate::auth::password_rules::DEFAULT_MIN,
            text_max: None,
            messages_per_minute: 0,
        }
    }
}
