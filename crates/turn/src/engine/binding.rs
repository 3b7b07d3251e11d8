//! Binding requests: the client learns its address, without any authentication (RFC 8489 §2), and where a second address is
//! configured how its NAT behaves (RFC 5780).

use std::net::SocketAddr;

use super::answer::Refusal;
use super::{Engine, Request};
use crate::message::{Class, Writer};
use crate::nat::{
    CHANGE_REQUEST, Change, NatAnswer, NatRefusal, NatRequest, OTHER_ADDRESS, PADDING, RESPONSE_ORIGIN, RESPONSE_PORT,
};
use crate::shared::Owner;
use crate::stats::Dropped;
use crate::{Verdict, Via};

/// Attributes of RFC 5780 that must be understood where detection is on.
const NAT_ATTRIBUTES: [u16; 3] = [CHANGE_REQUEST, PADDING, RESPONSE_PORT];

impl Engine {
    /// Answers with the address that the request came from: 32 bytes for IPv4.
    pub(super) fn binding(&mut self, request: &Request<'_>) -> Verdict {
        let message = &request.message;
        let nat = match self.detect(request) {
            Ok(nat) => nat,
            Err(refusal) => return self.refuse(request, refusal),
        };
        let understood: &'static [u16] = if nat.is_some() { &NAT_ATTRIBUTES } else { &[] };
        if message.unknown_required(understood).next().is_some() {
            return self.refuse(request, Refusal::Unknown(understood));
        }
        let to = match nat.and_then(|answer| answer.to_port) {
            Some(port) => SocketAddr::new(request.client.remote.ip(), port),
            None => request.client.remote,
        };
        if to != request.client.remote && matches!(self.shared.owner(to), Some(Owner::Worker(..))) {
            return self.drop(Dropped::Hairpin);
        }
        // That a client has an allocation says nothing about its other ports: others may have them.
        let may = if to == request.client.remote { self.may_answer(request) } else { self.has_budget(request) };
        if !may {
            return self.drop(Dropped::Budget);
        }
        self.stats.count_answer(message.method(), 0);
        let mut writer = Writer::new(&mut self.reply, Class::Success, message.method(), message.transaction());
        writer.mapped(request.seen());
        if let Some(answer) = nat {
            write_nat(&mut writer, &answer);
        }
        if message.has_fingerprint() {
            writer.fingerprint();
        }
        match nat {
            Some(answer) if answer.origin != request.local || to != request.client.remote => {
                Verdict::ReplyFrom { local: answer.origin, to }
            }
            Some(_) | None => Verdict::Reply,
        }
    }

    /// How RFC 5780 wants the request answered, where it has a say.
    fn detect(&self, request: &Request<'_>) -> Result<Option<NatAnswer>, Refusal> {
        let Some(detection) = self.shared.settings().alternate else { return Ok(None) };
        let Via::Udp(_) = request.client.via else { return Ok(None) };
        let message = &request.message;
        let four = |kind| message.attribute(kind).map(<[u8; 4]>::try_from).transpose();
        let bad = |_| Refusal::Plain(400);
        // A port and two bytes of padding, which some count as part of the value and some do not (RFC 5780 §7.5).
        let port = match message.attribute(RESPONSE_PORT) {
            None => None,
            Some(&[high, low] | &[high, low, _, _]) => Some(u16::from_be_bytes([high, low])),
            Some(_) => return Err(Refusal::Plain(400)),
        };
        let nat_request = NatRequest {
            change: four(CHANGE_REQUEST)
                .map_err(bad)?
                .map(u32::from_be_bytes)
                .map(Change::from_bits)
                .unwrap_or_default(),
            padding: message.attribute(PADDING).map(<[u8]>::len),
            response_port: port,
        };
        match detection.answer(request.local, nat_request) {
            None => Ok(None),
            Some(Ok(answer)) => Ok(Some(answer)),
            Some(Err(NatRefusal::Contradiction | NatRefusal::LowPort)) => Err(Refusal::Plain(400)),
        }
    }
}

fn write_nat(writer: &mut Writer<'_>, answer: &NatAnswer) {
    writer.attribute(RESPONSE_ORIGIN, &plain_address(answer.origin));
    writer.attribute(OTHER_ADDRESS, &plain_address(answer.other));
    if let Some(bytes) = answer.padding {
        writer.attribute(PADDING, &vec![0; bytes]);
    }
}

/// An address as MAPPED-ADDRESS has it, which RFC 5780 uses throughout (RFC 8489 §14.1).
fn plain_address(address: SocketAddr) -> Vec<u8> {
    let [high, low] = address.port().to_be_bytes();
    match address {
        SocketAddr::V4(v4) => [&[0, 1, high, low], &v4.ip().octets()[..]].concat(),
        SocketAddr::V6(v6) => [&[0, 2, high, low], &v6.ip().octets()[..]].concat(),
    }
}
