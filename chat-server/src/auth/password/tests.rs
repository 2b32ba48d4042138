//! Tests for [`password`](super).

use super::*;
use crate::auth::password_rules::PasswordRules;

const HERE: Address = Address(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

async fn hashed(passwords: &Passwords, password: &str) -> PasswordHash {
    let rules = PasswordRules { min: None, check_common: false };
    let turn = passwords.turn(HERE).await.unwrap();
    passwords.hash(turn, rules.check(password.into(), 1).unwrap()).await.unwrap()
}

async fn verified(passwords: &Passwords, password: &str, hash: Option<&PasswordHash>) -> Verified {
    let turn = passwords.turn(HERE).await.unwrap();
    passwords.verify(turn, password.into(), hash.cloned()).await.unwrap()
}

#[tokio::test]
async fn passwords_are_verified() {
    let passwords = Passwords::new(4, 2);
    let hash = hashed(&passwords, "correct horse").await;
    assert!(verified(&passwords, "correct horse", Some(&hash)).await.is_good);
    assert!(!verified(&passwords, "Correct horse", Some(&hash)).await.is_good);
    assert!(!verified(&passwords, "nobody", None).await.is_good);
}

#[tokio::test]
async fn hashes_of_bcryptjs_are_good() {
    let hash = bcrypt::hash("secret123", 4).unwrap().replacen("$2b$", "$2a$", 1);
    let passwords = Passwords::new(4, 1);
    assert!(verified(&passwords, "secret123", Some(&PasswordHash::new(hash))).await.is_good);
}

#[tokio::test]
async fn long_passwords_and_broken_hashes_let_nobody_in_by_accident() {
    let passwords = Passwords::new(4, 1);
    let long = "x".repeat(500);
    let hash = hashed(&passwords, &long).await;
    assert!(verified(&passwords, &long, Some(&hash)).await.is_good);
    let cut = &hash.expose()[..40];
    for broken in ["", "plain", "$2b$04$short", "$2b$99$", "$2b$04$", cut] {
        let broken = Some(PasswordHash::new(broken));
        assert!(!verified(&passwords, "plain", broken.as_ref()).await.is_good);
        assert!(!verified(&passwords, "", broken.as_ref()).await.is_good);
    }
}

#[tokio::test]
async fn nothing_and_what_holds_a_nul_is_nobodys_password() {
    let passwords = Passwords::new(4, 1);
    // As bcryptjs would have hashed them: only the part before the NUL.
    for (kept, given) in [("secret", "secret\0"), ("secret", "secret\0anything"), ("-", "\0"), ("-", "")] {
        let hash = PasswordHash::new(bcrypt::hash(kept, 4).unwrap());
        assert!(!verified(&passwords, given, Some(&hash)).await.is_good, "{given:?}");
    }
}

#[tokio::test]
async fn a_cheap_hash_is_renewed_by_a_good_password_alone() {
    let passwords = Passwords::new(6, 1);
    for (cost, renewed) in [(4, true), (5, true), (6, false), (7, false)] {
        let hash = PasswordHash::new(bcrypt::hash("secret", cost).unwrap());
        assert!(verified(&passwords, "wrong", Some(&hash)).await.renewed.is_none());
        let new = verified(&passwords, "secret", Some(&hash)).await.renewed;
        assert_eq!(new.is_some(), renewed, "cost {cost}");
        if let Some(new) = new {
            assert_eq!(cost_of(new.expose()), Some(6));
            assert!(verified(&passwords, "secret", Some(&new)).await.is_good);
        }
    }
}

#[test]
fn what_is_spent_is_the_same_for_everybody() {
    // In rounds. A hash takes two to the power of its cost.
    let cost = |spent: Option<u32>, to: u32| {
        let first: u64 = spent.map_or(0, |spent| 1 << spent);
        first + missing(spent, to).map(|step| 1_u64 << step).sum::<u64>()
    };
    for spent in [None, Some(4), Some(10), Some(11), Some(12)] {
        assert_eq!(cost(spent, 12), 1 << 12, "{spent:?}");
    }
    // A more expensive hash in use also makes failed lookups more expensive, up to a limit.
    let usual = AtomicU32::new(4);
    let dear = PasswordHash::new(bcrypt::hash("secret", 6).unwrap());
    verify("wrong", Some(&dear), 4, &usual);
    assert_eq!(usual.load(Ordering::Relaxed), 6);
    let broken = PasswordHash::new("$2b$31$broken");
    verify("wrong", Some(&broken), 4, &usual);
    assert_eq!(usual.load(Ordering::Relaxed), 6, "a broken one does not");
}

#[tokio::test]
async fn a_core_is_left_free_and_networks_take_turns() {
    for (cores, turns) in [(0, 1), (1, 1), (2, 1), (4, 3)] {
        let passwords = Passwords::new(4, cores);
        let mut held = Vec::new();
        for n in 0..turns {
            held.push(passwords.turn(Address([10, 0, 0, n].into())).await.unwrap());
        }
        let mut waiting = Box::pin(passwords.turn(HERE));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending(), "{cores} cores");
        held.pop();
        assert!(waiting.await.is_ok());
    }
    let v6 = |text: &str| network(text.parse().unwrap());
    assert_eq!(v6("2001:db8:1:2::"), v6("2001:db8:1:ffff::"));
    assert_ne!(v6("2001:db8:1::"), v6("2001:db8:2::"));
    assert_ne!(v6("10.0.0.1"), v6("10.0.0.2"));
}

#[tokio::test]
async fn so_many_of_one_address_wait() {
    let passwords = Passwords::new(4, 1);
    let _held = passwords.turn(HERE).await.unwrap();
    let mut waiting: Vec<_> = (0..MAX_WAITING_OF_ADDRESS).map(|_| Box::pin(passwords.turn(HERE))).collect();
    for turn in &mut waiting {
        assert!(futures_util::poll!(turn.as_mut()).is_pending());
    }
    assert_eq!(passwords.turn(HERE).await.err(), Some(Busy::TooManyOfOne));
    let mut other = Box::pin(passwords.turn(Address([10, 0, 0, 1].into())));
    assert!(futures_util::poll!(other.as_mut()).is_pending(), "others have their place");
}
