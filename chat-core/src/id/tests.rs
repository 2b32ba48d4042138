//! What holds for [`id`](super).

use super::*;

#[test]
fn ids_survive_the_way_to_text_and_back() {
    let id = UserId::from_bytes(*b"\x00\x01\xfe\xffabcdefgh");
    assert_eq!(id.to_string(), "0001feff6162636465666768");
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!("0001FEFF6162636465666768".parse(), Ok(id));
}

#[test]
fn what_is_not_an_id_is_refused() {
    for text in
        ["", "123", "0001feff616263646566676g", "0001feff61626364656667680", "é001feff6162636465666768"]
    {
        assert_eq!(text.parse::<MessageId>(), Err(ParseIdError), "{text}");
    }
}

#[test]
fn object_ids_carry_their_second_and_differ() {
    let ids = ObjectIds::new();
    let now = Timestamp::from_millis(1_700_000_000_123);
    let (a, b) = (ids.next(now), ids.next(now));
    assert_ne!(a, b);
    assert_eq!(a[..4], 1_700_000_000_u32.to_be_bytes());
}
