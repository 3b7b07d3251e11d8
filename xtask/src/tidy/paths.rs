//! Nothing in the project knows the machine that it was written on.

use super::Findings;
use super::tree::Tree;

/// Folders that exist on somebody's machine. Not written in one piece, or this file would find itself.
const MACHINE: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// No path of one machine in any file.
pub(super) fn machine(tree: &Tree, findings: &mut Findings) {
    for file in tree.files() {
        for (number, line) in file.lines() {
            if let Some(path) = MACHINE.iter().find(|path| begins_path(line, path)) {
                findings.error(
                    file,
                    number,
                    format!("`{path}…` exists on one machine only: use a relative path, or a variable"),
                );
            }
        }
    }
}

/// Whether `folder` stands in `line` as the beginning of a path, not inside of one.
fn begins_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-~}/".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    #[test]
    fn a_path_of_one_machine_is_refused() {
        let root = concat!("/ro", "ot/");
        let found = |text: &str| findings_of("machine", &[("docs/a.md", text)]).len();
        assert_eq!(found(&format!("see `{root}switchboard.toml`\n")), 1);
        assert_eq!(found(&format!("{root}x\n")), 1);
        assert_eq!(found(&format!("https://example.org{root}x\n")), 0);
        assert_eq!(found(&format!("${{base}}{root}x\n")), 0);
    }
}
