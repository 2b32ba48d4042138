//! The certificates of the connection to Redis, which may be renewed while the server runs.

use std::fmt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::error::ConfigError;

/// Most bytes of one of the files: all authorities of a system take a fifth of that.
const MAX_FILE_BYTES: u64 = 1 << 20;

const CA: &str = "CHAT_REDIS_CA";
const CERT: &str = "CHAT_REDIS_CERT";
const KEY: &str = "CHAT_REDIS_KEY";

/// Where the certificates are, in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Of those who vouch for Redis, in the place of the system's.
    pub ca: Option<PathBuf>,
    /// Who this server is, and the key to it.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// What is in the files, as it was when they could be read last.
pub struct Certificates {
    files: CertificateFiles,
    read: Mutex<TlsCertificates>,
}

// One of them is secret.
impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the one that cannot be read, holds something else, or does not fit the others.
    pub fn read(files: CertificateFiles) -> Result<Self, ConfigError> {
        let read = Mutex::new(read_all(&files)?);
        Ok(Self { files, read })
    }

    /// Reads the files again, for connections that are made from now on.
    ///
    /// # Errors
    /// As [`Self::read`]; then all of them stay as they were.
    pub fn read_again(&self) -> Result<(), ConfigError> {
        let read = read_all(&self.files)?;
        *self.read.lock() = read;
        Ok(())
    }

    /// What a connection is made with now.
    pub(super) fn current(&self) -> TlsCertificates {
        self.read.lock().clone()
    }
}

fn read_all(files: &CertificateFiles) -> Result<TlsCertificates, ConfigError> {
    // Fails when somebody who embeds this server has installed a provider already: theirs is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root_cert = files.ca.as_deref().map(|path| read(CA, path)).transpose()?;
    if let Some(pem) = &root_cert {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(CA, pem)? {
            roots.add(certificate).map_err(|_| wrong(CA, "holds something that is no certificate"))?;
        }
    }
    let client_tls = match &files.client {
        None => None,
        Some((cert, key)) => {
            let client = ClientTlsConfig { client_cert: read(CERT, cert)?, client_key: read(KEY, key)? };
            let chain = certificates(CERT, &client.client_cert)?;
            let key = PrivateKeyDer::from_pem_slice(&client.client_key)
                .map_err(|_| wrong(KEY, "holds no key in PEM"))?;
            let tls = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
            tls.with_client_auth_cert(chain, key)
                .map_err(|_| wrong(KEY, format!("is not the key of the certificate in {CERT}")))?;
            Some(client)
        }
    };
    Ok(TlsCertificates { client_tls, root_cert })
}

fn certificates(variable: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|_| wrong(variable, "is not PEM"))?;
    if found.is_empty() {
        return Err(wrong(variable, "holds no certificate in PEM"));
    }
    Ok(found)
}

fn read(variable: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |error: std::io::Error| wrong(variable, format!("the file cannot be read: {error}"));
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE_BYTES {
        return Err(wrong(variable, format!("the file has more than {MAX_FILE_BYTES} bytes")));
    }
    std::fs::read(path).map_err(unreadable)
}

fn wrong(variable: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Variable { variable, problem: problem.into() }
}

#[cfg(test)]
mod tests;
