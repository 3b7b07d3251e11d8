//! The client's half of the long-term credential mechanism (RFC 8489 §9.2): takes challenges, signs requests, checks answers.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::{BadLogin, RequestError};
use crate::message::{Integrity, Key, Message, PasswordAlgorithm, Writer, known};

/// What a nonce begins with whose next four characters are feature bits (RFC 8489 §9.2).
const COOKIE: &str = "obMatJos2";
/// The server offers password algorithms: bit 0 of 24, counted from the left (RFC 8489 §18.1).
const PASSWORD_ALGORITHMS: u32 = 1 << 23;
/// The server understands USERHASH: bit 1.
const USERNAME_ANONYMITY: u32 = 1 << 22;

/// What a client makes of a server's offer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Strength {
    /// SHA-256 where the server offers it, else SHA-1.
    #[default]
    Best,
    /// As [`Self::Best`], and the user name is hashed where the server offers that (USERHASH). Servers find only names that
    /// they store so: no time-limited ones.
    Anonymous,
    /// SHA-1 and the plain user name always, as browsers do.
    AsBrowsers,
}

/// A user name and a password. The password never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    username: String,
    password: String,
    strength: Strength,
}

impl Login {
    /// Prepares both (SASLprep, RFC 4013).
    ///
    /// # Errors
    ///
    /// The user name is empty or longer than 508 bytes, or one of them contains control characters.
    pub fn new(username: &str, password: &str, strength: Strength) -> Result<Self, BadLogin> {
        let prepared = |text| stringprep::saslprep(text).map(Cow::into_owned).map_err(|_| BadLogin::Prohibited);
        let (username, password) = (prepared(username)?, prepared(password)?);
        if !(1..=508).contains(&username.len()) {
            return Err(BadLogin::NameLength);
        }
        Ok(Self { username, password, strength })
    }

    /// The user name as it is sent.
    pub fn username(&self) -> &str {
        &self.username
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).field("password", &"***").finish()
    }
}

/// What the server has told, and the key that follows from it.
#[derive(Debug)]
struct Challenge {
    realm: String,
    nonce: String,
    integrity: Integrity,
    key: Key,
    /// The algorithm in use and the server's offer as it came, where one is made use of.
    offer: Option<(PasswordAlgorithm, Vec<u8>)>,
    /// Sent instead of the user name.
    userhash: Option<[u8; 32]>,
}

/// Credentials, and the server's last challenge.
#[derive(Debug)]
pub(super) struct Session {
    login: Option<Login>,
    challenge: Option<Challenge>,
}

/// What an answer's signature is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Signature {
    /// It holds.
    Right,
    /// There is none.
    Missing,
    /// It does not hold.
    Wrong,
}

impl Session {
    pub(super) fn new(login: Option<Login>) -> Self {
        Self { login, challenge: None }
    }

    pub(super) fn realm(&self) -> Option<&str> {
        self.challenge.as_ref().map(|challenge| challenge.realm.as_str())
    }

    /// Takes realm and nonce of an answer 401 or 438.
    pub(super) fn take(&mut self, message: &Message<'_>) -> Result<(), RequestError> {
        let login = self.login.as_ref().ok_or(RequestError::CredentialsMissing)?;
        let lacks = |missing| RequestError::Incomplete { missing };
        let realm = message.realm().and_then(Result::ok).ok_or(lacks("REALM"))?;
        let nonce = message.nonce().and_then(Result::ok).ok_or(lacks("NONCE"))?;
        let features = features(nonce);
        let offer = message.attribute(known::PASSWORD_ALGORITHMS);
        if features & PASSWORD_ALGORITHMS != 0 && offer.is_none() {
            return Err(RequestError::Downgraded);
        }
        self.challenge = Some(login.answer(realm, nonce, features, offer));
        Ok(())
    }

    /// Adds credentials and signature, if the server has asked for them; tells whether it did.
    pub(super) fn sign(&self, writer: &mut Writer<'_>) -> bool {
        let (Some(login), Some(challenge)) = (&self.login, &self.challenge) else { return false };
        match &challenge.userhash {
            Some(hash) => writer.attribute(known::USERHASH, hash),
            None => writer.attribute(known::USERNAME, login.username.as_bytes()),
        };
        writer.attribute(known::REALM, challenge.realm.as_bytes());
        writer.attribute(known::NONCE, challenge.nonce.as_bytes());
        if let Some((algorithm, offered)) = &challenge.offer {
            writer.attribute(known::PASSWORD_ALGORITHM, &algorithm.value());
            writer.attribute(known::PASSWORD_ALGORITHMS, offered);
        }
        writer.integrity(challenge.integrity, &challenge.key);
        true
    }

    /// Looks at the signature of an answer to a request that was signed.
    pub(super) fn check(&self, message: &Message<'_>) -> Signature {
        match (&self.challenge, message.integrity()) {
            (_, None) => Signature::Missing,
            (Some(challenge), Some(_)) if message.verify(challenge.integrity, &challenge.key) => Signature::Right,
            (Some(_) | None, Some(_)) => Signature::Wrong,
        }
    }
}

impl Login {
    fn answer(&self, realm: &str, nonce: &str, features: u32, offer: Option<&[u8]>) -> Challenge {
        let offer = match self.strength {
            Strength::Best | Strength::Anonymous => offer.and_then(|offer| Some((best(offer)?, offer.to_vec()))),
            Strength::AsBrowsers => None,
        };
        let anonymous = self.strength == Strength::Anonymous && features & USERNAME_ANONYMITY != 0;
        let algorithm = offer.as_ref().map_or(PasswordAlgorithm::Md5, |(algorithm, _)| *algorithm);
        Challenge {
            integrity: if offer.is_some() { Integrity::Sha256 } else { Integrity::Sha1 },
            key: Key::long_term(algorithm, &self.username, realm, &self.password),
            userhash: anonymous.then(|| Sha256::digest(format!("{}:{realm}", self.username)).into()),
            realm: realm.to_owned(),
            nonce: nonce.to_owned(),
            offer,
        }
    }
}

/// The first algorithm of an offer that is known (RFC 8489 §9.2.3.2); each has a number, a length and padded parameters.
fn best(mut offer: &[u8]) -> Option<PasswordAlgorithm> {
    while let [_, _, high, low, rest @ ..] = offer {
        let parameters = usize::from(u16::from_be_bytes([*high, *low])).next_multiple_of(4);
        if let Some(known) = PasswordAlgorithm::read(&offer[..4]) {
            return Some(known);
        }
        offer = rest.get(parameters..)?;
    }
    None
}

/// The feature bits of a nonce; none in a nonce without the cookie.
fn features(nonce: &str) -> u32 {
    let bits = nonce.strip_prefix(COOKIE).and_then(|rest| rest.get(..4)).and_then(|text| STANDARD.decode(text).ok());
    match bits.as_deref() {
        Some([a, b, c]) => u32::from_be_bytes([0, *a, *b, *c]),
        Some(_) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feature_bits_count_from_the_left() {
        assert_eq!(features("obMatJos2gAAAxyz"), PASSWORD_ALGORITHMS);
        assert_eq!(features("obMatJos2wAAAxyz"), PASSWORD_ALGORITHMS | USERNAME_ANONYMITY);
        assert_eq!(features("obMatJos2AAAA"), 0);
        for nonce in ["", "obMatJos2", "obMatJos2!!!!", "abc"] {
            assert_eq!(features(nonce), 0, "{nonce}");
        }
    }

    #[test]
    fn takes_the_first_algorithm_that_it_knows() {
        assert_eq!(best(&[0, 2, 0, 0, 0, 1, 0, 0]), Some(PasswordAlgorithm::Sha256));
        assert_eq!(best(&[0, 1, 0, 0, 0, 2, 0, 0]), Some(PasswordAlgorithm::Md5));
        assert_eq!(best(&[0, 9, 0, 3, 1, 2, 3, 0, 0, 2, 0, 0]), Some(PasswordAlgorithm::Sha256));
        for nonsense in [&[][..], &[0, 2], &[0, 9, 0xff, 0xff], &[0, 9, 0, 0]] {
            assert_eq!(best(nonsense), None);
        }
    }

    #[test]
    fn names_and_passwords_are_prepared() {
        let login = Login::new(
            "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}",
            "The\u{00AD}M\u{00AA}tr\u{2168}",
            Strength::Best,
        );
        let login = login.expect("a login");
        // RFC 5769 §2.4.
        assert_eq!(login.password, "TheMatrIX");
        assert_eq!(Login::new("", "x", Strength::Best), Err(BadLogin::NameLength));
        assert_eq!(Login::new("ann", "a\u{7}", Strength::Best), Err(BadLogin::Prohibited));
        assert!(!format!("{login:?}").contains("Matr"));
    }
}
