//! Tests for [`secrets`](super).

use clap::{CommandFactory, FromArgMatches};

use super::*;

const HUSH: &str = "hush-hush-hush-hush-hush-hush-hush-hush";

/// Options from flags only; the environment is ignored.
fn parsed(arguments: &[&str]) -> Options {
    let command = Options::command().mut_args(|arg| arg.env(None));
    let arguments = std::iter::once("chat-server").chain(arguments.iter().copied());
    Options::from_arg_matches(&command.get_matches_from(arguments)).unwrap()
}

/// The flag and the variable of every option that contains a secret.
fn secrets() -> Vec<(String, String)> {
    let command = Options::command();
    let hidden = command.get_arguments().filter(|arg| arg.is_hide_env_values_set());
    hidden
        .map(|arg| {
            let variable = arg.get_env().unwrap().to_str().unwrap().to_owned();
            (format!("--{}", arg.get_long().unwrap()), variable)
        })
        .collect()
}

fn file(folder: &tempfile::TempDir, content: &[u8]) -> String {
    let path = folder.path().join(format!("{:08x}", rand::random::<u32>()));
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_secret_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(&folder, HUSH.as_bytes());
    let secrets = secrets();
    assert_eq!(secrets.len(), 10, "{secrets:?}");
    for (flag, variable) in secrets {
        let of_file = format!("{flag}-file");
        let problem = |arguments: &[&str]| {
            let refused = parsed(arguments).with_secrets().err().map(|error| error.to_string());
            let refused = refused.unwrap_or_else(|| panic!("{arguments:?} must be refused"));
            assert!(refused.starts_with(&format!("{variable}_FILE: ")), "{refused}");
            assert!(!refused.contains("hush") && !refused.contains("secret-path"), "{refused}");
            refused
        };
        assert!(parsed(&[&of_file, &good]).with_secrets().is_ok(), "{of_file}");
        assert!(parsed(&[&flag, "", &of_file, &good]).with_secrets().is_ok(), "an empty one is none");
        assert!(parsed(&[&flag, HUSH, &of_file, ""]).with_secrets().is_ok(), "an empty one is none");
        assert!(problem(&[&flag, "hush", &of_file, &good]).contains(&format!("so is {variable}")));
        assert!(problem(&[&of_file, "/secret-path"]).contains("cannot be read: No such file"));
        assert!(problem(&[&of_file, folder.path().to_str().unwrap()]).contains("cannot be read"));
        for empty in ["", "\n", " \r\n\n"] {
            let empty = file(&folder, empty.as_bytes());
            assert!(problem(&[&of_file, &empty]).ends_with("is empty"));
        }
        assert!(problem(&[&of_file, &file(&folder, b"hush\xff")]).ends_with("not UTF-8 text"));
        let large = file(&folder, &vec![b'h'; 1 << 20]);
        assert!(problem(&[&of_file, &large]).ends_with("too large for a secret"));
    }
}

#[test]
fn what_a_file_holds_is_used_without_the_newline_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    for end in ["", "\n", "\r\n"] {
        let holding = |content: &str| file(&folder, format!("{content}{end}").as_bytes());
        let (secret, store) = (holding(HUSH), holding("memory:"));
        let (redis, mail) = (holding("redis://localhost"), holding("re_key"));
        let data = folder.path().to_str().unwrap();
        let config = super::super::Config::check(&parsed(&[
            "--node-env=production",
            "--data-dir",
            data,
            "--jwt-secret-file",
            &secret,
            "--store-file",
            &store,
            "--redis-url-file",
            &redis,
            "--resend-api-key-file",
            &mail,
            "--email-from=chat@example.com",
        ]))
        .unwrap();
        assert_eq!(config.auth.secret.expose(), HUSH);
        assert!(matches!(config.store, super::super::StoreConfig::Memory));
        assert!(config.cluster.has_secret, "it may be the same on all nodes");
        assert_eq!(config.cluster.redis.unwrap().url.expose(), "redis://localhost");
        assert_eq!(config.resend.unwrap().api_key.expose(), "re_key");
    }
    let mongo = file(&folder, b"mongodb://ann:hush@localhost/old\n");
    for flag in ["--store-file", "--mongo-uri-file", "--mongodb-uri-file"] {
        let found = super::super::StoreConfig::find(&parsed(&[flag, &mongo]));
        match found.unwrap() {
            super::super::StoreConfig::MongoDb { uri } => {
                assert_eq!(uri.expose(), "mongodb://ann:hush@localhost/old");
            }
            other => panic!("{flag} leads to {other:?}"),
        }
    }
    let (key, secret) = (file(&folder, b"key\n"), file(&folder, b"secret\n"));
    let images = parsed(&["--cloudinary-api-key-file", &key, "--cloudinary-api-secret-file", &secret]);
    let images = images.with_secrets().unwrap();
    assert_eq!(images.cloudinary_api_key.as_deref(), Some("key"));
    assert_eq!(images.cloudinary_api_secret.as_deref(), Some("secret"));
}

#[test]
fn old_secrets_may_be_several_and_short() {
    let folder = tempfile::tempdir().unwrap();
    let lines = file(&folder, b"one\r\ntwo\n");
    let signing = Secret::new(HUSH.into());
    let listed = |arguments: &[&str]| {
        let options = parsed(arguments).with_secrets()?;
        let old = old(&options, &signing)?;
        Ok::<_, ConfigError>(old.iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(listed(&[]).unwrap(), Vec::<String>::new());
    assert_eq!(listed(&["--old-jwt-secret", "one, two,,one"]).unwrap(), ["one", "two"]);
    assert_eq!(listed(&["--old-jwt-secret", HUSH]).unwrap(), Vec::<String>::new(), "it signs, too");
    assert_eq!(listed(&["--old-jwt-secret-file", &lines]).unwrap(), ["one", "two"]);
    let many: Vec<_> = (0..17).map(|n| n.to_string()).collect();
    let problem = listed(&["--old-jwt-secret", &many.join(",")]).unwrap_err().to_string();
    assert_eq!(problem, "CHAT_OLD_JWT_SECRET: must list at most 16 secrets");

    let data = folder.path().to_str().unwrap();
    let production = |secret: &str| {
        let arguments =
            ["--node-env=production", "--data-dir", data, "--jwt-secret", secret, "--old-jwt-secret=short"];
        super::super::Config::check(&parsed(&arguments)).map(|config| config.auth.old_secrets.len())
    };
    assert_eq!(production(HUSH).unwrap(), 1);
    let problem = production("short").unwrap_err().to_string();
    assert_eq!(problem, "JWT_SECRET: must have at least 32 characters in production");
}

#[test]
fn a_kept_secret_is_used_or_refused_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(private::SECRET_FILE);
    let (made, origin) = kept(&path).unwrap();
    assert_eq!((origin, made.expose().len()), (SecretOrigin::Made, 64));
    assert!(!path.exists(), "it is kept when the store is open");
    keep(folder.path(), &made).unwrap();
    assert_eq!(kept(&path).unwrap(), (made.clone(), SecretOrigin::Kept));
    assert!(keep(folder.path(), &Secret::new(HUSH.into())).is_err(), "another one is there");
    assert_eq!(kept(&path).unwrap().0, made);
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "nothing else is left behind");
    for short in ["", "hush", "\n", &HUSH[..31]] {
        fs::write(&path, short).unwrap();
        let refused = kept(&path).unwrap_err().to_string();
        assert!(
            refused.starts_with("CHAT_DATA_DIR: the secret in ") && !refused.contains("hush"),
            "{refused}"
        );
        assert!(refused.contains(path.to_str().unwrap()) && refused.contains("less than 32"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), short);
    }
}
