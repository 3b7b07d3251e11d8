//! The doctor examines the real server, and servers with one fault each: what it says, and how it ends.

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread;

use common::{Serving, run, text};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The value of a field of the line that says where a server listens.
fn field(line: &str, name: &str) -> String {
    let start = line.find(&format!("\"{name}\":\"")).unwrap_or_else(|| panic!("no {name}: {line}")) + name.len() + 4;
    // The first of several addresses.
    line[start..].split(['"', ',']).next().expect("a value").to_owned()
}

/// A server that relays on loopback, with this secret and more arguments.
fn serving(arguments: &[&str]) -> (Serving, String) {
    let secret = format!("turn.secret={SECRET}");
    let mut all = vec!["--set", &secret, "--set", "turn.relay_addresses=127.0.0.1"];
    all.extend(arguments);
    let server = Serving::start(&all);
    let line = server.logged("\"serving\"");
    (server, line)
}

fn doctor(arguments: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } = run(&[&["doctor"], arguments].concat());
    let (out, err) = (text(&stdout), text(&stderr));
    assert!(!out.is_empty(), "it says nothing: {err}");
    assert_eq!(err, "", "the report is enough");
    (status.success(), out)
}

/// The line that begins with a mark and this label.
fn line<'a>(report: &'a str, label: &str) -> &'a str {
    report.lines().find(|line| line.contains(label)).unwrap_or_else(|| panic!("no {label}: {report}"))
}

/// The report without its line breaks.
fn sentences(report: &str) -> String {
    report.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_switchboard_is_well_without_any_configuration() {
    let mut server = Serving::start(&[]);
    let (well, report) = doctor(&[&format!("http://{}", server.address())]);
    assert!(well, "{report}");
    for label in ["STUN over UDP", "TURN over UDP", "STUN over TCP", "TURN over TCP"] {
        assert!(line(&report, label).contains('✓'), "{report}");
    }
    assert!(report.contains("Everything works"), "{report}");
}

#[test]
fn servers_are_examined_by_their_uris() {
    let (_server, serving) = serving(&[]);
    let udp = format!("turn:{}?transport=udp", field(&serving, "turn"));
    let tcp = format!("turn:{}?transport=tcp", field(&serving, "turn_tcp"));
    let (well, report) = doctor(&[&udp, &tcp, "--secret", SECRET]);
    assert!(well, "{report}");
    assert!(line(&report, "TURN over UDP").contains("relays at 127.0.0.1, echo in"), "{report}");
    assert!(line(&report, "TURN over TCP").contains("relays at 127.0.0.1, echo in"), "{report}");
}

#[test]
fn programs_get_json() {
    let (_server, serving) = serving(&[]);
    let (well, report) =
        doctor(&[&format!("turn:{}?transport=udp", field(&serving, "turn")), "--secret", SECRET, "--json"]);
    assert!(well, "{report}");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["ok"], true);
    assert_eq!(report["checks"][1]["check"], "turn");
    assert_eq!(report["checks"][1]["result"], "ok");
}

#[test]
fn a_wrong_secret_and_a_wrong_password_are_told() {
    let (_server, serving) = serving(&[]);
    let uri = format!("turn:{}?transport=udp", field(&serving, "turn"));
    let (well, report) = doctor(&[&uri, "--secret", "fedcba9876543210fedcba9876543210"]);
    assert!(!well);
    assert!(line(&report, "TURN over UDP").contains("does not accept"), "{report}");
    assert!(sentences(&report).contains("the server has another secret, or another time"), "{report}");
    let (well, report) = doctor(&[&uri, "--username", "ann", "--password", "wrong"]);
    assert!(!well);
    assert!(report.contains("Correct the name or the password."), "{report}");
    let (well, report) = doctor(&[&uri, "--username", "1000000000:ann", "--password", "wrong"]);
    assert!(!well);
    assert!(line(&report, "TURN over UDP").contains("the credentials expired"), "{report}");
    let (well, report) = doctor(&[&uri]);
    assert!(!well);
    assert!(report.contains("Give --username and --password"), "{report}");
}

#[test]
fn a_closed_port_is_told() {
    // Bound and let go: nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("bound").port();
    let (well, report) = doctor(&[&format!("turn:127.0.0.1:{port}?transport=tcp")]);
    assert!(!well);
    assert!(
        line(&report, "STUN and TURN over TCP").contains(&format!("nothing listens on TCP port {port}")),
        "{report}"
    );
    let (well, report) = doctor(&[&format!("http://127.0.0.1:{port}")]);
    assert!(!well);
    assert!(report.contains(&format!("nothing listens on TCP port {port}")), "{report}");
}

#[test]
fn udp_that_is_dropped_is_told_and_tcp_still_works() {
    let (_server, serving) = serving(&[]);
    // It takes packets and never answers, as a firewall does.
    let hole = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let udp = format!("turn:{}?transport=udp", hole.local_addr().expect("bound"));
    let tcp = format!("turn:{}?transport=tcp", field(&serving, "turn_tcp"));
    let (well, report) = doctor(&[&udp, &tcp, "--secret", SECRET]);
    assert!(!well);
    assert!(line(&report, "STUN and TURN over UDP").contains("nothing answers on UDP port"), "{report}");
    assert!(sentences(&report).contains("UDP does not get through, TCP does"), "{report}");
}

#[test]
fn another_service_on_the_port_is_told() {
    let mut server = Serving::start(&[]);
    let address = server.address();
    let (well, report) = doctor(&[&format!("turn:{address}?transport=tcp")]);
    assert!(!well, "{report}");
    let told = ["something else than STUN answers", "closed the connection"];
    assert!(told.iter().any(|words| report.contains(words)), "{report}");
    let (_server, serving) = serving(&[]);
    let (well, report) = doctor(&[&format!("turns:{}", field(&serving, "turn_tcp"))]);
    assert!(!well, "{report}");
}

#[test]
fn tls_at_a_plain_port_is_told_in_words_of_the_link() {
    let mut server = Serving::start(&[]);
    let (well, report) = doctor(&[&format!("https://{}", server.address())]);
    assert!(!well, "{report}");
    assert!(report.contains("something else than TLS answers"), "{report}");
    assert!(report.contains("use http:// instead of https://"), "{report}");
}

/// A proxy for one request that asks `server` by the server's own address, as proxies do that are not told otherwise.
fn rewriting_proxy(server: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound").to_string();
    let host = address.clone();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        let head = text(&head).replace(&format!("Host: {host}"), &format!("Host: {server}"));
        let mut upstream = TcpStream::connect(&server).expect("connects");
        upstream.write_all(head.as_bytes()).expect("sent");
        // Until either has had enough.
        let _ = std::io::copy(&mut upstream, &mut client);
    });
    address
}

#[test]
fn a_proxy_that_rewrites_the_host_is_told() {
    let mut server = Serving::start(&[]);
    let proxy = rewriting_proxy(server.address());
    let (well, report) = doctor(&[&format!("http://{proxy}")]);
    assert!(!well, "{report}");
    let told = sentences(&report);
    assert!(told.contains(&format!("the server refuses pages of http://{proxy}")), "{report}");
    assert!(told.contains("A proxy in front must pass the Host header on"), "{report}");
}

#[test]
fn a_server_without_stun_is_told() {
    let mut server = Serving::start_beside(&["--turn-listen", "none"]);
    let (well, report) = doctor(&[&format!("http://{}", server.address())]);
    assert!(!well);
    assert!(report.contains("offers its clients neither STUN nor TURN"), "{report}");
}

#[test]
fn detects_the_nat_where_the_server_helps() {
    // Taken and let go: free on the other address too, as nearly all are.
    let other = UdpSocket::bind("127.0.0.2:0").expect("bound").local_addr().expect("bound");
    let (_server, serving) = serving(&["--set", &format!("turn.nat_detection={other}")]);
    let (well, report) = doctor(&[&format!("turn:{}?transport=udp", field(&serving, "turn")), "--secret", SECRET]);
    assert!(well, "{report}");
    assert!(line(&report, "Mapping").contains("no NAT"), "{report}");
    assert!(line(&report, "Filtering").contains("everybody may send here"), "{report}");
}

/// An authority, and what it has signed for a server.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn new(name: &str, until: (i32, u8, u8)) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        let folder = TempDir::new().expect("a folder");
        let write = |file: &str, pem: String| fs::write(folder.path().join(file), pem).expect("written");
        write("ca.pem", authority.pem());
        write("certificate.pem", certificate.pem());
        write("key.pem", key.serialize_pem());
        Self { folder }
    }

    /// One that vouches for itself, as `openssl req -x509` makes it.
    fn self_signed(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let folder = TempDir::new().expect("a folder");
        let files =
            [("ca.pem", certificate.pem()), ("certificate.pem", certificate.pem()), ("key.pem", key.serialize_pem())];
        files.into_iter().for_each(|(file, pem)| fs::write(folder.path().join(file), pem).expect("written"));
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Examines a server with this certificate over TLS by the name `localhost`.
fn over_tls(certificates: &Certificates, trusts: bool) -> (bool, String) {
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (certificate, key) = (text(&certificates.file("certificate.pem")), text(&certificates.file("key.pem")));
    let (_server, serving) =
        serving(&["--turn-tls-listen", "127.0.0.1:0", "--turn-certificate", &certificate, "--turn-private-key", &key]);
    let bound = field(&serving, "turn_tls");
    let port = bound.rsplit(':').next().expect("a port");
    let (uri, ca) = (format!("turns:localhost:{port}"), text(&certificates.file("ca.pem")));
    let mut arguments = vec![uri.as_str(), "--secret", SECRET];
    if trusts {
        arguments.extend(["--ca", &ca]);
    }
    doctor(&arguments)
}

#[test]
fn tls_works_with_a_good_certificate() {
    let (well, report) = over_tls(&Certificates::new("localhost", (2120, 1, 1)), true);
    assert!(well, "{report}");
    assert!(line(&report, "TURN over TLS").contains("echo in"), "{report}");
}

#[test]
fn bad_certificates_are_told_apart() {
    let good = Certificates::new("localhost", (2120, 1, 1));
    let own = Certificates::self_signed("localhost");
    for (certificates, trusts, words) in [
        (&Certificates::new("localhost", (2021, 1, 1)), true, "the certificate expired"),
        (&Certificates::new("example.org", (2120, 1, 1)), true, "is not for localhost but for example.org"),
        (&good, false, "nobody whom this machine trusts"),
        (&own, false, "the certificate is self-signed; browsers refuse it"),
        (&own, true, "the certificate is self-signed; browsers refuse it"),
    ] {
        let (well, report) = over_tls(certificates, trusts);
        assert!(!well, "{report}");
        assert!(sentences(&report).contains(words), "{report}");
    }
}

#[test]
fn nonsense_is_refused_before_anything_is_asked() {
    for (arguments, words) in [
        (&["doctor", "example.org"][..], "neither a link"),
        (&["doctor", "turn:a", "http://b"], "one Switchboard"),
        (&["doctor", "turn:a", "--username", "ann"], "--password"),
        (&["doctor", "turn:a", "--secret", "weak"], "secret"),
        (&["doctor", "turn:a", "--ca", "/nonexistent.pem"], "cannot read certificates"),
    ] {
        let Output { status, stdout, stderr } = run(arguments);
        assert_eq!(status.code(), Some(2));
        assert_eq!(text(&stdout), "");
        assert!(text(&stderr).contains(words), "{}", text(&stderr));
    }
}
