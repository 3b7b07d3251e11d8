//! `switchboard credentials`: a set of time-limited TURN credentials, for software that cannot ask for them at `/ice`.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use switchboard_server::config::{IceServer, TurnConfig, TurnListen};
use switchboard_server::ice::{HostName, OwnServers, USER_MAX, is_user};
use switchboard_server::{Config, TurnAddrs};
use switchboard_turn::Credentials;

use crate::config::{Invalid, Lifetime, Origin, Problem, Setting as _, Settings, Sources};
use crate::reach::{self, Links};

/// Who credentials are for, where nobody is named.
const USER: &str = "operator";

/// What is asked for, as it was typed.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// For whom.
    pub(crate) user: Option<String>,
    /// For how long.
    pub(crate) lifetime: Option<String>,
    /// The name of the server in the URLs.
    pub(crate) host: Option<String>,
    /// Whether a program reads it.
    pub(crate) json: bool,
}

/// A set of credentials.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Set {
    username: String,
    password: String,
    /// Seconds since 1970.
    expires: u64,
    lifetime_seconds: u64,
    urls: Vec<String>,
    configuration: RtcConfiguration,
}

/// What `RTCPeerConnection` takes (W3C WebRTC §4.2.1).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RtcConfiguration {
    ice_servers: Vec<IceServer>,
}

/// Makes a set of credentials, as text or as JSON.
///
/// # Errors
/// A configuration without a secret, or a request that makes no sense.
pub(crate) fn credentials(sources: &Sources, request: &Request) -> Result<String, Invalid> {
    let settings = Settings::load(sources)?;
    let config = settings.meaning()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let set = make(&settings, &config, request, now).map_err(|problem| Invalid(vec![problem]))?;
    Ok(if request.json { json(&set) } else { text(&set) })
}

fn make(settings: &Settings, config: &Config, request: &Request, now: Duration) -> Result<Set, Problem> {
    let turn = &config.turn;
    let Some(secret) = turn.secret.clone() else {
        return Err(settings.problem(
            "turn.secret",
            "has to be set: without it the server makes a random one at each start, which nobody else knows",
            "set it, or `turn.secret_file`, for the server and for this command, to what `openssl rand -hex 32` prints",
        ));
    };
    let credentials = Credentials::new(&turn.realm, secret, None, Vec::new()).map_err(|error| {
        settings.problem("turn.realm", &format!("is none: {error}"), "take another, or the default")
    })?;
    let own = OwnServers { addrs: addresses(settings, turn)?, credentials: Arc::new(credentials) };
    let lifetime = match &request.lifetime {
        None => turn.credential_lifetime,
        Some(text) => Lifetime::from_text(text).map_err(|wrong| flag("--lifetime", &wrong.sentence))?.0,
    };
    let host = match &request.host {
        Some(text) => HostName::from_authority(text)
            .ok_or_else(|| flag("--host", &format!("must be a host such as turn.example.org, not {text:?}")))?,
        None => usual_host(config),
    };
    let expires = now.saturating_add(lifetime).as_secs();
    let user = request.user.as_deref().unwrap_or(USER);
    if !is_user(user) {
        let sentence = format!("must be a name of 1 to {USER_MAX} characters out of A-Z a-z 0-9 . _ @ + -, as at /ice");
        return Err(flag("--user", &sentence));
    }
    let servers = own.servers(&host, user, expires).ok_or_else(|| off(settings))?;
    set(servers, expires, lifetime).ok_or_else(|| off(settings))
}

/// Takes the credentials out of the servers that they are for.
fn set(servers: Vec<IceServer>, expires: u64, lifetime: Duration) -> Option<Set> {
    let turn = servers.iter().find(|server| server.username.is_some())?;
    Some(Set {
        username: turn.username.clone()?,
        password: turn.credential.clone()?,
        expires,
        lifetime_seconds: lifetime.as_secs(),
        urls: servers.iter().flat_map(|server| server.urls.clone()).collect(),
        configuration: RtcConfiguration { ice_servers: servers },
    })
}

/// Where the server will be, as far as its configuration says.
fn addresses(settings: &Settings, turn: &TurnConfig) -> Result<TurnAddrs, Problem> {
    let plain = match &turn.listen {
        TurnListen::IfFree(address) => vec![*address],
        TurnListen::At(addresses) => addresses.clone(),
        TurnListen::Off => Vec::new(),
    };
    let tls = turn.tls_listen.clone();
    if plain.iter().chain(&tls).any(|address| address.port() == 0) {
        let sentence = "has port 0, which is another one at each start, so that no URL can name it";
        return Err(settings.problem("turn.listen", sentence, "give it a port, such as 3478"));
    }
    if plain.is_empty() && tls.is_empty() {
        return Err(off(settings));
    }
    Ok(TurnAddrs { udp: plain.clone(), tcp: plain, tls, alternate: turn.nat_detection })
}

/// The host of `public_url`, else the address under which others in the network reach this machine.
fn usual_host(config: &Config) -> HostName {
    let links = Links::new(&config.listen, config.public_url.as_deref(), &reach::interfaces());
    let link = links.to_share().and_then(|link| link.split_once("://"));
    let authority = link.map(|(_, authority)| authority.trim_end_matches('/'));
    authority.and_then(HostName::from_authority).unwrap_or_else(HostName::localhost)
}

fn off(settings: &Settings) -> Problem {
    settings.problem(
        "turn.listen",
        "turns STUN and TURN off, so that credentials are of no use",
        "give it a port, such as 3478",
    )
}

fn flag(name: &str, sentence: &str) -> Problem {
    Problem { origin: Origin::Flag(name.to_owned()), sentence: sentence.to_owned(), hint: None }
}

fn json(set: &Set) -> String {
    // Serialising our own types has no way to fail: string keys only, no IO.
    serde_json::to_string(set).unwrap_or_default() + "\n"
}

fn text(set: &Set) -> String {
    let urls: String = set.urls.iter().map(|url| format!("{url}\n")).collect();
    let configuration = serde_json::to_string_pretty(&set.configuration).unwrap_or_default();
    format!(
        "username  {}\npassword  {}\nexpires   {} ({} s from now)\n\n{urls}\n{configuration}\n",
        set.username,
        set.password,
        utc(set.expires),
        set.lifetime_seconds
    )
}

/// A time since 1970 as in RFC 3339, `2026-11-21T09:30:00Z`; the proleptic Gregorian calendar in eras of 400 years that
/// begin in March, so that the day that leap years add is the last of its year.
fn utc(unix: u64) -> String {
    const ERA_DAYS: u64 = 146_097;
    /// Days from 1 March of the year 0 to 1 January 1970.
    const EPOCH: u64 = 719_468;
    let (days, seconds) = (unix / 86_400 + EPOCH, unix % 86_400);
    let (era, day) = (days / ERA_DAYS, days % ERA_DAYS);
    let year = (day - day / 1_460 + day / 36_524 - day / (ERA_DAYS - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March on have 153 days, again and again.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", era * 400 + year)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::default();
        config.turn.secret = Some("Vw8kRz1QmT4xYb7NcJ2pLd".parse().expect("strong"));
        change(&mut config);
        config
    }

    fn request(user: Option<&str>, lifetime: Option<&str>, host: Option<&str>) -> Request {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Request { user: own(user), lifetime: own(lifetime), host: own(host), json: false }
    }

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    #[test]
    fn a_set_names_who_until_when_and_where() {
        let request = request(Some("ann"), Some("10m"), Some("turn.example.org"));
        let set = make(&Settings::default(), &config(|_| ()), &request, NOW).expect("a set");
        assert_eq!(set.username, "1700000600:ann");
        assert_eq!(
            set.urls,
            [
                "stun:turn.example.org:3478",
                "turn:turn.example.org:3478?transport=udp",
                "turn:turn.example.org:3478?transport=tcp",
            ]
        );
        let json: serde_json::Value = serde_json::from_str(&json(&set)).expect("JSON");
        assert_eq!(json["configuration"]["iceServers"][1]["credential"], json["password"]);
        assert_eq!((&json["expires"], &json["lifetimeSeconds"]), (&1_700_000_600.into(), &600.into()));
        assert!(text(&set).contains("expires   2023-11-14T22:23:20Z (600 s from now)"), "{}", text(&set));
    }

    #[test]
    fn the_host_is_the_public_ones_unless_another_is_named() {
        let config = config(|config| config.public_url = Some("https://public.example:8443".to_owned()));
        let urls = |host| make(&Settings::default(), &config, &request(None, None, host), NOW).expect("a set").urls;
        assert_eq!(urls(None)[0], "stun:public.example:3478");
        assert_eq!(urls(Some("other.example"))[0], "stun:other.example:3478");
    }

    #[test]
    fn what_cannot_be_is_told_in_one_sentence() {
        let complaint = |config: &Config, request: &Request| {
            make(&Settings::default(), config, request, NOW).expect_err("no set").to_string()
        };
        let plain = request(None, None, None);
        let without = complaint(&config(|config| config.turn.secret = None), &plain);
        assert!(
            without.contains("`turn.secret` has to be set") && without.contains("openssl rand -hex 32"),
            "{without}"
        );
        assert!(
            complaint(&config(|config| config.turn.listen = TurnListen::Off), &plain)
                .contains("turns STUN and TURN off")
        );
        let port_0 =
            |config: &mut Config| config.turn.listen = TurnListen::At(vec!["[::]:0".parse().expect("address")]);
        assert!(complaint(&config(port_0), &plain).contains("port 0"));
        assert!(complaint(&config(|_| ()), &request(None, Some("1s"), None)).contains("--lifetime"));
        assert!(complaint(&config(|_| ()), &request(None, None, Some("a b"))).contains("--host"));
        for user in ["a\nb", "a b", "a:b", "ä", ""] {
            assert!(complaint(&config(|_| ()), &request(Some(user), None, None)).contains("--user"), "{user:?}");
        }
    }

    #[test]
    fn times_are_written_as_in_rfc_3339() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(unix), text);
        }
    }
}
