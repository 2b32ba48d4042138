//! What holds for [`keyed`](super).

use super::*;

#[test]
fn an_id_is_ordered_as_its_key_and_read_again() {
    let keys: [&[u8]; 6] = [b"", b"\0", b"\0\0", b"\x09\xff", b"\x10", b"\xff\xff"];
    let ids: Vec<_> = keys.iter().map(|key| id_of(Table::Pins, key)).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    for (key, id) in keys.iter().zip(&ids) {
        assert_eq!(read_id(id), Some((Table::Pins, key.to_vec())));
    }
    for bad in ["pins", "pin/00", "pins/0", "pins/0g", "pins/+1", "pins/0A", "pins/é"] {
        assert_eq!(read_id(bad), None, "{bad}");
    }
    let (from, to) = ends_of(Table::Pins, b"\x09", Some(b"\x09\xff"));
    assert_eq!((from.as_str(), to.as_str()), ("pins/09ff00", "pins/09g"));
}

#[test]
fn enough_is_loaded_for_all_that_may_be_deleted() {
    let mut reads = Reads::default();
    let key = |text: &str| text.as_bytes().to_vec();
    reads.ranges = vec![
        (Table::Pins, key("a"), 3),
        (Table::Pins, key("a"), 5),
        (Table::Pins, key("ab"), 7),
        (Table::Pins, key("b"), 100),
        (Table::Relations, key("a"), 100),
    ];
    reads.rows.insert((Table::Pins, key("abc")));
    reads.rows.insert((Table::Relations, key("abd")));
    assert_eq!(needed(&reads, Table::Pins, b"a"), 5 + 1 + 3 + 5 + 7);
    assert_eq!(needed(&reads, Table::Pins, b"ab"), 7 + 1 + 3 + 5 + 7);
    reads.ranges.push((Table::Pins, key("a"), usize::MAX));
    assert_eq!(needed(&reads, Table::Pins, b"a"), usize::MAX);
}
