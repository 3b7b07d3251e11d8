//! The signals that an operator, a terminal or a service manager sends.

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Stop in good order; asked twice, stop at once.
    Stop {
        /// The exit code of who is stopped at once, 128 and the signal's number as shells have it.
        code: i32,
    },
    /// The terminal is gone. Stop in good order; several of these come at once, from the system and from the shell, and the
    /// later ones mean nothing.
    Hangup,
    /// Read the configuration again.
    Reload,
}

#[cfg(unix)]
mod system {
    use std::io::{self, IsTerminal as _};

    use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

    use super::Signal;

    /// The signals as they come.
    pub(crate) struct Signals {
        interrupt: Stream,
        terminate: Stream,
        hangup: Stream,
        /// Whether SIGHUP is a terminal's, which says with it that it closes, and not an operator's.
        on_terminal: bool,
    }

    impl Signals {
        /// Takes the signals over from the system.
        ///
        /// # Errors
        /// If the system refuses.
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: signal(SignalKind::hangup())?,
                // Asked now, for a terminal that is gone is none any more. Under `nohup` neither is one.
                on_terminal: io::stdin().is_terminal() || io::stdout().is_terminal(),
            })
        }

        /// Waits for the next one.
        pub(crate) async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.interrupt.recv() => Signal::Stop { code: 130 },
                _ = self.terminate.recv() => Signal::Stop { code: 143 },
                _ = self.hangup.recv() => if self.on_terminal { Signal::Hangup } else { Signal::Reload },
            }
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;

    use super::Signal;

    /// The signals as they come: Ctrl-C alone.
    pub(crate) struct Signals;

    impl Signals {
        /// Takes the signals over from the system.
        ///
        /// # Errors
        /// Never.
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Waits for the next one.
        pub(crate) async fn next(&mut self) -> Signal {
            match tokio::signal::ctrl_c().await {
                Ok(()) => Signal::Stop { code: 130 },
                Err(_) => std::future::pending().await,
            }
        }
    }
}

pub(crate) use system::Signals;
