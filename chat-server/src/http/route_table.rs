//! The table of all dialects' routes, from which the router is built.
//!
//! **Conflicts.** Several dialects may have a route with the same method and path. The request determines which one is
//! used:
//! 1. by the dialect of its token: from the content of the token, or from the cookie that contained it;
//! 2. by its body, where their formats differ ([`Route::for_bodies_with`]), and, for authenticated callers, by what its
//!    id refers to ([`Route::for_ids_of`]);
//! 3. by the default dialect, or else by the order in which the dialects are served.
//!
//! A route that only one dialect has needs none of this.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter};
use axum::{Router, routing};
use chat_core::error::Error;
use chat_core::id::UserId;
use chat_core::model::UserKey;
use tower::ServiceExt;

use super::common::bearer;
use super::error::HttpError;
use super::{body, cookie};
use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::dialect::route::{Names, Service};
use crate::dialect::{Registered, Route};

/// A route with its dialect.
struct Entry {
    dialect: Registered,
    route: Route,
    service: Service,
}

/// All routes with one method and path. The first one is used if nothing else decides.
struct Clash(Vec<Entry>);

/// Checks that no dialect has a route at a path of the server itself.
///
/// # Errors
/// Names the conflicting route.
pub(crate) fn check(config: &Config) -> Result<(), ConfigError> {
    let is_own = |path: &str| {
        let own = [
            config.socket_path.as_str(),
            "/healthz",
            "/readyz",
            "/media",
            "/assets",
            "/favicon.ico",
            "/index.html",
        ];
        let docs = config.docs.then_some("/docs");
        own.iter().copied().chain(docs).any(|own| super::edge::is_below(path, own))
    };
    for dialect in config.dialects.routed() {
        if let Some(route) = dialect.routes().iter().find(|route| is_own(route.path())) {
            let name = dialect.name();
            return Err(ConfigError::Unfit(format!(
                "the dialect {name} cannot be served: {route:?} is answered by the server itself"
            )));
        }
    }
    Ok(())
}

/// The router of all served dialects' routes.
pub(super) fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let mut table: BTreeMap<(String, String), Vec<Entry>> = BTreeMap::new();
    for (dialect, route) in app.config.dialects.routes() {
        let service = route.service(app);
        let key = (route.pattern(), route.method().to_string());
        table.entry(key).or_default().push(Entry { dialect: dialect.clone(), route, service });
    }
    let mut by_path: BTreeMap<String, MethodRouter<Arc<App>>> = BTreeMap::new();
    for ((path, _), mut entries) in table {
        let Some(filter) = entries[0].route.filter() else { continue };
        // The route of the default dialect comes first.
        entries.sort_by_key(|entry| entry.dialect != *app.config.dialects.default());
        let clash = Arc::new(Clash(entries));
        let methods = by_path.remove(&path).unwrap_or_default();
        by_path.insert(path, methods.merge(handler(app, filter, clash)));
    }
    by_path.into_iter().fold(Router::new(), |router, (path, methods)| router.route(&path, methods))
}

fn handler(app: &Arc<App>, filter: MethodFilter, clash: Arc<Clash>) -> MethodRouter<Arc<App>> {
    let app = app.clone();
    routing::on(filter, move |request: Request| {
        let (app, clash) = (app.clone(), clash.clone());
        async move {
            let (entry, request) = match clash.find(&app, request).await {
                Ok(found) => found,
                Err(error) => return error.into_response(),
            };
            entry.answer(request).await
        }
    })
}

impl Entry {
    async fn answer(&self, mut request: Request) -> Response {
        request.extensions_mut().insert(self.dialect.clone());
        let Ok(response) = self.service.clone().oneshot(request).await;
        HttpError::write_in(response, &self.dialect)
    }
}

impl Clash {
    /// Finds the route for a request.
    async fn find(&self, app: &Arc<App>, request: Request) -> Result<(&Entry, Request), HttpError> {
        let [first, rest @ ..] = &self.0[..] else { return Err(HttpError::not_found()) };
        if rest.is_empty() {
            return Ok((first, request));
        }
        let (asker, dialect) = told_by(app, request.headers());
        if let Some(entry) = dialect.and_then(|dialect| self.0.iter().find(|entry| entry.dialect == dialect))
        {
            return Ok((entry, request));
        }
        if let Some(asker) = asker
            && let Some(entry) = self.by_id(app, &asker, request.uri().path()).await?
        {
            return Ok((entry, request));
        }
        if self.0.iter().all(|entry| entry.route.body_fields().is_empty()) {
            return Ok((first, request));
        }
        let (parts, body) = request.into_parts();
        let (fields, body) = body::peek(&parts.headers, body).await?;
        let has_one = |entry: &&Entry| {
            entry.route.body_fields().iter().any(|field| fields.iter().any(|given| given == field))
        };
        let entry = self.0.iter().find(has_one).unwrap_or(first);
        Ok((entry, Request::from_parts(parts, body)))
    }

    /// The route whose kind of id exists for the caller.
    async fn by_id(&self, app: &App, asker: &UserKey, path: &str) -> Result<Option<&Entry>, HttpError> {
        if self.0.iter().all(|entry| entry.route.names().is_none()) {
            return Ok(None);
        }
        let Some(asker) = app.chat.find_user(asker).await? else { return Ok(None) };
        for entry in &self.0 {
            let Some(names) = entry.route.names() else { continue };
            let parts = entry.route.path().split('/').zip(path.split('/'));
            let Some((_, id)) = parts.filter(|(part, _)| part.starts_with(':')).last() else { continue };
            if exists(app, asker.id, names, id).await? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

/// Whether such an object exists for the caller. For users who are not members, a conversation and its messages do not
/// exist.
async fn exists(app: &App, asker: UserId, names: Names, id: &str) -> Result<bool, HttpError> {
    let store = app.chat.store();
    let conversation = match names {
        Names::User => {
            let Ok(id) = id.parse() else { return Ok(false) };
            return Ok(app.chat.find_user(&UserKey::Id(id)).await?.is_some());
        }
        Names::Conversation => id.parse().ok(),
        Names::Message => match id.parse() {
            Ok(id) => store.message(id).await.map_err(Error::from)?.map(|message| message.conversation),
            Err(_) => None,
        },
    };
    let Some(conversation) = conversation else { return Ok(false) };
    let conversation = store.conversation(conversation).await.map_err(Error::from)?;
    Ok(conversation.is_some_and(|conversation| conversation.member(asker).is_some()))
}

/// The user of a request's token, if the token is valid, and the dialect that it indicates.
fn told_by(app: &App, headers: &HeaderMap) -> (Option<UserKey>, Option<Registered>) {
    let dialects = &app.config.dialects;
    let cookies = cookie::tokens(headers, dialects.cookies()).map(|(name, token)| (Some(name), token));
    let mut asker = None;
    for (cookie, token) in cookies.chain(bearer(headers).map(|token| (None, token))) {
        let Some(identity) = app.auth.read(token) else { continue };
        let by_cookie =
            || dialects.served().find(|dialect| cookie.is_some() && dialect.auth().cookie == cookie);
        if let Some(dialect) = dialects.told_by(&identity).or_else(by_cookie) {
            return (Some(identity.user), Some(dialect.clone()));
        }
        asker = asker.or(Some(identity.user));
    }
    (asker, None)
}

/// Extracts the dialect of the route.
impl<S: Sync> FromRequestParts<S> for Registered {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        let dialect = parts.extensions.get::<Self>().cloned();
        dialect.ok_or_else(|| {
            chat_core::log_throttled!(error, "a handler that asks for its dialect is no dialect's");
            HttpError::internal()
        })
    }
}
