//! The program under test, or the original in its place.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running server; it ends with the value.
#[derive(Debug)]
pub struct Server {
    /// None if it is the original, which somebody else started.
    child: Option<Child>,
    /// Host and port.
    address: String,
    /// What stands before the names of rooms.
    path: &'static str,
}

impl Server {
    /// Starts the program that `SERVER_UNDER_TEST` names, on a free port, or takes the original server whose address is in
    /// `MATCHBOX_REFERENCE`.
    pub fn start() -> Self {
        match std::env::var("MATCHBOX_REFERENCE") {
            Ok(address) => Self { child: None, address, path: "" },
            Err(_) => Self::start_at("127.0.0.1:0"),
        }
    }

    /// Starts the program at this address.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_at(address: &str) -> Self {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debug/switchboard");
        let program = std::env::var_os("SERVER_UNDER_TEST").map_or(built, Into::into);
        let mut child = Command::new(&program)
            .args(["serve", "--listen", address, "--turn-listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let said = child.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(said).lines().map(|line| line.expect("text"));
        let address = lines.find_map(|line| {
            let (_, url) = line.split_once("Listening on http://")?;
            url.split(['/', ' ']).next().map(str::to_owned)
        });
        // What it says later goes nowhere, and must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child: Some(child), address: address.expect("it says where it listens"), path: "/matchbox" }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether it can be killed and started again: the original is somebody else's.
    pub fn is_ours(&self) -> bool {
        self.child.is_some()
    }

    /// The URL of a room; `room` may have a query.
    pub fn room(&self, room: &str) -> String {
        room_at(&self.address, self.path, room)
    }
}

fn room_at(address: &str, path: &str, room: &str) -> String {
    format!("ws://{address}{path}/{room}")
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Fails only if it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
