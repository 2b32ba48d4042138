//! Where a family's log-in is, how one without it is refused, and what its pages allow.

/// Where a family's log-in is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Auth {
    /// The claim by which its old backend names people in tokens. Whatever it is, each of the known claims is read.
    pub named_by: NamedBy,
    /// The cookie its log-in is kept in, if it is. All families that have one may share it.
    pub cookie: Option<&'static str>,
    /// How a socket is refused.
    pub refusals: Refusals,
    /// Whether a socket without a log-in may come in to say by an [event](super::Inbound::Hello) who it is. Until it has, it may
    /// send as little as any connection that nobody has logged in to, for 45 seconds; nothing else that it says counts, and
    /// it is told nothing.
    pub guests: bool,
}

/// How an old backend's tokens name people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NamedBy {
    /// By an id (`userId`, `id`, `_id`, `sub`).
    #[default]
    Id,
    /// By the user name and nothing else, so that such a token tells its dialect.
    Username,
}

/// The messages of `connect_error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusals {
    /// There was no token.
    pub missing: &'static str,
    /// No token was good.
    pub invalid: &'static str,
    /// There was no token, though the page has said whose it is: its cookie did not come with it.
    pub no_cookie: &'static str,
}

impl Default for Refusals {
    fn default() -> Self {
        Self::with("Authentication error")
    }
}

impl Refusals {
    /// The same words for all.
    pub const fn with(words: &'static str) -> Self {
        Self { missing: words, invalid: words, no_cookie: words }
    }
}

/// What a family's pages allow. The operator may ask for more, and limits of the core hold beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Fewest characters of a new password.
    pub password_min: usize,
    /// Most characters of a message; none: what the core allows.
    pub text_max: Option<usize>,
    /// Most messages that a person may send in a minute in this dialect, on one node; 0: no limit beside `CHAT_MESSAGE_LIMIT`.
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
