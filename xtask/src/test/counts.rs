//! Reads what the test runners say that they counted: cargo-nextest, `cargo test` and `node --test`.

/// Who runs the tests, and so how the counts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    Cargo,
    Nextest,
    Node,
}

/// Tests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    /// Skipped or ignored by the suite itself, with a reason there.
    pub(crate) skipped: u32,
}

impl Counts {
    /// All tests that were run.
    pub(crate) fn run(self) -> u32 {
        self.passed + self.failed
    }

    /// Adds what one line of the runner's output counts; other lines add nothing.
    ///
    /// A runner passes on what its tests print, other runners' summaries included, so only its own form is read.
    pub(crate) fn read(&mut self, runner: Runner, line: &str) {
        match runner {
            // "test result: ok. 3 passed; 0 failed; 1 ignored; …", one for each program
            Runner::Cargo => {
                if let Some(rest) = line.strip_prefix("test result: ") {
                    self.add_words(rest, &[';', '.']);
                }
            }
            // "     Summary [ 1.2s] 5/12 tests run: 3 passed (1 slow), 1 failed, 1 timed out, 2 skipped"
            Runner::Nextest => {
                if line.trim_start().starts_with("Summary [")
                    && let Some((_, rest)) = line.split_once(" run: ")
                {
                    self.add_words(rest, &[',', '(']);
                }
            }
            // "ℹ pass 3", one line for each outcome
            Runner::Node => {
                if let Some(rest) = line.strip_prefix("ℹ ") {
                    self.add_node(rest);
                }
            }
        }
    }

    /// Adds each `<number> <word>` of a text that `separators` cut into parts.
    fn add_words(&mut self, text: &str, separators: &[char]) {
        for part in text.split(separators) {
            if let Some((number, word)) = part.trim().split_once(' ')
                && let Ok(number) = number.parse()
            {
                self.add(word.trim(), number);
            }
        }
    }

    /// Adds a line `<word> <number>` of Node's summary.
    fn add_node(&mut self, text: &str) {
        if let Some((word, number)) = text.trim().split_once(' ')
            && let Ok(number) = number.parse()
        {
            self.add(word, number);
        }
    }

    fn add(&mut self, word: &str, number: u32) {
        match word {
            "passed" | "pass" => self.passed += number,
            "failed" | "fail" | "cancelled" | "timed out" | "exec failed" => self.failed += number,
            "ignored" | "skipped" | "todo" => self.skipped += number,
            // "tests", "suites", "measured", "filtered out", "slow", "duration_ms": no outcome of a test.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(runner: Runner, lines: &[&str]) -> (u32, u32, u32) {
        let mut counts = Counts::default();
        for line in lines {
            counts.read(runner, line);
        }
        (counts.passed, counts.failed, counts.skipped)
    }

    #[test]
    fn adds_up_the_results_of_cargo_test() {
        let lines = [
            "running 3 tests",
            "test codec::round_trips ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.00s",
        ];
        assert_eq!(counted(Runner::Cargo, &lines), (4, 2, 1));
    }

    #[test]
    fn reads_the_summary_of_nextest() {
        let line = "     Summary [   1.204s] 12 tests run: 11 passed (1 slow), 1 failed, 3 skipped";
        assert_eq!(counted(Runner::Nextest, &[line]), (11, 1, 3));
        let line = "     Summary [   0.100s] 3/9 tests run: 1 passed, 1 failed, 1 timed out, 0 skipped";
        assert_eq!(counted(Runner::Nextest, &[line]), (1, 2, 0));
    }

    #[test]
    fn reads_the_summary_of_node() {
        let lines = [
            "ℹ tests 9",
            "ℹ suites 2",
            "ℹ pass 5",
            "ℹ fail 1",
            "ℹ cancelled 1",
            "ℹ skipped 2",
            "ℹ todo 0",
            "ℹ duration_ms 1204.5",
        ];
        assert_eq!(counted(Runner::Node, &lines), (5, 2, 2));
    }

    #[test]
    fn counts_nothing_in_other_output() {
        for runner in [Runner::Cargo, Runner::Nextest, Runner::Node] {
            assert_eq!(counted(runner, &["7 passed", "Compiling 3 failed", "ℹ pass", ""]), (0, 0, 0), "{runner:?}");
        }
    }

    #[test]
    fn does_not_count_what_a_runner_shows_of_a_failed_test() {
        let shown = "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 2 filtered out";
        let summary = "     Summary [   1.0s] 2 tests run: 1 passed, 1 failed, 0 skipped";
        assert_eq!(counted(Runner::Nextest, &[shown, summary, shown]), (1, 1, 0));
        assert_eq!(counted(Runner::Cargo, &[shown]), (0, 0, 0));
    }
}
