//! The opening handshake (RFC 6455 §4.2), as far as it is the same for every door.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use sha1::{Digest as _, Sha1};

use crate::origins::OriginPolicy;

/// Appended to the client's key (§1.3).
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The client's fault: why a request does not open a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("This address speaks WebSocket: open it with new WebSocket(url), not with an ordinary request.")]
    NotAnUpgrade,
    #[error("Only version 13 of WebSocket is spoken here (RFC 6455).")]
    UnsupportedVersion,
    #[error("The header Sec-WebSocket-Key must be 16 bytes in base64 (RFC 6455 §4.1).")]
    BadKey,
    #[error("Pages of this origin may not use this door; the server's operator can list it under `{setting}`.")]
    ForeignOrigin {
        /// Where the door's list stands in the configuration.
        setting: &'static str,
    },
}

impl Refused {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            // §4.2.2 asks for 426 where the version is wrong; for a page that was simply opened it says the same.
            Self::NotAnUpgrade | Self::UnsupportedVersion => StatusCode::UPGRADE_REQUIRED,
            Self::BadKey => StatusCode::BAD_REQUEST,
            Self::ForeignOrigin { .. } => StatusCode::FORBIDDEN,
        }
    }

    /// What the answer says in its headers (RFC 9110 §15.5.22, RFC 6455 §4.4).
    pub(crate) fn headers(self) -> &'static [(HeaderName, HeaderValue)] {
        static UPGRADES: [(HeaderName, HeaderValue); 2] =
            [(UPGRADE, HeaderValue::from_static("websocket")), (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))];
        match self {
            Self::NotAnUpgrade | Self::UnsupportedVersion => &UPGRADES,
            Self::BadKey | Self::ForeignOrigin { .. } => &[],
        }
    }
}

/// Whether the client asks for a WebSocket at all, well or badly.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, &UPGRADE, "websocket") && has_token(headers, &CONNECTION, "upgrade")
}

/// The headers of the answer 101.
pub(crate) type Accepted = [(HeaderName, HeaderValue); 3];

/// Checks a request and returns the headers of the answer 101.
pub(crate) fn accept(request: &Parts, origins: &OriginPolicy) -> Result<Accepted, Refused> {
    if request.method != Method::GET || request.version != Version::HTTP_11 || !is_upgrade(&request.headers) {
        return Err(Refused::NotAnUpgrade);
    }
    if request.headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refused::UnsupportedVersion);
    }
    let key = request.headers.get(SEC_WEBSOCKET_KEY).ok_or(Refused::BadKey)?;
    if STANDARD.decode(key).map_or(0, |nonce| nonce.len()) != 16 {
        return Err(Refused::BadKey);
    }
    if !origins.admits(&request.headers, &request.extensions) {
        origins.tell_refusal(&request.headers, &request.extensions);
        return Err(Refused::ForeignOrigin { setting: origins.setting() });
    }
    Ok([
        (CONNECTION, HeaderValue::from_static("upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_ACCEPT, answer_to(key)),
    ])
}

fn answer_to(key: &HeaderValue) -> HeaderValue {
    let digest = Sha1::new().chain_update(key.as_bytes()).chain_update(KEY_SUFFIX).finalize();
    // Base64 is always a valid header value.
    HeaderValue::try_from(STANDARD.encode(digest)).unwrap_or(HeaderValue::from_static(""))
}

/// Whether a comma-separated header contains a word, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::Config;
    use crate::config::Origins;

    fn request(change: impl FnOnce(&mut Request<()>)) -> Result<HeaderValue, Refused> {
        let mut request = Request::get("/ws")
            .header("Host", "server.example.com")
            .header("Upgrade", "WebSocket")
            .header("Connection", "keep-alive, Upgrade")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Version", "13")
            .body(())
            .expect("valid");
        change(&mut request);
        let listed = Origins::Listed(vec!["https://friend.example".into()]);
        let origins = OriginPolicy::new("origins", &listed, &Config::default()).expect("valid");
        accept(&request.into_parts().0, &origins).map(|[_, _, (_, answer)]| answer)
    }

    #[test]
    fn answers_the_key_of_the_standard() {
        assert_eq!(request(|_| ()).expect("accepted"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn refuses_what_is_no_handshake() {
        assert_eq!(request(|r| *r.method_mut() = Method::POST), Err(Refused::NotAnUpgrade));
        assert_eq!(request(|r| *r.version_mut() = Version::HTTP_10), Err(Refused::NotAnUpgrade));
        assert_eq!(request(|r| drop(r.headers_mut().remove("upgrade"))), Err(Refused::NotAnUpgrade));
        assert_eq!(
            request(|r| drop(r.headers_mut().remove("sec-websocket-version"))),
            Err(Refused::UnsupportedVersion)
        );
        let value = HeaderValue::from_static;
        let set = |name: &'static str, text| request(|r| drop(r.headers_mut().insert(name, value(text))));
        assert_eq!(set("sec-websocket-version", "8"), Err(Refused::UnsupportedVersion));
        assert_eq!(set("sec-websocket-key", "c2hvcnQ="), Err(Refused::BadKey));
        assert_eq!(set("sec-websocket-key", "!"), Err(Refused::BadKey));
        assert_eq!(set("origin", "https://evil.example"), Err(Refused::ForeignOrigin { setting: "origins" }));
        assert!(set("origin", "https://friend.example").is_ok());
        assert!(set("origin", "https://server.example.com").is_ok());
    }
}
