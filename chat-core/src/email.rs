//! E-mail addresses: which may be signed up with, and the one form in which they are kept.

use email_address::{EmailAddress, Options};
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

use crate::names;

/// Most bytes of an address (RFC 5321, section 4.5.3.1.3, without the angle brackets).
const MAX_BYTES: usize = 254;

/// An address in the form in which it is kept; none when it is none that mail can be sent to, or one that only ever
/// serves to harm: with a quoted local part, with a literal IP address for a domain, or with characters of markup or that
/// cannot be seen.
pub(crate) fn checked(email: &str) -> Option<String> {
    let email = email.trim();
    if email.len() > MAX_BYTES {
        return None;
    }
    let options = Options::default().with_required_tld().without_domain_literal().without_display_text();
    let parsed = EmailAddress::parse_with_options(email, options).ok()?;
    let (local, domain) = (parsed.local_part(), parsed.domain());
    let is_markup = |c: char| matches!(c, '<' | '>' | '"' | '`' | '\\') || c.is_whitespace();
    if local.contains(is_markup) || names::problem_in_user_name(local).is_some() {
        return None;
    }
    let ascii = Uts46::new().to_ascii(
        domain.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::CheckFirstLast,
        DnsLength::Verify,
    );
    let ascii = ascii.ok()?;
    let (_, top) = ascii.rsplit_once('.')?;
    // Addresses of hosts are written with digits at the end, names of domains never.
    if top.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let canonical = canonical(email)?;
    (canonical.len() <= MAX_BYTES).then_some(canonical)
}

/// The form in which an address is kept: in lower case, composed, with the domain as people write it. None when the
/// domain is none.
pub(crate) fn canonical(email: &str) -> Option<String> {
    let (local, domain) = email.trim().rsplit_once('@')?;
    let (domain, known) =
        Uts46::new().to_unicode(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    known.ok()?;
    Some(format!("{}@{domain}", local.nfc().collect::<String>().to_lowercase()))
}

#[cfg(test)]
mod tests {
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
}
