//! TLS certificates for the connection to Redis. They can be renewed while the server runs.

use std::fmt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::error::ConfigError;

/// The maximum size of one file, in bytes. The complete list of a system's certificate authorities is a fifth of that.
const MAX_FILE_BYTES: u64 = 1 << 20;

const CA: &str = "CHAT_REDIS_CA";
const CERT: &str = "CHAT_REDIS_CERT";
const KEY: &str = "CHAT_REDIS_KEY";

/// Paths of the certificate files, in PEM format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Certificate authorities that verify Redis, instead of the system's.
    pub ca: Option<PathBuf>,
    /// The certificate of this server, and its private key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// The content of the files when they were last read successfully.
pub struct Certificates {
    files: CertificateFiles,
    read: Mutex<TlsCertificates>,
}

// The private key must not be logged.
impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the file that cannot be read, has the wrong content, or does not match the others.
    pub fn read(files: CertificateFiles) -> Result<Self, ConfigError> {
        let read = Mutex::new(read_all(&files)?);
        Ok(Self { files, read })
    }

    /// Reads the files again. The new content applies to connections that are opened from now on.
    ///
    /// # Errors
    /// As [`Self::read`]. In this case none of the certificates changes.
    pub fn read_again(&self) -> Result<(), ConfigError> {
        let read = read_all(&self.files)?;
        *self.read.lock() = read;
        Ok(())
    }

    /// The certificates for a new connection.
    pub(super) fn current(&self) -> TlsCertificates {
        self.read.lock().clone()
    }
}

fn read_all(files: &CertificateFiles) -> Result<TlsCertificates, ConfigError> {
    // This fails when the embedding application has installed a provider already, which works as well.
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
