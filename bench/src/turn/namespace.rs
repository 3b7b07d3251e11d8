//! A network namespace of the bench's own: this program again, behind a fresh loopback interface.

use anyhow::{Context, Result, ensure};
use std::env;
use std::process::Command;

/// Says to the program inside that it is inside.
const INSIDE: &str = "BENCH_INSIDE_NAMESPACE";

/// Whether this is the program inside.
pub(crate) fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Runs this program with its arguments inside a fresh namespace.
pub(crate) fn enter(without_offload: bool) -> Result<()> {
    let program = env::current_exe().context("cannot find this program")?;
    let offload = if without_offload { "ethtool -K lo tx-udp-segmentation off >&2 && " } else { "" };
    let script = format!("ip link set lo up && {offload}exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--net", "--", "sh", "-c", &script]).arg(program).args(env::args_os().skip(1)).env(INSIDE, "1");
    let status = command.status().context("cannot run unshare; is util-linux installed?")?;
    ensure!(
        status.success(),
        "the run inside a network namespace failed ({status}); it needs root, `ip` and `ethtool`"
    );
    Ok(())
}
