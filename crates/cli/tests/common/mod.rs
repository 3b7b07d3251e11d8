//! The real program as a child process, apart from the environment of whoever runs the tests.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program with an empty environment.
pub fn switchboard() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.env_clear();
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    switchboard().args(arguments).output().expect("the program starts")
}

/// What was written there, as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A client of the rooms protocol that has said hello.
pub struct Client(TcpStream);

impl Client {
    /// Connects and says hello.
    pub fn connect(address: &str) -> Self {
        Self::say_hello(TcpStream::connect(address).expect("connects"))
    }

    /// Says hello on a socket on which nothing was said.
    pub fn say_hello(socket: TcpStream) -> Self {
        let mut client = Self(socket);
        write!(
            client.0,
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        .expect("sent");
        client.until("\r\n\r\n");
        let hello = br#"{"type":"hello","v":1}"#;
        // RFC 6455 §5.2: a final text frame, masked with zeroes, which change nothing.
        client.0.write_all(&[0x81, 0x80 | hello.len() as u8, 0, 0, 0, 0]).expect("sent");
        client.0.write_all(hello).expect("sent");
        client.until("\"welcome\"");
        client
    }

    /// Reads until `words` have come.
    pub fn until(&mut self, words: &str) {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(words) {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap_or_else(|error| panic!("{words} never came: {error}"));
            seen.push(byte[0]);
        }
    }
}

/// A server that runs. Dropping it kills it.
pub struct Serving {
    child: Child,
    stdout: BufReader<ChildStdout>,
    log: Receiver<String>,
}

impl Serving {
    /// Starts `switchboard serve` with these arguments on free ports of loopback.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_beside(&[&["--turn-listen", "127.0.0.1:0"], arguments].concat())
    }

    /// Starts `switchboard serve` with these arguments on a free port of loopback, and STUN and TURN on their usual port, if
    /// nobody else has it.
    pub fn start_beside(arguments: &[&str]) -> Self {
        let mut command = switchboard();
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
        Self::spawn(command)
    }

    /// Starts the same in a session of its own, whose terminal is `terminal`.
    pub fn start_on(terminal: OwnedFd, arguments: &[&str]) -> Self {
        let mut command = Command::new("setsid");
        command.env_clear().args(["--ctty", env!("CARGO_BIN_EXE_switchboard"), "serve", "--listen", "127.0.0.1:0"]);
        command.args(["--turn-listen", "127.0.0.1:0"]).args(arguments).stdin(terminal);
        Self::spawn(command)
    }

    /// Starts the same where the system grants it so many open files and no more.
    pub fn start_with_files(files: u32, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.env_clear().args(["-c", &format!("ulimit -n {files} && exec \"$@\""), "sh"]);
        command.args([env!("CARGO_BIN_EXE_switchboard"), "serve", "--listen", "127.0.0.1:0"]).args(arguments);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, log) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, stdout, log }
    }

    /// The next line of standard output, which says where it listens.
    pub fn address(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        let link = line.trim_end().strip_prefix("Listening on http://");
        link.unwrap_or_else(|| panic!("no link: {line:?}; {:?}", self.log.try_iter().collect::<Vec<_>>())).to_owned()
    }

    /// Waits for a log line that contains `words`.
    pub fn logged(&self, words: &str) -> String {
        self.logged_until(words).1
    }

    /// The same; returns it after the lines before it.
    pub fn logged_until(&self, words: &str) -> (Vec<String>, String) {
        let mut before = Vec::new();
        loop {
            let line = self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("never logged: {words}; {before:#?}"));
            if line.contains(words) {
                return (before, line);
            }
            before.push(line);
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for the end; returns it with the rest of standard output.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let pid = Pid::from_child(&self.child);
        let (sender, ended) = channel::<()>();
        let watchdog = thread::spawn(move || {
            if ended.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("UTF-8");
        let status = self.child.wait().expect("waited");
        drop(sender);
        watchdog.join().expect("watched");
        (status, rest)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
