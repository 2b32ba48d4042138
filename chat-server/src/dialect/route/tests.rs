//! What holds for routes.

use super::*;

fn route(path: &'static str) -> Route {
    Route::get(path, async || ())
}

#[test]
fn paths_are_compared_by_their_form() {
    let one = route("/api/messages/:id/read");
    assert_eq!(
        (one.shown().as_str(), one.pattern().as_str()),
        ("GET /api/messages/:id/read", "/api/messages/{p1}/read")
    );
    assert!(one.is_same(&route("/api/messages/:messageId/read")));
    assert!(!one.is_same(&route("/api/messages/:id/seen")));
    assert!(!one.is_same(&Route::put("/api/messages/:id/read", async || ())));
    assert_eq!(route("/a/:b/c/:d").pattern(), "/a/{p1}/c/{p2}");
}

#[test]
fn what_cannot_be_a_route_is_said_and_does_not_panic() {
    for path in ["", "api", "/", "/api/", "//", "/{id}", "/a/*rest", "/:", "/a b", "/a/{*rest}", "/ü", "/a?b"]
    {
        assert!(route(path).check().is_err(), "{path:?}");
    }
    for path in ["/api/x", "/api/:id", "/api/v1.2/@me/:a/:b"] {
        assert_eq!(route(path).check(), Ok(()), "{path}");
    }
    assert!(Route::new(Method::OPTIONS, "/a", async || ()).check().is_err());
    assert!(Route::new(Method::from_bytes(b"HUSH").unwrap(), "/a", async || ()).check().is_err());
}
