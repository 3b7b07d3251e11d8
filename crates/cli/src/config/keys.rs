//! What a setting is called everywhere, and the macro that declares settings.
//!
//! [`settings!`] turns one documented list into the struct of typed values, and into [`Key`]s, from which come the names
//! in files and environment, the flags, the commented print and the reference page. Nothing is declared a second time.

use toml::Spanned;
use toml::de::DeValue;

use super::raw::Raw;
use super::value::{Secrets, Wrong};

/// A declared setting.
pub(crate) struct Key {
    /// The table that it stands in; empty for the top of the file.
    pub(crate) section: &'static str,
    /// Its name in that table.
    pub(crate) name: &'static str,
    /// Its doc comment, line by line.
    pub(crate) doc: &'static [&'static str],
    /// Its flag, if it has one of its own.
    pub(crate) flag: Flag,
    /// What stands for a value in usage lines.
    pub(crate) placeholder: &'static str,
    /// Whether it is a list.
    pub(crate) many: bool,
    /// What it accepts, as the end of "must be …".
    pub(crate) rule: fn() -> String,
    /// Sets it from text.
    pub(crate) set_text: fn(&mut Raw, &str) -> Result<(), Wrong>,
    /// Sets it from a TOML value.
    pub(crate) set_toml: for<'a, 'i> fn(&mut Raw, &'a Spanned<DeValue<'i>>) -> Result<(), Wrong>,
    /// Writes it as a TOML literal.
    pub(crate) show: fn(&Raw, Secrets) -> String,
    /// Any change of it.
    #[cfg(test)]
    pub(crate) any: fn() -> proptest::strategy::BoxedStrategy<Change>,
}

/// How a setting is given on the command line, besides `--set`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// Not at all.
    None,
    /// By this flag, with a value.
    Value(&'static str),
    /// By this flag, which stands for `false`.
    Off(&'static str),
}

/// A change of one setting, for property tests.
#[cfg(test)]
pub(crate) type Change = std::sync::Arc<dyn ChangeOf>;

/// What [`Change`] points to.
#[cfg(test)]
pub(crate) trait ChangeOf: std::fmt::Debug + Send + Sync {
    /// Makes the change.
    fn apply(&self, raw: &mut Raw);
}

/// A table of the file.
pub(crate) struct Section {
    /// Its name; empty for the top of the file.
    pub(crate) name: &'static str,
    /// What it is about, line by line.
    pub(crate) about: &'static [&'static str],
}

impl Section {
    /// Its settings, in the order in which they are declared.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        let name = self.name;
        super::raw::KEYS.iter().filter(move |key| key.section == name)
    }
}

/// What every environment variable of ours begins with.
pub(crate) const ENV_PREFIX: &str = "SWITCHBOARD_";

impl Key {
    /// Returns what its documentation says first, without the full stop.
    pub(crate) fn summary(&self) -> String {
        let text = self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        text.split_once(". ").map_or(text.trim_end_matches('.'), |(sentence, _)| sentence).to_owned()
    }

    /// Returns the name with its table, as in `limits.rooms`.
    pub(crate) fn path(&self) -> String {
        if self.section.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.section, self.name) }
    }

    /// Returns the environment variable, as in `SWITCHBOARD_LIMITS__ROOMS`.
    pub(crate) fn env(&self) -> String {
        format!("{ENV_PREFIX}{}", self.path().replace('.', "__").to_ascii_uppercase())
    }

    /// Returns the command line that sets it, as in `--listen ADDR`.
    pub(crate) fn usage(&self) -> String {
        match self.flag {
            Flag::None => format!("--set {}={}", self.path(), self.placeholder),
            Flag::Value(flag) => format!("--{flag} {}", self.placeholder),
            Flag::Off(flag) => format!("--{flag}"),
        }
    }
}

/// Declares settings: `struct Section as field, "table" { key (flag): Type = default; }` with doc comments throughout.
///
/// A default is a function of the server's own [`Config::default`](switchboard_server::Config), which is the product's.
macro_rules! settings {
    ($(
        $(#[doc = $about:literal])+
        struct $section:ident as $field:ident, $table:literal {
            $(
                $(#[doc = $doc:literal])+
                $key:ident $(($kind:ident $flag:literal))? : $type:ty = $default:expr;
            )+
        }
    )+) => {
        /// Every setting, as it was typed or by default.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct Raw {
            $( $(#[doc = $about])+ pub(crate) $field: $section, )+
        }

        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, PartialEq)]
            pub(crate) struct $section {
                $( $(#[doc = $doc])+ pub(crate) $key: $type, )+
            }
        )+

        impl Default for Raw {
            fn default() -> Self {
                let server = switchboard_server::Config::default();
                Self {
                    $( $field: $section {
                        $( $key: {
                            let default: fn(&switchboard_server::Config) -> $type = $default;
                            default(&server)
                        }, )+
                    }, )+
                }
            }
        }

        /// The tables of the file, in order.
        pub(crate) const SECTIONS: &[$crate::config::keys::Section] = &[
            $( $crate::config::keys::Section { name: $table, about: &[$($about),+] }, )+
        ];

        /// Every setting, in order.
        pub(crate) const KEYS: &[$crate::config::keys::Key] = &[
            $($( $crate::config::keys::Key {
                section: $table,
                name: stringify!($key),
                doc: &[$($doc),+],
                flag: settings!(@flag $($kind $flag)?),
                placeholder: <$type as Setting>::PLACEHOLDER,
                many: <$type as Setting>::MANY,
                rule: <$type as Setting>::rule,
                set_text: |raw, text| {
                    raw.$field.$key = Setting::from_text(text)?;
                    Ok(())
                },
                set_toml: |raw, value| {
                    raw.$field.$key = Setting::from_toml(value)?;
                    Ok(())
                },
                show: |raw, secrets| raw.$field.$key.to_toml(secrets),
                #[cfg(test)]
                any: || {
                    #[derive(Debug)]
                    struct To($type);
                    impl $crate::config::keys::ChangeOf for To {
                        fn apply(&self, raw: &mut Raw) {
                            raw.$field.$key = self.0.clone();
                        }
                    }
                    use proptest::strategy::Strategy;
                    <$type as Setting>::any()
                        .prop_map(|value| -> $crate::config::keys::Change { std::sync::Arc::new(To(value)) })
                        .boxed()
                },
            }, )+)+
        ];
    };
    (@flag) => { $crate::config::keys::Flag::None };
    (@flag flag $flag:literal) => { $crate::config::keys::Flag::Value($flag) };
    (@flag off $flag:literal) => { $crate::config::keys::Flag::Off($flag) };
}

pub(crate) use settings;
