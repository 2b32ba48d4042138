//! A page that begins afresh loads what it shows.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::{Page, Read, Reading, Waiting};
use crate::plan::Family;
use crate::request::ask;
use crate::store::{Said, token};

impl Page {
    /// Everybody with whom somebody can have talked, notes to oneself included.
    pub(super) fn others(&self) -> Vec<usize> {
        (0..self.world.people.len()).collect()
    }

    pub(super) fn begin_reading(&mut self, last_look: bool) {
        self.reads += 1;
        if self.reading.as_ref().is_some_and(|reading| reading.last_look) {
            // A session that begins afresh comes first; the last look is taken after it.
            self.looked = false;
        }
        self.reading =
            Some(Reading { round: self.reads, histories: BTreeMap::new(), again_at: 0, last_look });
    }

    pub(super) fn ask_for_histories(&mut self) {
        let others = self.others();
        let (now, connected, family) = (self.now(), self.connected, self.plan.family);
        let Some(reading) = &mut self.reading else { return };
        reading.again_at = now + 2_000;
        let round = reading.round;
        let missing: Vec<_> =
            others.into_iter().filter(|other| !reading.histories.contains_key(other)).collect();
        for with in missing {
            let person = &self.world.people[with];
            match family {
                Family::Camel if connected => {
                    self.next_ack += 1;
                    self.acks.insert(self.next_ack, Waiting::History { round, with });
                    let wanted = json!(["getMessageHistory", { "otherUser": person.name() }]);
                    self.emit_packet(&format!("2{}{wanted}", self.next_ack));
                }
                Family::Camel => {}
                Family::Push => {
                    let (world, tell, nr) = (self.world.clone(), self.tell.clone(), self.nr);
                    let nth = self.links.fetch_add(1, Ordering::Relaxed);
                    let path = format!("/api/messages/{}", person.user.id);
                    tokio::spawn(async move {
                        let asked = ask(&world, (nr, nth), ("GET", &path), &[], String::new(), 1_900).await;
                        if let Ok((200, body)) = asked
                            && let Ok(Value::Array(messages)) = serde_json::from_slice(&body)
                        {
                            let texts = messages.iter().filter_map(|message| message["text"].as_str());
                            let texts = texts.map(|text| token(text).to_owned()).collect();
                            let _ = tell.send(Read { round, with, texts });
                        }
                    });
                }
            }
        }
    }

    pub(super) fn read(&mut self, read: Read) {
        let others = self.others().len();
        let Some(reading) = self.reading.as_mut().filter(|reading| reading.round == read.round) else {
            return;
        };
        reading.histories.insert(read.with, read.texts);
        if reading.histories.len() < others {
            return;
        }
        let Some(Reading { histories, last_look, .. }) = self.reading.take() else { return };
        self.note("has read its histories");
        if last_look {
            let histories = histories.into_values().collect();
            self.watched.view.lock().unwrap().final_histories = Some(histories);
            return;
        }
        let log = self.world.disk.log();
        let find = |token: &String| -> Option<Said> {
            log.iter().filter_map(|entry| entry.message.as_ref()).find(|said| said.token == *token).cloned()
        };
        let mut messages = Vec::new();
        for texts in histories.values() {
            let known: Vec<_> = texts.iter().filter_map(find).collect();
            if known.len() < texts.len() {
                return self.broken("a history has messages that nobody has sent");
            }
            if !known.is_sorted_by(|a, b| a.conversation == b.conversation && a.seq < b.seq) {
                return self.broken(format!("a history is out of order: {texts:?}"));
            }
            messages.extend(known);
        }
        self.watched.view.lock().unwrap().load(messages);
    }
}
