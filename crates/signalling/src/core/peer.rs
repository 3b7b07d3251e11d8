//! Who is behind a connection.

use std::collections::VecDeque;

use rand::Rng;
use smallvec::SmallVec;
use switchboard_wire::rooms::{Dialect, Member, Signal};
use switchboard_wire::{Instant, PeerId, PeerKey, PeerName, RoomId};

use super::ConnId;

/// The rooms of one peer: most are in one, which is looked at for each message.
pub(super) type Rooms = SmallVec<[RoomId; 1]>;

/// One peer, connected or away.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: PeerName,
    pub(super) dialect: Dialect,
    /// In the order it joined them; at most `rooms_per_peer`.
    pub(super) rooms: Rooms,
    /// What the next resume has to show.
    pub(super) token: Token,
    /// What it showed last, until it is known to have received `token`.
    pub(super) previous_token: Option<Token>,
    pub(super) link: Link,
    /// When its credentials for ICE servers are renewed; none if it is in no room, or if they do not expire.
    pub(super) renewal: Option<Instant>,
}

/// How to reach a peer.
#[derive(Debug)]
pub(super) enum Link {
    /// By this connection.
    Connected(ConnId),
    /// Its socket is lost; its place is held.
    Away(Box<Away>),
}

/// What is kept for a peer whose socket is lost.
#[derive(Debug)]
pub(super) struct Away {
    /// When its place is given up.
    pub(super) until: Instant,
    /// What others sent it meanwhile; at most `away_messages`.
    pub(super) waiting: VecDeque<Signal>,
    /// Bytes of payload in `waiting`; at most `away_bytes`.
    pub(super) waiting_bytes: usize,
}

impl Peer {
    pub(super) fn as_member(&self, id: PeerId) -> Member {
        let away = matches!(self.link, Link::Away(_));
        Member { id, name: self.name.clone(), dialect: self.dialect, away }
    }

    /// Whether `token` is the one that the next resume has to show, in time that does not depend on where it differs.
    pub(super) fn accepts(&self, token: Token) -> bool {
        let current = self.token.equals(token);
        let previous = self.previous_token.is_some_and(|previous| previous.equals(token));
        current | previous
    }
}

/// Proves that a `hello` comes from whom the last `welcome` went to; 128 random bits, changed with each `welcome`.
#[derive(Clone, Copy)]
pub(super) struct Token(PeerKey);

impl Token {
    pub(super) fn random(rng: &mut impl Rng) -> Self {
        Self(PeerKey::from_random(rng.random()))
    }

    fn equals(self, other: Self) -> bool {
        self.0.equals(&other.0)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(***)")
    }
}

/// What a client keeps to come back: the key behind its id, and the token of the last `welcome`.
#[derive(Clone, Copy)]
pub(super) struct ResumeTicket {
    pub(super) key: PeerKey,
    pub(super) token: Token,
}

impl ResumeTicket {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (key, token) = text.split_once('.')?;
        Some(Self { key: PeerKey::from_base64(key)?, token: Token(PeerKey::from_base64(token)?) })
    }

    pub(super) fn to_text(self) -> String {
        format!("{}.{}", self.key.to_base64(), self.token.0.to_base64())
    }
}
