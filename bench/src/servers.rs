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
    /// The rooms protocol on npm's socket.io
    Baseline,
    /// Switchboard, its own dialect on /ws
    Ws,
    /// Switchboard, the Socket.IO dialect
    SocketIo,
    /// PeerServer, npm's peer
    PeerServer,
    /// Switchboard, the PeerJS dialect
    PeerJs,
    /// npm's @libp2p/webrtc-star-signalling-server
    StarServer,
    /// Switchboard, the webrtc-star dialect
    Star,
    /// A relay that does nothing but read and write: what no server gets below
    Floor,
}

impl Subject {
    /// How the generator speaks to it.
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Baseline | Self::SocketIo => Dialect::SocketIo,
            Self::Ws | Self::Floor => Dialect::Switchboard,
            Self::PeerServer | Self::PeerJs => Dialect::PeerJs,
            Self::StarServer | Self::Star => Dialect::Star,
        }
    }

    /// Which program serves it.
    pub(crate) fn server(self) -> Server {
        match self {
            Self::Baseline => Server::Npm(Package::Rooms),
            Self::PeerServer => Server::Npm(Package::Peer),
            Self::StarServer => Server::Npm(Package::Star),
            Self::Ws | Self::SocketIo | Self::PeerJs | Self::Star => Server::Switchboard,
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
            Self::PeerServer => "npm peer",
            Self::PeerJs => "Switchboard PeerJS",
            Self::StarServer => "npm star server",
            Self::Star => "Switchboard star",
            Self::Floor => "bare relay",
        })
    }
}

/// A program under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Server {
    /// A program of `bench/baseline` on Node.
    Npm(Package),
    /// The release build.
    Switchboard,
    /// This program, as [`crate::floor`].
    Floor,
}

/// A package of npm that a baseline program serves with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Package {
    Rooms,
    Peer,
    Star,
}

impl Package {
    fn name(self) -> &'static str {
        match self {
            Self::Rooms => "socket.io",
            Self::Peer => "peer",
            Self::Star => "@libp2p/webrtc-star-signalling-server",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Rooms => "rooms.mjs",
            Self::Peer => "peerjs.mjs",
            Self::Star => "star.mjs",
        }
    }
}

/// Where the programs are, and where they may run.
#[derive(Debug)]
pub(crate) struct Programs {
    switchboard: PathBuf,
    baseline: PathBuf,
    /// Those that serve in this run.
    packages: Vec<Package>,
    cpus: Vec<usize>,
    /// Holds Switchboard's configuration file.
    scratch: TempDir,
}

/// More than any run here asks for: the limits stay in force, and their bookkeeping in the figures, but never bite.
const UNREACHED: &str = "10000000";

impl Programs {
    /// Finds what `subjects` need; installs the baseline's packages if they are missing.
    pub(crate) fn find(subjects: &[Subject], switchboard: Option<PathBuf>, cpus: Vec<usize>) -> Result<Self> {
        let packages = subjects.iter().filter_map(|subject| match subject.server() {
            Server::Npm(package) => Some(package),
            Server::Switchboard | Server::Floor => None,
        });
        let programs = Self {
            switchboard: switchboard.unwrap_or_else(default_switchboard),
            baseline: Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline"),
            packages: packages.collect(),
            cpus,
            scratch: tempfile::tempdir().context("cannot make a temporary directory")?,
        };
        if subjects.iter().any(|subject| subject.server() == Server::Switchboard) {
            ensure_built(&programs.switchboard)?;
            fs::write(programs.configuration(), configuration()).context("cannot write a configuration file")?;
        }
        programs.prepare_packages()?;
        Ok(programs)
    }

    /// Starts a server of that kind.
    pub(crate) fn start(&self, server: Server) -> Result<Process> {
        let mut command;
        match server {
            Server::Npm(package) => {
                command = Command::new("node");
                command.arg(self.baseline.join(package.program())).env("NODE_ENV", "production").env_remove("PORT");
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
        let mut versions = String::new();
        for &package in &self.packages {
            let manifest = fs::read_to_string(self.manifest(package)).unwrap_or_default();
            let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = write!(versions, "{} {}, ", package.name(), manifest["version"].as_str().unwrap_or("unknown"));
        }
        if let (false, Some(node)) = (self.packages.is_empty(), version_of("node")) {
            versions.truncate(versions.len() - 2);
            let _ = write!(versions, " on Node {node}, ");
        }
        versions + "Switchboard " + env!("CARGO_PKG_VERSION")
    }

    fn manifest(&self, package: Package) -> PathBuf {
        self.baseline.join("node_modules").join(package.name()).join("package.json")
    }

    fn configuration(&self) -> PathBuf {
        self.scratch.path().join("switchboard.toml")
    }

    /// Installs the baseline's packages if one of those that serve is missing.
    fn prepare_packages(&self) -> Result<()> {
        if self.packages.is_empty() {
            return Ok(());
        }
        ensure!(
            version_of("node").is_some(),
            "Node.js is not installed (no `node` in the PATH): the baseline needs it"
        );
        if self.packages.iter().all(|&package| self.manifest(package).is_file()) {
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
        "rooms_per_address",
        "messages_per_connection",
        "burst_per_connection",
        "messages_per_address",
        "burst_per_address",
    ] {
        text += &format!("{key} = {UNREACHED}\n");
    }
    text + &format!("[star]\naddresses = {UNREACHED}\n")
}

fn version_of(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
