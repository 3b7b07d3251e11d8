//! The program `switchboard`; what it does is in the library beside it, where other programs of this repository can
//! reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchboard::run()
}
