//! What the log of a start says to the person who starts the server: where to look, where everything is kept, who is served.

use std::net::SocketAddr;

use chat_core::store::Opened;

use crate::config::{BusChoice, Config, SecretOrigin, StoreConfig, kept_secret};

/// The lines, for people. They hold no secret: of a database only what kind it is.
pub(crate) fn lines(config: &Config, address: Option<SocketAddr>, opened: Option<Opened>) -> Vec<String> {
    let mode = if config.production { "production" } else { "development" };
    let mut lines = vec![format!("chat-server {}, {mode}", env!("CARGO_PKG_VERSION"))];
    match (config.public_url.clone(), address.map(url)) {
        (Some(public), Some(here)) => lines.push(format!("open {public} (this machine: {here})")),
        (Some(url), None) | (None, Some(url)) => lines.push(format!("open {url}")),
        (None, None) => {}
    }
    let data = config.data_dir.display();
    let found = match opened {
        Some(Opened { made_new: true, layout, .. }) => format!(", made new with layout {layout}"),
        Some(Opened { layout_before, layout, .. }) if layout_before < layout => {
            format!(
                ", brought from layout {layout_before} to {layout}: older versions cannot read it any more"
            )
        }
        Some(Opened { layout, .. }) => format!(", as it was, with layout {layout}"),
        None => String::new(),
    };
    lines.push(match &config.store {
        StoreConfig::Memory => "store: memory, which is forgotten at the end".to_owned(),
        StoreConfig::Sqlite { path, .. } => format!("store: SQLite in {}{found}", path.display()),
        StoreConfig::MongoDb { .. } => format!("store: MongoDB{found}"),
    });
    lines.push(match &config.cloudinary {
        Some(_) => format!("images: at Cloudinary; everything else: in {data}"),
        None => format!("images and everything else: in {data}"),
    });
    let kept = kept_secret(&config.data_dir);
    lines.push(match config.secret_origin {
        SecretOrigin::Variable => "secret: that of JWT_SECRET".to_owned(),
        SecretOrigin::File => "secret: from the file of JWT_SECRET_FILE".to_owned(),
        SecretOrigin::Kept => format!("secret: kept in {}", kept.display()),
        SecretOrigin::Made if matches!(config.store, StoreConfig::Memory) => {
            "secret: made new, forgotten at the end".to_owned()
        }
        SecretOrigin::Made => format!("secret: made new, kept in {}", kept.display()),
    });
    let names: Vec<_> = config.dialects.served().map(|dialect| dialect.name()).collect();
    lines.push(format!(
        "dialects: {}; {} for pages whose token does not tell",
        names.join(", "),
        config.dialects.default().name()
    ));
    let node = config.node.as_deref().map(|node| format!("{node}, ")).unwrap_or_default();
    let bus = match (config.cluster.bus, config.store.is_shared()) {
        (Some(BusChoice::None), _) | (None, false) => "alone",
        (Some(BusChoice::Redis), _) => "hears others by Redis",
        (None, true) if config.cluster.redis.is_some() => "hears others by Redis",
        (Some(BusChoice::Store), _) | (None, true) => "hears others by the store",
    };
    lines.push(format!("node: {node}{bus}"));
    if !config.limits_off.is_empty() {
        lines.push(format!("no limit: {}", config.limits_off.join(", ")));
    }
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

    fn told(arguments: &[&str], address: &str, opened: Option<Opened>) -> String {
        let command = Options::command().mut_args(|arg| arg.env(None));
        let arguments = std::iter::once("chat-server").chain(arguments.iter().copied());
        let options = Options::from_arg_matches(&command.get_matches_from(arguments)).unwrap();
        lines(&Config::check(&options).unwrap(), address.parse().ok(), opened).join("\n")
    }

    #[test]
    fn an_operator_learns_where_everything_is_and_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().display().to_string();
        let version = env!("CARGO_PKG_VERSION");
        let made = Opened { made_new: true, layout_before: 0, layout: 6 };
        assert_eq!(
            told(&["--data-dir", &data], "[::]:3000", Some(made)),
            format!(
                "chat-server {version}, development\nopen http://localhost:3000\n\
                 store: SQLite in {data}/chat.db, made new with layout 6\nimages and everything else: in {data}\n\
                 secret: made new, kept in {data}/jwt-secret\n\
                 dialects: camel, push; push for pages whose token does not tell\nnode: alone\nno limit: CHAT_MESSAGE_LIMIT"
            )
        );
        let uri = "mongodb://ann:hu/sh@localhost/?tlsCertificateKeyFilePassword=hush";
        let other = [
            "--data-dir",
            &data,
            "--mongo-uri",
            uri,
            "--public-url=https://chat.example",
            "--dialects=camel",
            "--node=a",
            "--redis-url=redis://:hush@localhost",
            "--node-env=production",
            "--jwt-secret=hush-hush-hush-hush-hush-hush-hush-hush",
            "--message-limit=9",
        ];
        let other =
            told(&other, "10.0.0.1:80", Some(Opened { made_new: false, layout_before: 1, layout: 1 }));
        assert_eq!(
            other,
            format!(
                "chat-server {version}, production\nopen https://chat.example (this machine: http://10.0.0.1:80)\n\
                 store: MongoDB, as it was, with layout 1\nimages and everything else: in {data}\n\
                 secret: that of JWT_SECRET\ndialects: camel; camel for pages whose token does not tell\n\
                 node: a, hears others by Redis"
            )
        );
        let upgraded = Opened { made_new: false, layout_before: 3, layout: 6 };
        assert!(told(&["--data-dir", &data], "none", Some(upgraded)).contains("brought from layout 3 to 6"));
        let memory = ["--data-dir", &data, "--store=memory:"];
        for (address, expected) in
            [("127.0.0.1:1", "localhost:1"), ("[::1]:1", "localhost:1"), ("[fe80::1]:2", "[fe80::1]:2")]
        {
            assert!(told(&memory, address, None).contains(&format!("\nopen http://{expected}\n")));
        }
        assert!(!told(&memory, "none", None).contains("open "));
    }
}
