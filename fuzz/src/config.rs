//! The configuration file.

use switchboard::rewrite_config;

/// Reads `data` as a configuration file.
///
/// What is accepted means the same when it is written out and read again; what is refused says for every problem where it
/// is, in lines that a terminal shows as they are.
pub fn file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match rewrite_config(text) {
        Ok(written) => {
            let again = rewrite_config(&written).expect("what we write can be read");
            assert!(settings(&again).eq(settings(&written)), "{written}\nbecame\n{again}");
        }
        Err(problems) => {
            let lines = text.split('\n').count();
            let places = problems.lines().filter_map(|line| line.strip_prefix("error: ")).map(place);
            let mut problems_told = 0;
            for (line, column) in places {
                assert!((1..=lines).contains(&line) && column >= 1, "{line}:{column} is not in the file\n{problems}");
                problems_told += 1;
            }
            assert!(problems_told > 0, "refused without a reason");
            let odd = problems.lines().find(|line| !line.starts_with("error: ") && !line.starts_with("hint: "));
            assert_eq!(odd, None, "{problems}");
            assert!(problems.chars().all(|c| c == '\n' || !c.is_control()), "{problems:?}");
        }
    }
}

/// All lines but those that say where a setting came from.
fn settings(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with("# Set by "))
}

/// The line and the column that a problem begins with.
fn place(problem: &str) -> (usize, usize) {
    let mut parts = problem.strip_prefix("switchboard.toml:").unwrap_or_default().splitn(3, ':');
    let mut number = || parts.next().and_then(|part| part.parse().ok());
    match (number(), number()) {
        (Some(line), Some(column)) => (line, column),
        _ => panic!("no line and column: {problem}"),
    }
}
