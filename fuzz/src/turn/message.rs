//! The codec, against the one of `stun-types`, and the cutting of streams.

use std::borrow::Cow;

use stun_types::attribute::Attribute as _;
use stun_types::message::{Message as Theirs, MessageClass};
use switchboard_turn::channel_data;
use switchboard_turn::client::Frames;
use switchboard_turn::framing::{MOST_FRAME, NotStun, Partial, Step, frame_length};
use switchboard_turn::message::{
    Class, Integrity, Key, MAX_ATTRIBUTES, Malformed, Message, PasswordAlgorithm, Writer, known,
};
use turn_types::channel::ChannelData;

/// Reads `data` as one packet.
///
/// A message reads as the other codec reads it, no value makes its reader fall over, and what is written again reads the
/// same. ChannelData is what it is there.
pub fn message(data: &[u8]) {
    let ours = Message::parse(data);
    let theirs = Theirs::from_bytes(data);
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => compare(ours, theirs),
        (Ok(ours), Err(error)) => assert!(is_ours_alone(ours), "{error:?}: {ours:?}"),
        // Bytes behind a message: a datagram is one message (RFC 8489 §6.3), and the other codec leaves them.
        (Err(Malformed::Length), Ok(_)) if has_more(data) => {}
        // Behind the signature nothing counts, and the other codec reads no lengths there either.
        (Err(Malformed::Length), Ok(theirs)) if is_signed(theirs) => {}
        // The other codec reads any method, any number of attributes, and looks at fingerprints only where asked.
        (Err(Malformed::Method | Malformed::TooMany | Malformed::Fingerprint), _) | (Err(_), Err(_)) => {}
        (Err(error), Ok(theirs)) => panic!("{error:?}, but {theirs:?}"),
    }
    if let Ok(ours) = ours {
        read_all(&ours);
        write_again(&ours);
    }
    let channel = channel_data::parse(data).map(|(number, range)| (number, &data[range]));
    let theirs = ChannelData::parse(data).ok();
    if let Some((number, payload)) = channel {
        let theirs = theirs.expect("ChannelData for the other codec too");
        assert_eq!((number, payload), (theirs.id(), theirs.data()));
    }
}

/// Whether there are more bytes than the header says (RFC 8489 §5).
fn has_more(data: &[u8]) -> bool {
    matches!(data, [_, _, high, low, ..] if data.len() > 20 + usize::from(u16::from_be_bytes([*high, *low])))
}

/// Whether the other codec has found MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256.
fn is_signed(theirs: &Theirs<'_>) -> bool {
    let signatures = [known::MESSAGE_INTEGRITY, known::MESSAGE_INTEGRITY_SHA256];
    theirs.iter_attributes().any(|(_, attribute)| signatures.contains(&attribute.get_type().value()))
}

/// What we read and the other codec refuses: attributes behind those that end a message do not count (RFC 8489 §14.5), so
/// they may be in any order; there they must not be at all.
fn is_ours_alone(message: &Message<'_>) -> bool {
    message.integrity().is_some() || message.has_fingerprint()
}

fn compare(ours: &Message<'_>, theirs: &Theirs<'_>) {
    let class = match theirs.class() {
        MessageClass::Request => Class::Request,
        MessageClass::Indication => Class::Indication,
        MessageClass::Success => Class::Success,
        MessageClass::Error => Class::Error,
    };
    assert_eq!((ours.class(), ours.method().code()), (class, theirs.method().value()));
    let id = u128::from(theirs.transaction_id()).to_be_bytes();
    assert_eq!(ours.transaction().0, id[4..]);
    let all = theirs.iter_attributes().map(|(_, attribute)| (attribute.get_type().value(), attribute.value));
    let theirs: Vec<(u16, Vec<u8>)> = all.map(|(kind, value)| (kind, Cow::from(&*value).into_owned())).collect();
    for (index, (kind, value)) in ours.attributes().enumerate() {
        assert_eq!((kind, value), (theirs[index].0, &theirs[index].1[..]), "attribute {index}");
    }
}

fn read_all(message: &Message<'_>) {
    let texts = [message.username(), message.realm(), message.nonce()];
    assert!(texts.into_iter().flatten().flatten().all(|text| text.len() <= 763));
    let _ = (message.userhash(), message.error_code(), message.lifetime(), message.channel_number());
    let _ = (message.requested_transport(), message.requested_family(), message.additional_family());
    let _ = (message.even_port(), message.reservation_token(), message.dont_fragment(), message.peer());
    let _ = (message.mapped(), message.relayed().count());
    assert!(message.peers().count() <= MAX_ATTRIBUTES);
    let key = Key::long_term(PasswordAlgorithm::Md5, "ann", "turn", "password");
    for integrity in [Integrity::Sha1, Integrity::Sha256] {
        assert!(!message.verify(integrity, &key), "a signature was guessed");
    }
}

fn write_again(message: &Message<'_>) {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, message.class(), message.method(), message.transaction());
    let attributes: Vec<_> = message.attributes().collect();
    for (kind, value) in &attributes {
        writer.attribute(*kind, value);
    }
    writer.fingerprint();
    let again = Message::parse(&bytes).map(|again| (again.has_fingerprint(), again.attributes().collect::<Vec<_>>()));
    // What fills a packet to the last byte has no room for a fingerprint, and the last attribute may be the 96th.
    let fits = bytes.len() <= 65_535 && attributes.len() < MAX_ATTRIBUTES;
    assert!(!fits || again == Ok((true, attributes)), "{again:?}");
}

/// Cuts `data` as a stream, whole and in pieces of a size that the first byte gives.
///
/// However the stream comes in, the same frames come out, and none is longer than a frame can be.
pub fn stream(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let size = usize::from(size).max(1);
    assert_eq!(cut(stream.chunks(size)), cut(std::iter::once(stream)));
}

/// Cuts `data` as the server does, whole and in pieces of a size that the first byte gives.
///
/// However the stream comes in, the same frames come out and nothing between them is lost; what is kept of a frame is
/// bounded; and what is refused is refused whatever the pieces.
pub fn framing(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let whole = cut_by_server(std::iter::once(stream));
    assert_eq!(cut_by_server(stream.chunks(usize::from(size).max(1))), whole);
    let (frames, is_broken) = whole;
    let together = frames.concat();
    assert!(stream.starts_with(&together), "frames are pieces of the stream");
    let rest = &stream[together.len()..];
    assert_eq!(frame_length(rest).is_err(), is_broken, "the rest is no frame, or a frame without its end");
    assert!(is_broken || !matches!(frame_length(rest), Ok(Some(length)) if length <= rest.len()));
}

fn cut_by_server<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let (mut partial, mut found) = (Partial::default(), Vec::new());
    for mut piece in pieces {
        while !piece.is_empty() {
            let (taken, frame) = match partial.take(piece) {
                Ok(Step::Frame(length)) => (length, Some(piece[..length].to_vec())),
                Ok(Step::End(length)) => (length, partial.whole().map(<[u8]>::to_vec)),
                Ok(Step::Kept(length)) => (length, None),
                Err(NotStun) => return (found, true),
            };
            assert!((1..=piece.len()).contains(&taken) && partial.len() <= MOST_FRAME);
            if let Some(frame) = frame {
                assert_eq!(frame_length(&frame), Ok(Some(frame.len())));
                found.push(frame);
                partial.clear();
            }
            piece = &piece[taken..];
        }
    }
    (found, false)
}

fn cut<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, bool) {
    let (mut frames, mut found) = (Frames::default(), Vec::new());
    for piece in pieces {
        frames.push(piece);
        loop {
            match frames.next_frame(|channel| channel_data::NUMBERS.contains(&channel) && channel % 2 == 0) {
                Ok(Some(frame)) => {
                    assert!((4..=65_535 + 20).contains(&frame.len()) && frame.len() % 4 == 0);
                    found.push(frame.to_vec());
                }
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}
