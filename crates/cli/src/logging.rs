//! Where log lines go and how they look: standard error, as text for people and JSON for programs.

use std::io::{self, IsTerminal};

use anyhow::Context as _;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{LogFilter, LogFormat};

/// Changes the filter of a program that runs.
pub(crate) struct FilterHandle(reload::Handle<EnvFilter, Registry>);

impl FilterHandle {
    /// Lets the lines of `filter` through from now on.
    pub(crate) fn set(&self, filter: &LogFilter) {
        // Fails only when the subscriber is gone, which it never is before the process.
        let _ = self.0.reload(filter.directives());
    }
}

/// Starts logging.
///
/// # Errors
/// If it was started before.
pub(crate) fn start(format: LogFormat, filter: &LogFilter) -> anyhow::Result<FilterHandle> {
    let on_terminal = io::stderr().is_terminal();
    let (filter, handle) = reload::Layer::new(filter.directives());
    let as_text = match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => on_terminal,
    };
    let lines = if as_text {
        fmt::layer().with_writer(io::stderr).with_ansi(on_terminal && colours()).boxed()
    } else {
        fmt::layer().with_writer(io::stderr).json().flatten_event(true).with_span_list(false).boxed()
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init().context("logging runs already")?;
    Ok(FilterHandle(handle))
}

/// Whether colours are welcome (no-color.org).
pub(crate) fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
