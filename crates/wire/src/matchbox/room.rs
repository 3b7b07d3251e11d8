//! Which room a client asks for, by the path and the query of its URL: `/lobby?next=2`.

use std::borrow::Cow;

use crate::RoomId;
use crate::rooms::{IfMissing, Request};

/// Longest name of a room in bytes, without escapes.
pub const NAME_BYTES: usize = 128;

/// What a client asks for with its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The room, or under which id groups gather.
    room: RoomId,
    /// How many make a group; none if the room is open to all.
    size: Option<usize>,
}

/// Why a URL names no room: the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoom {
    /// More than one part.
    #[error("The name of a room is one part of the path; a slash in it is written %2F.")]
    Parts,
    /// An escape that is none, or bytes that are no text.
    #[error("The name of a room is text in UTF-8; what follows a % are two hexadecimal digits.")]
    Escape,
    /// Characters that nobody can read.
    #[error("The name of a room has no control characters.")]
    Control,
    /// More than [`NAME_BYTES`].
    #[error("The name of a room has at most {NAME_BYTES} bytes.")]
    TooLong,
    /// `next` is no number, or one that no room can hold.
    #[error("With \"next\" goes a number from 1 to {most}: so many make a group.")]
    Next {
        /// The limit on members of a room.
        most: usize,
    },
}

impl Wanted {
    /// Reads the part of the path that names the room, with its escapes, which may be empty, and the query. Groups have at most
    /// `most` members. Of parameters that stand twice the last one counts, and others than `next` mean nothing, as in the original.
    ///
    /// # Errors
    /// Says which rule it broke.
    pub fn parse(part: &str, query: Option<&str>, most: usize) -> Result<Self, InvalidRoom> {
        if part.contains('/') {
            return Err(InvalidRoom::Parts);
        }
        let name = unescape(part)?;
        if name.len() > NAME_BYTES {
            return Err(InvalidRoom::TooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(InvalidRoom::Control);
        }
        let size = match next(query) {
            Some(text) => Some(group_size(text, most).ok_or(InvalidRoom::Next { most })?),
            None => None,
        };
        Ok(Self { room: RoomId::of_matchbox(&name, size), size })
    }

    /// What that is to the core.
    pub fn into_request(self) -> Request<'static> {
        match self.size {
            Some(size) => Request::JoinGroup { room: self.room, size },
            None => Request::Join { room: Some(self.room), if_missing: IfMissing::Create },
        }
    }
}

fn next(query: Option<&str>) -> Option<&str> {
    query?.split('&').filter_map(|pair| pair.strip_prefix("next=")).next_back()
}

fn group_size(text: &str, most: usize) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|size| digits && (1..=most).contains(size))
}

/// Resolves `%xx` (RFC 3986 §2.1).
fn unescape(part: &str) -> Result<Cow<'_, str>, InvalidRoom> {
    if !part.contains('%') {
        return Ok(Cow::Borrowed(part));
    }
    let mut pieces = part.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (escape, rest) = piece.as_bytes().split_at_checked(2).ok_or(InvalidRoom::Escape)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(InvalidRoom::Escape);
        let value = digit(escape[0])? * 16 + digit(escape[1])?;
        bytes.push(u8::try_from(value).map_err(|_| InvalidRoom::Escape)?);
        bytes.extend_from_slice(rest);
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| InvalidRoom::Escape)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room(part: &str, query: Option<&str>) -> Result<String, InvalidRoom> {
        match Wanted::parse(part, query, 32)?.into_request() {
            Request::Join { room: Some(room), if_missing: IfMissing::Create } => Ok(room.to_string()),
            Request::JoinGroup { room, size } => Ok(format!("{size} in {room}")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_room_is_named_by_one_part_of_the_path_and_may_be_none() {
        for (part, name) in
            [("lobby", "lobby"), ("", ""), ("a%20b%2fc", "a b/c"), ("%C4%8d", "č"), ("..", ".."), ("a+b", "a+b")]
        {
            assert_eq!(room(part, None), Ok(format!("matchbox::{name}")), "{part}");
        }
        for (part, error) in [
            ("a/b", InvalidRoom::Parts),
            ("a/", InvalidRoom::Parts),
            ("%", InvalidRoom::Escape),
            ("%4", InvalidRoom::Escape),
            ("%+1", InvalidRoom::Escape),
            ("%ff", InvalidRoom::Escape),
            ("a%00", InvalidRoom::Control),
            ("%c2%80", InvalidRoom::Control),
        ] {
            assert_eq!(room(part, None), Err(error), "{part}");
        }
        assert!(room(&"r".repeat(NAME_BYTES), None).is_ok());
        assert!(room(&"%72".repeat(NAME_BYTES), None).is_ok());
        assert_eq!(room(&"r".repeat(NAME_BYTES + 1), None), Err(InvalidRoom::TooLong));
    }

    #[test]
    fn next_makes_groups_and_nonsense_is_refused() {
        assert_eq!(room("a", Some("next=2")).as_deref(), Ok("2 in matchbox:2:a"));
        assert_eq!(room("a", Some("x=1&next=3&next=32&y")).as_deref(), Ok("32 in matchbox:32:a"));
        assert_eq!(room("a", Some("x=next=2")).as_deref(), Ok("matchbox::a"));
        for query in ["next=", "next=0", "next=33", "next=+2", "next=two", "next=-1", "next=99999999999999999999"] {
            assert_eq!(room("a", Some(query)), Err(InvalidRoom::Next { most: 32 }), "{query}");
        }
    }

    #[test]
    fn no_two_names_are_one_room_and_no_other_dialect_can_say_one() {
        let ids = [("a", None), ("2:a", None), (":a", None), ("a", Some("next=2")), ("2:a", Some("next=2"))];
        let ids = ids.map(|(part, query)| room(part, query).expect("a room"));
        assert_eq!(std::collections::BTreeSet::from(ids).len(), 5);
        assert!("matchbox::a".parse::<RoomId>().is_err());
    }

    proptest! {
        #[test]
        fn any_url_names_a_room_or_is_refused(part: String, query: Option<String>) {
            if let Ok(wanted) = Wanted::parse(&part, query.as_deref(), 32) {
                prop_assert!(wanted.room.as_str().len() <= "matchbox:32:".len() + NAME_BYTES);
            }
        }
    }
}
