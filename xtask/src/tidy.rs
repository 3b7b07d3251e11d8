//! `cargo xtask tidy`: the allowed imports, and the house rules that a program can check. Every finding names the file,
//! the line, the rule and what to do. What rustfmt, rustc and clippy see already is theirs.
//!
//! A rule that is wrong in one place is switched off there, by a comment on the same line or the one above it, with the
//! reason: `tidy: allow(<rule>) - <reason>`.

mod docs;
mod imports;
mod manifest;
mod paths;
mod rust;
mod shape;
mod tree;
mod words;

use std::fmt;

use anyhow::Result;

use self::tree::{File, Tree};
use crate::workspace::Workspace;

/// A rule, by the name that findings and exceptions use.
pub(crate) struct Rule {
    name: &'static str,
    check: fn(&Tree, &mut Findings),
}

/// All rules; a rule that is not in this list does not run.
const RULES: &[Rule] = &[
    Rule { name: "imports", check: imports::between_crates },
    Rule { name: "foreign", check: imports::of_other_projects },
    Rule { name: "manifest", check: manifest::describes_itself },
    Rule { name: "pinned", check: manifest::lock_files },
    Rule { name: "length", check: shape::length },
    Rule { name: "entry", check: shape::entry_files },
    Rule { name: "purpose", check: shape::purpose },
    Rule { name: "function", check: shape::functions },
    Rule { name: "sans-io", check: rust::sans_io },
    Rule { name: "bounded", check: rust::bounded },
    Rule { name: "sleep", check: rust::sleeps },
    Rule { name: "ignored", check: rust::ignored },
    Rule { name: "naming", check: words::naming },
    Rule { name: "todo", check: words::todo },
    Rule { name: "machine", check: paths::machine },
    Rule { name: "links", check: docs::links },
    Rule { name: "mentions", check: docs::mentions },
    Rule { name: "invariants", check: docs::invariants },
];

/// Whether a finding fails the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    Error,
    Warning,
}

/// One place where a rule does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    severity: Severity,
    rule: &'static str,
    /// What is wrong, and what to do.
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, message, .. } = self;
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{path}:{line}: {severity}[{rule}]: {message}")
    }
}

/// What the rules have found so far; drops what an exception covers.
#[derive(Default)]
pub(crate) struct Findings {
    rule: &'static str,
    found: Vec<Finding>,
}

impl Findings {
    /// Adds an error at `line` of `file`, counted from 1.
    pub(crate) fn error(&mut self, file: &File, line: usize, message: impl Into<String>) {
        self.add(file, line, Severity::Error, message.into());
    }

    /// Adds a warning, which does not fail the run.
    pub(crate) fn warning(&mut self, file: &File, line: usize, message: impl Into<String>) {
        self.add(file, line, Severity::Warning, message.into());
    }

    fn add(&mut self, file: &File, line: usize, severity: Severity, message: String) {
        if !file.excepts(line, self.rule) {
            let (path, rule) = (file.path().to_owned(), self.rule);
            self.found.push(Finding { path, line, severity, rule, message });
        }
    }
}

/// Applies all rules to `tree`.
fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Findings::default();
    for rule in RULES {
        findings.rule = rule.name;
        (rule.check)(tree, &mut findings);
    }
    findings.found
}

/// Applies one rule to a tree made of `files`, for the tests of the rules.
#[cfg(test)]
fn findings_of(rule: &str, files: &[(&str, &str)]) -> Vec<String> {
    let tree = Tree::of(files);
    let rule = RULES.iter().find(|known| known.name == rule).expect("an unknown rule");
    let mut findings = Findings { rule: rule.name, ..Findings::default() };
    (rule.check)(&tree, &mut findings);
    findings.found.iter().map(ToString::to_string).collect()
}

/// Checks the checkout, prints the findings, and says whether none of them is an error.
pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    let tree = Tree::read(workspace.root())?;
    let mut findings = check(&tree);
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    println!(
        "tidy: {} files, {} rules, {errors} errors, {} warnings",
        tree.files().count(),
        RULES.len(),
        findings.len() - errors
    );
    Ok(errors == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_what_and_which_rule() {
        let found = findings_of("purpose", &[("crates/wire/src/id.rs", "struct Id;\n")]);
        assert!(found[0].starts_with("crates/wire/src/id.rs:1: error[purpose]: "), "{found:?}");
    }

    #[test]
    fn an_exception_with_a_reason_switches_a_rule_off_on_its_line() {
        let text = |comment: &str| format!("//! Waits.\n{comment}\n#[ignore]\nfn slow() {{}}\n");
        let found = |text: &str| findings_of("ignored", &[("crates/wire/tests/a.rs", text)]).len();
        assert_eq!(found(&text("// Nothing to see.")), 1);
        assert_eq!(found(&text("// tidy: allow(ignored) - the reason is in the name")), 0);
        assert_eq!(found(&text("// tidy: allow(ignored)")), 1, "an exception needs a reason");
        assert_eq!(found(&text("// tidy: allow(todo) - another rule is meant")), 1);
    }

    #[test]
    fn the_names_of_the_rules_are_distinct() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }
}
