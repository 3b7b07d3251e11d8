//! Allocate (RFC 8656 §7; attack table, rows 6, 7 and 12).

mod world;

use std::collections::HashSet;

use switchboard_turn::message::{Family, Method, Writer, known};
use switchboard_turn::{Client, OpenError, QuotaLimits, RelayAddress, Settings, Via};
use world::{Login, World, at, family, udp};

const ANN: &str = "192.0.2.9:5000";

fn with(kind: u16, value: &'static [u8]) -> impl Fn(&mut Writer<'_>) {
    move |writer| {
        writer.attribute(kind, value);
    }
}

fn addresses(world: &mut World) -> Vec<std::net::SocketAddr> {
    world.sockets().open.values().copied().collect()
}

#[test]
fn grants_an_ipv4_address_for_ten_minutes() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    let answer = login.allocate(&mut world, |_| {});
    let relayed = answer.relayed();
    assert_eq!((relayed.ip(), answer.lifetime()), (at("203.0.113.7:1").ip(), 600));
    assert!((49152..=65535).contains(&relayed.port()));
    assert_eq!(answer.message().mapped(), Some(at(ANN)));
    assert_eq!(addresses(&mut world), [relayed]);
    assert!(world.engine().is_allocated(udp(ANN)));
}

#[test]
fn the_lifetime_lies_between_the_default_and_the_longest() {
    for (requested, granted) in [(0, 600), (1, 600), (700, 700), (3600, 3600), (u32::MAX, 3600)] {
        let mut world = World::new();
        let login = world.log_in(udp(ANN));
        let answer = login.allocate(&mut world, |writer| {
            writer.lifetime(requested);
        });
        assert_eq!(answer.lifetime(), granted);
    }
}

#[test]
fn only_udp_is_relayed() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    let code = |world: &mut World, value: Option<&'static [u8]>| {
        let answer = login.ask(world, Method::Allocate, |writer| {
            if let Some(value) = value {
                writer.attribute(known::REQUESTED_TRANSPORT, value);
            }
        });
        assert!(answer.message().integrity().is_some(), "who has shown a password gets signed refusals");
        answer.code()
    };
    assert_eq!(code(&mut world, None), 400);
    assert_eq!(code(&mut world, Some(&[17])), 400);
    assert_eq!(code(&mut world, Some(&[6, 0, 0, 0])), 442);
    assert_eq!(code(&mut world, Some(&[99, 0, 0, 0])), 442);
    assert_eq!(code(&mut world, Some(&[17, 0, 0, 0])), 0);
}

#[test]
fn attributes_that_are_not_understood_are_named_after_the_password() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    let answer = login.allocate(&mut world, with(0x0077, &[1]));
    assert_eq!(answer.code(), 420);
    assert_eq!(answer.message().attribute(known::UNKNOWN_ATTRIBUTES), Some(&[0, 0x77][..]));
    assert!(answer.message().integrity().is_some());
    assert_eq!(login.allocate(&mut world, with(0x8077, &[1])).code(), 0);
}

#[test]
fn families_are_granted_as_asked_for() {
    for (attribute, value, expected) in [
        (known::REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0], Ok(vec!["203.0.113.7"])),
        (known::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0], Ok(vec!["2a00:1450::7"])),
        (known::REQUESTED_ADDRESS_FAMILY, &[3, 0, 0, 0], Err(440)),
        (known::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0], Ok(vec!["203.0.113.7", "2a00:1450::7"])),
        (known::ADDITIONAL_ADDRESS_FAMILY, &[1, 0, 0, 0], Err(400)),
        (known::ADDITIONAL_ADDRESS_FAMILY, &[9, 0, 0, 0], Err(400)),
    ] {
        let mut world = World::new();
        let login = world.log_in(udp(ANN));
        let answer = login.allocate(&mut world, with(attribute, value));
        let got = match answer.code() {
            0 => Ok(answer.message().relayed().map(|relayed| relayed.ip().to_string()).collect::<Vec<_>>()),
            code => Err(code),
        };
        assert_eq!(got, expected.map(|ips| ips.into_iter().map(str::to_owned).collect()), "{attribute:#x} {value:?}");
    }
}

#[test]
fn contradictions_are_bad_requests() {
    let (token, even, both) =
        ((known::RESERVATION_TOKEN, &[7; 8][..]), (known::EVEN_PORT, &[0x80][..]), &[2, 0, 0, 0][..]);
    let (requested, additional) = ((known::REQUESTED_ADDRESS_FAMILY, both), (known::ADDITIONAL_ADDRESS_FAMILY, both));
    for pair in [[token, even], [token, requested], [token, additional], [requested, additional], [even, additional]] {
        let mut world = World::new();
        let login = world.log_in(udp(ANN));
        let answer = login.allocate(&mut world, |writer| {
            for (kind, value) in pair {
                writer.attribute(kind, value);
            }
        });
        assert_eq!(answer.code(), 400, "{pair:?}");
    }
    for (kind, value) in
        [(known::EVEN_PORT, &[0; 4][..]), (known::RESERVATION_TOKEN, &[0; 4]), (known::LIFETIME, &[0; 2])]
    {
        let mut world = World::new();
        let login = world.log_in(udp(ANN));
        let answer = login.allocate(&mut world, |writer| {
            writer.attribute(kind, value);
        });
        assert_eq!(answer.code(), 400, "malformed {kind:#x}");
    }
}

#[test]
fn where_a_family_has_no_address_the_other_is_granted_and_the_reason_told() {
    let only_v4 = RelayAddress { bind: at("10.0.0.4:1").ip(), external: at("203.0.113.7:1").ip() };
    let mut world = World::with(Settings { relay_addresses: vec![only_v4], ..world::settings() });
    let login = world.log_in(udp(ANN));
    assert_eq!(login.allocate(&mut world, with(known::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])).code(), 440);
    let answer = login.allocate(&mut world, with(known::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]));
    assert_eq!(answer.code(), 0);
    assert_eq!(answer.message().attribute(known::ADDRESS_ERROR_CODE), Some(&[2, 0, 4, 40][..]));
    // The 1:1 NAT's inner address is bound, its outer one told.
    assert_eq!(addresses(&mut world)[0].ip(), only_v4.bind);
    assert_eq!(answer.relayed().ip(), only_v4.external);
}

#[test]
fn an_even_port_is_even_and_its_neighbour_kept_for_the_token() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    let answer = login.allocate(&mut world, with(known::EVEN_PORT, &[0]));
    assert_eq!(answer.relayed().port() % 2, 0);
    assert_eq!(answer.message().reservation_token(), None);
    login.refresh(&mut world, 0);

    let answer = login.allocate(&mut world, with(known::EVEN_PORT, &[0x80]));
    let first = answer.relayed();
    assert_eq!(first.port() % 2, 0);
    let token = answer.message().reservation_token().expect("a token").expect("eight bytes");
    let redeem = |writer: &mut Writer<'_>| {
        writer.attribute(known::RESERVATION_TOKEN, &token);
    };
    let ben = world.log_in(udp("192.0.2.9:5001")).named("ben", "another good password");
    assert_eq!(ben.allocate(&mut world, redeem).code(), 508, "another user's token");
    let second = world.log_in(udp("192.0.2.9:5002"));
    let answer = second.allocate(&mut world, redeem);
    assert_eq!((answer.code(), answer.relayed().port()), (0, first.port() + 1));
    let third = world.log_in(udp("192.0.2.9:5003"));
    assert_eq!(third.allocate(&mut world, redeem).code(), 508, "a token is good once");
}

#[test]
fn a_reservation_ends_after_thirty_seconds() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    let answer = login.allocate(&mut world, with(known::EVEN_PORT, &[0x80]));
    let token = answer.message().reservation_token().expect("a token").expect("eight bytes");
    world.pass(31);
    let late = world.log_in(udp("192.0.2.9:5001"));
    let answer = late.allocate(&mut world, |writer| {
        writer.attribute(known::RESERVATION_TOKEN, &token);
    });
    assert_eq!(answer.code(), 508);
}

#[test]
fn a_resent_request_over_udp_is_answered_the_same() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    let id = world.id();
    let ask = |world: &mut World| {
        login.ask_as(world, id, Method::Allocate, |writer| {
            writer.attribute(known::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
            writer.attribute(known::EVEN_PORT, &[0x80]);
            writer.lifetime(900);
        })
    };
    let first = ask(&mut world);
    assert_eq!(first.code(), 0);
    assert_eq!(ask(&mut world), first);
    assert_eq!((world.sockets().opened.len(), world.sockets().open.len()), (2, 1), "the pair was opened once");
    assert_eq!(login.allocate(&mut world, |_| {}).code(), 437, "another request on the same connection");
    let ben = login.clone().named("ben", "another good password");
    let stolen = ben.ask_as(&mut world, id, Method::Allocate, |writer| {
        writer.attribute(known::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
    });
    assert_eq!(stolen.code(), 437);
}

#[test]
fn a_second_request_over_a_stream_is_a_mismatch_whatever_its_id() {
    let mut world = World::new();
    let client = Client { via: Via::Tcp(3), remote: at(ANN) };
    let login = world.log_in(client);
    let id = world.id();
    let ask = |world: &mut World| {
        login.ask_as(world, id, Method::Allocate, |writer| {
            writer.attribute(known::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        })
    };
    assert_eq!(ask(&mut world).code(), 0);
    assert_eq!(ask(&mut world).code(), 437);
    world.disconnect(client);
    assert!(!world.engine().is_allocated(client));
    assert!(world.sockets().open.is_empty());
    world.disconnect(client);
}

#[test]
fn quotas_hold_per_user_address_and_in_all_and_give_back() {
    let limits = QuotaLimits { total: 5, per_user: 2, per_address: 3 };
    let mut world = World::with(Settings { quotas: limits, ..world::settings() });
    let login = |world: &mut World, remote: &str, user: &str| {
        let issued = world.shared.credentials().issue(user, world::EPOCH + 9_999).expect("credentials");
        world.log_in(udp(remote)).named(&issued.username, &issued.password)
    };
    let first = login(&mut world, "192.0.2.1:1", "a");
    assert_eq!(first.allocate(&mut world, |_| {}).code(), 0);
    let code = |world: &mut World, remote: &str, user: &str| login(world, remote, user).allocate(world, |_| {}).code();
    assert_eq!(code(&mut world, "192.0.2.2:1", "a"), 0);
    assert_eq!(code(&mut world, "192.0.2.3:1", "a"), 486, "the user has two");
    assert_eq!(code(&mut world, "192.0.2.1:2", "b"), 0);
    assert_eq!(code(&mut world, "192.0.2.1:3", "b"), 0);
    assert_eq!(code(&mut world, "192.0.2.1:4", "c"), 486, "the address has three");
    assert_eq!(code(&mut world, "192.0.2.4:1", "c"), 0);
    assert_eq!(code(&mut world, "192.0.2.5:1", "d"), 508, "the server has five");
    assert_eq!(first.refresh(&mut world, 0).code(), 0);
    assert_eq!(code(&mut world, "192.0.2.5:2", "d"), 0);
    assert_eq!(world.shared.settings().quotas.total, 5);
}

#[test]
fn what_fails_gives_everything_back() {
    let limits = QuotaLimits { total: 1, per_user: 1, per_address: 1 };
    let mut world = World::with(Settings { quotas: limits, relay_ports: 50_000..=50_003, ..world::settings() });
    let login = world.log_in(udp(ANN));
    for error in [OpenError::Exhausted, OpenError::Other] {
        world.sockets().failing = Some(error);
        assert_eq!(login.allocate(&mut world, |_| {}).code(), 508, "{error:?}");
    }
    world.sockets().failing = None;
    assert_eq!(login.allocate(&mut world, |_| {}).code(), 0);
}

#[test]
fn ports_of_other_programs_are_passed_over() {
    let mut world = World::with(Settings { relay_ports: 50_000..=50_007, ..world::settings() });
    world.sockets().taken.extend(50_000..50_007);
    let login = world.log_in(udp(ANN));
    assert_eq!(login.allocate(&mut world, |_| {}).relayed().port(), 50_007);
    let other = world.log_in(udp("192.0.2.9:5001"));
    assert_eq!(other.allocate(&mut world, |_| {}).code(), 508);
}

#[test]
fn a_pair_is_found_however_few_are_left_by_other_programs() {
    // Every port but those of one pair, and the odd ones of others: half a pair is none.
    for first in [50_000, 50_122, 50_998] {
        let mut world = World::with(Settings { relay_ports: 50_000..=50_999, ..world::settings() });
        world
            .sockets()
            .taken
            .extend((50_000..=50_999).filter(|port| ![first, first + 1].contains(port) && port % 7 != 1));
        let login = world.log_in(udp(ANN));
        let answer = login.allocate(&mut world, with(known::EVEN_PORT, &[0x80]));
        assert_eq!((answer.code(), answer.relayed().port()), (0, first));
        let token = answer.message().reservation_token().expect("a token").expect("eight bytes");
        let second = world.log_in(udp("192.0.2.9:5001"));
        let answer = second.allocate(&mut world, |writer| {
            writer.attribute(known::RESERVATION_TOKEN, &token);
        });
        assert_eq!((answer.code(), answer.relayed().port()), (0, first + 1));
    }
}

#[test]
fn the_pairs_that_others_leave_are_as_likely_as_each_other() {
    const PAIRS: [u16; 4] = [50_004, 50_060, 50_062, 50_198];
    let mut counts = [0_u32; 4];
    for seed in 0..400 {
        let mut world = World::seeded(seed, Settings { relay_ports: 50_000..=50_199, ..world::settings() });
        let is_left = |port: u16| PAIRS.contains(&(port / 2 * 2));
        world.sockets().taken.extend((50_000..=50_199).filter(|port| !is_left(*port)));
        let login = world.log_in(udp(ANN));
        let port = login.allocate(&mut world, with(known::EVEN_PORT, &[0x80])).relayed().port();
        counts[PAIRS.iter().position(|pair| *pair == port).expect("one of those left")] += 1;
    }
    // Chi-squared with 3 degrees of freedom exceeds 21.1 once in 10,000 sets of seeds, and these seeds are fixed.
    let chi: f64 = counts.iter().map(|count| (f64::from(*count) - 100.0).powi(2) / 100.0).sum();
    assert!(chi < 21.1, "{counts:?}");
}

#[test]
fn a_port_of_another_program_is_tried_once_a_minute() {
    let mut world = World::with(Settings { relay_ports: 50_000..=50_099, ..world::settings() });
    world.sockets().taken.extend(50_000..=50_099);
    let login = world.log_in(udp(ANN));
    for _ in 0..10 {
        assert_eq!(login.allocate(&mut world, with(known::EVEN_PORT, &[0x80])).code(), 508);
    }
    assert_eq!(world.sockets().tried, 50, "each even port once");
    assert_eq!(login.allocate(&mut world, |_| {}).code(), 508);
    assert_eq!(world.sockets().tried, 100);
    world.pass(60);
    world.sockets().taken.clear();
    assert_eq!(login.allocate(&mut world, with(known::EVEN_PORT, &[0x80])).code(), 0);
}

#[test]
fn when_one_relay_address_is_full_the_next_is_used() {
    let relay = |ip: &str| RelayAddress { bind: at(ip).ip(), external: at(ip).ip() };
    let mut world = World::with(Settings {
        relay_addresses: vec![relay("203.0.113.7:1"), relay("203.0.113.8:1")],
        relay_ports: 50_000..=50_000,
        ..world::settings()
    });
    let mut relayed = HashSet::new();
    for port in 1..=2 {
        relayed.insert(world.allocate(udp(&format!("192.0.2.1:{port}"))).1.ip());
    }
    assert_eq!(relayed.len(), 2);
    let login = world.log_in(udp("192.0.2.1:3"));
    assert_eq!(login.allocate(&mut world, |_| {}).code(), 508);
}

#[test]
fn ports_come_in_no_order_and_rest_after_use() {
    let mut world = World::with(Settings { relay_ports: 50_000..=50_063, ..world::settings() });
    let login = world.log_in(udp(ANN));
    let mut seen = Vec::new();
    for _ in 0..30 {
        let port = login.allocate(&mut world, |_| {}).relayed().port();
        assert!(!seen.contains(&port), "{port} had no rest");
        seen.push(port);
        login.refresh(&mut world, 0);
    }
    let steps: HashSet<i32> = seen.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0])).collect();
    assert!(steps.len() > 10, "{seen:?}");
}

#[test]
fn an_engine_that_begins_anew_gives_everything_back_and_goes_on_counting() {
    let quotas = QuotaLimits { total: 2, per_user: 2, per_address: 2 };
    let mut world = World::with(Settings { quotas, relay_ports: 50_000..=50_003, ..world::settings() });
    let (_, first) = world.allocate(udp(ANN));
    let login = world.log_in(udp("192.0.2.9:5001"));
    let pair = login.allocate(&mut world, with(known::EVEN_PORT, &[0])).relayed();
    world.renew();
    assert!(!world.engine().is_allocated(udp(ANN)));
    let stats = world.engine().stats();
    assert_eq!((stats.living(), stats.allocated), (0, 2));
    assert_eq!(login.refresh(&mut world, 600).code(), 437, "the same nonce, and no allocation");
    // Both quotas are free, and the ports rest as all used ones do.
    for remote in [ANN, "192.0.2.9:5001"] {
        let (_, relayed) = world.allocate(udp(remote));
        assert!(relayed != first && relayed != pair, "{relayed} had no rest");
    }
    // Nobody is behind the old addresses, which are other people's from now on.
    assert!(world.engine().poll_timeout().is_some());
}

#[test]
fn a_relayed_address_of_this_server_cannot_be_a_client() {
    let mut world = World::new();
    let (_, relayed) = world.allocate(udp(ANN));
    let request = world.plain(Method::Allocate, |_| {});
    let nested = Client { via: Via::Udp(0), remote: relayed };
    assert_eq!(world.client(nested, &request), world::Event::Nothing);
}

#[test]
fn a_dual_allocation_loses_one_family_at_a_time() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    login.allocate(&mut world, with(known::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]));
    let refresh = |world: &mut World, login: &Login, wanted: Option<[u8; 4]>, lifetime| {
        let answer = login.ask(world, Method::Refresh, |writer| {
            writer.lifetime(lifetime);
            if let Some(wanted) = wanted {
                writer.attribute(known::REQUESTED_ADDRESS_FAMILY, &wanted);
            }
        });
        answer.code()
    };
    assert_eq!(login.permit(&mut world, &["93.184.216.34:1", "[2606:2800::1]:1"]).code(), 0);
    assert_eq!(refresh(&mut world, &login, Some(family(Family::V4)), 0), 0);
    assert_eq!(login.permit(&mut world, &["93.184.216.34:1"]).code(), 443);
    assert_eq!(refresh(&mut world, &login, Some(family(Family::V4)), 600), 443);
    assert_eq!(refresh(&mut world, &login, Some([9, 0, 0, 0]), 600), 443);
    assert_eq!(world.sockets().open.len(), 1);
    assert_eq!(world.engine().stats().living(), 1);
    // IPv6 goes on alone, and ends by itself.
    world.pass(599);
    assert!(world.engine().is_allocated(udp(ANN)));
    world.pass(2);
    assert!(!world.engine().is_allocated(udp(ANN)));
    assert_eq!(refresh(&mut world, &login, None, 600), 437);
}

#[test]
fn families_of_a_dual_allocation_expire_for_themselves() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    login.allocate(&mut world, with(known::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]));
    world.pass(300);
    let answer = login.ask(&mut world, Method::Refresh, |writer| {
        writer.attribute(known::REQUESTED_ADDRESS_FAMILY, &family(Family::V6));
    });
    assert_eq!((answer.code(), answer.lifetime()), (0, 600));
    world.pass(301);
    assert_eq!(world.sockets().open.len(), 1);
    world.pass(300);
    assert!(world.sockets().open.is_empty());
}
