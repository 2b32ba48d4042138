//! Tests of [`accounted`](super).

use http_body_util::BodyExt;

use super::*;

fn owner() -> Owner {
    Owner::Address([10, 0, 0, 1].into())
}

#[tokio::test]
async fn an_answer_is_held_until_it_is_sent() {
    let memory = Memory::new(1 << 20);
    let whole = vec![7; 3 * PIECE + 5];
    let answer = response(&memory, owner(), Response::new(Body::from(whole.clone())));
    assert_eq!(memory.held(), whole.len());
    let mut body = answer.into_body();
    assert_eq!(body.size_hint().exact(), Some(whole.len() as u64));
    let mut sent = Vec::new();
    while let Some(frame) = body.frame().await {
        assert_eq!(memory.held(), whole.len());
        let piece = frame.unwrap().into_data().unwrap();
        assert!(piece.len() <= PIECE);
        sent.extend(piece);
    }
    assert_eq!(sent, whole);
    drop(body);
    assert_eq!(memory.held(), 0);
    let small = response(&memory, owner(), Response::new(Body::from("small")));
    assert_eq!((memory.held(), small.status().as_u16()), (0, 200));
}

#[tokio::test]
async fn an_answer_without_room_is_an_error_and_one_of_who_is_cut_breaks_off() {
    let memory = Memory::new(1 << 20);
    let large = |bytes| response(&memory, owner(), Response::new(Body::from(vec![7; bytes])));
    assert_eq!(large((1 << 20) + 1).status(), 503);
    let mut first = large(1 << 19).into_body();
    first.frame().await.unwrap().unwrap();
    let other = memory.reserve(Owner::Address([10, 0, 0, 2].into()), 1 << 19).unwrap();
    let _more = memory.reserve(Owner::Address([10, 0, 0, 3].into()), 1 << 18).unwrap();
    assert!(other.is_cut() ^ first.frame().await.unwrap().is_err(), "one of both");
}

#[tokio::test]
async fn a_body_is_held_for_its_sender_once_that_is_known() {
    let memory = Memory::new(1 << 20);
    let caller = Caller::default();
    let user = UserId::from_bytes([7; 12]);
    let received = caller.clone().scope(async {
        let (received, held) = request(&memory, owner(), Request::new(Body::from(vec![7; 100_000])));
        Caller::is(user);
        received.into_body().collect().await.unwrap();
        held
    });
    let held = received.await;
    assert_eq!(caller.owner(owner()), Owner::User(user));
    let modest = memory.reserve(owner(), 1 << 19).unwrap();
    let _more = memory.reserve(Owner::User(UserId::from_bytes([8; 12])), 1 << 19).unwrap();
    assert!(modest.is_cut(), "not the sender, who holds less");
    drop(held);
}

#[tokio::test]
async fn a_body_is_held_until_its_request_is_answered() {
    let memory = Memory::new(1 << 20);
    let (received, held) = request(&memory, owner(), Request::new(Body::from(vec![7; 100_000])));
    assert_eq!(memory.held(), 0);
    let bytes = received.into_body().collect().await.unwrap().to_bytes();
    assert_eq!((bytes.len(), memory.held()), (100_000, 100_000));
    assert_eq!(held.answer(Response::new(Body::empty())).status(), 200);
    drop(held);
    assert_eq!(memory.held(), 0);

    let (received, held) = request(&memory, owner(), Request::new(Body::from(vec![7; 2 << 20])));
    assert!(received.into_body().collect().await.is_err());
    assert_eq!(held.answer(HttpError::bad_request("?").into_response()).status(), 503);
}
