//! Many clients' sessions over their sockets, some at a time: allocate, bind, release.

use super::contestants::Access;
use super::datagram::{LARGEST, Socket};
use super::session::Session;
use super::workload::{Family, Leg};
use anyhow::{Context, Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Clients that talk at a time: enough to keep a server busy, few enough for its socket buffer.
const AT_A_TIME: usize = 32;
/// A request without an answer is sent again after this long (RFC 8489 §6.2.1).
const RETRANSMISSION: Duration = Duration::from_millis(500);
/// How long one request may stay without an answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// A client: its session and the socket that it speaks through.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) session: Session,
    pub(crate) socket: Socket,
}

impl Client {
    /// Client `number`, connected to `server`; no request is sent yet.
    pub(crate) fn connect(
        server: SocketAddr,
        number: usize,
        family: Family,
        leg: Leg,
        access: &Access,
    ) -> Result<Self> {
        let ip = family.client(number);
        let socket = match leg {
            Leg::Udp => {
                let socket = Socket::bind(ip)?;
                socket.connect(server)?;
                socket
            }
            Leg::Tcp => Socket::connect_stream(ip, server, None)?,
            Leg::Tls => Socket::connect_stream(ip, server, Some(&access.trust))?,
        };
        Ok(Self { session: Session::new(access.account.clone(), u32::try_from(number)?, ip), socket })
    }
}

/// Brings what each session has begun to its end.
pub(crate) fn converse(clients: &mut [Client]) -> Result<()> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut talk = Talk { epoll, active: Vec::with_capacity(AT_A_TIME) };
    let mut waiting = (0..clients.len()).filter(|&index| !clients[index].session.is_done()).collect::<Vec<_>>();
    waiting.reverse();
    let (mut events, mut buffer) = (Vec::with_capacity(AT_A_TIME), vec![0; LARGEST]);
    loop {
        while talk.active.len() < AT_A_TIME
            && let Some(index) = waiting.pop()
        {
            talk.open(index, &clients[index])?;
        }
        if talk.active.is_empty() {
            return Ok(());
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        match epoll::wait(&talk.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            let index = event.data.u64() as usize;
            let client = &mut clients[index];
            let received = client.socket.receive(&mut buffer)?;
            if received > 0 && client.session.handle_answer(&buffer[..received])? {
                talk.go_on(index, client)?;
            }
        }
        talk.repeat(clients)?;
    }
}

/// The sessions that are under way.
#[derive(Debug)]
struct Talk {
    epoll: OwnedFd,
    active: Vec<Exchange>,
}

/// A request on the way.
#[derive(Debug)]
struct Exchange {
    index: usize,
    first_sent: Instant,
    last_sent: Instant,
}

impl Talk {
    fn open(&mut self, index: usize, client: &Client) -> Result<()> {
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&self.epoll, &client.socket, data, epoll::EventFlags::IN)?;
        client.socket.send(client.session.request())?;
        let now = Instant::now();
        self.active.push(Exchange { index, first_sent: now, last_sent: now });
        Ok(())
    }

    fn go_on(&mut self, index: usize, client: &Client) -> Result<()> {
        if client.session.is_done() {
            epoll::delete(&self.epoll, &client.socket)?;
            self.active.retain(|exchange| exchange.index != index);
            return Ok(());
        }
        client.socket.send(client.session.request())?;
        let now = Instant::now();
        for exchange in self.active.iter_mut().filter(|exchange| exchange.index == index) {
            (exchange.first_sent, exchange.last_sent) = (now, now);
        }
        Ok(())
    }

    fn repeat(&mut self, clients: &[Client]) -> Result<()> {
        for exchange in self.active.iter_mut().filter(|exchange| exchange.last_sent.elapsed() >= RETRANSMISSION) {
            ensure!(
                exchange.first_sent.elapsed() < PATIENCE,
                "the server did not answer a request within {PATIENCE:?}"
            );
            let client = clients.get(exchange.index).context("no such client")?;
            client.socket.send(client.session.request())?;
            exchange.last_sent = Instant::now();
        }
        Ok(())
    }
}
