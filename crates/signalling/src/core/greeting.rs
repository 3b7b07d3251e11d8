//! `hello` and `welcome`: new peers, peers that come back, and the place that is held for them meanwhile.

use std::collections::VecDeque;

use rand::Rng as _;
use switchboard_wire::rooms::{ErrorCode, GoodbyeCode, Reference, RoomSnapshot, ServerMessage, VERSION, Welcome};
use switchboard_wire::{Instant, PeerId, PeerKey, PeerName};

use super::peer::{Away, Link, Peer, ResumeTicket, Token};
use super::{ConnId, Core, LeaveReason, Output, Standing, Timer};

impl Core {
    pub(super) fn greet(
        &mut self,
        conn: ConnId,
        deadline: Instant,
        name: Option<PeerName>,
        resume: Option<&str>,
        reference: Option<Reference>,
    ) {
        let ticket = match resume.map(ResumeTicket::parse) {
            None => None,
            Some(Some(ticket)) => Some(ticket),
            Some(None) => {
                let message = "This is no resume token of a switchboard; say hello without it.";
                return self.refuse(conn, ErrorCode::ResumeRefused, message, reference);
            }
        };
        let key = match ticket {
            Some(ticket) => ticket.key,
            None => PeerKey::from_random(self.rng.random()),
        };
        let id = key.peer_id();
        match (self.peers.get(&id), ticket) {
            (None, _) => self.admit_peer(conn, deadline, id, key, name.unwrap_or_default(), reference),
            (Some(peer), Some(ticket)) if peer.accepts(ticket.token) => {
                self.resume_peer(conn, deadline, id, ticket, reference);
                if let Some(name) = name {
                    self.rename_peer(id, name);
                }
            }
            (Some(_), _) => {
                let message = "This resume token was used before; say hello without it to be a new peer.";
                self.refuse(conn, ErrorCode::ResumeRefused, message, reference);
            }
        }
    }

    fn admit_peer(
        &mut self,
        conn: ConnId,
        deadline: Instant,
        id: PeerId,
        key: PeerKey,
        name: PeerName,
        reference: Option<Reference>,
    ) {
        let Some(dialect) = self.attach(conn, deadline, id, false) else { return };
        let token = Token::random(&mut self.rng);
        let link = Link::Connected(conn);
        self.peers.insert(id, Peer { name, dialect, rooms: Vec::new(), token, previous_token: None, link });
        self.welcome(conn, id, ResumeTicket { key, token }, None, reference);
    }

    fn resume_peer(
        &mut self,
        conn: ConnId,
        deadline: Instant,
        id: PeerId,
        shown: ResumeTicket,
        reference: Option<Reference>,
    ) {
        let Some(dialect) = self.attach(conn, deadline, id, true) else { return };
        let token = Token::random(&mut self.rng);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.dialect = dialect;
        peer.previous_token = Some(shown.token);
        peer.token = token;
        let before = std::mem::replace(&mut peer.link, Link::Connected(conn));
        let rooms = peer.rooms.clone();
        self.stats.resumed_total += 1;

        let snapshots =
            rooms.iter().map(|room| RoomSnapshot { room: room.clone(), members: self.others(room, id) }).collect();
        self.welcome(conn, id, ResumeTicket { key: shown.key, token }, Some(snapshots), reference);
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
    fn attach(
        &mut self,
        conn: ConnId,
        deadline: Instant,
        peer: PeerId,
        unconfirmed: bool,
    ) -> Option<switchboard_wire::rooms::Dialect> {
        let connection = self.connections.get_mut(&conn)?;
        connection.state = Standing::Greeted { peer, unconfirmed };
        self.timers.unset(deadline, Timer::Greeting(conn));
        Some(connection.dialect)
    }

    fn welcome(
        &mut self,
        conn: ConnId,
        id: PeerId,
        ticket: ResumeTicket,
        rooms: Option<Vec<RoomSnapshot>>,
        reference: Option<Reference>,
    ) {
        let welcome = Welcome {
            v: VERSION,
            id,
            resume: ticket.to_text(),
            resumed: rooms.is_some(),
            rooms: rooms.unwrap_or_default(),
            ice_servers: self.config.ice_servers.clone(),
            limits: self.config.told_limits(),
            server: self.config.server.clone(),
        };
        let message = ServerMessage::Welcome(Box::new(welcome));
        self.outputs.push_back(Output::Message { conn, message, reference });
    }

    /// Keeps the place of a peer whose socket is lost; one that is in no room has none to keep.
    pub(super) fn hold_place(&mut self, id: PeerId, now: Instant) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.rooms.is_empty() || self.config.grace.is_zero() {
            return self.depart(id, LeaveReason::Lost);
        }
        let until = now + self.config.grace;
        peer.link = Link::Away(Away { until, waiting: VecDeque::new(), waiting_bytes: 0 });
        let rooms = peer.rooms.clone();
        self.timers.set(until, Timer::Grace(id));
        for room in rooms {
            self.tell_others(&room.clone(), id, &ServerMessage::PeerAway { room, id });
        }
    }
}
