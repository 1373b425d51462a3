//! The processes that have mounts of their own, one of each mount namespace.
//!
//! Owns which one that is, the oldest, and what is mounted as its root. Most of them are no
//! containers: which are is for others to say.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::mounts::{View, parse_overlay};
use super::super::trouble;
use crate::sys::mount::Location;
use crate::sys::mountinfo;
use crate::sys::process::{self, Listed, Namespace};
use crate::verdict::Undecided;

/// More generations than any process has.
const GENERATIONS: usize = 64;

/// All processes.
pub(super) struct Table {
    processes: HashMap<u32, Listed>,
    /// Those that may not be looked into.
    pub(super) unseen: usize,
    /// Whether there was no list of them.
    pub(super) is_unlisted: bool,
}

/// The oldest process of a mount namespace that is not ours.
pub(super) struct Inside {
    pub(super) init: Listed,
    /// What is mounted as its root.
    pub(super) root: Location,
    /// The writable layer, as it was called when it was mounted, where the root is an overlay.
    pub(super) upper: Option<PathBuf>,
    /// Those below it, topmost first.
    pub(super) lowers: Vec<PathBuf>,
    pub(super) view: View,
}

impl Table {
    /// Looks at every process once.
    pub(super) fn read(unread: &mut Vec<Undecided>) -> Self {
        let listed = process::list().inspect_err(|error| {
            unread.push(trouble::unreadable(
                "the processes",
                Path::new("/proc"),
                error,
            ));
        });
        let is_unlisted = listed.is_err();
        let listed = listed.unwrap_or_default();
        let unseen = listed.iter().filter(|listed| listed.mounts.is_none());
        Self {
            unseen: unseen.count(),
            is_unlisted,
            processes: listed
                .into_iter()
                .map(|listed| (listed.pid, listed))
                .collect(),
        }
    }

    pub(super) fn get(&self, pid: u32) -> Option<&Listed> {
        self.processes.get(&pid)
    }

    /// The oldest process of each mount namespace but the node's own, the oldest of all first.
    pub(super) fn insides(&self) -> Vec<Inside> {
        let own = nodes_own();
        let mut oldest: HashMap<Namespace, &Listed> = HashMap::new();
        for listed in self.processes.values() {
            let Some(namespace) = listed.mounts.filter(|mounts| !own.contains(mounts)) else {
                continue;
            };
            let first = oldest.entry(namespace).or_insert(listed);
            if age(listed) < age(first) {
                *first = listed;
            }
        }
        // One that ended meanwhile has no mounts any more.
        let mut insides: Vec<_> = oldest.into_values().filter_map(Inside::of).collect();
        insides.sort_by_key(|inside| age(&inside.init));
        insides
    }

    /// Whether a process comes from one of `inits`.
    pub(super) fn comes_from(&self, process: &Listed, inits: &[u32]) -> bool {
        let mut pid = process.parent;
        for _ in 0..GENERATIONS {
            if inits.contains(&pid) {
                return true;
            }
            match self.get(pid) {
                Some(parent) => pid = parent.parent,
                None => return false,
            }
        }
        false
    }
}

/// The mount namespaces that are no container's: that of the node's first process, and our own, if we see the
/// node's root in it. We may be in a container ourselves, which then is one like any other.
pub(super) fn nodes_own() -> Vec<Namespace> {
    use std::os::unix::fs::MetadataExt as _;
    let root = |pid| {
        let root = std::fs::metadata(process::path_of(pid, "root/")).ok()?;
        Some((root.dev(), root.ino()))
    };
    let us = std::process::id();
    let [first, ours] = [1, us].map(|pid| process::mounts_of(pid).ok());
    // Whoever may not look at the first process has nothing to compare with.
    let ours = ours.filter(|_| first.is_none() || root(1) == root(us));
    first.into_iter().chain(ours).collect()
}

/// Two that started in one tick are told apart by their numbers.
const fn age(listed: &Listed) -> (u64, u32) {
    (listed.started, listed.pid)
}

impl Inside {
    fn of(init: &Listed) -> Option<Self> {
        let lines = mountinfo::read_of(init.pid).ok()?;
        let is_root = |line: &&mountinfo::Line| line.mount.point == Path::new("/");
        // The topmost, where several are stacked.
        let root = &lines.iter().rev().find(is_root)?.mount;
        let is_overlay = root.kind == "overlay";
        let overlay = is_overlay.then(|| parse_overlay(&root.options).ok());
        // One that is not understood is bound to nothing.
        let overlay = overlay.flatten().unwrap_or_default();
        Some(Self {
            init: init.clone(),
            root: root.location(),
            upper: overlay.upper,
            lowers: overlay.lowers,
            view: View::from_inside(lines),
        })
    }

    /// Whether its writable layer is the directory at `path`: overlayfs gives its root that directory's
    /// inode number. Inside a container other directories have the same path.
    pub(super) fn has_upper(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let root = std::fs::metadata(process::path_of(self.init.pid, "root/"));
        let upper = std::fs::symlink_metadata(path);
        matches!((root, upper), (Ok(root), Ok(upper)) if root.ino() == upper.ino())
    }
}
