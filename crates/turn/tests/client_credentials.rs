//! A client answers challenges, and is not talked out of its signatures (RFC 8489 §9.2).

mod script;

use std::time::Instant;

use script::{allocated, challenge, client, event, md5_key, pass, sent, server, sha256_key};
use switchboard_turn::client::{Allocation, Event, RequestError, Strength, Transport, TurnClient};
use switchboard_turn::message::{Class, Integrity, Key, Message, known};

/// SHA-256 alone, as our server offers it, and both.
const SHA256: &[u8] = &[0, 2, 0, 0];
const BOTH: &[u8] = &[0, 2, 0, 0, 0, 1, 0, 0];
/// A nonce that promises password algorithms, and one that promises hashed user names too.
const ALGORITHMS: &str = "obMatJos2gAAAnonce";
const ANONYMITY: &str = "obMatJos2wAAAnonce";

/// A client whose Allocate request was answered with this challenge, and what it sends then.
fn challenged(transport: Transport, strength: Strength, nonce: &str, offer: Option<&[u8]>) -> (TurnClient, Vec<u8>) {
    let (mut client, now) = (client(transport, Some(strength)), Instant::now());
    client.allocate(Allocation::default(), now);
    let request = sent(&mut client);
    assert_eq!(Message::parse(&request).expect("a message").integrity(), None, "nothing is known yet");
    client.handle_input(server(), &challenge(&request, 401, nonce, offer), now);
    let request = sent(&mut client);
    (client, request)
}

fn failure(client: &mut TurnClient) -> RequestError {
    match event(client) {
        Event::Failed { error, .. } => error,
        other => panic!("no failure: {other:?}"),
    }
}

#[test]
fn signs_with_sha1_where_nothing_else_is_offered() {
    let (mut client, request) = challenged(Transport::Datagram, Strength::Best, "plain", None);
    let message = Message::parse(&request).expect("a message");
    assert!(message.verify(Integrity::Sha1, &md5_key()));
    assert_eq!(message.username(), Some(Ok("ann")));
    client.handle_input(server(), &allocated(&request, Integrity::Sha1, &md5_key()), Instant::now());
    assert!(matches!(event(&mut client), Event::Allocated { .. }));
}

#[test]
fn signs_with_sha256_where_it_is_offered_and_returns_the_offer() {
    for offer in [SHA256, BOTH] {
        let (mut client, request) = challenged(Transport::Datagram, Strength::Best, ALGORITHMS, Some(offer));
        let message = Message::parse(&request).expect("a message");
        assert!(message.verify(Integrity::Sha256, &sha256_key()));
        assert_eq!(message.attribute(known::PASSWORD_ALGORITHMS), Some(offer));
        assert_eq!(message.attribute(known::PASSWORD_ALGORITHM), Some(SHA256));
        client.handle_input(server(), &allocated(&request, Integrity::Sha256, &sha256_key()), Instant::now());
        assert!(matches!(event(&mut client), Event::Allocated { .. }));
    }
}

#[test]
fn hides_its_name_if_asked_to_where_the_server_can_do_without() {
    for (strength, hidden) in [(Strength::Anonymous, true), (Strength::Best, false)] {
        let (_, request) = challenged(Transport::Datagram, strength, ANONYMITY, Some(SHA256));
        let message = Message::parse(&request).expect("a message");
        assert_eq!(message.username().is_none(), hidden);
        assert_eq!(message.userhash().is_some(), hidden);
    }
}

#[test]
fn can_sign_as_browsers_do() {
    let (_, request) = challenged(Transport::Datagram, Strength::AsBrowsers, ANONYMITY, Some(SHA256));
    let message = Message::parse(&request).expect("a message");
    assert_eq!(message.integrity(), Some(Integrity::Sha1));
    assert_eq!(message.attribute(known::PASSWORD_ALGORITHMS), None);
    assert_eq!(message.username(), Some(Ok("ann")));
}

#[test]
fn an_offer_that_was_removed_is_noticed() {
    let (mut client, now) = (client(Transport::Datagram, Some(Strength::Best)), Instant::now());
    client.allocate(Allocation::default(), now);
    let request = sent(&mut client);
    client.handle_input(server(), &challenge(&request, 401, ALGORITHMS, None), now);
    assert_eq!(failure(&mut client), RequestError::Downgraded);
    assert_eq!(client.poll_transmit(), None, "nothing is signed for whoever removed it");
}

#[test]
fn a_wrong_password_is_told_after_one_try() {
    let (mut client, request) = challenged(Transport::Datagram, Strength::Best, "plain", None);
    client.handle_input(server(), &challenge(&request, 401, "another", None), Instant::now());
    assert_eq!(failure(&mut client), RequestError::WrongCredentials);
    assert_eq!(client.poll_transmit(), None);
}

#[test]
fn without_credentials_a_challenge_is_the_end() {
    let (mut client, now) = (client(Transport::Datagram, None), Instant::now());
    client.allocate(Allocation::default(), now);
    let request = sent(&mut client);
    client.handle_input(server(), &challenge(&request, 401, "plain", None), now);
    assert_eq!(failure(&mut client), RequestError::CredentialsMissing);
}

#[test]
fn a_stale_nonce_is_replaced_but_not_for_ever() {
    let (mut client, mut request) = challenged(Transport::Datagram, Strength::Best, "first", None);
    for nonce in ["second", "third", "fourth"] {
        client.handle_input(server(), &challenge(&request, 438, nonce, None), Instant::now());
        request = sent(&mut client);
        assert_eq!(Message::parse(&request).expect("a message").nonce(), Some(Ok(nonce)));
    }
    client.handle_input(server(), &challenge(&request, 438, "fifth", None), Instant::now());
    assert_eq!(failure(&mut client), RequestError::EndlesslyStale);
}

#[test]
fn the_next_request_is_signed_at_once() {
    let (mut client, request) = challenged(Transport::Datagram, Strength::Best, "plain", None);
    client.handle_input(server(), &allocated(&request, Integrity::Sha1, &md5_key()), Instant::now());
    client.create_permission(&[server()], Instant::now());
    let request = sent(&mut client);
    assert!(Message::parse(&request).expect("a message").verify(Integrity::Sha1, &md5_key()));
    assert_eq!(client.realm(), Some(script::REALM));
}

#[test]
fn a_forged_success_does_not_count_and_a_true_one_after_it_does() {
    let (mut client, request) = challenged(Transport::Datagram, Strength::Best, "plain", None);
    let now = Instant::now();
    client.handle_input(server(), &allocated(&request, Integrity::Sha1, &Key::new(b"forger")), now);
    let unsigned = script::answer(&request, Class::Success, |writer| {
        writer.relayed(server()).mapped(server()).lifetime(600);
    });
    client.handle_input(server(), &unsigned, now);
    assert_eq!(client.poll_event(), None);
    client.handle_input(server(), &allocated(&request, Integrity::Sha1, &md5_key()), now);
    assert!(matches!(event(&mut client), Event::Allocated { .. }));
}

#[test]
fn forged_answers_alone_are_told_apart_from_silence() {
    let (mut client, request) = challenged(Transport::Datagram, Strength::Best, "plain", None);
    let mut now = Instant::now();
    client.handle_input(server(), &allocated(&request, Integrity::Sha1, &Key::new(b"forger")), now);
    while client.poll_timeout().is_some() {
        pass(&mut client, &mut now);
    }
    assert_eq!(failure(&mut client), RequestError::TimedOut { forged: true });
}

#[test]
fn a_forged_answer_on_a_stream_is_the_end() {
    let (mut client, request) = challenged(Transport::Stream, Strength::Best, "plain", None);
    client.handle_input(server(), &allocated(&request, Integrity::Sha1, &Key::new(b"forger")), Instant::now());
    assert_eq!(failure(&mut client), RequestError::Forged);
}

#[test]
fn a_sha1_answer_to_a_sha256_request_does_not_count() {
    let (mut client, request) = challenged(Transport::Datagram, Strength::Best, ALGORITHMS, Some(SHA256));
    client.handle_input(server(), &allocated(&request, Integrity::Sha1, &md5_key()), Instant::now());
    assert_eq!(client.poll_event(), None);
}

#[test]
fn refusals_carry_their_code() {
    for (code, expected) in [(486, RequestError::Refused { code: 486 }), (508, RequestError::Refused { code: 508 })] {
        let (mut client, request) = challenged(Transport::Datagram, Strength::Best, "plain", None);
        let refusal = script::answer(&request, Class::Error, |writer| {
            writer.error_code(code).integrity(Integrity::Sha1, &md5_key());
        });
        client.handle_input(server(), &refusal, Instant::now());
        assert_eq!(failure(&mut client), expected);
    }
}
