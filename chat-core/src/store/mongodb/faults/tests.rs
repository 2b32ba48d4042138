//! What holds for [`faults`](super).

use mongodb::bson::{deserialize_from_document, doc};

use super::*;

#[test]
fn no_room_is_told_from_a_database_that_is_away() {
    let answered = |code: i32| {
        let answer =
            doc! { "code": code, "codeName": "Name", "errmsg": "some text", "topologyVersion": null };
        let command = deserialize_from_document(answer).unwrap();
        Fault::from(Error::from(ErrorKind::Command(command))).into_store_error()
    };
    for code in OUT_OF_ROOM {
        assert!(matches!(answered(code), StoreError::Full(_)), "{code}");
        assert!(matches!(write_error(code), StoreError::Full(_)), "{code}");
    }
    for code in [8, 91, 189] {
        assert!(matches!(answered(code), StoreError::Unavailable(_)), "{code}");
        assert!(matches!(write_error(code), StoreError::Unavailable(_)), "{code}");
    }
    assert!(matches!(answered(UNAUTHORIZED), StoreError::Refused(_)));
}
