//! PeerServer's door for the clients of npm `peerjs`, unchanged (`docs/protocol/peerjs.md`): three addresses of HTTP, and a
//! WebSocket at `peerjs`, below each of the configured paths.
//!
//! It is asked for what has no route of its own, and takes what is its own by whole words, so that a door at `/` shadows nothing.

mod answer;
mod correspondents;
mod socket;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use switchboard_wire::PeerId;
use switchboard_wire::directory::{Namespace, Secret};

use crate::Config;
use crate::budget::Budgets;
use crate::config::{DEFAULT_PEERJS_KEY, MountPath, PeerJsConfig};
use crate::doors::ice;
use crate::origins::OriginPolicy;
use crate::server::{Shared, SpawnError};
use correspondents::Correspondents;

/// What the door keeps beside the configuration.
#[derive(Debug)]
pub(crate) struct PeerJs {
    origins: OriginPolicy,
    /// Lists of all ids cost more than other answers.
    listings: Budgets,
    correspondents: Correspondents,
}

/// What a path means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The path itself: what this is.
    About,
    /// A fresh id.
    Id,
    /// All ids of a key; none if there is no such key.
    Peers(Option<Namespace>),
    /// The WebSocket.
    Socket,
}

impl PeerJs {
    /// Reads the configuration; `public_url` counts as the server's own origin.
    pub(crate) fn new(config: &Config) -> Result<Self, SpawnError> {
        let origins = OriginPolicy::new("peerjs.origins", &config.peerjs.origins, config)?;
        Ok(Self { origins, listings: Budgets::new(ice::RATE), correspondents: Correspondents::default() })
    }

    /// Whether pages of this origin were named by the operator, who admits them to the relay with that.
    pub(crate) fn names(&self, origin: &http::HeaderValue) -> bool {
        self.origins.lists(origin)
    }
}

/// The routes of a door at `mount`, for a router that has others beside it.
pub(crate) fn patterns(mount: &str) -> Vec<String> {
    let mount = mount.trim_end_matches('/');
    let sign = (!mount.is_empty()).then(|| [mount.to_owned(), format!("{mount}/")]);
    let doors = ["peerjs", "{key}/id", "{key}/peers"].map(|rest| format!("{mount}/{rest}"));
    sign.into_iter().flatten().chain(doors).collect()
}

/// What a request for `path` means here, if it means anything. With doors at `/` and `/peerjs`, `/peerjs` is a WebSocket or a sign,
/// whichever is asked for.
pub(crate) fn find(config: &PeerJsConfig, path: &str, is_upgrade: bool) -> Option<Target> {
    let mut found = None;
    for mount in &config.paths {
        match meaning(config, mount, path) {
            Some(Target::Socket) if !is_upgrade => found = Some(Target::Socket),
            Some(target) => return Some(target),
            None => {}
        }
    }
    found
}

fn meaning(config: &PeerJsConfig, mount: &MountPath, path: &str) -> Option<Target> {
    let words: Vec<&str> = mount.rest(path)?.split('/').skip(1).filter(|word| !word.is_empty()).take(3).collect();
    match words[..] {
        // The page is at the root.
        [] => (mount.as_str() != "/").then_some(Target::About),
        ["peerjs"] => Some(Target::Socket),
        // The original asks for no valid key here, and gives an id that is nobody's.
        [_, "id"] => Some(Target::Id),
        [key, "peers"] => Some(Target::Peers(namespace(config, key))),
        _ => None,
    }
}

/// The directory of a key, if there is such a key.
pub(crate) fn namespace(config: &PeerJsConfig, key: &str) -> Option<Namespace> {
    let index = config.keys.iter().position(|known| known == key)?;
    u16::try_from(index).ok().map(Namespace::PeerJs)
}

/// What stands for the client that holds `id` with `token` where ICE servers are concerned, if there is one.
pub(crate) fn holder(shared: &Shared, key: Option<&str>, id: &str, token: &str) -> Option<PeerId> {
    let namespace = namespace(&shared.config.peerjs, key.unwrap_or(DEFAULT_PEERJS_KEY))?;
    let held = shared.hub.holds(namespace, id, &Secret::new(token));
    held.then(|| {
        let name = format!("{namespace:?}");
        let digest =
            Sha256::new().chain_update(b"switchboard peerjs 1\0").chain_update(name).chain_update([0]).chain_update(id);
        let mut bytes = [0; 15];
        bytes.copy_from_slice(&digest.finalize()[..15]);
        PeerId::from_random(bytes)
    })
}

/// Answers a request for what [`find`] found.
pub(crate) async fn open(shared: Arc<Shared>, target: Target, request: Request) -> Response {
    match target {
        Target::Socket => socket::open(shared, request).await,
        Target::About | Target::Id | Target::Peers(_) => answer::to(&shared, target, &request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(paths: &[&str]) -> PeerJsConfig {
        PeerJsConfig {
            paths: paths.iter().map(|path| MountPath::parse(path).expect("a path")).collect(),
            keys: vec!["peerjs".to_owned(), "other".to_owned()],
            ..PeerJsConfig::default()
        }
    }

    #[test]
    fn at_the_root_it_takes_its_own_and_leaves_the_rest() {
        let config = at(&["/"]);
        assert_eq!(find(&config, "/peerjs", true), Some(Target::Socket));
        assert_eq!(find(&config, "/peerjs/id", true), Some(Target::Id));
        assert_eq!(find(&config, "/nonsense/id", true), Some(Target::Id), "as in the original");
        assert_eq!(find(&config, "/other/peers", true), Some(Target::Peers(Some(Namespace::PeerJs(1)))));
        assert_eq!(find(&config, "/nonsense/peers", true), Some(Target::Peers(None)));
        for path in ["/", "/index.html", "/switchboard.js", "/peerjs/x", "/a/b/id", "/id", "/peers", "/peerjs/id/x"] {
            assert_eq!(find(&config, path, true), None, "{path}");
        }
    }

    #[test]
    fn at_a_path_of_its_own_it_says_what_it_is() {
        let config = at(&["/myapp"]);
        for path in ["/myapp", "/myapp/"] {
            assert_eq!(find(&config, path, true), Some(Target::About), "{path}");
        }
        assert_eq!(find(&config, "/myapp/peerjs", true), Some(Target::Socket));
        assert_eq!(find(&config, "/myapp/peerjs/id", true), Some(Target::Id));
        for path in ["/peerjs", "/peerjs/id", "/", "/myapple/peerjs"] {
            assert_eq!(find(&config, path, true), None, "{path}");
        }
    }

    #[test]
    fn several_paths_lead_to_the_same_door_and_none_to_none() {
        let config = at(&["/", "/a", "/a/b"]);
        for path in ["/peerjs", "/a/peerjs", "/a/b/peerjs"] {
            assert_eq!(find(&config, path, true), Some(Target::Socket), "{path}");
        }
        assert_eq!(find(&at(&[]), "/peerjs", true), None);
    }

    #[test]
    fn a_path_that_is_two_things_is_what_was_asked_for() {
        let config = at(&["/", "/peerjs"]);
        assert_eq!(find(&config, "/peerjs", true), Some(Target::Socket));
        assert_eq!(find(&config, "/peerjs", false), Some(Target::About));
        assert_eq!(find(&config, "/peerjs/peerjs", true), Some(Target::Socket));
        assert_eq!(find(&config, "/peerjs/peerjs/id", false), Some(Target::Id));
        assert_eq!(find(&at(&["/"]), "/peerjs", false), Some(Target::Socket), "which then says what it speaks");
    }
}
