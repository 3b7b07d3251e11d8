//! Whatever clients do: names have holders, one each if they are exclusive; texts arrive once, in order, where they
//! should; nothing is left behind.

mod names;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use names::{Names, PEERJS, call, handshake, held, name, unlimited};
use proptest::prelude::*;
use switchboard_signalling::core::{Closing, ConnId, WaitingLimits};
use switchboard_wire::Dialect;
use switchboard_wire::directory::{Message, Name, Namespace, Refusal};

/// A name among few, so that clients meet.
type Which = usize;

#[derive(Clone, Debug)]
enum Step {
    Connect {
        star: bool,
        address: u8,
    },
    Claim {
        who: usize,
        which: Which,
        secret: u8,
    },
    Release {
        who: usize,
        which: Option<Which>,
    },
    Send {
        who: usize,
        to: Which,
    },
    SendAs {
        who: usize,
        from: Which,
        to: Which,
    },
    Alive {
        who: usize,
    },
    Close {
        who: usize,
    },
    /// Stops reading, or reads on.
    Hang {
        who: usize,
        reads: bool,
    },
    Pass {
        tenths: u16,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..8usize;
    let which = || 0..4usize;
    prop_oneof![
        2 => (any::<bool>(), 1..4u8).prop_map(|(star, address)| Step::Connect { star, address }),
        4 => (who(), which(), 0..3u8).prop_map(|(who, which, secret)| Step::Claim { who, which, secret }),
        1 => (who(), proptest::option::of(which())).prop_map(|(who, which)| Step::Release { who, which }),
        6 => (who(), which()).prop_map(|(who, to)| Step::Send { who, to }),
        1 => (who(), which(), which()).prop_map(|(who, from, to)| Step::SendAs { who, from, to }),
        1 => who().prop_map(|who| Step::Alive { who }),
        1 => who().prop_map(|who| Step::Close { who }),
        1 => (who(), any::<bool>()).prop_map(|(who, reads)| Step::Hang { who, reads }),
        2 => (0..70u16).prop_map(|tenths| Step::Pass { tenths }),
    ]
}

/// What a client believes by what it was told.
struct Client {
    conn: ConnId,
    star: bool,
    address: u8,
    holds: Vec<Name>,
}

struct Play {
    world: Names,
    clients: Vec<Client>,
    /// Numbers of texts, by what became of them.
    sent: u64,
    arrived: HashSet<u64>,
    /// Those that came from somebody else than they say, which must not arrive.
    forged: HashSet<u64>,
    /// Those that expired, or that a sender whose texts found no room let wait for nobody: they must not arrive either.
    lost: HashSet<u64>,
    /// Those that neither arrived nor expired, for each sender and addressee.
    under_way: HashMap<(Name, Name), Vec<u64>>,
    /// Until when a connection leaves no gap for an addressee.
    refused: HashMap<(ConnId, Name), Instant>,
    /// Time passes: what expires now does so for it, not for lack of room.
    passing: bool,
    /// The last number that arrived, for each sender and addressee.
    latest: HashMap<(bool, Name, Name), u64>,
}

fn namespace(star: bool) -> Namespace {
    if star { Namespace::Star } else { PEERJS }
}

fn nth(which: Which) -> String {
    format!("name{which}")
}

impl Play {
    fn new() -> Self {
        let mut config = unlimited();
        config.directory.star.per_connection = 2;
        config.directory.waiting_for_name = WaitingLimits { messages: 3, bytes: 1000 };
        config.directory.waiting_from_connection = WaitingLimits { messages: 2, bytes: 1000 };
        config.directory.waiting_from_address = WaitingLimits { messages: 4, bytes: 1000 };
        config.directory.waiting_in_all = WaitingLimits { messages: 6, bytes: 1000 };
        config.directory.portion = WaitingLimits { messages: 2, bytes: 100 };
        let (arrived, forged, lost, under_way, refused, latest) = Default::default();
        let (world, clients) = (Names::new(config), Vec::new());
        Self { world, clients, sent: 0, arrived, forged, lost, under_way, refused, passing: false, latest }
    }

    fn run(&mut self, step: Step) {
        let client = |who: usize| self.clients.get(who).map(|client| (client.conn, client.star, client.holds.clone()));
        match step {
            Step::Connect { star, address } => {
                let dialect = if star { Dialect::SocketIo } else { Dialect::PeerJs };
                let conn = self.world.connect_from(address, dialect);
                self.clients.push(Client { conn, star, address, holds: Vec::new() });
            }
            Step::Claim { who, which, secret } => match client(who) {
                Some((conn, true, _)) => drop(self.world.share(conn, Namespace::Star, &nth(which))),
                Some((conn, false, _)) => self.world.claim(conn, &nth(which), &secret.to_string()),
                None => {}
            },
            Step::Release { who, which } => {
                if let Some((conn, star, _)) = client(who) {
                    let which = which.map(nth);
                    self.world.release(conn, namespace(star), which.as_deref());
                    // By asking it shows that it lives, and gets what a contest held back before it lets go.
                    self.read(who);
                    self.clients[who].holds.retain(|held| which.as_ref().is_some_and(|which| **which != **held));
                }
            }
            Step::Send { who, to } => {
                if let Some((conn, star, holds)) = client(who)
                    && let Some(from) = holds.first()
                {
                    self.send(conn, star, from, &nth(to));
                    assert!(!self.is_refused(conn), "who holds a name may send under it");
                }
            }
            Step::SendAs { who, from, to } => {
                let from = name(&nth(from));
                if let Some((conn, star, _)) = client(who)
                    && !self.may_send_as(who, &from)
                {
                    self.send(conn, star, &from, &nth(to));
                    self.forged.insert(self.sent);
                    assert!(self.is_refused(conn), "a forged sender is told so");
                }
            }
            Step::Alive { who } => {
                if let Some((conn, ..)) = client(who) {
                    self.world.alive(conn);
                }
            }
            Step::Close { who } => {
                if let Some((conn, ..)) = client(who) {
                    self.world.close(conn, Closing::Lost);
                    self.clients.remove(who);
                }
            }
            Step::Hang { who, reads } => match client(who) {
                Some((conn, ..)) if reads => self.world.go_on(conn),
                Some((conn, ..)) => self.world.hang(conn),
                None => {}
            },
            Step::Pass { tenths } => {
                self.passing = true;
                self.world.pass(Duration::from_millis(100) * u32::from(tenths));
            }
        }
        self.listen();
        self.passing = false;
        self.check();
    }

    fn may_send_as(&self, who: usize, from: &Name) -> bool {
        let own = &self.clients[who];
        let same_page = |other: &Client| own.star && other.star && own.address == other.address;
        let others = self.clients.iter().filter(|other| other.conn == own.conn || same_page(other));
        others.into_iter().any(|other| other.holds.contains(from))
    }

    /// Sends a text that says who sent it and how many were sent before.
    fn send(&mut self, conn: ConnId, star: bool, from: &Name, to: &str) {
        self.sent += 1;
        let text = format!("{from} {to} {}", self.sent);
        if !star {
            self.under_way.entry((from.clone(), name(to))).or_default().push(self.sent);
            let refused = self.refused.get(&(conn, name(to))).is_some_and(|until| self.world.now < *until);
            if refused && !self.world.core.names(PEERJS, 100).contains(&name(to)) {
                self.lost.insert(self.sent);
            }
        }
        let send = if star { handshake(from, to, &text) } else { call(from, to, &text) };
        self.world.send(conn, send);
    }

    fn is_refused(&mut self, conn: ConnId) -> bool {
        let messages = self.world.read(conn);
        let refused = messages.contains(&Message::Refused(Refusal::NotYours));
        if let Some(who) = self.clients.iter().position(|client| client.conn == conn) {
            messages.into_iter().for_each(|message| self.hear(who, message));
        }
        refused
    }

    /// Lets everybody read, newest claims last.
    fn listen(&mut self) {
        let closed = &self.world.closed;
        self.clients.retain(|client| !closed.contains_key(&client.conn));
        let heard = self.clients.iter().enumerate().map(|(who, client)| (who, client.conn)).collect::<Vec<_>>();
        let heard = heard.into_iter().flat_map(|(who, conn)| self.world.read(conn).into_iter().map(move |m| (who, m)));
        // What arrived before the rest of its pair expired is not lost.
        let is_expiry = |(_, message): &(usize, Message)| matches!(message, Message::Expired { .. });
        let (expired, others): (Vec<_>, Vec<_>) = heard.partition(is_expiry);
        others.into_iter().chain(expired).for_each(|(who, message)| self.hear(who, message));
    }

    /// Lets one client read.
    fn read(&mut self, who: usize) {
        for message in self.world.read(self.clients[who].conn) {
            self.hear(who, message);
        }
    }

    fn hear(&mut self, who: usize, message: Message) {
        let client = &mut self.clients[who];
        match message {
            Message::Held { name } if client.holds.contains(&name) => {}
            Message::Held { name } => client.holds.push(name),
            Message::Text(text) => {
                let text = String::from_utf8(text.to_vec()).expect("UTF-8");
                let [from, to, number] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
                let number = number.parse().expect("a number");
                assert!(client.holds.contains(&name(to)), "{text} went to one that does not hold {to}");
                assert!(self.arrived.insert(number), "{text} came twice");
                assert!(!self.forged.contains(&number), "{text} is forged");
                assert!(!self.lost.contains(&number), "{text} expired, or comes after a gap");
                if let Some(numbers) = self.under_way.get_mut(&(name(from), name(to))) {
                    numbers.retain(|under_way| *under_way != number);
                }
                let last = self.latest.insert((client.star, name(from), name(to)), number);
                assert!(last.is_none_or(|last| last < number), "{text} came after {last:?}");
            }
            Message::Expired { to, from } => {
                let pair = (from.expect("who sent it"), name(&to));
                self.lost.extend(self.under_way.remove(&pair).unwrap_or_default());
                if !self.passing {
                    self.refused.insert((client.conn, pair.1), self.world.now + Duration::from_secs(5));
                }
            }
            Message::Known(names) => {
                assert!(client.star && names.len() <= 256);
                assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
            }
            Message::Refused(_) | Message::Absent { .. } => {}
        }
    }

    /// Compares what clients believe with what the core says.
    fn check(&mut self) {
        let mut believed: HashMap<(bool, Name), usize> = HashMap::new();
        for client in &self.clients {
            for held in &client.holds {
                *believed.entry((client.star, held.clone())).or_default() += 1;
            }
        }
        let exclusive = believed.iter().filter(|((star, _), _)| !star);
        assert!(exclusive.clone().all(|(_, holders)| *holders == 1), "{believed:?}");
        for star in [true, false] {
            let of_core: HashSet<Name> = self.world.core.names(namespace(star), 100).into_iter().collect();
            let of_clients = believed.keys().filter(|(of_star, _)| *of_star == star);
            assert_eq!(of_core, of_clients.map(|(_, name)| name.clone()).collect());
            let of_host = self.world.held.iter().filter(|(_, held_in, _)| *held_in == namespace(star));
            assert_eq!(of_core, of_host.map(|(_, _, name)| name.clone()).collect());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn names_have_holders_texts_keep_their_order_and_nothing_leaks(
        steps in proptest::collection::vec(step(), 1..150)
    ) {
        let mut play = Play::new();
        for step in steps {
            play.run(step);
        }
        for who in (0..play.clients.len()).rev() {
            play.run(Step::Close { who });
        }
        play.world.pass(Duration::from_secs(60));
        let core = &play.world.core;
        prop_assert_eq!((core.waiting_count(), core.poll_timeout()), (0, None));
        let stats = core.stats();
        prop_assert_eq!((stats.star_peers, stats.names, stats.connections), Default::default());
    }

    #[test]
    fn two_who_fight_for_a_name_never_both_have_it(claims in proptest::collection::vec((0..3u8, 0..40u16), 1..40)) {
        let mut world = Names::new(unlimited());
        let mut owner: Option<ConnId> = None;
        for (secret, tenths) in claims {
            let conn = world.connect(Dialect::PeerJs);
            world.claim(conn, "prize", &secret.to_string());
            world.pass(Duration::from_millis(100) * u32::from(tenths));
            if world.read(conn).contains(&held("prize")) {
                prop_assert!(owner.is_none_or(|owner| world.closed.contains_key(&owner)));
                owner = Some(conn);
            }
        }
        prop_assert_eq!(world.core.name_count(PEERJS), 1);
    }
}
