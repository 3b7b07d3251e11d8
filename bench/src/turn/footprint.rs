//! What a fresh server keeps: memory of an allocation and of a stranger; and how long its answers to strangers are.

use super::contestants::{Access, Running};
use super::handshake::{self, Client};
use super::session::UDP;
use super::stun::{Attribute, Message, Method, Writer};
use super::workload::{Family, Leg};
use crate::machine;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How often a request without an answer is sent again.
const ATTEMPTS: usize = 20;
/// Strangers between two looks at whether the server has kept up.
const CROWD: usize = 50;

/// Memory and time of allocations.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AllocationFigures {
    /// Growth of resident memory for each allocation with a permission and a channel, in KiB; the part that is heap and
    /// stacks; and how much of that there is before the channel.
    pub(crate) kib: f64,
    pub(crate) anonymous_kib: f64,
    pub(crate) anonymous_kib_unbound: f64,
    /// Resident bytes of the whole server with all of them.
    pub(crate) resident: u64,
    /// Allocations in a second of wall-clock time and of the server's CPU time; each is two requests and an answer of 401.
    pub(crate) per_second: f64,
    pub(crate) per_core: f64,
}

/// Memory and answers for those without credentials.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StrangerFigures {
    /// Growth of resident memory for each source, in bytes, for the first crowd and for a second one of the same size.
    pub(crate) bytes_first: f64,
    pub(crate) bytes_more: f64,
    /// Length of the answer to a Binding request of 20 bytes, to an Allocate request of 28, and to one of 20 that asks for
    /// nothing; 0 where none comes.
    pub(crate) binding: usize,
    pub(crate) allocate: usize,
    pub(crate) bare_allocate: usize,
}

/// Measures `count` allocations on a fresh server.
pub(crate) fn allocations(server: &Running, count: usize, access: &Access) -> Result<AllocationFigures> {
    let pid = server.process.pid();
    let address = server.address(Family::V4, Leg::Udp);
    let mut clients = (0..count)
        .map(|number| Client::connect(address, number, Family::V4, Leg::Udp, access))
        .collect::<Result<Vec<_>>>()?;
    // Any peer will do: nothing is sent to it.
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (before, cpu_before, began) = (machine::process_memory(pid)?, machine::process_cpu(pid)?, Instant::now());
    clients.iter_mut().try_for_each(|client| client.session.allocate())?;
    handshake::converse(&mut clients)?;
    let (elapsed, cpu) = (began.elapsed(), machine::process_cpu(pid)?.saturating_sub(cpu_before));
    let unbound = machine::process_memory(pid)?;
    for client in &mut clients {
        client.session.bind(peer.local_addr()?)?;
    }
    handshake::converse(&mut clients)?;
    let bound = machine::process_memory(pid)?;
    let kib = |after: u64, before: u64| (after as f64 - before as f64) / 1024.0 / count as f64;
    Ok(AllocationFigures {
        kib: kib(bound.resident, before.resident),
        anonymous_kib: kib(bound.anonymous, before.anonymous),
        anonymous_kib_unbound: kib(unbound.anonymous, before.anonymous),
        resident: bound.resident,
        per_second: count as f64 / elapsed.as_secs_f64(),
        per_core: count as f64 / cpu.as_secs_f64().max(1e-9),
    })
}

/// Measures two crowds of `count` sources each on a fresh server.
pub(crate) fn strangers(server: &Running, count: usize) -> Result<StrangerFigures> {
    let address = server.address(Family::V4, Leg::Udp);
    let ask = |request: &[u8]| -> Result<usize> {
        Ok(exchange(address, Ipv4Addr::LOCALHOST, request, 4)?.map_or(0, |answer| answer.len()))
    };
    let questions = [binding(), allocate(7), Writer::request(Method::Allocate, &[9; 12]).finish()];
    let [binding_answer, allocate_answer, bare_answer] =
        [ask(&questions[0])?, ask(&questions[1])?, ask(&questions[2])?];
    let pid = server.process.pid();
    let mut resident = vec![machine::process_memory(pid)?.resident];
    for crowd in 0..2 {
        for first in (crowd * count..(crowd + 1) * count).step_by(CROWD) {
            // They stay until the server has read them: what would come back from a closed one is another matter.
            let mut sockets = Vec::with_capacity(CROWD);
            for number in first..((crowd + 1) * count).min(first + CROWD) {
                let socket = UdpSocket::bind((source(number), 0))?;
                socket.send_to(&allocate(number as u32), address)?;
                sockets.push(socket);
            }
            // The answer to this one says that all before it were read.
            let asker = Ipv4Addr::new(127, 200, (first / CROWD % 250) as u8, (first / CROWD / 250 + 1) as u8);
            exchange(address, asker, &binding(), ATTEMPTS)?.context("the server does not keep up")?;
        }
        resident.push(machine::process_memory(pid)?.resident);
    }
    let bytes = |from: usize| (resident[from + 1] as f64 - resident[from] as f64) / count as f64;
    Ok(StrangerFigures {
        bytes_first: bytes(0),
        bytes_more: bytes(1),
        binding: binding_answer,
        allocate: allocate_answer,
        bare_allocate: bare_answer,
    })
}

/// Sources from all over the loopback network, each an address of its own.
fn source(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 100 + (number / 65_536) as u8, (number / 256 % 256) as u8, (number % 256) as u8)
}

fn binding() -> Vec<u8> {
    Writer::request(Method::Binding, &[5; 12]).finish()
}

fn allocate(number: u32) -> Vec<u8> {
    let mut id = [3; 12];
    id[..4].copy_from_slice(&number.to_be_bytes());
    Writer::request(Method::Allocate, &id).put(Attribute::RequestedTransport, &UDP).finish()
}

/// Asks from `source` until an answer comes, at most so often.
fn exchange(server: SocketAddr, source: Ipv4Addr, request: &[u8], attempts: usize) -> Result<Option<Vec<u8>>> {
    let socket = UdpSocket::bind((source, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_millis(250)))?;
    let mut buffer = [0; 1_500];
    for _ in 0..attempts {
        socket.send(request)?;
        if let Ok(length) = socket.recv(&mut buffer) {
            let message = Message::parse(&buffer[..length])?;
            ensure!(message.id() == request[8..20], "an answer to another question");
            return Ok(Some(buffer[..length].to_vec()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stranger_has_an_address_of_its_own() {
        let mut sources: Vec<_> = (0..40_000).map(source).collect();
        sources.sort_unstable();
        sources.dedup();

        assert_eq!(sources.len(), 40_000);
    }

    #[test]
    fn requests_have_the_lengths_that_the_report_names() {
        assert_eq!((binding().len(), allocate(1).len()), (20, 28));
    }
}
