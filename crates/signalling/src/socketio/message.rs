//! One Socket.IO packet, the text of an Engine.IO message (Socket.IO protocol 4 and 5, "Packet encoding"):
//! type, attachments, namespace, acknowledgement id, JSON.
//!
//! The JSON is not read here, only found.

/// What a Socket.IO packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `0`: enters a namespace.
    Connect,
    /// `1`: leaves it.
    Disconnect,
    /// `2`: an event with arguments.
    Event,
    /// `3`: the answer to an event with an id.
    Ack,
    /// `4`: a namespace was not entered.
    ConnectError,
    /// `5`: an event whose binary arguments follow.
    BinaryEvent,
    /// `6`: an answer whose binary arguments follow.
    BinaryAck,
}

impl Kind {
    fn from_digit(digit: u8) -> Option<Self> {
        match digit {
            b'0' => Some(Self::Connect),
            b'1' => Some(Self::Disconnect),
            b'2' => Some(Self::Event),
            b'3' => Some(Self::Ack),
            b'4' => Some(Self::ConnectError),
            b'5' => Some(Self::BinaryEvent),
            b'6' => Some(Self::BinaryAck),
            _ => None,
        }
    }

    fn digit(self) -> char {
        match self {
            Self::Connect => '0',
            Self::Disconnect => '1',
            Self::Event => '2',
            Self::Ack => '3',
            Self::ConnectError => '4',
            Self::BinaryEvent => '5',
            Self::BinaryAck => '6',
        }
    }
}

/// A Socket.IO packet, borrowed from the message that it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is for.
    pub kind: Kind,
    /// How many binary frames follow; zero but for the binary kinds.
    pub attachments: u32,
    /// The namespace with its query, as the client wrote it; `/` if it wrote none.
    pub namespace: &'a str,
    /// The acknowledgement that the sender waits for.
    pub id: Option<u64>,
    /// JSON, unread; empty if there is none.
    pub data: &'a str,
}

/// Text that is no Socket.IO packet: the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no Socket.IO packet")]
pub struct MalformedMessage;

impl<'a> Message<'a> {
    /// Reads the text of one Engine.IO message.
    pub fn decode(text: &'a str) -> Result<Self, MalformedMessage> {
        let kind = text.bytes().next().and_then(Kind::from_digit).ok_or(MalformedMessage)?;
        let rest = &text[1..];
        let (attachments, rest) = match kind {
            Kind::BinaryEvent | Kind::BinaryAck => {
                let (digits, rest) = rest.split_once('-').ok_or(MalformedMessage)?;
                (number(digits).ok_or(MalformedMessage)?, rest)
            }
            Kind::Connect | Kind::Disconnect | Kind::Event | Kind::Ack | Kind::ConnectError => (0, rest),
        };
        let (namespace, rest) = if rest.starts_with('/') {
            // The comma may be missing where nothing follows, as in `40/admin`.
            rest.split_once(',').unwrap_or((rest, ""))
        } else {
            ("/", rest)
        };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, data) = rest.split_at(digits);
        let id = if digits.is_empty() { None } else { Some(number(digits).ok_or(MalformedMessage)?) };
        Ok(Self { kind, attachments, namespace, id, data })
    }

    /// The namespace without the query that clients of protocol 4 append.
    pub fn path(&self) -> &'a str {
        self.namespace.split_once('?').map_or(self.namespace, |(path, _)| path)
    }

    /// Whether it is for the one namespace that there is.
    pub fn is_root(&self) -> bool {
        self.path() == "/"
    }
}

impl std::fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kind.digit())?;
        match self.kind {
            Kind::BinaryEvent | Kind::BinaryAck => write!(f, "{}-", self.attachments)?,
            Kind::Connect | Kind::Disconnect | Kind::Event | Kind::Ack | Kind::ConnectError => {}
        }
        // Data that begins with a slash would be read as the namespace that was left out.
        let data_looks_like_namespace = self.id.is_none() && self.data.starts_with('/');
        if self.namespace != "/" || data_looks_like_namespace {
            write!(f, "{},", self.namespace)?;
        }
        if let Some(id) = self.id {
            write!(f, "{id}")?;
        }
        f.write_str(self.data)
    }
}

/// Reads decimal digits and nothing else, no sign.
fn number<N: std::str::FromStr>(digits: &str) -> Option<N> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event<'a>(namespace: &'a str, id: Option<u64>, data: &'a str) -> Message<'a> {
        Message { kind: Kind::Event, attachments: 0, namespace, id, data }
    }

    /// Found by the fuzz target `engineio_packet`.
    #[test]
    fn data_that_looks_like_a_namespace_stays_data() {
        let message = Message::decode("0/,/x").expect("a packet");
        assert_eq!((message.namespace, message.data), ("/", "/x"));
        assert_eq!(Message::decode(&message.to_string()), Ok(message));
    }

    #[test]
    fn finds_namespace_id_and_data() {
        assert_eq!(Message::decode(r#"2["a"]"#), Ok(event("/", None, r#"["a"]"#)));
        assert_eq!(Message::decode(r#"20["a"]"#), Ok(event("/", Some(0), r#"["a"]"#)));
        assert_eq!(Message::decode(r#"2/,17["a"]"#), Ok(event("/", Some(17), r#"["a"]"#)));
        assert_eq!(Message::decode(r#"2/x,["a,b"]"#), Ok(event("/x", None, r#"["a,b"]"#)));
        let connect = Message { kind: Kind::Connect, attachments: 0, namespace: "/admin?a=1", id: None, data: "" };
        assert_eq!(Message::decode("0/admin?a=1,"), Ok(connect));
        assert_eq!(Message::decode("0/admin?a=1"), Ok(connect));
        assert_eq!(connect.path(), "/admin");
        let binary = Message::decode(r#"51-["a",{"_placeholder":true,"num":0}]"#).expect("binary");
        assert_eq!((binary.kind, binary.attachments, binary.is_root()), (Kind::BinaryEvent, 1, true));
    }

    #[test]
    fn refuses_what_is_no_packet() {
        for text in ["", "7", "x", "é", "5", "5-[]", "5x-[]", "5-1-[]", "299999999999999999999[]"] {
            assert_eq!(Message::decode(text), Err(MalformedMessage), "{text:?}");
        }
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        (b'0'..=b'6').prop_map(|digit| Kind::from_digit(digit).expect("a kind"))
    }

    proptest! {
        #[test]
        fn packets_survive_text(kind in kinds(), attachments in 0_u32..99, namespace in "/[a-z]{0,8}(\\?[a-z=&]{0,8})?",
                                id: Option<u64>, data in "([\\[{\"].{0,40})?") {
            let binary = matches!(kind, Kind::BinaryEvent | Kind::BinaryAck);
            let attachments = if binary { attachments } else { 0 };
            let message = Message { kind, attachments, namespace: &namespace, id, data: &data };
            let text = message.to_string();
            prop_assert_eq!(Message::decode(&text), Ok(message));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC*|[0-6]{0,3}[/,0-9a-z\\-\\[\\]{}\"]{0,20}") {
            if let Ok(message) = Message::decode(&text) {
                let _ = (message.path(), message.is_root());
            }
        }
    }
}
