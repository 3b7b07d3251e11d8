//! The long-term credential mechanism, the server's half (RFC 8489 §9.2.4), in the order that the standard gives.
//!
//! Everybody who fails gets the same answer after the same work, whether the user exists or not.

use super::allocation::{Allocation, Owner};
use super::answer::Refusal;
use super::{Engine, Request};
use crate::message::{Integrity, Key, Message, Method, PasswordAlgorithm, PasswordAlgorithms, known};
use crate::stats::AuthFailure;
use crate::{Account, Keys, credentials, nonce};

/// Who has shown a password.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) account: Account,
    /// USERNAME or USERHASH, as it was sent.
    name: Box<[u8]>,
    pub(super) key: Key,
    algorithm: PasswordAlgorithm,
    pub(super) integrity: Integrity,
}

impl Caller {
    /// Whether this is who made an allocation. A time-limited name that was renewed is another one.
    pub(super) fn owns(&self, allocation: &Allocation) -> bool {
        self.account == allocation.owner.account
    }

    pub(super) fn into_owner(self) -> Owner {
        let Self { account, name, key, algorithm, integrity } = self;
        Owner { account, name, key, algorithm, integrity }
    }
}

/// What a request says about its sender, complete.
struct Claim<'m> {
    name: Name<'m>,
    algorithm: PasswordAlgorithm,
    integrity: Integrity,
    nonce: &'m str,
}

enum Name<'m> {
    Plain(&'m str),
    Hash([u8; 32]),
}

impl Name<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(name) => name.as_bytes(),
            Self::Hash(hash) => hash,
        }
    }
}

impl<'m> Claim<'m> {
    fn read(message: &Message<'m>) -> Result<Self, Refusal> {
        let integrity = message.integrity().ok_or(Refusal::Challenge(401))?;
        let name = match (message.username(), message.userhash()) {
            (Some(Ok(name)), None) => Name::Plain(name),
            (None, Some(Ok(hash))) => Name::Hash(hash),
            // Both at once would leave open which of the two was signed for.
            _ => return Err(Refusal::Plain(400)),
        };
        let (Some(Ok(_)), Some(Ok(nonce))) = (message.realm(), message.nonce()) else {
            return Err(Refusal::Plain(400));
        };
        Ok(Self { name, algorithm: algorithm(message, nonce)?, integrity, nonce })
    }
}

/// Which key a request is signed with. Who was offered algorithms either shows the same offer and one of it, or is taken for
/// a client that knows nothing of them; anything else means that somebody has changed the offer on its way.
fn algorithm(message: &Message<'_>, nonce: &str) -> Result<PasswordAlgorithm, Refusal> {
    let (offer, choice) = (message.attribute(known::PASSWORD_ALGORITHMS), message.attribute(known::PASSWORD_ALGORITHM));
    match (offer, choice) {
        _ if !nonce::offers_password_algorithms(nonce) => Ok(PasswordAlgorithm::Md5),
        (None, None) => Ok(PasswordAlgorithm::Md5),
        (Some(offer), Some(choice)) if offer == PasswordAlgorithms.value() => PasswordAlgorithm::read(choice)
            .filter(|algorithm| PasswordAlgorithms.contains(*algorithm))
            .ok_or(Refusal::Plain(400)),
        _ => Err(Refusal::Plain(400)),
    }
}

impl Engine {
    /// Finds out who sent a request.
    ///
    /// # Errors
    ///
    /// Says how the request is refused; the client has then shown nothing.
    pub(super) fn authenticate(&mut self, request: &Request<'_>) -> Result<Caller, Refusal> {
        let claim = Claim::read(&request.message)?;
        let shown = self.check(&claim, request).and_then(|shown| {
            let good = self.nonces.is_good(claim.nonce, request.client.remote.ip(), request.now.unix);
            if good { Ok(shown) } else { Err(AuthFailure::StaleNonce) }
        });
        let Claim { name, algorithm, integrity, .. } = claim;
        match shown {
            Ok((account, key)) => Ok(Caller { account, name: name.bytes().into(), key, algorithm, integrity }),
            Err(failure) => {
                self.stats.auth_failures[failure as usize] += 1;
                let refusal =
                    if failure == AuthFailure::StaleNonce { Refusal::Challenge(438) } else { Refusal::Failed };
                self.note_refusal(request, refusal.code(), Some(failure));
                Err(refusal)
            }
        }
    }

    /// The account behind a claim, and the key that the request was signed with.
    fn check(&self, claim: &Claim<'_>, request: &Request<'_>) -> Result<(Account, Key), AuthFailure> {
        let known = request.slot.and_then(|slot| self.allocations.at(slot)).map(|allocation| &allocation.owner);
        let (account, key) = match known.filter(|owner| is_of(owner, claim, request)) {
            Some(owner) => {
                let fits = request.message.verify(claim.integrity, &owner.key);
                (unexpired(&owner.account, request), fits.then(|| owner.key.clone()))
            }
            None => self.look_up(claim, request),
        };
        let (account, key) = (account?, key.ok_or(AuthFailure::Password)?);
        let least = self.shared.settings().min_integrity.max(known.map_or(Integrity::Sha1, |owner| owner.integrity));
        if claim.integrity >= least { Ok((account, key)) } else { Err(AuthFailure::Weak) }
    }

    /// The account that a name means, and the key that the request was signed with. Every key is tried.
    fn look_up(&self, claim: &Claim<'_>, request: &Request<'_>) -> (Result<Account, AuthFailure>, Option<Key>) {
        let credentials = self.shared.credentials();
        let found = match &claim.name {
            Name::Plain(name) => credentials.lookup(name, request.now.unix),
            Name::Hash(hash) => credentials.lookup_hash(hash),
        };
        let key_of = |keys: &Keys| match claim.algorithm {
            PasswordAlgorithm::Md5 => Key::new(&keys.md5),
            PasswordAlgorithm::Sha256 => Key::new(&keys.sha256),
        };
        let fitting = found.keys.iter().map(key_of).fold(None, |fitting, key| {
            let fits = request.message.verify(claim.integrity, &key);
            fitting.or(fits.then_some(key))
        });
        let account = found.account.map_err(|refusal| match refusal {
            credentials::Refusal::Expired => AuthFailure::Expired,
            credentials::Refusal::Unknown => AuthFailure::UnknownUser,
        });
        (account, fitting)
    }
}

/// Whether a request names who made the allocation, so that the key that made it will do. Allocate always looks up anew.
fn is_of(owner: &Owner, claim: &Claim<'_>, request: &Request<'_>) -> bool {
    let same = *owner.name == *claim.name.bytes() && owner.algorithm == claim.algorithm;
    same && request.message.method() != Method::Allocate
}

/// Credentials that have expired prolong nothing, but a living allocation may be used and ended with them.
fn unexpired(account: &Account, request: &Request<'_>) -> Result<Account, AuthFailure> {
    let message = &request.message;
    let prolongs = message.method() == Method::Refresh && message.lifetime() != Some(Ok(0));
    let expired = account.expires.is_some_and(|expires| request.now.unix >= expires);
    if prolongs && expired { Err(AuthFailure::Expired) } else { Ok(account.clone()) }
}
