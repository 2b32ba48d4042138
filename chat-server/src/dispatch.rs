//! The single entry point for commands: commands from sockets and HTTP are carried out here, under the same limits, and
//! announced.
//!
//! [`acquire`](crate::limits::Limits::acquire) checks the limits, [`Chat::start`](chat_core::chat::Chat::start) carries
//! out the command, and [`App::finish`] announces the result.

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

/// The state of a command.
pub(crate) enum Dispatched<'a, T = Reply> {
    /// It is finished.
    Done(Result<T, Error>),
    /// It is carried out but not announced yet. The caller must [finish](App::finish) it.
    CarriedOut(Outcome<T>),
    /// It is about to be stored. The caller must then [finish](App::finish) it.
    Storing(Storing<'a, T>),
}

impl App {
    /// Carries out a command of an authenticated user, and delivers its changes. Socket events and HTTP requests all
    /// end here, and failures are logged only here.
    ///
    /// # Errors
    /// When the command was refused or could not be stored. A search is [`Error::RateLimited`] while another search of
    /// this user is running.
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

    /// Runs a search. Returns `None` while another search of this user runs or waits.
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

    /// Runs a search after the other searches of this user.
    pub(crate) async fn search_in_turn<R: Request>(
        self: &Arc<Self>,
        user: UserId,
        request: R,
    ) -> Result<R::Reply, Error> {
        let person = self.limits.budgets.of(user, self.chat.now());
        let permit = self.limits.acquire(user, &person, request.as_command()).await;
        self.search(user, person, permit, request).await
    }

    /// If the client disconnects, a waiting search is dropped. A search that has begun runs to completion.
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

    /// Carries out a command as far as [`Chat::start`](chat_core::chat::Chat::start) does, for connections that have
    /// several messages in progress.
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

    /// Announces the result of a command. If the command was carried out, `before` is called first.
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

    /// The message limit of a user, according to this node.
    pub fn send_rate(&self, user: UserId) -> Option<RateLimit> {
        self.limits.message_rate(user)
    }

    /// The search limit of a user, according to this node.
    pub fn search_rate(&self, user: UserId) -> Option<RateLimit> {
        self.limits.search_rate(user)
    }

    /// Logs which limit refused a command. Nothing was changed and the store works, so there is neither a change to
    /// announce nor a failure.
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

    /// The same as [`Self::refused`] for a client event that was not relayed. Such an event is never stored.
    pub(crate) fn not_passed_on(&self, user: UserId, error: Error) -> Error {
        self.refused(user, error, Class::Ephemeral)
    }

    /// Logs why a command was not carried out. If it may have changed something nevertheless, the announcer looks for
    /// the change in the log, because it must be announced.
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

/// Runs `work` to completion, even if its client disconnects. What is stored must be announced, but the future of a
/// request is dropped at any point when its client disconnects. Returns `None` when `work` panicked.
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
