//! Handles batches (several commands in one packet) and client events that are relayed.

use std::sync::Arc;

use chat_core::command::Command;

use super::Session;
use super::answering::Ack;
use crate::app::App;
use crate::dialect::answer::acknowledgement;
use crate::dialect::native::batch;
use crate::dialect::{Answer, DecodeError, Failure, Frame, Relay, Request};
use crate::relay;

impl Session {
    /// Carries out several commands and answers them together.
    pub(super) async fn answer_batch(
        self: &Arc<Self>,
        app: &Arc<App>,
        commands: Vec<Result<(Command, Request), DecodeError>>,
        ack: Option<Ack>,
    ) {
        let _answering = self.room_to_answer(&app.sessions).await;
        let dialect = &self.dialect;
        let results = batch::carry_out(app, (dialect, dialect), self.user, &self.base, commands).await;
        match ack {
            Some(ack) => self.acknowledge(ack, &acknowledgement(&results)),
            None => self.deliver(&Frame::new(batch::EVENT, &results)),
        }
    }

    /// Relays a client event to other users, and answers whether this succeeded.
    pub(super) async fn pass_on(self: &Arc<Self>, app: &Arc<App>, relay: Relay, ack: Option<Ack>) {
        match relay::pass_on(app, &self.dialect, self.user, relay).await {
            Ok(()) => {
                if let Some(ack) = ack {
                    self.acknowledge(ack, &Answer::done().into_ack());
                }
            }
            Err(error) => self.refuse(ack, &Failure::from(&app.not_passed_on(self.user, error))),
        }
    }
}
