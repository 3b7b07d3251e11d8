//! Paths that two doors want, as a complaint about the setting that somebody chose.

use switchboard_server::{Mounted, PathTaken};

use super::super::Settings;
use super::super::problem::{Origin, Problem};

impl Settings {
    /// Of two settings it is the one that was set, for the other is where it always is.
    pub(super) fn path_taken(&self, taken: &PathTaken) -> Problem {
        let PathTaken { path, wanted, by } = taken;
        let is_set = |of: Mounted| of.setting().is_some_and(|setting| self.origin(setting) != Origin::Default);
        let (wanted, by) = if !is_set(*wanted) && is_set(*by) { (by, wanted) } else { (wanted, by) };
        let setting = wanted.setting().unwrap_or("listen");
        let sentence = format!("cannot have {path}, for {by} has it already");
        match (by, by.setting()) {
            (Mounted::PeerJsKey | Mounted::PeerJs, _) => {
                self.problem(setting, &sentence, "choose another path, or give PeerJS others: --peerjs-path")
            }
            (_, Some(other)) => {
                self.problem(setting, &sentence, &format!("choose another, or do without that door: {other} = []"))
            }
            (_, None) => self.problem(setting, &sentence, "choose another"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn complaint(text: &str) -> String {
        let settings = Settings::from_text(Path::new("s.toml"), text).expect("each for itself is right");
        settings.meaning().expect_err("taken").to_string()
    }

    #[test]
    fn a_path_that_is_taken_is_told_where_it_stands() {
        assert_eq!(
            complaint("[relay]\npaths = [\"/ws\"]"),
            "error: s.toml:2:1: `relay.paths` cannot have /ws, for the rooms protocol has it already\nhint: choose another"
        );
        assert_eq!(
            complaint("[peerjs]\nkeys = [\"matchbox\"]"),
            "error: s.toml:2:1: `peerjs.keys` cannot have /matchbox/id, for `matchbox.paths` has it already\n\
             hint: choose another, or do without that door: matchbox.paths = []"
        );
        let relay = complaint("[relay]\npaths = [\"/peerjs\"]");
        assert!(
            relay.starts_with("error: s.toml:2:1: `relay.paths` cannot have /peerjs, for `peerjs.paths` has it"),
            "{relay}"
        );
    }
}
