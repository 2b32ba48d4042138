//! Links to stored images, as each reader can load them.
//!
//! Stores hold **paths** (`/media/…`), never a host: what a request says of itself is the word of whoever sent it, and
//! a stored `Host` would send everybody else to that host. A path becomes a link when it is answered, for the one who
//! reads it: it begins with [`Config::public_url`], or else with the host that the *reader's own* request was addressed
//! to (for a socket, the request that opened it). So a page of the same origin and one of another origin (a development
//! server beside this one) find the image alike, and a forged header shows its sender a wrong link and nobody else.
//! Links that are absolute already, at Cloudinary or in rows of older versions, stay as they are.
//!
//! An event is encoded once per dialect and base. Only events that hold a path differ by base at all, and nearly
//! everybody comes by the same one.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderValue};
use chat_core::command::{Changes, History, Reply, Unread};
use chat_core::event::Event;
use chat_core::model::{MessageView, User};
use chat_core::search::Found;

use crate::config::Config;

/// What links to this server begin with for one reader: scheme, host and port without a slash at the end, or nothing
/// when the reader did not say how the server is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Base(Option<Arc<str>>);

impl Base {
    /// The configured one, or where this request was addressed to.
    pub fn of(headers: &HeaderMap, config: &Config) -> Self {
        if let Some(configured) = &config.public_url {
            return Self::new(configured);
        }
        let host = forwarded(headers, "x-forwarded-host", config.trust_proxy);
        let own = || headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(own).unwrap_or_default();
        // Nothing but a host and a port may get into a link.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        if host.is_empty() || host.len() > MAX_HOST_BYTES || !host.chars().all(plain) {
            return Self::default();
        }
        let scheme = if is_https(headers, config.trust_proxy) { "https" } else { "http" };
        Self::new(&format!("{scheme}://{host}"))
    }

    /// This one, without a slash at the end.
    pub fn new(base: &str) -> Self {
        Self(Some(base.into()))
    }

    /// Scheme, host and port, and what the operator has put behind them, if it is known how this server is called.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// What is stored, as this reader can load it.
    fn link(&self, stored: &str) -> Option<String> {
        let base = self.0.as_deref().filter(|_| is_path(stored))?;
        Some(format!("{base}{stored}"))
    }

    /// A person with a link to their picture.
    pub fn user<'a>(&self, user: &'a Arc<User>) -> Cow<'a, Arc<User>> {
        match self.link(&user.picture) {
            Some(picture) => Cow::Owned(Arc::new(User { picture, ..User::clone(user) })),
            None => Cow::Borrowed(user),
        }
    }

    fn set_user(&self, user: &mut Arc<User>) {
        if let Some(picture) = self.link(&user.picture) {
            Arc::make_mut(user).picture = picture;
        }
    }

    fn set_view(&self, view: &mut MessageView) {
        if let Some(image) = view.message.content.image.as_deref().and_then(|image| self.link(image)) {
            view.message.content.image = Some(image);
        }
        self.set_user(&mut view.sender);
        if let Some(recipient) = &mut view.recipient {
            self.set_user(recipient);
        }
    }

    /// Messages mostly have the same few people, each of whom is made anew once.
    fn set_views(&self, views: &mut [MessageView]) {
        let mut made: Vec<(Arc<User>, Arc<User>)> = Vec::new();
        let mut set = |user: &mut Arc<User>| {
            if !is_path(&user.picture) {
                return;
            }
            if let Some((_, after)) = made.iter().find(|(before, _)| Arc::ptr_eq(before, user)) {
                *user = after.clone();
                return;
            }
            let before = user.clone();
            self.set_user(user);
            if made.len() < 16 {
                made.push((before, user.clone()));
            }
        };
        for view in views {
            set(&mut view.sender);
            if let Some(recipient) = &mut view.recipient {
                set(recipient);
            }
            self.set_view(view);
        }
    }

    /// An answer with links for this reader.
    pub fn reply<T: HoldsLinks>(&self, mut reply: T) -> T {
        if self.0.is_some() {
            reply.set_links(self);
        }
        reply
    }

    /// An event with links for this reader.
    pub fn event<'a>(&self, event: &'a Event) -> Cow<'a, Event> {
        if self.0.is_none() || !holds_paths(event) {
            return Cow::Borrowed(event);
        }
        let mut event = event.clone();
        self.set_event(&mut event);
        Cow::Owned(event)
    }

    fn set_event(&self, event: &mut Event) {
        if let Some(view) = event.message_mut() {
            self.set_view(view);
        }
        if let Some(user) = event.user_mut() {
            self.set_user(user);
        }
    }
}

/// An answer in which there may be links.
pub trait HoldsLinks {
    /// Has them begin with this base.
    fn set_links(&mut self, base: &Base);
}

impl HoldsLinks for MessageView {
    fn set_links(&mut self, base: &Base) {
        base.set_view(self);
    }
}

impl HoldsLinks for History {
    fn set_links(&mut self, base: &Base) {
        base.set_views(&mut self.messages);
    }
}

impl HoldsLinks for Found {
    fn set_links(&mut self, base: &Base) {
        base.set_views(&mut self.messages);
    }
}

impl HoldsLinks for Arc<User> {
    fn set_links(&mut self, base: &Base) {
        base.set_user(self);
    }
}

impl HoldsLinks for Unread {
    fn set_links(&mut self, base: &Base) {
        if let Some(other) = &mut self.other {
            base.set_user(other);
        }
    }
}

impl HoldsLinks for Changes {
    fn set_links(&mut self, base: &Base) {
        self.deliveries.iter_mut().for_each(|delivery| base.set_event(&mut delivery.event));
    }
}

impl<T: HoldsLinks> HoldsLinks for Vec<T> {
    fn set_links(&mut self, base: &Base) {
        self.iter_mut().for_each(|item| item.set_links(base));
    }
}

impl HoldsLinks for Reply {
    fn set_links(&mut self, base: &Base) {
        match self {
            Self::Message(view) => view.set_links(base),
            Self::Messages(history) => history.set_links(base),
            Self::Found(found) => found.set_links(base),
            Self::Users(users) => users.set_links(base),
            Self::User(user) => user.set_links(base),
            Self::Unread(unread) => unread.set_links(base),
            Self::Changes(changes) => changes.set_links(base),
            Self::Done | Self::Conversation(_) | Self::Members(_) | Self::Bans(_) | Self::Read(_) => {}
        }
    }
}

/// Most bytes of a host: a name of 253 (RFC 1035), and a port.
const MAX_HOST_BYTES: usize = 260;

/// Whether an event reads otherwise to readers who call this server otherwise.
pub fn holds_paths(event: &Event) -> bool {
    let in_message = event.message().is_some_and(|view| {
        view.message.content.image.as_deref().is_some_and(is_path)
            || is_path(&view.sender.picture)
            || view.recipient.as_ref().is_some_and(|recipient| is_path(&recipient.picture))
    });
    in_message || event.user().is_some_and(|user| is_path(&user.picture))
}

/// `//host/…` would be somebody's host.
fn is_path(stored: &str) -> bool {
    stored.starts_with('/') && !stored.starts_with("//")
}

/// Whether the client's side of the connection is encrypted, as far as trusted proxies tell.
pub fn is_https(headers: &HeaderMap, trust_proxy: usize) -> bool {
    forwarded(headers, "x-forwarded-proto", trust_proxy)
        .is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

/// What the outermost trusted proxy says. Each may append to the header or put its own in place of it, so where there
/// are fewer entries than proxies the first one is from there; what stands before it is hearsay.
pub(crate) fn forwarded<'a>(headers: &'a HeaderMap, name: &str, trust_proxy: usize) -> Option<&'a str> {
    let nth = trust_proxy.checked_sub(1)?;
    // As bytes: what a client has made up must not hide what the proxies have appended to it.
    let values = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    let entries: Vec<_> = values
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
        .collect();
    std::str::from_utf8(entries.iter().rev().nth(nth).or(entries.first())?).ok()
}

#[cfg(test)]
mod tests;
