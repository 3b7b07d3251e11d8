//! A renewed certificate is served after SIGHUP, and a bad one is not.

mod common;

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use common::Serving;
use rustix::process::Signal;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};

/// Writes a new pair; returns its certificate.
fn renew(folder: &Path) -> CertificateDer<'static> {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    fs::write(folder.join("certificate.pem"), pair.cert.pem()).expect("written");
    fs::write(folder.join("key.pem"), pair.signing_key.serialize_pem()).expect("written");
    pair.cert.der().clone()
}

/// Whether the server shows this certificate.
fn shows(address: &str, certificate: &CertificateDer<'static>) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let mut tls = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut socket = TcpStream::connect(address).expect("connects");
    Stream::new(&mut tls, &mut socket).flush().is_ok() && !tls.is_handshaking()
}

#[test]
fn a_renewed_certificate_is_served_without_a_restart_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = renew(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (certificate, key) = (path("certificate.pem"), path("key.pem"));
    let files = ["--turn-certificate", &certificate, "--turn-private-key", &key];
    let server =
        Serving::start(&[&["--admin-listen", "none", "--turn-tls-listen", "127.0.0.1:0"], &files[..]].concat());
    let line: serde_json::Value = serde_json::from_str(&server.logged("\"serving\"")).expect("JSON");
    let address = line["turn_tls"].as_str().expect("an address");
    assert!(shows(address, &first));

    let second = renew(folder.path());
    assert!(shows(address, &first) && !shows(address, &second), "until the signal");
    server.signal(Signal::HUP);
    server.logged("read the certificate of TURN again");
    assert!(shows(address, &second) && !shows(address, &first));

    fs::write(&key, "-----BEGIN NONSENSE-----\n").expect("written");
    server.signal(Signal::HUP);
    let line = server.logged("nothing changed");
    assert!(line.contains("key.pem") && line.contains("\"ERROR\""), "{line}");
    assert!(shows(address, &second));
}
