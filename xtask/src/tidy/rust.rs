//! Habits of the Rust and JavaScript code that keep it bounded, replayable and free of hidden races.

use super::Findings;
use super::tree::Tree;

/// Crates whose production code opens no socket and reads no clock, no file and no global random numbers.
const SANS_IO: &[&str] = &["crates/wire/src/", "crates/turn/src/", "crates/signalling/src/"];

/// What such code must not name, and what it does instead.
const IO: &[(&str, &str)] = &[
    ("Instant::now", "take `now` as an argument"),
    ("SystemTime::now", "take the time as an argument"),
    ("std::fs", "take the contents as an argument"),
    ("std::thread", "be a state machine, the shell has the threads"),
    ("TcpStream", "emit an output, the shell has the sockets"),
    ("TcpListener", "emit an output, the shell has the sockets"),
    ("UdpSocket", "emit an output, the shell has the sockets"),
    ("thread_rng", "take a seeded generator in the constructor"),
    ("rand::rng()", "take a seeded generator in the constructor"),
    ("rand::random", "take a seeded generator in the constructor"),
];

/// The cores are pure: inputs are arguments, effects are data.
pub(super) fn sans_io(tree: &Tree, findings: &mut Findings) {
    for file in tree.rust() {
        if !SANS_IO.iter().any(|folder| file.path().starts_with(folder)) {
            continue;
        }
        let production = file.tests_from();
        for (number, line) in file.lines().take_while(|(number, _)| *number < production) {
            for (name, instead) in IO {
                if code(line).contains(name) {
                    findings.error(file, number, format!("no `{name}` in a sans-IO crate: {instead}"));
                }
            }
        }
    }
}

/// Every queue has a limit.
pub(super) fn bounded(tree: &Tree, findings: &mut Findings) {
    const UNBOUNDED: &[&str] =
        &["unbounded_channel", "mpsc::unbounded", "UnboundedSender", "UnboundedReceiver", "mpsc::channel()"];
    for file in tree.rust() {
        for (number, line) in file.lines() {
            if let Some(name) = UNBOUNDED.iter().find(|name| names(code(line), name)) {
                findings.error(
                    file,
                    number,
                    format!("`{name}` has no limit: use a bounded channel and say what happens when it is full"),
                );
            }
        }
    }
}

/// A test waits for a condition; a pause hides a race and costs time on every run.
pub(super) fn sleeps(tree: &Tree, findings: &mut Findings) {
    const RUST: &[&str] = &["thread::sleep(", "time::sleep(", "sleep_until("];
    const JAVASCRIPT: &[&str] =
        &["waitForTimeout(", "timers/promises", "=> setTimeout(resolve", "=> setTimeout(r,", "=> setTimeout(done"];
    for file in tree.files() {
        let (pauses, from) = if file.has_extension(&["rs"]) {
            (RUST, file.tests_from())
        } else if file.has_extension(&["js", "mjs"]) && file.is_test() {
            (JAVASCRIPT, 1)
        } else {
            continue;
        };
        for (number, line) in file.lines().skip_while(|(number, _)| *number < from) {
            if let Some(pause) = pauses.iter().find(|pause| code(line).contains(*pause)) {
                findings.error(
                    file,
                    number,
                    format!(
                        "`{pause}…` in a test: wait for the condition, or use virtual time. Where the pause itself is \
                         under test: `tidy: allow(sleep) - <why>`"
                    ),
                );
            }
        }
    }
}

/// A test that does not run says why.
pub(super) fn ignored(tree: &Tree, findings: &mut Findings) {
    for file in tree.rust() {
        for (number, line) in file.lines() {
            if line.trim() == "#[ignore]" {
                findings.error(file, number, "say why: `#[ignore = \"reason\"]`");
            }
        }
    }
}

/// The line without a comment at its end, and nothing of a line that is a comment.
fn code(line: &str) -> &str {
    let line = line.trim_start();
    if line.starts_with("//") || line.starts_with('*') || line.starts_with("/*") {
        return "";
    }
    line.split_once(" // ").map_or(line, |(code, _)| code)
}

/// Whether `text` contains `name` and not only as part of a string literal of it.
fn names(text: &str, name: &str) -> bool {
    text.contains(name) && !text.contains(&format!("\"{name}\""))
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    #[test]
    fn a_core_reads_no_clock_but_its_tests_may() {
        let text = "//! Core.\nfn a() { Instant::now(); }\n// Instant::now in words\n#[cfg(test)]\nmod tests {\n    fn b() { Instant::now(); }\n}\n";
        let found = findings_of("sans-io", &[("crates/signalling/src/a.rs", text)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("a.rs:2: "), "{found:?}");
        assert!(findings_of("sans-io", &[("crates/server/src/a.rs", text)]).is_empty());
    }

    #[test]
    fn a_channel_without_a_limit_is_refused() {
        let found = |text| findings_of("bounded", &[("crates/server/src/a.rs", text)]).len();
        // tidy: allow(bounded) - the example of this rule
        assert_eq!(found("let (a, b) = mpsc::unbounded_channel();\n"), 1);
        // tidy: allow(bounded) - the example of this rule
        assert_eq!(found("let (a, b) = std::sync::mpsc::channel();\n"), 1);
        assert_eq!(found("let (a, b) = mpsc::channel(8);\n"), 0);
    }

    #[test]
    fn a_pause_in_a_test_is_refused() {
        // tidy: allow(sleep) - the example of this rule
        let rust = "//! A.\nfn a() { std::thread::sleep(TICK); }\n#[cfg(test)]\nmod tests {\n    fn b() { tokio::time::sleep(TICK); }\n}\n";
        let found = findings_of("sleep", &[("crates/server/src/a.rs", rust)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("a.rs:5: "), "{found:?}");
        for pause in ["await page.waitForTimeout(500)", "await new Promise(r => setTimeout(r, 500))"] {
            let found = |path| findings_of("sleep", &[(path, pause)]).len();
            assert_eq!(found("tests/browser/a.test.mjs"), 1, "{pause}");
            assert_eq!(found("web/a.js"), 0, "{pause}");
        }
    }

    #[test]
    fn a_pause_under_test_says_so() {
        // tidy: allow(sleep) - the example of this rule
        let text = "//! A.\n// tidy: allow(sleep) - a client that sends its headers slowly is what is tested\nthread::sleep(TICK);\n";
        assert!(findings_of("sleep", &[("crates/server/tests/a.rs", text)]).is_empty());
    }

    #[test]
    fn an_ignored_test_says_why() {
        let found = |text| findings_of("ignored", &[("crates/wire/tests/a.rs", text)]).len();
        assert_eq!(found("    #[ignore]\n"), 1);
        assert_eq!(found("    #[ignore = \"needs two network interfaces\"]\n"), 0);
    }
}
