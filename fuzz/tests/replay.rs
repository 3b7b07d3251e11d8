//! Replays every corpus, and every input that once crashed something, without a fuzzer: on any machine, in seconds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use switchboard_fuzz::{TARGETS, Target};

/// The committed inputs of a target: `corpus/<target>/` for reach, `regressions/<target>/` for what once crashed.
fn inputs(folder: &str, target: &Target) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target.name);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    files
}

#[test]
fn every_committed_input_holds() {
    for target in TARGETS.iter() {
        let mut replayed = 0;
        for folder in ["corpus", "regressions"] {
            for file in inputs(folder, target) {
                let bytes = fs::read(&file).expect("a readable file");
                // Printed only when the test fails, and then it names the input.
                println!("{}", file.display());
                (target.run)(&bytes);
                replayed += 1;
            }
        }
        println!("{}: {replayed} inputs", target.name);
        assert!(replayed > 0, "{} has no corpus", target.name);
    }
}

#[test]
fn every_corpus_has_a_target_and_every_target_a_binary() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let names = |folder: &str| -> BTreeSet<String> {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { return BTreeSet::new() };
        entries
            .map(|entry| entry.expect("a readable folder").path())
            .filter_map(|path| path.file_stem().map(|name| name.to_string_lossy().into_owned()))
            .collect()
    };
    assert_eq!(names("corpus"), known);
    assert_eq!(names("fuzz_targets"), known);
    assert!(names("regressions").is_subset(&known));
}
