//! Settings as a commented TOML file, which can be loaded.

use std::fmt::Write as _;

use super::layers::Settings;
use super::problem::Origin;
use super::raw::{Raw, SECTIONS};
use super::value::Secrets;

impl Settings {
    /// Writes every setting with its documentation, default, environment variable and flag.
    pub(crate) fn to_toml(&self, secrets: Secrets) -> String {
        let defaults = Raw::default();
        let mut page = format!("# Configuration of Switchboard {}.\n", env!("CARGO_PKG_VERSION"));
        for section in SECTIONS {
            page.push('\n');
            comment(&mut page, section.about);
            if !section.name.is_empty() {
                let _ = writeln!(page, "[{}]", section.name);
            }
            for key in section.keys() {
                page.push('\n');
                comment(&mut page, key.doc);
                let _ = writeln!(page, "# Default: {}", (key.show)(&defaults, secrets));
                let _ = writeln!(page, "# Environment: {}, flag: {}", key.env(), key.usage());
                if self.origin(&key.path()) != Origin::Default {
                    let _ = writeln!(page, "# Set by {}", self.origin(&key.path()));
                }
                let _ = writeln!(page, "{} = {}", key.name, (key.show)(&self.raw, secrets));
            }
        }
        page
    }
}

fn comment(page: &mut String, text: &[&str]) {
    for line in text {
        let _ = writeln!(page, "#{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::file;
    use super::super::keys::Change;
    use super::super::raw::KEYS;
    use super::*;

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        KEYS.iter().map(|key| (key.any)()).collect::<Vec<_>>()
    }

    fn load(text: &str) -> Raw {
        let mut raw = Raw::default();
        let found = file::apply(Path::new("printed.toml"), text, &mut raw);
        assert_eq!(found.problems, [], "{text}");
        assert_eq!(found.origins.len(), KEYS.len(), "every key is printed");
        raw
    }

    proptest! {
        #[test]
        fn what_is_printed_loads_to_the_same(changes in changes()) {
            let mut settings = Settings::default();
            changes.iter().for_each(|change| change.apply(&mut settings.raw));
            prop_assert_eq!(load(&settings.to_toml(Secrets::Show)), settings.raw);
        }
    }

    #[test]
    fn printed_defaults_load_to_the_defaults() {
        assert_eq!(load(&Settings::default().to_toml(Secrets::Hide)), Raw::default());
    }
}
