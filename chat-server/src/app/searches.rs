//! Searches: one at a time for a person, and some for all; see [`crate::searching`].

use std::sync::Arc;

use chat_core::command::{Class, Request};
use chat_core::error::Error;
use chat_core::id::UserId;

use super::{App, SEARCHES_WITHIN, not_carried_out, run_to_completion};
use crate::cluster::Attempt;
use crate::searching::PersonsSearchPermit;

impl App {
    /// A search; none while another one is made for this person, or waits.
    pub(crate) async fn search_unless_busy<R: Request>(
        self: &Arc<Self>,
        user: UserId,
        request: R,
    ) -> Option<Result<R::Reply, Error>> {
        let turn = self.searching.try_of(user)?;
        Some(self.search(turn, user, request).await)
    }

    /// A search, once no other is made for this person.
    pub(crate) async fn search_in_turn<R: Request>(
        self: &Arc<Self>,
        user: UserId,
        request: R,
    ) -> Result<R::Reply, Error> {
        let turn = self.searching.of(user).await;
        self.search(turn, user, request).await
    }

    async fn search<R: Request>(
        self: &Arc<Self>,
        turn: PersonsSearchPermit,
        user: UserId,
        request: R,
    ) -> Result<R::Reply, Error> {
        let now = self.chat.now();
        if self.searches.check(&user, now).is_err() {
            return Err(self.refused(user, Error::RateLimited, Class::Reads));
        }
        self.searches.count(user, now);
        let limit = (self.config.search_limit, SEARCHES_WITHIN);
        if self.count_everywhere("searches", &user.to_string(), Attempt::new(), limit).await.is_err() {
            self.searches.uncount(&user, now);
            return Err(self.refused(user, Error::RateLimited, Class::Reads));
        }
        // A request that hangs up waits no more; a search that was begun is made to its end.
        let turn = self.searching.among_all(turn).await;
        let app = self.clone();
        let searching = async move {
            let reply = app.carry_out(user, request).await;
            drop(turn);
            reply
        };
        run_to_completion(searching).await.unwrap_or_else(not_carried_out)
    }
}
