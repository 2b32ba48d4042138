//! Tests of [`pid`](super).

use super::*;
use crate::dialect::Dialects;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const ANN: UserId = UserId::from_bytes([7; 12]);

const EPOCH: Epoch = Epoch { id: 77, renewals: 0 };
const BEGAN: Began = Began { position: Position(42), stale: Position(50) };

fn pids(secret: &str) -> Pids {
    Pids::new(&Secret::new(secret.into()), &[], EPOCH)
}

#[test]
fn a_pid_is_of_one_epoch() {
    let camel = &*Dialects::built_in().known()[0].clone();
    let secret = Secret::new("s".into());
    let pid = pids("s").issue(ANN, camel, BEGAN, NOW);
    for epoch in [Epoch { id: 78, renewals: 0 }, Epoch { id: 78, renewals: 1 }] {
        let later = Pids::new(&secret, &[], epoch);
        assert_eq!(later.read(&pid, ANN, camel, NOW), None, "{epoch:?}");
        let own = later.issue(ANN, camel, BEGAN, NOW);
        assert_eq!(later.read(&own, ANN, camel, NOW), Some(BEGAN));
        assert_eq!(pids("s").read(&own, ANN, camel, NOW), None, "{epoch:?}");
    }
}

/// A pid that an older version has issued.
#[test]
fn a_pid_without_an_epoch_is_of_the_first() {
    let camel = &*Dialects::built_in().known()[0].clone();
    let ours = pids("s");
    let mut pid = vec![FIRST_FORM];
    pid.extend_from_slice(ANN.as_bytes());
    pid.extend_from_slice(&1_700_000_000_i64.to_be_bytes());
    pid.extend_from_slice(&42_u64.to_be_bytes());
    pid.extend_from_slice(&[5; 6]);
    let signature = sign(&ours.key, &pid, camel).finalize().into_bytes();
    pid.extend_from_slice(&signature[..SIGNATURE]);
    let pid = BASE64_URL_SAFE_NO_PAD.encode(pid);
    let began = Began { position: Position(42), stale: Position(0) };
    assert_eq!(ours.read(&pid, ANN, camel, NOW), Some(began));
    let renewed = Pids::new(&Secret::new("s".into()), &[], EPOCH.renewed());
    assert_eq!(renewed.read(&pid, ANN, camel, NOW), None);
}

#[test]
fn a_pid_outlives_the_secret_it_was_made_with() {
    let camel = &*Dialects::built_in().known()[0].clone();
    let pid = pids("old").issue(ANN, camel, BEGAN, NOW);
    let rotated = Pids::new(&Secret::new("new".into()), &[Secret::new("old".into())], EPOCH);
    assert_eq!(rotated.read(&pid, ANN, camel, NOW), Some(BEGAN));
    let pid = rotated.issue(ANN, camel, BEGAN, NOW);
    assert_eq!(pids("old").read(&pid, ANN, camel, NOW), None, "it does not sign");
    assert_eq!(pids("new").read(&pid, ANN, camel, NOW), Some(BEGAN));
}

#[test]
fn a_pid_tells_where_its_session_began() {
    let dialects = Dialects::built_in();
    let (camel, push) = (&*dialects.known()[0], &*dialects.known()[1]);
    let pids = pids("s");
    let pid = pids.issue(ANN, camel, BEGAN, NOW);
    assert_eq!(pids.read(&pid, ANN, camel, NOW), Some(BEGAN));
    assert_eq!(pids.read(&pid, ANN, camel, NOW.after(LIFE)), Some(BEGAN));
    assert_ne!(pid, pids.issue(ANN, camel, BEGAN, NOW), "no two sessions have the same");

    assert_eq!(pids.read(&pid, ANN, camel, NOW.after(LIFE + Duration::from_secs(1))), None, "too old");
    assert_eq!(pids.read(&pid, ANN, push, NOW), None, "another dialect's");
    assert_eq!(pids.read(&pid, UserId::from_bytes([8; 12]), camel, NOW), None, "another person's");
    assert_eq!(self::pids("t").read(&pid, ANN, camel, NOW), None, "another server's");
}

#[test]
fn a_forged_pid_is_none() {
    let camel = &*Dialects::built_in().known()[0].clone();
    let pids = pids("s");
    let pid = pids.issue(ANN, camel, BEGAN, NOW);
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(&pid).unwrap();
    for at in 0..bytes.len() {
        let mut forged = bytes.clone();
        forged[at] ^= 1;
        assert_eq!(pids.read(&BASE64_URL_SAFE_NO_PAD.encode(forged), ANN, camel, NOW), None, "byte {at}");
        let cut = BASE64_URL_SAFE_NO_PAD.encode(&bytes[..at]);
        assert_eq!(pids.read(&cut, ANN, camel, NOW), None, "{at} bytes");
    }
    for text in ["", "x", "ä", "AAAA", &format!("{pid}AAAA"), &"A".repeat(100_000)] {
        assert_eq!(pids.read(text, ANN, camel, NOW), None);
    }
}
