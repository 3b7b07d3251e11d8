//! What a manifest must say about itself, and where dependencies come from.

use toml::Value;

use super::Findings;
use super::imports::manifests_of;
use super::tree::Tree;

/// Each crate describes itself and inherits the lints; nothing is patched.
pub(super) fn describes_itself(tree: &Tree, findings: &mut Findings) {
    for (file, manifest) in manifests_of(tree) {
        let described = manifest
            .get("package")
            .and_then(|package| package.get("description"))
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty());
        if !described {
            findings.error(file, 1, "add a `description` of one line to [package]");
        }
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
        if inherits != Some(true) {
            findings.error(file, 1, "add `[lints]` with `workspace = true`");
        }
    }
    if let Some(file) = tree.file("Cargo.toml")
        && let Some((line, _)) = file.lines().find(|(_, line)| line.starts_with("[patch"))
    {
        findings.error(file, line, "do not patch dependencies: work around it, or write it ourselves");
    }
}

/// Dependencies come from the public registries, and lock files name no other host.
pub(super) fn lock_files(tree: &Tree, findings: &mut Findings) {
    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
    for file in tree.files() {
        for (number, line) in file.lines() {
            let line = line.trim_start();
            match file.name() {
                "Cargo.lock" => {
                    if let Some(source) = line.strip_prefix("source = ")
                        && source.trim_matches('"') != CRATES_IO
                    {
                        findings.error(file, number, "use a release from crates.io, not another source");
                    }
                }
                "package-lock.json" if line.starts_with("\"resolved\":") => findings.error(
                    file,
                    number,
                    "the lock file names a host: make it again with `omit-lockfile-registry-resolved=true` in .npmrc",
                ),
                ".npmrc" if line.starts_with("registry") || line.contains(":registry") => {
                    findings.error(file, number, "which registry to use is each machine's own business")
                }
                "config.toml" if file.folder().ends_with(".cargo") && line.starts_with("[source") => {
                    findings.error(file, number, "which registry to use is each machine's own business");
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    #[test]
    fn a_manifest_describes_itself_and_inherits_the_lints() {
        let good = "[package]\nname = \"switchboard-wire\"\ndescription = \"Ids\"\n\n[lints]\nworkspace = true\n";
        assert!(findings_of("manifest", &[("crates/wire/Cargo.toml", good)]).is_empty());
        let bare = "[package]\nname = \"switchboard-wire\"\n";
        assert_eq!(findings_of("manifest", &[("crates/wire/Cargo.toml", bare)]).len(), 2);
        let patched = "[workspace]\n\n[patch.crates-io]\nquinn = { git = \"x\" }\n";
        let found = findings_of("manifest", &[("Cargo.toml", patched)]);
        assert!(found[0].starts_with("Cargo.toml:3: "), "{found:?}");
    }

    #[test]
    fn lock_files_name_only_public_sources() {
        let cargo = |source: &str| format!("[[package]]\nname = \"a\"\nsource = \"{source}\"\n");
        let public = cargo("registry+https://github.com/rust-lang/crates.io-index");
        let fork = cargo("git+https://github.com/somebody/fork#0a1b");
        assert!(findings_of("pinned", &[("Cargo.lock", &public)]).is_empty());
        assert_eq!(findings_of("pinned", &[("Cargo.lock", &fork)]).len(), 1);
        let npm = "{\n  \"resolved\": \"https://packages.example.org/ws.tgz\"\n}\n";
        assert_eq!(findings_of("pinned", &[("tests/package-lock.json", npm)]).len(), 1);
        let npmrc = "registry=https://packages.example.org\n";
        assert_eq!(findings_of("pinned", &[("tests/.npmrc", npmrc)]).len(), 1);
    }
}
