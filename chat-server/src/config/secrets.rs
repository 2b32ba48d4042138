//! Secrets: those that sign and verify tokens, and all that can be read from files.
//!
//! Container platforms provide secrets as files. So for every variable that contains a secret, there is a second one
//! that names a file (`JWT_SECRET_FILE` for `JWT_SECRET`). Errors show only the name of the variable: the content of
//! the file is secret, and the path may be one, too, if the operator has confused the two variables.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::error::{ConfigError, wrong};
use super::options::Options;
use super::private;
use super::secret_files::SecretFiles;
use crate::secret::Secret;

/// Minimum number of characters of a signing secret in production.
const MIN_SECRET: usize = 32;

/// Maximum size in bytes of a file that contains a secret.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// Maximum number of secrets that only verify. A token without a key id is tried with each.
const MAX_OLD_SECRETS: usize = 16;

impl Options {
    /// The same options, with the secrets that were read from files.
    ///
    /// # Errors
    /// Names the variable whose file cannot be read, is empty, or is set together with the secret itself.
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

/// Reads the secret from a file, if one is named.
fn read(variable: &'static str, path: Option<&str>, is_set: bool) -> Result<Option<String>, ConfigError> {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(None) };
    if is_set {
        let other = variable.trim_end_matches("_FILE");
        return Err(wrong(variable, format!("is set, and so is {other}: there can be one of them only")));
    }
    // The text of the error contains no path.
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

/// The origin of the signing secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretOrigin {
    /// The variable or the flag.
    Variable,
    /// The file that `JWT_SECRET_FILE` names.
    File,
    /// The data folder, where it was stored.
    Kept,
    /// The secret was newly generated.
    Made,
}

/// The signing secret. `given` are the options before the secret files were read.
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

/// The secrets that only verify. They may be short, because their tokens already exist.
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

/// The path of the stored secret, for configurations without one.
pub(crate) fn kept_at(data_dir: &Path) -> PathBuf {
    data_dir.join(private::SECRET_FILE)
}

/// The secret in a file. If there is no such file, generates a new secret, which [`keep`] stores later.
fn kept(path: &Path) -> Result<(Secret, SecretOrigin), ConfigError> {
    let wrong =
        |problem: String| wrong("CHAT_DATA_DIR", format!("the secret in {} {problem}", path.display()));
    match fs::read_to_string(path) {
        Ok(secret) if secret.trim().len() >= MIN_SECRET => {
            Ok((Secret::new(secret.trim().to_owned()), SecretOrigin::Kept))
        }
        // A new secret would log out all users and hide that the file is damaged.
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

/// Stores a newly generated secret. The file is created completely or not at all, and never replaces another one.
///
/// # Errors
/// When the file cannot be written, or another process has stored a secret meanwhile.
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
mod tests;
