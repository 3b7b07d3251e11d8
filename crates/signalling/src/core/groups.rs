//! Groups: the first so many who come are one room, then the next begins.
//!
//! Only who is there counts: a member that leaves before the group is complete makes room for another, one that leaves later does
//! not, for those who are left may be playing already.

use rand::Rng as _;
use switchboard_wire::{PeerId, RoomId};

use super::membership::Entered;
use super::{AddressKey, Core};

impl Core {
    /// Puts the peer into the group that gathers under `base`, or begins one. No group is larger than a room may be.
    pub(super) fn enter_group(&mut self, id: PeerId, from: AddressKey, base: RoomId, size: usize) -> Entered {
        let (room, created) = match self.gathering.get(&base).cloned() {
            Some(room) => {
                self.enter_existing(id, &room)?;
                (room, false)
            }
            None => {
                let room = self.fresh_group_id(&base);
                self.open_room(id, from, &room)?;
                self.gathering.insert(base.clone(), room.clone());
                (room, true)
            }
        };
        let size = size.min(self.config.room_members);
        if let Some(held) = self.rooms.get_mut(&room) {
            if held.members.len() >= size {
                held.gathers = None;
                self.gathering.remove(&base);
            } else {
                held.gathers = Some(base);
            }
        }
        Ok((room, created))
    }

    fn fresh_group_id(&mut self, base: &RoomId) -> RoomId {
        loop {
            let room = base.to_group(self.rng.random());
            if !self.rooms.contains_key(&room) {
                return room;
            }
        }
    }

    /// Forgets a room without members, and that it gathered some.
    pub(super) fn close_room(&mut self, room: &RoomId) {
        let Some(room) = self.rooms.remove(room) else { return };
        self.addresses.release_room(room.charged, &mut self.timers);
        if let Some(base) = room.gathers {
            self.gathering.remove(&base);
        }
    }
}
