//! The engines that run on this node, and where each looks for programs.
//!
//! Owns what a daemon's environment and command line say. Where what it finds leads is `programs`'s.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::programs::directories;
use crate::sys::file::read_capped;
use crate::sys::process::{self, Listed, path_of};

/// The kernel's own limit for arguments is not far above.
const MAX_WORDS: u64 = 2 << 20;

/// What engines are called; the kernel keeps 15 bytes.
const NAMES: [&str; 8] = [
    "dockerd",
    "containerd",
    "crio",
    "buildkitd",
    "podman",
    "k3s-server",
    "k3s-agent",
    "rke2",
];

/// As distributions start daemons.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// containerd puts the programs of its `opt` plugin first, below one of these.
const OPT: [&str; 2] = ["/opt/containerd/bin", "/var/lib/containerd/opt/bin"];

/// One engine that runs, or that would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Daemon {
    pub(super) name: String,
    /// `None` for one that does not run.
    pub(super) pid: Option<u32>,
    /// Its command line.
    pub(super) words: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// All engines of root's. Where none runs, one that stands for those that may be started.
pub(super) fn list() -> Vec<Daemon> {
    let processes = process::list().unwrap_or_default();
    // What it is about to run has its name until then.
    let is_child = |process: &Listed| {
        let mut others = processes.iter();
        others.any(|other| other.pid == process.parent && other.name == process.name)
    };
    let engines = processes
        .iter()
        .filter(|process| NAMES.contains(&process.name.as_str()) && !is_child(process));
    let mut daemons: Vec<_> = engines.filter_map(Daemon::of).collect();
    if daemons.is_empty() {
        daemons.push(Daemon {
            name: "an engine".to_owned(),
            pid: None,
            words: Vec::new(),
            environment: BTreeMap::new(),
        });
    }
    daemons
}

impl Daemon {
    fn of(process: &Listed) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        // A container of a container's engine, and a user's own, start nothing for this node.
        let is_roots = || {
            let metadata = std::fs::metadata(path_of(process.pid, "")).ok()?;
            Some(metadata.uid() == 0)
        };
        if !is_roots()? || !shares_root(process.pid) {
            return None;
        }
        let read = |name| words(&read_capped(&path_of(process.pid, name), MAX_WORDS).ok()?);
        Some(Self {
            name: process.name.clone(),
            pid: Some(process.pid),
            words: read("cmdline")?,
            // Only root may see it.
            environment: read("environ")
                .unwrap_or_default()
                .iter()
                .filter_map(|entry| entry.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }

    /// A variable of its environment.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    /// The value of an option, as `--name=VALUE` or in the next word.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let mut words = self.words.iter();
        while let Some(word) = words.next() {
            if word == name {
                return words.next().map(String::as_str);
            }
            let value = word
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('='));
            if value.is_some() {
                return value;
            }
        }
        None
    }

    /// All values of an option that may be given more than once.
    pub(super) fn options<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let next = self.words.iter().skip(1).map(Some).chain([None]);
        self.words.iter().zip(next).filter_map(move |(word, next)| {
            if word == name {
                return next.map(String::as_str);
            }
            word.strip_prefix(name)?.strip_prefix('=')
        })
    }

    /// The directories in which it looks for a runtime, first one first.
    pub(super) fn path(&self) -> Vec<PathBuf> {
        let mut path = directories(self.variable("PATH").unwrap_or(PATH));
        // Docker's own containerd is one, too.
        if self.name != "podman" && self.name != "crio" {
            path.splice(0..0, OPT.map(PathBuf::from));
        }
        let mut once = Vec::new();
        for directory in path {
            if !once.contains(&directory) {
                once.push(directory);
            }
        }
        once
    }

    /// Every program of this name that it could find, the one that it does find first. Two names of
    /// one file, as with a merged `/usr`, are one.
    pub(super) fn programs(&self, name: &str) -> Vec<PathBuf> {
        let mut seen = Vec::new();
        let mut found = Vec::new();
        for directory in self.path() {
            let real = directory
                .canonicalize()
                .unwrap_or_else(|_| directory.clone());
            let there = real.join(name);
            if there.symlink_metadata().is_ok() && !seen.contains(&there) {
                seen.push(there);
                found.push(directory.join(name));
            }
        }
        found
    }

    /// The program that it runs by this name.
    pub(super) fn find(&self, name: &str) -> PathBuf {
        if name.starts_with('/') {
            return PathBuf::from(name);
        }
        let first = self.programs(name).into_iter().next();
        first.unwrap_or_else(|| Path::new("/usr/bin").join(name))
    }
}

/// Whether a process has our root directory, and so means our files by their names.
fn shares_root(pid: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let inode = |path: PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let ours = inode(PathBuf::from("/"));
    // Whoever may not look takes it for one.
    inode(path_of(pid, "root/")).is_none_or(|theirs| Some(theirs) == ours)
}

fn words(bytes: &[u8]) -> Option<Vec<String>> {
    let words = bytes
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty());
    Some(
        words
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, Daemon};

    fn daemon(words: &[&str], path: &str) -> Daemon {
        Daemon {
            name: "podman".to_owned(),
            pid: None,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            environment: BTreeMap::from([("PATH".to_owned(), path.to_owned())]),
        }
    }

    #[test]
    fn reads_options_in_either_form() {
        let words = ["dockerd", "--a", "1", "--b=2", "--add", "x=1", "--add=y=2"];
        let daemon = daemon(&words, "");
        assert_eq!(daemon.option("--a"), Some("1"));
        assert_eq!(daemon.option("--b"), Some("2"));
        assert_eq!(daemon.option("--c"), None);
        assert_eq!(daemon.options("--add").collect::<Vec<_>>(), ["x=1", "y=2"]);
    }

    #[test]
    fn one_file_under_two_names_is_one_program() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| folder.path().join(name);
        for name in ["one", "two"] {
            std::fs::create_dir(at(name)).expect("made");
            std::fs::write(at(name).join("runc"), "").expect("written");
        }
        std::os::unix::fs::symlink(at("one"), at("alias")).expect("linked");
        let path = ["none", "alias", "one", "two"].map(|name| at(name).display().to_string());
        let daemon = daemon(&[], &path.join(":"));
        let expected = [at("alias/runc"), at("two/runc")];
        assert_eq!(daemon.programs("runc"), expected);
        assert_eq!(daemon.find("runc"), expected[0]);
        assert_eq!(daemon.find("/x/runc"), std::path::Path::new("/x/runc"));
    }
}
