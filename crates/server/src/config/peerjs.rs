//! What the PeerJS door is told.

use std::time::Duration;

use super::Origins;

/// The key that clients send unless they are told another.
pub const DEFAULT_PEERJS_KEY: &str = "peerjs";

/// Most keys: each is a directory of its own, and more than these are a list that belongs elsewhere.
pub const PEERJS_KEYS: usize = 64;

/// The PeerJS dialect (`docs/protocol/peerjs.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerJsConfig {
    /// Where it is: what clients give as `path`. `/` leaves the page where it is, and everything else that has a path. None: there
    /// is no such door. Default: `/`, and `/peerjs`, where those have it who mounted the original in Express.
    pub paths: Vec<MountPath>,
    /// Which keys clients may give; clients of different keys do not meet. Default: `peerjs`.
    pub keys: Vec<String>,
    /// Whether `listAllPeers()` tells the ids of all clients of a key. Default: no, as in the original.
    pub allow_discovery: bool,
    /// Which pages may be introduced. Default: all, as in the original, for pages that use it are usually elsewhere. Credentials for the
    /// relay are another matter: pages get them whose origin is listed, here or for the whole server.
    pub origins: Origins,
    /// How long messages wait for a client that is not there. Default 5 s, as in the original.
    pub expire_timeout: Duration,
    /// How long a client may give no sign of life. Default 60 s, as in the original.
    pub alive_timeout: Duration,
    /// Clients of one key at once; none is the limit of the whole server. Default: none.
    pub concurrent_limit: Option<u32>,
}

impl Default for PeerJsConfig {
    fn default() -> Self {
        Self {
            paths: vec![MountPath::root(), MountPath("/peerjs".to_owned())],
            keys: vec![DEFAULT_PEERJS_KEY.to_owned()],
            allow_discovery: false,
            origins: Origins::Any,
            expire_timeout: Duration::from_secs(5),
            alive_timeout: Duration::from_secs(60),
            concurrent_limit: None,
        }
    }
}

/// A path under which a door is: `/`, or `/` and words of `A–Z a–z 0–9 . _ ~ -` between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPath(String);

/// Text that is no [`MountPath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path is \"/\", or such as \"/myapp\" or \"/my/app\", of A-Z a-z 0-9 . _ ~ - and at most {} bytes",
    MountPath::MAX
)]
pub struct InvalidMountPath;

impl MountPath {
    /// Longest path in bytes.
    const MAX: usize = 128;

    /// The root.
    pub fn root() -> Self {
        Self(String::new())
    }

    /// Reads a path; slashes at its ends make no difference.
    ///
    /// # Errors
    /// Characters that would have to be escaped, and what a browser would normalize away.
    pub fn parse(text: &str) -> Result<Self, InvalidMountPath> {
        let inner = text.trim_matches('/');
        if inner.is_empty() {
            return if text.is_empty() { Err(InvalidMountPath) } else { Ok(Self::root()) };
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-');
        let word = |word: &str| !matches!(word, "" | "." | "..") && word.bytes().all(plain);
        if inner.len() < Self::MAX && inner.split('/').all(word) {
            Ok(Self(format!("/{inner}")))
        } else {
            Err(InvalidMountPath)
        }
    }

    /// The path as people write it, beginning with a slash and ending with one only if it is the root.
    pub fn as_str(&self) -> &str {
        if self.0.is_empty() { "/" } else { &self.0 }
    }

    /// The path of these words below this one. They hold nothing that [`Self::parse`] refuses.
    pub(crate) fn below(&self, words: &[&str]) -> Self {
        Self(words.iter().fold(self.0.clone(), |path, word| path + "/" + word))
    }

    /// What follows this path in `path`, from the next slash on; none if it is elsewhere.
    pub fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&*self.0).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Whether `key` can be one: 1 to 64 characters of `A–Z a–z 0–9 . _ -`, which stand in a URL as they are.
pub fn is_peerjs_key(key: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&key.len()) && key.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_people_write_them() {
        for (text, path) in
            [("/", "/"), ("//", "/"), ("/myapp", "/myapp"), ("myapp/", "/myapp"), ("/a/b-c_d.e~f", "/a/b-c_d.e~f")]
        {
            assert_eq!(MountPath::parse(text).map(|path| path.as_str().to_owned()).as_deref(), Ok(path), "{text}");
        }
        for text in ["", "/a b", "/a//b", "/..", "/a/./b", "/{key}", "/a?b", "/%61", "/ä", &"a".repeat(128)] {
            assert_eq!(MountPath::parse(text), Err(InvalidMountPath), "{text}");
        }
    }

    #[test]
    fn a_path_is_found_by_whole_words() {
        let app = MountPath::parse("/my/app").expect("a path");
        assert_eq!(app.rest("/my/app"), Some(""));
        assert_eq!(app.rest("/my/app/peerjs"), Some("/peerjs"));
        assert_eq!(app.rest("/my/apple"), None);
        assert_eq!(app.rest("/my"), None);
        assert_eq!(MountPath::root().rest("/peerjs/id"), Some("/peerjs/id"));
    }

    #[test]
    fn keys_stand_in_a_url_as_they_are() {
        for key in ["peerjs", "a", "my-key_1.2"] {
            assert!(is_peerjs_key(key), "{key}");
        }
        for key in ["", "a b", "a/b", "ä", "a%20", &"k".repeat(65)] {
            assert!(!is_peerjs_key(key), "{key}");
        }
    }
}
