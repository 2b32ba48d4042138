//! Secrets: those that sign and verify, and all that may come from files.
//!
//! Container platforms hand secrets over as files, so every variable that holds one has a twin that names a file
//! (`JWT_SECRET_FILE` for `JWT_SECRET`). What is wrong with one is said by the variable's name alone: its content is a
//! secret, and a path may be one too, where somebody has mistaken the one variable for the other.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use clap::Args;

use super::{ConfigError, Options, wrong};
use crate::secret::Secret;

/// The fewest characters of a secret that signs in production.
const MIN_SECRET: usize = 32;

/// The most bytes of a file that holds a secret.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// The most secrets that verify only: a token that names no key is tried with each.
const MAX_OLD_SECRETS: usize = 16;

/// Files that secrets are read from, in place of the variables without `_FILE`. A newline at the end does not count.
#[derive(Clone, Default, Args)]
#[command(next_help_heading = "Secrets from files")]
pub struct SecretFiles {
    /// File that holds JWT_SECRET
    #[arg(long, env = "JWT_SECRET_FILE", value_name = "FILE")]
    pub jwt_secret_file: Option<String>,
    /// File that holds CHAT_OLD_JWT_SECRET; there may also be one secret a line
    #[arg(long, env = "CHAT_OLD_JWT_SECRET_FILE", value_name = "FILE")]
    pub old_jwt_secret_file: Option<String>,
    /// File that holds CHAT_STORE
    #[arg(long, env = "CHAT_STORE_FILE", value_name = "FILE")]
    pub store_file: Option<String>,
    /// File that holds MONGO_URI
    #[arg(long, env = "MONGO_URI_FILE", value_name = "FILE")]
    pub mongo_uri_file: Option<String>,
    /// File that holds MONGODB_URI
    #[arg(long, env = "MONGODB_URI_FILE", value_name = "FILE")]
    pub mongodb_uri_file: Option<String>,
    /// File that holds REDIS_URL
    #[arg(long, env = "REDIS_URL_FILE", value_name = "FILE")]
    pub redis_url_file: Option<String>,
    /// File that holds CLOUDINARY_API_KEY
    #[arg(long, env = "CLOUDINARY_API_KEY_FILE", value_name = "FILE")]
    pub cloudinary_api_key_file: Option<String>,
    /// File that holds CLOUDINARY_API_SECRET
    #[arg(long, env = "CLOUDINARY_API_SECRET_FILE", value_name = "FILE")]
    pub cloudinary_api_secret_file: Option<String>,
    /// File that holds RESEND_API_KEY
    #[arg(long, env = "RESEND_API_KEY_FILE", value_name = "FILE")]
    pub resend_api_key_file: Option<String>,
}

impl Options {
    /// The same options, with the secrets that files hold in their places.
    ///
    /// # Errors
    /// Names the variable whose file cannot be read, is empty, or stands beside the secret itself.
    pub(crate) fn with_secrets(&self) -> Result<Self, ConfigError> {
        let mut options = self.clone();
        let files = std::mem::take(&mut options.secret_files);
        let SecretFiles {
            jwt_secret_file,
            old_jwt_secret_file,
            store_file,
            mongo_uri_file,
            mongodb_uri_file,
            redis_url_file,
            cloudinary_api_key_file,
            cloudinary_api_secret_file,
            resend_api_key_file,
        } = files;
        for (variable, secret, file) in [
            ("JWT_SECRET_FILE", &mut options.jwt_secret, jwt_secret_file),
            ("CHAT_STORE_FILE", &mut options.store, store_file),
            ("MONGO_URI_FILE", &mut options.mongo_uri, mongo_uri_file),
            ("MONGODB_URI_FILE", &mut options.mongodb_uri, mongodb_uri_file),
            ("REDIS_URL_FILE", &mut options.redis_url, redis_url_file),
            ("CLOUDINARY_API_KEY_FILE", &mut options.cloudinary_api_key, cloudinary_api_key_file),
            ("CLOUDINARY_API_SECRET_FILE", &mut options.cloudinary_api_secret, cloudinary_api_secret_file),
            ("RESEND_API_KEY_FILE", &mut options.resend_api_key, resend_api_key_file),
        ] {
            let is_set = secret.as_deref().is_some_and(|secret| !secret.is_empty());
            if let Some(read) = read(variable, file.as_deref(), is_set)? {
                *secret = Some(read);
            }
        }
        let is_set = options.old_jwt_secret.iter().any(|secret| !secret.is_empty());
        if let Some(read) = read("CHAT_OLD_JWT_SECRET_FILE", old_jwt_secret_file.as_deref(), is_set)? {
            options.old_jwt_secret = read.split([',', '\n']).map(str::to_owned).collect();
        }
        Ok(options)
    }
}

/// The secret in a file, if one is named.
fn read(variable: &'static str, path: Option<&str>, is_set: bool) -> Result<Option<String>, ConfigError> {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(None) };
    if is_set {
        let other = variable.trim_end_matches("_FILE");
        return Err(wrong(variable, format!("is set, and so is {other}: there can be one of them only")));
    }
    // The error's own words hold no path.
    let unreadable = |error: std::io::Error| wrong(variable, format!("the file cannot be read: {error}"));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(wrong(variable, "the file is too large for a secret"));
    }
    let secret = String::from_utf8(bytes).map_err(|_| wrong(variable, "the file is not UTF-8 text"))?;
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.trim().is_empty() {
        return Err(wrong(variable, "the file is empty"));
    }
    Ok(Some(secret.to_owned()))
}

/// The secret that signs.
pub(super) fn signing(options: &Options, production: bool) -> Result<Secret, ConfigError> {
    match options.jwt_secret.as_deref().filter(|secret| !secret.is_empty()) {
        Some(secret) if production && secret.len() < MIN_SECRET => {
            Err(wrong("JWT_SECRET", format!("must have at least {MIN_SECRET} characters in production")))
        }
        Some(secret) => Ok(Secret::new(secret.to_owned())),
        None if production => Err(wrong("JWT_SECRET", "must be set in production")),
        None => kept(&options.data_dir.join("jwt-secret"))
            .map_err(|error| wrong("CHAT_DATA_DIR", format!("the secret cannot be kept there: {error}"))),
    }
}

/// Those that verify only. They may be short: the tokens that were signed with them are there already.
pub(super) fn old(options: &Options, signing: &Secret) -> Result<Vec<Secret>, ConfigError> {
    let mut secrets: Vec<Secret> = Vec::new();
    for secret in options.old_jwt_secret.iter().map(|secret| secret.trim()) {
        let secret = Secret::new(secret.to_owned());
        if !secret.expose().is_empty() && secret != *signing && !secrets.contains(&secret) {
            secrets.push(secret);
        }
    }
    if secrets.len() > MAX_OLD_SECRETS {
        return Err(wrong("CHAT_OLD_JWT_SECRET", format!("must list at most {MAX_OLD_SECRETS} secrets")));
    }
    Ok(secrets)
}

fn kept(path: &Path) -> std::io::Result<Secret> {
    match fs::read_to_string(path) {
        Ok(secret) if secret.trim().len() >= MIN_SECRET => {
            return Ok(Secret::new(secret.trim().to_owned()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let secret = hex::encode(rand::random::<[u8; 32]>());
    let mut file = fs::OpenOptions::new();
    file.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    let mut file = file.open(path)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    Ok(Secret::new(secret))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;

    const HUSH: &str = "hush-hush-hush-hush-hush-hush-hush-hush";

    /// Options of flags alone, whatever the environment says.
    fn parsed(arguments: &[&str]) -> Options {
        let command = Options::command().mut_args(|arg| arg.env(None));
        let arguments = std::iter::once("chat-server").chain(arguments.iter().copied());
        Options::from_arg_matches(&command.get_matches_from(arguments)).unwrap()
    }

    /// Every option whose value is a secret: its flag and its variable.
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
        assert_eq!(secrets.len(), 9, "{secrets:?}");
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
            let arguments = [
                "--node-env=production",
                "--data-dir",
                data,
                "--jwt-secret",
                secret,
                "--old-jwt-secret=short",
            ];
            super::super::Config::check(&parsed(&arguments)).map(|config| config.auth.old_secrets.len())
        };
        assert_eq!(production(HUSH).unwrap(), 1);
        let problem = production("short").unwrap_err().to_string();
        assert_eq!(problem, "JWT_SECRET: must have at least 32 characters in production");
    }
}
