//! The one entrance for commands: what sockets and HTTP ask for is carried out here, by the same limits, and announced.
//!
//! [`acquire`](crate::limits::Limits::acquire) asks the limits, [`Chat::start`](chat_core::chat::Chat::start) carries out, and
//! [`App::finish`] announces what that has led to.

pub(crate) mod images;

use std::sync::Arc;

use chat_core::chat::{Started, Storing};
use chat_core::command::{Actor, Answer, Class, CommandRef, Outcome, Reply, Request};
use chat_core::error::{Error, ErrorKind};
use chat_core::id::UserId;
use chat_core::store::StoreError;

use crate::app::App;
use crate::limits::acquire::{Permit, Refused};
use crate::limits::{Person, RateLimit, cost};
use crate::outages::Part;
use crate::security_log::{SecurityEvent, Source};

/// A command on its way.
pub(crate) enum Dispatched<'a, T = Reply> {
    /// It is over.
    Done(Result<T, Error>),
    /// It is carried out, and nobody was told of it yet; then it is to be [finished](App::finish).
    CarriedOut(Outcome<T>),
    /// It is about to be stored; then it is to be [finished](App::finish).
    Storing(Storing<'a, T>),
}

impl App {
    /// Carries out a command of a person who has been authenticated, and tells everybody whom it concerns. Socket
    /// events and HTTP requests all end here, and failures are logged here and nowhere else.
    ///
    /// # Errors
    /// When it was refused or could not be stored. A search is [`Error::RateLimited`] while this person has another one
    /// made.
    pub async fn dispatch<R: Request>(self: &Arc<Self>, user: UserId, request: R) -> Result<R::Reply, Error> {
        if matches!(request.as_command(), CommandRef::Search(_)) {
            let searched = self.search_unless_busy(user, request).await;
            return searched.unwrap_or_else(|| Err(self.refused(user, Error::RateLimited, Class::Reads)));
        }
        let app = self.clone();
        let work = async move {
            let person = app.limits.budgets.of(user, app.chat.now());
            match app.start(user, &person, request).await {
                Dispatched::Done(reply) => reply,
                Dispatched::CarriedOut(outcome) => app.finish(user, Ok(outcome), |_| ()),
                Dispatched::Storing(storing) => app.finish(user, storing.await, |_| ()),
            }
        };
        run_to_completion(work).await.unwrap_or_else(not_carried_out)
    }

    /// A search; none while another one is made for this person, or waits.
    pub(crate) async fn search_unless_busy<R: Request>(
        self: &Arc<Self>,
        user: UserId,
        request: R,
    ) -> Option<Result<R::Reply, Error>> {
        let turn = self.limits.try_search(user)?;
        let person = self.limits.budgets.of(user, self.chat.now());
        let permit = self.limits.acquire_search(turn, user, &person, request.as_command()).await;
        Some(self.search(user, person, permit, request).await)
    }

    /// A search, once no other is made for this person.
    pub(crate) async fn search_in_turn<R: Request>(
        self: &Arc<Self>,
        user: UserId,
        request: R,
    ) -> Result<R::Reply, Error> {
        let person = self.limits.budgets.of(user, self.chat.now());
        let permit = self.limits.acquire(user, &person, request.as_command()).await;
        self.search(user, person, permit, request).await
    }

    /// A request that hangs up waits no more; a search that was begun is made to its end.
    async fn search<R: Request>(
        self: &Arc<Self>,
        user: UserId,
        person: Arc<Person>,
        permit: Result<Permit, Refused>,
        request: R,
    ) -> Result<R::Reply, Error> {
        let permit = permit.map_err(|refused| self.not_permitted(user, refused, Class::Reads))?;
        let app = self.clone();
        let searching = async move {
            match app.begin(user, &person, permit, request).await {
                Dispatched::Done(reply) => reply,
                Dispatched::CarriedOut(outcome) => app.finish(user, Ok(outcome), |_| ()),
                Dispatched::Storing(storing) => app.finish(user, storing.await, |_| ()),
            }
        };
        run_to_completion(searching).await.unwrap_or_else(not_carried_out)
    }

    /// Carries out a command as far as [`Chat::start`](chat_core::chat::Chat::start) goes, for connections that have several
    /// messages under way at once.
    pub(crate) async fn start<R: Request>(
        &self,
        user: UserId,
        person: &Person,
        request: R,
    ) -> Dispatched<'_, R::Reply> {
        match self.limits.acquire(user, person, request.as_command()).await {
            Ok(permit) => self.begin(user, person, permit, request).await,
            Err(refused) => Dispatched::Done(Err(self.not_permitted(user, refused, request.class()))),
        }
    }

    async fn begin<R: Request>(
        &self,
        user: UserId,
        person: &Person,
        permit: Permit,
        request: R,
    ) -> Dispatched<'_, R::Reply> {
        let class = request.class();
        let started = self.chat.start(&Actor { user }, request).await;
        drop(permit);
        match started {
            Ok(Started::Storing(storing)) => Dispatched::Storing(storing),
            Ok(Started::Done(outcome)) => {
                let now = self.chat.now();
                match class {
                    Class::Reads => person.has_read(cost::bytes_read(outcome.reply.as_reply()), now),
                    Class::Writes | Class::Ephemeral => {
                        person.has_told(cost::of_telling(&outcome.deliveries), now);
                    }
                }
                Dispatched::CarriedOut(outcome)
            }
            Err(error) => Dispatched::Done(Err(self.refused(user, error, class))),
        }
    }

    /// Announces what a command has led to, once `before` has been done, if the command was carried out.
    pub(crate) fn finish<T>(
        &self,
        user: UserId,
        outcome: Result<Outcome<T>, Error>,
        before: impl FnOnce(&T),
    ) -> Result<T, Error> {
        match outcome {
            Ok(outcome) => {
                before(&outcome.reply);
                if !outcome.deliveries.is_empty() {
                    self.outages.worked(Part::Store);
                }
                self.announce(outcome.deliveries);
                Ok(outcome.reply)
            }
            Err(error) => Err(self.refused(user, error, Class::Writes)),
        }
    }

    /// How the limit of messages of a person stands, by the numbers of this node.
    pub fn send_rate(&self, user: UserId) -> Option<RateLimit> {
        self.limits.message_rate(user)
    }

    /// How the limit of searches of a person stands, by the numbers of this node.
    pub fn search_rate(&self, user: UserId) -> Option<RateLimit> {
        self.limits.search_rate(user)
    }

    /// Logs by which limit a command was refused. Nothing was changed, and the store is well: nothing to look for, and no
    /// fault.
    fn not_permitted(&self, user: UserId, refused: Refused, class: Class) -> Error {
        let error = match refused {
            Refused::TooMany => return self.refused(user, Error::RateLimited, class),
            Refused::OverBudget(error) => error,
        };
        let code = error.kind().code();
        tracing::debug!(user.id = %user, code, "a command was refused before it was looked at");
        if error.kind() == ErrorKind::RateLimited {
            self.note(SecurityEvent::LimitMet("budget"), Some(user));
        }
        error
    }

    /// The same as [`Self::refused`] of an event that was not passed on: nothing was to be stored.
    pub(crate) fn not_passed_on(&self, user: UserId, error: Error) -> Error {
        self.refused(user, error, Class::Ephemeral)
    }

    /// Logs why a command was not carried out. Where it may have changed something all the same, others must be told of
    /// it, so it is looked for.
    fn refused(&self, user: UserId, error: Error, class: Class) -> Error {
        match error.kind() {
            ErrorKind::Internal | ErrorKind::Unavailable => {
                match error.kind() {
                    ErrorKind::Unavailable => self.outages.failed(Part::Store, &error),
                    _ => {
                        chat_core::log_throttled!(
                            error, user.id = %user, %error, "a command could not be carried out"
                        );
                    }
                }
                if class == Class::Writes {
                    self.announcer.recheck_log();
                }
            }
            kind => {
                if kind == ErrorKind::RateLimited {
                    self.note(SecurityEvent::LimitMet("commands"), Some(user));
                }
                tracing::debug!(user.id = %user, code = kind.code(), "a command was refused");
            }
        }
        error
    }
}

/// Carries something out to its end, even when whoever asked for it has gone: what is stored must be announced, and a
/// request whose client hangs up is dropped wherever it stands. None when it panicked.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    tokio::spawn(Source::current().scope(work)).await.ok()
}

fn not_carried_out<T>() -> Result<T, Error> {
    Err(Error::Store(StoreError::Unavailable("the command was not carried out".into())))
}

#[cfg(test)]
pub(crate) mod tests;
