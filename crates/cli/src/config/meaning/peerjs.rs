//! What the settings of the PeerJS dialect mean.

use switchboard_server::config::{PEERJS_KEYS, PeerJsConfig};

use super::super::Settings;
use super::super::problem::Problem;
use super::super::value::quote;
use super::{narrow, origins};

impl Settings {
    pub(super) fn peerjs(&self, problems: &mut Vec<Problem>) -> PeerJsConfig {
        let raw = &self.raw.peerjs;
        if !(1..=PEERJS_KEYS).contains(&raw.keys.len()) {
            let sentence = format!("must name 1 to {PEERJS_KEYS} keys");
            problems.push(self.problem("peerjs.keys", &sentence, "for no PeerJS clients at all: paths = []"));
        }
        let again = raw.keys.iter().enumerate().find(|(index, key)| raw.keys[..*index].contains(key));
        if let Some((_, key)) = again {
            let sentence = format!("names {} twice", quote(&key.0));
            problems.push(self.problem(
                "peerjs.keys",
                &sentence,
                "clients of different keys do not meet; once is enough",
            ));
        }
        PeerJsConfig {
            paths: raw.paths.iter().map(|path| path.0.clone()).collect(),
            keys: raw.keys.iter().map(|key| key.0.clone()).collect(),
            allow_discovery: raw.allow_discovery,
            origins: origins(&raw.origins),
            expire_timeout: raw.expire_timeout.0,
            alive_timeout: raw.alive_timeout.0,
            concurrent_limit: raw.concurrent_limit.map(narrow),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::peerjs::PeerKey;
    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let mut settings = Settings::default();
        settings.raw.peerjs.keys = ["a", "b", "a"].map(|key| PeerKey(key.to_owned())).into();
        let invalid = settings.meaning().expect_err("twice");
        assert_eq!(invalid.0[0].sentence, "`peerjs.keys` names \"a\" twice");
    }

    #[test]
    fn a_door_without_a_key_is_refused() {
        let mut settings = Settings::default();
        settings.raw.peerjs.keys.clear();
        let invalid = settings.meaning().expect_err("no key");
        assert_eq!(invalid.0[0].sentence, "`peerjs.keys` must name 1 to 64 keys");
    }
}
