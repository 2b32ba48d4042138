//! Secrets: those that sign and verify, and all that may come from files.
//!
//! Container platforms hand secrets over as files, so every variable that holds one has a twin that names a file
//! (`JWT_SECRET_FILE` for `JWT_SECRET`). What is wrong with one is said by the variable's name alone: its content is a
//! secret, and a path may be one too, where somebody has mistaken the one variable for the other.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{ConfigError, Options, private, wrong};
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
    /// File that holds CHAT_FILES_S3_SECRET
    #[arg(long, env = "CHAT_FILES_S3_SECRET_FILE", value_name = "FILE")]
    pub files_s3_secret_file: Option<String>,
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
            files_s3_secret_file,
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
            ("CHAT_FILES_S3_SECRET_FILE", &mut options.files.s3_secret, files_s3_secret_file),
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

/// Where the secret that signs comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretOrigin {
    /// The variable, or the flag.
    Variable,
    /// The file that `JWT_SECRET_FILE` names.
    File,
    /// The data folder, where it was kept.
    Kept,
    /// It was made just now.
    Made,
}

/// The secret that signs. `given` are the options without what files hold.
pub(super) fn signing(
    given: &Options,
    options: &Options,
    production: bool,
) -> Result<(Secret, SecretOrigin), ConfigError> {
    let is_set = |secret: &Option<String>| secret.as_deref().is_some_and(|secret| !secret.is_empty());
    let origin = if is_set(&given.jwt_secret) { SecretOrigin::Variable } else { SecretOrigin::File };
    match options.jwt_secret.as_deref().filter(|secret| !secret.is_empty()) {
        Some(secret) if production && secret.len() < MIN_SECRET => {
            Err(wrong("JWT_SECRET", format!("must have at least {MIN_SECRET} characters in production")))
        }
        Some(secret) => Ok((Secret::new(secret.to_owned()), origin)),
        None if production => Err(wrong("JWT_SECRET", "must be set in production")),
        None => kept(&kept_at(&options.data_dir)),
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

/// Where the secret is kept if the configuration names none.
pub(crate) fn kept_at(data_dir: &Path) -> PathBuf {
    data_dir.join(private::SECRET_FILE)
}

/// The secret that is kept in a file; a new one if there is no such file, which [`keep`] keeps.
fn kept(path: &Path) -> Result<(Secret, SecretOrigin), ConfigError> {
    let wrong =
        |problem: String| wrong("CHAT_DATA_DIR", format!("the secret in {} {problem}", path.display()));
    match fs::read_to_string(path) {
        Ok(secret) if secret.trim().len() >= MIN_SECRET => {
            Ok((Secret::new(secret.trim().to_owned()), SecretOrigin::Kept))
        }
        // A new one would log everybody out, and hide that the file is damaged.
        Ok(_) => Err(wrong(format!(
            "has less than {MIN_SECRET} characters: it is damaged, or was not made here. Put the right one back from a backup, \
             or set JWT_SECRET; or remove the file, then a new one is made and everybody has to log in again"
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok((Secret::new(hex::encode(rand::random::<[u8; 32]>())), SecretOrigin::Made))
        }
        Err(error) => Err(wrong(format!("cannot be read: {error}"))),
    }
}

/// Keeps a secret that was made just now. It is there whole or not at all, and none that is there is replaced.
///
/// # Errors
/// When it cannot be written, or somebody else has kept one meanwhile.
pub(super) fn keep(data_dir: &Path, secret: &Secret) -> Result<(), ConfigError> {
    let path = kept_at(data_dir);
    let new = data_dir.join(format!("{}.{}", private::SECRET_FILE, std::process::id()));
    let keep = || {
        let mut file = fs::OpenOptions::new();
        file.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
        let mut file = file.open(&new)?;
        file.write_all(secret.expose().as_bytes())?;
        file.sync_all()?;
        fs::hard_link(&new, &path)?;
        File::open(data_dir)?.sync_all()
    };
    let kept = keep();
    let _ = fs::remove_file(&new);
    kept.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => wrong(
            "CHAT_DATA_DIR",
            "another server has just made a secret there: start again, to use that one",
        ),
        _ => wrong("CHAT_DATA_DIR", format!("the secret cannot be kept there: {error}")),
    })
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
            assert!(
                refused.contains(path.to_str().unwrap()) && refused.contains("less than 32"),
                "{refused}"
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), short);
        }
    }
}
