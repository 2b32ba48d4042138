//! The registry of dialects: which ones are known, which ones are served, and which one a connection uses.
//!
//! The registry is part of the [configuration](crate::config::Config::dialects). All per-dialect data (frames of one
//! event, rosters, routes) is indexed by the dialect's place in the registry. Only registration assigns a place.
//!
//! ```
//! use chat_server::dialect::Dialects;
//!
//! let dialects = Dialects::built_in();
//! assert_eq!(dialects.find("push").map(|dialect| dialect.name()), Some("push"));
//! assert!(dialects.find("none of ours").is_none());
//! ```

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use chat_core::clock::Timestamp;
use chat_core::command::{CommandRef, SendMessage};
use chat_core::error::Error;
use chat_core::id::UserId;

use super::{Call, DecodeError, Dialect, Inbound, NamedBy, Route};
use crate::auth::limit::Limiter;
use crate::auth::token::Identity;
use crate::config::error::ConfigError;

/// The name of [`native`](super::native), the fallback of all other dialects.
const NATIVE: &str = "native";

/// The period of the message rate limit.
const MINUTE: Duration = Duration::from_secs(60);

/// A dialect with its place in the registry. Connections use dialects only in this form.
#[derive(Clone)]
pub struct Registered {
    dialect: Arc<dyn Dialect>,
    /// The fallback dialect.
    native: Arc<dyn Dialect>,
    index: usize,
    /// Counts the messages that each user has sent lately in this dialect.
    sends: Arc<Limiter<UserId>>,
}

/// A decoded request, and the dialect that answers it.
pub(crate) struct Decoded {
    pub(crate) inbound: Inbound,
    /// Whether [`native`](super::native) decoded it.
    pub(crate) is_native: bool,
}

impl Registered {
    fn new(dialect: Arc<dyn Dialect>, native: Arc<dyn Dialect>, index: usize) -> Self {
        let sends = Arc::new(Limiter::new(dialect.limits().messages_per_minute, MINUTE));
        Self { dialect, native, index, sends }
    }

    /// The fallback dialect: [`native`](super::native).
    pub(crate) fn native(&self) -> &dyn Dialect {
        &*self.native
    }

    /// Its place in the registry, below [`Dialects::count`].
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Decodes an event: one of this dialect, or else one of `native`, which is available in all dialects.
    pub(crate) fn decode(&self, call: &Call<'_>) -> Result<Decoded, DecodeError> {
        match self.dialect.decode(call) {
            Ok(inbound) => Ok(Decoded { inbound, is_native: false }),
            Err(DecodeError::UnknownEvent) => {
                self.native.decode(call).map(|inbound| Decoded { inbound, is_native: true })
            }
            Err(error) => Err(error),
        }
    }

    /// Checks a command against the limits of this dialect; the core and the operator have limits of their own. A
    /// message that passes counts towards the rate limit.
    ///
    /// # Errors
    /// `Error::TooLarge` with the name of the field, or `Error::OverBudget` when the user has sent too many
    /// messages in the last minute.
    pub fn check(&self, user: UserId, command: CommandRef<'_>, now: Timestamp) -> Result<(), Error> {
        let CommandRef::SendMessage(SendMessage { content, .. }) = command else { return Ok(()) };
        let limits = self.limits();
        if let Some(limit) = limits.text_max
            // UTF-16 code units, because the family's JavaScript clients count these.
            && content.file_name.is_none()
            && content.text.encode_utf16().nth(limit).is_some()
        {
            return Err(Error::TooLarge { field: "text", limit, unit: "characters" });
        }
        if limits.messages_per_minute > 0 {
            self.sends.check(&user, now).map_err(|retry_after| Error::OverBudget { retry_after })?;
            self.sends.count(user, now);
        }
        Ok(())
    }
}

impl Deref for Registered {
    type Target = dyn Dialect;

    fn deref(&self) -> &Self::Target {
        &*self.dialect
    }
}

impl PartialEq for Registered {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dialect, &other.dialect)
    }
}

impl Eq for Registered {}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dialect({})", self.name())
    }
}

/// The registry.
#[derive(Debug, Clone)]
pub struct Dialects {
    known: Arc<[Registered]>,
    /// The places of the served dialects, by rank.
    served: Vec<usize>,
    default: usize,
    /// How many of the known dialects are part of this crate.
    built_in: usize,
    cookies: Vec<&'static str>,
}

impl Dialects {
    /// A registry of these dialects and `native`, their fallback.
    pub(super) fn of(dialects: Vec<Arc<dyn Dialect>>, native: &Arc<dyn Dialect>) -> Self {
        let known: Arc<[_]> = dialects
            .into_iter()
            .chain([native.clone()])
            .enumerate()
            .map(|(index, dialect)| Registered::new(dialect, native.clone(), index))
            .collect();
        let (served, built_in) = ((0..known.len()).collect(), known.len());
        Self { served, known, default: 0, built_in, cookies: Vec::new() }.with_cookies()
    }

    /// Adds a dialect and serves it.
    ///
    /// # Errors
    /// When its name is taken or invalid, or when one of its routes is invalid or listed twice.
    pub fn with(self, dialect: impl Dialect) -> Result<Self, ConfigError> {
        let unfit =
            |problem: String| Err(ConfigError::Unfit(format!("a dialect cannot be served: {problem}")));
        let name = dialect.name().to_owned();
        let is_plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(is_plain) {
            return unfit(format!("its name {name:?} must be up to 32 lower-case letters, digits and -"));
        }
        if self.find(&name).is_some() {
            return unfit(format!("there is another one called {name}"));
        }
        let routes = dialect.routes();
        for (at, route) in routes.iter().enumerate() {
            if let Err(problem) = route.check() {
                return unfit(format!("{name}: {route:?} {problem}"));
            }
            if routes[..at].iter().any(|other| other.is_same(route)) {
                return unfit(format!("{name}: {route:?} is there twice"));
            }
        }
        let index = self.known.len();
        let new = Registered::new(Arc::new(dialect), self.default().native.clone(), index);
        let mut served = self.served;
        served.push(index);
        Ok(Self { known: self.known.iter().cloned().chain([new]).collect(), served, ..self }.with_cookies())
    }

    /// Serves the dialects in `names` and those that were added with `Self::with`. `default` is the dialect of a
    /// connection whose token names none. If `default` is not served, the first served dialect takes its place.
    ///
    /// # Errors
    /// Names the configuration variable that contains an unknown name.
    pub fn serving(self, names: &[String], default: &str) -> Result<Self, ConfigError> {
        let find = |variable, name: &str| {
            self.find(name).map(Registered::index).ok_or_else(|| {
                let known: Vec<_> = self.known.iter().map(|dialect| dialect.name()).collect();
                let problem = format!("{name:?} is not one of {}", known.join(", "));
                ConfigError::Variable { variable, problem }
            })
        };
        let named = names.iter().map(|name| find("CHAT_DIALECTS", name.trim()));
        let mut served: Vec<_> = named.collect::<Result<_, _>>()?;
        served.extend(self.built_in..self.known.len());
        let mut known = std::collections::HashSet::new();
        served.retain(|index| known.insert(*index));
        let wanted = find("CHAT_DEFAULT_DIALECT", default.trim())?;
        // An operator who serves only one other dialect should not have to set the default as well.
        let default = served.iter().find(|index| **index == wanted).or(served.first()).copied();
        let default = default.ok_or_else(|| ConfigError::Variable {
            variable: "CHAT_DIALECTS",
            problem: "names no dialect".to_owned(),
        })?;
        Ok(Self { served, default, ..self }.with_cookies())
    }

    /// The dialect with this name, whether it is served or not.
    pub fn find(&self, name: &str) -> Option<&Registered> {
        self.known.iter().find(|dialect| dialect.name() == name)
    }

    /// The served dialects.
    pub fn served(&self) -> impl Iterator<Item = &Registered> {
        self.served.iter().filter_map(|index| self.known.get(*index))
    }

    /// All dialects, served or not.
    pub fn known(&self) -> &[Registered] {
        &self.known
    }

    /// The number of dialects, served or not.
    pub(crate) fn count(&self) -> usize {
        self.known.len()
    }

    /// The dialects whose routes are served: the served ones and [`native`](super::native).
    pub(crate) fn routed(&self) -> impl Iterator<Item = &Registered> {
        let is_served = self.served().any(|dialect| dialect.name() == NATIVE);
        self.served().chain(self.find(NATIVE).filter(|_| !is_served))
    }

    /// The served routes, with their dialects.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&Registered, Route)> {
        self.routed().flat_map(|dialect| {
            let is_spoken = self.served().any(|served| served == dialect);
            let is_served = move |route: &Route| is_spoken || !route.is_only_where_spoken();
            dialect.routes().into_iter().filter(is_served).map(move |route| (dialect, route))
        })
    }

    /// The dialect of a connection that names none.
    pub fn default(&self) -> &Registered {
        &self.known[self.default]
    }

    /// The names of the cookies that hold log-in tokens.
    pub(crate) fn cookies(&self) -> &[&'static str] {
        &self.cookies
    }

    /// The first served dialect that keeps its log-in token in a cookie.
    pub(crate) fn with_cookie(&self) -> Option<&Registered> {
        self.served().find(|dialect| dialect.auth().cookie.is_some())
    }

    /// The dialect whose guests may connect without a log-in, if any allows it.
    pub(crate) fn with_guests(&self) -> Option<&Registered> {
        let default = Some(self.default()).filter(|dialect| dialect.auth().guests);
        default.or_else(|| self.served().find(|dialect| dialect.auth().guests))
    }

    fn with_cookies(self) -> Self {
        let mut cookies = Vec::new();
        for cookie in self.routed().filter_map(|dialect| dialect.auth().cookie) {
            if !cookies.contains(&cookie) {
                cookies.push(cookie);
            }
        }
        Self { cookies, ..self }
    }

    /// The dialect that a token names, if it names one.
    pub(crate) fn told_by(&self, identity: &Identity) -> Option<&Registered> {
        match &identity.dialect {
            Some(name) => self.served().find(|dialect| dialect.name() == name),
            None if identity.is_named_alone => {
                self.served().find(|dialect| dialect.auth().named_by == NamedBy::Username)
            }
            None => None,
        }
    }

    /// The dialect of a connection that was opened with a token: the one that the token names, or else the one that
    /// keeps its log-in token in a cookie of this name, or else the default.
    pub(crate) fn of_connection(&self, identity: &Identity, cookie: Option<&str>) -> &Registered {
        let by_cookie = || {
            let cookie = cookie?;
            self.served().find(|dialect| dialect.auth().cookie == Some(cookie))
        };
        self.told_by(identity).or_else(by_cookie).unwrap_or(self.default())
    }
}

#[cfg(test)]
mod tests {
    use chat_core::command::{Command, Reply};
    use chat_core::event::Event;

    use super::*;
    use crate::dialect::{Answer, Asked, Auth, EventPosition, Frames};

    /// A dialect that keeps its log-in token in a cookie of its own.
    struct Given;

    impl Dialect for Given {
        fn name(&self) -> &str {
            "given"
        }

        fn auth(&self) -> Auth {
            Auth { cookie: Some("sid"), ..Auth::default() }
        }

        fn events(&self) -> &[&str] {
            &[]
        }

        fn decode(&self, _: &Call<'_>) -> Result<Inbound, DecodeError> {
            Err(DecodeError::UnknownEvent)
        }

        fn outbound(&self, _: &Event, _: EventPosition) -> Frames {
            Frames::new()
        }

        fn reply(&self, _: &Asked<'_>, _: &Reply) -> Answer {
            Answer::done()
        }
    }

    fn serving(names: &[&str], default: &str) -> Result<Dialects, String> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let dialects = Dialects::built_in().with(Given).unwrap().serving(&names, default);
        dialects.map_err(|error| error.to_string())
    }

    fn names(dialects: &Dialects) -> Vec<&str> {
        dialects.served().map(|dialect| dialect.name()).collect()
    }

    #[test]
    fn what_is_given_is_served_and_of_the_rest_what_is_named() {
        let both = serving(&["camel", " push "], "push").unwrap();
        assert_eq!((names(&both), both.default().name()), (vec!["camel", "push", "given"], "push"));
        assert_eq!(both.cookies(), ["jwt", "sid"]);
        // An operator who serves another dialect need not set the default.
        let one = serving(&["camel", "camel"], "push").unwrap();
        assert_eq!((names(&one), one.default().name()), (vec!["camel", "given"], "camel"));
        assert_eq!(one.cookies(), ["sid"]);
        let alone = serving(&["given"], "given").unwrap();
        assert_eq!((names(&alone), alone.default().name()), (vec!["given"], "given"));
        let routed: Vec<_> = alone.routed().map(|dialect| dialect.name()).collect();
        assert_eq!(routed, ["given", "native"], "native's routes are always there");
        for (problem, expected) in [
            (
                serving(&["other"], "push"),
                "CHAT_DIALECTS: \"other\" is not one of camel, push, native, given",
            ),
            (
                serving(&["push"], "other"),
                "CHAT_DEFAULT_DIALECT: \"other\" is not one of camel, push, native, given",
            ),
        ] {
            assert_eq!(problem.err().as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_connection_speaks_what_its_token_says_or_its_cookie_or_the_default() {
        let dialects = serving(&["camel", "push"], "push").unwrap();
        let spoken = |dialect: Option<&str>, is_named_alone, cookie| {
            let identity = Identity {
                user: chat_core::model::UserKey::Username("ann".into()),
                dialect: dialect.map(str::to_owned),
                is_named_alone,
                session: None,
                issued_at: None,
                expires_at: None,
                fingerprint: [0; 32],
            };
            dialects.of_connection(&identity, cookie).name().to_owned()
        };
        assert_eq!(spoken(Some("camel"), false, Some("jwt")), "camel");
        assert_eq!(spoken(Some("given"), false, None), "given", "the name of one from outside counts");
        assert_eq!(spoken(None, true, None), "camel", "no other family names people alone");
        assert_eq!(spoken(None, false, Some("sid")), "given");
        assert_eq!(spoken(None, false, None), "push");
        assert_eq!(spoken(Some("native"), false, None), "push", "it is not served");
        assert_eq!(spoken(Some("none of ours"), false, None), "push");
    }

    #[test]
    fn an_event_that_a_family_does_not_know_is_natives() {
        let dialects = Dialects::built_in();
        for dialect in dialects.known() {
            let decoded = dialect.decode(&Call::parse(r#"["sync"]"#).unwrap()).unwrap();
            let is_own = dialect.name() == NATIVE;
            assert_eq!(decoded.is_native, !is_own, "{}", dialect.name());
            assert!(matches!(decoded.inbound, Inbound::Command(Command::ReadChanges(_), _)));
            let unknown = dialect.decode(&Call::parse(r#"["no such event"]"#).unwrap());
            assert_eq!(unknown.err(), Some(DecodeError::UnknownEvent), "{}", dialect.name());
        }
    }
}
