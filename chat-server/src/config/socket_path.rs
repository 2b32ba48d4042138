//! The path of the Socket.IO endpoint.

use super::error::{ConfigError, wrong};

/// Other paths of this server, which must stay reachable.
const TAKEN: [&str; 6] = ["/api", "/media", "/assets", "/healthz", "/readyz", "/index.html"];

/// Maximum length of the path in bytes.
const MAX_BYTES: usize = 128;

/// Checks the path. The result begins with a slash and does not end with one, as Node interprets its `path` option.
pub(super) fn check(given: &str) -> Result<String, ConfigError> {
    let path = given.trim().trim_matches('/');
    let path = if path.is_empty() && given.trim().is_empty() { "socket.io" } else { path };
    let is_plain = |part: &str| {
        let letters = part.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._~".contains(&c));
        letters && !part.is_empty() && !part.starts_with("..") && part != "."
    };
    if path.len() > MAX_BYTES || !path.split('/').all(is_plain) {
        return Err(wrong(
            "CHAT_SOCKET_PATH",
            "must be a path such as /socket.io: letters, digits, -, ., _, ~ and / between them",
        ));
    }
    let path = format!("/{path}");
    // Some frameworks use /api/socket or /api/socket.io. All other paths below /api belong to the dialects.
    let below = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
    let is_taken = match below("/api") {
        Some(rest) => !rest.split('/').next().is_some_and(|part| part.starts_with("socket") || part == "ws"),
        None => TAKEN.iter().any(|taken| path == *taken || below(taken).is_some()),
    };
    if is_taken {
        return Err(wrong("CHAT_SOCKET_PATH", format!("{path} is where something else is served")));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_node_reads_it() {
        for (given, path) in [
            ("/socket.io", "/socket.io"),
            ("/socket.io/", "/socket.io"),
            ("chat", "/chat"),
            (" /my/chat/sockets/ ", "/my/chat/sockets"),
            ("/api/socket", "/api/socket"),
            ("/api/socket.io/", "/api/socket.io"),
            ("/api/socketio/v1", "/api/socketio/v1"),
            ("", "/socket.io"),
        ] {
            assert_eq!(check(given).unwrap(), path, "{given:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let long = format!("/{}", "x".repeat(MAX_BYTES + 1));
        for given in [
            "/",
            "//",
            "/a//b",
            "/../x",
            "/a/./b",
            "/{id}",
            "/a b",
            "/a?b",
            "/a#b",
            "/ä",
            "/*",
            "http://x/socket.io",
            "/api",
            "/api/users",
            "/api/messages",
            "/media/x",
            "/assets",
            "/healthz",
            "/readyz/",
            "/\"><script>",
            &long,
        ] {
            let refused = check(given).unwrap_err().to_string();
            assert!(refused.starts_with("CHAT_SOCKET_PATH: "), "{given:?}: {refused}");
        }
    }
}
