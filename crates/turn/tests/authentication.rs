//! The long-term credential mechanism (RFC 8489 §9.2.4; attack table, rows 4, 5, 6, 8, 9 and 11).

mod world;

use std::sync::Arc;

use switchboard_turn::message::{Integrity, Key, Message, Method, PasswordAlgorithm, Writer, known};
use switchboard_turn::stats::{AuthFailure, Refused};
use switchboard_turn::{Client, Credentials, Rate, Settings, Via};
use world::{EPOCH, Event, Login, PASSWORD, USER, World, at, udp};

const ANN: &str = "192.0.2.9:5000";

fn transport(writer: &mut Writer<'_>) {
    writer.attribute(known::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
}

#[test]
fn the_first_answer_has_at_most_68_bytes_and_all_that_is_needed() {
    let mut world = World::new();
    let request = world.plain(Method::Allocate, transport);
    let answer = world.client(udp(ANN), &request).reply();
    assert_eq!((request.len(), answer.code()), (28, 401));
    assert!(answer.0.len() <= 68, "{} bytes", answer.0.len());
    let message = answer.message();
    assert_eq!(message.realm(), Some(Ok("turn")));
    assert!(answer.nonce().starts_with("obMatJos2AAAB"));
    assert_eq!(message.attribute(known::PASSWORD_ALGORITHMS), Some(&[0, 2, 0, 0][..]));
    assert_eq!(message.attribute(known::SOFTWARE), None);
    assert_eq!(message.integrity(), None);
}

#[test]
fn the_first_answer_has_at_most_136_bytes_with_the_longest_realm_of_the_configuration() {
    let secret = || "a secret that has some thirty characters".parse().expect("a strong secret");
    for (length, plain) in [(4, 68), (64, 128)] {
        let credentials = Credentials::new(&"r".repeat(length), secret(), None, Vec::new()).expect("credentials");
        let mut world = World::with(Settings { credentials: Arc::new(credentials), ..world::settings() });
        let request = world.plain(Method::Allocate, transport);
        assert_eq!(world.client(udp(ANN), &request).reply().0.len(), plain);
        let request = world.plain(Method::Allocate, |writer| {
            transport(writer);
            writer.fingerprint();
        });
        assert_eq!(world.client(udp(ANN), &request).reply().0.len(), plain + 8, "with FINGERPRINT");
    }
}

#[test]
fn every_method_but_binding_wants_a_password() {
    let mut world = World::new();
    for method in [Method::Allocate, Method::Refresh, Method::CreatePermission, Method::ChannelBind] {
        let request = world.plain(method, |_| {});
        assert_eq!(world.client(udp(ANN), &request).reply().code(), 401, "{method:?}");
    }
}

#[test]
fn nothing_is_stored_for_those_who_only_ask() {
    let mut world = World::new();
    for port in 1..2_000 {
        let client = udp(&format!("198.51.{}.{}:{port}", port % 100, port % 250));
        let request = world.plain(Method::Allocate, transport);
        let _ = world.client(client, &request);
        assert!(!world.engine().is_allocated(client));
    }
    assert_eq!(world.engine().stats().living(), 0);
    assert_eq!(world.engine().poll_timeout(), None);
    assert!(world.sockets().opened.is_empty());
}

#[test]
fn a_right_password_is_let_in_with_either_signature_and_either_key() {
    for (integrity, algorithm) in [
        (Integrity::Sha1, None),
        (Integrity::Sha256, None),
        (Integrity::Sha256, Some(PasswordAlgorithm::Sha256)),
        (Integrity::Sha1, Some(PasswordAlgorithm::Sha256)),
    ] {
        let mut world = World::new();
        let login = Login { integrity, algorithm, ..world.log_in(udp(ANN)) };
        let answer = login.allocate(&mut world, |_| {});
        assert_eq!(answer.code(), 0, "{integrity:?} {algorithm:?}");
        assert_eq!(answer.message().integrity(), Some(integrity));
        assert_eq!(login.permit(&mut world, &["93.184.216.34:1"]).code(), 0);
        assert_eq!(login.refresh(&mut world, 600).code(), 0);
    }
}

#[test]
fn an_operator_can_be_told_why_somebody_is_refused_and_of_nobody_else() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    assert_eq!(world.engine().refused(), None, "the first answer, and a password that is right");
    let why = |failure| Some(Refused { method: Method::Allocate, code: 401, failure: Some(failure), peer: None });
    for (name, password, failure) in [
        (USER, "wrong", AuthFailure::Password),
        ("nobody", "wrong", AuthFailure::UnknownUser),
        ("1600000000:ann", "wrong", AuthFailure::Expired),
    ] {
        let id = world.id();
        login.clone().named(name, password).ask_as(&mut world, id, Method::Allocate, transport);
        assert_eq!(world.engine().refused(), why(failure), "{name}");
    }
    assert_eq!(login.allocate(&mut world, |_| {}).code(), 0);
    assert_eq!(world.engine().refused(), None);
    assert_eq!(login.permit(&mut world, &["93.184.216.34:1", "10.0.0.1:1"]).code(), 403);
    let peer = Some(at("10.0.0.1:1").ip());
    let refused = Refused { method: Method::CreatePermission, code: 403, failure: None, peer };
    assert_eq!(world.engine().refused(), Some(refused));
    assert_eq!(login.bind(&mut world, 0x4000, "10.0.0.1:1").code(), 403);
    assert_eq!(world.engine().refused(), Some(Refused { method: Method::ChannelBind, ..refused }));
    assert_eq!(login.refresh(&mut world, 0).code(), 0);
    assert_eq!(world.engine().refused(), None);
}

#[test]
fn wrong_passwords_and_unknown_users_get_the_same_answer() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    let mut answers = Vec::new();
    for (name, password) in [(USER, "wrong"), ("nobody", "wrong"), ("nobody", PASSWORD), ("1600000000:ann", "wrong")] {
        let id = world.id();
        let answer = login.clone().named(name, password).ask_as(&mut world, id, Method::Allocate, transport);
        assert_eq!(answer.code(), 401);
        answers.push(answer.0[20..].to_vec());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    let failures = world.engine().stats().auth_failures;
    assert_eq!(failures[AuthFailure::UnknownUser as usize], 2);
    assert_eq!(failures[AuthFailure::Expired as usize], 1);
    assert_eq!(failures[AuthFailure::Password as usize], 1);
}

#[test]
fn guessing_passwords_uses_up_the_budget_over_connections_too() {
    let answers_per_prefix = Rate { per_second: 1, burst: 10 };
    for via in [Via::Udp(0), Via::Tcp(1), Via::Tls(1)] {
        let mut world = World::with(Settings { answers_per_prefix, ..world::settings() });
        let login = world.log_in(Client { via, remote: at(ANN) });
        let guess = login.clone().named(USER, "a guess").request(world.id(), Method::Allocate, transport);
        let answered = (0..100).filter(|_| world.client(login.client, &guess) != Event::Nothing).count();
        assert!(answered <= 10, "{answered} answers over {via:?}");
        // Who knows the password is let in all the same.
        assert_eq!(login.allocate(&mut world, |_| {}).code(), 0);
    }
}

#[test]
fn incomplete_claims_are_bad_requests() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    let all = [
        (known::USERNAME, USER.as_bytes().to_vec()),
        (known::REALM, b"turn".to_vec()),
        (known::NONCE, login.nonce.as_bytes().to_vec()),
    ];
    for missing in 0..all.len() {
        let request = world.plain(Method::Allocate, |writer| {
            transport(writer);
            for (kind, value) in all.iter().enumerate().filter(|(index, _)| *index != missing).map(|(_, a)| a) {
                writer.attribute(*kind, value);
            }
            writer.integrity(Integrity::Sha1, &login.key());
        });
        assert_eq!(world.client(udp(ANN), &request).reply().code(), 400, "without attribute {missing}");
    }
    // A name that is no text, and a name beside its hash.
    for (kind, value) in [(known::USERNAME, &[0xff; 4][..]), (known::USERHASH, &[0; 32])] {
        let request = login.request(world.id(), Method::Allocate, |writer| {
            transport(writer);
            writer.attribute(kind, value);
        });
        assert_eq!(world.client(udp(ANN), &request).reply().code(), 400);
    }
}

#[test]
fn a_nonce_is_good_for_its_address_and_an_hour() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    let stolen = Login { client: udp("192.0.2.66:5000"), ..login.clone() };
    let answer = stolen.allocate(&mut world, |_| {});
    assert_eq!(answer.code(), 438);
    assert_ne!(answer.nonce(), login.nonce);
    assert_eq!(answer.message().realm(), Some(Ok("turn")));
    assert_eq!(login.allocate(&mut world, |_| {}).code(), 0);
    let mut refreshed = 0;
    while refreshed < 3_500 {
        world.pass(500);
        refreshed += 500;
        assert_eq!(login.refresh(&mut world, 3600).code(), 0, "after {refreshed} s");
    }
    world.pass(200);
    let answer = login.refresh(&mut world, 3600);
    assert_eq!(answer.code(), 438);
    let renewed = Login { nonce: answer.nonce(), ..login };
    assert_eq!(renewed.refresh(&mut world, 3600).code(), 0);
}

#[test]
fn a_forged_nonce_is_stale_even_with_the_password() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    for nonce in ["", "x", "obMatJos2AAAB", "obMatJos2AAABAAAAAAA", &login.nonce.replace("AAAB", "AAAA")] {
        let forged = Login { nonce: nonce.to_owned(), ..login.clone() };
        assert_eq!(forged.allocate(&mut world, |_| {}).code(), 438, "{nonce:?}");
    }
}

#[test]
fn an_offer_of_algorithms_that_was_changed_on_its_way_is_refused() {
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    let tampered: [&[(u16, &[u8])]; 5] = [
        &[(known::PASSWORD_ALGORITHM, &[0, 2, 0, 0])],
        &[(known::PASSWORD_ALGORITHMS, &[0, 2, 0, 0])],
        &[(known::PASSWORD_ALGORITHMS, &[0, 1, 0, 0]), (known::PASSWORD_ALGORITHM, &[0, 1, 0, 0])],
        &[(known::PASSWORD_ALGORITHMS, &[0, 2, 0, 0]), (known::PASSWORD_ALGORITHM, &[0, 1, 0, 0])],
        &[(known::PASSWORD_ALGORITHMS, &[0, 2, 0, 0]), (known::PASSWORD_ALGORITHM, &[0, 9, 0, 0])],
    ];
    for attributes in tampered {
        let request = login.request(world.id(), Method::Allocate, |writer| {
            transport(writer);
            for (kind, value) in attributes {
                writer.attribute(*kind, value);
            }
        });
        assert_eq!(world.client(udp(ANN), &request).reply().code(), 400, "{attributes:?}");
    }
    // To take the offer away, the nonce's features must be changed too, and then it is no nonce of ours.
    let downgraded = Login { nonce: login.nonce.replacen("AAAB", "AAAA", 1), ..login };
    assert_eq!(downgraded.allocate(&mut world, |_| {}).code(), 438);
}

#[test]
fn who_signed_with_sha256_may_not_go_back_to_sha1() {
    let mut world = World::new();
    let strong = Login { integrity: Integrity::Sha256, ..world.log_in(udp(ANN)) };
    assert_eq!(strong.allocate(&mut world, |_| {}).code(), 0);
    let weak = Login { integrity: Integrity::Sha1, ..strong.clone() };
    assert_eq!(weak.refresh(&mut world, 0).code(), 401);
    assert_eq!(strong.refresh(&mut world, 600).code(), 0);
}

#[test]
fn where_sha256_is_asked_for_sha1_is_refused() {
    let mut world = World::with(Settings { min_integrity: Integrity::Sha256, ..world::settings() });
    let login = world.log_in(udp(ANN));
    assert_eq!(login.allocate(&mut world, |_| {}).code(), 401);
    let strong = Login { integrity: Integrity::Sha256, ..login };
    assert_eq!(strong.allocate(&mut world, |_| {}).code(), 0);
}

#[test]
fn a_shortened_sha256_counts_from_16_bytes_on() {
    for (length, code) in [(12, 401), (16, 0), (28, 0), (32, 0)] {
        let mut world = World::new();
        let login = Login { integrity: Integrity::Sha256, ..world.log_in(udp(ANN)) };
        let full = login.request(world.id(), Method::Allocate, transport);
        // The code covers the length of the message that it ends, so it is made anew for each length.
        let mut request = full[..full.len() - 36].to_vec();
        let size = u16::try_from(request.len() - 20 + 4 + length).expect("short");
        request[2..4].copy_from_slice(&size.to_be_bytes());
        let code_bytes = hmac_sha256(&login.key(), &request, length);
        request.extend([0, 0x1c, 0, length as u8]);
        request.extend(code_bytes);
        assert_eq!(Message::parse(&request).expect("a message").integrity(), Some(Integrity::Sha256));
        assert_eq!(world::Answer(reply_bytes(&mut world, &request)).code(), code, "{length} bytes");
    }
}

fn reply_bytes(world: &mut World, request: &[u8]) -> Vec<u8> {
    world.client(udp(ANN), request).reply().0
}

fn hmac_sha256(key: &Key, text: &[u8], length: usize) -> Vec<u8> {
    use hmac::Mac as _;
    // The key of the mechanism without PASSWORD-ALGORITHM: MD5 of name, realm and password.
    use md5::Digest as _;
    let bytes = md5::Md5::digest(format!("{USER}:turn:{PASSWORD}"));
    assert_eq!(*key, Key::new(&bytes));
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&bytes).expect("a key");
    mac.update(text);
    mac.finalize().into_bytes()[..length].to_vec()
}

#[test]
fn a_static_user_may_send_only_the_hash_of_the_name() {
    use sha2::Digest as _;
    let mut world = World::new();
    let login = world.log_in(udp(ANN));
    let hash = sha2::Sha256::digest(format!("{USER}:turn"));
    for (hash, code) in [(hash.as_slice(), 0), (&[7; 32], 401)] {
        let request = world.plain(Method::Allocate, |writer| {
            transport(writer);
            writer.attribute(known::USERHASH, hash);
            writer.attribute(known::REALM, b"turn");
            writer.attribute(known::NONCE, login.nonce.as_bytes());
            writer.integrity(Integrity::Sha256, &login.key());
        });
        assert_eq!(world.client(udp(ANN), &request).reply().code(), code);
        // The name itself means the same user.
        let named = Login { integrity: Integrity::Sha256, ..login.clone() };
        assert_eq!(named.refresh(&mut world, 0).code(), if code == 0 { 0 } else { 437 });
    }
}

#[test]
fn an_expired_name_allocates_and_prolongs_nothing_but_what_lives_goes_on() {
    let mut world = World::new();
    let issued = world.shared.credentials().issue("room", EPOCH + 60).expect("credentials");
    let login = world.log_in(udp(ANN)).named(&issued.username, &issued.password);
    assert_eq!(login.allocate(&mut world, |_| {}).code(), 0);
    world.pass(59);
    assert_eq!(login.refresh(&mut world, 600).code(), 0);
    world.pass(2);
    assert_eq!(login.refresh(&mut world, 600).code(), 401);
    assert_eq!(login.permit(&mut world, &["93.184.216.34:1"]).code(), 0);
    assert_eq!(login.bind(&mut world, 0x4000, "93.184.216.34:1").code(), 0);
    let late = Login { client: udp("192.0.2.9:5001"), ..login.clone() };
    assert_eq!(late.allocate(&mut world, |_| {}).code(), 401);
    // To end an allocation is no prolongation.
    assert_eq!(login.refresh(&mut world, 0).code(), 0);
    assert_eq!(world.engine().stats().living(), 0);
}

#[test]
fn another_users_request_on_the_same_connection_has_the_wrong_credentials() {
    let mut world = World::new();
    let (login, _) = world.allocate(udp(ANN));
    let ben = login.clone().named("ben", "another good password");
    for answer in [
        ben.refresh(&mut world, 0),
        ben.permit(&mut world, &["93.184.216.34:1"]),
        ben.bind(&mut world, 0x4000, "93.184.216.34:1"),
    ] {
        assert_eq!(answer.code(), 441);
        assert!(answer.message().integrity().is_some());
    }
    assert_eq!(login.refresh(&mut world, 600).code(), 0);
}

#[test]
fn streams_need_a_password_too() {
    let mut world = World::new();
    let client = Client { via: Via::Tls(7), remote: at(ANN) };
    let (login, _) = world.allocate(client);
    assert_eq!(login.refresh(&mut world, 600).code(), 0);
}
