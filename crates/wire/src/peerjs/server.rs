//! What the server itself says, in the words of the original.

use crate::json::write_string;

/// A message of the server's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// The id is the client's.
    Open,
    /// Somebody else has the id.
    IdTaken,
    /// Nobody came to read what `to` sent to `from` in time.
    Expire {
        /// Whom it was for.
        from: &'a str,
        /// Who sent it.
        to: &'a str,
    },
    /// What `to` sent is for nobody who could ever come.
    Unreachable {
        /// What stood in the place of the id, as JSON.
        from: &'a str,
        /// Who sent it.
        to: &'a str,
    },
    /// `from` is gone for good, and its connections with it.
    Leave {
        /// Who is gone.
        from: &'a str,
        /// Who is told.
        to: &'a str,
    },
    /// Something cannot be; official clients give up their connection to the server over it.
    Error(&'a str),
}

impl Notice<'_> {
    /// The id, token or key is missing.
    pub const INCOMPLETE: Notice<'static> = Notice::Error("No id, token, or key supplied to websocket server");
    /// The server has no such key.
    pub const INVALID_KEY: Notice<'static> = Notice::Error("Invalid key provided");
    /// There are as many clients as there may be.
    pub const FULL: Notice<'static> = Notice::Error("Server has reached its concurrent user limit");
    /// The client said `LEAVE` for itself, and goes on. (The original lets it.)
    pub const GIVEN_UP: Notice<'static> =
        Notice::Error("This id was given up with LEAVE; connect again to send under it");
    /// The id has more than 512 bytes. (The original takes any.)
    pub const LONG_ID: Notice<'static> = Notice::Error("This id is too long: 512 bytes are the limit");
    /// The id has a control character. (The original takes any.)
    pub const BAD_ID: Notice<'static> =
        Notice::Error("This id has control characters; ids are text that people could read");
    /// The token has more than 512 bytes. (The original takes any.)
    pub const LONG_TOKEN: Notice<'static> = Notice::Error("This token is too long: 512 bytes are the limit");

    /// Appends the message.
    pub fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Self::Open => out.extend_from_slice(br#"{"type":"OPEN"}"#),
            Self::IdTaken => out.extend_from_slice(br#"{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}"#),
            Self::Expire { from, to } => write_addressed("EXPIRE", |out| write_string(from, out), to, out),
            Self::Unreachable { from, to } => {
                write_addressed("EXPIRE", |out| out.extend_from_slice(from.as_bytes()), to, out)
            }
            Self::Leave { from, to } => write_addressed("LEAVE", |out| write_string(from, out), to, out),
            Self::Error(sentence) => {
                out.extend_from_slice(br#"{"type":"ERROR","payload":{"msg":"#);
                write_string(sentence, out);
                out.extend_from_slice(b"}}");
            }
        }
    }
}

fn write_addressed(kind: &str, from: impl FnOnce(&mut Vec<u8>), to: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"src\":");
    from(out);
    out.extend_from_slice(b",\"dst\":");
    write_string(to, out);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(notice: Notice<'_>) -> String {
        let mut out = Vec::new();
        notice.write_json(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn says_what_the_original_says() {
        assert_eq!(json(Notice::Open), r#"{"type":"OPEN"}"#);
        assert_eq!(json(Notice::IdTaken), r#"{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}"#);
        let key = r#"{"type":"ERROR","payload":{"msg":"Invalid key provided"}}"#;
        assert_eq!(json(Notice::INVALID_KEY), key);
        assert_eq!(json(Notice::Expire { from: "b", to: "a" }), r#"{"type":"EXPIRE","src":"b","dst":"a"}"#);
        assert_eq!(json(Notice::Unreachable { from: "7", to: "a" }), r#"{"type":"EXPIRE","src":7,"dst":"a"}"#);
        assert_eq!(json(Notice::Leave { from: "b\"", to: "a" }), r#"{"type":"LEAVE","src":"b\"","dst":"a"}"#);
        assert_eq!(json(Notice::Error("a \"b\"")), r#"{"type":"ERROR","payload":{"msg":"a \"b\""}}"#);
    }
}
