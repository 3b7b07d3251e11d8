//! The certificate for TURN over TLS.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};

use crate::config::TlsFiles;

/// Why there is no TLS, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; the server's user needs to be allowed to.")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is no PEM.
    #[error("{path} is not in PEM format: {reason}; it begins with -----BEGIN.")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file holds no certificate.
    #[error("{path} holds no certificate; it needs the chain, the server's own first.")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file holds no private key.
    #[error("{path} holds no private key; PKCS#8, PKCS#1 and SEC1 are understood, without a passphrase.")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key are not a pair, or of a kind that is not supported.
    #[error("the key in {private_key} cannot be used with the certificate in {certificate}: {source}.")]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        private_key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

impl TlsFiles {
    /// Reads certificate and key and forgets them again: what is wrong with them shows before a server starts.
    ///
    /// # Errors
    /// As when a server starts: which file is at fault, and why.
    pub fn check(&self) -> Result<(), TlsError> {
        load(self).map(drop)
    }
}

/// What new TLS connections begin with; shared by all workers.
#[derive(Debug)]
pub(crate) struct Certificate(RwLock<Arc<ServerConfig>>);

impl Certificate {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// Says which file is at fault, and why.
    pub(super) fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        load(files).map(|config| Self(RwLock::new(config)))
    }

    /// Reads them again; connections that stand keep what they began with. A pair that cannot be used changes nothing.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn reload(&self, files: &TlsFiles) -> Result<(), TlsError> {
        let config = load(files)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// What a connection begins with now.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads certificate and key.
///
/// # Errors
/// Says which file is at fault, and why.
fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let TlsFiles { certificate, private_key } = files;
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey { path: private_key.clone() },
        error => problem(private_key, error),
    })?;
    let unusable =
        |source| TlsError::Unusable { certificate: certificate.clone(), private_key: private_key.clone(), source };
    // Named here, not taken from the process: libraries in the same program may want another one.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(chain) if chain.is_empty() => Err(TlsError::NoCertificate { path: path.to_owned() }),
        Ok(chain) => Ok(chain),
        Err(pem::Error::NoItemsFound) => Err(TlsError::NoCertificate { path: path.to_owned() }),
        Err(error) => Err(problem(path, error)),
    }
}

fn problem(path: &Path, error: pem::Error) -> TlsError {
    let path = path.to_owned();
    match error {
        pem::Error::Io(source) => TlsError::Unreadable { path, source },
        error => TlsError::NotPem { path, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn files(directory: &tempfile::TempDir, certificate: &str, key: &str) -> TlsFiles {
        let files = TlsFiles {
            certificate: directory.path().join("certificate.pem"),
            private_key: directory.path().join("key.pem"),
        };
        fs::write(&files.certificate, certificate).expect("written");
        fs::write(&files.private_key, key).expect("written");
        files
    }

    #[test]
    fn each_mistake_names_its_file() {
        let pair = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("certificate");
        let (ours, other) = (pair(), pair());
        let (certificate, key) = (ours.cert.pem(), ours.signing_key.serialize_pem());
        let directory = tempfile::tempdir().expect("directory");
        assert!(load(&files(&directory, &certificate, &key)).is_ok());
        assert!(files(&directory, &certificate, &key).check().is_ok());
        let error = |certificate: &str, key: &str| load(&files(&directory, certificate, key)).expect_err("a mistake");
        assert!(matches!(error("", &key), TlsError::NoCertificate { .. }));
        assert!(matches!(error(&certificate, &certificate), TlsError::NoKey { .. }));
        assert!(matches!(error(&certificate, &other.signing_key.serialize_pem()), TlsError::Unusable { .. }));
        assert!(matches!(error("-----BEGIN CERTIFICATE-----\n", &key), TlsError::NotPem { .. }));
        let certificate_in_use = Certificate::load(&files(&directory, &certificate, &key)).expect("a pair");
        let before = certificate_in_use.current();
        assert!(certificate_in_use.reload(&files(&directory, &certificate, "")).is_err());
        assert!(Arc::ptr_eq(&before, &certificate_in_use.current()), "a bad pair changes nothing");
        let missing =
            TlsFiles { certificate: directory.path().join("none"), private_key: directory.path().join("none") };
        let error = load(&missing).expect_err("no file");
        assert!(matches!(error, TlsError::Unreadable { .. }));
        assert!(error.to_string().contains("none"), "{error}");
    }
}
