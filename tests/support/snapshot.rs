//! Every file of a machine, to be compared with every file of it later.

use super::machine::Machine;
use std::collections::{BTreeMap, BTreeSet};

/// What the package tools, the account tools and the shell keep for themselves of whatever they did.
const THEIR_OWN: &[&str] = &[
    "/var/log/dpkg.log",
    "/var/log/apt/",
    "/var/log/alternatives.log",
    "/var/log/dockerd.log",
    "/var/lib/dpkg/status-old",
    "/var/lib/dpkg/diversions-old",
    "/var/lib/apt/",
    "/var/cache/apt/",
    "/var/lib/rpm-of-test/",
    "/etc/passwd-",
    "/etc/group-",
    "/etc/shadow-",
    "/etc/gshadow-",
];

/// Name, kind, mode, owner, target and checksum of every file.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    pub fn of(machine: &Machine) -> Self {
        let script = "find / -xdev -printf '%p\\t%y %m %U:%G %l\\n'; echo; \
                      find / -xdev -type f -print0 | xargs -0 sha256sum -z";
        let text = machine.sh(script).ok();
        let (files, sums) = text.split_once("\n\n").unwrap();
        let mut all: BTreeMap<String, String> = files
            .lines()
            .map(|line| line.split_once('\t').unwrap())
            .map(|(path, what)| (path.to_owned(), what.to_owned()))
            .collect();
        for line in sums.split_terminator('\0') {
            let (sum, path) = line.split_once("  ").unwrap();
            all.get_mut(path).unwrap().push_str(sum);
        }
        all.retain(|path, _| !THEIR_OWN.iter().any(|own| path.starts_with(own)));
        Self(all)
    }

    /// Panics with the differences.
    #[track_caller]
    pub fn assert_same(&self, before: &Self) {
        let there = |files: &Self, path: &str| files.0.get(path).cloned().unwrap_or_default();
        let paths: BTreeSet<_> = before.0.keys().chain(self.0.keys()).collect();
        let different: Vec<_> = paths
            .into_iter()
            .filter(|path| before.0.get(*path) != self.0.get(*path))
            .map(|path| {
                format!(
                    "{path}: '{}' -> '{}'",
                    there(before, path),
                    there(self, path)
                )
            })
            .collect();
        assert!(different.is_empty(), "traces: {different:#?}");
    }
}
