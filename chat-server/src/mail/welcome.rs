//! The welcome mail to new users.

use super::Mail;

/// The welcome mail to a new user, with a link to the page if `client_url` is an HTTP URL.
///
/// The address is not verified yet, so the mail contains no text from the sign-up form. Otherwise a client could sign
/// up with the address of another person and make the server send that person a text of its choice.
#[must_use]
pub fn welcome(email: &str, client_url: Option<&str>) -> Mail {
    let link = client_url.map(str::trim).filter(|url| is_http(url));

    let invitation = link.map_or_else(String::new, |url| format!("Open the chat: {url}\n\n"));
    let text = format!(
        "Hello,\n\n\
         welcome! Your account is ready. Pick somebody from your contacts and say hello: messages and \
         pictures arrive at once, and what is sent while you are away waits for you.\n\n\
         {invitation}\
         You get this mail because somebody signed up with this address. If that was not you, ignore it.\n"
    );

    let button = link.map_or_else(String::new, |url| {
        format!(
            "<p style=\"margin:28px 0\"><a href=\"{}\" style=\"background:#0e7490;border-radius:6px;\
             color:#ffffff;display:inline-block;padding:12px 24px;text-decoration:none\">\
             Open the chat</a></p>\n",
            escape(url)
        )
    });
    let html = format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\">\n\
         <head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{SUBJECT}</title></head>\n\
         <body style=\"background:#f1f5f9;color:#1e293b;font-family:Helvetica,Arial,sans-serif;\
         line-height:1.5;margin:0;padding:24px\">\n\
         <div style=\"background:#ffffff;border-radius:8px;margin:0 auto;max-width:560px;padding:32px\">\n\
         <h1 style=\"font-size:22px;margin:0 0 16px\">Hello,</h1>\n\
         <p>welcome! Your account is ready. Pick somebody from your contacts and say hello: messages and \
         pictures arrive at once, and what is sent while you are away waits for you.</p>\n\
         {button}\
         <p style=\"color:#64748b;font-size:13px\">You get this mail because somebody signed up with this \
         address. If that was not you, ignore it.</p>\n\
         </div>\n\
         </body>\n\
         </html>\n"
    );

    Mail { to: email.trim().to_owned(), subject: SUBJECT.to_owned(), text, html }
}

const SUBJECT: &str = "Welcome to the chat";

/// Turns any text into one line: control characters and Unicode line breaks become spaces, and repeated spaces are
/// merged.
pub(super) fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_whitespace() || c.is_control();
    text.split(breaks).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn is_http(url: &str) -> bool {
    let known = ["https://", "http://"].iter().any(|scheme| url.starts_with(scheme));
    known && !url.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Escapes text for an HTML element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::welcome;

    #[test]
    fn both_forms_greet_and_link() {
        let mail = welcome(" ada@example.com ", Some("https://chat.example.com/?a=1&b=2"));
        assert_eq!(mail.to, "ada@example.com");
        assert_eq!(mail.subject, "Welcome to the chat");
        assert!(mail.text.starts_with("Hello,\n\n"));
        assert!(mail.text.contains("https://chat.example.com/?a=1&b=2\n"));
        assert!(mail.html.contains(">Hello,<"));
        assert!(mail.html.contains("href=\"https://chat.example.com/?a=1&amp;b=2\""));
    }

    #[test]
    fn nothing_in_it_was_typed_by_a_stranger() {
        let (one, other) =
            (welcome("ada@example.com", None), welcome("visit-evil.example@example.org", None));
        assert_eq!((&one.subject, &one.text, &one.html), (&other.subject, &other.text, &other.html));
    }

    #[test]
    fn only_http_addresses_become_links() {
        for url in
            ["javascript:alert(1)", "", "*", "chat.example.com", "https://a.example \r\nBcc: b@example.com"]
        {
            let mail = welcome("ada@example.com", Some(url));
            assert!(!mail.html.contains("href") && !mail.text.contains("Open the chat"), "{url}");
        }
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(super::one_line(" a\r\nb\u{2028}\t c\0 "), "a b c");
    }

    #[test]
    fn debug_shows_no_address() {
        let shown = format!("{:?}", welcome("ada@example.com", None));
        assert_eq!(shown, "Mail { subject: \"Welcome to the chat\", .. }");
    }
}
