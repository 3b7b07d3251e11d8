//! Runs other programs: either with our terminal, or with their output passed on line by line so that we can read what
//! a test runner counted.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// How long a program may take to end after it was asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(20);

/// A command that runs in the root of the workspace.
pub(crate) fn at_root(workspace: &Workspace, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace.root());
    command
}

/// The cargo that runs us, in the root of the workspace.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = at_root(workspace, cargo);
    // What cargo says about this package must not leak into the packages that it builds now.
    command.env_remove("CARGO_MANIFEST_DIR");
    command
}

/// Runs `command` to its end with our terminal; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    eprintln!("$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs `command`, passes its output on, hands each line (without colours) to `each`, and ends it after `limit`.
pub(crate) fn watch(command: &mut Command, limit: Duration, mut each: impl FnMut(&str)) -> Result<ExitStatus> {
    let shown = show(command);
    println!("$ {shown}");
    if std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always").env("FORCE_COLOR", "1");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    // Bounded, so that a chatty program waits for our terminal instead of filling our memory.
    let (sender, lines) = mpsc::sync_channel(256);
    forward(child.stdout.take(), sender.clone());
    forward(child.stderr.take(), sender);
    let deadline = Instant::now() + limit;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => show_line(&line, &mut each)?,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                end(&mut child)?;
                bail!("`{shown}` was still running after {} s", limit.as_secs());
            }
        }
    }
    child.wait().with_context(|| format!("lost `{shown}`"))
}

fn show_line(line: &[u8], each: &mut impl FnMut(&str)) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(line)?;
    out.write_all(b"\n")?;
    out.flush()?;
    each(&without_colours(&String::from_utf8_lossy(line)));
    Ok(())
}

/// Sends each line of `source` from a thread of its own, until the source or the receiver ends.
fn forward(source: Option<impl Read + Send + 'static>, lines: mpsc::SyncSender<Vec<u8>>) {
    let Some(source) = source else { return };
    thread::spawn(move || {
        for line in BufReader::new(source).split(b'\n') {
            let Ok(line) = line else { return };
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}

/// Interrupts a program the way a terminal does, so that a test runner ends its own children; kills it if it stays.
fn end(child: &mut Child) -> Result<()> {
    Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    // `cargo` and the binaries we build are known by their names; the folder only clutters the line.
    let name = words[0].rsplit('/').next().unwrap_or(&words[0]).to_owned();
    words[0] = name.into();
    words.join(" ")
}

/// The text without terminal colours (`ESC [ … m`).
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find("\x1b[") {
        plain.push_str(&rest[..start]);
        let code = &rest[start + 2..];
        rest = code.find(|c: char| c.is_ascii_alphabetic()).map_or("", |end| &code[end + 1..]);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    #[test]
    fn strips_colours_and_keeps_the_text() {
        assert_eq!(without_colours("\x1b[32;1m  ok\x1b[0m 3"), "  ok 3");
        assert_eq!(without_colours("plain"), "plain");
        assert_eq!(without_colours("cut \x1b[3"), "cut ");
    }

    #[test]
    fn hands_over_the_lines_of_both_streams() {
        let mut lines = Vec::new();
        let status = watch(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]), SOON, |line| {
            lines.push(line.to_owned())
        })
        .unwrap();
        lines.sort();
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    fn ends_a_program_that_takes_too_long() {
        let started = Instant::now();
        let error =
            watch(Command::new("sh").args(["-c", "exec sleep 600"]), Duration::from_millis(50), |_| {}).unwrap_err();
        assert!(error.to_string().contains("still running"), "{error}");
        assert!(started.elapsed() < GRACE);
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = run(Command::new("sh").args(["-c", "exit 4"])).unwrap_err();
        assert!(error.to_string().contains("sh -c exit 4"), "{error}");
    }

    #[test]
    fn a_missing_program_is_an_error_that_names_it() {
        let error = run(&mut Command::new("no-such-program-of-ours")).unwrap_err();
        assert!(error.to_string().contains("no-such-program-of-ours"), "{error}");
    }
}
