//! The configuration file: TOML, every value with its line and column.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::layers::{misfit, named, suggestion, unknown};
use super::problem::{Origin, Problem, closest};
use super::raw::{KEYS, Raw, SECTIONS};
use super::value::Wrong;

/// The largest file that is read: far more than any configuration, little enough for a wrong path to cost nothing.
const LARGEST: u64 = 1 << 20;

/// What a file gave.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Where each setting stands, by path.
    pub(crate) origins: BTreeMap<String, Origin>,
    /// What is wrong.
    pub(crate) problems: Vec<Problem>,
}

/// Reads a file as text.
///
/// # Errors
/// One sentence with the path.
pub(crate) fn read(path: &Path) -> Result<String, Wrong> {
    let wrong = |why: &str| Wrong::because(format!("cannot read {}: {why}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(|error| {
        match error.kind() {
            io::ErrorKind::NotFound => {
                wrong("there is no such file").hint("`switchboard config --default` prints one to begin with")
            }
            io::ErrorKind::PermissionDenied => wrong("permission denied").hint("make it readable for this user"),
            io::ErrorKind::IsADirectory => wrong("it is a directory").hint("name the file in it"),
            _ => wrong(&error.to_string()),
        }
    })?;
    if bytes.len() as u64 > LARGEST {
        return Err(wrong("it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text"))
}

/// Puts the settings of a file on those before.
pub(crate) fn apply(path: &Path, text: &str, raw: &mut Raw) -> Found {
    let mut walk = Walk { path, text, raw, found: Found::default() };
    match DeTable::parse(text) {
        Ok(table) => walk.top(table.get_ref()),
        Err(error) => {
            let sentence = format!("this is not TOML: {}", error.message().lines().next().unwrap_or("syntax error"));
            walk.complain(error.span().unwrap_or(0..0), sentence, None);
        }
    }
    walk.found.problems.sort_by_key(|problem| match problem.origin {
        Origin::File { line, column, .. } => (line, column),
        Origin::Default | Origin::Port | Origin::Env(_) | Origin::Flag(_) => (0, 0),
    });
    walk.found
}

/// A file on its way into settings.
struct Walk<'a> {
    path: &'a Path,
    text: &'a str,
    raw: &'a mut Raw,
    found: Found,
}

impl Walk<'_> {
    fn top(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let section = SECTIONS.iter().find(|section| !section.name.is_empty() && section.name == name.get_ref());
            match (section, value.get_ref()) {
                (None, DeValue::Table(_)) if !is_key("", name.get_ref()) => self.unknown_table(name),
                (None, _) => self.entry("", name, value),
                (Some(section), DeValue::Table(entries)) => {
                    for (name, value) in entries {
                        self.entry(section.name, name, value);
                    }
                }
                (Some(section), _) => {
                    let sentence = format!("`{0}` must be a table: [{0}]", section.name);
                    self.complain(value.span(), sentence, None);
                }
            }
        }
    }

    fn unknown_table(&mut self, name: &Spanned<DeString<'_>>) {
        let hint = closest(name.get_ref(), SECTIONS.iter().map(|section| section.name))
            .filter(|section| !section.is_empty())
            .map(|section| format!("did you mean `[{section}]`?"));
        self.complain(name.span(), format!("there is no table {}", named(name.get_ref())), hint);
    }

    fn entry(&mut self, section: &str, name: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) {
        let Some(key) = KEYS.iter().find(|key| key.section == section && key.name == name.get_ref()) else {
            let path =
                if section.is_empty() { name.get_ref().to_string() } else { format!("{section}.{}", name.get_ref()) };
            return self.complain(name.span(), unknown(&path), suggestion(&path));
        };
        match (key.set_toml)(self.raw, value) {
            Ok(()) => {
                let origin = self.at(name.span());
                self.found.origins.insert(key.path(), origin);
            }
            Err(wrong) => {
                let span = wrong.span.clone().unwrap_or_else(|| value.span());
                let origin = self.at(span);
                self.found.problems.push(misfit(key, origin, wrong));
            }
        }
    }

    fn complain(&mut self, span: Range<usize>, sentence: String, hint: Option<String>) {
        let origin = self.at(span);
        self.found.problems.push(Problem { origin, sentence, hint });
    }

    /// Counts lines and columns up to the start of `span`.
    fn at(&self, span: Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Origin::File {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

fn is_key(section: &str, name: &str) -> bool {
    KEYS.iter().any(|key| key.section == section && key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> String {
        let found = apply(Path::new("a.toml"), text, &mut Raw::default());
        found.problems.iter().map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    fn every_mistake_has_line_column_and_advice() {
        let text = "\
            lsiten = [3000]\n\
            listen = [\n  \"ä\", \"127.0.0.1\"]\n\
            log = 3\n\
            [limit]\n\
            rooms = 1\n\
            [limits]\n\
            rooms = 0\n\
              grace = 30\n\
            filter = \"info\"\n\
            [[ice_servers]]\n\
            urls = [\"http://a\"]\n";
        insta::assert_snapshot!(complaints(text));
    }

    #[test]
    fn a_name_that_a_terminal_would_obey_is_escaped() {
        assert_eq!(complaints("\"a\\u001B[2J\" = 1\n"), "error: a.toml:1:1: there is no setting \"a\\u001B[2J\"\n");
        assert_eq!(complaints("[\"b\\u0007\"]\n"), "error: a.toml:1:2: there is no table \"b\\u0007\"\n");
    }

    #[test]
    fn what_is_no_toml_is_told_where() {
        insta::assert_snapshot!(complaints("listen = [\n\"3000\"\nqr = true\n"));
        insta::assert_snapshot!(complaints("qr = true\nqr = true\n"));
    }

    #[test]
    fn remembers_where_each_setting_stands() {
        let found = apply(Path::new("a.toml"), "qr = false\n\n[limits]\n  rooms = 7\n", &mut Raw::default());
        assert_eq!(found.origins["limits.rooms"].to_string(), "a.toml:4:3");
    }

    #[test]
    fn an_endless_file_is_refused() {
        let wrong = read(Path::new("/dev/zero")).expect_err("endless");
        assert_eq!(wrong.sentence, "cannot read /dev/zero: it is larger than 1 MiB");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "(\\PC|\n|[\\[\\]{}=\"#,]){0,200}") {
            let _ = apply(Path::new("a.toml"), &text, &mut Raw::default());
        }
    }
}
