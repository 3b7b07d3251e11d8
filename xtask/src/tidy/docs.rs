//! Documents that keep their promises: links lead somewhere, and each invariant names the check that enforces it.

use super::tree::{File, Tree};
use super::{Findings, RULES};

/// Relative links and images of Markdown files lead to files of the project, and to headings that exist.
pub(super) fn links(tree: &Tree, findings: &mut Findings) {
    for file in tree.files().filter(|file| file.has_extension(&["md"])) {
        let mut fenced = false;
        for (number, line) in file.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            for target in targets(line) {
                if let Some(problem) = problem_of(tree, file, target) {
                    findings.error(file, number, format!("the link `{target}` leads nowhere: {problem}"));
                }
            }
        }
    }
}

/// Documents that comments and messages of the code point to exist.
pub(super) fn mentions(tree: &Tree, findings: &mut Findings) {
    const CODE: &[&str] = &["rs", "js", "mjs", "html", "css", "toml"];
    for file in tree.files().filter(|file| file.has_extension(CODE) && !file.path().starts_with("xtask/")) {
        for (number, line) in file.lines() {
            for (start, _) in line.match_indices("docs/") {
                let is_path = |c: char| c.is_alphanumeric() || "/._-".contains(c);
                let rest = &line[start..];
                let path = &rest[..rest.find(|c| !is_path(c)).unwrap_or(rest.len())];
                if path.ends_with(".md") && !tree.has(path) {
                    findings.warning(file, number, format!("there is no `{path}`: write it, or name what is there"));
                }
            }
        }
    }
}

/// What `[text](target)`, `[name]: target`, `src="target"` and `srcset="target"` on a line name.
fn targets(line: &str) -> Vec<&str> {
    let plain = line.split('`').step_by(2);
    let mut found = Vec::new();
    for part in plain {
        for (opening, closing) in
            [("](", [')', ' ']), ("src=\"", ['"', '"']), ("srcset=\"", ['"', ' ']), ("href=\"", ['"', '"'])]
        {
            for (start, _) in part.match_indices(opening) {
                let rest = &part[start + opening.len()..];
                found.extend(rest.find(closing).map(|end| &rest[..end]));
            }
        }
    }
    if line.starts_with('[')
        && let Some((_, target)) = line.split_once("]: ")
    {
        found.push(target.trim());
    }
    found
}

/// What is wrong with a link, if it is relative and something is.
fn problem_of(tree: &Tree, from: &File, target: &str) -> Option<String> {
    let absolute = target.contains("://") || target.starts_with("mailto:");
    if absolute || target.is_empty() {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(p, a)| (p, Some(a)));
    let path = if path.is_empty() { from.path().to_owned() } else { resolve(from.folder(), path) };
    if !tree.has(&path) {
        return Some(format!("there is no `{path}`"));
    }
    let document = tree.file(&path).filter(|file| file.has_extension(&["md"]))?;
    let anchor = anchor?;
    let known = document.lines().any(|(_, line)| slug(line).is_some_and(|slug| slug == anchor));
    (!known).then(|| format!("`{path}` has no heading `#{anchor}`"))
}

/// `path` as seen from `folder`, both relative to the root.
fn resolve(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = if path.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("/")
}

/// The anchor that a heading gets.
fn slug(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
    Some(
        title
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect(),
    )
}

/// Each paragraph `**Invariant:** …` of ARCHITECTURE.md ends with `Checked by` and what checks it: a rule of tidy
/// (`tidy: imports`), a file, or a test (`path::name`).
pub(super) fn invariants(tree: &Tree, findings: &mut Findings) {
    let Some(file) = tree.file("ARCHITECTURE.md") else {
        return;
    };
    let lines: Vec<_> = file.lines().collect();
    for (index, (number, line)) in lines.iter().enumerate() {
        if !line.contains("**Invariant:**") {
            continue;
        }
        let paragraph: Vec<&str> = std::iter::once(*line)
            .chain(
                lines[index + 1..]
                    .iter()
                    .map(|(_, line)| *line)
                    .take_while(|line| !line.trim().is_empty() && !line.contains("**Invariant:**")),
            )
            .collect();
        for problem in problems_of_invariant(tree, &paragraph.join(" ")) {
            findings.error(file, *number, problem);
        }
    }
}

fn problems_of_invariant(tree: &Tree, text: &str) -> Vec<String> {
    let Some((_, checks)) = text.split_once("Checked by") else {
        return vec!["an invariant ends with `Checked by` and the test or rule that enforces it".to_owned()];
    };
    let checks: Vec<&str> = checks.split('`').skip(1).step_by(2).collect();
    if checks.is_empty() {
        return vec!["name the check in backticks: a rule of tidy, a file, or `file::test`".to_owned()];
    }
    checks.iter().filter(|check| !exists(tree, check)).map(|check| format!("there is no check `{check}`")).collect()
}

fn exists(tree: &Tree, check: &str) -> bool {
    if let Some(rule) = check.strip_prefix("tidy: ") {
        return RULES.iter().any(|known| known.name == rule);
    }
    match check.split_once("::") {
        Some((path, test)) => tree.file(path).is_some_and(|file| file.text().contains(&format!("fn {test}("))),
        None => tree.has(check),
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    fn broken(text: &str) -> Vec<String> {
        let files = [
            ("docs/index.md", text),
            ("docs/config.md", "# Configuration\n\n## TLS & ACME, or not\n"),
            ("docs/images/page.png", ""),
            ("README.md", ""),
        ];
        findings_of("links", &files)
    }

    #[test]
    fn a_link_leads_to_a_file_of_the_project() {
        for good in [
            "[a](config.md)",
            "[a](../README.md) and [b](./config.md)",
            "![p](images/page.png \"The page\")",
            "<img src=\"images/page.png\">",
            "[a](https://example.org/x) [m](mailto:a@example.org)",
            "[folder](images/)",
            "`[a](nowhere.md)`",
            "```\n[a](nowhere.md)\n```",
        ] {
            assert!(broken(good).is_empty(), "{good}: {:?}", broken(good));
        }
        for bad in ["[a](nowhere.md)", "<img src=\"images/none.png\">", "[a]: ../none.md", "x\n\n[a](/none.md)"] {
            assert_eq!(broken(bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn a_link_leads_to_a_heading_that_exists() {
        assert!(broken("[a](config.md#tls--acme-or-not)").is_empty());
        assert_eq!(broken("[a](config.md#tls)").len(), 1);
        assert!(broken("# Here\n[a](#here)").is_empty());
        assert_eq!(broken("[a](#there)").len(), 1);
    }

    #[test]
    fn code_points_to_documents_that_exist() {
        let found = |text: &str| {
            findings_of("mentions", &[("crates/wire/src/a.rs", text), ("docs/protocol/rooms.md", "# Rooms\n")]).len()
        };
        assert_eq!(found("//! Rooms (`docs/protocol/rooms.md`).\n"), 0);
        assert_eq!(found("//! Rooms (`docs/rooms.md`).\n"), 1);
        assert_eq!(found("let folder = \"docs/images\";\n"), 0);
    }

    fn unfounded(invariant: &str) -> Vec<String> {
        let files = [("ARCHITECTURE.md", invariant), ("crates/wire/tests/order.rs", "#[test]\nfn keeps_order() {}\n")];
        findings_of("invariants", &files)
    }

    #[test]
    fn an_invariant_names_a_check_that_exists() {
        for good in [
            "**Invariant:** One way. Checked by `tidy: imports`.",
            "**Invariant:** In order.\nChecked by `crates/wire/tests/order.rs::keeps_order`\nand `tidy: sleep`.",
            "**Invariant:** In order. Checked by `crates/wire/tests/order.rs`.",
        ] {
            assert!(unfounded(good).is_empty(), "{good}: {:?}", unfounded(good));
        }
        for bad in [
            "**Invariant:** One way.",
            "**Invariant:** One way. Checked by hope.",
            "**Invariant:** One way. Checked by `tidy: hope`.",
            "**Invariant:** In order. Checked by `crates/wire/tests/order.rs::hopes`.",
            "**Invariant:** One way.\n\nChecked by `tidy: imports`.",
        ] {
            assert_eq!(unfounded(bad).len(), 1, "{bad}");
        }
    }
}
