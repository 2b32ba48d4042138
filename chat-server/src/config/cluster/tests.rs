//! Tests for [`cluster`](super).

use clap::Parser;

use super::*;

fn checked(bus: Option<&str>, redis: Option<&str>) -> Result<ClusterConfig, ConfigError> {
    let mut options = Options::parse_from(["chat-server"]);
    (options.bus, options.redis_url) = (bus.map(str::to_owned), redis.map(str::to_owned));
    ClusterConfig::check(&options)
}

fn auth() -> AuthConfig {
    AuthConfig {
        secret: Secret::new("s".into()),
        old_secrets: Vec::new(),
        token_life: std::time::Duration::from_secs(60),
        access_life: std::time::Duration::from_secs(60),
        refresh_life: std::time::Duration::from_secs(60),
        bcrypt_cost: 4,
        login_limit: 0,
        login_address_limit: 0,
        signup_limit: 0,
        passwords: crate::auth::password_rules::PasswordRules { min: None, check_common: false },
    }
}

fn problem<T>(refused: Result<T, ConfigError>) -> String {
    refused.err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    assert_eq!(problem(checked(Some("kafka"), None)), "CHAT_BUS: must be redis, store or none");
    assert_eq!(problem(checked(Some("redis"), None)), "REDIS_URL: is missing, CHAT_BUS is redis");
    let secret = auth();
    let alone = checked(Some("store"), None).unwrap().bus(false, &secret);
    assert!(problem(alone).starts_with("CHAT_BUS: several nodes need a store"));
    for url in ["redis//x", "http://:hunter2@localhost", "redis://:hunter2@[::1", "hunter2"] {
        let problem = problem(checked(None, Some(url)).unwrap().bus(true, &secret));
        assert!(problem.starts_with("REDIS_URL: must be redis://"), "{url}: {problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    assert!(!format!("{:?}", checked(None, Some("redis://:hunter2@localhost")).unwrap()).contains("hunter2"));
}

#[test]
fn certificates_are_for_tls_and_a_key_comes_with_its_certificate() {
    let checked = |url: Option<&str>, set: &dyn Fn(&mut Options)| {
        let mut options = Options::parse_from(["chat-server"]);
        options.redis_url = url.map(str::to_owned);
        set(&mut options);
        problem(ClusterConfig::check(&options))
    };
    for url in [None, Some("redis://localhost")] {
        let refused = checked(url, &|options| options.redis_ca = Some("ca.pem".into()));
        assert!(refused.starts_with("CHAT_REDIS_CA: is of use only with"), "{refused}");
    }
    let tls = Some("rediss://localhost");
    let refused = checked(tls, &|options| options.redis_key = Some("key.pem".into()));
    assert_eq!(refused, "CHAT_REDIS_KEY: needs its certificate in CHAT_REDIS_CERT");
    let refused = checked(tls, &|options| options.redis_cert = Some("cert.pem".into()));
    assert_eq!(refused, "CHAT_REDIS_CERT: needs its key in CHAT_REDIS_KEY");
    let empty = |options: &mut Options| (options.redis_ca, options.redis_cert) = (Some(String::new()), None);
    assert_eq!(checked(tls, &empty), "");
}

#[test]
fn the_bus_suits_the_store() {
    let secret = auth();
    let is_there =
        |bus, redis, is_shared| checked(bus, redis).unwrap().bus(is_shared, &secret).unwrap().is_some();
    let url = Some("rediss://user:hunter2@redis.example.com:6380/2");
    assert!(!is_there(None, url, false), "an old .env with SQLite");
    assert!(is_there(None, url, true));
    assert!(is_there(None, None, true), "somebody may start a second node");
    assert!(!is_there(Some("none"), url, true));
}
