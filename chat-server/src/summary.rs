//! What the log of a start says to the person who starts the server: where to look, where everything is kept, who is served.

use std::net::SocketAddr;

use crate::config::{Config, StoreConfig};

/// The lines, for people. They hold no secret: of a database only what kind it is.
pub(crate) fn lines(config: &Config, address: Option<SocketAddr>) -> Vec<String> {
    let mut lines = Vec::new();
    match (config.public_url.clone(), address.map(url)) {
        (Some(public), Some(here)) => lines.push(format!("open {public} (this machine: {here})")),
        (Some(url), None) | (None, Some(url)) => lines.push(format!("open {url}")),
        (None, None) => {}
    }
    let data = config.data_dir.display();
    lines.push(match &config.store {
        StoreConfig::Memory => "store: memory, which is forgotten at the end".to_owned(),
        StoreConfig::Sqlite { path, .. } => format!("store: SQLite in {}", path.display()),
        StoreConfig::MongoDb { .. } => "store: MongoDB".to_owned(),
    });
    lines.push(match &config.cloudinary {
        Some(_) => format!("images: at Cloudinary; everything else: in {data}"),
        None => format!("images and everything else: in {data}"),
    });
    let names: Vec<_> = config.dialects.iter().map(|dialect| dialect.name).collect();
    lines.push(format!(
        "dialects: {}; {} for pages whose token does not tell",
        names.join(", "),
        config.default_dialect.name
    ));
    lines
}

/// Where a browser on this machine finds what listens on this address.
fn url(address: SocketAddr) -> String {
    let ip = address.ip().to_canonical();
    if ip.is_unspecified() || ip.is_loopback() {
        return format!("http://localhost:{}", address.port());
    }
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::config::Options;

    #[test]
    fn an_operator_learns_where_everything_is_and_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().display().to_string();
        let told = |arguments: &[&str], address: &str| {
            let command = Options::command().mut_args(|arg| arg.env(None));
            let arguments = ["chat-server", "--data-dir", &data].into_iter().chain(arguments.iter().copied());
            let options = Options::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
            lines(&Config::check(&options).unwrap(), address.parse().ok()).join("\n")
        };
        let first = told(&[], "[::]:3000");
        assert_eq!(
            first,
            format!(
                "open http://localhost:3000\nstore: SQLite in {data}/chat.db\nimages and everything else: in {data}\n\
                 dialects: camel, push; push for pages whose token does not tell"
            )
        );
        let uri = "mongodb://ann:hu/sh@localhost/?tlsCertificateKeyFilePassword=hush";
        let other = told(
            &["--mongo-uri", uri, "--public-url=https://chat.example", "--dialects=camel"],
            "10.0.0.1:80",
        );
        assert!(
            other.starts_with(
                "open https://chat.example (this machine: http://10.0.0.1:80)\nstore: MongoDB\n"
            )
        );
        assert!(other.ends_with("dialects: camel; camel for pages whose token does not tell"), "{other}");
        assert!(!other.contains("ann") && !other.contains("sh@") && !other.contains("hush"), "{other}");
        for (address, expected) in
            [("127.0.0.1:1", "localhost:1"), ("[::1]:1", "localhost:1"), ("[fe80::1]:2", "[fe80::1]:2")]
        {
            assert!(told(&["--store=memory:"], address).starts_with(&format!("open http://{expected}\n")));
        }
        assert!(told(&[], "none").starts_with("store: "));
    }
}
