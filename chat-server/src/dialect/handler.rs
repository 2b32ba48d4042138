//! The handlers of a route: an axum handler, or a command with its answer. Only here do routes depend on the server.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{RawPathParams, RawQuery, Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use chat_core::command::{Command, Reply, Request as _};
use chat_core::id::UserId;

use super::Registered;
use super::route::{Route, Service};
use crate::app::App;
use crate::http::body::Body;
use crate::http::caller::caller;
use crate::http::error::HttpError;
use crate::links::Base;

/// A request that is decoded to a command.
#[derive(Debug, Clone, Copy)]
pub struct RouteRequest<'a> {
    /// The authenticated user.
    pub user: UserId,
    /// The variable parts of the path, in their order.
    pub parameters: &'a [String],
    /// The query string as it was sent.
    pub query: Option<&'a str>,
    /// The body; none for methods without one.
    pub body: Option<&'a Body>,
}

impl RouteRequest<'_> {
    /// Returns a parameter of the query.
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        crate::http::common::parameter(self.query, name)
    }

    /// Returns the parameter `limit` of the query.
    ///
    /// # Errors
    /// When it is not a whole number.
    pub fn limit(&self) -> Result<Option<u64>, HttpError> {
        crate::http::common::limit(self.query)
    }
}

/// Decodes a request to a command.
pub type ToCommand = fn(&RouteRequest<'_>) -> Result<Command, HttpError>;

/// Writes the answer for the user who sent the request. The links in the reply already fit this client.
pub type ToAnswer = fn(UserId, &Reply) -> Result<Response, HttpError>;

impl Route {
    /// A route with an axum handler, whose state is the [`App`]. Parts of the path that begin with `:` are
    /// parameters; handlers take them in their order.
    pub fn new<H, T>(method: Method, path: impl Into<Cow<'static, str>>, handler: H) -> Self
    where
        H: Handler<T, Arc<App>> + Sync,
        T: 'static,
    {
        let make = move |server: &(dyn Any + Send + Sync)| {
            let app = server.downcast_ref::<Arc<App>>()?;
            Some(Service::new(handler.clone().with_state(app.clone())))
        };
        Self::made_by(method, path.into(), Arc::new(make))
    }

    /// A route that is one command and its answer. The client must be authenticated; the body is read only after
    /// that.
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

    /// A `GET` route, which also answers `HEAD`.
    pub fn get<H: Handler<T, Arc<App>> + Sync, T: 'static>(
        path: impl Into<Cow<'static, str>>,
        handler: H,
    ) -> Self {
        Self::new(Method::GET, path, handler)
    }

    /// A `POST` route.
    pub fn post<H: Handler<T, Arc<App>> + Sync, T: 'static>(
        path: impl Into<Cow<'static, str>>,
        handler: H,
    ) -> Self {
        Self::new(Method::POST, path, handler)
    }

    /// A `PUT` route.
    pub fn put<H: Handler<T, Arc<App>> + Sync, T: 'static>(
        path: impl Into<Cow<'static, str>>,
        handler: H,
    ) -> Self {
        Self::new(Method::PUT, path, handler)
    }

    /// A `PATCH` route.
    pub fn patch<H: Handler<T, Arc<App>> + Sync, T: 'static>(
        path: impl Into<Cow<'static, str>>,
        handler: H,
    ) -> Self {
        Self::new(Method::PATCH, path, handler)
    }

    /// A `DELETE` route.
    pub fn delete<H: Handler<T, Arc<App>> + Sync, T: 'static>(
        path: impl Into<Cow<'static, str>>,
        handler: H,
    ) -> Self {
        Self::new(Method::DELETE, path, handler)
    }

    /// The service that answers the route's requests.
    pub(crate) fn service(&self, app: &Arc<App>) -> Service {
        self.make(app).unwrap_or_else(|| unreachable!("every route is made for this server"))
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
