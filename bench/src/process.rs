//! A server under test as a child process: started on its own processors, found by the URL that it prints, and ended
//! by its process id when it is dropped, when the bench fails and when the bench is interrupted.

use crate::machine;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to say where it listens.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// How long it may take to end by itself.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// Lines of its output that an error message quotes.
const QUOTED_LINES: usize = 12;

/// Children that live; an interrupted bench ends them.
static LIVING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A running server.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    address: SocketAddrV4,
}

impl Process {
    /// Starts `command` on `cpus` and waits until it prints an `http://127.0.0.1:PORT` URL.
    pub(crate) fn start(command: Command, cpus: &[usize]) -> Result<Self> {
        let program = program_of(&command);
        let mut process = Self::launch(command, cpus)?;
        process.address = process.wait_for_address().with_context(|| format!("{program} did not start to listen"))?;
        Ok(process)
    }

    /// Starts `command` on `cpus` and asks `answers` until it says so: for a server that prints nothing of use.
    pub(crate) fn start_until(
        command: Command,
        cpus: &[usize],
        mut answers: impl FnMut() -> Result<bool>,
    ) -> Result<Self> {
        let program = program_of(&command);
        let mut process = Self::launch(command, cpus)?;
        let (_lines, said) = process.read_outputs();
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            if let Some(status) = process.child.try_wait()? {
                bail!("{program} ended with {status}{}", quote(&said));
            }
            if answers()? {
                return Ok(process);
            }
            ensure!(Instant::now() < deadline, "{program} did not answer within {START_PATIENCE:?}{}", quote(&said));
        }
    }

    fn launch(mut command: Command, cpus: &[usize]) -> Result<Self> {
        let program = program_of(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A thread of its own: children inherit the affinity of the thread that starts them.
        let spawned = thread::scope(|scope| {
            let spawner = scope.spawn(|| machine::pin_thread(cpus).and_then(|()| Ok(command.spawn()?)));
            spawner.join().unwrap_or_else(|_| bail!("the thread that starts a server panicked"))
        });
        let child = spawned.with_context(|| format!("cannot start {program}; is it installed?"))?;
        let pid = Pid::from_child(&child);
        living().push(pid);
        Ok(Self { child, pid, address: SocketAddrV4::new([0; 4].into(), 0) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    fn wait_for_address(&mut self) -> Result<SocketAddrV4> {
        let (lines, said) = self.read_outputs();
        match lines.recv_timeout(START_PATIENCE) {
            Ok(address) => Ok(address),
            Err(RecvTimeoutError::Timeout) => bail!("it printed no URL within {START_PATIENCE:?}{}", quote(&said)),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait()?;
                bail!("it ended with {status}{}", quote(&said))
            }
        }
    }

    /// The first address that the child prints, and its last lines.
    fn read_outputs(&mut self) -> (Receiver<SocketAddrV4>, Said) {
        let (sender, lines) = mpsc::sync_channel(1);
        let said: Said = Arc::default();
        for stream in self.outputs() {
            let (sender, said) = (sender.clone(), Arc::clone(&said));
            // Ends with the child's output; reads on so that the child never waits for a full pipe.
            thread::spawn(move || read_output(stream, &sender, &said));
        }
        (lines, said)
    }

    fn outputs(&mut self) -> Vec<Box<dyn Read + Send>> {
        let out = self.child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        let err = self.child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>);
        out.into_iter().chain(err).collect()
    }

    fn wait_until(&mut self, deadline: Instant) -> Option<ExitStatus> {
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process(self.pid, Signal::TERM);
        if self.wait_until(Instant::now() + STOP_PATIENCE).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        living().retain(|pid| *pid != self.pid);
    }
}

/// From now on an interrupt or a termination request ends the servers too.
pub(crate) fn end_children_with_us() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        use tokio::signal::unix::{SignalKind, signal};
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        });
        for pid in living().iter() {
            let _ = kill_process(*pid, Signal::KILL);
        }
        eprintln!("interrupted: the servers under test are stopped");
        // The shell's status for an interrupt.
        std::process::exit(130);
    });
    Ok(())
}

fn program_of(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

type Said = Arc<Mutex<VecDeque<String>>>;

fn living() -> std::sync::MutexGuard<'static, Vec<Pid>> {
    LIVING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_output(stream: Box<dyn Read + Send>, sender: &SyncSender<SocketAddrV4>, said: &Said) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if let Some(address) = address_in(&line) {
            // Nobody listens any more once the first address is known.
            let _ = sender.try_send(address);
        }
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == QUOTED_LINES {
            said.pop_front();
        }
        said.push_back(line);
    }
}

fn quote(said: &Said) -> String {
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_empty() {
        return "; it said nothing".into();
    }
    said.iter().fold("; it said:".into(), |text, line| text + "\n    " + line)
}

/// The loopback address of the first URL in a line.
fn address_in(line: &str) -> Option<SocketAddrV4> {
    const PREFIX: &str = "http://127.0.0.1:";
    let port = &line[line.find(PREFIX)? + PREFIX.len()..];
    let end = port.find(|c: char| !c.is_ascii_digit()).unwrap_or(port.len());
    Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port[..end].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn finds_the_address_in_a_line() {
        let address = Some("127.0.0.1:4711".parse().expect("an address"));
        for line in ["listening on http://127.0.0.1:4711", "Open http://127.0.0.1:4711/ now.", "http://127.0.0.1:4711."]
        {
            assert_eq!(address_in(line), address, "{line}");
        }
        assert_eq!(address_in("http://192.0.2.1:80"), None);
    }

    #[test]
    fn quotes_a_server_that_ends_at_once() {
        let error = Process::start(shell("echo no such port >&2; exit 3"), &[0]).expect_err("it ended");

        let text = format!("{error:#}");
        assert!(text.contains("no such port") && text.contains('3'), "{text}");
    }

    #[test]
    fn names_a_program_that_is_not_there() {
        let error = Process::start(Command::new("/nowhere/switchboard"), &[0]).expect_err("it is not there");

        assert!(format!("{error:#}").contains("cannot start /nowhere/switchboard"));
    }

    #[test]
    fn ends_the_child_when_dropped() {
        let process = Process::start(shell("echo http://127.0.0.1:9; exec sleep 60"), &[0]).expect("it starts");
        let pid = process.pid();

        drop(process);

        assert!(rustix::process::test_kill_process(pid).is_err());
        assert!(!living().contains(&pid));
    }
}
