//! Which STUN and TURN servers clients are told of: those that the operator names, then this server's own, with
//! credentials made on the spot (`docs/protocol/rooms.md`, "STUN and TURN").

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;
use serde_json::value::to_raw_value;
use sha2::{Digest as _, Sha256};
pub use switchboard_signalling::core::HostName;
use switchboard_signalling::core::{IceGrant, IceRequest, IceSource};
use switchboard_turn::{Credentials, Secret};
use switchboard_wire::rooms::IceServers;
use switchboard_wire::{PeerId, RoomId};

use crate::Config;
use crate::config::IceServer;
use crate::turn::TurnAddrs;

/// Bytes of a tag: as many as make 16 characters of base64url, 96 bits, too many to meet by chance.
const TAG_BYTES: usize = 12;

/// The server's own STUN and TURN.
#[derive(Debug)]
pub struct OwnServers {
    /// Where they are.
    pub addrs: TurnAddrs,
    /// What signs names.
    pub credentials: Arc<Credentials>,
}

/// What there is to offer.
#[derive(Debug)]
pub(crate) struct IceOffers {
    /// The servers that the operator names, for everybody.
    configured: Vec<IceServer>,
    own: Option<OwnServers>,
    /// The host of `public_url`, which goes before the name by which a client came.
    public: Option<HostName>,
    lifetime: Duration,
    tags: TagKey,
}

/// Makes tags; new at every start, so that nobody can follow a room from one run to the next.
struct TagKey([u8; 32]);

impl IceOffers {
    pub(crate) fn new(config: &Config, own: Option<OwnServers>) -> Self {
        let authority = config.public_url.as_deref().and_then(|url| url.split_once("://")).map(|(_, rest)| rest);
        Self {
            configured: config.ice_servers.clone(),
            own,
            public: authority.and_then(|rest| HostName::from_authority(rest.trim_end_matches('/'))),
            lifetime: config.turn.credential_lifetime,
            tags: TagKey(rand::rng().random()),
        }
    }

    /// Signs names with `secret` from now on; what the present one signed is good until it expires.
    pub(crate) fn rotate(&self, secret: Secret) {
        if let Some(own) = &self.own {
            own.credentials.rotate(secret);
        }
    }

    /// What somebody outside of rooms may use: `user` as its operator calls it, or somebody new.
    pub(crate) fn grant_to(&self, user: Option<&str>, host: Option<&HostName>) -> IceGrant {
        match user {
            Some(user) => self.grant_as(user, host),
            None => self.grant_as(&URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; TAG_BYTES]>()), host),
        }
    }

    fn grant_as(&self, user: &str, host: Option<&HostName>) -> IceGrant {
        let own = self.own.as_ref().zip(self.public.as_ref().or(host));
        let expires = unix_time().saturating_add(self.lifetime).as_secs();
        let own = own.and_then(|(own, host)| own.servers(host, user, expires));
        let lifetime = own.as_ref().map(|_| self.lifetime);
        let servers: Vec<&IceServer> = self.configured.iter().chain(own.iter().flatten()).collect();
        // Serialising our own types has no way to fail: string keys only, no IO.
        IceGrant { servers: to_raw_value(&servers).map(IceServers::new).unwrap_or_default(), lifetime }
    }
}

impl IceSource for IceOffers {
    fn grant(&self, request: IceRequest<'_>) -> IceGrant {
        self.grant_as(&self.tags.tag(request.peer, request.room), request.host)
    }
}

/// Longest name that credentials are made for, in characters.
pub const USER_MAX: usize = 64;

/// Whether credentials are made for a user of this name, at `/ice` and elsewhere: 1 to [`USER_MAX`] characters out of A-Z a-z
/// 0-9 . _ @ + -, so that it needs no quoting anywhere and its colon is that before the name.
pub fn is_user(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'@' | b'+' | b'-');
    (1..=USER_MAX).contains(&name.len()) && name.bytes().all(fits)
}

impl OwnServers {
    /// STUN, and TURN for `user` until `expires`, in seconds since 1970; none if no TURN is bound, or nobody can be called so.
    pub fn servers(&self, host: &HostName, user: &str, expires: u64) -> Option<Vec<IceServer>> {
        let since = |addrs, scheme, transport| urls(addrs, host, scheme, transport);
        // The second address goes as it is: a name would lead to the first one, and the two are to be told apart.
        let alternate = self.addrs.alternate.filter(|_| !self.addrs.udp.is_empty()).map(|at| format!("stun:{at}"));
        let stun: Vec<String> = since(&self.addrs.udp, "stun", "").chain(alternate).collect();
        let turn: Vec<String> = since(&self.addrs.udp, "turn", "?transport=udp")
            .chain(since(&self.addrs.tcp, "turn", "?transport=tcp"))
            .chain(since(&self.addrs.tls, "turns", "?transport=tcp"))
            .collect();
        let issued = self.credentials.issue(user, expires).ok().filter(|_| !turn.is_empty())?;
        let open = (!stun.is_empty()).then_some(IceServer { urls: stun, username: None, credential: None });
        let closed = IceServer {
            urls: turn,
            username: Some(issued.username.clone()),
            credential: Some(issued.password.clone()),
        };
        Some(open.into_iter().chain([closed]).collect())
    }
}

/// One URL for each port (RFC 7064, RFC 7065). What is bound to loopback goes by its address, for another of the host's
/// names may lead elsewhere; but a certificate is for a name, and Firefox takes no bare address for TLS.
fn urls(addrs: &[SocketAddr], host: &HostName, scheme: &str, transport: &str) -> impl Iterator<Item = String> {
    let url = |addr: &SocketAddr| match addr.ip().is_loopback() && scheme != "turns" {
        true => format!("{scheme}:{addr}{transport}"),
        false => format!("{scheme}:{host}:{}{transport}", addr.port()),
    };
    addrs.iter().map(url).collect::<BTreeSet<_>>().into_iter()
}

/// The time as the credentials' expiry counts it.
fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl TagKey {
    /// What a peer is called in a room where TURN is concerned: the same each time, so that quotas hold, another in each
    /// room, and nothing in it says who or where.
    fn tag(&self, peer: PeerId, room: Option<&RoomId>) -> String {
        let hash = Sha256::new()
            .chain_update(b"switchboard turn user 1\0")
            .chain_update(self.0)
            // Always 20 bytes, so that no peer and room run together like others.
            .chain_update(peer.as_str())
            .chain_update(room.map_or("", RoomId::as_str));
        URL_SAFE_NO_PAD.encode(&hash.finalize()[..TAG_BYTES])
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn offers(change: impl FnOnce(&mut Config, &mut TurnAddrs)) -> IceOffers {
        let mut config = Config::default();
        let addr = |text: &str| vec![text.parse().expect("address")];
        let mut addrs =
            TurnAddrs { udp: addr("[::]:3478"), tcp: addr("[::]:3478"), tls: addr("[::]:5349"), alternate: None };
        change(&mut config, &mut addrs);
        let secret = Secret::generate(&mut rand::rng());
        let credentials = Arc::new(Credentials::new("switchboard", secret, None, vec![]).expect("valid"));
        IceOffers::new(&config, Some(OwnServers { addrs, credentials }))
    }

    fn grant(offers: &IceOffers, host: Option<&str>) -> (Value, Option<Duration>) {
        let host = host.and_then(HostName::from_authority);
        let grant = offers.grant(IceRequest { peer: PeerId::from_random([1; 15]), room: None, host: host.as_ref() });
        (serde_json::from_str(grant.servers.as_json()).expect("JSON"), grant.lifetime)
    }

    #[test]
    fn names_what_is_bound_under_the_name_by_which_the_client_came() {
        let (servers, lifetime) = grant(&offers(|_, _| ()), Some("Example.org:3000"));
        assert_eq!(lifetime, Some(Duration::from_secs(3600)));
        assert_eq!(servers[0], json!({"urls": ["stun:example.org:3478"]}));
        assert_eq!(
            servers[1]["urls"],
            json!([
                "turn:example.org:3478?transport=udp",
                "turn:example.org:3478?transport=tcp",
                "turns:example.org:5349?transport=tcp",
            ])
        );
        let (servers, _) = grant(&offers(|_, _| ()), Some("[2001:db8::7]:3000"));
        assert_eq!(servers[0]["urls"], json!(["stun:[2001:db8::7]:3478"]));
    }

    #[test]
    fn a_second_address_is_a_second_stun_server_and_no_relay() {
        let offers = offers(|_, addrs| addrs.alternate = "198.51.100.8:3479".parse().ok());
        let (servers, _) = grant(&offers, Some("example.org"));
        assert_eq!(servers[0]["urls"], json!(["stun:example.org:3478", "stun:198.51.100.8:3479"]));
        assert!(!servers[1]["urls"].to_string().contains("198.51.100.8"));
    }

    #[test]
    fn the_public_url_goes_before_what_the_client_says() {
        let offers = offers(|config, _| config.public_url = Some("https://public.example:8443".to_owned()));
        for host in [Some("inner.example"), None] {
            assert_eq!(grant(&offers, host).0[0]["urls"], json!(["stun:public.example:3478"]));
        }
    }

    #[test]
    fn what_is_not_bound_is_not_named() {
        let (servers, _) = grant(
            &offers(|_, addrs| {
                addrs.udp.clear();
                addrs.tls.clear();
            }),
            Some("a.example"),
        );
        assert_eq!(servers.as_array().map(Vec::len), Some(1));
        assert_eq!(servers[0]["urls"], json!(["turn:a.example:3478?transport=tcp"]));
    }

    #[test]
    fn what_only_this_machine_reaches_goes_by_its_address() {
        let offers = offers(|_, addrs| addrs.udp = vec!["127.0.0.1:4000".parse().expect("address")]);
        assert_eq!(grant(&offers, Some("localhost:3000")).0[0]["urls"], json!(["stun:127.0.0.1:4000"]));
        let offers = self::offers(|_, addrs| addrs.tls = vec!["127.0.0.1:5000".parse().expect("address")]);
        let turn = &grant(&offers, Some("localhost:3000")).0[1]["urls"];
        assert!(
            turn.as_array().is_some_and(|urls| urls.contains(&json!("turns:localhost:5000?transport=tcp"))),
            "{turn}"
        );
    }

    #[test]
    fn the_operators_servers_come_first_and_alone_where_the_host_is_unknown() {
        let server = IceServer { urls: vec!["stun:other.example".into()], username: None, credential: None };
        let offers = offers(|config, _| config.ice_servers = vec![server]);
        let (servers, _) = grant(&offers, Some("a.example"));
        assert_eq!((&servers[0]["urls"], servers.as_array().map(Vec::len)), (&json!(["stun:other.example"]), Some(3)));
        assert_eq!(grant(&offers, None), (json!([{"urls": ["stun:other.example"]}]), None));
        let without = IceOffers::new(&Config::default(), None);
        assert_eq!(grant(&without, Some("a.example")), (json!([]), None));
    }

    #[test]
    fn credentials_are_good_for_their_lifetime_and_no_longer() {
        let offers = offers(|config, _| config.turn.credential_lifetime = Duration::from_secs(60));
        let before = unix_time();
        let (servers, lifetime) = grant(&offers, Some("a.example"));
        assert_eq!(lifetime, Some(Duration::from_secs(60)));
        let username = servers[1]["username"].as_str().expect("a name");
        let (expires, _) = username.split_once(':').expect("a time");
        let expires: u64 = expires.parse().expect("seconds");
        assert!((before.as_secs() + 60..=unix_time().as_secs() + 60).contains(&expires));
        let credentials = &offers.own.as_ref().expect("own").credentials;
        assert!(credentials.lookup(username, Duration::from_secs(expires - 1)).account.is_ok());
        assert!(credentials.lookup(username, Duration::from_secs(expires)).account.is_err());
    }

    #[test]
    fn another_secret_signs_at_once_and_the_last_one_is_still_believed() {
        let offers = offers(|_, _| ());
        let credentials = &offers.own.as_ref().expect("own").credentials;
        let host = HostName::from_authority("a.example");
        let before = offers.grant_to(Some("ann"), host.as_ref());
        offers.rotate(Secret::generate(&mut rand::rng()));
        assert_ne!(offers.grant_to(Some("ann"), host.as_ref()).servers, before.servers);
        let username = credentials.issue("ann", unix_time().as_secs() + 60).expect("a name").username;
        assert_eq!(credentials.lookup(&username, unix_time()).keys.len(), 2, "one key for each secret");
    }

    #[test]
    fn a_tag_tells_peers_rooms_and_runs_apart_and_nothing_else() {
        let (one, other) = (TagKey([1; 32]), TagKey([2; 32]));
        let [ann, bob] = [1, 2].map(|byte| PeerId::from_random([byte; 15]));
        let room: RoomId = "aUa62LD8NZ".parse().expect("a room");
        let tags = [one.tag(ann, Some(&room)), one.tag(ann, None), one.tag(bob, Some(&room)), other.tag(ann, None)];
        assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), tags.len());
        assert!(tags.iter().all(|tag| tag.len() == 16 && !tag.contains(&room.as_str()[..4])));
        assert_eq!(one.tag(ann, None), tags[1]);
    }

    #[test]
    fn somebody_without_a_name_is_somebody_new_each_time() {
        let offers = offers(|_, _| ());
        let host = HostName::from_authority("a.example");
        let [one, two] = [(); 2].map(|()| offers.grant_to(None, host.as_ref()));
        assert_ne!(one.servers, two.servers);
        assert!(offers.grant_to(Some("ann"), host.as_ref()).servers.as_json().contains(":ann\""));
    }
}
