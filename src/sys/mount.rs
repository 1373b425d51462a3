//! The mounts of this process's namespace.
//!
//! Owns one question, asked of the kernel in the cheapest way that it knows:
//! `statmount(2)` where it answers, else all of `/proc/self/mountinfo`.
//! Both give the same answers.

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};

use super::mountinfo::{self, Line};
use super::statmount;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// An id that is unique among the mounts that exist; which kind of id depends on the kernel.
    pub id: u64,
    /// The file system's device number.
    pub device: (u32, u32),
    /// The directory of the file system that is mounted.
    pub root: PathBuf,
    /// Where it is mounted.
    pub point: PathBuf,
    /// The type of the file system.
    pub kind: String,
    /// The file system's own options, escaped as the kernel prints them.
    pub options: Vec<u8>,
}

/// Where a path leads: a mount and an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Id of the mount.
    pub mount: u64,
    /// Inode number.
    pub inode: u64,
    /// Whether it is a directory.
    pub directory: bool,
}

/// A path by what cannot be renamed or bound elsewhere: file system, and path inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file system's device number.
    pub device: (u32, u32),
    /// The path inside the file system.
    pub inside: PathBuf,
}

/// The mounts, asked for one at a time where the kernel answers so.
#[derive(Debug)]
pub struct Mounts {
    /// The whole list, once it had to be read.
    list: OnceCell<Vec<Line>>,
}

impl Mounts {
    /// Asks the kernel when there is a question.
    #[must_use]
    pub const fn ask() -> Self {
        Self {
            list: OnceCell::new(),
        }
    }

    /// Reads the whole list, whatever the kernel could answer.
    ///
    /// # Errors
    /// The operating system's.
    pub fn list() -> io::Result<Self> {
        mountinfo::read().map(Self::of)
    }

    /// Takes a list that was read of a process, whose paths are then as that process sees them.
    #[must_use]
    pub fn of(lines: Vec<Line>) -> Self {
        Self {
            list: OnceCell::from(lines),
        }
    }

    /// The mount that an absolute path without symlinks lies on: the topmost, where several are stacked.
    ///
    /// # Errors
    /// The operating system's; `NotFound` when no mount holds it.
    pub fn holding(&self, path: &Path) -> io::Result<Mount> {
        if self.list.get().is_none() {
            match statmount::place(path).and_then(|place| statmount::describe(place.mount)) {
                Err(error) if is_too_old(&error) => {}
                answer => return answer,
            }
        }
        let mut best: Option<&Mount> = None;
        for Line { mount, .. } in self.lines()? {
            let depth = mount.point.as_os_str().len();
            let beaten = best.is_some_and(|b| b.point.as_os_str().len() > depth);
            if !beaten && path.starts_with(&mount.point) {
                best = Some(mount);
            }
        }
        best.cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// All mounts that stand on `mount`, which came from here, or on one of those, whatever covers them.
    ///
    /// # Errors
    /// The operating system's.
    pub fn below(&self, mount: &Mount) -> io::Result<Vec<Mount>> {
        if let Some(lines) = self.list.get() {
            return Ok(descendants(lines, mount.id));
        }
        statmount::below(mount.id)?
            .into_iter()
            .map(statmount::describe)
            // One that was unmounted meanwhile is not there any more.
            .filter(|described| !is_gone(described))
            .collect()
    }

    /// Locates a path that exists and has no symlinks, independently of where its file system is mounted.
    ///
    /// # Errors
    /// The operating system's; `InvalidData` when the mount's answer makes no sense.
    pub fn locate(&self, path: &Path) -> io::Result<Location> {
        self.holding(path)?
            .locate(path)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn lines(&self) -> io::Result<&[Line]> {
        if let Some(lines) = self.list.get() {
            return Ok(lines);
        }
        let lines = mountinfo::read()?;
        Ok(self.list.get_or_init(|| lines))
    }
}

/// Before Linux 6.11 there is no such call, and a filter may not know it.
fn is_too_old(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, Unsupported};
    matches!(error.kind(), Unsupported | PermissionDenied)
}

impl Mount {
    /// What is mounted, wherever it is mounted.
    #[must_use]
    pub fn location(&self) -> Location {
        Location {
            device: self.device,
            inside: self.root.clone(),
        }
    }

    /// Locates a path on this mount. `None` when it is not on it.
    #[must_use]
    pub fn locate(&self, path: &Path) -> Option<Location> {
        let rest = path.strip_prefix(&self.point).ok()?;
        let inside = if rest.as_os_str().is_empty() {
            self.root.clone()
        } else {
            self.root.join(rest)
        };
        Some(Location {
            device: self.device,
            inside,
        })
    }
}

impl Location {
    /// Whether this is `other`, or a directory above it, in one file system.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        self.device == other.device && other.inside.starts_with(&self.inside)
    }
}

fn is_gone(described: &io::Result<Mount>) -> bool {
    matches!(described, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn descendants(lines: &[Line], id: u64) -> Vec<Mount> {
    let mut ids = vec![id];
    let mut found: Vec<Mount> = Vec::new();
    loop {
        let before = found.len();
        for line in lines {
            if ids.contains(&line.parent) && !ids.contains(&line.mount.id) {
                ids.push(line.mount.id);
                found.push(line.mount.clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mount, Mounts};
    use std::path::Path;

    /// Ids differ between the two ways by design; everything else must not.
    fn without_id(mount: &Mount) -> Mount {
        Mount {
            id: 0,
            ..mount.clone()
        }
    }

    #[test]
    fn both_ways_to_ask_give_the_same_answers() {
        // Other tests mount and unmount meanwhile: what counts is that both agree at some moment.
        let differing = (0..50)
            .map(|_| difference())
            .take_while(Option::is_some)
            .flatten();
        let differing: Vec<_> = differing.collect();
        assert!(differing.len() < 50, "{:?}", differing.last());
    }

    fn difference() -> Option<String> {
        let kernel = Mounts::ask();
        let list = Mounts::list().expect("mountinfo can be read");
        let places = ["/", "/proc", "/sys", "/dev", "/proc/self", "/usr/bin"];
        places
            .iter()
            .filter_map(|path| Path::new(path).canonicalize().ok())
            .find_map(|path| {
                let one = kernel.holding(&path).expect("the path exists");
                let other = list.holding(&path).expect("the path exists");
                let points = |way: &Mounts, mount: &Mount| {
                    let mut below: Vec<_> = way
                        .below(mount)
                        .ok()?
                        .iter()
                        .map(|mount| without_id(mount).point)
                        .collect();
                    below.sort();
                    Some(below)
                };
                let [asked, listed] = [
                    (without_id(&one), points(&kernel, &one)),
                    (without_id(&other), points(&list, &other)),
                ];
                (asked != listed || asked.1.is_none()).then(|| format!("{asked:?} and {listed:?}"))
            })
    }

    #[test]
    fn locates_a_path_through_a_bind() {
        let bind = Mount {
            id: 1,
            device: (8, 1),
            root: "/var/lib/docker".into(),
            point: "/mnt".into(),
            kind: "ext4".to_owned(),
            options: Vec::new(),
        };
        let located = bind
            .locate(Path::new("/mnt/x"))
            .expect("it is on the mount");
        assert_eq!(located.inside, Path::new("/var/lib/docker/x"));
        let root = bind.locate(Path::new("/mnt")).expect("it is the mount");
        assert!(root.holds(&located) && !located.holds(&root));
        assert_eq!(bind.locate(Path::new("/mntx")), None);
    }
}
