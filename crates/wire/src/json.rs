//! JSON strings, read and written without what a whole value would cost.

use std::borrow::Cow;

/// Reads a JSON string, without a copy where it has no escapes; none if it is another value.
///
/// `json` is one value that a parser has found, without white space around it: what stands in it unescaped is not looked at.
#[inline]
pub fn read_string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// Appends a JSON string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    // Writing a string to memory has no way to fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_has_escapes_is_copied() {
        assert!(matches!(read_string("\"plain \u{2028}\""), Some(Cow::Borrowed("plain \u{2028}"))));
        assert_eq!(read_string("\"\"").as_deref(), Some(""));
        assert_eq!(read_string(r#""\/\u002f\"""#).as_deref(), Some("//\""));
    }

    #[test]
    fn other_values_and_broken_ones_are_no_strings() {
        for json in ["null", "7", "[\"a\"]", "{}", "\"", "", "a", r#""\ud800""#, "\"\\\"", r#""\x""#] {
            assert_eq!(read_string(json), None, "{json}");
        }
    }

    proptest! {
        #[test]
        fn strings_come_back_as_they_were(text: String) {
            let mut json = Vec::new();
            write_string(&text, &mut json);
            let json = String::from_utf8(json).expect("UTF-8");
            let read = read_string(&json);
            prop_assert_eq!(read.as_deref(), Some(text.as_str()));
        }
    }
}
