//! HTTP routes as data: a method, a path, and a handler, or a command with its answer.
//!
//! Routes of all dialects go into one table ([`crate::http::router`] is made from it). Where several have one method and path,
//! each request is resolved by itself: by the dialect of its token, then by its body ([`Route::for_bodies_with`]) and by what its
//! id names ([`Route::for_ids_of`]), then by the default dialect.
//!
//! ```
//! use axum::extract::Path;
//! use chat_server::dialect::Route;
//!
//! async fn greet(Path(name): Path<String>) -> String {
//!     format!("Hello {name}")
//! }
//! let route = Route::get("/api/greet/:name", greet);
//! assert_eq!(route.path(), "/api/greet/:name");
//! ```

use std::any::Any;
use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use axum::routing::MethodFilter;
use tower::util::BoxCloneSyncService;

use super::described::Described;

/// What answers the requests of a route.
pub(crate) type Service = BoxCloneSyncService<Request, Response, Infallible>;

/// Makes the service of a route for a server; none for what is none. What knows routes as data need not know the server, so
/// its type is named by [`super::handler`] alone.
type MakeService = Arc<dyn Fn(&(dyn Any + Send + Sync)) -> Option<Service> + Send + Sync>;

/// A route of a dialect.
#[derive(Clone)]
pub struct Route {
    method: Method,
    path: Cow<'static, str>,
    make: MakeService,
    body_fields: &'static [&'static str],
    names: Option<Names>,
    only_where_spoken: bool,
    described: Option<Described>,
}

/// What the id in a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// A person.
    User,
    /// A conversation.
    Conversation,
    /// A message.
    Message,
}

impl Route {
    /// A route whose service is made by `make`.
    pub(super) fn made_by(method: Method, path: Cow<'static, str>, make: MakeService) -> Self {
        Self { method, path, make, body_fields: &[], names: None, only_where_spoken: false, described: None }
    }

    /// What answers its requests, with this server as the state of its handler.
    pub(super) fn make(&self, server: &(dyn Any + Send + Sync)) -> Option<Service> {
        (self.make)(server)
    }

    /// Where another dialect has this route too, and no token tells: it is this one for bodies with one of these fields.
    #[must_use]
    pub fn for_bodies_with(self, fields: &'static [&'static str]) -> Self {
        Self { body_fields: fields, ..self }
    }

    /// Where another dialect has this route too, and no token tells: it is this one if the last part of its path that differs
    /// is the id of such a thing.
    #[must_use]
    pub fn for_ids_of(self, names: Names) -> Self {
        Self { names: Some(names), ..self }
    }

    /// It is served only where its dialect is spoken; the other routes of `native` are served in any case.
    #[must_use]
    pub(crate) fn where_spoken(self) -> Self {
        Self { only_where_spoken: true, ..self }
    }

    /// What it takes and answers, for the descriptions of the API.
    #[must_use]
    pub(crate) fn described(self, described: Described) -> Self {
        Self { described: Some(described), ..self }
    }

    pub(crate) fn description(&self) -> Option<&Described> {
        self.described.as_ref()
    }

    pub(crate) fn is_only_where_spoken(&self) -> bool {
        self.only_where_spoken
    }

    /// Its method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Its path, with `:name` for what differs.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Method and path, with `:id` for whatever differs: what people are shown.
    pub(crate) fn shown(&self) -> String {
        let mut shown = format!("{} ", self.method);
        for part in self.parts() {
            shown.push('/');
            shown.push_str(if part.starts_with(':') { ":id" } else { part });
        }
        shown
    }

    /// The same path as axum writes it; two that differ in the names of their parameters only are one.
    pub(crate) fn pattern(&self) -> String {
        let (mut pattern, mut number) = (String::new(), 0);
        for part in self.parts() {
            pattern.push('/');
            match part.starts_with(':') {
                true => {
                    number += 1;
                    pattern.push_str(&format!("{{p{number}}}"));
                }
                false => pattern.push_str(part),
            }
        }
        pattern
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').skip(1)
    }

    pub(crate) fn filter(&self) -> Option<MethodFilter> {
        MethodFilter::try_from(self.method.clone()).ok()
    }

    pub(crate) fn body_fields(&self) -> &'static [&'static str] {
        self.body_fields
    }

    pub(crate) fn names(&self) -> Option<Names> {
        self.names
    }

    /// Whether both are for the same requests.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.method == other.method && self.pattern() == other.pattern()
    }

    /// Whether it can be a route at all.
    ///
    /// # Errors
    /// Why not, continuing a sentence that begins with it.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let is_plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~:@".contains(&c))
        };
        if !self.path.starts_with('/') {
            return Err("must have a path that begins with a slash");
        }
        if !self.parts().all(|part| is_plain(part.strip_prefix(':').unwrap_or(part))) {
            return Err("must have a path of plain parts, each of which differs as a whole or not at all");
        }
        if self.filter().is_none() || matches!(self.method, Method::HEAD | Method::OPTIONS) {
            return Err("has a method that no dialect can have");
        }
        Ok(())
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests;
