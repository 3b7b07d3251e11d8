//! Who may allocate: users that come with a time-limited name that the server itself once signed (the REST form,
//! draft-uberti-behave-turn-rest-00), and users with a name and password for software that knows nothing else.
//!
//! Nothing is remembered of the former: name and secret make the password again. Deliberately without anonymous access.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use crate::prepare::{REALM_BYTES, USERNAME_BYTES, opaque_string};
use crate::secret::Secret;
use crate::user::StaticUser;

/// The keys of one password (RFC 8489 §9.2.2), of which the request's algorithm takes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// `MD5(name:realm:password)`, which keys HMAC-SHA1, and HMAC-SHA256 where no algorithm was negotiated.
    pub md5: [u8; 16],
    /// `SHA-256(name:realm:password)`, for clients that chose this PASSWORD-ALGORITHM.
    pub sha256: [u8; 32],
}

/// A user whose name is good; whether it is that user, the keys tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What quotas count and logs name, prepared, so that one user has one spelling. Of a time-limited name it is what
    /// stands behind the first colon: who gets a new name keeps the quota.
    pub user: Arc<str>,
    /// When the name expires, since 1970; never for static users.
    pub expires: Option<Duration>,
}

/// Why a name is no good. The client is told 401 for both: only logs and counters tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The time in the name has passed.
    Expired,
    /// Nobody is called so.
    Unknown,
}

/// What is known of a name. There are always keys to try, as many for unknown names as for known ones, so that the time an
/// answer takes says nothing about who exists.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Try all of them, in this order, then ask for the account.
    pub keys: Vec<Keys>,
    /// The account, if there is one: a key that fits is worth nothing without.
    pub account: Result<Account, Refusal>,
}

/// A name and a password for an `RTCIceServer`.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// `EXPIRY:user`.
    pub username: String,
    /// Base64 of HMAC-SHA1 over the name.
    pub password: String,
}

/// Credentials that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The realm breaks the standard's limits.
    #[error("the realm must have 1 to {REALM_BYTES} bytes and neither control characters nor quotation marks")]
    Realm,
    /// Two static users have one name.
    #[error("there are two TURN users named {0:?}")]
    TwoOfOneName(String),
    /// The name to issue credentials for breaks the standard's limits.
    #[error("a user's name must have 1 to {} bytes and no control or invisible characters", ISSUED_NAME_BYTES)]
    Name,
}

/// Longest name that credentials are issued for, in bytes: what USERNAME leaves behind 20 digits and a colon.
const ISSUED_NAME_BYTES: usize = USERNAME_BYTES - 21;

/// The secrets and users of a server; shared by its workers.
pub struct Credentials {
    realm: String,
    secrets: RwLock<Secrets>,
    users: HashMap<String, Static>,
    /// Static users by USERHASH (RFC 8489 §14.4). Time-limited names cannot be found so: the hash hides the time and the
    /// name, and the server remembers none that it signed.
    hashes: HashMap<[u8; 32], String>,
    /// The most keys that a static user has.
    forms: usize,
}

struct Secrets {
    current: Secret,
    previous: Option<Secret>,
    /// Makes keys for names that nobody has; no password ever comes of it.
    decoy: Secret,
}

struct Static {
    account: Account,
    keys: Vec<Keys>,
}

impl Credentials {
    /// Takes the secret that signs names, its predecessor, whose names are good until they expire, and the static users,
    /// whose keys are made now.
    pub fn new(
        realm: &str,
        secret: Secret,
        previous: Option<Secret>,
        users: Vec<StaticUser>,
    ) -> Result<Self, CredentialsError> {
        let realm = opaque_string(realm)
            .filter(|realm| realm.len() <= REALM_BYTES && !realm.contains('"'))
            .ok_or(CredentialsError::Realm)?;
        let mut credentials = Self {
            secrets: RwLock::new(Secrets::new(secret, previous)),
            users: HashMap::new(),
            hashes: HashMap::new(),
            forms: users.iter().map(|user| user.passwords().len()).max().unwrap_or(0),
            realm,
        };
        for user in users {
            credentials.add(&user)?;
        }
        Ok(credentials)
    }

    /// The realm, prepared: what clients are told.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Signs a name for `user` that is good until `expires_unix`, in seconds since 1970.
    pub fn issue(&self, user: &str, expires_unix: u64) -> Result<Issued, CredentialsError> {
        let user = opaque_string(user).filter(|user| user.len() <= ISSUED_NAME_BYTES).ok_or(CredentialsError::Name)?;
        let username = format!("{expires_unix}:{user}");
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let password = String::clone(&password_of(&secrets.current, &username));
        Ok(Issued { username, password })
    }

    /// Signs with `secret` from now on. What the old one has signed stays good until it expires; what the one before has
    /// signed is good no more.
    pub fn rotate(&self, secret: Secret) {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *secrets, Secrets::new(secret, None));
        secrets.previous = Some(old.current);
    }

    /// Looks up what USERNAME says. A time-limited name is good before its time, not at it.
    pub fn lookup(&self, username: &str, now_unix: Duration) -> Lookup {
        let prepared = opaque_string(username).filter(|_| username.len() <= USERNAME_BYTES);
        let user = prepared.as_ref().and_then(|name| self.users.get(name));
        let account = match (user, &prepared) {
            (Some(user), _) => Ok(user.account.clone()),
            (None, Some(prepared)) => timed_account(prepared, now_unix),
            (None, None) => Err(Refusal::Unknown),
        };
        let is_timed = user.is_none() && account.is_ok();
        Lookup { keys: self.keys(user, username, is_timed), account }
    }

    /// Looks up what USERHASH says (RFC 8489 §14.4); finds static users alone.
    pub fn lookup_hash(&self, hash: &[u8; 32]) -> Lookup {
        let user = self.hashes.get(hash).and_then(|name| self.users.get(name));
        let account = user.map(|user| user.account.clone()).ok_or(Refusal::Unknown);
        // As text, the hash is about as long as a name.
        Lookup { keys: self.keys(user, &STANDARD.encode(hash), false), account }
    }

    /// The keys to try, always the same number, and made with the same work whoever asks.
    fn keys(&self, user: Option<&Static>, username: &str, is_timed: bool) -> Vec<Keys> {
        let username = if username.len() <= USERNAME_BYTES { username } else { "" };
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let signing = || std::iter::once(&secrets.current).chain(&secrets.previous);
        let count = self.forms.max(signing().count());
        let mut keys: Vec<Keys> = signing()
            .filter(|_| is_timed)
            .chain(std::iter::repeat(&secrets.decoy))
            .take(count)
            .map(|secret| Keys::new(username, &self.realm, &password_of(secret, username)))
            .collect();
        if let Some(user) = user {
            keys.splice(..user.keys.len(), user.keys.iter().cloned());
        }
        keys
    }

    fn add(&mut self, user: &StaticUser) -> Result<(), CredentialsError> {
        let name = user.name().to_owned();
        if self.users.contains_key(&name) {
            return Err(CredentialsError::TwoOfOneName(name));
        }
        let keys = user.passwords().iter().map(|password| Keys::new(&name, &self.realm, password)).collect();
        let account = Account { user: name.as_str().into(), expires: None };
        let hash = Sha256::new().chain_update(&name).chain_update(b":").chain_update(&self.realm).finalize();
        self.hashes.insert(hash.into(), name.clone());
        self.users.insert(name, Static { account, keys });
        Ok(())
    }
}

impl Secrets {
    fn new(current: Secret, previous: Option<Secret>) -> Self {
        let decoy = current.derive("names that nobody has");
        Self { current, previous, decoy }
    }
}

impl Keys {
    /// Makes the keys of a prepared password, RFC 8489 §18.5.1.
    pub fn new(username: &str, realm: &str, password: &str) -> Self {
        let parts = [username, ":", realm, ":", password];
        let (mut md5, mut sha256) = (Md5::new(), Sha256::new());
        for part in parts {
            md5.update(part);
            sha256.update(part);
        }
        Self { md5: md5.finalize().into(), sha256: sha256.finalize().into() }
    }
}

/// The password of a time-limited name: base64 of HMAC-SHA1.
fn password_of(secret: &Secret, username: &str) -> Zeroizing<String> {
    let mut password = Zeroizing::new(String::new());
    STANDARD.encode_string(secret.sign(username), &mut password);
    password
}

/// The account that a prepared name stands for: `EXPIRY:user`, `EXPIRY` with nobody's name, or `user:EXPIRY`, all of which
/// coturn takes. What names nobody is a user of its own to the quotas.
fn timed_account(name: &str, now_unix: Duration) -> Result<Account, Refusal> {
    let (first, second) = name.split_once(':').unwrap_or((name, ""));
    let (expires, user) = if seconds(first).is_some() { (first, second) } else { (second, first) };
    let expires = seconds(expires).ok_or(Refusal::Unknown)?;
    let user = if user.is_empty() { name } else { user };
    if now_unix < expires { Ok(Account { user: user.into(), expires: Some(expires) }) } else { Err(Refusal::Expired) }
}

/// Digits alone; parsing alone would let `+1` pass.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).map(Duration::from_secs)
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.md5.zeroize();
        self.sha256.zeroize();
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("username", &self.username).field("password", &"***").finish()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn secret(text: &str) -> Secret {
        text.parse().expect("a strong secret")
    }

    fn users(list: &[(&str, &str)]) -> Vec<StaticUser> {
        list.iter().map(|(name, password)| StaticUser::new(name, password).expect("a user")).collect()
    }

    fn credentials() -> Credentials {
        let users = users(&[("ann", "correct horse"), ("ren\u{e9}e", "\u{2168} lives on")]);
        Credentials::new("example.org", secret("a secret of some 30 characters"), None, users).expect("credentials")
    }

    fn opens(credentials: &Credentials, issued: &Issued, at: Duration) -> bool {
        let lookup = credentials.lookup(&issued.username, at);
        let key = Keys::new(&issued.username, credentials.realm(), &issued.password);
        lookup.keys.contains(&key) && lookup.account.is_ok()
    }

    #[test]
    fn passwords_are_those_that_other_programs_make() {
        // printf %s 1433895918:506784 | openssl dgst -sha1 -hmac "$secret" -binary | base64
        let credentials = Credentials::new("example.org", secret("0123456789abcdef0123456789ABCDEF"), None, Vec::new());
        let issued = credentials.expect("credentials").issue("506784", 1_433_895_918).expect("a name");
        assert_eq!(issued.username, "1433895918:506784");
        assert_eq!(issued.password, "Q8jAD88//RT0yaj1cdCU0z9ung8=");
    }

    #[test]
    fn an_issued_name_is_good_until_it_expires() {
        let credentials = credentials();
        let issued = credentials.issue("room:peer", 1_010).expect("a name");
        let lookup = credentials.lookup(&issued.username, NOW);
        let account = Account { user: "room:peer".into(), expires: Some(Duration::from_secs(1_010)) };
        assert_eq!(lookup.account, Ok(account));
        assert!(opens(&credentials, &issued, Duration::from_millis(1_009_999)));
        let late = credentials.lookup(&issued.username, Duration::from_secs(1_010));
        assert_eq!(late.account, Err(Refusal::Expired));
        assert!(!opens(&credentials, &issued, Duration::from_secs(1_010)));
    }

    #[test]
    fn a_name_that_nobody_signed_opens_nothing() {
        let credentials = credentials();
        let mut forged = credentials.issue("ann", 1_010).expect("a name");
        forged.username = "9999:ann".to_owned();
        assert!(!opens(&credentials, &forged, NOW));
        let other = Credentials::new("example.org", secret("another secret of 30 characters"), None, Vec::new());
        let issued = other.expect("credentials").issue("ann", 1_010).expect("a name");
        assert!(!opens(&credentials, &issued, NOW));
    }

    #[test]
    fn names_are_taken_in_each_form_that_coturn_takes() {
        let credentials = credentials();
        let key_of = |name: &str| {
            let password = password_of(&secret("a secret of some 30 characters"), name);
            Keys::new(name, credentials.realm(), &password)
        };
        for (name, user) in [
            ("1010:ann", "ann"),
            // Prosody's name where it is given no user.
            ("1010", "1010"),
            ("1010:", "1010:"),
            ("ann:1010", "ann"),
            (":1010", ":1010"),
            // The first number is the time.
            ("1010:2020", "2020"),
            ("1010:ann:7", "ann:7"),
        ] {
            let lookup = credentials.lookup(name, NOW);
            let account = Account { user: user.into(), expires: Some(Duration::from_secs(1_010)) };
            assert_eq!(lookup.account, Ok(account), "{name}");
            assert!(lookup.keys.contains(&key_of(name)), "{name}");
            let late = credentials.lookup(name, Duration::from_secs(1_010));
            assert_eq!(late.account, Err(Refusal::Expired), "{name}");
        }
    }

    #[test]
    fn names_of_no_form_are_unknown() {
        let credentials = credentials();
        let long = "9".repeat(USERNAME_BYTES + 1);
        for name in ["", ":", ":ann", "bob", "ann:", "+1010:ann", "-1:ann", "1010 :ann", "ann:+1010", "1010:a\0", &long]
        {
            assert_eq!(credentials.lookup(name, NOW).account, Err(Refusal::Unknown), "{name:?}");
        }
        let far = format!("{}1:ann", u64::MAX);
        assert_eq!(credentials.lookup(&far, NOW).account, Err(Refusal::Unknown));
        assert_eq!(credentials.lookup(&format!("ann:{}1", u64::MAX), NOW).account, Err(Refusal::Unknown));
        assert!(credentials.lookup(&format!("{}:ann", u64::MAX), NOW).account.is_ok());
    }

    #[test]
    fn a_rotated_secret_stays_good_once() {
        let credentials = credentials();
        let first = credentials.issue("ann", 2_000).expect("a name");
        credentials.rotate(secret("the second secret, a long one"));
        let second = credentials.issue("ann", 2_000).expect("a name");
        assert!(opens(&credentials, &first, NOW) && opens(&credentials, &second, NOW));
        credentials.rotate(secret("the third secret, a long one too"));
        assert!(!opens(&credentials, &first, NOW) && opens(&credentials, &second, NOW));
    }

    #[test]
    fn a_static_user_signs_with_any_form_of_the_password() {
        let credentials = credentials();
        for (name, password) in
            [("ann", "correct horse"), ("ren\u{e9}e", "IX lives on"), ("ren\u{e9}e", "\u{2168} lives on")]
        {
            let lookup = credentials.lookup(name, NOW);
            assert!(lookup.keys.contains(&Keys::new(name, "example.org", password)), "{name}");
            assert_eq!(lookup.account, Ok(Account { user: name.into(), expires: None }));
        }
        let lookup = credentials.lookup("ann", NOW);
        assert!(!lookup.keys.contains(&Keys::new("ann", "example.org", "wrong horse")));
    }

    #[test]
    fn one_user_in_two_spellings_is_one_account() {
        let credentials = credentials();
        let account = |name: &str| credentials.lookup(name, NOW).account;
        assert_eq!(account("rene\u{301}e"), account("ren\u{e9}e"));
        assert_eq!(
            account("2000:rene\u{301}e").expect("a name").user,
            account("2000:ren\u{e9}e").expect("a name").user
        );
    }

    #[test]
    fn everybody_gets_as_many_keys_to_try() {
        let credentials = credentials();
        let counts = |credentials: &Credentials| {
            let names = ["ann", "ren\u{e9}e", "2000:ann", "1:ann", "bob", "", "\0"];
            let mut counts: Vec<usize> = names.iter().map(|name| credentials.lookup(name, NOW).keys.len()).collect();
            counts.push(credentials.lookup_hash(&[0; 32]).keys.len());
            counts.dedup();
            counts
        };
        assert_eq!(counts(&credentials), [2]);
        let alone =
            Credentials::new("r", secret("a secret of some 30 characters"), None, Vec::new()).expect("credentials");
        assert_eq!(counts(&alone), [1]);
        alone.rotate(secret("the second secret, a long one"));
        assert_eq!(counts(&alone), [2]);
    }

    #[test]
    fn finds_a_static_user_by_the_hash_of_the_name() {
        // RFC 8489 appendix B.1.
        let name = "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}";
        let users = users(&[(name, "The\u{ad}M\u{aa}tr\u{2168}")]);
        let credentials = Credentials::new("example.org", secret("a secret of some 30 characters"), None, users);
        let hash: [u8; 32] = [
            0x4a, 0x3c, 0xf3, 0x8f, 0xef, 0x69, 0x92, 0xbd, 0xa9, 0x52, 0xc6, 0x78, 0x04, 0x17, 0xda, 0x0f, 0x24, 0x81,
            0x94, 0x15, 0x56, 0x9e, 0x60, 0xb2, 0x05, 0xc4, 0x6e, 0x41, 0x40, 0x7f, 0x17, 0x04,
        ];
        let credentials = credentials.expect("credentials");
        let lookup = credentials.lookup_hash(&hash);
        assert_eq!(lookup.account.expect("the user").user.as_ref(), name);
        assert_eq!(lookup.keys, [Keys::new(name, "example.org", "TheMatrIX")]);
        assert_eq!(credentials.lookup_hash(&[0; 32]).account, Err(Refusal::Unknown));
    }

    #[test]
    fn refuses_what_cannot_be_sent() {
        let with = |realm: &str| Credentials::new(realm, secret("a secret of some 30 characters"), None, Vec::new());
        for realm in ["", "a\"b", "a\nb", &"r".repeat(REALM_BYTES + 1)] {
            assert_eq!(with(realm).err(), Some(CredentialsError::Realm), "{realm:?}");
        }
        for name in ["", "a\0", &"u".repeat(ISSUED_NAME_BYTES + 1)] {
            assert_eq!(credentials().issue(name, 1).err(), Some(CredentialsError::Name), "{name:?}");
        }
        let longest = credentials().issue(&"u".repeat(ISSUED_NAME_BYTES), u64::MAX).expect("a name");
        assert!(opens(&credentials(), &longest, NOW));
        let twice = users(&[("e\u{301}", "password"), ("\u{e9}", "other password")]);
        let twice = Credentials::new("r", secret("a secret of some 30 characters"), None, twice);
        assert_eq!(
            twice.err().map(|error| error.to_string()).as_deref(),
            Some("there are two TURN users named \"\u{e9}\"")
        );
    }

    #[test]
    fn prints_no_secret() {
        let credentials = credentials();
        let issued = credentials.issue("ann", 2_000).expect("a name");
        let printed = format!("{credentials:?} {issued:?} {:?}", credentials.lookup("ann", NOW));
        assert!(
            !printed.contains(&issued.password) && !printed.contains("horse") && !printed.contains("30 characters")
        );
    }
}
