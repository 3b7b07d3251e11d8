//! Which paths the doors are at, all of them together, and that no two want the same.
//!
//! Only what somebody relies on counts as wanted. That a page is at `/` hinders no WebSocket there, and matchbox at `/` takes as rooms
//! what is left.

use std::fmt;

use crate::Config;
use crate::config::MountPath;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mounted {
    /// The rooms protocol.
    Rooms,
    /// Socket.IO, and webrtc-star.
    SocketIo,
    /// ICE servers for backends and for PeerJS pages.
    Ice,
    /// The browser module and its parts.
    Module,
    /// The page, and what belongs to it.
    Page,
    /// What tells whether the server lives.
    Health,
    /// PeerJS, at [`PeerJsConfig::paths`](crate::config::PeerJsConfig::paths).
    PeerJs,
    /// What PeerJS clients ask for below one of [`PeerJsConfig::keys`](crate::config::PeerJsConfig::keys).
    PeerJsKey,
    /// The relay, at [`RelayConfig::paths`](crate::config::RelayConfig::paths).
    Relay,
    /// matchbox, at [`MatchboxConfig::paths`](crate::config::MatchboxConfig::paths).
    Matchbox,
}

/// A path that was chosen for one door, where another is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} cannot have {path}, for {by} has it already; choose another.")]
pub struct PathTaken {
    /// The path, or one below it.
    pub path: String,
    /// What should be there. It was chosen.
    pub wanted: Mounted,
    /// What is there.
    pub by: Mounted,
}

/// What is there, wherever the other doors are.
const BUILT_IN: [(Mounted, &str, Extent); 13] = [
    (Mounted::Rooms, "/ws", Extent::Exactly),
    (Mounted::Ice, "/ice", Extent::Exactly),
    (Mounted::SocketIo, "/socket.io", Extent::Exactly),
    (Mounted::SocketIo, "/socket.io-next", Extent::Exactly),
    (Mounted::Module, "/switchboard.js", Extent::Exactly),
    (Mounted::Module, "/switchboard", Extent::AllBelow),
    // A file for all of its folder, which others may be in as long as they leave room for it.
    (Mounted::Page, "/app/main.js", Extent::Exactly),
    (Mounted::Page, "/app/reach.json", Extent::Exactly),
    (Mounted::Page, "/index.html", Extent::Exactly),
    (Mounted::Page, "/diagnostics", Extent::Exactly),
    (Mounted::Page, "/diagnostics.html", Extent::Exactly),
    (Mounted::Health, "/healthz", Extent::Exactly),
    (Mounted::Health, "/readyz", Extent::Exactly),
];

/// How much of what begins with a path is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Exactly,
    AllBelow,
}

#[derive(Debug)]
struct Want {
    of: Mounted,
    path: MountPath,
    extent: Extent,
}

impl Mounted {
    /// The key of the command's configuration that says where it is; none if it cannot be elsewhere.
    pub fn setting(self) -> Option<&'static str> {
        match self {
            Self::Rooms | Self::SocketIo | Self::Ice | Self::Module | Self::Page | Self::Health => None,
            Self::PeerJs => Some("peerjs.paths"),
            Self::PeerJsKey => Some("peerjs.keys"),
            Self::Relay => Some("relay.paths"),
            Self::Matchbox => Some("matchbox.paths"),
        }
    }

    /// Whether it is part of the signalling, not of the server around it.
    pub(crate) fn is_door(self) -> bool {
        match self {
            Self::Page | Self::Health => false,
            Self::Rooms | Self::SocketIo | Self::Ice | Self::Module => true,
            Self::PeerJs | Self::PeerJsKey | Self::Relay | Self::Matchbox => true,
        }
    }

    /// Several names of one door.
    fn is_same_door(self, other: Self) -> bool {
        let door = |of| if of == Self::PeerJsKey { Self::PeerJs } else { of };
        door(self) == door(other)
    }
}

impl fmt::Display for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rooms => "the rooms protocol",
            Self::SocketIo => "Socket.IO",
            Self::Ice => "the door for ICE servers",
            Self::Module => "the browser module",
            Self::Page => "the page",
            Self::Health => "the health check",
            Self::PeerJs => "`peerjs.paths`",
            Self::PeerJsKey => "`peerjs.keys`",
            Self::Relay => "`relay.paths`",
            Self::Matchbox => "`matchbox.paths`",
        })
    }
}

impl Config {
    /// What is wrong with the paths of the doors: each two that want the same, once.
    pub fn path_conflicts(&self) -> Vec<PathTaken> {
        let (wants, built_in) = (wants(self), built_in());
        let mut conflicts: Vec<PathTaken> = Vec::new();
        for (index, want) in wants.iter().enumerate() {
            for other in built_in.iter().chain(&wants[..index]) {
                let Some(path) = want.meets(other) else { continue };
                let known = |known: &PathTaken| known.wanted.is_same_door(want.of) && known.by == other.of;
                if !conflicts.iter().any(known) {
                    conflicts.push(PathTaken { path: path.to_owned(), wanted: want.of, by: other.of });
                }
            }
        }
        conflicts
    }

    /// Fails with the first of [`Self::path_conflicts`], of what there is.
    pub(crate) fn check_paths(&self, there: fn(Mounted) -> bool) -> Result<(), PathTaken> {
        self.path_conflicts().into_iter().find(|taken| there(taken.by)).map_or(Ok(()), Err)
    }
}

impl Want {
    /// The path that both want, if there is one.
    fn meets<'a>(&'a self, other: &'a Self) -> Option<&'a str> {
        let covers = |one: &Self, path: &MountPath| match one.extent {
            Extent::Exactly => one.path == *path,
            Extent::AllBelow => one.path.rest(path.as_str()).is_some(),
        };
        if self.of.is_same_door(other.of) {
            None
        } else if covers(other, &self.path) {
            Some(self.path.as_str())
        } else {
            covers(self, &other.path).then_some(other.path.as_str())
        }
    }
}

fn built_in() -> Vec<Want> {
    let want = |(of, path, extent)| MountPath::parse(path).ok().map(|path| Want { of, path, extent });
    BUILT_IN.into_iter().filter_map(want).collect()
}

/// What the configuration puts where.
fn wants(config: &Config) -> Vec<Want> {
    let mut wants = Vec::new();
    let mut want = |of, path: MountPath, extent| wants.push(Want { of, path, extent });
    for mount in &config.relay.paths {
        want(Mounted::Relay, mount.clone(), Extent::Exactly);
    }
    for mount in &config.matchbox.paths {
        let extent = if *mount == MountPath::root() { Extent::Exactly } else { Extent::AllBelow };
        want(Mounted::Matchbox, mount.clone(), extent);
    }
    for mount in &config.peerjs.paths {
        if *mount != MountPath::root() {
            want(Mounted::PeerJs, mount.clone(), Extent::Exactly);
        }
        want(Mounted::PeerJs, mount.below(&["peerjs"]), Extent::Exactly);
        for (key, list) in config.peerjs.keys.iter().flat_map(|key| [(key, "id"), (key, "peers")]) {
            want(Mounted::PeerJsKey, mount.below(&[key, list]), Extent::Exactly);
        }
    }
    wants
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes;

    fn config(relay: &[&str], matchbox: &[&str], peerjs: &[&str]) -> Config {
        let paths = |paths: &[&str]| paths.iter().map(|path| MountPath::parse(path).expect("a path")).collect();
        let mut config = Config::default();
        config.relay.paths = paths(relay);
        config.matchbox.paths = paths(matchbox);
        config.peerjs.paths = paths(peerjs);
        config
    }

    const PEERJS: &[&str] = &["/", "/peerjs"];

    fn conflicts(config: &Config) -> Vec<String> {
        config.path_conflicts().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_usual_goes_together() {
        for config in [
            Config::default(),
            config(&["/relay"], &["/matchbox"], &["/", "/myapp", "/app", "/relay/peers", "/ws/x"]),
            config(&["/"], &["/matchbox"], PEERJS),
            config(&["/relay", "/relay"], &["/"], PEERJS),
            config(&["/socket.io/relay"], &["/ice/rooms"], &["/"]),
            config(&[], &[], &[]),
        ] {
            assert_eq!(conflicts(&config), [""; 0], "{config:?}");
        }
    }

    #[test]
    fn two_doors_at_one_path_are_told_apart_by_name() {
        let one = |config: Config| {
            let found = conflicts(&config);
            assert!(!found.is_empty(), "{config:?}");
            found[0].clone()
        };
        assert_eq!(conflicts(&config(&[], &["/matchbox"], &["/matchbox"])).len(), 1, "not for each key, too");
        let matchbox = one(config(&["/relay"], &["/matchbox"], &["/matchbox"]));
        assert_eq!(
            matchbox,
            "`peerjs.paths` cannot have /matchbox, for `matchbox.paths` has it already; choose another."
        );
        let module = one(config(&[], &[], &["/switchboard"]));
        assert_eq!(
            module,
            "`peerjs.paths` cannot have /switchboard, for the browser module has it already; choose another."
        );
        let socket = one(config(&["/peerjs"], &[], &["/"]));
        assert_eq!(socket, "`peerjs.paths` cannot have /peerjs, for `relay.paths` has it already; choose another.");
        for built_in in ["/ws", "/socket.io", "/healthz", "/ice", "/switchboard.js", "/switchboard/x", "/index.html"] {
            assert!(one(config(&[built_in], &[], PEERJS)).contains(built_in));
            assert!(one(config(&[], &[built_in], PEERJS)).contains(built_in));
            assert!(one(config(&[], &[], &[built_in])).contains(built_in));
        }
        one(config(&[], &["/peerjs"], &["/"]));
        one(config(&["/relay"], &["/relay"], PEERJS));
        one(config(&["/"], &["/"], PEERJS));
        one(config(&["/a/b"], &["/a"], PEERJS));
        one(config(&[], &["/a"], &["/a/b"]));
        one(config(&[], &["/app"], &[]));
    }

    #[test]
    fn a_key_that_leads_to_another_door_is_refused() {
        for (key, by) in [("switchboard", "the browser module"), ("matchbox", "`matchbox.paths`")] {
            let mut config = Config::default();
            config.peerjs.keys.push(key.to_owned());
            let sentence = format!("`peerjs.keys` cannot have /{key}/id, for {by} has it already; choose another.");
            assert_eq!(conflicts(&config), [sentence]);
        }
        let mut config = config(&["/relay"], &["/matchbox"], &["/myapp"]);
        config.peerjs.keys = ["switchboard", "matchbox", "ws", "peerjs"].map(str::to_owned).into();
        assert_eq!(conflicts(&config), [""; 0], "elsewhere they lead to no other door");
    }

    /// A router panics where two routes are one.
    #[test]
    fn what_passes_makes_a_router() {
        let some = [
            "/",
            "/a",
            "/a/b",
            "/a/b/c",
            "/a/peerjs",
            "/a/peerjs/id",
            "/ws",
            "/ice",
            "/peerjs",
            "/peerjs/id",
            "/socket.io",
            "/socket.io/x",
            "/switchboard",
            "/switchboard/x",
            "/switchboard.js",
            "/matchbox",
            "/matchbox/peers",
            "/relay",
            "/healthz",
        ];
        let mut passed = 0;
        for one in some {
            for other in some {
                for config in [
                    config(&[one], &[other], PEERJS),
                    config(&[one], &["/matchbox"], &[other, "/a"]),
                    config(&["/relay", "/a"], &[one], &[other]),
                    config(&[], &[one, other], &["/", "/a"]),
                ] {
                    if config.check_paths(Mounted::is_door).is_ok() {
                        let _ = routes::embedded(&config);
                        passed += 1;
                    }
                }
            }
        }
        assert!(passed > 100, "{passed}");
    }
}
