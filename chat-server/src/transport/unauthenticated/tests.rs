//! Tests for [`unauthenticated`](super).

use futures_util::FutureExt;

use super::super::wire::Wire;
use super::*;

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn limits(all: usize, address: usize, site: usize) -> Arc<Unauthenticated> {
    Unauthenticated::new(UnauthenticatedLimits { all, address, site, few: None })
}

/// Permits with their leave handles.
type Held = Vec<(Permit, Arc<Leave>)>;

fn from(unauthenticated: &Arc<Unauthenticated>, text: &str) -> Result<(Permit, Arc<Leave>), TooMany> {
    let leave = Arc::new(Leave::default());
    Ok((unauthenticated.acquire(address(text), Some(leave.clone()))?, leave))
}

/// The holders that are admitted in this number of tries.
fn flood(unauthenticated: &Arc<Unauthenticated>, text: &str, tries: usize) -> Held {
    (0..tries).filter_map(|_| from(unauthenticated, text).ok()).collect()
}

fn asked(held: &Held) -> usize {
    held.iter().filter(|(_, leave)| leave.is_asked()).count()
}

#[test]
fn the_greediest_make_room_for_who_has_few() {
    let few = UnauthenticatedLimits::shared_by(8_000, 4).lingering();
    assert_eq!(few.few, Some(16));
    let unauthenticated = Unauthenticated::new(few);
    let flooding = ["10.0.0.1", "10.0.0.2", "2001:db8:1:1::", "2001:db8:1:2::", "10.0.0.5", "10.0.0.6"];
    let flooded = flooding.map(|text| flood(&unauthenticated, text, 3_000));
    assert_eq!(flooded.each_ref().map(Vec::len), [2_000, 2_000, 2_000, 1_000, 1_000, 16]);
    assert_eq!(unauthenticated.len(), 8_000);
    // The site with the most holders loses one, although none of its networks has more than others.
    assert_eq!(flooded.each_ref().map(asked), [0, 0, 16, 0, 0, 0]);
    let newcomers: Held = (0..100)
        .map(|nr| from(&unauthenticated, &format!("10.1.0.{nr}")).expect("it gets in at once"))
        .collect();
    assert_eq!((asked(&newcomers), asked(&flooded[5])), (0, 0));
    assert_eq!(unauthenticated.len(), 8_000);
    assert_eq!(flood(&unauthenticated, "10.1.0.1", 100).len(), 15, "with the one it has already, few");
    drop((flooded, newcomers));
    let present = unauthenticated.present.lock();
    assert!(present.by_address.of.is_empty() && present.by_site.by_size.is_empty());
    assert_eq!((present.all.len(), present.leaving), (0, 0), "nobody is remembered");
}

#[test]
fn no_more_linger_than_may_be_here() {
    let unauthenticated =
        Unauthenticated::new(UnauthenticatedLimits { all: 100, address: 100, site: 100, few: Some(4) });
    let flooded = flood(&unauthenticated, "10.0.0.1", 200);
    assert_eq!((flooded.len(), asked(&flooded)), (100, 0), "the greediest push out nobody");
    let mut newcomers = Held::new();
    for nr in 0..100 {
        newcomers.extend(flood(&unauthenticated, &format!("10.1.0.{nr}"), 4));
    }
    let gone = asked(&flooded) + asked(&newcomers);
    assert_eq!((newcomers.len(), gone), (100, 100));
    drop(flooded);
    assert!(from(&unauthenticated, "10.2.0.1").is_ok(), "whoever has gone lingers no more");
}

#[test]
fn what_ends_leaves_its_place_until_half_of_all_linger() {
    let unauthenticated =
        Unauthenticated::new(UnauthenticatedLimits { all: 10, address: 10, site: 10, few: Some(4) });
    let flooded = flood(&unauthenticated, "10.0.0.1", 10);
    flooded.iter().for_each(|(permit, _)| permit.end());
    assert_eq!(unauthenticated.len(), 5);
    flooded[0].0.end();
    assert_eq!(unauthenticated.len(), 5, "once");
    let second = flood(&unauthenticated, "10.0.0.2", 10);
    assert_eq!(second.len(), 5, "the places, and it has more than few then");
    let third = flood(&unauthenticated, "10.0.0.3", 10);
    assert_eq!(third.len(), 3, "nobody has much more then");
}

#[test]
fn the_more_there_are_the_less_time_they_have() {
    let unauthenticated =
        Unauthenticated::new(UnauthenticatedLimits { all: 100, address: 100, site: 100, few: Some(4) });
    let (usual, shortest) = (Duration::from_secs(45), Duration::from_secs(5));
    let mut flooded = flood(&unauthenticated, "10.0.0.1", 50);
    let first = from(&unauthenticated, "10.0.0.2").unwrap();
    drop(flooded.pop());
    assert_eq!(flooded[0].0.time(usual, shortest), usual);
    flooded.extend(flood(&unauthenticated, "10.0.0.1", 25));
    assert_eq!(flooded[0].0.time(usual, shortest), Duration::from_secs(25));
    flooded.extend(flood(&unauthenticated, "10.0.0.1", 25));
    assert_eq!(flooded[0].0.time(usual, shortest), shortest);
    assert_eq!(first.0.time(usual, shortest), usual, "of its address there are few");
}

#[test]
fn idle_connections_of_the_greediest_give_way_first() {
    let unauthenticated = limits(30, 20, 20);
    let modest = flood(&unauthenticated, "10.0.0.1", 5);
    let flooded = flood(&unauthenticated, "10.0.0.2", 20);
    let others = flood(&unauthenticated, "10.0.0.3", 15);
    assert_eq!((asked(&modest), asked(&flooded), others.len()), (0, 7, 15));
    assert_eq!(asked(&others), 3, "it has as many in the end");
}

#[test]
fn each_address_has_its_share_and_gets_it_back() {
    let unauthenticated = limits(5, 2, 3);
    let from = |text: &str| unauthenticated.acquire(address(text), None);
    let first = from("10.0.0.1").unwrap();
    let second = from("10.0.0.1").unwrap();
    assert_eq!(from("10.0.0.1").err(), Some(TooMany));
    drop(first);
    let third = from("10.0.0.1").unwrap();
    let others: Vec<_> = (2..5).map(|nr| from(&format!("10.0.0.{nr}")).unwrap()).collect();
    assert_eq!(from("10.0.0.9").err(), Some(TooMany), "all together");
    drop((second, third, others));
    assert_eq!(unauthenticated.len(), 0);
    let present = unauthenticated.present.lock();
    assert!(present.by_address.of.is_empty() && present.by_site.of.is_empty(), "nobody is remembered");
}

#[test]
fn a_site_of_ipv6_has_a_looser_limit_than_each_of_its_networks() {
    let unauthenticated = limits(100, 2, 3);
    let from = |text: &str| unauthenticated.acquire(address(text), None);
    let held: Vec<_> =
        ["2001:db8:1:1::", "2001:db8:1:1::", "2001:db8:1:2::"].map(|text| from(text).unwrap()).into();
    assert!(from("2001:db8:1:1::").is_err());
    assert!(from("2001:db8:1:3::").is_err(), "the site");
    assert!(from("2001:db8:2:1::").is_ok(), "another site");
    drop(held);
    assert!(from("2001:db8:1:3::").is_ok());
}

#[test]
fn the_oldest_that_does_nothing_makes_room() {
    let unauthenticated = limits(10, 2, 10);
    let leaves: Vec<_> = (0..4).map(|_| Arc::new(Leave::default())).collect();
    let from = |nr: usize| unauthenticated.acquire(address("10.0.0.1"), Some(leaves[nr].clone()));
    let (first, second) = (from(0).unwrap(), from(1).unwrap());
    let busy = leaves[0].busy();
    let third = from(2).unwrap();
    assert!(!leaves[0].is_asked() && leaves[1].is_asked() && !leaves[2].is_asked());
    assert!(leaves[1].asked().now_or_never().is_some());
    // An evicted holder is not counted any more, so its drop changes nothing.
    drop(second);
    assert_eq!(unauthenticated.len(), 2);
    let also_busy = leaves[2].busy();
    assert_eq!(from(3).err(), Some(TooMany), "both do something");
    drop((busy, also_busy));
    let fourth = from(3).unwrap();
    assert!(leaves[0].is_asked());
    drop((first, third, fourth));
    assert_eq!(unauthenticated.len(), 0);
}

#[test]
fn a_websocket_is_ended_when_it_is_asked_to_leave() {
    let unauthenticated = limits(10, 1, 10);
    let leaves: Vec<_> = (0..3).map(|_| Arc::new(Leave::default())).collect();
    let from = |nr: usize| unauthenticated.acquire(address("10.0.0.1"), Some(leaves[nr].clone()));
    let wire = Arc::new(Wire::new());
    let first = from(0).unwrap();
    leaves[0].becomes(&wire);
    let second = from(1).unwrap();
    assert!(wire.is_killed());
    let third = from(2).unwrap();
    let late = Arc::new(Wire::new());
    leaves[1].becomes(&late);
    assert!(late.is_killed(), "it was asked while it was being upgraded");
    drop((first, second, third));
}

#[test]
fn without_an_address_only_the_sum_counts() {
    let unauthenticated = limits(3, 1, 1);
    let held: Vec<_> = (0..3).map(|_| unauthenticated.acquire(None, None).unwrap()).collect();
    assert!(unauthenticated.acquire(None, None).is_err());
    assert!(!unauthenticated.evict_one(), "none of them can leave");
    drop(held);
}
