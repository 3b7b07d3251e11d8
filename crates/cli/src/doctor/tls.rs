//! TLS to a server, judged as browsers do, and what its failures mean.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, OtherError, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::fault::{Fault, TlsFault};

/// Whom this machine trusts.
#[derive(Clone)]
pub(crate) struct Trust(TlsConnector);

impl Trust {
    /// The authorities that the system trusts, and those in the file.
    ///
    /// # Errors
    /// A file that cannot be read, or without a certificate.
    pub(crate) fn new(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        // A system without certificates trusts nobody, which the findings will say.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = file {
            let unreadable = || format!("cannot read certificates from {}", file.display());
            let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect)
                .map_err(|error| anyhow::anyhow!("{error}"))
                .with_context(unreadable)?;
            let (added, _) = roots.add_parsable_certificates(certificates);
            anyhow::ensure!(added > 0, "there is no certificate in {}", file.display());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS cannot be used")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Greets the server that is called `host`.
    pub(crate) async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, Fault> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| Fault::NoAddress { host: host.to_owned() })?;
        self.0.connect(name, stream).await.map_err(|error| fault(host, &error))
    }
}

fn fault(host: &str, error: &io::Error) -> Fault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    Fault::Tls(match inner {
        Some(rustls::Error::InvalidCertificate(certificate)) => certificate_fault(host, certificate),
        Some(rustls::Error::InvalidMessage(_)) => TlsFault::NotTls,
        Some(other) => TlsFault::Other(other.to_string()),
        None => return super::link::fault_of(error),
    })
}

fn certificate_fault(host: &str, error: &CertificateError) -> TlsFault {
    match error {
        CertificateError::Expired => TlsFault::Expired { ago: None },
        CertificateError::ExpiredContext { time, not_after } => {
            let seconds = |time: &UnixTime| Duration::from_secs(time.as_secs());
            TlsFault::Expired { ago: seconds(time).checked_sub(seconds(not_after)) }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsFault::NotYet,
        CertificateError::NotValidForName => TlsFault::WrongName { host: host.to_owned(), names: Vec::new() },
        CertificateError::NotValidForNameContext { presented, .. } => {
            TlsFault::WrongName { host: host.to_owned(), names: presented.iter().map(|name| plain(name)).collect() }
        }
        CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
        CertificateError::Other(OtherError(error)) if is_authoritys(error.as_ref()) => TlsFault::SelfSigned,
        other => TlsFault::Other(other.to_string()),
    }
}

/// Whether a certificate is that of an authority, as `openssl req -x509` makes them, and not one that an authority signed for
/// a server (RFC 5280 §4.2.1.9).
fn is_authoritys(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// A name without what it is wrapped in, such as `DnsName("example.org")`.
fn plain(name: &str) -> String {
    name.split('"').nth(1).unwrap_or(name).to_owned()
}
