//! `hello` and `welcome`: new peers, peers that come back, and the place that is held for them meanwhile.

use std::collections::VecDeque;

use rand::Rng as _;
use switchboard_wire::rooms::{
    Dialect, ErrorCode, GoodbyeCode, Reference, RoomSnapshot, ServerMessage, VERSION, Welcome,
};
use switchboard_wire::{Instant, PeerId, PeerKey, PeerName, RoomId};

use super::ice::IceGrant;
use super::peer::{Away, Link, Peer, ResumeTicket, Rooms, Token};
use super::{ConnId, Core, LeaveReason, Output, Standing, Timer};

/// A `hello` that is being answered.
pub(super) struct Hello {
    /// Where it came in.
    pub(super) conn: ConnId,
    /// By when it had to come.
    pub(super) deadline: Instant,
    /// What its answer has to carry.
    pub(super) reference: Option<Reference>,
    /// When it came.
    pub(super) now: Instant,
}

impl Core {
    pub(super) fn greet(&mut self, hello: Hello, name: Option<PeerName>, resume: Option<&str>) {
        let ticket = match resume.map(ResumeTicket::parse) {
            None => None,
            Some(Some(ticket)) => Some(ticket),
            Some(None) => {
                let message = "This is no resume token of a switchboard; say hello without it.";
                return self.refuse(hello.conn, ErrorCode::ResumeRefused, message, hello.reference);
            }
        };
        let key = match ticket {
            Some(ticket) => ticket.key,
            None => PeerKey::from_random(self.rng.random()),
        };
        let id = key.peer_id();
        match (self.peers.get(&id), ticket) {
            (None, _) => self.admit_peer(hello, id, key, name.unwrap_or_default()),
            (Some(peer), Some(ticket)) if peer.accepts(ticket.token) => {
                self.resume_peer(hello, id, ticket);
                if let Some(name) = name {
                    self.rename_peer(id, name);
                }
            }
            (Some(_), _) => {
                let message = "This resume token was used before; say hello without it to be a new peer.";
                self.refuse(hello.conn, ErrorCode::ResumeRefused, message, hello.reference);
            }
        }
    }

    fn admit_peer(&mut self, hello: Hello, id: PeerId, key: PeerKey, name: PeerName) {
        let Some(dialect) = self.attach(&hello, id, false) else { return };
        let token = Token::random(&mut self.rng);
        let link = Link::Connected(hello.conn);
        let peer = Peer { name, dialect, rooms: Rooms::new(), token, previous_token: None, link, renewal: None };
        self.peers.insert(id, peer);
        self.welcome(hello, id, ResumeTicket { key, token }, None);
    }

    fn resume_peer(&mut self, hello: Hello, id: PeerId, shown: ResumeTicket) {
        let Some(dialect) = self.attach(&hello, id, true) else { return };
        let conn = hello.conn;
        let token = Token::random(&mut self.rng);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.dialect = dialect;
        peer.previous_token = Some(shown.token);
        peer.token = token;
        let before = std::mem::replace(&mut peer.link, Link::Connected(conn));
        let rooms = peer.rooms.clone();
        self.stats.resumed_total += 1;

        let snapshots = self.snapshots(&hello, id, &rooms);
        self.welcome(hello, id, ResumeTicket { key: shown.key, token }, Some(snapshots));
        match before {
            Link::Connected(old) => self.dismiss(old, GoodbyeCode::TakenOver, None),
            Link::Away(away) => {
                self.timers.unset(away.until, Timer::Grace(id));
                for signal in away.waiting {
                    // Who has left since then has nothing to negotiate any more.
                    if self.share_room(signal.from, id) {
                        self.send(conn, ServerMessage::Signal(signal), None);
                    }
                }
                for room in rooms {
                    self.tell_others(&room.clone(), id, &ServerMessage::PeerBack { room, id });
                }
            }
        }
    }

    /// Makes the connection speak for the peer.
    fn attach(&mut self, hello: &Hello, peer: PeerId, unconfirmed: bool) -> Option<Dialect> {
        let connection = self.connections.get_mut(&hello.conn)?;
        connection.state = Standing::Greeted { peer, unconfirmed };
        self.timers.unset(hello.deadline, Timer::Greeting(hello.conn));
        Some(connection.dialect)
    }

    /// The rooms of a peer that is back, with credentials that last as if it had just come.
    fn snapshots(&mut self, hello: &Hello, id: PeerId, rooms: &[RoomId]) -> Vec<RoomSnapshot> {
        self.cancel_renewal(id);
        let snapshot = |room: &RoomId| {
            let IceGrant { servers, lifetime } = self.grant_ice(hello.conn, id, Some(room));
            self.plan_renewal(id, lifetime, hello.now);
            let members = self.others(room, id);
            RoomSnapshot { room: room.clone(), members, ice_servers: servers, ice_lifetime: lifetime }
        };
        rooms.iter().map(snapshot).collect()
    }

    fn welcome(&mut self, hello: Hello, id: PeerId, ticket: ResumeTicket, rooms: Option<Vec<RoomSnapshot>>) {
        let IceGrant { servers, lifetime } = self.grant_ice(hello.conn, id, None);
        let welcome = Welcome {
            v: VERSION,
            id,
            resume: ticket.to_text(),
            resumed: rooms.is_some(),
            rooms: rooms.unwrap_or_default(),
            ice_servers: servers,
            ice_lifetime: lifetime,
            limits: self.config.told_limits(),
            server: self.config.server.clone(),
        };
        let message = ServerMessage::Welcome(Box::new(welcome));
        self.outputs.push_back(Output::Message { conn: hello.conn, message, reference: hello.reference });
    }

    /// Keeps the place of a peer whose socket is lost; one that is in no room has none to keep.
    pub(super) fn hold_place(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.rooms.is_empty() || self.config.grace.is_zero() {
            return self.depart(id, LeaveReason::Lost);
        }
        let until = now + self.config.grace;
        peer.link = Link::Away(Box::new(Away { until, waiting: VecDeque::new(), waiting_bytes: 0 }));
        let rooms = peer.rooms.clone();
        self.timers.set(until, Timer::Grace(id));
        for room in rooms {
            self.tell_others(&room.clone(), id, &ServerMessage::PeerAway { room, id });
        }
    }
}
