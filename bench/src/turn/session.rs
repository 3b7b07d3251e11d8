//! A TURN client's way from nothing to a bound channel (RFC 8656), without sockets: requests out, answers in.

use super::stun::{Attribute, Message, Method, TransactionId, Writer};
use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The channel that every client binds; channels are a matter of one allocation.
pub(crate) const CHANNEL: u16 = 0x4001;
/// REQUESTED-TRANSPORT for UDP: its protocol number, and reserved bytes (RFC 8656 §18.8).
pub(crate) const UDP: [u8; 4] = [17, 0, 0, 0];

/// A user's name and password.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    username: String,
    password: String,
}

impl Account {
    /// Time-limited credentials from a shared secret, as `use-auth-secret` of coturn and Switchboard understand them:
    /// the name tells when they expire, the password is the name's HMAC.
    pub(crate) fn from_secret(secret: &str, user: &str, expires_unix: u64) -> Result<Self> {
        let username = format!("{expires_unix}:{user}");
        let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).context("a secret of no valid length")?;
        mac.update(username.as_bytes());
        Ok(Self { password: STANDARD.encode(mac.finalize().into_bytes()), username })
    }
}

/// The key of long-term credentials (RFC 8489 §9.2.2).
pub(crate) fn long_term_key(username: &str, realm: &str, password: &str) -> [u8; 16] {
    Md5::digest(format!("{username}:{realm}:{password}")).into()
}

/// What a session has yet to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing is on the way.
    Rest,
    /// An allocation, at first without credentials, to be told realm and nonce.
    Allocate,
    Permit(SocketAddr),
    Bind(SocketAddr),
    /// The allocation's further life in seconds; 0 gives it back.
    Refresh(u32),
}

/// One client's session.
#[derive(Debug)]
pub(crate) struct Session {
    account: Account,
    step: Step,
    /// Realm, nonce and key, once the server has told them.
    challenge: Option<(Vec<u8>, Vec<u8>, [u8; 16])>,
    id: TransactionId,
    request: Vec<u8>,
    relayed: Option<SocketAddr>,
    /// The family of the relayed address, where it is not the default IPv4.
    wants_ipv6: bool,
    /// How often the step's request was refused for its nonce.
    refusals: u32,
}

impl Session {
    /// A session whose transaction ids begin with `number`, so that no two clients share one.
    pub(crate) fn new(account: Account, number: u32, family: IpAddr) -> Self {
        let mut id = [0; 12];
        id[..4].copy_from_slice(&number.to_be_bytes());
        Self {
            account,
            step: Step::Rest,
            challenge: None,
            id,
            request: Vec::new(),
            relayed: None,
            wants_ipv6: family.is_ipv6(),
            refusals: 0,
        }
    }

    /// The address that peers see, after an allocation.
    pub(crate) fn relayed(&self) -> Result<SocketAddr> {
        self.relayed.context("there is no allocation yet")
    }

    /// Begins to allocate.
    pub(crate) fn allocate(&mut self) -> Result<()> {
        self.begin(Step::Allocate)
    }

    /// Begins to install a permission for `peer` and to bind a channel to it.
    pub(crate) fn bind(&mut self, peer: SocketAddr) -> Result<()> {
        self.begin(Step::Permit(peer))
    }

    /// Begins to give the allocation back.
    pub(crate) fn release(&mut self) -> Result<()> {
        self.begin(Step::Refresh(0))
    }

    /// Begins to prolong the allocation.
    pub(crate) fn refresh(&mut self, lifetime: Duration) -> Result<()> {
        self.begin(Step::Refresh(u32::try_from(lifetime.as_secs())?))
    }

    /// Whether everything that was begun is done.
    pub(crate) fn is_done(&self) -> bool {
        self.step == Step::Rest
    }

    /// What is to be sent now, and again if nothing answers.
    pub(crate) fn request(&self) -> &[u8] {
        &self.request
    }

    /// Takes an answer; returns whether [`Self::request`] has changed or the step is done.
    pub(crate) fn handle_answer(&mut self, bytes: &[u8]) -> Result<bool> {
        let message = Message::parse(bytes)?;
        if message.id() != self.id || self.is_done() {
            return Ok(false);
        }
        match message.error_code() {
            None => self.on_success(&message)?,
            // The first answer tells realm and nonce; a stale nonce may be renewed once.
            Some(401 | 438) if self.refusals < 2 => self.on_challenge(&message)?,
            // A release that the server already did by itself.
            Some(437) if self.step == Step::Refresh(0) => self.step = Step::Rest,
            Some(code) => bail!("the server refused {:?} with {code}", self.step),
        }
        Ok(true)
    }

    fn on_success(&mut self, message: &Message<'_>) -> Result<()> {
        match self.step {
            Step::Allocate => {
                self.relayed = Some(message.address(Attribute::XorRelayedAddress)?);
                self.step = Step::Rest;
            }
            Step::Permit(peer) => self.begin(Step::Bind(peer))?,
            Step::Bind(_) | Step::Refresh(_) | Step::Rest => self.step = Step::Rest,
        }
        Ok(())
    }

    fn on_challenge(&mut self, message: &Message<'_>) -> Result<()> {
        self.refusals += 1;
        let realm = message.value(Attribute::Realm).context("a challenge lacks a realm")?;
        let nonce = message.value(Attribute::Nonce).context("a challenge lacks a nonce")?;
        let key = long_term_key(&self.account.username, &String::from_utf8_lossy(realm), &self.account.password);
        self.challenge = Some((realm.to_vec(), nonce.to_vec(), key));
        self.write_request()
    }

    fn begin(&mut self, step: Step) -> Result<()> {
        self.step = step;
        self.refusals = 0;
        self.write_request()
    }

    fn write_request(&mut self) -> Result<()> {
        let number = u64::from_be_bytes(self.id[4..].try_into()?) + 1;
        self.id[4..].copy_from_slice(&number.to_be_bytes());
        let mut writer = match self.step {
            Step::Rest => return Ok(()),
            Step::Allocate => {
                let mut writer = Writer::request(Method::Allocate, &self.id);
                writer.put(Attribute::RequestedTransport, &UDP);
                if self.wants_ipv6 {
                    writer.put(Attribute::RequestedAddressFamily, &[2, 0, 0, 0]);
                }
                writer
            }
            Step::Permit(peer) => {
                let mut writer = Writer::request(Method::CreatePermission, &self.id);
                writer.put_address(Attribute::XorPeerAddress, peer);
                writer
            }
            Step::Bind(peer) => {
                let mut writer = Writer::request(Method::ChannelBind, &self.id);
                let [high, low] = CHANNEL.to_be_bytes();
                writer.put(Attribute::ChannelNumber, &[high, low, 0, 0]);
                writer.put_address(Attribute::XorPeerAddress, peer);
                writer
            }
            Step::Refresh(seconds) => {
                let mut writer = Writer::request(Method::Refresh, &self.id);
                writer.put(Attribute::Lifetime, &seconds.to_be_bytes());
                writer
            }
        };
        if let Some((realm, nonce, key)) = &self.challenge {
            writer.put(Attribute::Username, self.account.username.as_bytes());
            writer.put(Attribute::Realm, realm);
            writer.put(Attribute::Nonce, nonce);
            writer.sign(key)?;
        }
        self.request = writer.finish();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let account = Account::from_secret("a secret", "bench", 2_000_000_000).expect("an account");
        Session::new(account, 1, IpAddr::from([127, 0, 0, 1]))
    }

    fn succeed(session: &mut Session, relayed: Option<SocketAddr>) {
        let request = session.request().to_vec();
        let request = Message::parse(&request).expect("a request");
        let mut answer = Writer::success(&request);
        if let Some(relayed) = relayed {
            answer.put_address(Attribute::XorRelayedAddress, relayed);
        }
        assert!(session.handle_answer(&answer.finish()).expect("an answer"));
    }

    #[test]
    fn goes_from_allocation_to_channel_and_back() {
        let (relayed, peer) = ("127.0.0.1:50000".parse().expect("one"), "127.0.0.1:9".parse().expect("another"));
        let mut session = session();

        session.allocate().expect("a request");
        succeed(&mut session, Some(relayed));
        assert_eq!((session.is_done(), session.relayed().expect("an address")), (true, relayed));

        session.bind(peer).expect("a request");
        succeed(&mut session, None);
        assert!(!session.is_done() && Message::parse(session.request()).expect("one").requests(Method::ChannelBind));
        succeed(&mut session, None);
        assert!(session.is_done());

        session.release().expect("a request");
        succeed(&mut session, None);
        assert!(session.is_done());
    }

    #[test]
    fn passes_over_answers_to_other_requests() {
        let mut session = session();
        session.allocate().expect("a request");
        let other = Writer::request(Method::Allocate, &[9; 12]).finish();

        let answer = Writer::success(&Message::parse(&other).expect("a request")).finish();

        assert!(!session.handle_answer(&answer).expect("passed over"));
    }
}
