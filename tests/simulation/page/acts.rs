//! Somebody uses a page: says something, deletes it, restores it, hangs up, loads the page again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use super::{Page, Queued, Waiting};
use crate::agenda::Dice;
use crate::ledger::{Outcome, Send};
use crate::plan::Family;
use crate::request::ask;
use crate::store::token;
use crate::trace::Actor;
use crate::world::{World, page_owner};

/// What somebody does with a page.
#[derive(Clone, Copy)]
enum Action {
    Say { repeatedly: bool },
    Change,
    Read,
    Type,
    Rename,
    HangUp,
    Reload,
}

impl Page {
    pub(super) fn act(&mut self) {
        let what = self.dice.weigh(&[
            (40, Action::Say { repeatedly: true }),
            (20, Action::Say { repeatedly: false }),
            (12, Action::Change),
            (8, Action::Read),
            (4, Action::Type),
            (1, Action::Rename),
            (4, Action::HangUp),
            (2, Action::Reload),
        ]);
        match what {
            Action::Say { repeatedly } => self.say(repeatedly),
            Action::Change => self.change(),
            Action::Read => self.mark_read(),
            Action::Type => self.type_something(),
            Action::Rename => self.rename(),
            Action::HangUp if self.engine.is_some() => self.lost("hung up"),
            Action::HangUp => {}
            Action::Reload => self.reload(),
        }
    }

    pub(super) fn say(&mut self, repeatedly: bool) {
        // `push` refuses notes to oneself.
        let mut others = self.others();
        others.retain(|other| self.plan.family == Family::Camel || *other != self.plan.person);
        let to = *self.dice.pick(&others);
        let person = &self.world.people[to];
        self.said += 1;
        let name = format!("m{}-{}", self.nr, self.said);
        let length = self.dice.weigh(&[(6, 0), (3, 60), (1, 5_000)]);
        let text = format!("{name} {}", "x".repeat(self.dice.number(length / 2, length) as usize));
        let number = self.world.ledger.begin(Send {
            token: name.clone(),
            page: self.nr,
            in_order_on: None,
            outcome: Outcome::Pending,
        });
        let how = if repeatedly { "until it is acknowledged" } else { "once" };
        self.note(format!("says {name} to {}, {how}", person.name()));
        match self.plan.family {
            Family::Camel => {
                // Without a client id, what is sent again is known by being the same.
                let timestamp = self.world.time().to_string();
                let mut payload = json!({ "text": text, "receiver": person.name(), "timestamp": timestamp });
                if repeatedly {
                    if self.dice.chance(500) {
                        payload["clientId"] = name.into();
                    }
                    self.queue.push_back(Queued { number, payload, deadline: None });
                } else {
                    self.next_ack += 1;
                    self.acks.insert(self.next_ack, Waiting::Once(number));
                    let packet = format!("2{}{}", self.next_ack, json!(["privateMessage", payload]));
                    match self.connected {
                        true => self.emit_once(self.next_ack, &packet),
                        false => self.buffer.push((self.next_ack, packet)),
                    }
                }
            }
            Family::Push => {
                let by_header = self.dice.chance(300);
                // A second time at the same time, as a proxy that repeats requests does it.
                let times = if repeatedly && self.dice.chance(100) { 2 } else { 1 };
                for time in 0..times {
                    let sending = Sending {
                        world: self.world.clone(),
                        page: self.nr,
                        links: self.links.clone(),
                        number,
                        path: format!("/api/messages/send/{}", person.user.id),
                        text: text.clone(),
                        name: name.clone(),
                        repeatedly,
                        by_header,
                        dice: Dice::of(self.world.plan.seed, ("sending", self.nr, self.said, time)),
                    };
                    tokio::spawn(sending.run());
                }
            }
        }
    }

    /// Deletes a message of this person's, or restores one.
    pub(super) fn change(&mut self) {
        if self.plan.family != Family::Push {
            return;
        }
        let me = self.world.people[self.plan.person].user.id;
        let delete = self.dice.chance(600);
        let known = match delete {
            true => self.watched.view.lock().unwrap().of_sender(me),
            // A page that shows an "undo" knows what it has deleted; here the log knows.
            false => {
                let log = self.world.disk.log();
                let said = log.into_iter().filter_map(|entry| entry.message);
                said.filter(|said| said.sender == me && said.recipient.is_some()).collect()
            }
        };
        if known.is_empty() {
            return;
        }
        let said = self.dice.pick(&known);
        self.note(format!("{} {}", if delete { "deletes" } else { "restores" }, said.token));
        let (method, path) = match delete {
            true => ("DELETE", format!("/api/messages/{}", said.id)),
            false => ("PUT", format!("/api/messages/{}/restore", said.id)),
        };
        self.world.ledger.change_begins();
        self.ask_until_done(method, path, String::new());
    }

    /// Notes how far this person has read: a message that the page shows, or everything.
    pub(super) fn mark_read(&mut self) {
        let shown = self.watched.view.lock().unwrap().shown();
        if shown.is_empty() {
            return;
        }
        let said = self.dice.pick(&shown);
        let me = self.world.people[self.plan.person].user.id;
        let in_room = said.recipient.is_none();
        let other = if said.sender == me { said.recipient.unwrap_or(me) } else { said.sender };
        let other = self.world.people.iter().find(|person| person.user.id == other && !in_room);
        let mut body = match (other, self.dice.number(0, 2)) {
            (Some(other), 0) => json!({ "userId": other.user.id.to_string() }),
            (Some(other), 1) => json!({ "username": other.name() }),
            _ => json!({ "roomId": said.conversation.to_string() }),
        };
        let at_least = match self.dice.number(0, 2) {
            0 => 0,
            1 => {
                body["messageId"] = said.id.to_string().into();
                u64::from(said.seq)
            }
            _ => {
                body["seq"] = said.seq.into();
                u64::from(said.seq)
            }
        };
        self.note(format!("has read up to {}: {body}", said.token));
        self.said += 1;
        let (conversation, body) = (said.conversation.to_string(), body.to_string());
        let (world, links, nr) = (self.world.clone(), self.links.clone(), self.nr);
        let mut dice = Dice::of(world.plan.seed, ("reading", nr, self.said));
        world.ledger.change_begins();
        tokio::spawn(async move {
            let broken = |rule: String| world.trace.broken(Actor::Page(nr), rule);
            let headers = [("content-type", "application/json")];
            loop {
                let nth = links.fetch_add(1, Ordering::Relaxed);
                match ask(&world, (nr, nth), ("POST", "/api/read"), &headers, body.clone(), 5_000).await {
                    Ok((200, answer)) => {
                        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
                        let seq = answer["seq"].as_u64().unwrap_or_default();
                        if answer["roomId"] != conversation.as_str() || seq < at_least {
                            return broken(format!("{body} is answered {answer}"));
                        }
                        world.ledger.marked(me, &conversation, seq);
                        return world.ledger.change_ends();
                    }
                    Ok((500.., _)) | Err(_) => {}
                    // They have left it meanwhile.
                    Ok((404, _)) if in_room => return world.ledger.change_ends(),
                    Ok((status, _)) => return broken(format!("{body} is answered {status}")),
                }
                world.agenda.sleep(dice.number(100, 900), page_owner(nr) + 3).await;
            }
        });
    }

    pub(super) fn rename(&mut self) {
        if self.plan.family == Family::Push {
            self.said += 1;
            let body = json!({ "fullName": format!("name {}", self.said) }).to_string();
            self.world.ledger.change_begins();
            self.ask_until_done("PUT", "/api/auth/update-profile".to_owned(), body);
        }
    }

    pub(super) fn ask_until_done(&mut self, method: &'static str, path: String, body: String) {
        self.said += 1;
        let (world, links, nr) = (self.world.clone(), self.links.clone(), self.nr);
        let mut dice = Dice::of(world.plan.seed, ("asking", nr, self.said));
        tokio::spawn(async move {
            loop {
                let nth = links.fetch_add(1, Ordering::Relaxed);
                let headers = [("content-type", "application/json")];
                match ask(&world, (nr, nth), (method, &path), &headers, body.clone(), 5_000).await {
                    Ok((200, _)) => return world.ledger.change_ends(),
                    Ok((500.., _)) | Err(_) => {}
                    Ok((status, _)) => {
                        return world
                            .trace
                            .broken(Actor::Page(nr), format!("{method} {path} is answered {status}"));
                    }
                }
                world.agenda.sleep(dice.number(100, 900), page_owner(nr) + 3).await;
            }
        });
    }

    pub(super) fn type_something(&mut self) {
        if self.plan.family == Family::Push && self.connected {
            let to = *self.dice.pick(&self.others());
            let to = self.world.people[to].user.id.to_string();
            self.emit_packet(&format!("2{}", json!(["typing", { "to": to }])));
        }
    }

    /// The page is opened anew in the same tab.
    pub(super) fn reload(&mut self) {
        self.note("is reloaded");
        for queued in std::mem::take(&mut self.queue) {
            self.world.ledger.settle(queued.number, Outcome::Unknown);
        }
        for (ack, _) in std::mem::take(&mut self.buffer) {
            if let Some(Waiting::Once(number)) = self.acks.get(&ack) {
                self.world.ledger.settle(*number, Outcome::Unknown);
            }
        }
        self.drop_engine();
        (self.pid, self.offset, self.reading, self.held) = (None, None, None, None);
        self.attempts = 0;
        self.reconnect_at = Some(self.now() + self.dice.number(1, 100));
    }
}

/// A message on its way by REST.
struct Sending {
    world: Arc<World>,
    page: usize,
    links: Arc<AtomicU32>,
    number: usize,
    path: String,
    text: String,
    name: String,
    repeatedly: bool,
    by_header: bool,
    dice: Dice,
}

impl Sending {
    async fn run(mut self) {
        loop {
            let nth = self.links.fetch_add(1, Ordering::Relaxed);
            let mut body = json!({ "text": self.text, "image": null });
            let mut headers = vec![("content-type", "application/json")];
            match (self.repeatedly, self.by_header) {
                (true, true) => headers.push(("idempotency-key", &self.name)),
                (true, false) => body["clientId"] = self.name.as_str().into(),
                (false, _) => {}
            }
            let asked = ("POST", self.path.as_str());
            let answer = ask(&self.world, (self.page, nth), asked, &headers, body.to_string(), 5_000).await;
            match answer {
                Ok((201, body)) => {
                    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
                    let text = message["text"].as_str().unwrap_or_default();
                    // This family trims.
                    if text != self.text.trim() {
                        self.broken(format!("the answer to {} speaks of {}", self.name, token(text)));
                    }
                    self.world.trace.note(Actor::Page(self.page), format!("{} is acknowledged", self.name));
                    let id = message["_id"].as_str().map(str::to_owned);
                    return self.world.ledger.settle(self.number, Outcome::Acknowledged(id));
                }
                Ok((500.., _)) | Err(_) if self.repeatedly => {}
                Ok((500.., _)) | Err(_) => {
                    return self.world.ledger.settle(self.number, Outcome::Unknown);
                }
                Ok((status, _)) => {
                    return self.broken(format!("{} is answered {status}", self.name));
                }
            }
            let pause = self.dice.number(100, 900);
            self.world.agenda.sleep(pause, page_owner(self.page) + 4).await;
        }
    }

    fn broken(&self, rule: String) {
        self.world.trace.broken(Actor::Page(self.page), rule);
    }
}
