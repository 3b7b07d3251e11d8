//! A QR code (ISO/IEC 18004) in characters: two modules in one, upper and lower half.

use fast_qr::ECL;
use fast_qr::qr::{QRBuilder, QRCode};

/// How many light modules surround the code (§5.3.8).
const QUIET_ZONE: usize = 4;

/// A QR code for terminals.
pub(crate) struct TerminalCode {
    code: Box<QRCode>,
}

impl TerminalCode {
    /// Makes the code of a link; `None` if it is too long for any.
    pub(crate) fn new(link: &str) -> Option<Self> {
        let code = QRBuilder::new(link).ecl(ECL::L).build().ok()?;
        Some(Self { code: Box::new(code) })
    }

    /// How many columns it takes.
    pub(crate) fn width(&self) -> usize {
        self.code.size + 2 * QUIET_ZONE
    }

    /// How many lines it takes.
    pub(crate) fn height(&self) -> usize {
        self.width().div_ceil(2)
    }

    /// Draws it. With colours it is black on white on every terminal; without, characters are the light modules, which is
    /// right on dark terminals and inverted on light ones.
    pub(crate) fn lines(&self, coloured: bool) -> Vec<String> {
        (0..self.height())
            .map(|line| {
                let row: String = (0..self.width()).map(|column| self.cell(column, 2 * line, coloured)).collect();
                if coloured { format!("\x1b[38;5;16;48;5;231m{row}\x1b[0m") } else { row }
            })
            .collect()
    }

    /// The character for the modules at `row` and below. A row past the code's last is light.
    fn cell(&self, column: usize, row: usize, coloured: bool) -> char {
        let is_ink = |row| self.is_dark(column, row) == coloured;
        match (is_ink(row), is_ink(row + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        }
    }

    fn is_dark(&self, column: usize, row: usize) -> bool {
        let inside = QUIET_ZONE..QUIET_ZONE + self.code.size;
        inside.contains(&column) && inside.contains(&row) && self.code[row - QUIET_ZONE][column - QUIET_ZONE].value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "http://192.168.178.23:3000";

    /// Decodes what a camera would see: `ink` is the colour of the characters.
    fn scan(lines: &[String], ink_is_dark: bool) -> Option<String> {
        const PIXELS: usize = 4;
        let halves: Vec<Vec<bool>> = lines
            .iter()
            .flat_map(|line| {
                let upper = line.chars().map(|c| matches!(c, '█' | '▀')).collect();
                let lower = line.chars().map(|c| matches!(c, '█' | '▄')).collect();
                [upper, lower]
            })
            .collect();
        let (width, height) = (halves[0].len() * PIXELS, halves.len() * PIXELS);
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
            if halves[y / PIXELS][x / PIXELS] == ink_is_dark { 0 } else { 255 }
        });
        image.detect_grids().first().and_then(|grid| grid.decode().ok()).map(|(_, text)| text)
    }

    #[test]
    fn a_reader_finds_the_link_in_both_drawings() {
        let code = TerminalCode::new(LINK).expect("fits");
        let bare =
            |line: &String| line.trim_start_matches("\x1b[38;5;16;48;5;231m").trim_end_matches("\x1b[0m").to_owned();
        let coloured: Vec<String> = code.lines(true).iter().map(bare).collect();
        assert_eq!(scan(&coloured, true).as_deref(), Some(LINK));
        assert_eq!(scan(&code.lines(false), false).as_deref(), Some(LINK));
    }

    #[test]
    fn every_line_is_as_wide_as_told() {
        let code = TerminalCode::new(LINK).expect("fits");
        let lines = code.lines(false);
        assert_eq!(lines.len(), code.height());
        assert!(lines.iter().all(|line| line.chars().count() == code.width()));
    }

    #[test]
    fn what_fits_no_code_has_none() {
        assert!(TerminalCode::new(&"x".repeat(3_000)).is_none());
    }
}
