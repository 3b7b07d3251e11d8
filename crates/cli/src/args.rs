//! The grammar of the command line. Its flags come from the list of settings; this module reads no configuration.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use clap_complete::Shell;

use crate::config::keys::{Flag, Key};
use crate::config::{KEYS, Sources};
use crate::credentials;
use crate::doctor;

/// What the user wants done.
#[derive(Debug)]
pub(crate) enum Action {
    /// Serve until told to stop.
    Serve(Sources),
    /// Print a configuration.
    Config(Sources, Print),
    /// Write the reference of all settings into a folder.
    Reference(PathBuf),
    /// Say whether the configuration is valid.
    CheckConfig(Sources),
    /// Print TURN credentials.
    Credentials(Sources, credentials::Request),
    /// Ask a server for STUN and relays, and say what does not work.
    Doctor(doctor::Order),
    /// Print the version.
    Version {
        /// As a JSON object.
        json: bool,
    },
    /// Print a shell's completions.
    Completions(Shell),
    /// Print the manual page.
    Man,
}

/// What `switchboard config` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Print {
    /// What is in effect, secrets hidden.
    Effective,
    /// What is in effect, secrets and all.
    WithSecrets,
    /// The defaults.
    Default,
}

/// Reads a command line. Prints help or a usage error and ends the process where that is the answer.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Action {
    let matches = command().get_matches_from(arguments);
    match matches.subcommand() {
        None => Action::Serve(sources(&matches)),
        Some(("serve", matches)) => Action::Serve(sources(matches)),
        Some(("config", matches)) => match matches.get_one::<String>("reference") {
            Some(folder) => Action::Reference(folder.into()),
            None => Action::Config(sources(matches), print(matches)),
        },
        Some(("check-config", matches)) => Action::CheckConfig(sources(matches)),
        Some(("credentials", matches)) => Action::Credentials(sources(matches), credentials_request(matches)),
        Some(("doctor", matches)) => Action::Doctor(order(matches)),
        Some(("version", matches)) => Action::Version { json: matches.get_flag("json") },
        Some(("completions", matches)) => Action::Completions(matches.get_one("shell").copied().unwrap_or(Shell::Bash)),
        Some(("man", _)) => Action::Man,
        Some((other, _)) => unreachable!("{other} is declared without an action"),
    }
}

/// Returns the grammar.
pub(crate) fn command() -> Command {
    let toggle = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help).help_heading("Options")
    };
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).help_heading("Options")
    };
    Command::new("switchboard")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Introduces browsers to each other, so that they talk directly")
        .long_about(
            "Introduces browsers to each other, so that they talk directly. Without a command, it serves: open the \
             printed link and send it to a friend.",
        )
        .after_help("Flags go before the environment, that before the file; `switchboard config` shows the result.")
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .args(settings())
        .subcommand(Command::new("serve").about("Serves until it is told to stop (the default)").args(settings()))
        .subcommand(
            Command::new("config")
                .about("Prints the configuration in effect, as a commented file that can be loaded")
                .arg(toggle("default", "Print the defaults instead").exclusive(true))
                .arg(option("reference", "FOLDER", "Write the reference's pages instead").exclusive(true).hide(true))
                .arg(toggle("show-secrets", "Print secrets instead of ***"))
                .args(settings()),
        )
        .subcommand(
            Command::new("check-config")
                .about("Says whether the configuration is valid, and starts nothing")
                .args(settings()),
        )
        .subcommand(
            Command::new("credentials")
                .about("Prints time-limited TURN credentials, signed with the configured secret")
                .arg(option("user", "NAME", "For whom; quotas count by it"))
                .arg(option("lifetime", "TIME", "For how long, such as 30m; by default as long as those of pages"))
                .arg(option("host", "HOST", "The server's name in the URLs; by default that of public_url"))
                .arg(toggle("json", "Print a JSON object"))
                .args(settings()),
        )
        .subcommand(doctor_command())
        .subcommand(Command::new("version").about("Prints the version").arg(toggle("json", "Print a JSON object")))
        .subcommand(
            Command::new("completions")
                .about("Prints completions for a shell")
                .arg(Arg::new("shell").required(true).value_name("SHELL").value_parser(clap::value_parser!(Shell))),
        )
        .subcommand(Command::new("man").about("Prints the manual page, in roff"))
}

fn doctor_command() -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).help_heading("Options")
    };
    Command::new("doctor")
        .about("Asks a server for STUN and relays, and says what works, what does not and why")
        .long_about(
            "Asks a server for STUN over UDP and TCP and for relays over UDP, TCP and TLS, sends an echo through each and \
             a packet to its ports as a stranger would, and says what works, what does not, why, and what to do. Ends with 0 if \
             everything works that somebody relies on, as far as that shows from here: the server's own machine cannot tell \
             whether the relay's ports are open to others. Ends with 1 if something does not work.",
        )
        .arg(
            Arg::new("server")
                .value_name("SERVER")
                .action(ArgAction::Append)
                .help("A Switchboard such as https://example.org, or servers such as turn:example.org:3478")
                .long_help(
                    "A Switchboard such as https://example.org, which is asked for its servers and for credentials as a \
                     page asks; or STUN and TURN servers such as stun:example.org, turn:example.org:3478?transport=tcp or \
                     turns:example.org. By default the Switchboard at http://localhost:3000.",
                ),
        )
        .arg(option("username", "NAME", "The user name for servers that are named themselves"))
        .arg(option("password", "PASSWORD", "The password of this user").requires("username"))
        .arg(option("secret", "SECRET", "The server's secret, to make credentials from").conflicts_with("password"))
        .arg(
            option("ca", "FILE", "Trusts the authorities in this PEM file too")
                .value_parser(PathBufValueParser::new()),
        )
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Prints a JSON object").help_heading("Options"))
}

fn order(matches: &ArgMatches) -> doctor::Order {
    let text = |name| matches.get_one::<String>(name).cloned();
    doctor::Order {
        servers: matches.get_many::<String>("server").unwrap_or_default().cloned().collect(),
        username: text("username"),
        password: text("password"),
        secret: text("secret"),
        authorities: matches.get_one::<PathBuf>("ca").cloned(),
        json: matches.get_flag("json"),
    }
}

/// The flags of settings, and those that lead to more settings.
fn settings() -> Vec<Arg> {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(PathBufValueParser::new())
        .help("Reads this file [env: SWITCHBOARD_CONFIG]");
    let set = Arg::new("set")
        .long("set")
        .value_name("KEY=VALUE")
        .action(ArgAction::Append)
        .help("Sets any key, such as limits.room_members=8");
    [file, set].into_iter().chain(KEYS.iter().filter_map(setting)).collect()
}

/// The flag of one setting.
fn setting(key: &'static Key) -> Option<Arg> {
    let help = format!("{} [env: {}]", key.summary().replace('`', ""), key.env());
    match key.flag {
        Flag::None => None,
        Flag::Off(flag) => Some(Arg::new(flag).long(flag).action(ArgAction::SetTrue).help(format!("No {help}"))),
        Flag::Value(flag) => {
            let action = if key.many { ArgAction::Append } else { ArgAction::Set };
            Some(Arg::new(flag).long(flag).value_name(key.placeholder).action(action).help(help))
        }
    }
}

fn credentials_request(matches: &ArgMatches) -> credentials::Request {
    let text = |name| matches.get_one::<String>(name).cloned();
    let (user, lifetime, host) = (text("user"), text("lifetime"), text("host"));
    credentials::Request { user, lifetime, host, json: matches.get_flag("json") }
}

fn print(matches: &ArgMatches) -> Print {
    match (matches.get_flag("default"), matches.get_flag("show-secrets")) {
        (true, _) => Print::Default,
        (false, true) => Print::WithSecrets,
        (false, false) => Print::Effective,
    }
}

/// What was given, in words of the settings; values of a flag that was repeated become one list.
fn sources(matches: &ArgMatches) -> Sources {
    let flags = KEYS.iter().filter_map(|key| {
        let text = match key.flag {
            Flag::None => return None,
            Flag::Off(flag) => matches.get_flag(flag).then(|| "false".to_owned())?,
            Flag::Value(flag) => matches.get_many::<String>(flag)?.map(String::as_str).collect::<Vec<_>>().join(","),
        };
        Some((key.path(), text))
    });
    Sources {
        file: matches.get_one::<PathBuf>("config").cloned(),
        environment: std::env::vars_os().collect(),
        assignments: matches.get_many::<String>("set").unwrap_or_default().cloned().collect(),
        flags: flags.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Action {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_grammar_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn no_command_serves() {
        for line in ["switchboard --listen 1 --listen 2", "switchboard serve --listen 1 --listen 2"] {
            let Action::Serve(sources) = parsed(line) else { panic!("{line}") };
            assert_eq!(sources.flags, [("listen".to_owned(), "1,2".to_owned())]);
        }
    }

    #[test]
    fn a_flag_can_stand_for_off() {
        let Action::Serve(sources) = parsed("switchboard --no-qr") else { panic!("serves") };
        assert_eq!(sources.flags, [("qr".to_owned(), "false".to_owned())]);
    }
}
