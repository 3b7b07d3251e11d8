//! The peers of one allocation: who may send to it, and which of them have a channel (RFC 8656 §9, §12).
//!
//! Nothing here has a timer: what has expired is no longer found, and makes room when room is needed.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// RFC 8656 §9.
pub(super) const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);

/// RFC 8656 §12.
pub(super) const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// For so long after its end a channel number means the same peer or none, so that late data reaches nobody else
/// (RFC 8656 §12).
pub(super) const CHANNEL_COOL_DOWN: Duration = Duration::from_secs(300);

/// Addresses that one allocation may admit at a time. A page asks for one per remote candidate; a hundred peers behind one
/// allocation are more than any known client has.
pub(super) const MAX_PERMISSIONS: usize = 256;

/// Channels of one allocation, those that cool down included.
pub(super) const MAX_CHANNELS: usize = 128;

/// There is no room for more: 508.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Full;

/// Why a channel is not bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unbound {
    /// The number means another peer, or the peer has another number: 400.
    Conflict,
    /// 508.
    Full,
}

/// How a peer is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Way {
    /// It has an address that this server opens relays on: who has its port is asked for every packet.
    pub(super) own: bool,
    /// The policy lets packets go to it through a socket.
    pub(super) direct: bool,
}

/// How a peer's packet gets to the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    /// As ChannelData.
    Channel {
        /// The number.
        number: u16,
        /// How the peer is reached.
        way: Way,
    },
    /// In a Data indication.
    Indication,
    /// Not at all.
    Denied,
}

#[derive(Clone, Copy, Debug)]
struct Permission {
    ip: IpAddr,
    expires: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    peer: SocketAddr,
    expires: Instant,
    /// When the permission for the peer's address ends; kept here too, so that one look-up is enough for a packet.
    permitted: Instant,
    number: u16,
    way: Way,
}

/// The peers of one allocation.
#[derive(Debug, Default)]
pub(super) struct Peers {
    permissions: Vec<Permission>,
    /// In the order of their numbers.
    channels: Vec<Channel>,
    /// The channel that the last packet of a peer went to: likely that of the next one.
    recent: usize,
}

impl Peers {
    /// Admits all of these addresses for five minutes, or none where there is no room.
    pub(super) fn permit(&mut self, ips: &[IpAddr], now: Instant) -> Result<(), Full> {
        self.permissions.retain(|permission| permission.expires > now);
        let expires = now + PERMISSION_LIFETIME;
        let before = self.permissions.len();
        for ip in ips {
            if self.permissions.iter().any(|permission| permission.ip == *ip) {
                continue;
            }
            if self.permissions.len() == MAX_PERMISSIONS {
                self.permissions.truncate(before);
                return Err(Full);
            }
            self.permissions.push(Permission { ip: *ip, expires });
        }
        for permission in self.permissions.iter_mut().filter(|permission| ips.contains(&permission.ip)) {
            permission.expires = expires;
        }
        for channel in self.channels.iter_mut().filter(|channel| ips.contains(&channel.peer.ip())) {
            channel.permitted = expires;
        }
        Ok(())
    }

    /// Whether packets of this address are admitted.
    pub(super) fn is_permitted(&self, ip: IpAddr, now: Instant) -> bool {
        self.permissions.iter().any(|permission| permission.ip == ip && permission.expires > now)
    }

    /// Binds or refreshes a channel, and admits its peer.
    pub(super) fn bind(&mut self, number: u16, peer: SocketAddr, way: Way, now: Instant) -> Result<(), Unbound> {
        self.channels.retain(|channel| channel.expires + CHANNEL_COOL_DOWN > now);
        self.recent = 0;
        let conflict = |channel: &&Channel| (channel.number == number) != (channel.peer == peer);
        if self.channels.iter().any(|channel| conflict(&channel)) {
            return Err(Unbound::Conflict);
        }
        let (expires, permitted) = (now + CHANNEL_LIFETIME, now + PERMISSION_LIFETIME);
        let place = self.channels.binary_search_by_key(&number, |channel| channel.number);
        if place.is_err() && self.channels.len() >= MAX_CHANNELS {
            return Err(Unbound::Full);
        }
        self.permit(&[peer.ip()], now).map_err(|Full| Unbound::Full)?;
        match place {
            // The policy may have learnt of other own addresses since.
            Ok(at) => (self.channels[at].expires, self.channels[at].way) = (expires, way),
            Err(at) => self.channels.insert(at, Channel { peer, expires, permitted, number, way }),
        }
        Ok(())
    }

    /// The peer that a number means, and how it is reached.
    #[inline]
    pub(super) fn peer_of(&self, number: u16, now: Instant) -> Option<(SocketAddr, Way)> {
        let at = self.channels.binary_search_by_key(&number, |channel| channel.number).ok()?;
        let channel = &self.channels[at];
        (channel.expires > now).then_some((channel.peer, channel.way))
    }

    /// How a packet of this peer gets to the client.
    #[inline]
    pub(super) fn route(&mut self, peer: SocketAddr, now: Instant) -> Route {
        let recent = self.channels.get(self.recent).filter(|channel| channel.peer == peer);
        let found = recent.or_else(|| {
            let is_it = |channel: &Channel| channel.peer.port() == peer.port() && channel.peer == peer;
            self.recent = self.channels.iter().position(is_it)?;
            self.channels.get(self.recent)
        });
        match found {
            Some(channel) if channel.expires > now => {
                let route = Route::Channel { number: channel.number, way: channel.way };
                if channel.permitted > now { route } else { Route::Denied }
            }
            _ if self.is_permitted(peer.ip(), now) => Route::Indication,
            _ => Route::Denied,
        }
    }

    /// Forgets peers of a family whose relay is gone.
    pub(super) fn retain_family(&mut self, keep: impl Fn(IpAddr) -> bool) {
        self.permissions.retain(|permission| keep(permission.ip));
        self.channels.retain(|channel| keep(channel.peer.ip()));
        self.recent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAY: Way = Way { own: false, direct: true };

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([198, 51, 100, 1], port))
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_permission_holds_for_five_minutes_and_every_port() {
        let (mut peers, start) = (Peers::default(), Instant::now());
        peers.permit(&[peer(1).ip()], start).unwrap();
        assert_eq!(peers.route(peer(7), after(start, 299)), Route::Indication);
        assert_eq!(peers.route(peer(7), after(start, 300)), Route::Denied);
    }

    #[test]
    fn a_channel_holds_for_ten_minutes_but_lets_nobody_in_without_permission() {
        let (mut peers, start) = (Peers::default(), Instant::now());
        peers.bind(0x4000, peer(1), WAY, start).unwrap();
        let channel = Route::Channel { number: 0x4000, way: WAY };
        assert_eq!(peers.route(peer(1), after(start, 299)), channel);
        assert_eq!(peers.route(peer(1), after(start, 300)), Route::Denied);
        assert!(peers.peer_of(0x4000, after(start, 599)).is_some());
        assert!(peers.peer_of(0x4000, after(start, 600)).is_none());
        peers.permit(&[peer(1).ip()], after(start, 590)).unwrap();
        assert_eq!(peers.route(peer(1), after(start, 595)), channel);
        assert_eq!(peers.route(peer(1), after(start, 600)), Route::Indication);
    }

    #[test]
    fn a_number_means_one_peer_until_it_has_cooled_down() {
        let (mut peers, start) = (Peers::default(), Instant::now());
        peers.bind(0x4000, peer(1), WAY, start).unwrap();
        assert_eq!(peers.bind(0x4000, peer(2), WAY, start), Err(Unbound::Conflict));
        assert_eq!(peers.bind(0x4001, peer(1), WAY, start), Err(Unbound::Conflict));
        assert_eq!(peers.bind(0x4000, peer(2), WAY, after(start, 899)), Err(Unbound::Conflict));
        assert_eq!(peers.bind(0x4000, peer(2), WAY, after(start, 900)), Ok(()));
        assert_eq!(peers.bind(0x4000, peer(2), WAY, after(start, 1_700)), Ok(()));
    }

    #[test]
    fn there_is_room_for_so_many_and_expired_ones_make_room() {
        let (mut peers, start) = (Peers::default(), Instant::now());
        let ip = |index: usize| IpAddr::from([10, 0, (index >> 8) as u8, index as u8]);
        let all: Vec<IpAddr> = (0..MAX_PERMISSIONS).map(ip).collect();
        peers.permit(&all, start).unwrap();
        assert_eq!(peers.permit(&[ip(0), ip(MAX_PERMISSIONS)], start), Err(Full));
        assert!(!peers.is_permitted(ip(MAX_PERMISSIONS), start));
        assert_eq!(peers.permit(&[ip(MAX_PERMISSIONS)], after(start, 300)), Ok(()));

        let mut peers = Peers::default();
        for index in 0..MAX_CHANNELS as u16 {
            peers.bind(0x4000 + index, peer(index), WAY, start).unwrap();
        }
        assert_eq!(peers.bind(0x4fff, peer(999), WAY, start), Err(Unbound::Full));
        assert_eq!(peers.bind(0x4fff, peer(999), WAY, after(start, 900)), Ok(()));
    }

    #[test]
    fn many_channels_are_all_found_both_ways() {
        let (mut peers, start) = (Peers::default(), Instant::now());
        for index in (0..100).rev() {
            peers.bind(0x4000 + index, peer(1_000 + index), WAY, start).unwrap();
        }
        for index in [0, 50, 99, 50, 0] {
            assert_eq!(peers.peer_of(0x4000 + index, start), Some((peer(1_000 + index), WAY)));
            let channel = Route::Channel { number: 0x4000 + index, way: WAY };
            assert_eq!(peers.route(peer(1_000 + index), start), channel);
        }
    }
}
