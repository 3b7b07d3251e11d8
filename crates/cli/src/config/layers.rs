//! The layers of a configuration, each over the one before: defaults, file, environment, flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::file;
use super::keys::{ENV_PREFIX, Flag, Key};
use super::problem::{Invalid, Origin, Problem, closest};
use super::raw::{KEYS, Raw};
use super::value::{Wrong, quote};

/// The file that is read, if it exists, when none is named.
pub(crate) const DEFAULT_FILE: &str = "/etc/switchboard/switchboard.toml";

/// The variable that names the file; a flag goes before it.
pub(crate) const FILE_ENV: &str = "SWITCHBOARD_CONFIG";

/// The variable by which hosting platforms say where they connect.
const PORT_ENV: &str = "PORT";

/// Every setting with where it came from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// The values.
    pub(crate) raw: Raw,
    /// Where those came from that are not defaults, by path.
    pub(super) origins: BTreeMap<String, Origin>,
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
}

/// What the outside says, before it is understood.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// The value of `--config`.
    pub(crate) file: Option<PathBuf>,
    /// The environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// `--set` with its `KEY=VALUE`, in order.
    pub(crate) assignments: Vec<String>,
    /// The paths of settings given by their own flags, with the text of each.
    pub(crate) flags: Vec<(String, String)>,
}

impl Settings {
    /// Puts the layers on each other.
    ///
    /// # Errors
    /// Everything that is wrong in any layer.
    pub(crate) fn load(sources: &Sources) -> Result<Self, Invalid> {
        let mut loading = Loading::default();
        loading.port(&sources.environment);
        loading.file(sources);
        loading.environment(&sources.environment);
        loading.assignments(&sources.assignments);
        loading.flags(&sources.flags);
        if loading.problems.is_empty() { Ok(loading.settings) } else { Err(Invalid(loading.problems)) }
    }

    /// Reads a file that is at hand already, over the defaults alone.
    ///
    /// # Errors
    /// Everything that is wrong in it.
    pub(crate) fn from_text(path: &Path, text: &str) -> Result<Self, Invalid> {
        let mut settings = Self { file: Some(path.to_owned()), ..Self::default() };
        let found = file::apply(path, text, &mut settings.raw);
        settings.origins = found.origins;
        if found.problems.is_empty() { Ok(settings) } else { Err(Invalid(found.problems)) }
    }

    /// Says where the setting of this path came from.
    pub(crate) fn origin(&self, path: &str) -> Origin {
        self.origins.get(path).cloned().unwrap_or(Origin::Default)
    }
}

/// Settings half loaded, and what was wrong so far.
#[derive(Debug, Default)]
struct Loading {
    settings: Settings,
    problems: Vec<Problem>,
}

impl Loading {
    /// `PORT` replaces the default alone: a stray variable must not overrule what somebody wrote.
    fn port(&mut self, environment: &[(OsString, OsString)]) {
        let Some((_, port)) = environment.iter().find(|(name, _)| name == PORT_ENV) else { return };
        match port.to_str() {
            Some("") => {}
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.set("listen", port, Origin::Port);
            }
            _ => self.complain(Origin::Port, "must be a port number", Some("unset it, or set --listen".to_owned())),
        }
    }

    fn file(&mut self, sources: &Sources) {
        let variable = sources.environment.iter().find(|(name, value)| name == FILE_ENV && !value.is_empty());
        let (path, origin) = match (&sources.file, variable) {
            (Some(path), _) => (path.clone(), Origin::Flag("--config".to_owned())),
            (None, Some((_, path))) => (PathBuf::from(path), Origin::Env(FILE_ENV.to_owned())),
            (None, None) if Path::new(DEFAULT_FILE).exists() => (PathBuf::from(DEFAULT_FILE), Origin::Default),
            (None, None) => return,
        };
        match file::read(&path) {
            Ok(text) => {
                let found = file::apply(&path, &text, &mut self.settings.raw);
                self.settings.origins.extend(found.origins);
                self.problems.extend(found.problems);
            }
            Err(wrong) => self.complain(origin, &wrong.sentence, wrong.hint),
        }
        self.settings.file = Some(path);
    }

    fn environment(&mut self, environment: &[(OsString, OsString)]) {
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else { continue };
            let origin = Origin::Env(name.to_owned());
            match (KEYS.iter().find(|key| key.env() == name), value.to_str()) {
                (Some(_), Some("")) => {}
                (Some(key), Some(text)) => self.set(&key.path(), text, origin),
                (Some(_), None) => self.complain(origin, "must be UTF-8", None),
                (None, _) => self.complain(origin, "there is no such setting", Some(unknown_variable(name))),
            }
        }
    }

    fn assignments(&mut self, assignments: &[String]) {
        for assignment in assignments {
            let origin = Origin::Flag("--set".to_owned());
            match assignment.split_once('=') {
                Some((path, text)) => self.set(path.trim(), text.trim(), origin),
                None => {
                    let sentence = format!("{} is not KEY=VALUE", quote(assignment));
                    self.complain(origin, &sentence, Some("as in --set limits.room_members=8".to_owned()));
                }
            }
        }
    }

    fn flags(&mut self, flags: &[(String, String)]) {
        for (path, text) in flags {
            let flag = KEYS.iter().find(|key| key.path() == *path).map_or(Flag::None, |key| key.flag);
            let (Flag::Value(name) | Flag::Off(name)) = flag else { continue };
            self.set(path, text, Origin::Flag(format!("--{name}")));
        }
    }

    /// Sets one setting from text, or complains.
    fn set(&mut self, path: &str, text: &str, origin: Origin) {
        let Some(key) = KEYS.iter().find(|key| key.path() == path) else {
            return self.complain(origin, &unknown(path), suggestion(path));
        };
        match (key.set_text)(&mut self.settings.raw, text) {
            Ok(()) => drop(self.settings.origins.insert(key.path(), origin)),
            Err(wrong) => self.problems.push(misfit(key, origin, wrong)),
        }
    }

    fn complain(&mut self, origin: Origin, sentence: &str, hint: Option<String>) {
        self.problems.push(Problem { origin, sentence: sentence.to_owned(), hint });
    }
}

/// The complaint about a setting that does not exist.
pub(crate) fn unknown(path: &str) -> String {
    format!("there is no setting {}", named(path))
}

/// A name that somebody typed, as it can be shown: what a terminal would obey is escaped.
pub(crate) fn named(name: &str) -> String {
    if name.chars().any(char::is_control) { quote(name) } else { format!("`{name}`") }
}

/// The complaint about a value that its setting does not accept.
pub(crate) fn misfit(key: &Key, origin: Origin, wrong: Wrong) -> Problem {
    Problem { origin, sentence: format!("`{}` {}", key.path(), wrong.sentence), hint: wrong.hint }
}

/// Returns what the author of an unknown path may have meant: the right name in another table, or a similar name.
pub(crate) fn suggestion(path: &str) -> Option<String> {
    let name = path.rsplit('.').next().unwrap_or(path);
    let paths: Vec<String> = KEYS.iter().map(Key::path).collect();
    let same_name = KEYS.iter().find(|key| key.name == name).map(Key::path);
    let similar = || closest(path, paths.iter().map(String::as_str)).map(str::to_owned);
    let similar_name =
        || closest(name, KEYS.iter().map(|key| key.name)).and_then(|name| KEYS.iter().find(|key| key.name == name));
    let found = same_name.or_else(similar).or_else(|| similar_name().map(Key::path))?;
    Some(format!("did you mean `{found}`?"))
}

/// Whether a variable is meant for this program.
///
/// A Kubernetes service called `switchboard` makes Kubernetes set `SWITCHBOARD_SERVICE_HOST`, `SWITCHBOARD_PORT`,
/// `SWITCHBOARD_PORT_3000_TCP_ADDR` and their like in every container ("Accessing the Service", environment variables);
/// those say nothing about our settings.
fn is_ours(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(ENV_PREFIX) else { return false };
    let is_service = |rest: &str| {
        rest.ends_with("SERVICE_HOST")
            || rest.contains("SERVICE_PORT")
            || rest.split_once("PORT").is_some_and(|(before, after)| {
                (before.is_empty() || before.ends_with('_')) && (after.is_empty() || is_port_link(after))
            })
    };
    name != FILE_ENV && !is_service(rest)
}

/// Whether `tail` ends a variable such as `…_PORT_3000_TCP_ADDR`.
fn is_port_link(tail: &str) -> bool {
    let mut parts = tail.trim_start_matches('_').split('_');
    let number = parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    number && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
}

fn unknown_variable(name: &str) -> String {
    let names: Vec<String> = KEYS.iter().map(Key::env).collect();
    match closest(name, names.iter().map(String::as_str).chain([FILE_ENV])) {
        Some(found) => format!("did you mean {found}?"),
        None => format!("names that begin with {ENV_PREFIX} are reserved; `switchboard config` lists them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Sources {
        let environment = pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        Sources { environment, ..Sources::default() }
    }

    fn listen(settings: &Settings) -> String {
        settings.raw.main.listen.iter().map(|addr| addr.0.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn flags_go_before_environment_before_port() {
        let mut sources = environment(&[("PORT", "1")]);
        let settings = Settings::load(&sources).expect("valid");
        assert_eq!((listen(&settings).as_str(), settings.origin("listen")), ("[::]:1", Origin::Port));
        sources.environment.push(("SWITCHBOARD_LISTEN".into(), "2,127.0.0.1:3".into()));
        assert_eq!(listen(&Settings::load(&sources).expect("valid")), "[::]:2 127.0.0.1:3");
        sources.flags.push(("listen".to_owned(), "4".to_owned()));
        let settings = Settings::load(&sources).expect("valid");
        assert_eq!(
            (listen(&settings).as_str(), settings.origin("listen")),
            ("[::]:4", Origin::Flag("--listen".into()))
        );
    }

    #[test]
    fn an_empty_variable_is_an_unset_one() {
        let sources = environment(&[("SWITCHBOARD_LISTEN", ""), ("PORT", ""), ("SWITCHBOARD_CONFIG", "")]);
        assert_eq!(Settings::load(&sources).expect("valid").raw, Raw::default());
    }

    #[test]
    fn variables_that_kubernetes_sets_are_not_ours() {
        for name in [
            "SWITCHBOARD_PORT",
            "SWITCHBOARD_SERVICE_HOST",
            "SWITCHBOARD_SERVICE_PORT_HTTP",
            "SWITCHBOARD_PORT_3000_TCP",
            "SWITCHBOARD_PORT_3000_TCP_ADDR",
            "SWITCHBOARD_METRICS_PORT_9464_TCP_PROTO",
            "SWITCHBOARD_CONFIG",
            "PATH",
        ] {
            assert!(!is_ours(name), "{name}");
        }
        for name in ["SWITCHBOARD_LSITEN", "SWITCHBOARD_LIMITS__ROOMS", "SWITCHBOARD_PORTS", "SWITCHBOARD_TRANSPORT"] {
            assert!(is_ours(name), "{name}");
        }
        for key in KEYS {
            assert!(is_ours(&key.env()), "{}", key.env());
        }
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let mut sources = environment(&[("SWITCHBOARD_LIMTS__ROOMS", "1"), ("SWITCHBOARD_QR", "maybe")]);
        sources.assignments = vec!["limits.rooms".to_owned(), "rooms=3".to_owned()];
        let invalid = Settings::load(&sources).expect_err("four mistakes").to_string();
        insta::assert_snapshot!(invalid);
    }

    #[test]
    fn suggestions_cross_tables() {
        assert_eq!(suggestion("room_members").as_deref(), Some("did you mean `limits.room_members`?"));
        assert_eq!(suggestion("limit.room_member").as_deref(), Some("did you mean `limits.room_members`?"));
        assert_eq!(suggestion("log.fliter").as_deref(), Some("did you mean `log.filter`?"));
        assert_eq!(suggestion("tls.certificate").as_deref(), Some("did you mean `turn.certificate`?"));
        assert_eq!(suggestion("quux.xyzzyxyzzy"), None);
    }
}
