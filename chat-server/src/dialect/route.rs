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

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::extract::{RawPathParams, RawQuery, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::routing::MethodFilter;
use chat_core::command::{Command, Reply, Request as _};
use chat_core::id::UserId;
use tower::util::BoxCloneSyncService;

use super::Registered;
use crate::app::App;
use crate::http::{Body, HttpError, caller};
use crate::links::Base;

/// What answers the requests of a route.
pub(crate) type Service = BoxCloneSyncService<Request, Response, Infallible>;

type MakeService = Arc<dyn Fn(Arc<App>) -> Service + Send + Sync>;

/// A route of a dialect.
#[derive(Clone)]
pub struct Route {
    method: Method,
    path: Cow<'static, str>,
    make: MakeService,
    body_fields: &'static [&'static str],
    names: Option<Names>,
    only_where_spoken: bool,
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

/// A request for a command.
#[derive(Debug, Clone, Copy)]
pub struct RouteRequest<'a> {
    /// Who asks.
    pub user: UserId,
    /// The parts of the path that differ, in their order.
    pub parameters: &'a [String],
    /// The query, as it was sent.
    pub query: Option<&'a str>,
    /// The body; none of methods that have none.
    pub body: Option<&'a Body>,
}

impl RouteRequest<'_> {
    /// A parameter of the query.
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        crate::http::parameter(self.query, name)
    }

    /// The parameter `limit` of the query.
    ///
    /// # Errors
    /// When it is no whole number.
    pub fn limit(&self) -> Result<Option<u64>, HttpError> {
        crate::http::limit(self.query)
    }
}

/// The command of a request.
pub type ToCommand = fn(&RouteRequest<'_>) -> Result<Command, HttpError>;

/// The answer to the one who asked, in which links are written for them already.
pub type ToAnswer = fn(UserId, &Reply) -> Result<Response, HttpError>;

impl Route {
    /// A route with an axum handler, whose state is the [`App`]. Parts of the path that begin with `:` differ from request to
    /// request; handlers take them by their order.
    pub fn new<H, T>(method: Method, path: impl Into<Cow<'static, str>>, handler: H) -> Self
    where
        H: Handler<T, Arc<App>> + Sync,
        T: 'static,
    {
        let make = move |app: Arc<App>| Service::new(handler.clone().with_state(app));
        Self {
            method,
            path: path.into(),
            make: Arc::new(make),
            body_fields: &[],
            names: None,
            only_where_spoken: false,
        }
    }

    /// A route that is one command and its answer. Whoever asks must be logged in, and their body is read after that is known.
    pub fn command(
        method: Method,
        path: impl Into<Cow<'static, str>>,
        command: ToCommand,
        answer: ToAnswer,
    ) -> Self {
        let handler = move |app, dialect, parameters, query, headers, request| {
            carry_out(app, dialect, parameters, query, headers, request, command, answer)
        };
        Self::new(method, path, handler)
    }

    /// `GET`, which answers `HEAD` too.
    pub fn get<H: Handler<T, Arc<App>> + Sync, T: 'static>(
        path: impl Into<Cow<'static, str>>,
        handler: H,
    ) -> Self {
        Self::new(Method::GET, path, handler)
    }

    /// `POST`.
    pub fn post<H: Handler<T, Arc<App>> + Sync, T: 'static>(
        path: impl Into<Cow<'static, str>>,
        handler: H,
    ) -> Self {
        Self::new(Method::POST, path, handler)
    }

    /// `PUT`.
    pub fn put<H: Handler<T, Arc<App>> + Sync, T: 'static>(
        path: impl Into<Cow<'static, str>>,
        handler: H,
    ) -> Self {
        Self::new(Method::PUT, path, handler)
    }

    /// `PATCH`.
    pub fn patch<H: Handler<T, Arc<App>> + Sync, T: 'static>(
        path: impl Into<Cow<'static, str>>,
        handler: H,
    ) -> Self {
        Self::new(Method::PATCH, path, handler)
    }

    /// `DELETE`.
    pub fn delete<H: Handler<T, Arc<App>> + Sync, T: 'static>(
        path: impl Into<Cow<'static, str>>,
        handler: H,
    ) -> Self {
        Self::new(Method::DELETE, path, handler)
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

    pub(crate) fn service(&self, app: &Arc<App>) -> Service {
        (self.make)(app.clone())
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

#[expect(clippy::too_many_arguments, reason = "they are the extractors of a handler")]
async fn carry_out(
    State(app): State<Arc<App>>,
    dialect: Registered,
    parameters: RawPathParams,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request: Request,
    command: ToCommand,
    answer: ToAnswer,
) -> Result<Response, HttpError> {
    let caller = caller(&app, &headers).await?;
    let has_body = !matches!(*request.method(), Method::GET | Method::HEAD | Method::DELETE);
    let body = if has_body { Some(Body::read_small(request).await?) } else { None };
    let parameters: Vec<_> = parameters.iter().map(|(_, value)| value.to_owned()).collect();
    let asked = RouteRequest {
        user: caller.user.id,
        parameters: &parameters,
        query: query.as_deref(),
        body: body.as_ref(),
    };
    let command = command(&asked)?;
    dialect.check(caller.user.id, command.as_command(), app.chat.now())?;
    let reply = app.dispatch(caller.user.id, command).await?;
    answer(caller.user.id, &Base::of(&headers, &app.config).reply(reply))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &'static str) -> Route {
        Route::get(path, async || ())
    }

    #[test]
    fn paths_are_compared_by_their_form() {
        let one = route("/api/messages/:id/read");
        assert_eq!(
            (one.shown().as_str(), one.pattern().as_str()),
            ("GET /api/messages/:id/read", "/api/messages/{p1}/read")
        );
        assert!(one.is_same(&route("/api/messages/:messageId/read")));
        assert!(!one.is_same(&route("/api/messages/:id/seen")));
        assert!(!one.is_same(&Route::put("/api/messages/:id/read", async || ())));
        assert_eq!(route("/a/:b/c/:d").pattern(), "/a/{p1}/c/{p2}");
    }

    #[test]
    fn what_cannot_be_a_route_is_said_and_does_not_panic() {
        for path in
            ["", "api", "/", "/api/", "//", "/{id}", "/a/*rest", "/:", "/a b", "/a/{*rest}", "/ü", "/a?b"]
        {
            assert!(route(path).check().is_err(), "{path:?}");
        }
        for path in ["/api/x", "/api/:id", "/api/v1.2/@me/:a/:b"] {
            assert_eq!(route(path).check(), Ok(()), "{path}");
        }
        assert!(Route::new(Method::OPTIONS, "/a", async || ()).check().is_err());
        assert!(Route::new(Method::from_bytes(b"HUSH").unwrap(), "/a", async || ()).check().is_err());
    }
}
