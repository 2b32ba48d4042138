//! Links to stored images, in a form that each reader can load.
//!
//! The store contains **paths** (`/media/…`), never a host: a request's `Host` is under the control of its sender, and
//! if it were stored, all other readers would load images from that host. A path becomes a link when it is sent to a
//! reader. It then begins with [`Config::public_url`], or else with the host of the *reader's own* request (for a
//! socket, the request that opened it). So images work for pages of the same origin as well as of another one (a
//! development server, for instance). A client that forges the header gets wrong links, but no other client does. Links
//! that are already absolute, at Cloudinary or in rows of older versions, are left unchanged.
//!
//! An event is encoded once per dialect and base. Only events that contain a path depend on the base, and nearly all
//! clients have the same base.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderValue};
use chat_core::command::{Changes, ChatPage, History, Reply, Unread};
use chat_core::event::Event;
use chat_core::model::{Content, MessageView, User};
use chat_core::search::Found;

use crate::config::Config;

/// The begin of links to this server for one reader: scheme, host and port without a trailing slash. Empty if the host
/// is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Base(Option<Arc<str>>);

impl Base {
    /// The configured base, or else the host of this request.
    pub fn of(headers: &HeaderMap, config: &Config) -> Self {
        if let Some(configured) = &config.public_url {
            return Self::new(configured);
        }
        let host = forwarded(headers, "x-forwarded-host", config.trust_proxy);
        let own = || headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(own).unwrap_or_default();
        // Only a host and a port may get into a link.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        if host.is_empty() || host.len() > MAX_HOST_BYTES || !host.chars().all(plain) {
            return Self::default();
        }
        let scheme = if is_https(headers, config.trust_proxy) { "https" } else { "http" };
        Self::new(&format!("{scheme}://{host}"))
    }

    /// Creates a base from a URL without a trailing slash.
    pub fn new(base: &str) -> Self {
        Self(Some(base.into()))
    }

    /// Scheme, host and port, and the path that the operator has added, if the base is known.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// A stored path as a link that this reader can load. `None` if it needs no change.
    fn link(&self, stored: &str) -> Option<String> {
        let base = self.0.as_deref().filter(|_| is_path(stored))?;
        Some(format!("{base}{stored}"))
    }

    /// A user with a link to the picture.
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

    fn set_content(&self, content: &mut Content) {
        if let Some(image) = content.image.as_deref().and_then(|image| self.link(image)) {
            content.image = Some(image);
        }
    }

    fn set_view(&self, view: &mut MessageView) {
        self.set_content(&mut view.message.content);
        self.set_user(&mut view.sender);
        if let Some(recipient) = &mut view.recipient {
            self.set_user(recipient);
        }
    }

    /// Most messages have the same few users, so each of these is copied only once.
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

/// An answer that may contain links.
pub trait HoldsLinks {
    /// Makes the links begin with this base.
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

impl HoldsLinks for ChatPage {
    fn set_links(&mut self, base: &Base) {
        for chat in &mut self.chats {
            if let Some(last) = &mut chat.last {
                base.set_content(&mut last.content);
            }
            let members = chat.first_members.iter_mut().map(|(user, _)| user);
            chat.other.iter_mut().chain(members).for_each(|user| base.set_user(user));
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
            Self::UserPage(page) => page.users.set_links(base),
            Self::User(user) => user.set_links(base),
            Self::Unread(unread) => unread.set_links(base),
            Self::Changes(changes) => changes.set_links(base),
            Self::Related(related) => base.set_user(&mut related.user),
            Self::RelatedPage(page) => {
                page.people.iter_mut().for_each(|related| base.set_user(&mut related.user));
            }
            Self::Chats(page) => page.set_links(base),
            Self::Thread(thread) => {
                thread.root.as_deref_mut().into_iter().for_each(|root| root.set_links(base));
                thread.messages.set_links(base);
            }
            Self::Threads(page) => page.threads.iter_mut().for_each(|thread| thread.root.set_links(base)),
            Self::Done
            | Self::Receipts(_)
            | Self::Report(_)
            | Self::ReportPage(_)
            | Self::Conversation(_)
            | Self::Members(_)
            | Self::Bans(_)
            | Self::Read(_) => {}
            Self::ChatSet(_) | Self::ChatSetPage(_) | Self::Sessions(_) | Self::EndedSessions(_) => {}
        }
    }
}

/// Maximum length of a host in bytes: a name of 253 (RFC 1035), and a port.
const MAX_HOST_BYTES: usize = 260;

/// Whether the encoding of an event depends on the reader's base.
pub fn holds_paths(event: &Event) -> bool {
    let in_message = event.message().is_some_and(|view| {
        view.message.content.image.as_deref().is_some_and(is_path)
            || is_path(&view.sender.picture)
            || view.recipient.as_ref().is_some_and(|recipient| is_path(&recipient.picture))
    });
    in_message || event.user().is_some_and(|user| is_path(&user.picture))
}

/// `//host/…` would be a foreign host.
fn is_path(stored: &str) -> bool {
    stored.starts_with('/') && !stored.starts_with("//")
}

/// Whether the client's side of the connection is encrypted, according to trusted proxies.
pub fn is_https(headers: &HeaderMap, trust_proxy: usize) -> bool {
    forwarded(headers, "x-forwarded-proto", trust_proxy)
        .is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

/// The value from the outermost trusted proxy. A proxy may append to the header or replace it. So if there are fewer
/// entries than proxies, the first entry is from that proxy. Entries before it are not trustworthy.
pub(crate) fn forwarded<'a>(headers: &'a HeaderMap, name: &str, trust_proxy: usize) -> Option<&'a str> {
    let nth = trust_proxy.checked_sub(1)?;
    // Parsed as bytes, so that invalid text from a client cannot hide the entries that proxies have appended.
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
