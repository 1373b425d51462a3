//! Processes: whose child one is, since when, and among which mounts.
//!
//! Owns `/proc/<pid>/stat` and `/proc/<pid>/ns` (proc(5)) as far as they tell processes apart. What a
//! process is for is the caller's to say.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::libc;
use nix::sys::stat::{Mode, fstat};

use super::file::read_small;

/// The unit of times in `/proc/<pid>/stat`, the same on every architecture that containers run on.
const TICKS_PER_SECOND: u64 = 100;

/// Directories above each other in the longest path.
const DEEPEST: usize = 2048;

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its parent.
    pub parent: u32,
    /// For how many seconds it has been there.
    pub age: u64,
}

/// One process of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub pid: u32,
    /// Its parent.
    pub parent: u32,
    /// What it calls itself; at most 15 bytes.
    pub name: String,
    /// When it started, in clock ticks since the machine did.
    pub started: u64,
    /// Its mount namespace; `None` where this process may not see it.
    pub mounts: Option<Namespace>,
}

/// A namespace, by what the kernel compares them by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace {
    device: u64,
    inode: u64,
}

/// All processes, each looked at once. One that ends meanwhile is left out, and so is a zombie.
///
/// # Errors
/// The operating system's.
pub fn list() -> io::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
            && let Some(process) = look(pid)
        {
            listed.push(process);
        }
    }
    Ok(listed)
}

fn look(pid: u32) -> Option<Listed> {
    let stat = read_small::<1024>(&path_of(pid, "stat")).ok()?;
    let stat = Stat::parse(&stat)?;
    let mounts = match mounts_of(pid) {
        Ok(namespace) => Some(namespace),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
        Err(_) => return None,
    };
    Some(Listed {
        pid,
        parent: stat.parent,
        name: String::from_utf8_lossy(stat.name).into_owned(),
        started: stat.started,
        mounts,
    })
}

/// The mount namespace of a process.
///
/// # Errors
/// The operating system's.
pub fn mounts_of(pid: u32) -> io::Result<Namespace> {
    let metadata = std::fs::metadata(path_of(pid, "ns/mnt"))?;
    Ok(Namespace {
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

/// The directory that is the top of a process's mounts, whichever it has made its root since (chroot(2)):
/// its file system, by major and minor number, and its inode.
///
/// # Errors
/// The operating system's; `FileTooLarge` where it is farther than any path is long.
pub fn top_of(pid: u32) -> io::Result<((u32, u32), u64)> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let open = |at: BorrowedFd<'_>, path: &Path| openat(at, path, flags, Mode::empty());
    let mut directory = open(AT_FDCWD, &path_of(pid, "root"))?;
    let mut found = fstat(&directory)?;
    for _ in 0..DEEPEST {
        // A root of another process's own is none for us, who come from outside.
        directory = open(directory.as_fd(), Path::new(".."))?;
        let above = fstat(&directory)?;
        if (above.st_dev, above.st_ino) == (found.st_dev, found.st_ino) {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::unnecessary_cast,
                reason = "their types differ between C libraries"
            )]
            let device = (
                libc::major(found.st_dev) as u32,
                libc::minor(found.st_dev) as u32,
            );
            return Ok((device, found.st_ino));
        }
        found = above;
    }
    Err(io::ErrorKind::FileTooLarge.into())
}

/// A file of a process's directory.
#[must_use]
pub fn path_of(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// How many seconds ago something was that happened so many ticks after the machine started.
///
/// # Errors
/// The operating system's; `InvalidData` for text that is not understood.
pub fn age_of(started: u64) -> io::Result<u64> {
    let uptime = read_small::<128>(Path::new("/proc/uptime"))?;
    let up = seconds_up(&uptime).ok_or(io::ErrorKind::InvalidData)?;
    Ok(up.saturating_sub(started / TICKS_PER_SECOND))
}

/// Looks a process up.
///
/// # Errors
/// The operating system's; `InvalidData` for text that is not understood.
pub fn of(pid: u32) -> io::Result<Process> {
    let stat = read_small::<1024>(Path::new(&format!("/proc/{pid}/stat")))?;
    let uptime = read_small::<128>(Path::new("/proc/uptime"))?;
    parse(&stat, &uptime).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(stat: &[u8], uptime: &[u8]) -> Option<Process> {
    let stat = Stat::parse(stat)?;
    Some(Process {
        parent: stat.parent,
        age: seconds_up(uptime)?.saturating_sub(stat.started / TICKS_PER_SECOND),
    })
}

/// The fields of `/proc/<pid>/stat` that are read.
struct Stat<'a> {
    name: &'a [u8],
    parent: u32,
    /// In ticks.
    started: u64,
}

impl<'a> Stat<'a> {
    fn parse(stat: &'a [u8]) -> Option<Self> {
        // The name is in parentheses, and may have any in it.
        let start = stat.iter().position(|byte| *byte == b'(')?;
        let end = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        Some(Self {
            name: stat.get(start + 1..end)?,
            parent: fields.nth(1)?.parse().ok()?,
            started: fields.nth(17)?.parse().ok()?,
        })
    }
}

fn seconds_up(uptime: &[u8]) -> Option<u64> {
    let up = std::str::from_utf8(uptime).ok()?.split('.').next()?;
    up.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Process, Stat, list, mounts_of, of, parse};

    #[test]
    fn reads_parent_and_age_whatever_the_name() {
        let stat = b"77 (a) b (c) S 42 77 77 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 5000 1 1\n";
        let process = Process {
            parent: 42,
            age: 50,
        };
        assert_eq!(parse(stat, b"100.25 90.00\n"), Some(process));
        for (stat, uptime) in [
            (&b""[..], &b"1.0 1.0"[..]),
            (b"77 (a) S 42", b"1.0"),
            (stat, b""),
            (
                b"77 a S 42 77 77 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 5000",
                b"1.0",
            ),
        ] {
            assert_eq!(parse(stat, uptime), None);
        }
    }

    #[test]
    fn a_name_is_all_that_is_in_parentheses() {
        let stat = b"77 (a) b (c) S 42 77 77 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 5000 1 1";
        let names = Stat::parse(stat).map(|stat| (stat.name, stat.started));
        assert_eq!(names, Some((&b"a) b (c"[..], 5000)));
    }

    #[test]
    fn knows_this_process() {
        let this = of(std::process::id()).expect("we run");
        assert_eq!(this.parent, std::os::unix::process::parent_id());
        let listed = list().expect("there is /proc");
        let pid = std::process::id();
        let ours = listed
            .iter()
            .find(|listed| listed.pid == pid)
            .expect("we run");
        assert_eq!(ours.parent, this.parent);
        assert_eq!(ours.mounts, mounts_of(pid).ok());
    }
}
