//! What is relayed: a session description as Chromium writes one for a data channel, with the time of sending in it.
//!
//! The time is 16 hexadecimal digits behind `@@`, so that the receiver finds it by comparing two bytes at a known
//! distance from the end, without reading JSON, and everything around it is compared byte by byte with what was sent:
//! a server that alters a payload fails the bench.

use serde_json::json;

/// Stands before the time, nowhere else in a payload.
pub(crate) const MARKER: &[u8; 2] = b"@@";
/// Hexadecimal digits of the time, in nanoseconds since the run's origin.
pub(crate) const DIGITS: usize = 16;
const NO_TIME: &str = "@@0000000000000000";

/// One payload's JSON text, split where the time stands.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    json: String,
    /// Where the digits begin.
    digits: usize,
}

impl Payload {
    /// A data-channel offer of about 550 bytes as `{"type":"offer","sdp":…}`.
    pub(crate) fn session_description() -> Self {
        Self::new(json!({ "type": "offer", "sdp": SDP.replace('\n', "\r\n") + "a=x-sent:" + NO_TIME + "\r\n" }))
    }

    /// An ICE candidate of a host on a local network, as the browser's `RTCIceCandidate.toJSON()` writes it.
    pub(crate) fn candidate() -> Self {
        let line = "candidate:842163049 1 udp 1677729535 203.0.113.27 46154 typ srflx raddr 0.0.0.0 rport 0 \
                    generation 0 ufrag Wq7H network-cost 999";
        Self::new(json!({ "candidate": line, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": NO_TIME }))
    }

    fn new(value: serde_json::Value) -> Self {
        let json = value.to_string();
        let digits = json.find("@@").map_or(0, |at| at + MARKER.len());
        Self { json, digits }
    }

    /// The JSON text.
    pub(crate) fn json(&self) -> &str {
        &self.json
    }

    /// What stands before the marker.
    pub(crate) fn head(&self) -> &[u8] {
        &self.json.as_bytes()[..self.digits - MARKER.len()]
    }

    /// What stands behind the digits.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.json.as_bytes()[self.digits + DIGITS..]
    }
}

/// Writes a time as [`DIGITS`] hexadecimal digits.
pub(crate) fn write_time(digits: &mut [u8], nanos: u64) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        *digit = HEX[(nanos >> (4 * place)) as usize & 0xf];
    }
}

/// Reads what [`write_time`] wrote; `None` for anything else.
pub(crate) fn read_time(digits: &[u8]) -> Option<u64> {
    if digits.len() != DIGITS {
        return None;
    }
    digits.iter().try_fold(0, |nanos, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(nanos << 4 | u64::from(value))
    })
}

/// Invented, in the form of a Chromium offer with one data channel.
const SDP: &str = "\
v=0
o=- 6402398114719352077 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:Wq7H
a=ice-pwd:pY3mN0cV8tRz5uKxJ2sLdG4b
a=ice-options:trickle
a=fingerprint:sha-256 3B:0E:97:5C:D2:41:A8:6F:13:B4:7A:E9:20:8D:55:C6:F1:02:9B:64:38:DE:A7:1C:80:4F:E3:76:B9:2A:51:CD
a=setup:actpass
a=mid:0
a=sctp-port:5000
a=max-message-size:262144
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_writing_and_reading() {
        for nanos in [0, 1, 0xdead_beef, u64::MAX] {
            let mut digits = [0; DIGITS];
            write_time(&mut digits, nanos);
            assert_eq!(read_time(&digits), Some(nanos));
        }
    }

    #[test]
    fn reads_nothing_but_sixteen_lower_case_digits() {
        assert_eq!(read_time(b"000000000000000"), None);
        assert_eq!(read_time(b"000000000000000G"), None);
        assert_eq!(read_time(b"000000000000000A"), None);
    }

    #[test]
    fn head_marker_digits_and_tail_make_the_payload() {
        for payload in [Payload::session_description(), Payload::candidate()] {
            let whole = [payload.head(), MARKER, &[b'0'; DIGITS], payload.tail()].concat();
            assert_eq!(whole, payload.json().as_bytes());
        }
    }

    #[test]
    fn the_description_has_the_size_of_a_browsers() {
        let size = Payload::session_description().json().len();
        assert!((520..=640).contains(&size), "{size} bytes");
    }
}
