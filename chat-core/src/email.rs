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
mod tests;
