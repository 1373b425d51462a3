//! The processes that have mounts of their own, one of each mount namespace.
//!
//! Owns which one that is, the oldest, and what is mounted as its root. Most of them are no
//! containers: which are is for others to say.

use std::collections::HashMap;
use std::io::ErrorKind::{FileTooLarge, InvalidData};
use std::path::{Path, PathBuf};

use super::super::mounts::{View, parse_overlay};
use super::super::trouble;
use crate::sys::mount::{Location, Mount};
use crate::sys::mountinfo::{self, Line};
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
    /// What is mounted as its root; `None` where it has made a directory its root that is no mount.
    pub(super) root: Option<Location>,
    /// The writable layer, as it was called when it was mounted, where the root is an overlay.
    pub(super) upper: Option<PathBuf>,
    /// Those below it, topmost first.
    pub(super) lowers: Vec<PathBuf>,
    pub(super) view: View,
    /// The inode of the top of its mounts, where that is not its root.
    top: Option<u64>,
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

    /// The oldest process of each mount namespace but the node's own, the oldest of all first. Each is looked
    /// at when it is taken: anybody may have mounts without end. One that cannot be is an error.
    pub(super) fn insides(&self) -> impl Iterator<Item = Result<Inside, Undecided>> {
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
        let mut inits: Vec<_> = oldest.into_values().collect();
        inits.sort_by_key(|init| age(init));
        inits.into_iter().filter_map(Inside::of)
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
    fn of(init: &Listed) -> Option<Result<Self, Undecided>> {
        match mountinfo::read_of(init.pid) {
            Ok(lines) => Some(Ok(Self::with(init.clone(), lines))),
            Err(error) if matches!(error.kind(), FileTooLarge | InvalidData) => {
                let path = mountinfo::path_of(init.pid);
                let what = "the mounts of a process";
                Some(Err(trouble::unreadable(what, &path, &error)))
            }
            // One that ended meanwhile has no mounts any more.
            Err(_) => None,
        }
    }

    fn with(init: Listed, lines: Vec<Line>) -> Self {
        let is_root = |line: &&Line| line.mount.point == Path::new("/");
        // The topmost, where several are stacked.
        let root = lines.iter().rev().find(is_root).map(|line| &line.mount);
        let overlay = root.filter(|root| root.kind == "overlay");
        let overlay = overlay.and_then(|root| parse_overlay(&root.options).ok());
        // One that is not understood is bound to nothing.
        let overlay = overlay.unwrap_or_default();
        Self {
            init,
            root: root.map(Mount::location),
            upper: overlay.upper,
            lowers: overlay.lowers,
            view: View::from_inside(lines),
            top: None,
        }
    }

    /// The same, by the overlay that its mounts begin with, as its monitor or the node's first process sees
    /// it: of one that has made another directory its root, the kernel shows no mount above that.
    pub(super) fn seen_from_top(self, monitor: Option<u32>) -> Self {
        let Ok((device, inode)) = process::top_of(self.init.pid) else {
            return self;
        };
        let is_it = |line: &Line| {
            let mount = &line.mount;
            mount.device == device && mount.kind == "overlay" && mount.root == Path::new("/")
        };
        let seen_by = |pid| mountinfo::read_of(pid).ok()?.into_iter().find(is_it);
        let Some(mut line) = monitor.and_then(seen_by).or_else(|| seen_by(1)) else {
            return self;
        };
        line.mount.point = PathBuf::from("/");
        Self {
            top: Some(inode),
            ..Self::with(self.init, vec![line])
        }
    }

    /// Whether its root is made of layers below one of these directories.
    pub(super) fn has_layer_below(&self, directories: &[PathBuf]) -> bool {
        let mut layers = self.upper.iter().chain(&self.lowers);
        layers.any(|layer| directories.iter().any(|below| layer.starts_with(below)))
    }

    /// Whether its writable layer is the directory at `path`: overlayfs gives its root that directory's
    /// inode number. Inside a container other directories have the same path.
    pub(super) fn has_upper(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let root = || std::fs::metadata(process::path_of(self.init.pid, "root/"));
        let root = self.top.or_else(|| Some(root().ok()?.ino()));
        let upper = std::fs::symlink_metadata(path);
        upper.is_ok_and(|upper| root == Some(upper.ino()))
    }
}
