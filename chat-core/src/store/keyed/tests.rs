//! What holds for [`keyed`](super).

use super::*;

#[test]
fn numbers_and_words_are_those_of_old_databases() {
    let known = [
        (1, "reactions"),
        (2, "pins"),
        (3, "relations"),
        (4, "reaction_tallies"),
        (64, "chat_settings"),
        (65, "delivered"),
        (66, "room_reports"),
        (67, "reports"),
        (68, "open_reports"),
    ];
    let now: Vec<_> = Table::ALL.iter().map(|table| (table.code(), table.name())).collect();
    assert!(known.iter().all(|table| now.contains(table)), "{now:?}");
    for table in Table::ALL {
        assert_eq!(Table::from_code(table.code()), Some(*table));
        assert_eq!(Table::from_name(table.name()), Some(*table));
        assert!(table.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        let is_of_message = table.layout().contains(&KeyPart::Message);
        assert!(!is_of_message || table.code() <= 64, "a message has a bit for {table:?}");
        let texts = table.layout().iter().filter(|part| **part == KeyPart::Text).count();
        assert!(texts == 0 || (texts == 1 && table.layout().last() == Some(&KeyPart::Text)));
    }
    assert_eq!((Table::from_code(0), Table::from_name("Pins")), (None, None));
}

#[test]
fn facets_say_which_tables_hold_something() {
    let none = Facets::default();
    assert_eq!(none.bits(), 0);
    let of_messages = || Table::ALL.iter().filter(|table| table.layout().contains(&KeyPart::Message));
    for table in of_messages() {
        let one = none.with(*table, true);
        assert!(one.contains(*table) && !none.contains(*table));
        let others = of_messages().filter(|other| *other != table);
        assert!(others.clone().all(|other| !one.contains(*other)));
        assert_eq!(one.with(*table, false), none);
        assert_eq!(others.fold(one, |all, other| all.with(*other, false)), one);
    }
    // Of a newer version.
    let newer = Facets::from_bits(i64::MIN).with(Table::Pins, true);
    assert_eq!((newer.bits(), newer.with(Table::Pins, false).bits()), (i64::MIN | 2, i64::MIN));
}

#[test]
fn a_key_is_taken_apart_only_if_it_is_one() {
    let (message, user) = (MessageId::from_bytes([1; 12]), UserId::from_bytes([2; 12]));
    let key = [&[1; 12][..], &[2; 12], "👍".as_bytes()].concat();
    let named = vec![Named::Message(message), Named::User(user)];
    assert_eq!(Table::Reactions.parts(&key), Some(named));
    assert_eq!(Table::Reactions.parts(&key[..24]), None, "no emoji");
    assert_eq!(Table::Reactions.parts(&key[..27]), None, "half an emoji");
    assert_eq!(Table::Reactions.parts(&[&key[..24], &[b'a'; 300]].concat()), None, "too long");
    assert_eq!(Table::Pins.parts(&key), None, "something behind it");
    assert_eq!(Table::Pins.parts(&key[..24]).map(|named| named.len()), Some(2));
    assert_eq!(Table::Relations.parts(&key[..20]), None, "half an id");
}

#[test]
fn a_range_begins_behind_a_key_and_ends_with_its_prefix() {
    assert_eq!(start_of(b"b", None), b"b");
    assert_eq!(start_of(b"b", Some(b"a")), b"b");
    assert_eq!(start_of(b"b", Some(b"bb")), b"bb\0");
    let keys: [&[u8]; 6] = [b"a", b"b", b"b\0", b"b\xff", b"b\xff\xff", b"c"];
    let mut rows = Rows::new();
    for table in [Table::Reactions, Table::Pins] {
        rows.extend(keys.iter().map(|key| ((table, key.to_vec()), vec![table.code()])));
    }
    let found = |prefix: &'static [u8], after| -> Vec<Vec<u8>> {
        range(&rows, Table::Reactions, prefix, after).map(|row| row.key).collect()
    };
    assert_eq!(found(b"b", None), keys[1..5]);
    assert_eq!(found(b"b", Some(b"b")), keys[2..5]);
    assert_eq!(found(b"b\xff", Some(b"b\xff")), keys[4..5]);
    assert_eq!(found(b"", Some(b"c")), [b""; 0]);
    assert_eq!(found(b"", None), keys);
}
