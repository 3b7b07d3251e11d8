//! The servers that clients give to `RTCPeerConnection` (W3C WebRTC §4.2.5, RFC 7064, RFC 7065).

use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::table::{self, Entry, Members};
use super::value::{REDACTED, Secrets, Setting, Wrong, describe, quote};

/// One `[[ice_servers]]` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IceEntry {
    /// At least one `stun:`, `turn:` or `turns:` URL.
    pub(crate) urls: Vec<String>,
    /// For TURN.
    pub(crate) username: Option<String>,
    /// For TURN.
    pub(crate) credential: Option<Credential>,
}

/// The password of a TURN server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// As typed; a secret.
    Inline(String),
    /// The first line of a file.
    File(PathBuf),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inline(_) => f.write_str(REDACTED),
            Self::File(path) => path.fmt(f),
        }
    }
}

impl Setting for IceEntry {
    const PLACEHOLDER: &'static str = "TABLE";

    fn rule() -> String {
        "a table such as { urls = [\"turn:turn.example.org\"], username = \"ann\", credential = \"secret\" }".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        table::from_text(text)
    }

    fn list_from_text(text: &str) -> Result<Vec<Self>, Wrong> {
        table::list_from_text(text)
    }

    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        table::from_toml(value)
    }

    fn to_toml(&self, secrets: Secrets) -> String {
        let urls: Vec<String> = self.urls.iter().map(|url| quote(url)).collect();
        let mut table = format!("{{ urls = [{}]", urls.join(", "));
        if let Some(name) = &self.username {
            table.push_str(&format!(", username = {}", quote(name)));
        }
        match &self.credential {
            Some(Credential::Inline(secret)) => {
                let shown = if secrets == Secrets::Show { secret } else { REDACTED };
                table.push_str(&format!(", credential = {}", quote(shown)));
            }
            Some(Credential::File(path)) => {
                table.push_str(&format!(", credential_file = {}", quote(&path.to_string_lossy())));
            }
            None => {}
        }
        table + " }"
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        tests::entry()
    }
}

impl Entry for IceEntry {
    const MEMBERS: &'static [&'static str] = &["urls", "username", "credential", "credential_file"];

    const EXAMPLE: &'static str = "[{ urls = [\"stun:stun.example.org\"] }]";

    fn read(members: Members<'_>) -> Result<Self, Wrong> {
        let entry =
            Self { urls: urls(members)?, username: members.text("username")?, credential: credential(members)? };
        entry.check()?;
        Ok(entry)
    }
}

impl IceEntry {
    /// Holds the entry against what browsers accept: `RTCPeerConnection` throws over a TURN URL without credentials.
    fn check(&self) -> Result<(), Wrong> {
        let is_turn = |url: &String| url.starts_with("turn:") || url.starts_with("turns:");
        let complete = self.username.is_some() && self.credential.is_some();
        match self.urls.iter().find(|url| is_turn(url)) {
            Some(url) if !complete => {
                Err(Wrong::because(format!("needs a username and a credential for {}", quote(url)))
                    .hint("add username = \"…\" and credential = \"…\" (or credential_file = \"…\")"))
            }
            _ => Ok(()),
        }
    }
}

fn urls(members: Members<'_>) -> Result<Vec<String>, Wrong> {
    let Some(value) = members.value("urls") else {
        return Err(Wrong::because("lacks its urls").hint("add urls = [\"stun:stun.example.org\"]"));
    };
    let items = match value.get_ref() {
        DeValue::Array(items) if !items.is_empty() => items.iter().collect(),
        _ => vec![value],
    };
    items.into_iter().map(url).collect()
}

fn url(value: &Spanned<DeValue<'_>>) -> Result<String, Wrong> {
    let rule = "a URL such as \"stun:stun.example.org\" or \"turn:turn.example.org:3478?transport=udp\"";
    let is_ice = |url: &str| {
        let host = ["stun:", "stuns:", "turn:", "turns:"].iter().find_map(|scheme| url.strip_prefix(scheme));
        host.is_some_and(|host| {
            host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
                && host.chars().all(|c| c.is_ascii_graphic())
        })
    };
    match value.get_ref().as_str() {
        Some(url) if is_ice(url) => Ok(url.to_owned()),
        _ => Err(Wrong::not(rule, &describe(value.get_ref())).at(value.span())),
    }
}

fn credential(members: Members<'_>) -> Result<Option<Credential>, Wrong> {
    match (members.secret("credential")?, members.text("credential_file")?) {
        (Some(_), Some(_)) => Err(Wrong::because("has both a credential and a credential_file")),
        (Some(secret), None) => Ok(Some(Credential::Inline(secret))),
        (None, Some(path)) => Ok(Some(Credential::File(PathBuf::from(path)))),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::value::tests::read;
    use super::*;

    pub(super) fn entry() -> BoxedStrategy<IceEntry> {
        let urls = proptest::collection::vec("(stun|turn|turns):[a-z]{1,9}\\.example(:[1-9][0-9]{3})?", 1..3);
        let secret = prop_oneof![
            "\\PC{1,12}".prop_filter("not the placeholder", |s| s != REDACTED).prop_map(Credential::Inline),
            "/[a-z]{1,9}".prop_map(|path| Credential::File(PathBuf::from(path))),
        ];
        (urls, "\\PC{1,9}", secret)
            .prop_map(|(urls, username, credential)| IceEntry {
                urls,
                username: Some(username),
                credential: Some(credential),
            })
            .boxed()
    }

    fn complaint(literal: &str) -> String {
        read::<IceEntry>(literal).expect_err("wrong").sentence
    }

    #[test]
    fn reads_one_url_or_several() {
        let one = read::<IceEntry>(r#"{ urls = "stun:a.example" }"#).expect("entry");
        assert_eq!(one.urls, ["stun:a.example"]);
        assert_eq!(IceEntry::from_text(r#"{ urls = ["stun:a.example"] }"#), Ok(one));
    }

    #[test]
    fn names_what_is_missing_or_doubled() {
        assert_eq!(complaint("{}"), "lacks its urls");
        assert_eq!(complaint(r#"{ urls = "turn:a" }"#), "needs a username and a credential for \"turn:a\"");
        assert_eq!(
            complaint(r#"{ urls = "stun:a", credential = "a", credential_file = "b" }"#),
            "has both a credential and a credential_file"
        );
        assert_eq!(complaint(r#"{ urls = "stun:a", user = "b" }"#), "has no member \"user\"");
        assert!(complaint(r#"{ urls = [] }"#).starts_with("must be a URL"));
        assert!(complaint(r#"{ urls = ["http://a"] }"#).starts_with("must be a URL"));
    }

    #[test]
    fn refuses_the_placeholder_of_a_printed_credential() {
        assert_eq!(
            complaint(r#"{ urls = "turn:a", username = "b", credential = "***" }"#),
            "has the placeholder \"***\" for its credential"
        );
    }

    proptest! {
        #[test]
        fn hidden_credentials_leave_no_trace(entry in entry()) {
            if let Some(Credential::Inline(secret)) = &entry.credential && secret.chars().count() > 6 {
                let without = IceEntry { credential: None, ..entry.clone() };
                prop_assume!(!without.to_toml(Secrets::Show).contains(secret.as_str()));
                prop_assert!(!entry.to_toml(Secrets::Hide).contains(secret.as_str()));
                let debug = format!("{:?}", entry.credential);
                prop_assert!(!debug.contains(secret.as_str()));
            }
        }
    }
}
