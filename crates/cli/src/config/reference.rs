//! The reference of all settings as pages: an index, and one page for each table of the file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::keys::{Flag, Section};
use super::layers::{DEFAULT_FILE, FILE_ENV};
use super::raw::{Raw, SECTIONS};
use super::value::Secrets;

/// What keeps people from editing a page that is written by the program.
const NOTICE: &str = "<!-- Written by `switchboard config --reference docs`; a test compares the two. Edit crates/cli/src/config/raw.rs instead. -->";

/// A page of the reference.
pub(crate) struct Page {
    /// Where it belongs, below the folder of the documentation.
    path: String,
    text: String,
}

/// Writes the reference into a folder: `config.md`, and `config/` beside it.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write_reference(folder: &Path) -> io::Result<()> {
    for page in reference() {
        let file: PathBuf = folder.join(&page.path);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, page.text)?;
    }
    Ok(())
}

fn reference() -> Vec<Page> {
    let index = Page { path: "config.md".to_owned(), text: index() };
    std::iter::once(index).chain(SECTIONS.iter().map(page)).collect()
}

/// How files, environment and flags combine, and where each setting is described.
fn index() -> String {
    let mut text = introduction();
    text.push_str("\n## Every setting\n");
    for section in SECTIONS {
        let _ = writeln!(text, "\n### [{}]({})\n", title(section), path(section));
        lines(&mut text, section.about);
        text.push_str("\n| setting | |\n|---|---|\n");
        for key in section.keys() {
            let summary = key.summary().replace('|', "\\|");
            let anchor = key.path().replace('.', "");
            let _ = writeln!(text, "| [`{}`]({}#{anchor}) | {summary} |", key.path(), path(section));
        }
    }
    text
}

/// The settings of one table, with documentation, default, environment variable and flag.
fn page(section: &Section) -> Page {
    let mut text = format!("# {}\n\n{NOTICE}\n\n", title(section));
    lines(&mut text, section.about);
    text.push_str(
        "How settings are written, and which source goes before which, is in [Configuration](../config.md).\n",
    );
    let defaults = Raw::default();
    for key in section.keys() {
        let _ = writeln!(text, "\n## `{}`\n", key.path());
        lines(&mut text, key.doc);
        let _ = writeln!(text, "\n- Default: `{}`", (key.show)(&defaults, Secrets::Hide));
        let _ = writeln!(text, "- Accepts {}", (key.rule)());
        let _ = writeln!(text, "- Environment: `{}`", key.env());
        let repeatable = if key.many && key.flag != Flag::None { " (may be repeated)" } else { "" };
        let _ = writeln!(text, "- Flag: `{}`{repeatable}", key.usage());
    }
    Page { path: path(section), text }
}

fn title(section: &Section) -> String {
    if section.name.is_empty() { "Top of the file".to_owned() } else { format!("`[{}]`", section.name) }
}

/// Where the page of a table is, seen from the index.
fn path(section: &Section) -> String {
    format!("config/{}.md", if section.name.is_empty() { "server" } else { section.name })
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

/// How the sources of settings combine.
fn introduction() -> String {
    format!(
        "\
# Configuration

{NOTICE}

Switchboard needs no configuration; [every setting](#every-setting) has a default. What is set comes from four places, each going before those above it:

1. the built-in defaults;
2. a TOML file: the one that `--config FILE` names, else the one that `{FILE_ENV}` names, else
   `{DEFAULT_FILE}` if it exists;
3. environment variables: `SWITCHBOARD_`, then the table, two underscores and the key, in capitals. Lists are separated by
   commas; an empty variable counts as unset;
4. flags: those that the pages name, and `--set KEY=VALUE` for every key.

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

On SIGHUP the server reads all of this again and applies `log.filter` and TURN's secret, certificate and key, which may be new
in the same files; it names the other settings that changed, which need a restart. Where standard input or output is a terminal, SIGHUP says that it was closed: the server
stops as after SIGTERM, with exit code 129.
"
    )
}

fn lines(page: &mut String, text: &[&str]) {
    for line in text {
        let _ = writeln!(page, "{}", line.trim());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::file;
    use super::super::raw::KEYS;
    use super::*;

    #[test]
    fn the_example_of_the_reference_loads() {
        let found = file::apply(Path::new("example.toml"), EXAMPLE, &mut Raw::default());
        assert_eq!((found.problems, found.origins.len()), (vec![], 6));
    }

    #[test]
    fn every_setting_is_on_a_page_and_in_the_index() {
        let [index, pages @ ..] = &reference()[..] else { panic!("no pages") };
        for key in KEYS {
            let path = key.path();
            assert!(pages.iter().any(|page| page.text.contains(&format!("\n## `{path}`\n"))), "{path}");
            assert!(index.text.contains(&format!("[`{path}`](")), "{path}");
        }
    }

    #[test]
    fn the_reference_is_up_to_date() {
        let docs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"));
        let pages = reference();
        for page in &pages {
            let written = fs::read_to_string(docs.join(&page.path)).unwrap_or_default();
            assert!(
                written == page.text,
                "docs/{} is stale; write it with `cargo run -- config --reference docs`",
                page.path
            );
        }
        let folder = fs::read_dir(docs.join("config")).expect("the folder of the pages");
        let there: BTreeSet<_> = folder.map(|file| file.expect("a file").file_name()).collect();
        let wanted = pages[1..].iter().map(|page| Path::new(&page.path).file_name().expect("a name").to_owned());
        assert_eq!(there, wanted.collect(), "pages that no table has any more are removed");
    }
}
