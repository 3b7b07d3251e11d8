//! Settings that only the PeerJS dialect has: paths and keys.

use switchboard_server::config::{MountPath, is_peerjs_key};

use super::value::{Secrets, Setting, Wrong, quote};

/// Where clients are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount(pub(crate) MountPath);

/// What clients have to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerKey(pub(crate) String);

impl Setting for Mount {
    const PLACEHOLDER: &'static str = "PATH";

    fn rule() -> String {
        "a path such as \"/\" or \"/myapp\", of A-Z a-z 0-9 . _ ~ - between slashes".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        MountPath::parse(text).map(Self).map_err(|_| Wrong::not(&Self::rule(), &quote(text)))
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(self.0.as_str())
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        "(/[a-zA-Z0-9_~-]{1,9}){0,3}/?".prop_filter_map("a path", |text| Self::from_text(&text).ok()).boxed()
    }
}

impl Setting for PeerKey {
    const PLACEHOLDER: &'static str = "KEY";

    fn rule() -> String {
        "a word of 1 to 64 characters out of A-Z a-z 0-9 . _ -".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if is_peerjs_key(text) { Ok(Self(text.to_owned())) } else { Err(Wrong::not(&Self::rule(), &quote(text))) }
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(&self.0)
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        "[a-zA-Z0-9._-]{1,12}".prop_map(Self).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::read;
    use super::*;

    #[test]
    fn paths_and_keys_are_checked_where_they_stand() {
        assert_eq!(read::<Mount>("\"/my/app/\"").map(|mount| mount.0.as_str().to_owned()).as_deref(), Ok("/my/app"));
        assert!(read::<Mount>("\"/my app\"").expect_err("a space").sentence.starts_with("must be a path"));
        assert_eq!(read::<PeerKey>("\"peerjs\"").map(|key| key.0).as_deref(), Ok("peerjs"));
        assert!(read::<PeerKey>("\"a/b\"").expect_err("a slash").sentence.starts_with("must be a word"));
    }
}
