//! Who may import whom (ARCHITECTURE.md, "Code map").

use toml::{Table, Value};

use super::Findings;
use super::tree::{File, Tree};

/// A crate of the workspace and the crates of the workspace that its production code may import.
struct Crate {
    package: &'static str,
    manifest: &'static str,
    may_import: &'static [&'static str],
}

/// An edge that is not listed here is forbidden. Dependencies point one way: a cycle cannot be written down, and neither
/// can a core that knows its shell.
const CRATES: &[Crate] = &[
    Crate { package: "switchboard-wire", manifest: "crates/wire/Cargo.toml", may_import: &[] },
    Crate { package: "switchboard-turn", manifest: "crates/turn/Cargo.toml", may_import: &[] },
    Crate {
        package: "switchboard-signalling",
        manifest: "crates/signalling/Cargo.toml",
        may_import: &["switchboard-wire"],
    },
    Crate { package: "switchboard-transports", manifest: "crates/transports/Cargo.toml", may_import: &[] },
    Crate {
        package: "switchboard-node",
        manifest: "crates/node/Cargo.toml",
        may_import: &["switchboard-transports", "switchboard-wire"],
    },
    Crate {
        package: "switchboard-peer",
        manifest: "crates/peer/Cargo.toml",
        may_import: &["switchboard-transports", "switchboard-wire"],
    },
    Crate {
        package: "switchboard-peer-web",
        manifest: "crates/peer-web/Cargo.toml",
        may_import: &["switchboard-peer"],
    },
    Crate { package: "switchboard-cluster", manifest: "crates/cluster/Cargo.toml", may_import: &["switchboard-wire"] },
    Crate {
        package: "switchboard-server",
        manifest: "crates/server/Cargo.toml",
        may_import: &[
            "switchboard-signalling",
            "switchboard-turn",
            "switchboard-node",
            "switchboard-cluster",
            "switchboard-wire",
        ],
    },
    Crate {
        package: "switchboard",
        manifest: "crates/cli/Cargo.toml",
        may_import: &["switchboard-server", "switchboard-peer", "switchboard-turn"],
    },
    Crate {
        package: "switchboard-testkit",
        manifest: "crates/testkit/Cargo.toml",
        may_import: &["switchboard-server", "switchboard-peer", "switchboard-cluster", "switchboard-wire"],
    },
    // The load generators stand outside: they see the wire and, for codecs alone, the sans-IO cores.
    Crate {
        package: "switchboard-bench",
        manifest: "bench/Cargo.toml",
        may_import: &["switchboard-wire", "switchboard-signalling", "switchboard-turn"],
    },
    Crate { package: "xtask", manifest: "xtask/Cargo.toml", may_import: &[] },
];

/// A crate of somebody else that only some of ours may name.
struct Foreign {
    /// The package, or with `-` at its end all packages that begin so.
    names: &'static [&'static str],
    /// The manifests that may.
    manifests: &'static [&'static str],
    why: &'static str,
}

const FOREIGN: &[Foreign] = &[
    Foreign {
        names: &["axum", "axum-"],
        manifests: &["crates/server/Cargo.toml"],
        why: "HTTP belongs to the composition in `server`",
    },
    Foreign {
        names: &["clap", "clap_"],
        manifests: &["crates/cli/Cargo.toml", "bench/Cargo.toml", "xtask/Cargo.toml"],
        why: "only programs have flags",
    },
    Foreign {
        names: &["libp2p", "libp2p-"],
        manifests: &["crates/transports/Cargo.toml", "crates/node/Cargo.toml", "crates/peer/Cargo.toml"],
        why: "libp2p stays behind the actor in `node`",
    },
    Foreign {
        names: &["tokio", "tokio-", "async-std", "smol"],
        manifests: &[
            "crates/transports/Cargo.toml",
            "crates/node/Cargo.toml",
            "crates/cluster/Cargo.toml",
            "crates/server/Cargo.toml",
            "crates/cli/Cargo.toml",
            "crates/testkit/Cargo.toml",
            "bench/Cargo.toml",
        ],
        why: "the cores are sans-IO and know no runtime",
    },
];

/// Sections whose packages end up in what users run.
const SHIPPED: &[&str] = &["dependencies", "build-dependencies"];

/// A dependency as a manifest writes it.
struct Dependency {
    /// The package's own name, whatever the manifest calls it.
    package: String,
    line: usize,
    shipped: bool,
}

/// Only the listed edges between our crates; `testkit` only in tests.
pub(super) fn between_crates(tree: &Tree, findings: &mut Findings) {
    for (file, manifest) in manifests_of(tree) {
        let Some(known) = CRATES.iter().find(|known| known.manifest == file.path()) else {
            findings.error(
                file,
                1,
                "this crate is not in the table of allowed imports: add it to xtask/src/tidy/imports.rs and \
                 ARCHITECTURE.md, or move it to where the table expects it",
            );
            continue;
        };
        if package_name(&manifest) != Some(known.package) {
            findings.error(file, 1, format!("the package here is called `{}`", known.package));
        }
        for dependency in dependencies(tree, file, &manifest) {
            let ours = CRATES.iter().any(|known| known.package == dependency.package);
            let allowed = known.may_import.contains(&dependency.package.as_str());
            if dependency.shipped && ours && !allowed {
                findings.error(
                    file,
                    dependency.line,
                    format!(
                        "`{}` may not import `{}`; it may import {}. Move the shared part down, or pass it in as data",
                        known.package,
                        dependency.package,
                        list(known.may_import)
                    ),
                );
            }
        }
    }
}

/// Only the listed crates name axum, clap, libp2p and tokio.
pub(super) fn of_other_projects(tree: &Tree, findings: &mut Findings) {
    for (file, manifest) in manifests_of(tree) {
        for dependency in dependencies(tree, file, &manifest) {
            for foreign in FOREIGN {
                let named = foreign.names.iter().any(|name| is_meant(name, &dependency.package));
                if named && dependency.shipped && !foreign.manifests.contains(&file.path()) {
                    findings.error(
                        file,
                        dependency.line,
                        format!(
                            "`{}` may only be named in {}: {}",
                            dependency.package,
                            list(foreign.manifests),
                            foreign.why
                        ),
                    );
                }
            }
        }
    }
}

/// The manifests of the packages in the workspace; fuzzers and tests with foreign clients are outside.
pub(super) fn manifests_of(tree: &Tree) -> impl Iterator<Item = (&File, Table)> {
    tree.files()
        .filter(|file| {
            file.name() == "Cargo.toml" && !["fuzz/", "tests/"].iter().any(|outside| file.path().starts_with(outside))
        })
        .filter_map(|file| Some((file, file.text().parse::<Table>().ok()?)))
        .filter(|(_, manifest)| manifest.contains_key("package"))
}

fn package_name(manifest: &Table) -> Option<&str> {
    manifest.get("package")?.get("name")?.as_str()
}

/// All dependencies of a manifest, those for one target included.
fn dependencies(tree: &Tree, file: &File, manifest: &Table) -> Vec<Dependency> {
    let shared = tree
        .file("Cargo.toml")
        .and_then(|root| root.text().parse::<Table>().ok())
        .and_then(|root| root.get("workspace")?.get("dependencies")?.as_table().cloned())
        .unwrap_or_default();
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables =
        std::iter::once(manifest).chain(targets.into_iter().flat_map(Table::values).filter_map(Value::as_table));
    let mut found = Vec::new();
    for table in tables {
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let Some(section_table) = table.get(section).and_then(Value::as_table) else {
                continue;
            };
            for (key, value) in section_table {
                found.push(Dependency {
                    package: real_name(key, value, &shared),
                    line: line_of(file, section, key),
                    shipped: SHIPPED.contains(&section),
                });
            }
        }
    }
    found
}

/// The package behind a dependency that the manifest, or the workspace, may call by another name.
fn real_name(key: &str, value: &Value, shared: &Table) -> String {
    let inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
    let source = if inherited { shared.get(key) } else { Some(value) };
    source.and_then(|value| value.get("package")).and_then(Value::as_str).unwrap_or(key).to_owned()
}

/// The line on which `section` names `key`; 1 if it is written in a way that we do not look for.
fn line_of(file: &File, section: &str, key: &str) -> usize {
    let mut inside = false;
    for (number, line) in file.lines() {
        if line.starts_with('[') {
            inside = line.trim_end().ends_with(&format!("{section}]"));
        } else if inside
            && let Some(rest) = line.strip_prefix(key)
            && rest.starts_with([' ', '.', '='])
        {
            return number;
        }
    }
    1
}

/// Whether the entry `name` of [`FOREIGN`] means `package`.
fn is_meant(name: &str, package: &str) -> bool {
    if name.ends_with(['-', '_']) { package.starts_with(name) } else { package == name }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "nothing of ours".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    fn manifest(name: &str, dependencies: &str) -> String {
        format!("[package]\nname = \"{name}\"\ndescription = \"x\"\n\n[lints]\nworkspace = true\n\n{dependencies}\n")
    }

    fn found(rule: &str, path: &str, name: &str, dependencies: &str) -> Vec<String> {
        findings_of(rule, &[(path, &manifest(name, dependencies))])
    }

    #[test]
    fn an_edge_that_is_not_listed_is_an_error_on_its_line() {
        let found = found(
            "imports",
            "crates/signalling/Cargo.toml",
            "switchboard-signalling",
            "[dependencies]\nswitchboard-wire.workspace = true\nswitchboard-server.workspace = true",
        );
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/signalling/Cargo.toml:10: error[imports]"), "{found:?}");
    }

    #[test]
    fn a_test_may_import_more() {
        let found = found(
            "imports",
            "crates/server/Cargo.toml",
            "switchboard-server",
            "[dev-dependencies]\nswitchboard-testkit.workspace = true",
        );
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn the_testkit_is_for_tests_alone() {
        let found = found(
            "imports",
            "crates/cli/Cargo.toml",
            "switchboard",
            "[dependencies]\nswitchboard-testkit = { path = \"../testkit\" }",
        );
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn another_name_does_not_hide_an_edge() {
        let found = found(
            "imports",
            "crates/wire/Cargo.toml",
            "switchboard-wire",
            "[target.'cfg(unix)'.dependencies]\ncore = { package = \"switchboard-signalling\", path = \"x\" }",
        );
        assert_eq!(found.len(), 1, "{found:?}");
        let root = "[workspace.dependencies]\nnet = { package = \"tokio\", version = \"1\" }\n";
        let wire = manifest("switchboard-wire", "[dependencies]\nnet.workspace = true");
        let found = findings_of("foreign", &[("Cargo.toml", root), ("crates/wire/Cargo.toml", &wire)]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_crate_outside_the_table_is_an_error() {
        assert_eq!(found("imports", "crates/extra/Cargo.toml", "switchboard-extra", "").len(), 1);
        assert_eq!(found("imports", "crates/wire/Cargo.toml", "switchboard-wires", "").len(), 1);
    }

    #[test]
    fn only_some_crates_may_name_a_runtime_or_a_framework() {
        let server = ("crates/server/Cargo.toml", "switchboard-server");
        let core = ("crates/signalling/Cargo.toml", "switchboard-signalling");
        for (dependency, in_server) in [("axum", 0), ("tokio", 0), ("tokio-util", 0), ("clap", 1), ("libp2p-swarm", 1)]
        {
            let line = format!("[dependencies]\n{dependency} = \"1\"");
            assert_eq!(found("foreign", server.0, server.1, &line).len(), in_server, "{dependency}");
            assert_eq!(found("foreign", core.0, core.1, &line).len(), 1, "{dependency}");
        }
        assert!(found("foreign", core.0, core.1, "[dev-dependencies]\ntokio = \"1\"").is_empty());
    }
}
