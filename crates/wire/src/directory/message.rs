//! What the directory says to a connection.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::{InvalidName, Name};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The name is the connection's.
    Held {
        /// Which.
        name: Name,
    },
    /// A request could not be done.
    Refused(Refusal),
    /// Relayed, in the dialect's own form.
    Text(Text),
    /// Nobody holds the name, so the text comes back.
    Absent {
        /// For whom it was.
        to: Box<str>,
        /// The name that it was sent under.
        from: Option<Name>,
        /// The text as it was given.
        text: Text,
    },
    /// Nobody claimed the name in time, or too much waits for it; said once for all that waited from `from` for `to`.
    Expired {
        /// For whom it was.
        to: Box<str>,
        /// The name that it was sent under.
        from: Option<Name>,
    },
    /// Names that others hold in the connection's namespace.
    Known(Arc<[Name]>),
}

/// Why a request could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody else holds it, and lives.
    #[error("The name {name} is taken.")]
    NameTaken {
        /// Which.
        name: Name,
    },
    /// The connection holds as many names as a connection may, or waits for one already.
    #[error("This connection may hold {limit} names here and no more; release one first.")]
    TooManyNames {
        /// The limit.
        limit: usize,
    },
    /// As many connections hold the name as may.
    #[error("The name {name} is held by {limit} connections and can be held by no more; try again later.")]
    TooManyHolders {
        /// Which.
        name: Name,
        /// The limit.
        limit: usize,
    },
    /// The directory holds as many names as it may.
    #[error("The server holds {limit} names of this kind and can take no more; try again later.")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// The sender of a text does not hold the name that it is sent under.
    #[error("This text is sent under a name that the sender does not hold; claim it first.")]
    NotYours,
    /// The request could not be read.
    #[error(transparent)]
    Malformed(Malformed),
}

/// A request that could not be read, with the sentence that says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub Cow<'static, str>);

impl From<InvalidName> for Malformed {
    fn from(error: InvalidName) -> Self {
        Self(match error {
            InvalidName::Empty => Cow::Borrowed("A name has at least one character."),
            InvalidName::TooLong => Cow::Owned(format!("A name has at most {} bytes.", super::NAME_BYTES)),
        })
    }
}

/// A relayed text; shared between its receivers, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Arc<[u8]>);

impl From<Cow<'_, [u8]>> for Text {
    fn from(text: Cow<'_, [u8]>) -> Self {
        Self(match text {
            Cow::Borrowed(bytes) => bytes.into(),
            Cow::Owned(bytes) => bytes.into(),
        })
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}
