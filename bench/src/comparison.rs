//! The rounds of several subjects under one load, and the rows of the table that compares them with the first.

use crate::summary::Summary;
use crate::table::spread;
use serde::Serialize;
use std::collections::BTreeMap;

/// The rounds of one load `W`: what each subject `S` showed in each, as figures `F`.
#[derive(Debug, Serialize)]
pub(crate) struct Measured<W, S: Ord, F> {
    pub(crate) workload: W,
    pub(crate) rounds: BTreeMap<S, Vec<F>>,
}

/// A row of a table: its name, its unit, which way is better, and where the figure is.
pub(crate) type Line<F> = (&'static str, &'static str, Better, fn(&F) -> f64);

impl<W, S: Copy + Ord, F> Measured<W, S, F> {
    /// No round yet.
    pub(crate) fn new(workload: W) -> Self {
        Self { workload, rounds: BTreeMap::new() }
    }

    /// Adds a round.
    pub(crate) fn add(&mut self, subject: S, figures: F) {
        self.rounds.entry(subject).or_default().push(figures);
    }

    /// One figure of each round; what is not a number is none.
    pub(crate) fn each(&self, subject: S, figure: impl Fn(&F) -> f64) -> Vec<f64> {
        self.rounds.get(&subject).into_iter().flatten().map(figure).filter(|figure| !figure.is_nan()).collect()
    }

    /// The middle of one figure.
    pub(crate) fn summary(&self, subject: S, figure: impl Fn(&F) -> f64) -> Option<Summary> {
        Summary::of(self.each(subject, figure))
    }

    /// The largest of one figure over all rounds and subjects; 0 without rounds.
    pub(crate) fn most(&self, figure: impl Fn(&F) -> f64) -> f64 {
        self.rounds.values().flatten().map(figure).fold(0.0, f64::max)
    }

    /// A row: for each subject the median with its spread, and from the second on how many times better it is than the
    /// first, round by round.
    pub(crate) fn row(&self, subjects: &[S], (name, unit, better, figure): Line<F>) -> Vec<String> {
        let mut row = vec![name.to_owned()];
        let first = subjects.first().map(|&subject| self.each(subject, figure)).unwrap_or_default();
        for (at, &subject) in subjects.iter().enumerate() {
            row.push(spread(self.summary(subject, figure), unit));
            if at > 0 {
                row.push(better.ratio(&first, &self.each(subject, figure)));
            }
        }
        row
    }
}

/// The head of a table for subjects with these names.
pub(crate) fn head(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut head = vec![String::new()];
    for (at, name) in names.into_iter().enumerate() {
        head.push(name);
        if at > 0 {
            head.push("times better".into());
        }
    }
    head
}

/// Which way a figure is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
    Neither,
}

impl Better {
    /// How many times better `ours` is than `theirs`.
    fn ratio(self, theirs: &[f64], ours: &[f64]) -> String {
        match self {
            Self::Less => spread(Summary::of_ratios(theirs, ours), " ×"),
            Self::More => spread(Summary::of_ratios(ours, theirs), " ×"),
            Self::Neither => String::new(),
        }
    }
}

/// A load's name as a heading.
pub(crate) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// One sentence about a target and what was found.
pub(crate) fn verdict(met: bool, target: &str, found: &str) -> String {
    format!("{} {target}: {found}", if met { "**met**" } else { "**missed**" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_say_how_many_times_better() {
        assert_eq!(Better::Less.ratio(&[30.0], &[6.0]), "5.00 ×");
        assert_eq!(Better::More.ratio(&[30.0], &[6.0]), "0.20 ×");
        assert_eq!(Better::Neither.ratio(&[30.0], &[6.0]), "");
    }

    #[test]
    fn a_row_compares_all_with_the_first() {
        let mut measured = Measured::new(());
        for (subject, figure) in [(0, 8.0), (1, 2.0), (2, 16.0)] {
            measured.add(subject, figure);
        }

        let row = measured.row(&[0, 1, 2], ("cost", " µs", Better::Less, |figure| *figure));

        assert_eq!(row, ["cost", "8.00 µs", "2.00 µs", "4.00 ×", "16.0 µs", "0.50 ×"]);
        assert_eq!(head(["a".into(), "b".into(), "c".into()]), ["", "a", "b", "times better", "c", "times better"]);
    }

    #[test]
    fn verdicts_name_target_and_finding() {
        assert_eq!(verdict(true, "p99 under 5.00 ms", "1.20 ms"), "**met** p99 under 5.00 ms: 1.20 ms");
        assert_eq!(verdict(false, "p99 under 5.00 ms", "7.00 ms"), "**missed** p99 under 5.00 ms: 7.00 ms");
    }
}
