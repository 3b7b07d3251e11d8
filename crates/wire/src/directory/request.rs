//! What a connection asks of the directory.

use std::borrow::Cow;
use std::fmt;

use super::{Name, Namespace, Secret};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// To hold a name; answered by `Held` or `Refused`, at once or when it is known whether the holder lives.
    Claim {
        /// Where.
        namespace: Namespace,
        /// Which.
        name: Name,
        /// On what terms.
        claim: Claim,
    },
    /// To give a name up; not answered.
    Release {
        /// Where.
        namespace: Namespace,
        /// Which; all that the connection holds there if none is given.
        name: Option<Name>,
    },
    /// To pass a text on.
    Send(Send<'a>),
    /// To show that the client lives; changes nothing else and is not answered.
    Alive,
}

/// On what terms a name is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// By one connection alone; whoever shows the same secret takes it over.
    Exclusive {
        /// What the client has to show to take it over.
        secret: Secret,
    },
    /// By as many as come.
    Shared,
}

/// A text for those who hold a name.
#[derive(Clone, PartialEq, Eq)]
pub struct Send<'a> {
    /// Where the names are.
    pub namespace: Namespace,
    /// The name that it is sent under, which the sender must hold. Only topics need none.
    pub from: Option<Name>,
    /// For whom; need not be a valid name.
    pub to: Cow<'a, str>,
    /// In the form in which the receiver gets it, without framing.
    pub text: Cow<'a, [u8]>,
    /// Which of the holders get it.
    pub recipients: Recipients,
    /// What happens if there are none.
    pub absent: Absent,
}

impl fmt::Debug for Send<'_> {
    /// Leaves the text out: it is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Send");
        debug.field("namespace", &self.namespace).field("from", &self.from).field("to", &self.to);
        debug.field("bytes", &self.text.len()).field("recipients", &self.recipients).field("absent", &self.absent);
        debug.finish()
    }
}

/// Which holders of a name get a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// The one that claimed it last.
    Latest,
    /// All of them, the sender too if it is one.
    All,
}

/// What becomes of a text for a name that nobody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It is dropped.
    Drop,
    /// It goes back to the sender as `Absent`.
    Tell,
    /// It waits for somebody to claim the name, and the sender hears `Expired` if nobody does in time.
    Wait,
}
