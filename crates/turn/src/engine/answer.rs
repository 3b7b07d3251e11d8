//! Answers to requests: refusals to those who have shown no password, and signed answers to those who have.

use super::allocation::{Allocation, Slot};
use super::authenticate::Caller;
use super::{Engine, Request};
use crate::Verdict;
use crate::message::{Class, Family, Integrity, Key, Message, PasswordAlgorithms, Writer, known};
use crate::stats::{AuthFailure, Dropped, Refused};

/// A refusal before a password was shown; it is not signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// 401 or 438: with realm, nonce and algorithms to try again with.
    Challenge(u16),
    /// The same 401, but to somebody who tried: guesses cost the prefix's budget over connections too.
    Failed,
    /// 400.
    Plain(u16),
    /// 420, with the attributes that are not understood; these are, beside those that always are.
    Unknown(&'static [u16]),
}

impl Refusal {
    pub(super) fn code(self) -> u16 {
        match self {
            Self::Challenge(code) | Self::Plain(code) => code,
            Self::Failed => 401,
            Self::Unknown(_) => UNKNOWN,
        }
    }
}

/// What was granted to somebody who has shown a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Granted {
    /// An allocation, now or by the same request before.
    Allocated(Slot),
    /// So many seconds more.
    Refreshed(u32),
    /// Permissions or a channel.
    Done,
}

/// Attributes are not understood.
const UNKNOWN: u16 = 420;

/// Unknown attributes that an answer names: more would make it larger than it needs to be.
const MAX_UNKNOWN: usize = 8;

impl Engine {
    /// Serves a request of somebody who shows a password, and answers it.
    pub(super) fn authenticated(
        &mut self,
        request: &Request<'_>,
        serve: impl FnOnce(&mut Self, Caller) -> Result<Granted, u16>,
    ) -> Verdict {
        let caller = match self.authenticate(request) {
            Ok(caller) => caller,
            Err(refusal) => return self.refuse(request, refusal),
        };
        let (integrity, key) = (caller.integrity, caller.key.clone());
        let unknown = request.message.unknown_required(&[]).next().is_some();
        let outcome = if unknown { Err(UNKNOWN) } else { serve(self, caller) };
        self.stats.count_answer(request.message.method(), outcome.err().unwrap_or(0));
        if let Err(code) = outcome {
            self.note_refusal(request, code, None);
        }
        self.write_signed(request, outcome, integrity, &key);
        Verdict::Reply
    }

    fn write_signed(&mut self, request: &Request<'_>, outcome: Result<Granted, u16>, kind: Integrity, key: &Key) {
        let (message, class) = (&request.message, if outcome.is_ok() { Class::Success } else { Class::Error });
        let mut writer = Writer::new(&mut self.reply, class, message.method(), message.transaction());
        match outcome {
            Ok(Granted::Allocated(slot)) => {
                if let Some(allocation) = self.allocations.at(slot) {
                    write_allocated(&mut writer, allocation, request);
                }
            }
            Ok(Granted::Refreshed(seconds)) => {
                writer.lifetime(seconds);
            }
            Ok(Granted::Done) => {}
            Err(code) => write_error(&mut writer, code, message, &[]),
        }
        writer.integrity(kind, key);
        if message.has_fingerprint() {
            writer.fingerprint();
        }
    }

    /// Answers somebody who has shown no password, if the prefix's budget allows.
    pub(super) fn refuse(&mut self, request: &Request<'_>, refusal: Refusal) -> Verdict {
        let guessed = refusal == Refusal::Failed;
        let may = if guessed { self.has_budget(request) } else { self.may_answer(request) };
        if !may {
            return self.drop(Dropped::Budget);
        }
        let message = &request.message;
        self.stats.count_answer(message.method(), refusal.code());
        if let Refusal::Plain(code) = refusal {
            self.note_refusal(request, code, None);
        }
        let nonce = self.nonces.issue(request.client.remote.ip(), request.now.unix);
        let mut writer = Writer::new(&mut self.reply, Class::Error, message.method(), message.transaction());
        let understood = if let Refusal::Unknown(understood) = refusal { understood } else { &[] };
        write_error(&mut writer, refusal.code(), message, understood);
        if let Refusal::Challenge(_) | Refusal::Failed = refusal {
            writer.attribute(known::REALM, self.shared.credentials().realm().as_bytes());
            writer.attribute(known::NONCE, &nonce);
            writer.password_algorithms(PasswordAlgorithms);
        }
        if message.has_fingerprint() {
            writer.fingerprint();
        }
        Verdict::Reply
    }

    /// Keeps why a request is refused, for who asks after the answer.
    pub(super) fn note_refusal(&mut self, request: &Request<'_>, code: u16, failure: Option<AuthFailure>) {
        let method = request.message.method();
        self.refused = Some(Refused { method, code, failure, peer: self.denied.take() });
    }

    /// Whether an answer may go out that no password was shown for. Only a datagram's source can be forged: connections and
    /// clients with an allocation cost the budget nothing.
    pub(super) fn may_answer(&mut self, request: &Request<'_>) -> bool {
        let proven = request.slot.is_some() || request.client.via.is_stream();
        proven || self.has_budget(request)
    }

    /// The same, whoever asks.
    pub(super) fn has_budget(&mut self, request: &Request<'_>) -> bool {
        self.budget.allows(request.client.remote.ip(), request.now.instant)
    }
}

fn write_error(writer: &mut Writer<'_>, code: u16, message: &Message<'_>, understood: &[u16]) {
    writer.error_code(code);
    if code == UNKNOWN {
        let unknown = message.unknown_required(understood).take(MAX_UNKNOWN);
        let value: Vec<u8> = unknown.flat_map(u16::to_be_bytes).collect();
        writer.attribute(known::UNKNOWN_ATTRIBUTES, &value);
    }
}

fn write_allocated(writer: &mut Writer<'_>, allocation: &Allocation, request: &Request<'_>) {
    for relay in allocation.relays.iter().flatten() {
        writer.relayed(relay.external);
    }
    let birth = &allocation.birth;
    writer.lifetime(birth.lifetime.as_secs() as u32);
    writer.mapped(request.seen());
    if let Some(token) = birth.token {
        writer.attribute(known::RESERVATION_TOKEN, &token);
    }
    if let Some((family, code)) = birth.refused {
        writer.attribute(known::ADDRESS_ERROR_CODE, &address_error(family, code));
    }
}

/// ADDRESS-ERROR-CODE without a reason (RFC 8656 §18.12).
fn address_error(family: Family, code: u16) -> [u8; 4] {
    [family.code(), 0, (code / 100) as u8, (code % 100) as u8]
}
