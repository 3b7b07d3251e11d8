//! What a client makes of the answer to a request.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::login::Signature;
use super::request::Ask;
use super::{Allocated, Binding, Event, Pending, RequestError, Transport, TurnClient};
use crate::message::{Class, Family, Message, known};
use crate::nat;

/// How often one request is repeated with a new nonce. Twice covers a nonce that grows old between two requests.
const RENEWALS: u8 = 3;

/// ALTERNATE-SERVER (RFC 8489 §14.15): only clients understand it.
const ALTERNATE_SERVER: u16 = 0x8023;

impl TurnClient {
    pub(super) fn handle_answer(&mut self, from: SocketAddr, message: &Message<'_>, now: Instant) {
        let transaction = message.transaction();
        let is_ours =
            |pending: &Pending| pending.transaction == transaction && pending.ask.method() == message.method();
        let Some(index) = self.pending.iter().position(is_ours) else { return };
        if !self.is_genuine(index, message) {
            return;
        }
        let pending = self.pending.remove(index);
        match message.class() {
            Class::Error => self.handle_error(pending, message, now),
            Class::Success => {
                let request = pending.id;
                let event = self.success(&pending, from, message);
                self.events.push_back(event.unwrap_or_else(|error| Event::Failed { request, error }));
            }
            Class::Request | Class::Indication => {}
        }
    }

    /// Whether an answer counts (RFC 8489 §9.2.5). One with a wrong signature is as good as none over UDP, where another may
    /// follow; over a stream, it is the end of the request.
    fn is_genuine(&mut self, index: usize, message: &Message<'_>) -> bool {
        let pending = &mut self.pending[index];
        if !pending.signed {
            return true;
        }
        let genuine = match (self.session.check(message), message.class()) {
            (Signature::Right, _) => true,
            // A server that does not know the key cannot sign that it does not.
            (Signature::Missing, Class::Error) => true,
            (Signature::Missing, Class::Success | Class::Request | Class::Indication) => false,
            (Signature::Wrong, _) => false,
        };
        if !genuine {
            pending.forged = true;
            if self.options.transport == Transport::Stream {
                let pending = self.pending.remove(index);
                self.fail(pending.id, RequestError::Forged);
            }
        }
        genuine
    }

    fn handle_error(&mut self, mut pending: Pending, message: &Message<'_>, now: Instant) {
        let again = match message.error_code() {
            None => Err(RequestError::Incomplete { missing: "ERROR-CODE" }),
            Some(401) if pending.signed => Err(RequestError::WrongCredentials),
            Some(401) => self.session.take(message),
            Some(438) if pending.renewed < RENEWALS => {
                pending.renewed += 1;
                self.session.take(message)
            }
            Some(438) => Err(RequestError::EndlesslyStale),
            Some(300) => Err(match message.attribute(ALTERNATE_SERVER).and_then(plain_address) {
                Some(server) => RequestError::TryAlternate { server },
                None => RequestError::Refused { code: 300 },
            }),
            Some(code) => Err(RequestError::Refused { code }),
        };
        match again {
            Ok(()) => self.ask_again(pending, now),
            Err(error) => self.fail(pending.id, error),
        }
    }

    fn success(&mut self, pending: &Pending, from: SocketAddr, message: &Message<'_>) -> Result<Event, RequestError> {
        let request = pending.id;
        Ok(match &pending.ask {
            Ask::Binding { .. } => Event::Bound { request, binding: binding(from, message)? },
            Ask::Allocate(_) => Event::Allocated { request, allocated: allocated(message)? },
            Ask::Refresh { .. } => Event::Refreshed { request, lifetime: lifetime(message)? },
            Ask::CreatePermission { .. } => Event::Permitted { request },
            Ask::ChannelBind { channel, peer } => {
                let (number, peer) = (*channel, *peer);
                self.channels.retain(|channel| channel.number != number && channel.peer != peer);
                self.channels.push(super::Channel { number, peer, bound: true });
                Event::ChannelBound { request, channel: number, peer }
            }
        })
    }
}

fn binding(from: SocketAddr, message: &Message<'_>) -> Result<Binding, RequestError> {
    let address = |kind| message.attribute(kind).and_then(plain_address);
    Ok(Binding {
        mapped: mapped(message)?,
        from,
        origin: address(nat::RESPONSE_ORIGIN),
        other: address(nat::OTHER_ADDRESS),
    })
}

fn allocated(message: &Message<'_>) -> Result<Allocated, RequestError> {
    let relayed: Vec<SocketAddr> = message.relayed().collect();
    if relayed.is_empty() {
        return Err(RequestError::Incomplete { missing: "XOR-RELAYED-ADDRESS" });
    }
    Ok(Allocated {
        relayed,
        mapped: mapped(message)?,
        lifetime: lifetime(message)?,
        reservation: message.reservation_token().and_then(Result::ok),
        withheld: message.attribute(known::ADDRESS_ERROR_CODE).and_then(address_error),
    })
}

fn mapped(message: &Message<'_>) -> Result<SocketAddr, RequestError> {
    message.mapped().ok_or(RequestError::Incomplete { missing: "XOR-MAPPED-ADDRESS" })
}

fn lifetime(message: &Message<'_>) -> Result<Duration, RequestError> {
    let seconds = message.attribute(known::LIFETIME).and_then(|value| <[u8; 4]>::try_from(value).ok());
    let seconds = seconds.ok_or(RequestError::Incomplete { missing: "LIFETIME" })?;
    Ok(Duration::from_secs(u32::from_be_bytes(seconds).into()))
}

/// An address in the plain form of MAPPED-ADDRESS (RFC 8489 §14.1).
fn plain_address(value: &[u8]) -> Option<SocketAddr> {
    let (&[_, family, high, low], ip) = value.split_first_chunk()?;
    let ip = match family {
        1 => IpAddr::from(<[u8; 4]>::try_from(ip).ok()?),
        2 => IpAddr::from(<[u8; 16]>::try_from(ip).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([high, low])))
}

/// ADDRESS-ERROR-CODE (RFC 8656 §18.12).
fn address_error(value: &[u8]) -> Option<(Family, u16)> {
    let [family, _, class, number, ..] = value else { return None };
    let family = match family {
        1 => Family::V4,
        2 => Family::V6,
        _ => return None,
    };
    Some((family, u16::from(class & 7) * 100 + u16::from(*number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_of_both_families_are_read() {
        assert_eq!(plain_address(&[0, 1, 0x0d, 0x96, 192, 0, 2, 7]), "192.0.2.7:3478".parse().ok());
        let mut v6 = vec![0, 2, 0, 9];
        v6.extend([0; 15]);
        v6.push(1);
        assert_eq!(plain_address(&v6), "[::1]:9".parse().ok());
        for nonsense in [&[][..], &[0, 1, 0, 9, 192, 0, 2], &[0, 3, 0, 9, 1, 2, 3, 4]] {
            assert_eq!(plain_address(nonsense), None);
        }
    }

    #[test]
    fn the_family_that_was_withheld_is_read() {
        assert_eq!(address_error(&[2, 0, 4, 40]), Some((Family::V6, 440)));
        assert_eq!(address_error(&[9, 0, 4, 40]), None);
    }
}
