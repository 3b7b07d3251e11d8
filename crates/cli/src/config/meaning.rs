//! From what was typed to what it means: [`Raw`] to [`Config`].

mod paths;
mod peerjs;
mod turn;

use switchboard_server::Config;
use switchboard_server::config::{
    AdminListen, IceServer, Limits, MatchboxConfig, Origins, Rate, RelayConfig, StarConfig,
};

use super::Settings;
use super::ice::{Credential, IceEntry};
use super::net::PageOrigin;
use super::problem::{Invalid, Origin, Problem};
use super::raw::{self, Raw};
use super::secrets::first_line;
use super::units::{Count, Size};

impl Settings {
    /// Works out what the server is to be told, and reads the files that settings name.
    ///
    /// # Errors
    /// Every setting that is well-formed and makes no sense.
    pub(crate) fn meaning(&self) -> Result<Config, Invalid> {
        let Raw { main, limits, star, relay, matchbox, peerjs: _, turn: _, log: _ } = &self.raw;
        let mut problems = Vec::new();
        if main.listen.is_empty() {
            problems.push(self.problem("listen", "must name at least one address", "listen = [\"[::]:3000\"]"));
        }
        let ice_servers = main.ice_servers.iter().filter_map(|entry| match ice_server(entry) {
            Ok(server) => Some(server),
            Err(sentence) => {
                problems.push(self.problem(
                    "ice_servers",
                    &sentence,
                    "the file holds the credential in its first line",
                ));
                None
            }
        });
        let ice_servers: Vec<IceServer> = ice_servers.collect();
        let turn = self.turn(&mut problems);
        let peerjs = self.peerjs(&mut problems);
        let config = Config {
            listen: main.listen.iter().map(|address| address.0).collect(),
            admin_listen: self.admin_listen(),
            public_url: main.public_url.as_ref().map(|url| url.0.clone()),
            origins: origins(&main.origins),
            trusted_proxies: main.trusted_proxies.iter().map(|network| network.0).collect(),
            ice_servers,
            turn,
            peerjs,
            star: self::star(star),
            relay: self::relay(relay),
            matchbox: self::matchbox(matchbox),
            limits: self::limits(limits),
            drain_timeout: main.drain_timeout.0,
        };
        problems.extend(config.path_conflicts().into_iter().map(|taken| self.path_taken(&taken)));
        if problems.is_empty() { Ok(config) } else { Err(Invalid(problems)) }
    }

    /// An address that somebody chose must be had; the default one is a convenience.
    fn admin_listen(&self) -> AdminListen {
        match &self.raw.main.admin_listen {
            None => AdminListen::Off,
            Some(address) if self.origin("admin_listen") == Origin::Default => AdminListen::IfFree(address.0),
            Some(address) => AdminListen::At(address.0),
        }
    }

    /// A complaint about a setting, where it was set.
    pub(crate) fn problem(&self, path: &str, sentence: &str, hint: &str) -> Problem {
        Problem { origin: self.origin(path), sentence: format!("`{path}` {sentence}"), hint: Some(hint.to_owned()) }
    }
}

fn origins(origins: &[PageOrigin]) -> Origins {
    if origins.iter().any(|origin| origin.0 == PageOrigin::ANY) {
        Origins::Any
    } else {
        Origins::Listed(origins.iter().map(|origin| origin.0.clone()).collect())
    }
}

fn limits(raw: &raw::Limits) -> Limits {
    Limits {
        connections: narrow(raw.connections),
        connections_per_address: narrow(raw.connections_per_address),
        rooms: index(raw.rooms),
        rooms_per_address: narrow(raw.rooms_per_address),
        room_members: index(raw.room_members),
        rooms_per_peer: index(raw.rooms_per_peer),
        messages_per_connection: rate(raw.messages_per_connection, raw.burst_per_connection),
        messages_per_address: rate(raw.messages_per_address, raw.burst_per_address),
        messages_in_all: rate(raw.messages_in_all, raw.burst_in_all),
        queue_bytes: bytes(raw.queue_bytes),
        away_messages: index(raw.away_messages),
        away_bytes: bytes(raw.away_bytes),
        grace: raw.grace.0,
        greeting_timeout: raw.greeting_timeout.0,
        socketio_greeting_timeout: raw.socketio_greeting_timeout.0,
        heartbeat: raw.heartbeat.0,
        heartbeat_timeout: raw.heartbeat_timeout.0,
        header_timeout: raw.header_timeout.0,
        body_timeout: raw.body_timeout.0,
    }
}

fn star(raw: &raw::Star) -> StarConfig {
    StarConfig {
        enabled: raw.enabled,
        origins: origins(&raw.origins),
        announce_interval: raw.announce_interval.0,
        announce_most: index(raw.announce_most),
        announce_again: index(raw.announce_again),
        announce_rate: narrow(raw.announce_rate),
        addresses: index(raw.addresses),
        addresses_per_socket: index(raw.addresses_per_socket),
        sockets_per_address: index(raw.sockets_per_address),
    }
}

fn relay(raw: &raw::Relay) -> RelayConfig {
    RelayConfig {
        paths: raw.paths.iter().map(|path| path.0.clone()).collect(),
        origins: origins(&raw.origins),
        topics: index(raw.topics),
        topics_per_client: index(raw.topics_per_client),
        subscribers: index(raw.subscribers),
    }
}

fn matchbox(raw: &raw::Matchbox) -> MatchboxConfig {
    MatchboxConfig { paths: raw.paths.iter().map(|path| path.0.clone()).collect(), origins: origins(&raw.origins) }
}

/// A burst below one second's messages would undercut the rate that was allowed.
fn rate<const A: u64, const B: u64, const C: u64, const D: u64>(per_second: Count<A, B>, burst: Count<C, D>) -> Rate {
    let per_second = narrow(per_second);
    Rate { per_second, burst: narrow(burst).max(per_second) }
}

/// Every count's range ends far below `u32::MAX`.
fn narrow<const MIN: u64, const MAX: u64>(count: Count<MIN, MAX>) -> u32 {
    const { assert!(MAX <= u32::MAX as u64) };
    count.0 as u32
}

fn index<const MIN: u64, const MAX: u64>(count: Count<MIN, MAX>) -> usize {
    const { assert!(MAX <= u32::MAX as u64) };
    count.0 as usize
}

fn bytes<const MIN: u64, const MAX: u64>(size: Size<MIN, MAX>) -> usize {
    const { assert!(MAX <= u32::MAX as u64) };
    size.0 as usize
}

fn ice_server(entry: &IceEntry) -> Result<IceServer, String> {
    let credential = match &entry.credential {
        None => None,
        Some(Credential::Inline(secret)) => Some(secret.clone()),
        Some(Credential::File(path)) => Some(first_line(path, "credential_file", "credential")?),
    };
    Ok(IceServer { urls: entry.urls.clone(), username: entry.username.clone(), credential })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn settings(raw: Raw) -> Settings {
        Settings { raw, ..Settings::default() }
    }

    #[test]
    fn defaults_mean_the_servers_own() {
        let config = Settings::default().meaning().expect("valid");
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn a_server_without_an_address_is_refused() {
        let mut raw = Raw::default();
        raw.main.listen.clear();
        let invalid = settings(raw).meaning().expect_err("nowhere to listen");
        assert_eq!(invalid.0[0].sentence, "`listen` must name at least one address");
    }

    #[test]
    fn credentials_come_from_the_first_line_of_their_file() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let entry = IceEntry {
            urls: vec!["turn:turn.example.org".to_owned()],
            username: Some("ann".to_owned()),
            credential: Some(Credential::File(file.path().to_owned())),
        };
        assert!(ice_server(&entry).expect_err("empty").contains("without a credential"));
        fs::write(file.path(), "hunter2\n").expect("written");
        assert_eq!(ice_server(&entry).expect("server").credential.as_deref(), Some("hunter2"));
    }

    #[test]
    fn one_star_admits_all_origins() {
        let some = PageOrigin("https://example.org".to_owned());
        assert_eq!(origins(std::slice::from_ref(&some)), Origins::Listed(vec![some.0.clone()]));
        assert_eq!(origins(&[some, PageOrigin("*".to_owned())]), Origins::Any);
    }
}
