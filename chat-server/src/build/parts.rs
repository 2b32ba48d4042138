//! Builds the parts that store images and files and send mail, from the configuration.

use std::sync::Arc;
use std::time::Duration;

use chat_core::codec::{Codec, Metered};
use chat_core::model::Position;
use chat_core::prelude::Chat;

use crate::config::{Config, ConfigError, private};
use crate::files::{FileStore, Files};
use crate::limits::LongWork;
use crate::mail::{LogMailer, Mailer, ResendMailer};
use crate::media::{CloudinaryMedia, DiskMedia, Images};
use crate::memory::Memory;

/// The image service, and the folder to serve images from if they are stored on disk.
pub(super) type MediaParts = (Arc<Images>, Option<Arc<DiskMedia>>);

pub(super) fn media(config: &Config, chat: &Arc<Chat>) -> Result<MediaParts, ConfigError> {
    if let Some(cloudinary) = &config.cloudinary {
        let chat = chat.clone();
        let clock = Arc::new(move || {
            std::time::UNIX_EPOCH + Duration::from_millis(chat.now().as_millis().unsigned_abs())
        });
        let media = CloudinaryMedia::new(cloudinary.clone(), http_client()?, clock)
            .map_err(|error| variable("CLOUDINARY_CLOUD_NAME", &error))?;
        let images = Images::open(Arc::new(media), &config.data_dir.join("cloudinary"), config.media_limits);
        return Ok((Arc::new(images.map_err(|error| variable("CHAT_DATA_DIR", &error))?), None));
    }
    let dir = config.data_dir.join("media");
    let disk = DiskMedia::new(&dir, "/media", Arc::new(rand::random));
    let disk = Arc::new(disk.map_err(|error| variable("CHAT_DATA_DIR", &error))?);
    let images = Images::open(disk.clone(), &dir, config.media_limits);
    // This runs in a thread of its own that nothing waits for, because there may be very many files.
    let mending = std::thread::Builder::new().spawn(move || private::mend_images(&dir));
    drop(mending.map_err(|error| variable("CHAT_DATA_DIR", &error))?);
    Ok((Arc::new(images.map_err(|error| variable("CHAT_DATA_DIR", &error))?), Some(disk)))
}

pub(super) fn files(
    config: &Config,
    chat: &Arc<Chat>,
    codec: &Arc<Metered<Arc<dyn Codec>>>,
    work: (&LongWork, &Arc<Memory>),
    position: Position,
) -> Result<Arc<Files>, ConfigError> {
    let dir = config.data_dir.join("files");
    let store = bucket(config)?;
    Files::open(&dir, &config.files, &config.auth, chat, codec.clone(), work, store, position)
        .map_err(|error| variable("CHAT_DATA_DIR", &error))
}

/// The bucket for files, if one is configured.
#[cfg(feature = "s3")]
fn bucket(config: &Config) -> Result<Option<Arc<dyn FileStore>>, ConfigError> {
    use crate::files::{S3Config, S3Files};

    let Some(bucket) = &config.files.bucket else { return Ok(None) };
    let bucket: &S3Config = bucket;
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Each read has a timeout, but a whole file has none, because it may take long.
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(30))
        .build()
        .map_err(|error| variable("CHAT_FILES_S3_ENDPOINT", &error))?;
    let store = S3Files::new(bucket, client).map_err(|error| {
        let reason = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        variable("CHAT_FILES_S3_ENDPOINT", &reason)
    })?;
    Ok(Some(Arc::new(store)))
}

/// Without the feature `s3`, the configuration has already refused to start with a bucket.
#[cfg(not(feature = "s3"))]
fn bucket(_: &Config) -> Result<Option<Arc<dyn FileStore>>, ConfigError> {
    Ok(None)
}

pub(super) fn mailer(config: &Config) -> Result<Arc<dyn Mailer>, ConfigError> {
    match &config.resend {
        Some(resend) => {
            let mailer = ResendMailer::new(resend.clone(), http_client()?);
            Ok(Arc::new(mailer.map_err(|error| variable("RESEND_API_KEY", &error))?))
        }
        None => Ok(Arc::new(LogMailer)),
    }
}

fn http_client() -> Result<reqwest::Client, ConfigError> {
    // This fails when the embedding application has installed a provider already, which works as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().build().map_err(|error| variable("CHAT_CLOUDINARY_URL", &error))
}

fn variable(variable: &'static str, problem: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Variable { variable, problem: problem.to_string() }
}
