//! A client resends, gives up and forgets as RFC 8489 §6.2 says.

mod script;

use std::time::{Duration, Instant};

use script::{bound, client, event, mapped, pass, sent, server};
use switchboard_turn::client::{Event, MAX_PENDING, RequestError, Transport};
use switchboard_turn::message::Class;

#[test]
fn an_unanswered_request_is_sent_seven_times_and_then_given_up() {
    let (mut client, mut now) = (client(Transport::Datagram, None), Instant::now());
    let request = client.bind(now);
    let first = sent(&mut client);
    let mut waits = Vec::new();
    while client.poll_timeout().is_some() {
        waits.push(pass(&mut client, &mut now).as_millis());
        if let Some(again) = client.poll_transmit() {
            assert_eq!(again.payload, first, "the same request");
        }
    }
    assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 8_000]);
    assert_eq!(event(&mut client), Event::Failed { request, error: RequestError::TimedOut { forged: false } });
    assert_eq!(client.poll_event(), None);
}

#[test]
fn an_answer_to_the_last_send_still_counts() {
    let (mut client, mut now) = (client(Transport::Datagram, None), Instant::now());
    client.bind(now);
    for _ in 0..6 {
        pass(&mut client, &mut now);
    }
    let last = std::iter::from_fn(|| client.poll_transmit()).last().expect("sent");
    client.handle_input(server(), &bound(&last.payload), now);
    let Event::Bound { binding, .. } = event(&mut client) else { panic!("bound") };
    assert_eq!(binding.mapped, mapped());
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn a_second_answer_is_ignored() {
    let (mut client, now) = (client(Transport::Datagram, None), Instant::now());
    client.bind(now);
    let request = sent(&mut client);
    for _ in 0..2 {
        client.handle_input(server(), &bound(&request), now);
    }
    assert!(matches!(event(&mut client), Event::Bound { .. }));
    assert_eq!(client.poll_event(), None);
}

#[test]
fn strangers_and_noise_are_ignored() {
    let (mut client, now) = (client(Transport::Datagram, None), Instant::now());
    client.bind(now);
    let request = sent(&mut client);
    let mut other = bound(&request);
    other[12] ^= 1;
    let echo = script::answer(&request, Class::Request, |_| {});
    for noise in [&other[..], &echo, b"", b"GET / HTTP/1.1", &[0x40, 0, 0, 1, 9]] {
        client.handle_input(server(), noise, now);
    }
    assert_eq!(client.poll_event(), None);
}

#[test]
fn a_stream_resends_nothing_and_waits_as_long() {
    let (mut client, mut now) = (client(Transport::Stream, None), Instant::now());
    client.bind(now);
    sent(&mut client);
    assert_eq!(pass(&mut client, &mut now), Duration::from_millis(39_500));
    assert_eq!(client.poll_transmit(), None);
    assert!(matches!(event(&mut client), Event::Failed { error: RequestError::TimedOut { .. }, .. }));
}

#[test]
fn a_stream_comes_in_any_pieces() {
    let (mut client, now) = (client(Transport::Stream, None), Instant::now());
    client.bind(now);
    client.bind(now);
    let answers = [bound(&sent(&mut client)), bound(&sent(&mut client))].concat();
    for piece in answers.chunks(3) {
        client.handle_input(server(), piece, now);
    }
    assert!(matches!(event(&mut client), Event::Bound { .. }));
    assert!(matches!(event(&mut client), Event::Bound { .. }));
}

#[test]
fn another_protocol_on_the_stream_ends_everything() {
    let (mut client, now) = (client(Transport::Stream, None), Instant::now());
    let request = client.bind(now);
    client.handle_input(server(), b"HTTP/1.1 400 Bad Request\r\n\r\n", now);
    assert!(matches!(event(&mut client), Event::Broken(_)));
    assert_eq!(event(&mut client), Event::Failed { request, error: RequestError::Closed });
    let late = client.bind(now);
    assert_eq!(event(&mut client), Event::Failed { request: late, error: RequestError::Closed });
}

#[test]
fn requests_without_answers_are_bounded() {
    let (mut client, now) = (client(Transport::Datagram, None), Instant::now());
    for _ in 0..MAX_PENDING {
        client.bind(now);
    }
    assert_eq!(client.poll_event(), None);
    let request = client.bind(now);
    assert_eq!(event(&mut client), Event::Failed { request, error: RequestError::Busy });
}
