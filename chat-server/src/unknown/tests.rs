//! What holds for [`unknown`](super).

use super::*;

fn served() -> RouteNames {
    RouteNames::of(&Dialects::built_in())
}

fn shown(path: &str) -> String {
    let served = served();
    route_name(&Method::GET, path, || served.iter())
}

#[test]
fn words_are_in_order() {
    assert!(WORDS.is_sorted());
}

#[test]
fn of_a_path_only_words_are_shown() {
    for (path, expected) in [
        ("/api/messages/65a1b2c3d4e5f60718293a4b", "GET /api/messages/:id"),
        ("/api/messages/react/65a1b2c3d4e5f60718293a4b", "GET /api/messages/react/:id"),
        ("/api/users/ann", "GET /api/users/:id"),
        ("/api/users/ann@example.com/friends", "GET /api/users/:id/friends"),
        ("/api/auth/reset-password/eyJhbGciOi.J9.x", "GET /api/auth/reset-password/:id"),
        ("/api/messages/search/hello%20world", "GET /api/messages/search/:id"),
        ("/api/messages/markAsRead/7", "GET /api/messages/markAsRead/:id"),
        ("/api/auth/checkauth", "GET /api/auth/checkauth"),
        ("/api/auth/checkann", "GET /api/auth/:id"),
        ("/api//v2/Groups/", "GET /api/v2/Groups"),
        ("/api/\u{1b}[31m/ü", "GET /api/:id/:id"),
        ("/api", "GET /api"),
    ] {
        assert_eq!(shown(path), expected, "{path}");
    }
    let long = format!("/api{}", "/messages".repeat(1_000));
    assert!(shown(&long).chars().count() <= MAX_SHOWN + 2);
    assert!(shown(&format!("/api/{}", "ü".repeat(1_000))).starts_with("GET /api/:id"));
    let odd = Method::from_bytes(b"HUSH").unwrap();
    let served = served();
    assert_eq!(route_name(&odd, "/api/users", || served.iter()), "OTHER /api/users");
}

#[test]
fn of_an_event_no_id_is_shown() {
    for (event, expected) in [
        ("sendMessage", "sendMessage"),
        ("send message", "send message"),
        ("chat:65a1b2c3d4e5f60718293a4b", "chat::id"),
        ("room-12345", "room-:id"),
        ("typing_deadbeef", "typing_:id"),
        ("a\nb\u{1b}[31mü", "a?b??31m?"),
        ("group:join2", "group:join2"),
    ] {
        assert_eq!(event_name(event), expected, "{event:?}");
    }
    assert_eq!(event_name(&"ab ".repeat(10_000)).chars().count(), MAX_SHOWN);
    assert_eq!(event_name(&"x".repeat(10_000)), ":id");
}

#[test]
fn the_nearest_is_found_and_nothing_that_is_far() {
    for (path, known) in [
        ("/api/message/65a1b2c3d4e5f60718293a4b", Some("GET /api/messages/:id")),
        ("/api/messages/user", Some("GET /api/messages/users")),
        ("/api/auth/checkAuth", Some("GET /api/auth/check")),
        ("/api/no-such-route", None),
        ("/api/payments/invoices/2024", None),
        ("/api/payments", None),
        ("/api", None),
    ] {
        assert_eq!(nearest_route(&shown(path), served().iter()), known, "{path}");
    }
    let dialects = Dialects::built_in();
    let events = |asked: &str| {
        let known = dialects.known().iter().flat_map(|dialect| dialect.events().iter().copied());
        nearest(asked, known).map(str::to_owned)
    };
    assert_eq!(events("private-message").as_deref(), Some("privateMessage"));
    assert_eq!(events("stop_typing").as_deref(), Some("stopTyping"));
    assert_eq!(events("getMessagesHistory").as_deref(), Some("getMessageHistory"));
    assert_eq!(events("webrtc-offer"), None);
}

#[test]
fn each_is_logged_once_and_not_more_than_so_many() {
    let names = Mutex::default();
    assert!(first_time(&names, "a"));
    assert!(!first_time(&names, "a"));
    let logged = (0..10_000).filter(|n| first_time(&names, &format!("name {n}"))).count();
    assert_eq!(logged, MAX_NAMES - 1);
    assert_eq!(names.lock().len(), MAX_NAMES + 1);
}

#[test]
fn every_event_that_is_named_is_understood() {
    use crate::dialect::{Call, DecodeError};
    for dialect in Dialects::built_in().known() {
        for event in dialect.events().iter().chain(dialect.native().events()) {
            let packet = serde_json::to_string(&[event]).unwrap();
            let decoded = dialect.decode(&Call::parse(&packet).unwrap());
            assert_ne!(decoded.err(), Some(DecodeError::UnknownEvent), "{}: {event}", dialect.name());
        }
    }
}
