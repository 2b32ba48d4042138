//! What is unread to everybody at the end, as the server counts it and as it follows from what was acknowledged.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chat_core::id::UserId;
use serde_json::Value;

use crate::request::ask;
use crate::store::Kind;
use crate::world::World;

/// The number of the connection: no page gets so far.
const NTH: u32 = 400_000;

/// How long an answer may take.
const TEST_TIMEOUT: u64 = 20_000;

/// What is unread in a conversation: its id, the last message, how far it is read, and how many are unread.
type Unread = (String, u64, u64, u64);

/// Asks for one page of each person and family.
///
/// # Errors
/// What is not as it must be.
pub(crate) async fn look_at_what_is_unread(world: &Arc<World>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for (nr, page) in world.plan.pages.iter().enumerate() {
        if !seen.insert((page.person, page.family as u8)) {
            continue;
        }
        let asked = ("GET", "/api/unread?limit=1000");
        let answer = ask(world, (nr, NTH), asked, &[], String::new(), TEST_TIMEOUT).await;
        let (200, body) = answer? else { return Err(format!("page {nr} is not told what is unread")) };
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let told: Vec<Unread> = answer["unread"]
            .as_array()
            .into_iter()
            .flatten()
            // Of rooms it is not known here who was in when.
            .filter(|unread| unread["userId"].is_string())
            .map(|unread| {
                let number = |field: &str| unread[field].as_u64().unwrap_or(u64::MAX);
                let room = unread["roomId"].as_str().unwrap_or_default().to_owned();
                (room, number("lastSeq"), number("readSeq"), number("unread"))
            })
            .collect();
        let expected = expected(world, world.people[page.person].user.id);
        if told != expected {
            return Err(format!("page {nr} is told that {told:?} are unread, and {expected:?} are"));
        }
    }
    Ok(())
}

fn expected(world: &World, me: UserId) -> Vec<Unread> {
    let log = world.disk.log();
    let mut conversations = BTreeMap::<String, BTreeMap<u32, (u64, UserId, bool)>>::new();
    for (position, entry) in (1..).zip(log.iter()).filter(|(_, entry)| entry.concerns(me)) {
        let Some(said) = entry.message.as_ref() else { continue };
        if said.recipient.is_none_or(|recipient| recipient == said.sender) {
            continue;
        }
        let messages = conversations.entry(said.conversation.to_string()).or_default();
        let message = messages.entry(said.seq).or_insert((position, said.sender, false));
        message.2 = entry.kind == Kind::Deleted;
    }
    let mut unread: Vec<(u64, Unread)> = Vec::new();
    for (conversation, messages) in conversations {
        let mark = world.ledger.mark(me, &conversation);
        let alive = || messages.iter().filter(|(_, (_, _, deleted))| !deleted);
        let count =
            alive().filter(|(seq, (_, sender, _))| u64::from(**seq) > mark && *sender != me).count() as u64;
        let latest = alive().map(|(_, (position, ..))| *position).max().unwrap_or_default();
        let last = messages.keys().last().copied().map_or(0, u64::from);
        if count > 0 {
            unread.push((latest, (conversation, last, mark, count)));
        }
    }
    unread.sort_by_key(|(latest, _)| std::cmp::Reverse(*latest));
    unread.into_iter().map(|(_, unread)| unread).collect()
}
