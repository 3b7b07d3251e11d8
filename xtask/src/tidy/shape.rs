//! How large files and functions may be, what belongs into the files where a reader begins, and that each says what it
//! is for.

use super::Findings;
use super::tree::{File, Tree};

/// At this length a file is asked whether it is two things.
const LONG: usize = 500;
/// Beyond this length only a flat table remains readable.
const TOO_LONG: usize = 1000;
/// A program's `main.rs` only names what its modules do.
const MAIN: usize = 150;
/// Beyond this length a function is read in parts, so it should be in parts.
const FUNCTION: usize = 100;

/// What people read and edit by hand.
const SOURCES: &[&str] = &["rs", "js", "mjs", "ts", "css", "html", "sh", "md"];

/// Files of a length that can be read.
pub(super) fn length(tree: &Tree, findings: &mut Findings) {
    for file in tree.files().filter(|file| file.has_extension(SOURCES)) {
        let lines = file.lines().count();
        if lines > TOO_LONG {
            let message = format!("{lines} lines: split it, {TOO_LONG} is the limit");
            findings.error(file, 1, message);
        } else if lines > LONG {
            findings.warning(file, 1, format!("{lines} lines: is it two things?"));
        }
    }
}

/// `main.rs` is short; `lib.rs` is a table of contents.
pub(super) fn entry_files(tree: &Tree, findings: &mut Findings) {
    for file in tree.rust() {
        let lines = file.lines().count();
        if file.name() == "main.rs" && lines >= MAIN {
            let message = format!("{lines} lines: move what it does into modules, {MAIN} is the limit");
            findings.error(file, 1, message);
        }
        if file.path().ends_with("src/lib.rs")
            && let Some((number, _)) = file.lines().find(|(_, line)| defines(line))
        {
            findings.error(
                file,
                number,
                "lib.rs holds its documentation, modules and re-exports only: move this item into a module",
            );
        }
    }
}

/// Whether a line begins an item that is neither a module nor a re-export.
fn defines(line: &str) -> bool {
    const ITEMS: &[&str] = &[
        "fn ",
        "struct ",
        "enum ",
        "union ",
        "trait ",
        "impl ",
        "impl<",
        "const ",
        "static ",
        "type ",
        "async ",
        "unsafe ",
        "extern \"",
        "macro_rules!",
    ];
    let mut rest = line.trim_start();
    if let Some(public) = rest.strip_prefix("pub") {
        rest = match public.strip_prefix('(') {
            Some(scope) => scope.split_once(')').map_or("", |(_, rest)| rest),
            None => public,
        }
        .trim_start();
    }
    ITEMS.iter().any(|item| rest.starts_with(item))
}

/// Each source file begins by saying what it is for.
pub(super) fn purpose(tree: &Tree, findings: &mut Findings) {
    for file in tree.files() {
        let (openings, opening): (&[&str], _) = if file.has_extension(&["rs"]) {
            (&["//!"], "`//!`")
        } else if file.has_extension(&["js", "mjs"]) {
            (&["//", "/*"], "a comment")
        } else {
            continue;
        };
        let first = file.lines().map(|(_, line)| line.trim()).find(|line| !line.is_empty() && !line.starts_with("#!"));
        if !first.is_some_and(|line| openings.iter().any(|opening| line.starts_with(opening))) {
            let message = format!("begin with {opening}: what the file is for, and what it deliberately is not");
            findings.error(file, 1, message);
        }
    }
}

/// Functions that can be read at once. Relies on rustfmt: a function ends where a brace stands at its own indentation.
pub(super) fn functions(tree: &Tree, findings: &mut Findings) {
    for file in tree.rust() {
        for (start, length) in functions_of(file) {
            if length > FUNCTION {
                findings.error(
                    file,
                    start,
                    format!("a function of {length} lines: give its parts names, {FUNCTION} is the limit"),
                );
            }
        }
    }
}

/// Where each function starts, and how many lines it has.
fn functions_of(file: &File) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, usize)> = Vec::new();
    for (number, line) in file.lines() {
        let indent = line.len() - line.trim_start().len();
        if is_function(line) && !line.trim_end().ends_with([';', '}']) {
            open.push((number, indent));
        } else if line.trim_start().starts_with('}')
            && let Some(&(start, opened)) = open.last()
            && opened == indent
        {
            open.pop();
            found.push((start, number + 1 - start));
        }
    }
    found
}

fn is_function(line: &str) -> bool {
    line.split_once("fn ").is_some_and(|(before, name)| {
        let qualifiers = before
            .split_whitespace()
            .all(|word| word.starts_with("pub") || ["const", "async", "unsafe", "in", "crate)"].contains(&word));
        qualifiers && name.starts_with(|c: char| c.is_alphabetic() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    fn lines(count: usize) -> String {
        "// A line.\n".repeat(count)
    }

    #[test]
    fn warns_of_a_long_file_and_refuses_a_huge_one() {
        let found = |count| findings_of("length", &[("crates/wire/src/a.rs", &lines(count))]);
        assert!(found(500).is_empty());
        assert!(found(501)[0].contains("warning[length]"));
        assert!(found(1000)[0].contains("warning[length]"));
        assert!(found(1001)[0].contains("error[length]"));
        assert!(findings_of("length", &[("Cargo.lock", &lines(5000))]).is_empty());
    }

    #[test]
    fn a_main_file_is_short() {
        let found = |count| findings_of("entry", &[("xtask/src/main.rs", &lines(count))]).len();
        assert_eq!((found(149), found(150)), (0, 1));
    }

    #[test]
    fn a_lib_file_is_a_table_of_contents() {
        let found = |text: &str| findings_of("entry", &[("crates/wire/src/lib.rs", text)]);
        let good =
            "//! Wire.\n//! fn inside a comment\n#![no_std]\nmod id;\npub mod limits;\npub use id::{Id, RoomId};\n";
        assert!(found(good).is_empty());
        for bad in ["pub fn id() {}", "pub(crate) struct Id;", "impl Id {", "const A: u8 = 1;"] {
            let found = found(&format!("//! Wire.\n{bad}\n"));
            assert!(found[0].starts_with("crates/wire/src/lib.rs:2: "), "{bad}: {found:?}");
        }
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        let found = |text| findings_of("purpose", &[("crates/wire/src/a.rs", text)]).len();
        assert_eq!(found("//! Ids.\n"), 0);
        assert_eq!(found("#![no_main]\n//! Ids.\n"), 0);
        assert_eq!(found("// Ids.\n"), 1);
        assert_eq!(found("use std::fmt;\n//! Ids.\n"), 1);
        let found = |text| findings_of("purpose", &[("web/a.js", text)]).len();
        assert_eq!(found("/** Ids. */\n"), 0);
        assert_eq!(found("export const a = 1\n"), 1);
        assert_eq!(found(""), 1);
    }

    #[test]
    fn a_function_can_be_read_at_once() {
        let text = |body: usize| {
            format!(
                "//! A.\nimpl A {{\n    pub(crate) async fn long(\n        &self,\n    ) {{\n{}    }}\n\n    fn short() {{}}\n}}\n",
                "        if a {\n        }\n".repeat(body)
            )
        };
        let found = |body| findings_of("function", &[("crates/wire/src/a.rs", &text(body))]);
        assert!(found(48).is_empty(), "100 lines");
        assert!(found(49)[0].starts_with("crates/wire/src/a.rs:3: "), "102 lines");
    }
}
