//! Which web pages may use the server.

use std::collections::HashSet;

use http::uri::Authority;
use http::{HeaderValue, Uri};

use crate::config::Origins;
use crate::server::SpawnError;

/// The operator's list, ready to be asked.
#[derive(Debug)]
pub(crate) struct OriginPolicy {
    any: bool,
    listed: HashSet<String>,
}

impl OriginPolicy {
    /// Reads the configuration; `public_url` counts as the server's own origin.
    pub(crate) fn new(origins: &Origins, public_url: Option<&str>) -> Result<Self, SpawnError> {
        let (any, listed) = match origins {
            Origins::Any => (true, &[][..]),
            Origins::Listed(listed) => (false, &listed[..]),
        };
        let bad = |text: &str| SpawnError::BadOrigin { text: text.to_owned() };
        let texts = listed.iter().map(String::as_str).chain(public_url);
        let listed = texts.map(|text| origin_of(text).ok_or_else(|| bad(text))).collect::<Result<_, _>>()?;
        Ok(Self { any, listed })
    }

    /// Whether the list names this origin; that all are admitted does not count.
    pub(crate) fn lists(&self, origin: &HeaderValue) -> bool {
        origin.to_str().ok().and_then(origin_of).is_some_and(|origin| self.listed.contains(&origin))
    }

    /// Whether a request is admitted: it comes from no page, from one of the server's own, or from a listed origin.
    ///
    /// The server's own origin is the one whose host the request was sent to. A page of another site cannot forge either
    /// header.
    pub(crate) fn admits(&self, origin: Option<&HeaderValue>, host: Option<&HeaderValue>) -> bool {
        let Some(origin) = origin else { return true };
        if self.any {
            return true;
        }
        let Some(origin) = origin.to_str().ok().and_then(origin_of) else { return false };
        let own = host.and_then(|host| host.to_str().ok()).map(str::to_ascii_lowercase);
        self.listed.contains(&origin)
            || own.is_some_and(|own| origin.split_once("://").is_some_and(|(_, at)| at == own))
    }
}

/// Scheme, host and port of a URL in lower case, without the port that the scheme implies.
fn origin_of(text: &str) -> Option<String> {
    let uri: Uri = text.trim_end_matches('/').parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let host = uri.authority().map(Authority::host)?.to_ascii_lowercase();
    if host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return None;
    }
    match (uri.port_u16(), &*scheme) {
        (None, _) | (Some(80), "http") | (Some(443), "https") => Some(format!("{scheme}://{host}")),
        (Some(port), _) => Some(format!("{scheme}://{host}:{port}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(policy: &OriginPolicy, origin: &'static str, host: &'static str) -> bool {
        policy.admits(Some(&HeaderValue::from_static(origin)), Some(&HeaderValue::from_static(host)))
    }

    #[test]
    fn admits_its_own_pages_and_listed_ones() {
        let listed = Origins::Listed(vec!["https://Friend.example:443/".into(), "http://[::1]:8080".into()]);
        let policy = OriginPolicy::new(&listed, Some("https://front.example/")).expect("valid");
        assert!(admits(&policy, "http://localhost:3000", "localhost:3000"));
        assert!(admits(&policy, "https://example.org", "Example.org"));
        assert!(admits(&policy, "https://friend.example", "localhost"));
        assert!(admits(&policy, "http://[::1]:8080", "localhost"));
        assert!(admits(&policy, "https://front.example", "localhost"));
        assert!(!admits(&policy, "http://friend.example", "localhost"));
        assert!(!admits(&policy, "http://localhost:3001", "localhost:3000"));
        assert!(!admits(&policy, "null", "localhost:3000"));
        assert!(policy.admits(None, None), "programs send no origin");
        assert!(admits(&OriginPolicy::new(&Origins::Any, None).expect("valid"), "null", "localhost"));
    }

    #[test]
    fn everybody_is_not_somebody_who_is_listed() {
        let origin = HeaderValue::from_static("https://friend.example");
        let listed = Origins::Listed(vec!["https://friend.example".into()]);
        assert!(OriginPolicy::new(&listed, None).expect("valid").lists(&origin));
        assert!(!OriginPolicy::new(&Origins::Any, None).expect("valid").lists(&origin));
    }

    #[test]
    fn refuses_a_list_that_holds_no_origin() {
        for bad in ["example.org", "", "https://", "https://user@example.org", "*"] {
            assert!(OriginPolicy::new(&Origins::Listed(vec![bad.into()]), None).is_err(), "{bad}");
        }
    }
}
