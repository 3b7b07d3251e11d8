//! Settings as a commented TOML file, which can be loaded, and as the reference page.

use std::fmt::Write as _;

use super::keys::{Flag, Key, Section};
use super::layers::{DEFAULT_FILE, FILE_ENV, Settings};
use super::problem::Origin;
use super::raw::{KEYS, Raw, SECTIONS};
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
            for key in keys(section) {
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

/// Writes `docs/config.md`.
pub(crate) fn reference() -> String {
    let mut page = introduction();
    let defaults = Raw::default();
    for section in SECTIONS {
        let title =
            if section.name.is_empty() { "Top of the file".to_owned() } else { format!("`[{}]`", section.name) };
        let _ = writeln!(page, "\n## {title}\n");
        lines(&mut page, section.about);
        for key in keys(section) {
            let _ = writeln!(page, "\n### `{}`\n", key.path());
            lines(&mut page, key.doc);
            let _ = writeln!(page, "\n- Default: `{}`", (key.show)(&defaults, Secrets::Hide));
            let _ = writeln!(page, "- Accepts {}", (key.rule)());
            let _ = writeln!(page, "- Environment: `{}`", key.env());
            let repeatable = if key.many && key.flag != Flag::None { " (may be repeated)" } else { "" };
            let _ = writeln!(page, "- Flag: `{}`{repeatable}", key.usage());
        }
    }
    page
}

/// A file as an operator behind a proxy would write it.
const EXAMPLE: &str = "\
listen = \"127.0.0.1:3000\"
public_url = \"https://example.org\"

[log]
filter = \"info,switchboard_server=debug\"

[limits]
room_members = 16
grace = \"1m\"

[[ice_servers]]
urls = [\"stun:stun.example.org\", \"turn:turn.example.org?transport=udp\"]
username = \"ann\"
credential_file = \"/etc/switchboard/turn-password\"
";

fn introduction() -> String {
    format!(
        "\
# Configuration

<!-- Written by `switchboard config --reference`; a test compares the two. Edit crates/cli/src/config/raw.rs instead. -->

Switchboard needs no configuration. What is set comes from four places, each going before those above it:

1. the built-in defaults;
2. a TOML file: the one that `--config FILE` names, else the one that `{FILE_ENV}` names, else
   `{DEFAULT_FILE}` if it exists;
3. environment variables: `SWITCHBOARD_`, then the table, two underscores and the key, in capitals. Lists are separated by
   commas; an empty variable counts as unset;
4. flags: those below, and `--set KEY=VALUE` for every key.

`switchboard config` prints what all of this amounts to, as a file that can be loaded, with the origin of each value;
`switchboard config --default` prints a file to begin with; `switchboard check-config` only checks. Secrets are printed as
`***`, which no file may hold in their place: `switchboard config --show-secrets` prints them. Unknown keys, unknown
variables that begin with `SWITCHBOARD_`, wrong types and values out of range are errors, all told at once, with line and
column, and exit code 2. Variables that Kubernetes sets for a service called `switchboard` are left alone.

`PORT`, which hosting platforms set, replaces the default of `listen` and nothing else: a file, `SWITCHBOARD_LISTEN` and
`--listen` go before it. `HOST` means too many things on too many machines and is not read.

Durations are written `\"500ms\"`, `\"30s\"`, `\"1m30s\"`; sizes in bytes or as `\"256KiB\"`. A setting that may be absent takes
`\"none\"`.

```toml
{EXAMPLE}```

The same limit in the environment is `SWITCHBOARD_LIMITS__ROOM_MEMBERS=16`, as a flag `--set limits.room_members=16`.

On SIGHUP the server reads all of this again and applies `log.filter` and the secret of TURN; it names the other settings
that changed, which need a restart.
"
    )
}

fn keys(section: &Section) -> impl Iterator<Item = &'static Key> + use<'_> {
    KEYS.iter().filter(|key| key.section == section.name)
}

fn comment(page: &mut String, text: &[&str]) {
    for line in text {
        let _ = writeln!(page, "#{}", line.trim_end());
    }
}

fn lines(page: &mut String, text: &[&str]) {
    for line in text {
        let _ = writeln!(page, "{}", line.trim());
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::file;
    use super::super::keys::Change;
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

    #[test]
    fn the_example_of_the_reference_page_loads() {
        let found = file::apply(Path::new("example.toml"), EXAMPLE, &mut Raw::default());
        assert_eq!((found.problems, found.origins.len()), (vec![], 6));
    }

    #[test]
    fn the_reference_page_is_up_to_date() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.md");
        let written = std::fs::read_to_string(page).unwrap_or_default();
        assert!(
            written == reference(),
            "docs/config.md is stale; write it with `cargo run -- config --reference > docs/config.md`"
        );
    }
}
