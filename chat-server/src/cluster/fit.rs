//! Checks that the nodes that share one store have compatible settings.
//!
//! At startup each node writes a note with its version and settings to the store, and compares itself with the notes of
//! the others. With a different `JWT_SECRET`, clients that a load balancer moves from one node to another would be
//! logged out. With the same `CHAT_NODE`, the load balancer would route clients to the wrong node. The node refuses to
//! start in both cases. Settings that only change the limits or features for users cause a warning. Secrets are
//! compared by fingerprint: an HMAC with a key derived from the secret.
//!
//! A killed node leaves its note in the store. Such a note must not prevent a start, so a note counts only when it is
//! renewed while this node waits.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chat_core::store::{NodeNote, Store};
use hmac::Mac;
use tokio::time::Instant;

use super::derived;
use crate::config::{Config, ConfigError};
use crate::secret::Secret;

/// A node that does not renew its note within this time is not running.
const SILENT_AFTER: Duration = Duration::from_secs(7);
/// How often the notes are read.
const LOOK_EVERY: Duration = Duration::from_millis(500);

const NODE: &str = "node";
const HOST: &str = "host";
const BOOT: &str = "boot";
const PROCESS: &str = "process";
const SECRET: &str = "secret";
const OLD_SECRETS: &str = "old_secrets";
/// The versions are compared, and a difference causes a warning.
const VERSION: &str = "version";

type Facts = BTreeMap<String, String>;

/// Writes the note of this node to the store, after it has checked that the node is compatible with the running nodes.
///
/// # Errors
/// When the settings are incompatible, or the store is unavailable.
pub(crate) async fn join(store: &dyn Store, config: &Config) -> Result<NodeNote, ConfigError> {
    let id = hex::encode(rand::random::<[u8; 12]>());
    let mut note = NodeNote { id, facts: facts(config), ..NodeNote::default() };
    let (begin, mut first_noted) = (Instant::now(), HashMap::new());
    let others = loop {
        let others = store.meet_nodes(&note).await?;
        // When two incompatible nodes start at the same time, only one of them must stop.
        let is_first = |other: &&NodeNote| other.is_settled || other.id < note.id;
        let against = others.iter().filter(is_first).filter(|other| !is_gone(&note.facts, &other.facts));
        let mut waits = false;
        let mut refused = None;
        for other in against {
            let Some(problem) = problem(&note.facts, &other.facts) else { continue };
            waits = true;
            let first = *first_noted.entry(other.id.clone()).or_insert(other.noted);
            if other.noted != first {
                refused = Some(problem);
            }
        }
        if let Some(problem) = refused {
            store.leave_nodes(&note.id).await?;
            return Err(ConfigError::Unfit(problem));
        }
        if !waits || begin.elapsed() >= SILENT_AFTER {
            break others;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    note.is_settled = true;
    store.meet_nodes(&note).await?;
    for other in others.iter().filter(|other| !is_gone(&note.facts, &other.facts)) {
        for difference in differences(&note.facts, &other.facts) {
            tracing::warn!(difference, "two nodes are set differently");
        }
    }
    Ok(note)
}

fn facts(config: &Config) -> Facts {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let names: Vec<_> = config.dialects.served().map(|dialect| dialect.name()).collect();
    let old: Vec<_> = config.auth.old_secrets.iter().map(fingerprint).collect();
    let days = |time: Duration| (time.as_secs() / 86_400).to_string();
    let auth = &config.auth;
    [
        (NODE, config.node.clone().unwrap_or_default()),
        (HOST, read("/proc/sys/kernel/hostname")),
        (BOOT, read("/proc/sys/kernel/random/boot_id")),
        (PROCESS, std::process::id().to_string()),
        (SECRET, fingerprint(&auth.secret)),
        (OLD_SECRETS, old.join(",")),
        (VERSION, env!("CARGO_PKG_VERSION").to_owned()),
        ("CHAT_DIALECTS", names.join(",")),
        ("CHAT_DEFAULT_DIALECT", config.dialects.default().name().to_owned()),
        ("CHAT_TOKEN_DAYS", days(auth.token_life)),
        ("CHAT_ACCESS_TOKEN_MINUTES", (auth.access_life.as_secs() / 60).to_string()),
        ("CHAT_REFRESH_TOKEN_DAYS", days(auth.refresh_life)),
        ("CHAT_LOGIN_LIMIT", auth.login_limit.to_string()),
        ("CHAT_LOGIN_ADDRESS_LIMIT", auth.login_address_limit.to_string()),
        ("CHAT_SIGNUP_LIMIT", auth.signup_limit.to_string()),
        ("CHAT_PASSWORD_MIN", auth.passwords.min.map(|min| min.to_string()).unwrap_or_default()),
        ("CHAT_PASSWORD_CHECK", auth.passwords.check_common.to_string()),
        ("CHAT_MESSAGE_LIMIT", config.message_limit.to_string()),
        ("CHAT_SEARCH_LIMIT", config.search_limit.to_string()),
        ("CHAT_READ_BUDGET", config.read_budget.to_string()),
        ("CHAT_CHANGE_BUDGET", config.change_budget.to_string()),
        ("CHAT_SEND_BUDGET", config.send_budget.to_string()),
        ("CHAT_MEDIA_QUOTA", config.media_limits.quota.to_string()),
        ("CHAT_MEDIA_RATE", config.media_limits.rate.to_string()),
        ("CHAT_RECOVERY_LIMIT", config.recovery_limit.to_string()),
        ("CHAT_LOG_DAYS", config.log_kept.map(days).unwrap_or_else(|| "0".to_owned())),
    ]
    .into_iter()
    .map(|(name, fact)| (name.to_owned(), fact))
    .collect()
}

fn fingerprint(secret: &Secret) -> String {
    let mut mac = derived(secret, b"chat-server fingerprint");
    mac.update(b"node");
    hex::encode(&mac.finalize().into_bytes()[..12])
}

fn fact<'a>(facts: &'a Facts, name: &str) -> &'a str {
    facts.get(name).map(String::as_str).unwrap_or_default()
}

/// The name of a node in messages.
fn called(facts: &Facts) -> String {
    let (node, host, process) = (fact(facts, NODE), fact(facts, HOST), fact(facts, PROCESS));
    match node {
        "" => format!("the node without a name on {host} (process {process})"),
        node => format!("node {node} on {host} (process {process})"),
    }
}

/// Whether the other node was a process on this machine that has certainly ended.
fn is_gone(mine: &Facts, theirs: &Facts) -> bool {
    let is_same = |name: &str| fact(mine, name) == fact(theirs, name) && !fact(mine, name).is_empty();
    let process = fact(theirs, PROCESS).parse().ok().and_then(rustix::process::Pid::from_raw);
    // In another container the same process number can belong to another process.
    if !(is_same(HOST) && is_same(BOOT)) || is_same(PROCESS) {
        return false;
    }
    let asked = process.map(rustix::process::test_kill_process);
    matches!(asked, Some(Err(error)) if error == rustix::io::Errno::SRCH)
}

/// Why the two nodes cannot run together, or `None` if they can.
fn problem(mine: &Facts, theirs: &Facts) -> Option<String> {
    let (me, other) = (called(mine), called(theirs));
    if !fact(mine, NODE).is_empty() && fact(mine, NODE) == fact(theirs, NODE) {
        return Some(format!(
            "CHAT_NODE: {other} has this name already, and is there; a load balancer could not tell it from {me}. Give each node \
             a name of its own"
        ));
    }
    if !knows(mine, theirs) && !knows(theirs, mine) {
        return Some(format!(
            "JWT_SECRET: that of {other} is another one than that of {me}: whoever logs in at one would be a stranger to the \
             other. Give both the same; to change it, name the old one in CHAT_OLD_JWT_SECRET"
        ));
    }
    None
}

/// Whether `one` accepts the tokens that `other` signs.
fn knows(one: &Facts, other: &Facts) -> bool {
    let signs = fact(other, SECRET);
    fact(one, SECRET) == signs || fact(one, OLD_SECRETS).split(',').any(|old| old == signs)
}

/// Settings that differ but should be the same.
fn differences(mine: &Facts, theirs: &Facts) -> Vec<String> {
    let (me, other) = (called(mine), called(theirs));
    let mut differences = Vec::new();
    if knows(mine, theirs) != knows(theirs, mine) {
        differences.push(format!(
            "JWT_SECRET: only one of {me} and {other} takes the tokens of both, until CHAT_OLD_JWT_SECRET of the other names its \
             secret, too"
        ));
    }
    let compared = |name: &&String| name.starts_with("CHAT_") || *name == VERSION;
    for name in mine.keys().filter(compared) {
        let (here, there) = (fact(mine, name), fact(theirs, name));
        // A newer version may list more settings.
        if here != there && theirs.contains_key(name) {
            let shown = |fact: &str| if fact.is_empty() { "unset".to_owned() } else { fact.to_owned() };
            differences.push(format!(
                "{name} is {} at {me}, and {} at {other}: people are treated differently by where they are connected",
                shown(here),
                shown(there)
            ));
        }
    }
    differences
}

#[cfg(test)]
mod tests;
