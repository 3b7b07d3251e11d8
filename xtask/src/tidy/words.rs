//! Names that say nothing, and notes that nobody comes back to.

use super::Findings;
use super::tree::Tree;

/// Word endings of types that are named after no role.
const EMPTY: &[&str] = &["Manager", "Helper", "Helpers", "Util", "Utils"];

/// No `get_`, and no type named after nothing.
pub(super) fn naming(tree: &Tree, findings: &mut Findings) {
    for file in tree.rust() {
        for (number, line) in file.lines() {
            if let Some(name) = word_after(line, "fn ")
                && name.starts_with("get_")
                // A function that is no method may well do an HTTP GET.
                && line.contains("self")
            {
                let message = format!("call `{name}` by what it returns: `{}`", &name[4..]);
                findings.error(file, number, message);
            }
            for keyword in ["struct ", "enum ", "trait ", "mod "] {
                if let Some(name) = word_after(line, keyword)
                    && is_empty(name)
                {
                    findings.error(file, number, format!("`{name}` says nothing: name what it is or does"));
                }
            }
        }
    }
}

/// Whether a name ends in one of [`EMPTY`]; a module is written in lower case.
fn is_empty(name: &str) -> bool {
    EMPTY.iter().any(|empty| name.ends_with(empty) || name == empty.to_lowercase())
}

/// The identifier that a definition on this line gives after `keyword`; comments define nothing.
fn word_after<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let (before, after) = line.split_once(keyword)?;
    let definition = before.chars().all(|c| c.is_ascii_lowercase() || c.is_whitespace() || "():".contains(c));
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len());
    (definition && end > 0).then(|| &after[..end])
}

/// A note for later has a reason beside it, or is not there.
pub(super) fn todo(tree: &Tree, findings: &mut Findings) {
    // Not written as words, or this file would find itself.
    const MARKS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
    const CODE: &[&str] = &["rs", "js", "mjs", "ts", "css", "html", "sh", "toml", "md", "yml", "yaml"];
    for file in tree.files().filter(|file| file.has_extension(CODE)) {
        for (number, line) in file.lines() {
            for mark in MARKS {
                if let Some(rest) = after_word(line, mark)
                    && !has_reason(rest)
                {
                    findings.error(
                        file,
                        number,
                        format!("`{mark}` without a reason: do it now, or write `{mark} (why not yet)`"),
                    );
                }
            }
        }
    }
}

/// What follows `word` where it stands by itself.
fn after_word<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let start = line.find(word)?;
    let (before, after) = (&line[..start], &line[start + word.len()..]);
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    let alone = !before.ends_with(joins) && !after.starts_with(joins);
    alone.then_some(after)
}

/// Whether a note goes on with `(reason)` or `- reason`.
fn has_reason(rest: &str) -> bool {
    let rest = rest.trim_start_matches([':', ' ']);
    rest.strip_prefix(['(', '-', '–', '—'])
        .is_some_and(|reason| reason.chars().filter(|c| c.is_alphabetic()).count() >= 5)
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    fn found(rule: &str, text: &str) -> usize {
        findings_of(rule, &[("crates/wire/src/a.rs", text)]).len()
    }

    #[test]
    fn a_getter_is_called_by_what_it_returns() {
        assert_eq!(found("naming", "    pub(crate) fn get_room(&self) {}\n"), 1);
        assert_eq!(found("naming", "    fn room(&self) {}\n"), 0);
        assert_eq!(found("naming", "async fn get_with(address: SocketAddr) {}\n"), 0);
        assert_eq!(found("naming", "    // not fn get_room\n"), 0);
    }

    #[test]
    fn a_type_is_named_after_its_role() {
        for bad in ["pub struct RoomManager {", "enum PathUtil {", "mod utils;", "pub trait Helper {"] {
            assert_eq!(found("naming", bad), 1, "{bad}");
        }
        for good in ["pub struct Rooms {", "struct Utilisation;", "mod utilisation;"] {
            assert_eq!(found("naming", good), 0, "{good}");
        }
    }

    #[test]
    fn a_note_for_later_has_a_reason() {
        let mark = concat!("TO", "DO");
        assert_eq!(found("todo", &format!("// {mark}: later\n")), 1);
        assert_eq!(found("todo", &format!("// {mark}\n")), 1);
        assert_eq!(found("todo", &format!("// {mark} (waits for version 2 of the protocol)\n")), 0);
        assert_eq!(found("todo", &format!("// {mark} - waits for version 2 of the protocol\n")), 0);
        assert_eq!(found("todo", &format!("const {mark}S: u8 = 1;\n")), 0);
    }
}
