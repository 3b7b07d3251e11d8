//! The files of a checkout that belong to the project, with their text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The shortest reason that an exception may give: one word explains nothing.
const REASON: usize = 10;

/// A file of the project.
pub(crate) struct File {
    /// Relative to the root, with `/`.
    path: String,
    /// Empty for a file that is not text.
    text: String,
}

impl File {
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The lines with their numbers, counted from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The folder, without a slash at its end; empty for the root.
    pub(crate) fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    pub(crate) fn has_extension(&self, extensions: &[&str]) -> bool {
        self.name().rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
    }

    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "testkit") || self.name() == "tests.rs"
    }

    /// The number of the line from which on a Rust file holds its unit tests.
    pub(crate) fn tests_from(&self) -> usize {
        if self.is_test() {
            return 1;
        }
        self.lines()
            .find(|(_, line)| line.trim_start().starts_with("#[cfg(test)]"))
            .map_or(usize::MAX, |(number, _)| number)
    }

    /// Whether line `number` or the one above it says `tidy: allow(<rule>) - <reason>`.
    pub(crate) fn excepts(&self, number: usize, rule: &str) -> bool {
        let mark = format!("tidy: allow({rule})");
        self.lines()
            .skip(number.saturating_sub(2))
            .take(if number > 1 { 2 } else { 1 })
            .filter_map(|(_, line)| line.split_once(&mark))
            .any(|(_, reason)| {
                let reason = reason.trim_start().trim_start_matches(['-', '—', ':']).trim();
                reason.chars().count() >= REASON
            })
    }
}

/// The project's files by their paths.
pub(crate) struct Tree {
    files: BTreeMap<String, File>,
    folders: BTreeSet<String>,
}

impl Tree {
    /// Reads what git tracks under `root`, and what it would track if it were added.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let output = Command::new("git")
            .current_dir(root)
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .output()
            .context("tidy asks git which files belong to the project, and git does not start")?;
        if !output.status.success() {
            bail!("tidy needs a git checkout: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let paths = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let mut files = Vec::new();
        for path in paths.split_terminator('\0') {
            // A file that was deleted and not yet committed is no part of the project.
            if let Ok(bytes) = std::fs::read(root.join(path)) {
                let text = String::from_utf8(bytes).unwrap_or_default();
                files.push((path.to_owned(), text));
            }
        }
        Ok(Self::from_files(files))
    }

    /// A tree of the given paths and texts.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self::from_files(files.iter().map(|(path, text)| (path.to_string(), text.to_string())))
    }

    fn from_files(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let files: BTreeMap<_, _> = files.into_iter().map(|(path, text)| (path.clone(), File { path, text })).collect();
        let folders =
            files.keys().flat_map(|path| path.match_indices('/').map(|(end, _)| path[..end].to_owned())).collect();
        Self { files, folders }
    }

    /// All files in the order of their paths.
    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.values()
    }

    /// The file at `path`.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// Whether `path` is a file or a folder of the project; the empty path is the root.
    pub(crate) fn has(&self, path: &str) -> bool {
        path.is_empty() || self.files.contains_key(path) || self.folders.contains(path)
    }

    /// The Rust sources, tests included.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files().filter(|file| file.has_extension(&["rs"]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_git_tracks_and_nothing_that_it_ignores() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let git = |args: &[&str]| {
            let done = Command::new("git").current_dir(root).args(args).output().unwrap();
            assert!(done.status.success(), "{done:?}");
        };
        git(&["init", "--quiet"]);
        std::fs::create_dir(root.join("src")).unwrap();
        std::fs::write(root.join("src/a.rs"), "//! A.\n").unwrap();
        std::fs::write(root.join("gone.rs"), "//! Gone.\n").unwrap();
        std::fs::write(root.join("built.o"), "x").unwrap();
        std::fs::write(root.join(".gitignore"), "*.o\n").unwrap();
        git(&["add", "gone.rs"]);
        std::fs::remove_file(root.join("gone.rs")).unwrap();

        let tree = Tree::read(root).unwrap();

        let paths: Vec<_> = tree.files().map(File::path).collect();
        assert_eq!(paths, [".gitignore", "src/a.rs"]);
        assert!(tree.has("src"));
        assert!(!tree.has("built.o"));
    }

    #[test]
    fn outside_a_checkout_it_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = Tree::read(folder.path()).err().unwrap();
        assert!(error.to_string().contains("git checkout"), "{error}");
    }

    #[test]
    fn knows_where_the_unit_tests_of_a_file_begin() {
        let from = |path, text| Tree::of(&[(path, text)]).file(path).unwrap().tests_from();
        assert_eq!(from("crates/wire/src/a.rs", "//! A.\n\n#[cfg(test)]\nmod tests {}\n"), 3);
        assert_eq!(from("crates/wire/src/a.rs", "//! A.\n"), usize::MAX);
        assert_eq!(from("crates/wire/tests/a.rs", "//! A.\n"), 1);
        assert_eq!(from("crates/wire/src/core/tests.rs", "//! A.\n"), 1);
    }
}
