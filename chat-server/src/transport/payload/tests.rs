//! Tests for [`payload`](super).

use super::*;

const PLENTY: PacketBudget = PacketBudget { packets: 1_000_000, connects: 1_000_000, binaries: 1_000_000 };

fn v4(body: impl Into<Vec<u8>>, encoding: Encoding) -> Result<String, PayloadError> {
    let read = as_v4(Bytes::from(body.into()), encoding, &mut PLENTY.clone());
    read.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn packets_of_engine_io_3_are_handed_on_as_those_of_4() {
    for (text, expected) in [
        ("", ""),
        ("2:40", "40"),
        ("1:26:2probe5:4hell", "2\u{1e}2probe\u{1e}4hell"),
        // A character outside the basic plane counts twice, as in JavaScript.
        ("4:4é€x5:4😀😀", "4é€x\u{1e}4😀😀"),
        ("6:b4AQID", "bAQID"),
    ] {
        assert_eq!(v4(text, Encoding::V3Text).as_deref(), Ok(expected), "{text}");
    }
    let binary = [&[0, 3, 0xff][..], b"4hi", &[1, 4, 0xff, 4, 1, 2, 3], &[0, 1, 0, 0xff], b"4123456789"];
    assert_eq!(v4(binary.concat(), Encoding::V3Binary).as_deref(), Ok("4hi\u{1e}bAQID\u{1e}4123456789"));
    assert_eq!(v4("40\u{1e}41", Encoding::V4).as_deref(), Ok("40\u{1e}41"));
}

#[test]
fn what_is_malformed_is_refused() {
    for text in
        ["x", ":", "0:", "2:4", "-1:4", "99999999999:4", "2:4😀", "3:4\u{1e}4", "2:40x", "4", "+2:40x"]
    {
        assert!(v4(text, Encoding::V3Text).is_err(), "{text}");
    }
    for bytes in [
        &[0][..],
        &[0, 1],
        &[0, 0xff],
        &[0, 2, 0xff, b'4'],
        &[2, 1, 0xff, b'4'],
        &[0, 10, 0xff],
        &[1, 0, 0xff],
    ] {
        assert!(v4(bytes, Encoding::V3Binary).is_err(), "{bytes:?}");
    }
    let not_utf8 = as_v4(Bytes::from_static(b"2:4\xff"), Encoding::V3Text, &mut PLENTY.clone());
    assert!(not_utf8.is_err());
}

#[test]
fn packets_are_counted_by_kind() {
    let budget = PacketBudget { packets: 5, connects: 1, binaries: 1 };
    let count = |body: &'static str, encoding| {
        as_v4(Bytes::from_static(body.as_bytes()), encoding, &mut budget.clone()).map(drop)
    };
    let separated = |packets: &[&str]| packets.join("\u{1e}");
    for (packets, good) in [
        (&["40", "3", "3", "42[]", "bAQID"][..], true),
        (&["3", "3", "3", "3", "3", "3"], false),
        (&["40", "40"], false),
        (&["40", "40/admin,"], false),
        (&["bAQ==", "bAQ=="], false),
    ] {
        let mut left = budget;
        let body = Bytes::from(separated(packets));
        assert_eq!(as_v4(body, Encoding::V4, &mut left).is_ok(), good, "{packets:?}");
    }
    let nothing = PacketBudget { packets: 0, connects: 0, binaries: 0 };
    for encoding in [Encoding::V4, Encoding::V3Text, Encoding::V3Binary] {
        assert_eq!(as_v4(Bytes::new(), encoding, &mut nothing.clone()), Ok(Bytes::new()), "{encoding:?}");
    }
    assert_eq!(count("2:402:40", Encoding::V3Text), Err(PayloadError::TooMany));
    assert_eq!(count("4:b4AQ4:b4AQ", Encoding::V3Text), Err(PayloadError::TooMany));
}

/// The time is linear in the number of packets, not quadratic: such payloads used to take minutes.
#[test]
fn many_packets_cost_what_their_bytes_cost() {
    let body = "2:4é".repeat(1 << 20);
    let mut budget = PacketBudget { packets: 1 << 20, connects: 0, binaries: 0 };
    let read = as_v4(Bytes::from(body), Encoding::V3Text, &mut budget).unwrap();
    assert_eq!((read.len(), budget.packets), (4 * (1 << 20) - 1, 0));
    let mut too_few = PacketBudget { packets: (1 << 20) - 1, connects: 0, binaries: 0 };
    let again = Bytes::from("2:4é".repeat(1 << 20));
    assert_eq!(as_v4(again, Encoding::V3Text, &mut too_few), Err(PayloadError::TooMany));
}
