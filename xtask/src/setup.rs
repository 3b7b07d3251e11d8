//! Installs what the checks and suites need beyond Rust and Node: rustfmt and clippy where the toolchain came without them,
//! Debian's browsers, and the npm packages of `tests/` from their lock file. Does nothing, and takes no time, where all of it is there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::workspace::{Workspace, in_path, program};

/// The executables of the browsers that the suites drive.
pub(crate) struct Browsers {
    pub(crate) chromium: PathBuf,
    pub(crate) firefox: PathBuf,
}

const CHROMIUM: Source =
    Source { variable: "CHROMIUM", names: &["chromium", "chromium-browser", "google-chrome"], package: "chromium" };
const FIREFOX: Source = Source { variable: "FIREFOX", names: &["firefox-esr", "firefox"], package: "firefox-esr" };

/// How a program is found, and what installs it.
struct Source {
    variable: &'static str,
    names: &'static [&'static str],
    package: &'static str,
}

impl Source {
    fn find(&self) -> Option<PathBuf> {
        program(self.variable, self.names)
    }

    fn expect(&self) -> Result<PathBuf> {
        self.find().with_context(|| {
            format!(
                "{} is installed, but none of {} is in PATH; set {}",
                self.package,
                self.names.join(", "),
                self.variable
            )
        })
    }
}

/// Installs all of it.
pub(crate) fn everything(workspace: &Workspace) -> Result<()> {
    component(workspace, "rustfmt", "fmt")?;
    component(workspace, "clippy", "clippy")?;
    let browsers = browsers(workspace)?;
    npm_packages(workspace)?;
    interop_tools(workspace)?;
    println!("Chromium: {}", browsers.chromium.display());
    println!("Firefox:  {}", browsers.firefox.display());
    println!("npm packages: tests/node_modules");
    Ok(())
}

/// Adds a component of the toolchain, unless `cargo <subcommand>` runs already.
pub(crate) fn component(workspace: &Workspace, name: &str, subcommand: &str) -> Result<()> {
    let there = process::cargo(workspace).args([subcommand, "--version"]).output().context("cannot run cargo")?;
    if there.status.success() {
        return Ok(());
    }
    if in_path("rustup").is_none() {
        bail!("{name} is missing: install it with your Rust toolchain");
    }
    process::run(process::at_root(workspace, "rustup").args(["component", "add", name]))
}

/// Finds the browsers, and what lets a test take one off its network or drop its packets; installs Debian's where something
/// is missing.
pub(crate) fn browsers(workspace: &Workspace) -> Result<Browsers> {
    let missing: Vec<&str> =
        [&CHROMIUM, &FIREFOX].iter().filter(|source| source.find().is_none()).map(|source| source.package).collect();
    if !missing.is_empty() {
        install_debian(workspace, &missing)?;
    }
    install_tools(workspace, &[IP, NFT])?;
    Ok(Browsers { chromium: CHROMIUM.expect()?, firefox: FIREFOX.expect()? })
}

/// A program and the package that it comes in.
type Tool = (&'static str, &'static str);

const IP: Tool = ("ip", "iproute2");
const NFT: Tool = ("nft", "nftables");

/// Installs what makes network namespaces and the routers between them, and a certificate for the server there.
pub(crate) fn network_tools(workspace: &Workspace) -> Result<()> {
    install_tools(workspace, &[IP, NFT, ("openssl", "openssl")])
}

/// Installs those that are missing, where we may. Tests with network namespaces need root as well; without either they skip
/// themselves and say so.
fn install_tools(workspace: &Workspace, tools: &[Tool]) -> Result<()> {
    let missing: Vec<&str> =
        tools.iter().filter(|(program, _)| in_path(program).is_none()).map(|(_, package)| *package).collect();
    if missing.is_empty() || in_path("apt-get").is_none() || !is_root()? {
        return Ok(());
    }
    install_debian(workspace, &missing)
}

/// Installs coturn's command line tools, with which Rust's tests of the relay are judged.
///
/// # Errors
/// As for [`interop_tools`].
pub(crate) fn relay_tools(workspace: &Workspace) -> Result<()> {
    judges(workspace, "tests of the relay need", &[("turnutils_uclient", "coturn")])
}

/// Installs what the interop suite judges us with: coturn's command line tools, OpenSSL's, which makes certificates for them, and
/// nginx, behind which we have to work.
///
/// # Errors
/// Where a service manager runs, the packages of coturn and nginx would start their servers; then it is for the person to install
/// them.
pub(crate) fn interop_tools(workspace: &Workspace) -> Result<()> {
    let tools = [("turnutils_uclient", "coturn"), ("openssl", "openssl"), ("nginx", "nginx")];
    judges(workspace, "interop suite needs", &tools)
}

fn judges(workspace: &Workspace, who: &str, tools: &[Tool]) -> Result<()> {
    // Where Debian has what only administrators usually run.
    let is_there = |program: &str| in_path(program).is_some() || Path::new("/usr/sbin").join(program).exists();
    let missing: Vec<&str> =
        tools.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    let servers = missing.iter().copied().filter(|package| *package != "openssl").collect::<Vec<_>>().join(" ");
    if !servers.is_empty() && Path::new("/run/systemd/system").exists() {
        bail!(
            "the {who} {servers}: run `sudo apt-get install {servers}`, and stop the service if you have no use for it"
        );
    }
    if missing.is_empty() { Ok(()) } else { install_debian(workspace, &missing) }
}

fn install_debian(workspace: &Workspace, packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if in_path("apt-get").is_none() {
        bail!("the suites need {list}: install them, and set CHROMIUM and FIREFOX where they are not in PATH");
    }
    if !is_root()? {
        bail!("the suites need {list}: run `sudo apt-get install {list}` and try again");
    }
    process::run(apt(workspace).args(["update", "--quiet"]))?;
    process::run(apt(workspace).args(["install", "--quiet", "--yes", "--no-install-recommends"]).args(packages))
}

fn apt(workspace: &Workspace) -> Command {
    let mut command = process::at_root(workspace, "apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("cannot run `id -u`")?;
    Ok(output.stdout.trim_ascii() == b"0")
}

/// Installs the packages of `tests/package-lock.json`, unless that was done since the lock file last changed.
pub(crate) fn npm_packages(workspace: &Workspace) -> Result<()> {
    check_node()?;
    let locked = modified(workspace.path("tests/package-lock.json"));
    let installed = modified(workspace.path("tests/node_modules/.package-lock.json"));
    if installed.is_some() && installed >= locked {
        return Ok(());
    }
    process::run(process::at_root(workspace, "npm").arg("ci").current_dir(workspace.path("tests")))
}

/// The oldest Node whose test runner has the options that the suites need.
const NODE_MAJOR: u32 = 20;

fn check_node() -> Result<()> {
    let output = Command::new("node")
        .arg("--version")
        .output()
        .context("Node is missing: install Node 20 or later, with npm")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major =
        version.strip_prefix('v').and_then(|rest| rest.split('.').next()).and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MAJOR => Ok(()),
        Some(_) | None => bail!("Node {NODE_MAJOR} or later is needed; this is {version}"),
    }
}

fn modified(path: PathBuf) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}
