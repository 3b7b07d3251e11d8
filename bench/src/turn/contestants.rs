//! The servers that are compared, and how each is started on its processor.

use super::session::Account;
use super::stun::{Message, Method, Writer};
use super::tls::{self, Certificate, Trust};
use super::workload::{Family, Leg};
use crate::process::Process;
use crate::servers;
use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// What all servers derive passwords from.
const SECRET: &str = "a-secret-for-one-run-on-loopback-0123456789";
/// Where Debian's package puts coturn.
const DEBIAN_COTURN: &str = "/usr/bin/turnserver";
/// Relays take their ports from here on, as RFC 8656 §7.2 recommends.
pub(crate) const FIRST_RELAY_PORT: u16 = 49_152;
/// Longer than any run.
const LIFETIME: Duration = Duration::from_secs(24 * 3_600);

/// A contestant's place in the list.
pub(crate) type Subject = usize;

/// One that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// coturn, some build of it, with options of its own.
    Turnserver { program: PathBuf, options: Vec<String> },
    /// The release build.
    Switchboard,
    /// This program, as [`super::forwarder`].
    Forwarder,
    /// No relay at all.
    Direct,
}

impl Contestant {
    /// One of ours.
    pub(crate) fn ours(kind: Kind) -> Self {
        let name = match &kind {
            Kind::Switchboard => "Switchboard",
            Kind::Forwarder => "bare forwarder",
            Kind::Direct => "no relay",
            Kind::Turnserver { .. } => "turnserver",
        };
        Self { name: name.into(), kind }
    }

    /// Debian's coturn.
    pub(crate) fn debian() -> Self {
        let kind = Kind::Turnserver { program: DEBIAN_COTURN.into(), options: Vec::new() };
        Self { name: "coturn".into(), kind }
    }
}

impl FromStr for Contestant {
    type Err = anyhow::Error;

    /// Reads `NAME=PROGRAM OPTIONS…`.
    fn from_str(text: &str) -> Result<Self> {
        let (name, command) = text.split_once('=').unwrap_or(("", text));
        let mut words = command.split_whitespace().map(str::to_owned);
        let program = words.next().with_context(|| format!("{text}: no program is named"))?;
        let name = if name.is_empty() { program.clone() } else { name.to_owned() };
        Ok(Self { name, kind: Kind::Turnserver { program: program.into(), options: words.collect() } })
    }
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) process: Process,
    ports: Ports,
}

impl Running {
    /// Where it answers.
    pub(crate) fn address(&self, family: Family, leg: Leg) -> SocketAddr {
        let port = match leg {
            Leg::Udp | Leg::Tcp => self.ports.plain,
            Leg::Tls => self.ports.tls,
        };
        SocketAddr::new(family.loopback(), port)
    }
}

/// Where a server listens on loopback.
#[derive(Debug, Clone, Copy)]
struct Ports {
    plain: u16,
    tls: u16,
}

/// What clients need to be let in.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) account: Account,
    pub(crate) trust: Trust,
}

/// Starts contestants.
#[derive(Debug)]
pub(crate) struct Arena {
    switchboard: PathBuf,
    cpus: Vec<usize>,
    certificate: Certificate,
    trust: Trust,
    /// Holds certificate, configuration and process id files.
    scratch: TempDir,
}

impl Arena {
    /// Finds the programs of `contestants`; installs Debian's coturn where it is asked for and missing.
    pub(crate) fn prepare(contestants: &[Contestant], switchboard: Option<PathBuf>, cpus: Vec<usize>) -> Result<Self> {
        let switchboard = switchboard.unwrap_or_else(servers::default_switchboard);
        for contestant in contestants {
            match &contestant.kind {
                Kind::Switchboard => servers::ensure_built(&switchboard)?,
                Kind::Turnserver { program, .. } if program == Path::new(DEBIAN_COTURN) => install_coturn()?,
                Kind::Turnserver { program, .. } => {
                    ensure!(program.is_file(), "there is no program {}", program.display());
                }
                Kind::Forwarder | Kind::Direct => {}
            }
        }
        let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
        let (certificate, trust) = tls::certify(scratch.path())?;
        Ok(Self { switchboard, cpus, certificate, trust, scratch })
    }

    /// Credentials that every contestant accepts, and the authority behind its certificate.
    pub(crate) fn access(&self) -> Result<Access> {
        let expires = SystemTime::now().duration_since(UNIX_EPOCH)? + LIFETIME;
        let account = Account::from_secret(SECRET, "bench", expires.as_secs())?;
        Ok(Access { account, trust: self.trust.clone() })
    }

    /// Starts a contestant and waits until it answers; `None` where there is nothing to start.
    pub(crate) fn start(&self, contestant: &Contestant) -> Result<Option<Running>> {
        let ports = Ports { plain: free_port()?, tls: free_port()? };
        let command = match &contestant.kind {
            Kind::Turnserver { program, options } => self.turnserver(program, options, ports),
            Kind::Switchboard => self.switchboard(ports)?,
            Kind::Forwarder => {
                let mut command = Command::new(env::current_exe().context("cannot find this program")?);
                command.arg("turn-forwarder").arg(ports.plain.to_string());
                command
            }
            Kind::Direct => return Ok(None),
        };
        let by_tcp_too = contestant.kind != Kind::Forwarder;
        let process = Process::start_until(command, &self.cpus, || answers(ports.plain, by_tcp_too))
            .with_context(|| format!("cannot start {}", contestant.name))?;
        Ok(Some(Running { process, ports }))
    }

    /// One relay thread, as it has one processor, and a realm as short as ours; whatever else would listen is off.
    fn turnserver(&self, program: &Path, options: &[String], ports: Ports) -> Command {
        let Ports { plain, tls } = ports;
        let Certificate { chain, key } = &self.certificate;
        let mut command = Command::new(program);
        command.args(["-n", "--no-cli", "--no-dtls", "--simple-log", "--log-file=stdout"]);
        command.arg(format!("--cert={}", chain.display())).arg(format!("--pkey={}", key.display()));
        command.args(["--listening-ip=127.0.0.1", "--listening-ip=::1", "--relay-ip=127.0.0.1", "--relay-ip=::1"]);
        command.arg(format!("--listening-port={plain}")).arg(format!("--tls-listening-port={tls}"));
        command.args(["--relay-threads=1", "--allow-loopback-peers"]);
        command.args(["--use-auth-secret", "--realm=turn"]).arg(format!("--static-auth-secret={SECRET}"));
        command.arg(format!("--pidfile={}", self.scratch.path().join(format!("{plain}.pid")).display()));
        command.args(options).current_dir(self.scratch.path());
        command
    }

    /// One worker, and limits that never bite but are counted.
    fn switchboard(&self, ports: Ports) -> Result<Command> {
        let Ports { plain, tls } = ports;
        let path = self.scratch.path().join(format!("{plain}.toml"));
        let [chain, key] = [&self.certificate.chain, &self.certificate.key].map(|path| path.display());
        let text = servers::configuration()
            + &format!(
                "[turn]\nlisten = [\"127.0.0.1:{plain}\", \"[::1]:{plain}\"]\nsecret = \"{SECRET}\"\n\
                 tls_listen = [\"127.0.0.1:{tls}\", \"[::1]:{tls}\"]\ncertificate = \"{chain}\"\nprivate_key = \"{key}\"\n\
                 relay_addresses = [\"127.0.0.1\", \"::1\"]\nallow_loopback_peers = true\nworkers = 1\n\
                 allocations = 100000\nallocations_per_user = 100000\nallocations_per_address = 100000\n"
            );
        fs::write(&path, text).context("cannot write a configuration file")?;
        let mut command = Command::new(&self.switchboard);
        command.arg("serve").arg("--config").arg(path);
        Ok(command)
    }
}

/// A port that is free for UDP and TCP.
fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = udp.local_addr()?.port();
        if port < FIRST_RELAY_PORT && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("there is no free port below {FIRST_RELAY_PORT}")
}

/// Whether a server answers a Binding request on `port` of loopback, and takes connections.
fn answers(port: u16, by_tcp_too: bool) -> Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    let mut buffer = [0; 512];
    // An ICMP error comes back as an error of either call, as long as nobody listens.
    let asked = socket.send(&Writer::request(Method::Binding, &[1; 12]).finish());
    let answered =
        asked.is_ok() && socket.recv(&mut buffer).is_ok_and(|length| Message::parse(&buffer[..length]).is_ok());
    Ok(answered && (!by_tcp_too || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()))
}

fn install_coturn() -> Result<()> {
    if Path::new(DEBIAN_COTURN).is_file() {
        return Ok(());
    }
    eprintln!("installing Debian's coturn (apt-get install coturn)");
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--quiet", "--no-install-recommends", "coturn"]);
    // At this run level the package does not start its service.
    install.env("RUNLEVEL", "1").env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null());
    let installed = install.status().is_ok_and(|status| status.success());
    ensure!(
        installed && Path::new(DEBIAN_COTURN).is_file(),
        "there is no {DEBIAN_COTURN}, and `apt-get install coturn` did not bring it: install coturn, or name a program with --turnserver"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_contestants() {
        let mpx: Contestant = "mpx=/opt/turnserver --multiplex-peer --udp-gso".parse().expect("a contestant");
        let options = vec!["--multiplex-peer".into(), "--udp-gso".into()];
        assert_eq!(mpx.name, "mpx");
        assert_eq!(mpx.kind, Kind::Turnserver { program: "/opt/turnserver".into(), options });

        let bare: Contestant = "/opt/turnserver".parse().expect("a contestant");
        assert_eq!(bare.name, "/opt/turnserver");
        assert!("name=".parse::<Contestant>().is_err());
    }
}
