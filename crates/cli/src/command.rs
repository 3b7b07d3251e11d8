//! What each command does, and how its failure is told: once, on standard error, with an exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::args::{Action, Print};
use crate::config::{Invalid, Secrets, Settings, Sources};
use crate::{args, config, credentials, doctor};

/// Reads the text of a configuration file and writes it out again with every default, secrets included. Nothing that the
/// text names is opened.
///
/// # Errors
/// Everything that is wrong with it, one problem a line, each with its line and column.
pub fn rewrite_config(text: &str) -> Result<String, String> {
    match Settings::from_text(std::path::Path::new("switchboard.toml"), text) {
        Ok(settings) => Ok(settings.to_toml(Secrets::Show)),
        Err(invalid) => Err(invalid.to_string()),
    }
}

/// Does what the command line of this process says.
pub fn run() -> ExitCode {
    match act(args::parse(std::env::args_os())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        // The report has said it.
        Err(error) if error.is::<doctor::Unwell>() => ExitCode::FAILURE,
        Err(error) => report(&error),
    }
}

fn act(action: Action) -> anyhow::Result<()> {
    match action {
        Action::Serve(sources) => crate::run::serve(sources),
        Action::Config(sources, what) => print(&configuration(&sources, what)?),
        Action::Reference(folder) => {
            config::write_reference(&folder).with_context(|| format!("cannot write to {}", folder.display()))
        }
        Action::CheckConfig(sources) => check(&sources),
        Action::Credentials(sources, request) => print(&credentials::credentials(&sources, &request)?),
        Action::Doctor(order) => doctor::doctor(&order),
        Action::Version { json: false } => print(&format!("switchboard {}\n", env!("CARGO_PKG_VERSION"))),
        Action::Version { json: true } => print(&version_json()),
        Action::Completions(shell) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut args::command(), "switchboard", &mut script);
            write(&script)
        }
        Action::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(args::command()).render(&mut page).context("cannot write the manual page")?;
            write(&page)
        }
    }
}

fn configuration(sources: &Sources, what: Print) -> Result<String, Invalid> {
    let secrets = match what {
        Print::Default => return Ok(Settings::default().to_toml(Secrets::Hide)),
        Print::Effective => Secrets::Hide,
        Print::WithSecrets => Secrets::Show,
    };
    let settings = Settings::load(sources)?;
    // What no server could start with is not in effect either.
    settings.meaning()?;
    Ok(settings.to_toml(secrets))
}

fn check(sources: &Sources) -> anyhow::Result<()> {
    let settings = Settings::load(sources)?;
    settings.meaning()?;
    match &settings.file {
        Some(file) => print(&format!("The configuration is valid ({}).\n", file.display())),
        None => print("The configuration is valid (no file).\n"),
    }
}

fn version_json() -> String {
    format!(
        "{{\"name\":\"switchboard\",\"version\":\"{}\",\"os\":\"{}\",\"arch\":\"{}\"}}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

fn print(text: &str) -> anyhow::Result<()> {
    write(text.as_bytes())
}

fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Whether the reader of our output has had enough, as `head` has.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Tells what went wrong.
fn report(error: &anyhow::Error) -> ExitCode {
    let mut err = io::stderr().lock();
    // Standard error may be closed; there is nobody left to tell.
    let _ = match error.downcast_ref::<Invalid>() {
        Some(invalid) => writeln!(err, "{invalid}"),
        None => writeln!(err, "error: {error:#}"),
    };
    if error.is::<Invalid>() || error.is::<doctor::Misused>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}
