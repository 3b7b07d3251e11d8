//! A core behind the Socket.IO door, with polling clients on a virtual network in virtual time.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of it")]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use switchboard_signalling::core::{ClientAddr, Config, ConnId, Core, Output as CoreOutput, Rate};
use switchboard_signalling::socketio::{
    CloseReason, Fault, Output, Protocol, Query, Reply, Session, Sid, SocketId, Transport,
};
use switchboard_wire::rooms::Dialect;

pub struct Door {
    pub core: Core,
    pub now: Instant,
    pub tabs: Vec<Tab>,
}

/// One client, as its test sees it.
pub struct Tab {
    conn: ConnId,
    pub session: Session,
    /// Answers to GETs, oldest first.
    answers: VecDeque<Reply>,
    /// Frames on any of its WebSockets, oldest first.
    pub frames: VecDeque<(SocketId, String)>,
    pub closed_sockets: Vec<SocketId>,
    pub over: Option<CloseReason>,
}

/// Names a tab.
pub type T = usize;

impl Door {
    pub fn new() -> Self {
        let plenty = Rate { per_second: 1_000_000, burst: 1_000_000 };
        let config = Config { per_connection: plenty, per_address: plenty, in_all: plenty, ..Config::default() };
        Self { core: Core::new(config, StdRng::seed_from_u64(7)), now: Instant::now(), tabs: Vec::new() }
    }

    /// Begins a session; its first GET waits or is answered.
    pub fn open_with(&mut self, query: &str) -> T {
        let query = Query::parse(query).expect("a query");
        let protocol = query.opening(true, false).expect("a handshake");
        let from = ClientAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
        let conn = self.core.handle_connect(from, Dialect::SocketIo, self.now).expect("admitted");
        let sid = Sid::from_random([self.tabs.len() as u8; 15]);
        let (session, hello) = Session::open(protocol, &query, sid, self.now);
        let (answers, frames, closed_sockets) = Default::default();
        self.tabs.push(Tab { conn, session, answers, frames, closed_sockets, over: None });
        if let Some(hello) = hello {
            let _ = self.core.handle_message(conn, Ok(hello), self.now);
        }
        self.drain();
        self.tabs.len() - 1
    }

    /// Begins a session and enters the namespace; returns the peer id too.
    pub fn connected(&mut self, protocol: Protocol) -> (T, String) {
        let tab = self.open_with(match protocol {
            Protocol::V3 => "EIO=3&transport=polling&b64=1",
            Protocol::V4 => "EIO=4&transport=polling",
        });
        let opening = self.answer(tab);
        match protocol {
            Protocol::V3 => {
                assert_eq!(self.get(tab), "2:40");
                (tab, self.tabs[tab].session.sid().to_string())
            }
            Protocol::V4 => {
                assert!(opening.starts_with("0{"), "{opening}");
                assert_eq!(self.post(tab, "40").body, b"ok");
                let welcome = self.get(tab);
                let id = welcome.strip_prefix("40{\"sid\":\"").and_then(|rest| rest.strip_suffix("\"}"));
                (tab, id.expect(&welcome).to_owned())
            }
        }
    }

    /// Puts both into a new room; returns its id.
    pub fn share_room(&mut self, first: T, others: &[T]) -> String {
        self.say(first, r#"42["create-room"]"#);
        let created = self.get(first);
        let at = created.find("room-created\",\"").expect(&created) + "room-created\",\"".len();
        let room = created[at..at + 10].to_owned();
        for other in others {
            self.say(*other, &format!(r#"42["join-room","{room}"]"#));
        }
        room
    }

    pub fn drain(&mut self) {
        loop {
            let mut idle = true;
            while let Some(output) = self.core.poll_output() {
                idle = false;
                match output {
                    CoreOutput::Message { conn, message, .. } => {
                        if let Some(tab) = self.tabs.iter_mut().find(|tab| tab.conn == conn) {
                            tab.session.handle_message(&message);
                        }
                    }
                    CoreOutput::Directory { conn, message } => {
                        if let Some(tab) = self.tabs.iter_mut().find(|tab| tab.conn == conn) {
                            tab.session.handle_directory(&message);
                        }
                    }
                    // No name of these clients is contested.
                    CoreOutput::More { conn } => panic!("nothing waits for {conn:?}"),
                    CoreOutput::Probe { conn } => panic!("a probe of {conn:?}"),
                    CoreOutput::Close { conn, .. } => {
                        let now = self.now;
                        if let Some(tab) = self.tabs.iter_mut().find(|tab| tab.conn == conn) {
                            tab.session.handle_dismissed(now);
                        }
                    }
                    CoreOutput::Event(_) => {}
                }
            }
            for tab in &mut self.tabs {
                while let Some(output) = tab.session.poll_output() {
                    idle = false;
                    assert_eq!(tab.over, None, "nothing comes after the end: {output:?}");
                    match output {
                        Output::Opened(sid) => assert_eq!(sid, tab.session.sid()),
                        Output::Poll(reply) => tab.answers.push_back(reply),
                        Output::Frame { socket, text } => {
                            tab.frames.push_back((socket, String::from_utf8(text).expect("text")));
                        }
                        Output::CloseSocket { socket } => tab.closed_sockets.push(socket),
                        Output::Closed(reason) => {
                            tab.over = Some(reason);
                            self.core.handle_close(tab.conn, reason.closing(), self.now);
                        }
                    }
                }
            }
            if idle {
                return;
            }
        }
    }

    /// Sends a GET that waits if there is nothing to answer it with.
    pub fn poll(&mut self, tab: T) -> Result<(), Reply> {
        let polled = self.tabs[tab].session.handle_poll(self.now);
        self.drain();
        polled
    }

    /// The whole answer to the oldest GET.
    pub fn reply(&mut self, tab: T) -> Option<Reply> {
        self.tabs[tab].answers.pop_front()
    }

    /// The body that answered the oldest GET.
    pub fn answer(&mut self, tab: T) -> String {
        let reply = self.reply(tab).expect("an answered GET");
        assert_eq!(reply.status, 200);
        String::from_utf8(reply.body).expect("text")
    }

    /// A GET that is answered at once.
    pub fn get(&mut self, tab: T) -> String {
        self.poll(tab).expect("a GET");
        self.answer(tab)
    }

    pub fn post(&mut self, tab: T, body: &str) -> Reply {
        self.post_bytes(tab, false, body.as_bytes())
    }

    pub fn post_bytes(&mut self, tab: T, binary: bool, body: &[u8]) -> Reply {
        let (conn, now) = (self.tabs[tab].conn, self.now);
        if let Err(reply) = self.tabs[tab].session.handle_post(binary) {
            self.drain();
            return reply;
        }
        let core = &mut self.core;
        let reply = self.tabs[tab].session.handle_body(body, now, |delivery| {
            let _ = delivery.deliver(core, conn, now);
        });
        self.drain();
        reply
    }

    /// Posts one packet in the version that the client speaks.
    pub fn say(&mut self, tab: T, packet: &str) {
        let body = match self.tabs[tab].session.protocol() {
            Protocol::V3 => format!("{}:{packet}", packet.encode_utf16().count()),
            Protocol::V4 => packet.to_owned(),
        };
        let reply = self.post(tab, &body);
        assert_eq!((reply.status, reply.body.as_slice()), (200, b"ok".as_slice()));
    }

    pub fn upgrade(&mut self, tab: T) -> Result<SocketId, Fault> {
        self.tabs[tab].session.handle_upgrade(self.now)
    }

    pub fn frame(&mut self, tab: T, socket: SocketId, text: &str) {
        let (conn, now) = (self.tabs[tab].conn, self.now);
        if let Some(delivery) = self.tabs[tab].session.handle_frame(socket, text, now) {
            let _ = delivery.deliver(&mut self.core, conn, now);
        }
        self.drain();
    }

    pub fn lose_socket(&mut self, tab: T, socket: SocketId, orderly: bool) {
        self.tabs[tab].session.handle_socket_closed(socket, orderly);
        self.drain();
    }

    /// Lets time pass, with every timer in its turn.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        loop {
            let sessions = self.tabs.iter().filter_map(|tab| tab.session.poll_timeout());
            let Some(due) = sessions.chain(self.core.poll_timeout()).min().filter(|due| *due <= end) else { break };
            self.now = self.now.max(due);
            for tab in &mut self.tabs {
                if tab.session.poll_timeout().is_some_and(|at| at <= self.now) {
                    tab.session.handle_timeout(self.now);
                }
            }
            self.core.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }
}

/// What a request of a closed or unknown session gets.
pub fn unknown_session() -> Reply {
    Fault::UnknownSession.reply()
}

/// A query of a later request.
pub fn query(protocol: Protocol, transport: Transport) -> Query {
    let protocol = if protocol == Protocol::V3 { 3 } else { 4 };
    let transport = if transport == Transport::Polling { "polling" } else { "websocket" };
    Query::parse(&format!("EIO={protocol}&transport={transport}")).expect("a query")
}
