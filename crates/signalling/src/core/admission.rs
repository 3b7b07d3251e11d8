//! Who is let in: the limits on connections, and clients that come back before their lost connection is known to be lost.
//!
//! Such a client needs no new place, for the old connection ends as soon as the new one claims its name. So where there is no place,
//! the new connection gets that of the old one, which stays until then without one.

use switchboard_wire::Instant;
use switchboard_wire::directory::{Name, Namespace, Secret};
use switchboard_wire::rooms::{Dialect, GoodbyeCode};

use super::address::AddressKey;
use super::directory::Holding;
use super::pace::Meter;
use super::{Caller, ConnId, Connection, Core, OwnKeys, Refusal, Standing, Timer};

/// The places on the server.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: usize,
    /// Connections that came in the place of another which may be there still: at most one for each that is.
    instead_of: OwnKeys<ConnId, ConnId>,
}

/// The name that a client comes for, and what it shows for it.
#[derive(Clone, Copy, Debug)]
pub struct Returning<'a> {
    /// Where the name is.
    pub namespace: Namespace,
    /// The name.
    pub name: &'a Name,
    /// What it was claimed with.
    pub secret: &'a Secret,
}

impl Core {
    /// Admits a connection, or says why not.
    ///
    /// # Errors
    /// The limits on connections, per address (IPv6 by /64) and in all, and the drain.
    pub fn handle_connect(
        &mut self,
        from: impl Into<Caller>,
        dialect: Dialect,
        now: Instant,
    ) -> Result<ConnId, Refusal> {
        let from = from.into();
        let admitted = self.take_place(from.address.key());
        self.receive(from, dialect, admitted, now)
    }

    /// Admits a connection that comes for a name, in the place of the one that holds it with the same secret if there is no other.
    /// When it has claimed the name, [`Self::handle_return`] must be called.
    ///
    /// # Errors
    /// As [`Self::handle_connect`]; where an address has no place left, those of other addresses do not help.
    pub fn handle_reconnect(
        &mut self,
        from: impl Into<Caller>,
        dialect: Dialect,
        returning: Returning<'_>,
        now: Instant,
    ) -> Result<ConnId, Refusal> {
        let from = from.into();
        let address = from.address.key();
        let mut replaced = None;
        let admitted = self.take_place(address).or_else(|refusal| {
            let Returning { namespace, name, secret } = returning;
            replaced = self.holder(namespace, name.as_str(), secret);
            replaced.ok_or(refusal).and_then(|old| self.take_place_of(old, address, refusal, now))
        });
        let conn = self.receive(from, dialect, admitted, now)?;
        if let Some(old) = replaced {
            self.places.instead_of.insert(conn, old);
        }
        Ok(conn)
    }

    /// Takes note that a connection which came back has claimed its name: the one whose place it has is over, even if it gave
    /// up the name meanwhile.
    pub fn handle_return(&mut self, conn: ConnId) {
        if let Some(old) = self.places.instead_of.remove(&conn) {
            self.dismiss(old, GoodbyeCode::TakenOver, None);
        }
    }

    fn receive(
        &mut self,
        from: Caller,
        dialect: Dialect,
        admitted: Result<(), Refusal>,
        now: Instant,
    ) -> Result<ConnId, Refusal> {
        if let Err(refusal) = admitted {
            self.stats.count_refusal(refusal);
            return Err(refusal);
        }
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let deadline = now + self.config.greeting_timeout(dialect);
        self.timers.set(deadline, Timer::Greeting(conn));
        let connection = Connection {
            address: from.address.key(),
            counted: true,
            host: from.host,
            dialect,
            meter: Meter::default(),
            slow_until: None,
            state: Standing::Expected { deadline },
            holding: Holding::default(),
        };
        self.connections.insert(conn, connection);
        self.stats.connections[dialect] += 1;
        self.stats.connected_total[dialect] += 1;
        Ok(conn)
    }

    fn take_place(&mut self, address: AddressKey) -> Result<(), Refusal> {
        if self.draining {
            return Err(Refusal::Draining);
        }
        let limit = self.config.connections;
        if self.places.taken >= limit as usize {
            return Err(Refusal::ServerFull { limit });
        }
        let limit = self.config.connections_per_address;
        if !self.addresses.admit(address, limit) {
            return Err(Refusal::AddressFull { limit });
        }
        self.places.taken += 1;
        Ok(())
    }

    /// Passes the place of `old` on, unless somebody has it already or it is of no use here.
    fn take_place_of(
        &mut self,
        old: ConnId,
        address: AddressKey,
        refusal: Refusal,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Some(connection) = self.connections.get_mut(&old).filter(|connection| connection.counted) else {
            return Err(refusal);
        };
        connection.counted = false;
        let from = connection.address;
        self.places.taken -= 1;
        self.addresses.release(from, Some(now), &mut self.timers);
        let taken = self.take_place(address);
        if taken.is_err() {
            self.give_place_back(old);
        }
        taken
    }

    /// Counts a connection again whose place is free. It is admitted already, so that nothing can refuse it.
    fn give_place_back(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.counted = true;
        self.places.taken += 1;
        self.addresses.admit(connection.address, u32::MAX);
    }

    /// Frees the place of a connection that was just removed, or leaves it to the one that it had it from.
    pub(super) fn release_place(&mut self, conn: ConnId, connection: &Connection, now: Option<Instant>) {
        if connection.counted {
            self.places.taken -= 1;
            self.addresses.release(connection.address, now, &mut self.timers);
        }
        if let Some(old) = self.places.instead_of.remove(&conn) {
            self.give_place_back(old);
        }
    }
}
