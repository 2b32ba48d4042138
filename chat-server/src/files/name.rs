//! The names that users give to files. They are displayed and used in responses, but never as a path.

/// The maximum length of a name in bytes, which is the limit of file systems.
pub(super) const MAX_NAME_BYTES: usize = 255;

/// Cleans a name: removes folders and invisible characters, and shortens it. Returns `None` if nothing remains.
///
/// Both kinds of slashes separate folders, because old browsers send complete Windows paths. Characters that change the
/// text direction are removed, because they can make `gpj.exe` look like `exe.jpg`.
pub(super) fn clean(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_seen = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffd}')
    };
    let seen: String = name.chars().filter(is_seen).collect();
    // Windows removes trailing dots and spaces, so the name would have another extension there.
    let name = seen.trim().trim_end_matches(['.', ' ']);
    if name.is_empty() || name.chars().all(|c| c == '.') {
        return None;
    }
    Some(shortened(name))
}

/// The extension of a name without the dot, or an empty string.
pub(super) fn extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((before, ending)) if !before.is_empty() => ending,
        _ => "",
    }
}

/// Shortens a name before its extension.
fn shortened(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return name.to_owned();
    }
    let ending = match extension(name) {
        "" => "",
        ending if ending.len() <= 16 => &name[name.len() - ending.len() - 1..],
        _ => "",
    };
    let mut end = MAX_NAME_BYTES - ending.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", &name[..end])
}

/// A `Content-Disposition` header for a name (RFC 6266): in ASCII for old clients, and unchanged.
pub(super) fn disposition(is_inline: bool, name: &str) -> String {
    let kind = if is_inline { "inline" } else { "attachment" };
    let plain: String = name
        .chars()
        .map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%') { c } else { '_' })
        .collect();
    // The characters that need no encoding (RFC 8187, section 3.2.1).
    const ENCODED: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let encoded = percent_encoding::utf8_percent_encode(name, ENCODED);
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_paths_and_what_cannot_be_seen() {
        for (given, cleaned) in [
            ("photo.jpg", Some("photo.jpg")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\Users\\ann\\me.png", Some("me.png")),
            ("/etc/cron.d/", None),
            ("a\r\nSet-Cookie: x.txt", Some("aSet-Cookie: x.txt")),
            ("photo\u{202e}gpj.exe", Some("photogpj.exe")),
            ("  Grüße 🎉.pdf. . ", Some("Grüße 🎉.pdf")),
            ("..", None),
            (".", None),
            ("", None),
            ("\0\u{7f}\u{200b}", None),
            (".htaccess", Some(".htaccess")),
        ] {
            assert_eq!(clean(given).as_deref(), cleaned, "{given:?}");
        }
        let long = format!("{}.jpeg", "ä".repeat(300));
        let cleaned = clean(&long).unwrap();
        assert!(cleaned.len() <= MAX_NAME_BYTES && cleaned.ends_with("ä.jpeg"));
        assert!(clean(&format!("a.{}", "b".repeat(400))).unwrap().len() <= MAX_NAME_BYTES);
    }

    #[test]
    fn endings_are_what_follows_the_last_dot() {
        for (name, ending) in
            [("a.tar.gz", "gz"), ("a", ""), (".htaccess", ""), ("a.", ""), ("photo.jpg.exe", "exe")]
        {
            assert_eq!(extension(name), ending, "{name}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_header() {
        assert_eq!(
            disposition(false, "a\"; x=\"\\ü%.txt"),
            "attachment; filename=\"a_; x=____.txt\"; filename*=UTF-8''a%22%3B%20x%3D%22%5C%C3%BC%25.txt"
        );
        assert!(disposition(true, "a b.png").starts_with("inline; filename=\"a b.png\""));
    }
}
