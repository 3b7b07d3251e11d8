//! JSONP polling, for pages whose browser has no cross-origin XHR and for clients told to (`forceJSONP`): the answer to a
//! GET is a script, the body of a POST is a form.

use serde_json::Value;

/// Wraps the answer to a GET: a call of the client's `index`-th callback.
pub(super) fn wrap(index: u32, body: &[u8]) -> Vec<u8> {
    let text = Value::from(String::from_utf8_lossy(body)).to_string();
    // Line terminators in JSON strings, but not in those of scripts before ECMAScript 2019.
    let text = text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    format!("___eio[{index}]({text});").into_bytes()
}

/// Takes the payload out of a form: the field `d`, with the client's protection of line breaks undone.
///
/// Browsers turn a line break in a form into two characters, so the client writes it as `\n`, and a `\n` that was there
/// before as `\\n`.
pub(super) fn unwrap(form: &[u8]) -> Option<String> {
    let form = std::str::from_utf8(form).ok()?;
    let field = form.split('&').find_map(|pair| pair.strip_prefix("d="))?;
    let text = String::from_utf8(percent_decode(field)).ok()?;
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("\\\\n") {
            out.push_str("\\n");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("\\n") {
            out.push('\n');
            rest = after;
        } else {
            out.push('\\');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Some(out)
}

/// Decodes `application/x-www-form-urlencoded`; a broken escape stays as it is.
fn percent_decode(field: &str) -> Vec<u8> {
    let mut rest = field.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(nibble(*high) << 4 | nibble(*low));
                rest = after;
            }
            (byte, _) => out.push(*byte),
        }
    }
    out
}

/// The value of a hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase().wrapping_sub(b'a').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the client's form does to a payload.
    fn form(payload: &str) -> String {
        let text = payload.replace("\\n", "\\\n").replace('\n', "\\n");
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("d={escaped}")
    }

    #[test]
    fn calls_the_clients_callback() {
        let script = wrap(3, "2:40é\u{2028}\"".as_bytes());
        assert_eq!(String::from_utf8(script).expect("text"), r#"___eio[3]("2:40é\u2028\"");"#);
    }

    #[test]
    fn reads_the_field_of_the_form() {
        assert_eq!(unwrap(b"x=1&d=4%3A42%5B+%5D&y"), Some("4:42[ ]".into()));
        assert_eq!(unwrap(b"d=%4"), Some("%4".into()));
        assert_eq!(unwrap(b"e=1"), None);
        assert_eq!(unwrap(b"d=%ff"), None);
        assert_eq!(unwrap(b"d=\xff"), None);
    }

    proptest! {
        // A backslash before a line break is what the client's protection cannot tell apart; no JSON has it.
        #[test]
        fn payloads_survive_the_form(payload in "(\\\\[n\"a]|[n\na]|.){0,40}".prop_filter("JSON", |text| !text.contains("\\\n"))) {
            prop_assert_eq!(unwrap(form(&payload).as_bytes()), Some(payload));
        }

        #[test]
        fn arbitrary_bytes_never_panic(body: Vec<u8>) {
            let _ = (unwrap(&body), wrap(0, &body));
        }
    }
}
