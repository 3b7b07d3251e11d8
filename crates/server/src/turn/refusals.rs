//! What the operator reads of clients that TURN refuses: every one at debug, and a warning now and then where it may be the
//! operator's to mend. Without user names, which say who somebody is, and without addresses in warnings.

use std::time::Instant;

use switchboard_turn::Client;
use switchboard_turn::message::Method;
use switchboard_turn::stats::{AuthFailure, Refused, Transport};

use crate::occasional::Occasional;

/// The reasons for warnings, of all workers.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    wrong: Occasional,
    expired: Occasional,
    quota: Occasional,
    full: Occasional,
}

/// A reason for a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Wrong,
    Expired,
    Quota,
    Full,
}

impl Reason {
    fn of(refused: &Refused) -> Option<Self> {
        match (refused.failure, refused.method, refused.code) {
            (Some(AuthFailure::Password | AuthFailure::UnknownUser), ..) => Some(Self::Wrong),
            (Some(AuthFailure::Expired), ..) => Some(Self::Expired),
            // A weak signature is the client's affair; with another nonce it comes again at once.
            (Some(AuthFailure::Weak | AuthFailure::StaleNonce), ..) => None,
            (None, Method::Allocate, 486) => Some(Self::Quota),
            (None, Method::Allocate, 508) => Some(Self::Full),
            (None, ..) => None,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Wrong => {
                "refused TURN credentials that are wrong; who makes them needs this server's `turn.secret`, and users have \
                 to be in `turn.users`"
            }
            Self::Expired => {
                "refused TURN credentials that have expired; is the clock of who makes them right, and does the page ask for \
                 fresh ones?"
            }
            Self::Quota => {
                "refused a TURN allocation, for its user or address has all that one may have; see \
                 `turn.allocations_per_user` and `turn.allocations_per_address`"
            }
            Self::Full => {
                "refused a TURN allocation, for there is no room left; see `turn.allocations`, `turn.relay_ports` and the limit \
                 of open files"
            }
        }
    }
}

impl Refusals {
    /// Tells of a refusal. Costs some nanoseconds where nothing is written.
    pub(super) fn tell(&self, client: Client, refused: Refused, now: Instant) {
        tracing::debug!(
            client = %client.remote.ip().to_canonical(),
            transport = ?Transport::from(client.via),
            method = ?refused.method,
            code = refused.code,
            reason = refused.failure.map(AuthFailure::name),
            peer = refused.peer.map(tracing::field::display),
            "a TURN request was refused"
        );
        let Some(reason) = Reason::of(&refused) else { return };
        if let Some(times) = self.of(reason).take(now) {
            tracing::warn!(code = refused.code, times, "{}", reason.sentence());
        }
    }

    fn of(&self, reason: Reason) -> &Occasional {
        match reason {
            Reason::Wrong => &self.wrong,
            Reason::Expired => &self.expired,
            Reason::Quota => &self.quota,
            Reason::Full => &self.full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(failure: Option<AuthFailure>, method: Method, code: u16) -> Option<Reason> {
        Reason::of(&Refused { method, code, failure, peer: None })
    }

    #[test]
    fn warns_of_what_an_operator_can_mend() {
        let allocate = |failure| reason(Some(failure), Method::Allocate, 401);
        assert_eq!(allocate(AuthFailure::Password), Some(Reason::Wrong));
        assert_eq!(allocate(AuthFailure::UnknownUser), Some(Reason::Wrong));
        assert_eq!(allocate(AuthFailure::Expired), Some(Reason::Expired));
        assert_eq!((allocate(AuthFailure::Weak), allocate(AuthFailure::StaleNonce)), (None, None));
        assert_eq!(reason(None, Method::Allocate, 486), Some(Reason::Quota));
        assert_eq!(reason(None, Method::Allocate, 508), Some(Reason::Full));
        assert_eq!(reason(None, Method::CreatePermission, 508), None);
        assert_eq!(reason(None, Method::CreatePermission, 403), None);
    }
}
