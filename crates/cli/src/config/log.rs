//! How logs look and which of them appear, as an operator writes it.

use tracing_subscriber::EnvFilter;

use super::problem::closest;
use super::value::{Secrets, Setting, Wrong, quote};

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl LogFormat {
    const ALL: [(&'static str, Self); 3] = [("auto", Self::Auto), ("text", Self::Text), ("json", Self::Json)];
}

impl Setting for LogFormat {
    const PLACEHOLDER: &'static str = "text|json|auto";

    fn rule() -> String {
        "\"text\", \"json\" or \"auto\"".to_owned()
    }

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, format)| *format).ok_or_else(|| Wrong::not(&Self::rule(), &quote(text)))
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        })
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        proptest::sample::select(Self::ALL.map(|(_, format)| format).to_vec()).boxed()
    }
}

/// Which log lines appear: a level, and levels for single modules, as in `RUST_LOG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

/// The levels, by their names.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl LogFilter {
    /// Returns changes of an operator's concern, without what each peer does.
    pub(crate) fn info() -> Self {
        Self("info".to_owned())
    }

    /// Returns the filter in the form that the subscriber takes.
    pub(crate) fn directives(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl Setting for LogFilter {
    const PLACEHOLDER: &'static str = "FILTER";

    fn rule() -> String {
        "a level (off, error, warn, info, debug, trace), or levels by module such as \"info,switchboard_server=debug\""
            .to_owned()
    }

    /// Refuses what the subscriber would take for the name of a module: `inof` alone would silence everything.
    fn from_text(text: &str) -> Result<Self, Wrong> {
        for directive in text.split(',').map(str::trim) {
            let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
            if !LEVELS.iter().any(|name| name.eq_ignore_ascii_case(level)) {
                let wrong = Wrong::not(&Self::rule(), &quote(text));
                return Err(match closest(level, LEVELS) {
                    Some(name) => wrong.hint(format!("did you mean \"{name}\"?")),
                    None => wrong,
                });
            }
        }
        EnvFilter::try_new(text)
            .map(|_| Self(text.to_owned()))
            .map_err(|error| Wrong::not(&Self::rule(), &quote(text)).hint(error.to_string()))
    }

    fn to_toml(&self, _: Secrets) -> String {
        quote(&self.0)
    }

    #[cfg(test)]
    fn any() -> proptest::strategy::BoxedStrategy<Self> {
        use proptest::strategy::Strategy;
        "(info|warn|off|trace)(,[a-z_]{1,9}(::[a-z_]{1,9})?=(info|debug)){0,2}".prop_map(Self).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_and_modules() {
        for text in ["info", "WARN", "info,switchboard_server=debug", "off,switchboard_server::socket=trace"] {
            assert_eq!(LogFilter::from_text(text), Ok(LogFilter(text.to_owned())));
        }
    }

    #[test]
    fn a_misspelt_level_is_no_module() {
        let wrong = LogFilter::from_text("inof").expect_err("no level");
        assert_eq!(wrong.hint.as_deref(), Some("did you mean \"info\"?"));
        assert!(LogFilter::from_text("").is_err());
        assert!(LogFilter::from_text("a=loud").is_err());
    }
}
