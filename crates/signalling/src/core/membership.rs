//! Rooms: who enters, who leaves, and who is told.

use rand::Rng as _;
use switchboard_wire::rooms::{Dialect, ErrorCode, IfMissing, LeaveReason, Member, Reference, ServerMessage};
use switchboard_wire::{Instant, PeerId, PeerName, RoomId};

use super::event::Event;
use super::ice::IceGrant;
use super::peer::Link;
use super::{AddressKey, ConnId, Core, Output, Room, Timer};

/// Which room somebody entered, and whether it was made for that.
pub(super) type Entered = Result<(RoomId, bool), NoEntry>;

/// Why somebody cannot enter.
pub(super) struct NoEntry {
    code: ErrorCode,
    message: String,
}

impl Core {
    pub(super) fn answer_join(
        &mut self,
        conn: ConnId,
        id: PeerId,
        entered: Entered,
        reference: Option<Reference>,
        now: Instant,
    ) {
        let Some(dialect) = self.peers.get(&id).map(|peer| peer.dialect) else { return };
        match entered {
            Ok((room, created)) => {
                self.stats.joined_total[dialect] += 1;
                let members = self.others(&room, id);
                let IceGrant { servers, lifetime } = self.grant_ice(conn, id, Some(&room));
                self.plan_renewal(id, lifetime, now);
                let joined =
                    ServerMessage::Joined { room, created, members, ice_servers: servers, ice_lifetime: lifetime };
                self.send(conn, joined, reference);
            }
            Err(NoEntry { code, message }) => {
                self.stats.join_refused_total[dialect] += 1;
                self.refuse(conn, code, message, reference);
            }
        }
    }

    /// Finds or makes the room and puts the peer into it; says whether it was made.
    pub(super) fn enter(
        &mut self,
        id: PeerId,
        from: AddressKey,
        wanted: Option<RoomId>,
        if_missing: IfMissing,
    ) -> Entered {
        // As it is known already: ids of the same room that are clones of each other are compared for each message.
        let existing = wanted.as_ref().and_then(|room| self.rooms.get_key_value(room));
        if let Some(room) = existing.map(|(room, _)| room.clone()) {
            self.enter_existing(id, &room)?;
            return Ok((room, false));
        }
        let room = match (wanted, if_missing) {
            (Some(room), IfMissing::Create) => room,
            (None, _) | (Some(_), IfMissing::New) => self.fresh_room_id(),
            (Some(room), IfMissing::Refuse) => {
                let message = format!("There is no room {room}; whoever made it has left.");
                return Err(NoEntry { code: ErrorCode::RoomNotFound, message });
            }
        };
        self.open_room(id, from, &room)?;
        Ok((room, true))
    }

    /// Makes a room with its first member, who came `from` there.
    pub(super) fn open_room(&mut self, id: PeerId, from: AddressKey, room: &RoomId) -> Result<(), NoEntry> {
        self.check_rooms_of(id)?;
        if self.rooms.len() >= self.config.rooms {
            let message =
                format!("The server holds {} rooms and can take no more; try again later.", self.config.rooms);
            return Err(NoEntry { code: ErrorCode::ServerFull, message });
        }
        let limit = self.config.rooms_per_address;
        if !self.addresses.charge_room(from, limit) {
            let message = format!(
                "Too many rooms were made from your address (the limit is {limit}); leave some, or try again later."
            );
            return Err(NoEntry { code: ErrorCode::AddressFull, message });
        }
        self.rooms.insert(room.clone(), Room { charged: from, members: vec![id], gathers: None });
        self.note_room(id, room);
        Ok(())
    }

    pub(super) fn enter_existing(&mut self, id: PeerId, room: &RoomId) -> Result<(), NoEntry> {
        let Some(members) = self.rooms.get(room).map(|room| &room.members) else { return Ok(()) };
        if members.contains(&id) {
            self.announce_again(id, room);
            return Ok(());
        }
        let limit = self.config.room_members;
        if members.len() >= limit {
            let message =
                format!("The room {room} is full: it has {limit} members; ask somebody to leave, or open another.");
            return Err(NoEntry { code: ErrorCode::RoomFull, message });
        }
        self.check_rooms_of(id)?;
        let Some(peer) = self.peers.get(&id).map(|peer| peer.as_member(id)) else { return Ok(()) };
        self.tell_others(room, id, &ServerMessage::PeerJoined { room: room.clone(), peer });
        if let Some(room) = self.rooms.get_mut(room) {
            room.members.push(id);
        }
        self.note_room(id, room);
        Ok(())
    }

    fn check_rooms_of(&self, id: PeerId) -> Result<(), NoEntry> {
        let limit = self.config.rooms_per_peer;
        let held = self.peers.get(&id).map_or(0, |peer| peer.rooms.len());
        if held < limit {
            return Ok(());
        }
        let message = format!("You are in {held} rooms, and {limit} is the limit; leave one first.");
        Err(NoEntry { code: ErrorCode::TooManyRooms, message })
    }

    fn note_room(&mut self, id: PeerId, room: &RoomId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.rooms.push(room.clone());
            let dialect = peer.dialect;
            self.tell_host(|| Event::Joined { peer: id, room: room.clone(), dialect });
        }
    }

    /// The rooms sample announces a user that joins twice once more, and its members take that as the wish to connect
    /// anew; members that speak the rooms protocol hear of everybody once.
    fn announce_again(&mut self, id: PeerId, room: &RoomId) {
        let Some(peer) = self.peers.get(&id) else { return };
        if peer.dialect != Dialect::SocketIo {
            return;
        }
        let message = ServerMessage::PeerJoined { room: room.clone(), peer: peer.as_member(id) };
        self.tell(room, |member, dialect| member != id && dialect == Dialect::SocketIo, &message);
    }

    fn fresh_room_id(&mut self) -> RoomId {
        loop {
            let room = RoomId::from_random(self.rng.random());
            if !self.rooms.contains_key(&room) {
                return room;
            }
        }
    }

    pub(super) fn leave(&mut self, conn: ConnId, id: PeerId, room: &RoomId, reference: Option<Reference>) {
        let held = self.peers.get_mut(&id).and_then(|peer| {
            let at = peer.rooms.iter().position(|held| held == room)?;
            Some(peer.rooms.remove(at))
        });
        match held {
            Some(room) => {
                self.vacate(id, &room, LeaveReason::Left);
                self.send(conn, ServerMessage::Left { room }, reference);
            }
            None => {
                let message = format!("You are not in the room {room}.");
                self.refuse(conn, ErrorCode::NotInRoom, message, reference);
            }
        }
    }

    /// Forgets the peer and tells everybody who knew it, once.
    pub(super) fn depart(&mut self, id: PeerId, reason: LeaveReason) {
        self.cancel_renewal(id);
        let Some(peer) = self.peers.remove(&id) else { return };
        self.stats.count_departure(reason);
        if let Link::Away(away) = &peer.link {
            self.timers.unset(away.until, Timer::Grace(id));
        }
        for room in &peer.rooms {
            self.vacate(id, room, reason);
        }
    }

    /// Takes the peer out of the room, and the room away with its last member.
    fn vacate(&mut self, id: PeerId, room: &RoomId, reason: LeaveReason) {
        let Some(held) = self.rooms.get_mut(room) else { return };
        held.members.retain(|member| *member != id);
        let now_empty = held.members.is_empty();
        self.tell_host(|| Event::Left { peer: id, room: room.clone(), reason });
        if now_empty {
            self.close_room(room);
        } else {
            self.tell_others(room, id, &ServerMessage::PeerLeft { room: room.clone(), id, reason });
        }
    }

    pub(super) fn rename(&mut self, conn: ConnId, id: PeerId, name: PeerName, reference: Option<Reference>) {
        self.send(conn, ServerMessage::Renamed { name: name.clone() }, reference);
        self.rename_peer(id, name);
    }

    pub(super) fn rename_peer(&mut self, id: PeerId, name: PeerName) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.name == name {
            return;
        }
        peer.name = name.clone();
        for room in peer.rooms.clone() {
            let message = ServerMessage::PeerRenamed { room: room.clone(), id, name: name.clone() };
            self.tell_others(&room, id, &message);
        }
    }

    /// The members of a room without `id`.
    pub(super) fn others(&self, room: &RoomId, id: PeerId) -> Vec<Member> {
        let Some(room) = self.rooms.get(room) else { return Vec::new() };
        let others = room.members.iter().filter(|member| **member != id);
        others.filter_map(|member| Some(self.peers.get(member)?.as_member(*member))).collect()
    }

    pub(super) fn tell_others(&mut self, room: &RoomId, id: PeerId, message: &ServerMessage) {
        self.tell(room, |member, _| member != id, message);
    }

    /// Tells those members that are connected and `wanted`; who is away learns the state of its rooms when it returns.
    fn tell(&mut self, room: &RoomId, wanted: impl Fn(PeerId, Dialect) -> bool, message: &ServerMessage) {
        let Some(room) = self.rooms.get(room) else { return };
        for member in &room.members {
            let Some(peer) = self.peers.get(member) else { continue };
            if let Link::Connected(conn) = peer.link
                && wanted(*member, peer.dialect)
            {
                self.outputs.push_back(Output::Message { conn, message: message.clone(), reference: None });
            }
        }
    }
}
