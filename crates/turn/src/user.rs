//! A user with a name and a password, for software that cannot fetch time-limited credentials.

use std::fmt;

use zeroize::Zeroizing;

use crate::prepare::{USERNAME_BYTES, opaque_string, passwords};

/// A static user. Who hears one of its requests can try passwords at leisure, so these must be long.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticUser {
    /// Prepared.
    name: String,
    /// Prepared; two where the standards prepare differently.
    passwords: Vec<Zeroizing<String>>,
}

/// A name or password that a user cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUser {
    /// The name breaks the standard's limits.
    #[error("a TURN user's name must have 1 to {USERNAME_BYTES} bytes and no control or invisible characters")]
    Name,
    /// The name is one that the server might sign for somebody else.
    #[error("the TURN user's name {0:?} looks like a time-limited one: it must not begin with digits and a colon")]
    TimeLimited(String),
    /// The password is short.
    #[error("the password of TURN user {0:?} must have at least {PASSWORD_CHARS} characters")]
    ShortPassword(String),
    /// The password breaks the standard's limits.
    #[error("the password of TURN user {0:?} must have at most {PASSWORD_BYTES} bytes and no control characters")]
    Password(String),
}

/// As NIST SP 800-63B §5.1.1 asks of passwords that people choose.
const PASSWORD_CHARS: usize = 8;
/// As long as a name may be; nothing on the wire limits it.
const PASSWORD_BYTES: usize = USERNAME_BYTES;

impl StaticUser {
    /// Prepares name and password as RFC 8489 §9.2 asks (OpaqueString), and the password also as RFC 5389 did (SASLprep).
    pub fn new(name: &str, password: &str) -> Result<Self, InvalidUser> {
        let name = opaque_string(name).filter(|name| name.len() <= USERNAME_BYTES).ok_or(InvalidUser::Name)?;
        let (first, rest) = name.split_once(':').unwrap_or(("", ""));
        if !rest.is_empty() && !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidUser::TimeLimited(name));
        }
        if password.chars().count() < PASSWORD_CHARS {
            return Err(InvalidUser::ShortPassword(name));
        }
        let passwords: Vec<_> = passwords(password).into_iter().map(Zeroizing::new).collect();
        if passwords.is_empty() || password.len() > PASSWORD_BYTES {
            return Err(InvalidUser::Password(name));
        }
        Ok(Self { name, passwords })
    }

    /// The prepared name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn passwords(&self) -> &[Zeroizing<String>] {
        &self.passwords
    }
}

impl fmt::Debug for StaticUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticUser").field("name", &self.name).field("password", &"***").finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_in_one_sentence() {
        let refused = |name: &str, password: &str| StaticUser::new(name, password).expect_err("invalid").to_string();
        assert!(refused("", "correct horse").starts_with("a TURN user's name must have 1 to 508 bytes"));
        assert!(refused("a\u{200b}", "correct horse").contains("no control or invisible"));
        assert!(refused("1700000000:ann", "correct horse").contains("looks like a time-limited one"));
        assert_eq!(refused("ann", "horse"), "the password of TURN user \"ann\" must have at least 8 characters");
        assert!(refused("ann", "correct\0horse").contains("no control characters"));
        assert!(refused("ann", &"x".repeat(509)).contains("at most 508 bytes"));
    }

    #[test]
    fn takes_names_with_colons_that_no_server_signs() {
        for name in ["ann:1", ":", "a:b", "1:", "12"] {
            assert_eq!(StaticUser::new(name, "correct horse").expect(name).name(), name);
        }
    }

    #[test]
    fn prints_no_password() {
        let user = StaticUser::new("ann", "correct horse").expect("a user");
        assert_eq!(format!("{user:?}"), "StaticUser { name: \"ann\", password: \"***\" }");
    }
}
