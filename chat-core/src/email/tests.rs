//! Tests of [`email`](super).

use super::*;

#[test]
fn addresses_that_mail_can_be_sent_to_are_good() {
    for (given, kept) in [
        (" Ann@Example.COM ", "ann@example.com"),
        ("ann.lee+chat@sub.example.co.uk", "ann.lee+chat@sub.example.co.uk"),
        ("o'brien&co@example.com", "o'brien&co@example.com"),
        ("!#$%*/=?^_{|}~-@example.com", "!#$%*/=?^_{|}~-@example.com"),
        ("a@b.c", "a@b.c"),
        ("jörg@bücher.example", "jörg@bücher.example"),
        ("Ann@xn--bcher-kva.example", "ann@bücher.example"),
        ("zoe\u{301}@example.com", "zoé@example.com"),
        ("用户@例子.广告", "用户@例子.广告"),
        ("ann@123.example", "ann@123.example"),
    ] {
        assert_eq!(checked(given).as_deref(), Some(kept), "{given}");
        assert_eq!(canonical(given).as_deref(), Some(kept), "{given}");
        assert_eq!(checked(kept).as_deref(), Some(kept), "{kept}");
    }
}

#[test]
fn everything_else_is_not() {
    let long_local = format!("{}@example.com", "a".repeat(65));
    let long = format!("a@{}.com", "b".repeat(60).split_off(0) + &".bbbbbbbbb".repeat(20));
    for bad in [
        "",
        "ann",
        "ann@",
        "@example.com",
        "ann@example",
        "a nn@e.com",
        "a@b@c.d",
        "a@b.",
        "a@.b",
        "a@b..c",
        "\"><img/src=x>@b.c",
        "\"ann\"@b.c",
        "\"a b\"@b.c",
        "<ann@b.c>",
        "Ann <ann@b.c>",
        "ann@b.c>",
        "a<b@c.d",
        "a\"b@c.d",
        "a`b@c.d",
        "a\\b@c.d",
        ".ann@b.c",
        "ann.@b.c",
        "a..b@c.d",
        "ann@[1.2.3.4]",
        "ann@[IPv6:::1]",
        "ann@1.2.3.4",
        "ann@b.1",
        "ann@-b.c",
        "ann@b-.c",
        "ann@b_c.d",
        "a\0b@c.d",
        "a\r\nb@c.d",
        "ann@b\u{200b}.c",
        "a\u{200b}nn@b.c",
        "a\u{202e}nn@b.c",
        "ann@b.c\u{0}",
        "ann@b.c,bob@b.c",
        "ann@b.c;bob@b.c",
        "a(b)@c.d",
        "ann@exa<mple.com",
        "ann@exam/ple.com",
        "ann@b c.d",
        "ann@xn--a.c",
        &long_local,
        &long,
    ] {
        assert_eq!(checked(bad), None, "{bad:?}");
    }
}
