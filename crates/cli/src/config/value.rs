//! How one setting is read and written, whatever its type.
//!
//! A setting arrives as text (environment, flag) or as a TOML value (file), and leaves as a TOML literal. The types that
//! implement [`Setting`] say in [`Setting::rule`] what they accept; error messages and the reference quote that sentence.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

/// Whether secrets are written out or replaced by [`REDACTED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// `***` stands for each.
    Hide,
    /// As they are.
    Show,
}

/// What stands for a secret.
pub(crate) const REDACTED: &str = "***";

/// The word that means "no value" for a setting that may have none.
pub(crate) const NONE: &str = "none";

/// A value that its setting does not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Completes "the setting `x` …": "must be a whole number from 1 to 9, not \"many\"".
    pub(crate) sentence: String,
    /// What to write instead, where that can be told.
    pub(crate) hint: Option<String>,
    /// Which bytes of the file are meant, where it came from one.
    pub(crate) span: Option<Range<usize>>,
}

impl Wrong {
    /// Returns the usual complaint: the rule, and what stood there instead.
    pub(crate) fn not(rule: &str, found: &str) -> Self {
        Self { sentence: format!("must be {rule}, not {found}"), hint: None, span: None }
    }

    /// Returns a complaint in its own words.
    pub(crate) fn because(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), hint: None, span: None }
    }

    /// Adds what to write instead.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the place in the file, unless a narrower one is known.
    pub(crate) fn at(mut self, span: Range<usize>) -> Self {
        self.span.get_or_insert(span);
        self
    }
}

/// A type of setting.
pub(crate) trait Setting: Sized + Clone + PartialEq + std::fmt::Debug + Send + Sync + 'static {
    /// What stands for a value in usage lines, such as `ADDR`.
    const PLACEHOLDER: &'static str;
    /// Whether a flag of this type may be given more than once.
    const MANY: bool = false;

    /// Says what is accepted, as the end of "must be …".
    fn rule() -> String;

    /// Reads the value of an environment variable or a flag, or a TOML string.
    fn from_text(text: &str) -> Result<Self, Wrong>;

    /// Reads a TOML value. The default admits strings alone.
    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        match value.get_ref() {
            DeValue::String(text) => Self::from_text(text),
            other => Err(Wrong::not(&Self::rule(), &describe(other))),
        }
        .map_err(|wrong| wrong.at(value.span()))
    }

    /// Writes the value as a TOML literal that [`Setting::from_toml`] reads back.
    fn to_toml(&self, secrets: Secrets) -> String;

    /// Reads a list of values from one text: commas separate them.
    fn list_from_text(text: &str) -> Result<Vec<Self>, Wrong> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Self::from_text).collect()
    }

    /// Any value of the type, for property tests.
    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self>;
}

impl<T: Setting> Setting for Vec<T> {
    const PLACEHOLDER: &'static str = T::PLACEHOLDER;
    const MANY: bool = true;

    fn rule() -> String {
        format!("a list, each item {}", T::rule())
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        T::list_from_text(text)
    }

    /// Reads an array; a value alone stands for a list of one.
    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().map(T::from_toml).collect(),
            _ => Ok(vec![T::from_toml(value)?]),
        }
    }

    fn to_toml(&self, secrets: Secrets) -> String {
        let items: Vec<String> = self.iter().map(|item| item.to_toml(secrets)).collect();
        format!("[{}]", items.join(", "))
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        proptest::collection::vec(T::any(), 0..4).boxed()
    }
}

impl<T: Setting> Setting for Option<T> {
    const PLACEHOLDER: &'static str = T::PLACEHOLDER;
    const MANY: bool = T::MANY;

    fn rule() -> String {
        format!("{}, or \"{NONE}\"", T::rule())
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if text == NONE { Ok(None) } else { T::from_text(text).map(Some) }
    }

    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        match value.get_ref() {
            DeValue::String(text) if text == NONE => Ok(None),
            _ => T::from_toml(value).map(Some),
        }
    }

    fn to_toml(&self, secrets: Secrets) -> String {
        match self {
            Some(value) => value.to_toml(secrets),
            None => quote(NONE),
        }
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        proptest::option::of(T::any()).boxed()
    }
}

/// Names a TOML value in an error message: scalars by what was written, the others by their kind.
pub(crate) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quote(text),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(when) => when.to_string(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Writes a TOML basic string (TOML 1.0, section "String").
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            other if other.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(other))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Reads `literal` as the value of a key.
    pub(crate) fn read<T: Setting>(literal: &str) -> Result<T, Wrong> {
        T::from_toml(&DeValue::parse(literal).expect("valid TOML"))
    }

    proptest::proptest! {
        #[test]
        fn every_string_survives_quoting(text in ".*") {
            let quoted = quote(&text);
            let value = DeValue::parse(&quoted).expect("valid TOML");
            proptest::prop_assert_eq!(value.get_ref().as_str(), Some(text.as_str()));
        }
    }
}
