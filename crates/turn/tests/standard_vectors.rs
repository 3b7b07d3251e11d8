//! The test vectors of the standards: RFC 5769 §2 and, for SHA-256 and USERHASH, RFC 8489 appendix B.1 with erratum 6268.

use switchboard_turn::message::{Class, Integrity, Key, Message, Method, PasswordAlgorithm, known};

/// RFC 5769 §2.1: a request with the short-term mechanism.
const REQUEST: &str = "\
    000100582112a442b7e7a701bc34d686fa87dfae802200105354554e20746573\
    7420636c69656e74002400046e0001ff80290008932ff9b151263b3600060009\
    6576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249\
    c1b571a280280004e57a3bcf";

/// RFC 5769 §2.2: its answer, with an IPv4 address.
const RESPONSE_V4: &str = "\
    0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563\
    746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f9\
    2af9ba53f06be7d780280004c07d4c96";

/// RFC 5769 §2.3: its answer, with an IPv6 address.
const RESPONSE_V6: &str = "\
    010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563\
    746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014\
    a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";

/// RFC 5769 §2.4: a request with the long-term mechanism.
const LONG_TERM: &str = "\
    000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383\
    aae38383e382afe382b900000015001c662f2f3439396b39353464364f4c3334\
    6f4c394653547679363473410014000b6578616d706c652e6f72670000080014\
    f67024656dd64a3e02b8e0712e85c9a28ca89666";

/// RFC 8489 appendix B.1: the same with MESSAGE-INTEGRITY-SHA256 and USERHASH.
const USERHASH: &str = "\
    000100902112a44278ad3433c6ad72c029da412e001e00204a3cf38fef6992bd\
    a952c6780417da0f24819415569e60b205c46e41407f1704001500296f624d61\
    744a6f733241414143662f2f3439396b39353464364f4c33346f4c3946535476\
    79363473410000000014000b6578616d706c652e6f726700001d000400020000\
    001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278c\
    c6518e65";

/// The password of the short-term vectors.
const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

/// User, realm and password of the long-term vectors, prepared.
const USER: [&str; 3] = ["\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}", "example.org", "TheMatrIX"];

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hex"))
        .collect()
}

#[test]
fn the_short_term_request_reads_and_verifies() {
    let bytes = bytes(REQUEST);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Request, Method::Binding));
    assert_eq!(message.username(), Some(Ok("evtj:h6vY")));
    assert_eq!(message.attribute(known::SOFTWARE), Some(&b"STUN test client"[..]));
    // PRIORITY is ICE's, not ours.
    assert_eq!(message.unknown_required(&[]).collect::<Vec<_>>(), [0x0024]);
    assert!(message.has_fingerprint());
    assert_eq!(message.integrity(), Some(Integrity::Sha1));
    assert!(message.verify(Integrity::Sha1, &Key::new(PASSWORD)));
    assert!(!message.verify(Integrity::Sha1, &Key::new(b"another password")));
    assert!(!message.verify(Integrity::Sha256, &Key::new(PASSWORD)));
}

#[test]
fn the_answers_read_and_verify() {
    for (hex, address) in
        [(RESPONSE_V4, "192.0.2.1:32853"), (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let bytes = bytes(hex);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.class(), message.method()), (Class::Success, Method::Binding));
        assert_eq!(message.mapped(), Some(address.parse().unwrap()));
        assert!(message.has_fingerprint());
        assert!(message.verify(Integrity::Sha1, &Key::new(PASSWORD)));
    }
}

#[test]
fn the_long_term_request_reads_and_verifies() {
    let bytes = bytes(LONG_TERM);
    let message = Message::parse(&bytes).unwrap();
    let [username, realm, password] = USER;
    assert_eq!(message.username(), Some(Ok(username)));
    assert_eq!(message.realm(), Some(Ok(realm)));
    assert_eq!(message.nonce(), Some(Ok("f//499k954d6OL34oL9FSTvy64sA")));
    let key = Key::long_term(PasswordAlgorithm::Md5, username, realm, password);
    assert!(message.verify(Integrity::Sha1, &key));
    assert!(!message.has_fingerprint());
}

#[test]
fn the_request_with_a_hashed_name_reads_and_verifies() {
    let bytes = bytes(USERHASH);
    let message = Message::parse(&bytes).unwrap();
    let [username, realm, password] = USER;
    assert_eq!(message.userhash().unwrap().unwrap()[..4], [0x4a, 0x3c, 0xf3, 0x8f]);
    assert_eq!(message.realm(), Some(Ok(realm)));
    assert_eq!(message.nonce(), Some(Ok("obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA")));
    assert_eq!(message.integrity(), Some(Integrity::Sha256));
    let algorithm = message.attribute(known::PASSWORD_ALGORITHM).and_then(PasswordAlgorithm::read);
    let key = Key::long_term(algorithm.unwrap_or(PasswordAlgorithm::Md5), username, realm, password);
    assert!(message.verify(Integrity::Sha256, &key));
}

#[test]
fn every_perturbed_byte_breaks_the_integrity_or_the_form() {
    for (hex, key) in [(REQUEST, Key::new(PASSWORD)), (RESPONSE_V4, Key::new(PASSWORD))] {
        let good = bytes(hex);
        // All but the fingerprint itself, which the key does not cover.
        for at in 0..good.len() - 8 {
            let mut bytes = good.clone();
            bytes[at] ^= 0x01;
            assert!(!Message::parse(&bytes).is_ok_and(|message| message.verify(Integrity::Sha1, &key)), "byte {at}");
        }
    }
}
