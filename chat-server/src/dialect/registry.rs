//! Which dialects there are, which of them are served, and which one a connection speaks.
//!
//! The registry is part of the [configuration](crate::config::Config::dialects). Everything that is kept per dialect (frames
//! of one event, rosters, routes) goes by a dialect's place in it, and a place is given to no dialect but by registering it.
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

/// The name of [`native`](super::native), to which all others fall back.
const NATIVE: &str = "native";

/// The time in which messages are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// A dialect with its place in the registry: the only form in which it is spoken.
#[derive(Clone)]
pub struct Registered {
    dialect: Arc<dyn Dialect>,
    /// What it falls back to.
    native: Arc<dyn Dialect>,
    index: usize,
    /// How much each person has sent lately in this dialect.
    sends: Arc<Limiter<UserId>>,
}

/// What an event asks for, and who answers it.
pub(crate) struct Decoded {
    pub(crate) inbound: Inbound,
    /// Whether [`native`](super::native) has understood it.
    pub(crate) is_native: bool,
}

impl Registered {
    fn new(dialect: Arc<dyn Dialect>, native: Arc<dyn Dialect>, index: usize) -> Self {
        let sends = Arc::new(Limiter::new(dialect.limits().messages_per_minute, MINUTE));
        Self { dialect, native, index, sends }
    }

    /// What it falls back to: [`native`](super::native).
    pub(crate) fn native(&self) -> &dyn Dialect {
        &*self.native
    }

    /// Its place in the registry, below [`Dialects::count`].
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// What an event asks for: one of the family's, or one of those that are the same for all.
    pub(crate) fn decode(&self, call: &Call<'_>) -> Result<Decoded, DecodeError> {
        match self.dialect.decode(call) {
            Ok(inbound) => Ok(Decoded { inbound, is_native: false }),
            Err(DecodeError::UnknownEvent) => {
                self.native.decode(call).map(|inbound| Decoded { inbound, is_native: true })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether somebody may ask for this by the limits of the family; the core and the operator have limits of their own. A
    /// message that they may send counts.
    ///
    /// # Errors
    /// Names the field that is too large. When too much was sent in the last minute.
    pub fn check(&self, user: UserId, command: CommandRef<'_>, now: Timestamp) -> Result<(), Error> {
        let CommandRef::SendMessage(SendMessage { content, .. }) = command else { return Ok(()) };
        let limits = self.limits();
        if let Some(limit) = limits.text_max
            // As JavaScript counts them, which is how its pages do.
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
    /// By their places, in the order of their rank.
    served: Vec<usize>,
    default: usize,
    /// How many of those that are known come with this crate.
    built_in: usize,
    cookies: Vec<&'static str>,
}

impl Dialects {
    /// These, and `native`, to which they fall back.
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

    /// The same and this one, which is served.
    ///
    /// # Errors
    /// When its name is taken or cannot be a name, or when one of its routes cannot be a route.
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

    /// The same, of which those of `names` are served, and those that were given from outside. `default` is spoken when a
    /// token does not tell; the first of those that are served if it is not one of them.
    ///
    /// # Errors
    /// Names the variable in which a name stands that nobody knows.
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
        // The built-in default must not force anybody to name it when they serve another dialect alone.
        let default = served.iter().find(|index| **index == wanted).or(served.first()).copied();
        let default = default.ok_or_else(|| ConfigError::Variable {
            variable: "CHAT_DIALECTS",
            problem: "names no dialect".to_owned(),
        })?;
        Ok(Self { served, default, ..self }.with_cookies())
    }

    /// The one of this name, whether it is served or not.
    pub fn find(&self, name: &str) -> Option<&Registered> {
        self.known.iter().find(|dialect| dialect.name() == name)
    }

    /// Those that are served.
    pub fn served(&self) -> impl Iterator<Item = &Registered> {
        self.served.iter().filter_map(|index| self.known.get(*index))
    }

    /// All, served or not.
    pub fn known(&self) -> &[Registered] {
        &self.known
    }

    /// How many there are, served or not.
    pub(crate) fn count(&self) -> usize {
        self.known.len()
    }

    /// Those whose routes are served: besides those that are spoken, [`native`](super::native).
    pub(crate) fn routed(&self) -> impl Iterator<Item = &Registered> {
        let is_served = self.served().any(|dialect| dialect.name() == NATIVE);
        self.served().chain(self.find(NATIVE).filter(|_| !is_served))
    }

    /// The routes that are served, with their dialects.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&Registered, Route)> {
        self.routed().flat_map(|dialect| {
            let is_spoken = self.served().any(|served| served == dialect);
            let is_served = move |route: &Route| is_spoken || !route.is_only_where_spoken();
            dialect.routes().into_iter().filter(is_served).map(move |route| (dialect, route))
        })
    }

    /// What is spoken when nothing tells.
    pub fn default(&self) -> &Registered {
        &self.known[self.default]
    }

    /// The names of the cookies in which log-ins are kept.
    pub(crate) fn cookies(&self) -> &[&'static str] {
        &self.cookies
    }

    /// The first one that keeps its log-in in a cookie.
    pub(crate) fn with_cookie(&self) -> Option<&Registered> {
        self.served().find(|dialect| dialect.auth().cookie.is_some())
    }

    /// Whose guests may come in without a log-in, if anybody's may.
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

    /// What a token says of the dialect, if it says anything.
    pub(crate) fn told_by(&self, identity: &Identity) -> Option<&Registered> {
        match &identity.dialect {
            Some(name) => self.served().find(|dialect| dialect.name() == name),
            None if identity.is_named_alone => {
                self.served().find(|dialect| dialect.auth().named_by == NamedBy::Username)
            }
            None => None,
        }
    }

    /// What a connection speaks that was opened with a token: what that says, or else the family that keeps its log-in in a
    /// cookie of this name, or else the default.
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

    /// A dialect that keeps its log-in in a cookie of its own.
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
        // The built-in default must not force anybody to name it.
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
