//! Long-polling affinity: all requests of one session must reach the node that opened it. A load balancer cannot know
//! that node: default clients keep no cookies, and many share one address. So a node with a name puts it in front of
//! the session ids that it gives to clients (`a.Ab3…`), and the balancer routes by the `sid` in the query of each
//! request. The rest of the server does not see the prefix.

use axum::http::Uri;

/// The URI without this node's name in front of the session id. `None` if the name is not there. The session is then
/// unknown or another node's, and the request is answered as if the session had ended.
pub(super) fn unmarked(uri: &Uri, node: &str) -> Option<Uri> {
    let (path, query) = uri.path_and_query()?.as_str().split_once('?')?;
    let mark = format!("sid={node}.");
    let pairs = query.split('&').map(|pair| match pair.strip_prefix(&mark) {
        Some(sid) => format!("sid={sid}"),
        None => pair.to_owned(),
    });
    let query: Vec<_> = pairs.collect();
    query
        .iter()
        .any(|pair| pair.starts_with("sid="))
        .then(|| format!("{path}?{}", query.join("&")))?
        .parse()
        .ok()
}

/// The answer that opens a session, with this node's name in front of the session id.
pub(super) fn marked(answer: &str, node: &str) -> Option<String> {
    const SID: &str = r#""sid":""#;
    let put = |packet: &str| packet.contains(SID).then(|| packet.replacen(SID, &format!("{SID}{node}."), 1));
    if answer.starts_with('0') {
        return put(answer);
    }
    // Engine.IO 3 puts the length in characters in front of each packet.
    let (length, packet) = answer.split_once(':')?;
    let length = length.parse::<usize>().ok()? + node.chars().count() + 1;
    Some(format!("{length}:{}", put(packet)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_put_before_the_id_and_taken_away_again() {
        let opened = r#"0{"sid":"Ab_-3","upgrades":["websocket"],"pingInterval":25000}"#;
        let told = marked(opened, "node-1").unwrap();
        assert_eq!(told, r#"0{"sid":"node-1.Ab_-3","upgrades":["websocket"],"pingInterval":25000}"#);
        let older = marked(r#"29:0{"sid":"Ab3","upgrades":[]}2:40"#, "b").unwrap();
        assert_eq!(older, r#"31:0{"sid":"b.Ab3","upgrades":[]}2:40"#);
        assert_eq!(marked("ok", "b"), None);

        let unmarked = |uri: &str| unmarked(&uri.parse().unwrap(), "b").map(|uri| uri.to_string());
        let there = unmarked("/socket.io/?EIO=4&transport=polling&t=x&sid=b.Ab3");
        assert_eq!(there.as_deref(), Some("/socket.io/?EIO=4&transport=polling&t=x&sid=Ab3"));
        assert_eq!(unmarked("/socket.io/?EIO=4&transport=polling"), None);
        assert_eq!(unmarked("/socket.io/"), None);
        let foreign = unmarked("/socket.io/?sid=c.Ab3&EIO=4");
        assert_eq!(foreign.as_deref(), Some("/socket.io/?sid=c.Ab3&EIO=4"), "unknown below");
    }
}
