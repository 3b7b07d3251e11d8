//! Names and passwords as they are compared: two ways to type one word must be one user (RFC 8489 §9.2, RFC 8265).
//!
//! RFC 5389 prepared by SASLprep, RFC 8489 prepares by OpaqueString. They agree on nearly everything; where they do not,
//! both are tried.

use unicode_normalization::UnicodeNormalization as _;

use stringprep::tables;

/// Longest user name in bytes: USERNAME holds fewer than 509 (RFC 8489 §14.3).
pub(crate) const USERNAME_BYTES: usize = 508;
/// Longest realm in bytes (RFC 8489 §14.9).
pub(crate) const REALM_BYTES: usize = 763;

/// What PRECIS calls ignorable (RFC 8264 §9.13): code points that do not show, and would make two names look like one.
/// The joiners are among them, since the scripts that need these join by themselves in names.
const IGNORABLE: &[(u32, u32)] = &[
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x61c, 0x61c),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x202a, 0x202e),
    (0x2060, 0x206f),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfff8),
    (0x1_bca0, 0x1_bca3),
    (0x1_d173, 0x1_d17a),
    (0xe_0000, 0xe_0fff),
];

/// Hangul in pieces (RFC 8264 §9.9).
const OLD_HANGUL: &[(u32, u32)] = &[(0x1100, 0x11ff), (0xa960, 0xa97c), (0xd7b0, 0xd7fb)];

/// Prepares by OpaqueString (RFC 8265 §4.2): spaces become the ASCII one, composed by NFC; nothing is folded. None if it
/// is empty or has a character that no name or password may have.
pub(crate) fn opaque_string(text: &str) -> Option<String> {
    let plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if plain {
        return (!text.is_empty()).then(|| text.to_owned());
    }
    // RFC 3454 took U+200B for a space; Unicode no longer does.
    let is_space = |c: char| c != '\u{200b}' && tables::non_ascii_space_character(c);
    let spaced = text.chars().map(|c| if is_space(c) { ' ' } else { c });
    let composed: String = spaced.nfc().collect();
    let valid = !composed.is_empty() && !composed.chars().any(is_refused);
    valid.then_some(composed)
}

/// Prepares by SASLprep (RFC 4013), which folds compatible characters and drops those that do not show.
fn saslprep(text: &str) -> Option<String> {
    let prepared = stringprep::saslprep(text).ok()?;
    (!prepared.is_empty()).then(|| prepared.into_owned())
}

/// Every form that a client may sign a password in: one, or two where the standards disagree, or none.
pub(crate) fn passwords(text: &str) -> Vec<String> {
    let mut forms: Vec<String> = [opaque_string(text), saslprep(text)].into_iter().flatten().collect();
    forms.dedup();
    forms
}

fn is_refused(c: char) -> bool {
    let within = |ranges: &[(u32, u32)]| ranges.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(c)));
    c.is_control()
        || tables::private_use(c)
        || tables::non_character_code_point(c)
        || within(IGNORABLE)
        || within(OLD_HANGUL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_plain_text_alone() {
        assert_eq!(opaque_string("Ann 7!").as_deref(), Some("Ann 7!"));
        assert_eq!(passwords("correct horse"), ["correct horse"]);
    }

    #[test]
    fn one_word_typed_in_two_ways_is_one_word() {
        assert_eq!(opaque_string("e\u{301}"), opaque_string("\u{e9}"));
        assert_eq!(opaque_string("a\u{3000}b").as_deref(), Some("a b"));
    }

    #[test]
    fn refuses_what_does_not_show() {
        for text in ["", "a\0b", "a\nb", "a\u{200b}b", "a\u{202e}b", "\u{feff}a", "\u{e000}", "\u{fdd0}", "\u{1100}x"] {
            assert_eq!(opaque_string(text), None, "{text:?}");
        }
    }

    #[test]
    fn gives_both_forms_where_the_standards_disagree() {
        // RFC 4013 §3, examples 3 and 5: compatible characters are folded by the one alone.
        assert_eq!(passwords("\u{aa}bc"), ["\u{aa}bc", "abc"]);
        assert_eq!(passwords("\u{2168}"), ["\u{2168}", "IX"]);
        // RFC 5769 §2.4: a soft hyphen, which OpaqueString refuses.
        assert_eq!(passwords("The\u{ad}M\u{aa}tr\u{2168}"), ["TheMatrIX"]);
        // Younger than the Unicode 3.2 of SASLprep.
        assert_eq!(passwords("\u{1f984}"), ["\u{1f984}"]);
        assert!(passwords("\u{7}").is_empty());
    }
}
