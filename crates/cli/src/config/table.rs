//! Values that are tables: entries of a list, some of whose members are secrets. Complaints never repeat what was written.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::closest;
use super::value::{REDACTED, Setting, Wrong, quote};

/// A setting that is written as a table.
pub(super) trait Entry: Setting {
    /// The names of its members, in their usual order.
    const MEMBERS: &'static [&'static str];

    /// A list of such entries, as it is written.
    const EXAMPLE: &'static str;

    /// Reads the entry; what it complains of is at the table unless it says where.
    fn read(members: Members<'_>) -> Result<Self, Wrong>;
}

/// Reads an inline table.
pub(super) fn from_text<E: Entry>(text: &str) -> Result<E, Wrong> {
    from_toml(&parse::<E>(text)?).map_err(|wrong| Wrong { span: None, ..wrong })
}

/// Reads a TOML array of tables, for commas separate their members too.
pub(super) fn list_from_text<E: Entry>(text: &str) -> Result<Vec<E>, Wrong> {
    <Vec<E>>::from_toml(&parse::<E>(text)?).map_err(|wrong| Wrong { span: None, ..wrong })
}

/// Reads a TOML value, which must be a table of known members.
pub(super) fn from_toml<E: Entry>(value: &Spanned<DeValue<'_>>) -> Result<E, Wrong> {
    let Some(table) = value.get_ref().as_table() else {
        return Err(Wrong::because(format!("must be {}", E::rule())).at(value.span()));
    };
    if let Some((name, _)) = table.iter().find(|(name, _)| !E::MEMBERS.contains(&name.get_ref().as_ref())) {
        let wrong = Wrong::because(format!("has no member {}", quote(name.get_ref()))).at(name.span());
        return Err(match closest(name.get_ref(), E::MEMBERS.iter().copied()) {
            Some(member) => wrong.hint(format!("did you mean \"{member}\"?")),
            None => wrong.hint(format!("the members are {}", E::MEMBERS.join(", "))),
        });
    }
    E::read(Members(table)).map_err(|wrong| wrong.at(value.span()))
}

fn parse<E: Entry>(text: &str) -> Result<Spanned<DeValue<'_>>, Wrong> {
    DeValue::parse(text).map_err(|error| {
        let hint = error.message().to_owned();
        Wrong::because(format!("must be a TOML array of tables: {}", E::EXAMPLE)).hint(hint)
    })
}

/// The members of a table.
#[derive(Clone, Copy)]
pub(super) struct Members<'t>(&'t DeTable<'t>);

impl<'t> Members<'t> {
    /// A member as it was written.
    pub(super) fn value(self, name: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.0.get(name)
    }

    /// A member that is a string, and not an empty one.
    pub(super) fn text(self, name: &str) -> Result<Option<String>, Wrong> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match value.get_ref().as_str() {
            Some("") => Err(Wrong::because(format!("has an empty {name}")).at(value.span())),
            Some(text) => Ok(Some(text.to_owned())),
            None => Err(Wrong::because(format!("has a {name} that is no string")).at(value.span())),
        }
    }

    /// A member that must be there.
    pub(super) fn required(self, name: &str) -> Result<String, Wrong> {
        self.text(name)?.ok_or_else(|| Wrong::because(format!("lacks its {name}")))
    }

    /// A member that is printed as [`REDACTED`], and must not have been copied from there.
    pub(super) fn secret(self, name: &str) -> Result<Option<String>, Wrong> {
        match self.text(name)? {
            Some(secret) if secret == REDACTED => {
                Err(Wrong::because(format!("has the placeholder {} for its {name}", quote(REDACTED)))
                    .hint(format!("put the {name} there; `switchboard config --show-secrets` prints it")))
            }
            other => Ok(other),
        }
    }
}
