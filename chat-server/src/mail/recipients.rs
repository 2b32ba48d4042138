//! Rate limits for unsolicited mail. Any address can be entered at sign-up, so few mails are sent to each.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use chat_core::clock::Timestamp;
use parking_lot::Mutex;

/// Maximum number of such mails to one mailbox within [`RECIPIENT_WINDOW`].
pub const MAX_PER_RECIPIENT: u32 = 1;
/// See [`MAX_PER_RECIPIENT`].
pub const RECIPIENT_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum number of such mails to one domain within [`DOMAIN_WINDOW`].
pub const MAX_PER_DOMAIN: u32 = 100;
/// See [`MAX_PER_DOMAIN`].
pub const DOMAIN_WINDOW: Duration = Duration::from_secs(60 * 60);
/// Maximum number of remembered mailboxes, and of remembered domains. When all are in use, no other address gets such a
/// mail.
const MAX_REMEMBERED: usize = 50_000;

/// The mailbox behind an address. With many providers, dots and everything after a `+` do not change the mailbox. With
/// other providers, a user may miss a welcome mail.
pub fn recipient(email: &str) -> String {
    let email = email.to_lowercase();
    let (local, domain) = email.rsplit_once('@').unwrap_or((&email, ""));
    let local = local.split('+').next().unwrap_or_default().replace('.', "");
    format!("{local}@{domain}")
}

/// Counts mails. It keeps only hashes of addresses, with a key that differs in every process.
#[derive(Default)]
pub struct Recipients {
    hasher: RandomState,
    mailboxes: Mutex<Counts>,
    domains: Mutex<Counts>,
}

/// The begin of the window and the number of mails in it.
type Counts = HashMap<u64, (Timestamp, u32)>;

impl Recipients {
    /// Whether another mail may be sent to this address. If so, it is counted.
    pub fn may_send(&self, email: &str, now: Timestamp) -> bool {
        let recipient = recipient(email);
        let domain = recipient.rsplit_once('@').map_or("", |(_, domain)| domain);
        let domain = self.hasher.hash_one(domain);
        let mailbox = self.hasher.hash_one(&recipient);
        // The mailbox is checked first, so that a refused mail does not count for its domain.
        count(&mut self.mailboxes.lock(), mailbox, (MAX_PER_RECIPIENT, RECIPIENT_WINDOW), now)
            && count(&mut self.domains.lock(), domain, (MAX_PER_DOMAIN, DOMAIN_WINDOW), now)
    }
}

fn count(counts: &mut Counts, key: u64, (most, within): (u32, Duration), now: Timestamp) -> bool {
    // A begin in the future means that the clock was set back.
    let is_over = |since: Timestamp| since.after(within) <= now || since > now;
    if let Some((since, count)) = counts.get_mut(&key) {
        if is_over(*since) {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        return *count <= most;
    }
    if counts.len() >= MAX_REMEMBERED {
        counts.retain(|_, (since, _)| !is_over(*since));
    }
    if counts.len() >= MAX_REMEMBERED {
        return false;
    }
    counts.insert(key, (now, 1));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_000);

    #[test]
    fn a_mailbox_is_welcomed_once_a_day() {
        let recipients = Recipients::default();
        assert!(recipients.may_send("ann@example.com", START));
        for again in ["ann@example.com", "ANN@example.com", "ann+1@example.com", "a.n.n+x+y@Example.com"] {
            assert!(!recipients.may_send(again, START), "{again}");
        }
        assert!(recipients.may_send("bob@example.com", START));
        assert!(recipients.may_send("ann@example.org", START));
        assert!(
            !recipients.may_send("ann@example.com", START.after(RECIPIENT_WINDOW - Duration::from_millis(1)))
        );
        assert!(recipients.may_send("ann@example.com", START.after(RECIPIENT_WINDOW)));
    }

    #[test]
    fn a_domain_is_sent_so_many_an_hour() {
        let recipients = Recipients::default();
        let of = |n: u32| format!("user{n}@victim.example");
        for n in 0..MAX_PER_DOMAIN {
            assert!(recipients.may_send(&of(n), START), "{n}");
        }
        assert!(!recipients.may_send(&of(1_000), START));
        assert!(recipients.may_send("ann@example.com", START), "other domains go on");
        assert!(recipients.may_send(&of(1_001), START.after(DOMAIN_WINDOW)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut counts = Counts::new();
        let limit = (1, Duration::from_secs(60));
        for key in 0..MAX_REMEMBERED as u64 {
            assert!(count(&mut counts, key, limit, START));
        }
        assert!(!count(&mut counts, u64::MAX, limit, START), "all are in use");
        assert_eq!(counts.len(), MAX_REMEMBERED);
        assert!(count(&mut counts, u64::MAX, limit, START.after(Duration::from_secs(60))));
        assert_eq!(counts.len(), 1);
    }
}
