//! `cargo xtask fuzz`: runs the fuzz targets with cargo-fuzz on the stable toolchain. What they find on the way goes to
//! `target/fuzz-corpus`; what is worth keeping is copied to `fuzz/corpus` by hand, and replayed by `cargo xtask test`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use toml::Table;

use crate::process;
use crate::workspace::{Workspace, in_path};

/// What `cargo xtask fuzz` is asked for.
#[derive(Args)]
pub(crate) struct Options {
    /// Which target; all, one after the other, if none is named
    target: Option<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Runs the target, or all of them; the first crash ends the run with an error that names its input.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if in_path("cargo-fuzz").is_none() {
        bail!("cargo-fuzz is missing: run `cargo install cargo-fuzz --locked`");
    }
    let known = targets(workspace)?;
    let chosen = match &options.target {
        Some(target) if known.contains(target) => std::slice::from_ref(target),
        Some(target) => bail!("there is no fuzz target `{target}`; known are {}", known.join(", ")),
        None => &known,
    };
    let manifest = fs::read_to_string(workspace.path("fuzz/Cargo.toml")).context("cannot read fuzz/Cargo.toml")?;
    let manifest = manifest.parse().context("fuzz/Cargo.toml is no TOML")?;
    chosen.iter().try_for_each(|target| fuzz(workspace, target, &features(&manifest, target), options.seconds))
}

/// The features that a target's binary asks for: the fewer, the less there is to compile.
fn features(manifest: &Table, target: &str) -> String {
    let bins = manifest.get("bin").and_then(|bins| bins.as_array()).into_iter().flatten();
    let is_it = |bin: &&toml::Value| bin.get("name").and_then(|name| name.as_str()) == Some(target);
    let required = bins.filter(is_it).filter_map(|bin| bin.get("required-features")?.as_array());
    required.flatten().filter_map(|feature| feature.as_str()).collect::<Vec<_>>().join(",")
}

/// The names of the targets, in their order.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace.path("fuzz/fuzz_targets")).context("cannot list fuzz/fuzz_targets")? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn fuzz(workspace: &Workspace, target: &str, features: &str, seconds: u32) -> Result<()> {
    let found = workspace.target().join("fuzz-corpus").join(target);
    fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
    let committed = ["corpus", "regressions"].map(|folder| workspace.path("fuzz").join(folder).join(target));
    // The first folder is the one that libFuzzer writes to.
    let corpora = std::iter::once(found).chain(committed.into_iter().filter(|folder| folder.is_dir()));
    let mut command = process::cargo(workspace);
    command
        // The flags that instrument code are unstable; the rest of the toolchain is what users have.
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["fuzz", "run", "--no-default-features", "--features", features, "--target-dir"])
        .arg(workspace.target().join("fuzz"))
        .arg(target)
        .args(corpora.collect::<Vec<PathBuf>>())
        .args(["--", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"])
        .arg(format!("-max_total_time={seconds}"));
    let dictionary = workspace.path("fuzz/dictionaries").join(format!("{target}.dict"));
    if dictionary.exists() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    process::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_built_with_what_it_asks_for() {
        let manifest = "
            [[bin]]
            name = 'small'
            required-features = ['libfuzzer']
            [[bin]]
            name = 'large'
            required-features = ['libfuzzer', 'server']
        ";
        let manifest = manifest.parse().expect("TOML");
        assert_eq!(["small", "large"].map(|name| features(&manifest, name)), ["libfuzzer", "libfuzzer,server"]);
    }
}
