//! Numbers with a unit and a range: counts, sizes, durations; and yes or no.
//!
//! The range is part of the type, so that it is declared where the setting is, and quoted in messages and reference alike.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::value::{Secrets, Setting, Wrong, describe, quote};

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count<const MIN: u64, const MAX: u64>(pub(crate) u64);

/// A number of bytes from `MIN` to `MAX`, written `65536` or `"64KiB"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size<const MIN: u64, const MAX: u64>(pub(crate) u64);

/// A duration from `MIN` to `MAX` milliseconds, written `"500ms"`, `"30s"`, `"1m30s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span<const MIN: u64, const MAX: u64>(pub(crate) Duration);

impl<const MIN: u64, const MAX: u64> Setting for Count<MIN, MAX> {
    const PLACEHOLDER: &'static str = "N";

    fn rule() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        number(text)
            .filter(|count| (MIN..=MAX).contains(count))
            .map(Self)
            .ok_or_else(|| Wrong::not(&Self::rule(), &quote(text)))
    }

    /// Reads an integer; a number in quotation marks is taken for a mistake.
    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        integer(value.get_ref())
            .filter(|count| (MIN..=MAX).contains(count))
            .map(Self)
            .ok_or_else(|| Wrong::not(&Self::rule(), &describe(value.get_ref())).at(value.span()))
    }

    fn to_toml(&self, _: Secrets) -> String {
        self.0.to_string()
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        (MIN..=MAX).prop_map(Self).boxed()
    }
}

/// The units of sizes, largest first: binary, then decimal.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl<const MIN: u64, const MAX: u64> Setting for Size<MIN, MAX> {
    const PLACEHOLDER: &'static str = "SIZE";

    fn rule() -> String {
        format!("a size in bytes, or with a unit such as \"256KiB\", from {} to {}", bytes(MIN), bytes(MAX))
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        parse_size(text)
            .filter(|size| (MIN..=MAX).contains(size))
            .map(Self)
            .ok_or_else(|| Wrong::not(&Self::rule(), &quote(text)))
    }

    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        match value.get_ref() {
            DeValue::String(text) => parse_size(text),
            other => integer(other),
        }
        .filter(|size| (MIN..=MAX).contains(size))
        .map(Self)
        .ok_or_else(|| Wrong::not(&Self::rule(), &describe(value.get_ref())).at(value.span()))
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(&bytes(self.0))
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        (MIN..=MAX).prop_map(Self).boxed()
    }
}

/// The units of durations, largest first, in milliseconds.
const SPANS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl<const MIN: u64, const MAX: u64> Setting for Span<MIN, MAX> {
    const PLACEHOLDER: &'static str = "TIME";

    fn rule() -> String {
        format!("a duration such as \"500ms\", \"30s\" or \"1m30s\", from {} to {}", span(MIN), span(MAX))
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        parse_span(text)
            .filter(|millis| (MIN..=MAX).contains(millis))
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| {
                let wrong = Wrong::not(&Self::rule(), &quote(text));
                if number(text).is_some() { wrong.hint(unit_hint(text)) } else { wrong }
            })
    }

    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        match value.get_ref() {
            DeValue::String(text) => Self::from_text(text),
            DeValue::Integer(bare) => Err(Wrong::not(&Self::rule(), bare.as_str()).hint(unit_hint(bare.as_str()))),
            other => Err(Wrong::not(&Self::rule(), &describe(other))),
        }
        .map_err(|wrong| wrong.at(value.span()))
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(&span(u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)))
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        (MIN..=MAX).prop_map(|millis| Self(Duration::from_millis(millis))).boxed()
    }
}

impl Setting for bool {
    const PLACEHOLDER: &'static str = "true|false";

    fn rule() -> String {
        "true or false".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|_| Wrong::not(&Self::rule(), &quote(text)))
    }

    fn from_toml(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        value.get_ref().as_bool().ok_or_else(|| Wrong::not(&Self::rule(), &describe(value.get_ref())).at(value.span()))
    }

    fn to_toml(&self, _: Secrets) -> String {
        self.to_string()
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        proptest::bool::ANY.boxed()
    }
}

/// Parses decimal digits alone: no sign, no blank.
fn number(digits: &str) -> Option<u64> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Returns the value of a TOML integer that is not negative.
fn integer(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (amount, unit) = text.split_at(digits);
    let factor = match unit.trim_start() {
        "" => 1,
        unit => SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    number(amount)?.checked_mul(factor)
}

/// Writes a size in the largest binary unit that divides it.
fn bytes(size: u64) -> String {
    SIZES[..3]
        .iter()
        .find(|(_, factor)| size >= *factor && size.is_multiple_of(*factor))
        .map_or_else(|| format!("{size}B"), |(unit, factor)| format!("{}{unit}", size / factor))
}

/// Parses amounts with their units, largest unit first, each at most once: `1h30m`, `1m 30s`, `500ms`.
fn parse_span(text: &str) -> Option<u64> {
    let mut rest = text.trim_end();
    let mut total: u64 = 0;
    let mut previous = u64::MAX;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (amount, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let (_, factor) = SPANS.iter().find(|(name, _)| *name == unit)?;
        if *factor >= previous {
            return None;
        }
        previous = *factor;
        total = total.checked_add(number(amount)?.checked_mul(*factor)?)?;
        rest = tail.trim_start();
    }
    Some(total)
}

/// Writes a duration so that [`parse_span`] reads it back.
fn span(millis: u64) -> String {
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut rest = millis;
    let mut written = String::new();
    for (unit, factor) in SPANS {
        if rest >= factor {
            written.push_str(&format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    written
}

fn unit_hint(bare: &str) -> String {
    format!("a duration needs its unit: {} for seconds", quote(&format!("{bare}s")))
}

#[cfg(test)]
mod tests {
    use super::super::value::tests::read;
    use super::*;

    type Small = Count<1, 9>;
    type Bytes = Size<0, { u64::MAX }>;
    type Time = Span<0, 86_400_000>;

    #[test]
    fn counts_end_at_their_range() {
        assert_eq!(Small::from_text("9"), Ok(Count(9)));
        assert_eq!(
            Small::from_text("10").map_err(|wrong| wrong.sentence),
            Err("must be a whole number from 1 to 9, not \"10\"".to_owned())
        );
        assert!(Small::from_text("+3").is_err());
        assert!(Small::from_text("").is_err());
        assert_eq!(read::<Small>("0x9"), Ok(Count(9)));
        assert!(read::<Small>("-1").is_err());
        assert!(read::<Small>("\"3\"").is_err());
        assert!(read::<Small>("3.0").is_err());
    }

    #[test]
    fn sizes_take_binary_and_decimal_units() {
        assert_eq!(Bytes::from_text("64KiB"), Ok(Size(65_536)));
        assert_eq!(Bytes::from_text("64 kib"), Ok(Size(65_536)));
        assert_eq!(Bytes::from_text("64kB"), Ok(Size(64_000)));
        assert_eq!(read::<Bytes>("1_000"), Ok(Size(1_000)));
        assert!(Bytes::from_text("KiB").is_err());
        assert!(Bytes::from_text("1 furlong").is_err());
        assert!(Bytes::from_text("99999999999999999999GiB").is_err());
    }

    #[test]
    fn durations_add_up_from_large_to_small_units() {
        assert_eq!(Time::from_text("1h30m"), Ok(Span(Duration::from_secs(5_400))));
        assert_eq!(Time::from_text("1m 30s"), Ok(Span(Duration::from_secs(90))));
        assert_eq!(Time::from_text("1500ms"), Ok(Span(Duration::from_millis(1_500))));
        for wrong in ["", "s", "30", "1s1m", "1s1s", "-1s", "1.5s", "1 s"] {
            assert!(Time::from_text(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_bare_number_is_told_its_unit() {
        let hint = read::<Time>("30").expect_err("no unit").hint;
        assert_eq!(hint.as_deref(), Some("a duration needs its unit: \"30s\" for seconds"));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(size in Bytes::any(), time in Time::any()) {
            proptest::prop_assert_eq!(read(&size.to_toml(Secrets::Show)), Ok(size));
            proptest::prop_assert_eq!(read(&time.to_toml(Secrets::Show)), Ok(time));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (Small::from_text(&text), Bytes::from_text(&text), Time::from_text(&text));
        }
    }
}
