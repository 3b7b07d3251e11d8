//! The servers under test and how each is started.

use crate::dialect::Dialect;
use crate::process::Process;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use serde::Serialize;
use std::env;
use std::fmt::{self, Write};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What is measured: a server, spoken to in one dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Subject {
    /// The rooms protocol on npm's socket.io: what the others are compared with
    Baseline,
    /// Switchboard, its own dialect on /ws
    Ws,
    /// Switchboard, the Socket.IO dialect
    SocketIo,
    /// A relay that does nothing but read and write: what no server gets below
    Floor,
}

impl Subject {
    /// How the generator speaks to it.
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Baseline | Self::SocketIo => Dialect::SocketIo,
            Self::Ws | Self::Floor => Dialect::Switchboard,
        }
    }

    /// Which program serves it.
    pub(crate) fn server(self) -> Server {
        match self {
            Self::Baseline => Server::Baseline,
            Self::Ws | Self::SocketIo => Server::Switchboard,
            Self::Floor => Server::Floor,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Baseline => "socket.io",
            Self::Ws => "Switchboard `/ws`",
            Self::SocketIo => "Switchboard Socket.IO",
            Self::Floor => "bare relay",
        })
    }
}

/// A program under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// `bench/baseline/rooms.mjs`.
    Baseline,
    /// The release build.
    Switchboard,
    /// This program, as [`crate::floor`].
    Floor,
}

/// Where the programs are, and where they may run.
#[derive(Debug)]
pub(crate) struct Programs {
    switchboard: PathBuf,
    baseline: PathBuf,
    cpus: Vec<usize>,
    /// Holds Switchboard's configuration file.
    scratch: TempDir,
}

/// More than any run here asks for: the limits stay in force, and their bookkeeping in the figures, but never bite.
const UNREACHED: &str = "10000000";

impl Programs {
    /// Finds what `subjects` need; installs the baseline's packages if they are missing.
    pub(crate) fn find(subjects: &[Subject], switchboard: Option<PathBuf>, cpus: Vec<usize>) -> Result<Self> {
        let programs = Self {
            switchboard: switchboard.unwrap_or_else(default_switchboard),
            baseline: Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline"),
            cpus,
            scratch: tempfile::tempdir().context("cannot make a temporary directory")?,
        };
        if subjects.iter().any(|subject| subject.server() == Server::Switchboard) {
            ensure_built(&programs.switchboard)?;
            fs::write(programs.configuration(), configuration()).context("cannot write a configuration file")?;
        }
        if subjects.iter().any(|subject| subject.server() == Server::Baseline) {
            programs.prepare_baseline()?;
        }
        Ok(programs)
    }

    /// Starts a server of that kind.
    pub(crate) fn start(&self, server: Server) -> Result<Process> {
        let mut command;
        match server {
            Server::Baseline => {
                command = Command::new("node");
                command.arg(self.baseline.join("rooms.mjs")).env("NODE_ENV", "production").env_remove("PORT");
            }
            Server::Switchboard => {
                command = Command::new(&self.switchboard);
                command.arg("serve").arg("--config").arg(self.configuration());
            }
            Server::Floor => {
                command = Command::new(env::current_exe().context("cannot find this program")?);
                command.arg("floor");
            }
        }
        Process::start(command, &self.cpus)
    }

    /// Names and versions of the programs, for the head of a report.
    pub(crate) fn versions(&self) -> String {
        let socketio = fs::read_to_string(self.baseline.join("node_modules/socket.io/package.json"))
            .ok()
            .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
            .and_then(|package| package["version"].as_str().map(str::to_owned));
        let mut versions = String::new();
        if let (Some(node), Some(socketio)) = (version_of("node"), socketio) {
            // Writing to a string cannot fail.
            let _ = write!(versions, "socket.io {socketio} on Node {node}, ");
        }
        versions + "Switchboard " + env!("CARGO_PKG_VERSION")
    }

    fn configuration(&self) -> PathBuf {
        self.scratch.path().join("switchboard.toml")
    }

    fn prepare_baseline(&self) -> Result<()> {
        ensure!(
            version_of("node").is_some(),
            "Node.js is not installed (no `node` in the PATH): the baseline needs it"
        );
        if self.baseline.join("node_modules/socket.io/package.json").is_file() {
            return Ok(());
        }
        eprintln!("installing the baseline's packages (npm ci)");
        let mut npm = Command::new("npm");
        npm.arg("ci").arg("--silent").current_dir(&self.baseline).stdin(Stdio::null()).stdout(Stdio::null());
        let status = npm.status().context("cannot run npm; is it installed?")?;
        if !status.success() {
            bail!("`npm ci` in {} failed with {status}", self.baseline.display());
        }
        Ok(())
    }
}

/// Fails if there is no such program.
pub(crate) fn ensure_built(switchboard: &Path) -> Result<()> {
    ensure!(
        switchboard.is_file(),
        "there is no program {}: build it with `cargo build --release --package switchboard`, or name another with \
         --switchboard",
        switchboard.display()
    );
    Ok(())
}

/// The `switchboard` that was built beside this program, else the workspace's release build.
pub(crate) fn default_switchboard() -> PathBuf {
    let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/switchboard");
    let beside = env::current_exe().ok().and_then(|path| Some(path.parent()?.join("switchboard")));
    beside.filter(|path| !cfg!(debug_assertions) && path.is_file()).unwrap_or(release)
}

/// A configuration without limits that a load generator on one machine would reach.
pub(crate) fn configuration() -> String {
    let mut text = String::from(
        "listen = [\"127.0.0.1:0\"]\nadmin_listen = \"127.0.0.1:0\"\n[log]\nfilter = \"warn\"\n[limits]\n",
    );
    for key in [
        "connections",
        "connections_per_address",
        "rooms",
        "messages_per_connection",
        "burst_per_connection",
        "messages_per_address",
        "burst_per_address",
    ] {
        text += &format!("{key} = {UNREACHED}\n");
    }
    text
}

fn version_of(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
