//! Markdown tables and the numbers in them.

use crate::summary::Summary;

/// A Markdown table: the first column flush left, all others flush right.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this head.
    pub(crate) fn new(head: Vec<String>) -> Self {
        Self { rows: vec![head] }
    }

    /// Adds a row; missing cells stay empty.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as lines of text, columns aligned.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &'_ Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0).max(3))
            .collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, &width) in widths.iter().enumerate() {
                let content = cell(row, column);
                text += &if column == 0 { format!("| {content:<width$} ") } else { format!("| {content:>width$} ") };
            }
            text += "|\n";
            if number == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    text += &if column == 0 {
                        format!("|{}", "-".repeat(width + 2))
                    } else {
                        format!("|{}:", "-".repeat(width + 1))
                    };
                }
                text += "|\n";
            }
        }
        text
    }
}

/// Three significant digits, or thousands with commas.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        huge if huge >= 1_000.0 => thousands(value.round() as i64),
        large if large >= 99.95 => format!("{value:.0}"),
        medium if medium >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The median, and from where to where the rounds went.
pub(crate) fn spread(summary: Option<Summary>, unit: &str) -> String {
    match summary {
        None => String::new(),
        Some(Summary { median, min, max }) if min == max => number(median) + unit,
        Some(Summary { median, min, max }) => format!("{}{unit} ({}–{})", number(median), number(min), number(max)),
    }
}

fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = if value < 0 { String::from("-") } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_columns() {
        let mut table = Table::new(vec!["a".into(), "b × c".into()]);
        table.row(vec!["long name".into(), "1".into()]);
        table.row(vec!["short".into()]);

        let expected = "\
            | a         | b × c |\n\
            |-----------|------:|\n\
            | long name |     1 |\n\
            | short     |       |\n";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn writes_numbers_as_people_read_them() {
        let cases = [(0.0, "0.00"), (0.456, "0.46"), (9.994, "9.99"), (9.999, "10.0"), (99.96, "100"), (999.0, "999")];
        for (value, text) in cases.into_iter().chain([(1_000.0, "1,000"), (1_234_567.0, "1,234,567")]) {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn writes_spreads() {
        let summary = Summary { median: 4.0, min: 3.5, max: 4.25 };
        assert_eq!(spread(Some(summary), " ×"), "4.00 × (3.50–4.25)");
        assert_eq!(spread(Summary::of([7.0]), ""), "7.00");
        assert_eq!(spread(None, ""), "");
    }
}
