//! E-mail addresses: validation, and the canonical form in which they are stored.

use email_address::{EmailAddress, Options};
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

use crate::names;

/// The maximum length of an address in bytes (RFC 5321, section 4.5.3.1.3, without the angle brackets).
const MAX_BYTES: usize = 254;

/// The canonical form of an address. `None` when mail cannot be sent to it, or when it is of a form that is used only
/// for attacks: with a quoted local part, with a literal IP address as domain, or with markup or invisible characters.
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
    // IP addresses end in digits, and domain names never do.
    if top.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let canonical = canonical(email)?;
    (canonical.len() <= MAX_BYTES).then_some(canonical)
}

/// The canonical form of an address: in lower case, in Unicode composition (NFC), with a Unicode domain. `None` when
/// the domain is invalid.
pub(crate) fn canonical(email: &str) -> Option<String> {
    let (local, domain) = email.trim().rsplit_once('@')?;
    let (domain, known) =
        Uts46::new().to_unicode(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    known.ok()?;
    Some(format!("{}@{domain}", local.nfc().collect::<String>().to_lowercase()))
}

#[cfg(test)]
mod tests;
