//! The requests of one long-polling session must all reach the node that opened it. A load balancer cannot know which
//! that is: default clients keep no cookies, and many come from one address. So a node that has a name puts it before the
//! session ids that it gives to clients (`a.Ab3…`), and the balancer goes by the `sid` in the address of each request.
//! Behind this file nobody knows of it.

use axum::http::Uri;

/// The address as the transport below knows it: without this node's name before the session id. None when it is not
/// there: then it is nobody's session, or another node's, and answered like one that is over.
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

/// The answer that opens a session, with this node's name before its id.
pub(super) fn marked(answer: &str, node: &str) -> Option<String> {
    const SID: &str = r#""sid":""#;
    let put = |packet: &str| packet.contains(SID).then(|| packet.replacen(SID, &format!("{SID}{node}."), 1));
    if answer.starts_with('0') {
        return put(answer);
    }
    // Engine.IO 3 says first how many characters follow.
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
