//! Who closes the terminal stops the server that was started there.

mod common;

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;

use common::{Client, Serving};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Both ends of a terminal, that of the window first.
fn terminal() -> (OwnedFd, OwnedFd) {
    let window = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&window).and_then(|()| unlockpt(&window)).expect("ours");
    let path = ptsname(&window, Vec::new()).expect("a name").into_string().expect("UTF-8");
    let program = OpenOptions::new().read(true).write(true).open(path).expect("opened");
    (window, program.into())
}

#[test]
fn a_closed_terminal_stops_the_server_and_frees_its_port() {
    let (window, program) = terminal();
    let mut server = Serving::start_on(program, &["--admin-listen", "none"]);
    let address = server.address();
    drop(window);
    server.logged("\"stopped\"");
    assert_eq!(server.ended().0.code(), Some(129));
    std::net::TcpListener::bind(address).expect("the port is free");
}

#[test]
fn several_hangups_do_not_cut_the_goodbye_short() {
    let (_window, program) = terminal();
    let mut server = Serving::start_on(program, &["--admin-listen", "none", "--drain-timeout", "1h"]);
    let mut client = Client::connect(&server.address());
    server.signal(Signal::HUP);
    client.until("\"shutting-down\"");
    server.signal(Signal::HUP);
    drop(client);
    let (lines, _) = server.logged_until("\"stopped\"");
    assert!(!lines.iter().any(|line| line.contains("before every client")), "{lines:#?}");
    assert_eq!(server.ended().0.code(), Some(129));
}
