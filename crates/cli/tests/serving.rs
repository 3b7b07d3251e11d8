//! The life of a server: it says where it is, answers, reads its configuration again, drains, and ends.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use common::{Client, Serving, run, text};
use rustix::process::Signal;
use switchboard_turn::Credentials;

/// Sends a request and reads to the end of the connection.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connects");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("read");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn says_where_it_is_and_serves_there() {
    let mut server = Serving::start(&["--admin-listen", "none"]);
    let address = server.address();
    assert!(!address.ends_with(":0"), "{address}");
    assert!(get(&address, "/").starts_with("HTTP/1.1 200 "));
    let line = server.logged("\"serving\"");
    assert!(line.starts_with('{') && line.contains(&format!("\"addresses\":\"{address}\"")), "{line}");
}

#[test]
fn says_where_stun_and_turn_are() {
    let server = Serving::start(&["--admin-listen", "none"]);
    let line = server.logged("\"serving\"");
    for field in ["\"turn\":\"127.0.0.1:", "\"turn_tcp\":\"127.0.0.1:"] {
        assert!(line.contains(field) && !line.contains(&format!("{field}0\"")), "{line}");
    }
    assert!(!line.contains("turn_tls"), "{line}");
    let without = Serving::start_beside(&["--admin-listen", "none", "--turn-listen", "none"]).logged("\"serving\"");
    assert!(!without.contains("turn"), "{without}");
}

#[test]
fn serves_whom_it_has_accepted_when_there_is_no_descriptor_for_anybody_else() {
    let mut server = Serving::start_with_files(80, &["--admin-listen", "none", "--turn-listen", "127.0.0.1:0"]);
    let address = server.address();
    let mut sockets: Vec<_> = (0..100).map(|_| TcpStream::connect(&address).expect("the kernel holds it")).collect();
    server.logged("is the limit of open files too low");
    let waiting = sockets.split_off(20);
    let served: Vec<_> = sockets.into_iter().map(Client::say_hello).collect();
    drop(waiting);
    Client::connect(&address);
    drop(served);
}

#[test]
fn tells_its_clients_goodbye_and_ends_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Serving::start(&["--admin-listen", "none"]);
        let mut client = Client::connect(&server.address());
        server.signal(signal);
        client.until("\"shutting-down\"");
        drop(client);
        let (status, rest) = server.ended();
        assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server =
        Serving::start(&["--admin-listen", "none", "--drain-timeout", "1h", "--set", "limits.header_timeout=10m"]);
    let address = server.address();
    // A client that does not answer the goodbye keeps the server until the drain's end.
    let mut client = Client::connect(&address);
    server.signal(Signal::TERM);
    client.until("\"shutting-down\"");
    server.logged("stopping");
    server.signal(Signal::INT);
    assert_eq!(server.ended().0.code(), Some(130));
}

#[test]
fn two_servers_on_one_machine_need_no_configuration() {
    let (mut one, mut two) = (Serving::start_beside(&[]), Serving::start_beside(&[]));
    for server in [&mut one, &mut two] {
        let address = server.address();
        assert!(get(&address, "/").starts_with("HTTP/1.1 200 "));
    }
}

#[test]
fn reads_its_log_filter_again_and_names_what_needs_a_restart() {
    let file = tempfile::NamedTempFile::new().expect("file");
    let mut server = Serving::start(&["--admin-listen", "none", "--config", file.path().to_str().expect("UTF-8")]);
    server.address();
    fs::write(file.path(), "[limits]\nrooms = 7\n[log]\nfilter = \"warn\"\n").expect("written");
    server.signal(Signal::HUP);
    assert!(server.logged("need a restart").contains("limits.rooms"));
    fs::write(file.path(), "[limits]\nrooms = 0\n").expect("written");
    server.signal(Signal::HUP);
    assert!(server.logged("cannot be used").contains("limits.rooms"));
    server.signal(Signal::TERM);
    assert_eq!(server.ended().0.code(), Some(0));
}

/// Asks for credentials of `ann`; returns whether this secret signed them.
fn is_signed_with(secret: &str, address: &str) -> bool {
    let mut stream = TcpStream::connect(address).expect("connects");
    write!(
        stream,
        "GET /ice?user=ann HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
    let turn = &body["iceServers"][1];
    let (expires, user) = turn["username"].as_str().and_then(|name| name.split_once(':')).expect("a name");
    assert_eq!(user, "ann");
    let credentials = Credentials::new("switchboard", secret.parse().expect("strong"), None, vec![]).expect("valid");
    let issued = credentials.issue(user, expires.parse().expect("seconds")).expect("a name");
    turn["credential"] == issued.password.as_str()
}

const TOKEN: &str = "Vw8kRz1QmT4xYb7NcJ2pLd";

#[test]
fn another_secret_of_turn_signs_without_a_restart() {
    let [one, two] = ["6f3e0b9d1c2a48577e6c0f1b2d3a4958", "c0ffee00c0ffee11deadbeef12345678"];
    let file = tempfile::NamedTempFile::new().expect("file");
    let write = |secret: &str| {
        let text = format!("[turn]\nsecret = \"{secret}\"\napi_tokens = [\"{TOKEN}\"]\n");
        fs::write(file.path(), text).expect("written");
    };
    write(one);
    let mut server = Serving::start(&["--admin-listen", "none", "--config", file.path().to_str().expect("UTF-8")]);
    let address = server.address();
    assert!(is_signed_with(one, &address));
    write(two);
    server.signal(Signal::HUP);
    let line = server.logged("signed with another secret");
    assert!(!line.contains(two), "{line}");
    assert!(is_signed_with(two, &address));
    write("hunter2");
    server.signal(Signal::HUP);
    assert!(server.logged("cannot be used").contains("turn.secret"));
    assert!(is_signed_with(two, &address));
}

#[test]
fn more_allocations_than_open_files_are_told_at_the_start_where_there_is_turn() {
    let few = |turn: &str| Serving::start_with_files(300, &["--admin-listen", "none", "--turn-listen", turn]);
    let line = few("127.0.0.1:0").logged("turn.allocations");
    assert!(line.contains("turn.allocations is 4096") && line.contains("open files is 300: raise it"), "{line}");
    let (before, _) = few("none").logged_until("\"serving\"");
    assert!(!before.concat().contains("turn.allocations"), "{before:?}");
    let enough = ["--admin-listen", "none", "--turn-listen", "127.0.0.1:0", "--set", "turn.allocations=100"];
    let (before, _) = Serving::start_with_files(300, &enough).logged_until("\"serving\"");
    assert!(!before.concat().contains("turn.allocations"), "{before:?}");
}

#[test]
fn a_port_in_use_is_told_in_one_sentence() {
    let other = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = other.local_addr().expect("bound").to_string();
    let cases: [&[&str]; 3] = [
        &["--listen", &address, "--admin-listen", "none"],
        &["--admin-listen", &address, "--listen", "127.0.0.1:0"],
        &["--turn-listen", &address, "--listen", "127.0.0.1:0", "--admin-listen", "none"],
    ];
    for arguments in cases {
        let output = run(arguments);
        let stderr = text(&output.stderr).replace(&address, "ADDRESS");
        insta::assert_snapshot!(format!("in_use_{}", &arguments[0][2..]), stderr);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
    }
}

#[test]
fn an_address_of_another_machine_is_told_in_one_sentence() {
    // TEST-NET-1 (RFC 5737) is on no interface.
    let output = run(&["--listen", "192.0.2.1:3000", "--admin-listen", "none"]);
    insta::assert_snapshot!("not_available", text(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_missing_permission_is_told_in_one_sentence() {
    // Containers may open all ports to everybody; there is nothing to be denied then.
    let first_open_port = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("Linux");
    if first_open_port.trim() == "0" {
        return;
    }
    // Root has every permission: let nobody run a copy that nobody can reach.
    let directory = tempfile::tempdir().expect("directory");
    let program = directory.path().join("switchboard");
    fs::copy(env!("CARGO_BIN_EXE_switchboard"), &program).expect("copied");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("opened");
    let secret = directory.path().join("switchboard.toml");
    fs::write(&secret, "").expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("closed");
    let start = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.env_clear().args(arguments);
        if rustix::process::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        command.output().expect("runs")
    };
    let output = start(&["--listen", "127.0.0.1:1", "--admin-listen", "none"]);
    insta::assert_snapshot!("no_permission_for_port", text(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    let output = start(&["--config", secret.to_str().expect("UTF-8")]);
    let stderr = text(&output.stderr).replace(secret.to_str().expect("UTF-8"), "switchboard.toml");
    insta::assert_snapshot!("no_permission_for_file", stderr);
    assert_eq!(output.status.code(), Some(2));
}
