//! What is wrong with a configuration: where, in one sentence, and what to do about it.
//!
//! Every problem is collected, so that a file with three mistakes is corrected in one go.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from, or where a problem lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// The variable `PORT`, which hosting platforms set.
    Port,
    /// A configuration file; line and column count from 1, the column in characters.
    File { path: PathBuf, line: usize, column: usize },
    /// An environment variable.
    Env(String),
    /// A flag, with its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in default"),
            Self::Port => f.write_str("environment variable PORT"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where it is.
    pub(crate) origin: Origin,
    /// What is wrong, one sentence without a full stop.
    pub(crate) sentence: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}: {}", self.origin, self.sentence)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A configuration that cannot be used: at least one problem. Exit code 2.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Invalid(pub(crate) Vec<Problem>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

/// Returns the candidate closest to `typed`, if it is close enough to be a slip of the fingers.
///
/// "Close" is one edit for each three characters, which catches `conections` and `lsiten` and leaves strangers alone.
pub(crate) fn closest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bound = typed.chars().count().div_ceil(3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(typed, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_a_swapped_or_missing_letter() {
        assert_eq!(closest("lsiten", ["origin", "listen"]), Some("listen"));
        assert_eq!(closest("conections", ["connections", "rooms"]), Some("connections"));
    }

    #[test]
    fn suggests_nothing_for_a_stranger() {
        assert_eq!(closest("colour", ["listen", "rooms"]), None);
    }
}
