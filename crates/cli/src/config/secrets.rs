//! What nobody but the operator may read: secrets, tokens, passwords, and the files that hold them. Complaints never repeat
//! them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use switchboard_server::config::{Secret, StaticUser};
use toml::Spanned;
use toml::de::DeValue;

use super::table::{self, Entry, Members};
use super::value::{REDACTED, Secrets, Setting, Wrong, quote};

/// The longest secret in characters: far more than any has use for.
const SECRET_MAX: usize = 256;

/// A secret that cannot be guessed: one word of ASCII. It is printed as `***`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hidden(pub(crate) String);

/// The path of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilePath(pub(crate) PathBuf);

/// A user with a password that does not expire.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TurnUser {
    /// What it calls itself.
    pub(crate) name: String,
    /// A secret.
    pub(crate) password: String,
}

impl Hidden {
    fn read(text: &str) -> Result<Self, Wrong> {
        let refused = |because: &str| Err(Wrong::because(because).hint("`openssl rand -hex 32` prints a good one"));
        match text.parse::<Secret>() {
            _ if text == REDACTED => {
                Err(Wrong::because(format!("has the placeholder {} of a secret", quote(REDACTED)))
                    .hint("put the secret there; `switchboard config --show-secrets` prints it"))
            }
            _ if text.len() > SECRET_MAX => refused(&format!("is longer than {SECRET_MAX} characters")),
            _ if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
                refused("has blanks, or characters beyond ASCII; a secret is one word")
            }
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => refused("is too easy to guess: a secret needs 128 bits of chance"),
        }
    }

    /// What it is to the server.
    ///
    /// # Errors
    /// A sentence, as the end of "the setting …".
    pub(super) fn secret(&self) -> Result<Secret, String> {
        self.0.parse().map_err(|_| "is too easy to guess".to_owned())
    }

    /// Reads the first line of a file.
    ///
    /// # Errors
    /// A sentence, as the end of "the setting …".
    pub(super) fn from_file(path: &Path) -> Result<Self, String> {
        let line = first_line(path, "file", "secret")?;
        Self::read(&line)
            .map_err(|wrong| format!("names a file whose first line {}: {}", wrong.sentence, path.display()))
    }
}

impl Setting for Hidden {
    const PLACEHOLDER: &'static str = "SECRET";

    fn rule() -> String {
        "a secret with 128 bits of chance: 32 hexadecimal digits or 22 letters and digits, as `openssl rand -hex 32` \
         prints them"
            .to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        Self::read(text)
    }

    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        match value.get_ref() {
            DeValue::String(text) => Self::read(text),
            // What was written instead may be the secret all the same.
            _ => Err(Wrong::because(format!("must be {}, in quotation marks", Self::rule()))),
        }
        .map_err(|wrong| wrong.at(value.span()))
    }

    fn to_toml(&self, secrets: Secrets) -> String {
        quote(if secrets == Secrets::Show { &self.0 } else { REDACTED })
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        "[!-~]{40,60}".prop_filter_map("strong", |text| Self::read(&text).ok()).boxed()
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Setting for FilePath {
    const PLACEHOLDER: &'static str = "FILE";

    fn rule() -> String {
        "the path of a file".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() { Err(Wrong::not(&Self::rule(), &quote(text))) } else { Ok(Self(PathBuf::from(text))) }
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(&self.0.to_string_lossy())
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        "/[a-z ]{1,9}/[a-z]{1,9}\\.pem".prop_map(|path| Self(PathBuf::from(path))).boxed()
    }
}

impl Setting for TurnUser {
    const PLACEHOLDER: &'static str = "TABLE";

    fn rule() -> String {
        "a table such as { name = \"ann\", password = \"secret\" }".to_owned()
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
        let password = if secrets == Secrets::Show { &self.password } else { REDACTED };
        format!("{{ name = {}, password = {} }}", quote(&self.name), quote(password))
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        ("[a-z]{1,9}", "[!-~]{8,12}").prop_map(|(name, password)| Self { name, password }).boxed()
    }
}

impl Entry for TurnUser {
    const MEMBERS: &'static [&'static str] = &["name", "password"];

    const EXAMPLE: &'static str = "[{ name = \"ann\", password = \"…\" }]";

    fn read(members: Members<'_>) -> Result<Self, Wrong> {
        let lacks = || Wrong::because("lacks its password");
        let user = Self { name: members.required("name")?, password: members.secret("password")?.ok_or_else(lacks)? };
        for (member, text) in [("name", &user.name), ("password", &user.password)] {
            if text.len() > SECRET_MAX || text.chars().any(char::is_control) {
                let because = format!("has a {member} of more than {SECRET_MAX} bytes, or with control characters");
                return Err(Wrong::because(because));
            }
        }
        match StaticUser::new(&user.name, &user.password) {
            Ok(_) => Ok(user),
            Err(error) => Err(Wrong::because(format!("cannot be: {error}"))),
        }
    }
}

impl fmt::Debug for TurnUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TurnUser({}, {REDACTED})", self.name)
    }
}

/// Reads a secret: the file's first line, as editors put a newline at the end.
///
/// # Errors
/// A sentence about `what`, as the end of "the setting …".
pub(super) fn first_line(path: &Path, what: &str, secret: &str) -> Result<String, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("names a {what} that cannot be read: {}: {error}", path.display()))?;
    match text.lines().next().map(str::trim) {
        None | Some("") => Err(format!("names a {what} without a {secret}: {}", path.display())),
        Some(secret) => Ok(secret.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::read;
    use super::*;

    const GOOD: &str = "Vw8kRz1QmT4xYb7NcJ2pLd";

    #[test]
    fn secrets_cannot_be_guessed_and_complaints_do_not_repeat_them() {
        assert!(Hidden::from_text(GOOD).is_ok());
        let wrong = Hidden::from_text("hunter2").expect_err("weak");
        assert_eq!(wrong.sentence, "is too easy to guess: a secret needs 128 bits of chance");
        assert!(Hidden::from_text(&format!("{GOOD} {GOOD}")).expect_err("two words").sentence.contains("one word"));
        assert_eq!(Hidden::from_text("***").expect_err("hidden").sentence, "has the placeholder \"***\" of a secret");
        assert!(!format!("{:?}", read::<Hidden>("1234567890").expect_err("no string")).contains("1234567890"));
        assert_eq!(format!("{:?}", Hidden(GOOD.to_owned())), "***");
    }

    #[test]
    fn users_have_a_name_and_a_password() {
        let sentence = |text| read::<TurnUser>(text).expect_err("wrong").sentence;
        assert_eq!(sentence("{ name = \"ann\" }"), "lacks its password");
        assert_eq!(sentence("{ name = \"ann\", pasword = \"x\" }"), "has no member \"pasword\"");
        assert!(sentence("{ name = \"1:ann\", password = \"correct horse\" }").contains("time-limited"));
        assert!(sentence("{ name = \"ann\", password = \"x\" }").contains("at least 8 characters"));
        assert!(sentence("{ name = \"ann\", password = 7 }").starts_with("has a password that is no string"));
        assert!(sentence("{ name = \"ann\", password = \"***\" }").contains("placeholder"));
        let users = "[{ name = \"ann\", password = \"correct,horse\" }, { name = \"bob\", password = \"hunter22\" }]";
        assert_eq!(TurnUser::list_from_text(users).map(|users| users.len()), Ok(2));
        assert!(!TurnUser::list_from_text("hunter2").expect_err("no array").sentence.contains("hunter2"));
    }

    #[test]
    fn secrets_come_from_the_first_line_of_their_file() {
        let file = tempfile::NamedTempFile::new().expect("file");
        let read = || Hidden::from_file(file.path());
        assert!(read().expect_err("empty").contains("without a secret"));
        fs::write(file.path(), "hunter2\n").expect("written");
        let weak = read().expect_err("weak");
        assert!(weak.contains("too easy to guess") && !weak.contains("hunter2"), "{weak}");
        fs::write(file.path(), format!("{GOOD}\n# made yesterday\n")).expect("written");
        assert_eq!(read().as_ref().map(|secret| secret.0.as_str()), Ok(GOOD));
        let missing = Hidden::from_file(Path::new("/nonexistent")).expect_err("missing");
        assert!(missing.starts_with("names a file that cannot be read: /nonexistent:"), "{missing}");
    }
}
