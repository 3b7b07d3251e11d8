//! `switchboard serve`: from sources to a running server, and through its signals to its end.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process;

use anyhow::Context as _;
use switchboard_server::Server;
use switchboard_server::config::{Secret, TlsFiles, TurnConfig, TurnListen};
use tokio::runtime::{Builder, Runtime};
use tracing::field::display;
use tracing::{debug, error, info, warn};

use crate::banner::{Banner, Screen};
use crate::config::{KEYS, Secrets, Settings, Sources};
use crate::logging::{self, FilterHandle};
use crate::reach::{self, Links};
use crate::signals::{Signal, Signals};
use crate::start;

/// Serves until told to stop.
///
/// # Errors
/// A configuration that cannot be used, or a server that cannot start.
pub(crate) fn serve(sources: Sources) -> anyhow::Result<()> {
    let settings = Settings::load(&sources)?;
    let TurnConfig { secret, limits, listen, tls, .. } = settings.meaning()?.turn;
    let filter = logging::start(settings.raw.log.format, &settings.raw.log.filter)?;
    let files = raise_open_files();
    if (listen != TurnListen::Off || tls.is_some())
        && let Some(sentence) = too_few_files(files, limits.allocations)
    {
        warn!("{sentence}");
    }
    runtime().context("cannot start threads")?.block_on(Serving { sources, settings, filter, secret }.run())
}

/// How many tasks a thread runs before it looks which sockets are ready, and how many of those it takes then.
///
/// Not more are taken than run until the next look, so that the thread's queue never overflows: tasks that do not fit are
/// set aside, and those that become ready over and over pass them. With 2,000 busy sockets on a core one message in a hundred
/// waited ten times as long as the others.
const TURN: u32 = 64;

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().event_interval(TURN).max_io_events_per_tick(TURN as usize).build()
}

/// A server with what is needed to read its configuration again.
struct Serving {
    sources: Sources,
    settings: Settings,
    filter: FilterHandle,
    /// What TURN credentials are signed with, if that is configured.
    secret: Option<Secret>,
}

/// The exit code of a server whose terminal was closed: 128 and the number of SIGHUP, as shells have it.
const HANGUP: i32 = 129;

/// The settings that SIGHUP applies.
const APPLIED: [&str; 5] =
    ["log.filter", "turn.secret", "turn.secret_file", "turn.previous_secret", "turn.previous_secret_file"];

/// And these, where there is TLS already.
const CERTIFICATE: [&str; 2] = ["turn.certificate", "turn.private_key"];

impl Serving {
    async fn run(mut self) -> anyhow::Result<()> {
        // Before the server is up, so that no signal in between kills it without a goodbye.
        let mut signals = Signals::new().context("cannot receive signals")?;
        let server = start::spawn(&self.settings).await?;
        self.announce(&server);
        let last = loop {
            match signals.next().await {
                Signal::Reload => self.reload(&server),
                last @ (Signal::Stop { .. } | Signal::Hangup) => break last,
            }
        };
        self.stop(server, signals).await;
        match last {
            Signal::Hangup => process::exit(HANGUP),
            Signal::Stop { .. } | Signal::Reload => Ok(()),
        }
    }

    /// Lets clients take their leave, unless it is asked for a second time.
    async fn stop(&self, server: Server, mut signals: Signals) {
        info!(drain = ?self.settings.raw.main.drain_timeout.0, "stopping; a second signal stops at once");
        server.shutdown();
        let mut joined = Box::pin(server.join());
        loop {
            tokio::select! {
                () = &mut joined => return info!("stopped"),
                signal = signals.next() => match signal {
                    Signal::Reload => warn!("the server is stopping and reads no configuration"),
                    Signal::Hangup => {}
                    Signal::Stop { code } => {
                        warn!("stopped before every client had left");
                        process::exit(code);
                    }
                },
            }
        }
    }

    /// Says where the server is. That nobody listens is no reason not to serve.
    fn announce(&self, server: &Server) {
        let admin = server.admin_addr().map(display);
        let turn = server.turn_addrs();
        info!(
            version = env!("CARGO_PKG_VERSION"),
            addresses = list(server.local_addrs()),
            admin,
            turn = list(&turn.udp),
            turn_tcp = list(&turn.tcp),
            turn_tls = list(&turn.tls),
            "serving"
        );
        let main = &self.settings.raw.main;
        let public = main.public_url.as_ref().map(|url| url.0.as_str());
        let (bound, told) = (server.local_addrs().to_vec(), public.map(str::to_owned));
        server.reached_by(move || {
            Links::new(&bound, told.as_deref(), &reach::interfaces()).to_share().map(str::to_owned)
        });
        let banner = Banner {
            links: Links::new(server.local_addrs(), public, &reach::interfaces()),
            admin: server.admin_addr(),
            turn: turn.clone(),
            qr: main.qr,
        };
        let mut out = io::stdout().lock();
        let text = if out.is_terminal() { banner.pretty(screen()) } else { banner.plain() };
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            debug!(%error, "nobody reads standard output");
        }
    }

    /// Reads the configuration again, applies the log filter, the secret of TURN and its certificate, and names what else changed. A
    /// configuration that cannot be used changes nothing.
    fn reload(&mut self, server: &Server) {
        let loaded = Settings::load(&self.sources).and_then(|new| Ok((new.meaning()?, new)));
        let (config, new) = match loaded {
            Ok(loaded) => loaded,
            Err(invalid) => return error!(%invalid, "the new configuration cannot be used; nothing changed"),
        };
        self.filter.set(&new.raw.log.filter);
        self.take_secret(config.turn.secret, server);
        let applied = if take_certificate(config.turn.tls.as_ref(), server) { &CERTIFICATE[..] } else { &[] };
        let changed = KEYS.iter().filter(|key| {
            let show = |settings: &Settings| (key.show)(&settings.raw, Secrets::Show);
            let path = key.path();
            !APPLIED.contains(&path.as_str()) && !applied.contains(&path.as_str()) && show(&self.settings) != show(&new)
        });
        let changed: Vec<String> = changed.map(|key| key.path()).collect();
        if !changed.is_empty() {
            warn!(settings = changed.join(", "), "changed settings that need a restart");
        }
        self.settings.raw.log.filter = new.raw.log.filter;
        info!("read the configuration again");
    }

    /// Lets another secret sign. The last one is its predecessor then, whatever `turn.previous_secret` says.
    fn take_secret(&mut self, secret: Option<Secret>, server: &Server) {
        match secret {
            Some(secret) if self.secret.as_ref() != Some(&secret) => {
                server.rotate_turn_secret(secret.clone());
                self.secret = Some(secret);
                info!(
                    "TURN credentials are signed with another secret; what the last one signed is good until it expires"
                );
            }
            None if self.secret.is_some() => warn!("a random secret in place of turn.secret needs a restart"),
            Some(_) | None => {}
        }
    }
}

/// Reads the certificate of TURN again, which may be a renewed one in the same file; returns whether there is one in use.
fn take_certificate(files: Option<&TlsFiles>, server: &Server) -> bool {
    let Some(files) = files else { return false };
    match server.reload_turn_certificate(files) {
        Ok(true) => {
            info!("read the certificate of TURN again, for connections that come from now on");
            true
        }
        Ok(false) => false,
        Err(error) => {
            error!(%error, "the certificate of TURN cannot be used; the last one stays in use");
            true
        }
    }
}

/// Addresses for a log line; none if there are none.
fn list(addresses: &[SocketAddr]) -> Option<String> {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// Measures the terminal; 80 by 24 if it will not say.
fn screen() -> Screen {
    #[cfg(unix)]
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| (size.ws_col.into(), size.ws_row.into()));
    #[cfg(not(unix))]
    let size = None;
    Screen { size: size.filter(|(columns, _)| *columns > 0).unwrap_or((80, 24)), colours: logging::colours() }
}

/// Raises the limit of open files to what the system grants: each socket is one, and the usual 1,024 are soon used up. Returns
/// the limit that holds then; none is no limit.
fn raise_open_files() -> Option<u64> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => {
                debug!(files = ?limit.maximum, "raised the limit of open files");
                limit.maximum
            }
            Err(error) => {
                warn!(%error, files = ?limit.current, "cannot raise the limit of open files");
                limit.current
            }
        }
    }
    #[cfg(not(unix))]
    None
}

/// What to say where the allocations that TURN may make do not fit into the limit of open files.
fn too_few_files(files: Option<u64>, allocations: u32) -> Option<String> {
    let files = files.filter(|files| *files <= u64::from(allocations))?;
    Some(format!(
        "turn.allocations is {allocations}, each of which is an open file, but the limit of open files is {files}: raise it \
         (LimitNOFILE= in systemd, --ulimit nofile= in Docker) or set turn.allocations lower"
    ))
}

#[cfg(test)]
mod tests {
    use super::too_few_files;

    #[test]
    fn open_files_have_to_be_more_than_allocations() {
        assert_eq!(too_few_files(None, 4_096), None);
        assert_eq!(too_few_files(Some(4_097), 4_096), None);
        assert_eq!(
            too_few_files(Some(4_096), 4_096).expect("a sentence"),
            "turn.allocations is 4096, each of which is an open file, but the limit of open files is 4096: raise it \
             (LimitNOFILE= in systemd, --ulimit nofile= in Docker) or set turn.allocations lower"
        );
    }
}
