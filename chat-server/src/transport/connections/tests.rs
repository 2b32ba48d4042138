//! Tests for [`connections`](super).

use super::*;

fn peer(nr: u8) -> IpAddr {
    [10, 0, 0, nr].into()
}

#[test]
fn idle_connections_make_room_for_others() {
    let connections = Connections::new(100, Some(10), false);
    let idle: Vec<_> = (0..10).map(|_| connections.accept(peer(1)).unwrap()).collect();
    let next = connections.accept(peer(1)).unwrap();
    assert!(idle[0].leave().is_asked() && !idle[1].leave().is_asked());
    assert_eq!(connections.open(), 11, "until it has left");
    drop((idle, next));
    assert_eq!(connections.open(), 0);
}

#[test]
fn strangers_of_one_address_come_at_a_rate_and_who_is_known_as_fast_as_they_like() {
    let connections = Connections::new(100, None, false);
    let burst = ARRIVALS.burst as usize;
    for nr in 0..2 * burst {
        connections.accept(peer(1)).unwrap().set_known(user(nr));
    }
    let came = (0..2 * burst).filter(|_| connections.accept(peer(1)).is_ok()).count();
    // The rate refills a little while this runs.
    assert!((burst..burst + burst / 2).contains(&came), "{came}");
    assert!(connections.accept(peer(2)).is_ok());
    let proxied = Connections::new(100, None, true);
    assert!((0..2 * burst).all(|_| proxied.accept(peer(1)).is_ok()), "it is many people");
}

fn user(nr: usize) -> UserId {
    let mut id = [0; 12];
    id[..8].copy_from_slice(&nr.to_be_bytes());
    UserId::from_bytes(id)
}

fn is_known(connection: &Connection) -> bool {
    matches!(*connection.state.lock(), State::Known(_))
}

#[test]
fn those_who_are_known_do_not_count_among_the_others() {
    let connections = Connections::new(100, Some(2), false);
    let known: Vec<_> = (0..90)
        .map(|nr| {
            let connection = connections.accept(peer(1)).unwrap();
            connection.set_known(user(nr));
            connection
        })
        .collect();
    assert!(known.iter().all(|connection| !connection.leave().is_asked()));
    drop(known);
    assert!(connections.known.lock().is_empty(), "nobody is remembered");
}

#[test]
fn nobody_has_all_of_them() {
    let connections = Connections::new(1_000, None, true);
    let theirs: Vec<_> = (0..=MAX_OF_PERSON)
        .map(|_| {
            let connection = connections.accept(peer(1)).unwrap();
            connection.set_known(user(1));
            connection
        })
        .collect();
    let (last, counted) = theirs.split_last().unwrap();
    assert!(counted.iter().all(|connection| is_known(connection)) && !is_known(last));
    assert!(connections.unauthenticated.evict_one());
    assert!(last.leave().is_asked());
}

#[test]
fn when_all_are_used_a_health_check_still_gets_through() {
    let connections = Connections::new(50, None, true);
    let known: Vec<_> = (0..50)
        .map(|nr| {
            let connection = connections.accept(peer(1)).unwrap();
            connection.set_known(user(nr));
            connection
        })
        .collect();
    assert!(known.iter().all(|connection| !connection.is_reserve()));
    let checks: Vec<_> = (0..RESERVE).map_while(|_| connections.accept(peer(2)).ok()).collect();
    assert!(checks.len() >= RESERVE / 2 && checks.iter().all(|check| check.is_reserve()));
    assert!(checks[0].leave().is_asked(), "the next one comes in its place");
    drop(checks);
    assert!(connections.accept(peer(2)).is_ok());
}

#[tokio::test]
async fn the_connection_of_a_request_is_found() {
    let connections = Connections::new(50, None, false);
    let connection = connections.accept(peer(1)).unwrap();
    Connection::set_current_known(user(1));
    assert!(!is_known(&connection));
    connection.clone().scope(async { Connection::set_current_known(user(1)) }).await;
    assert!(is_known(&connection));
}
