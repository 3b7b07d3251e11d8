//! TLS of the client leg: a certificate for the servers of one run, and the generator's side of a connection.

use anyhow::{Context, Result, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The name in the certificate.
const NAME: &str = "localhost";

/// Files that servers read.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

/// What clients trust.
#[derive(Debug, Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

/// Makes a certificate for one run in `directory`, and the authority that its clients trust.
pub(crate) fn certify(directory: &Path) -> Result<(Certificate, Trust)> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![NAME.to_owned()])?.signed_by(&key, &authority)?;
    let files = Certificate { chain: directory.join("certificate.pem"), key: directory.join("key.pem") };
    fs::write(&files.chain, certificate.pem()).context("cannot write a certificate")?;
    fs::write(&files.key, key.serialize_pem()).context("cannot write a key")?;
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok((files, Trust(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))))
}

impl Trust {
    /// Brings a fresh connection, still blocking, to where data may flow.
    pub(crate) fn shake_hands(&self, fd: &OwnedFd) -> Result<Tunnel> {
        let mut tunnel = ClientConnection::new(Arc::clone(&self.0), ServerName::try_from(NAME)?)?;
        tunnel.complete_io(&mut Wire(fd)).context("no TLS with the server")?;
        Ok(Tunnel(tunnel))
    }
}

/// The client's side of a TLS connection.
#[derive(Debug)]
pub(crate) struct Tunnel(ClientConnection);

impl Tunnel {
    /// Sends everything; a full socket is an error, as it would cut a message.
    pub(crate) fn send(&mut self, fd: &OwnedFd, bytes: &[u8]) -> Result<()> {
        let taken = self.0.writer().write(bytes)?;
        ensure!(taken == bytes.len(), "TLS took {taken} of {} bytes", bytes.len());
        while self.0.wants_write() {
            self.0.write_tls(&mut Wire(fd)).context("cannot send through TLS")?;
        }
        Ok(())
    }

    /// Receives what there is; 0 when there is nothing. A single read brings less than `buffer` holds, so nothing stays
    /// behind unnoticed.
    pub(crate) fn receive(&mut self, fd: &OwnedFd, buffer: &mut [u8]) -> Result<usize> {
        match self.0.read_tls(&mut Wire(fd)) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error).context("cannot receive through TLS"),
        }
        self.0.process_new_packets().context("broken TLS")?;
        let mut received = 0;
        loop {
            match self.0.reader().read(&mut buffer[received..]) {
                Ok(0) => return Ok(received),
                Ok(more) => received += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(received),
                Err(error) => return Err(error).context("cannot receive through TLS"),
            }
        }
    }
}

/// A socket as TLS wants it.
struct Wire<'a>(&'a OwnedFd);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        recv(self.0, buffer, RecvFlags::empty()).map(|(received, _)| received).map_err(Errno::into)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        send(self.0, bytes, SendFlags::NOSIGNAL).map_err(Errno::into)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
