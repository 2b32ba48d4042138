//! Tests of [`epoch`](super).

use super::*;

#[test]
fn positions_of_the_first_epoch_are_plain_numbers() {
    let epoch = Epoch::first();
    assert_eq!(epoch.at(Position(17)).to_string(), "17");
    assert_eq!(epoch.own("17".parse().unwrap()), Some(Position(17)));
    assert_eq!(epoch.own("0000002a-17".parse().unwrap()), None);
}

#[test]
fn what_was_told_before_a_renewal_is_not_taken_for_what_is_told_after_it() {
    let first = Epoch { id: 1, renewals: 0 };
    let second = Epoch { id: 0xaaaa_5f3a_90c1, renewals: 1 };
    let third = Epoch { id: 0xaaaa_0000_0000, renewals: 2 };
    assert_eq!(second.at(Position(17)).to_string(), "5f3a90c1-17");
    assert_eq!(third.at(Position(17)).to_string(), "00000001-17", "never like the first");
    let epochs = [first, second, third];
    for (n, told) in epochs.iter().enumerate() {
        let text = told.at(Position(u64::MAX)).to_string();
        for (m, read) in epochs.iter().enumerate() {
            let expected = (n == m).then_some(Position(u64::MAX));
            assert_eq!(read.own(text.parse().unwrap()), expected, "{text} in {read:?}");
        }
    }
    let renewed = first.renewed();
    assert_eq!(renewed.renewals, 1);
    assert_ne!(renewed.id, first.renewed().id, "two restores of one backup are two epochs");
}

#[test]
fn what_is_no_position_is_none() {
    for text in [
        "",
        "-",
        "-1",
        "+1",
        "1.0",
        "x",
        "18446744073709551616",
        "5f3a90c1-",
        "5f3a90c1--1",
        "5f3a90c1-+1",
        "5F3A90C1-1",
        "00000000-1",
        "f3a90c1-1",
        "5f3a90c1-1-1",
        "+f3a90c1-1",
    ] {
        assert_eq!(text.parse::<LogPosition>(), Err(NotAPosition), "{text}");
    }
}
