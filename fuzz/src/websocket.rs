//! WebSocket frames (RFC 6455 §5).

use switchboard_server::websocket::frame::{self, Decoder, Event, Frame};

/// Reads `data` as what a client sends. The first byte says where the stream is cut and how large a message may be.
///
/// However the stream is cut, the same is read; no message is larger than the limit; what was unmasked and read can be
/// written again and says the same.
pub fn frame(data: &[u8]) {
    let Some((&first, stream)) = data.split_first() else { return };
    frame::fuzz(stream, usize::from(first));
    let limit = usize::from(first);
    let mut decoder = Decoder::new(limit);
    let mut rest = stream.to_vec();
    loop {
        let before = rest.len();
        let consumed = match decoder.decode(&mut rest) {
            Ok(Some(Frame { consumed, event })) => {
                if let Some(event) = event {
                    check(event, limit);
                }
                consumed
            }
            Ok(None) => return,
            Err(violation) => {
                assert!((1002..=1009).contains(&violation.close_code()));
                assert!(!violation.to_string().is_empty());
                return;
            }
        };
        assert!(consumed >= 6 && consumed <= before, "a frame of {consumed} of {before} bytes");
        rest.drain(..consumed);
    }
}

fn check(event: Event<'_>, limit: usize) {
    match event {
        Event::Text(text) => assert!(text.len() <= limit),
        Event::Binary(bytes) => assert!(bytes.len() <= limit),
        Event::Ping(bytes) => assert!(bytes.len() <= frame::CONTROL_BYTES),
        Event::Pong => {}
        Event::Close(code) => assert!(code.is_none_or(|code| (1000..5000).contains(&code))),
    }
}
