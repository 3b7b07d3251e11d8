//! Text that people choose and other people see.

use std::fmt;

use serde::Serialize;

use crate::limits::{NAME_BYTES, NAME_CHARS};

/// A peer's name: a label of 0 to 64 characters without control characters, not an identity.
///
/// Empty means that the peer gave none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PeerName(Box<str>);

/// Says which rule a name broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// More than [`NAME_CHARS`] characters or [`NAME_BYTES`] bytes.
    #[error("a name has at most {NAME_CHARS} characters and {NAME_BYTES} bytes")]
    TooLong,
    /// A control character, such as a line break.
    #[error("a name has no control characters or line breaks")]
    ControlCharacter,
}

impl PeerName {
    /// Checks a name and takes white space off its ends.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        if text.len() > NAME_BYTES || text.chars().count() > NAME_CHARS {
            return Err(InvalidName::TooLong);
        }
        if text.chars().any(|c| c.is_control() || is_direction_override(c)) {
            return Err(InvalidName::ControlCharacter);
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Bidirectional embeddings, overrides and isolates (UAX #9 §2): one in a name would reorder the text around it.
fn is_direction_override(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_names_of_any_script_up_to_the_limit() {
        assert_eq!(PeerName::parse("  Žofie 👩‍🚀 ").map(|n| n.to_string()), Ok("Žofie 👩‍🚀".into()));
        assert!(PeerName::parse(&"𝔸".repeat(NAME_CHARS)).is_ok());
        assert_eq!(PeerName::parse(""), Ok(PeerName::default()));
    }

    #[test]
    fn refuses_long_names_and_control_characters() {
        assert_eq!(PeerName::parse(&"a".repeat(NAME_CHARS + 1)), Err(InvalidName::TooLong));
        assert_eq!(PeerName::parse("a\nb"), Err(InvalidName::ControlCharacter));
        assert_eq!(PeerName::parse("a\u{202e}b"), Err(InvalidName::ControlCharacter));
    }
}
