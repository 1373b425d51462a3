//! Who this process is, outside of every user namespace, and how root acts as somebody who is less.
//!
//! Owns what the kernel says of it, and the difference between root of this
//! machine and root of a user's own namespace.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, getegid, geteuid, getgroups, setegid, seteuid, setgroups};

use super::file::read_small;

/// The capability with which even another user mounts and unshares as root does.
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// An unprivileged user, who runs the engine himself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unprivileged {
    /// The user's id on this machine.
    pub uid: u32,
}

impl Unprivileged {
    /// Says whether this process can do no more than some user of this machine.
    ///
    /// Root in a user namespace is such a user, unless this very program is root's there: then the whole
    /// node lives in that namespace (as in LXD), and its root is the node's.
    #[must_use]
    pub fn is_this_process() -> Option<Self> {
        let uid = geteuid();
        if !uid.is_root() {
            // Asked last: with that capability a user is as good as root.
            let as_root = || capabilities().is_none_or(|set| set & CAP_SYS_ADMIN != 0);
            let outside = outside(uid.as_raw());
            return match outside {
                Mapping::Itself if as_root() => None,
                Mapping::Itself => Some(Self { uid: uid.as_raw() }),
                Mapping::User(uid) => Some(Self { uid }),
                Mapping::Unknown => None,
            };
        }
        match outside(0) {
            Mapping::User(uid) if !is_our_program_roots() => Some(Self { uid }),
            Mapping::User(_) | Mapping::Itself | Mapping::Unknown => None,
        }
    }

    /// The user's home, by the machine's own list of users.
    #[must_use]
    pub fn home(&self) -> Option<PathBuf> {
        let user = User::from_uid(Uid::from_raw(self.uid)).ok()??;
        user.dir.is_absolute().then_some(user.dir)
    }
}

/// Has root do `work` as the owner of `directory`; anybody else, and root where there is no such account,
/// does it as they are.
///
/// So that what is made there stays the owner's, and a symlink that the owner put there leads root nowhere.
///
/// # Errors
/// The operating system's when the account cannot be changed, or changed back: the process is then less than root.
pub fn as_owner_of<T>(directory: &Path, work: impl FnOnce() -> T) -> io::Result<T> {
    let Some((user, group)) = lesser_owner(directory) else {
        return Ok(work());
    };
    let (own, groups) = (getegid(), getgroups()?);
    setgroups(&[])?;
    setegid(group)?;
    seteuid(user)?;
    let done = work();
    seteuid(Uid::from_raw(0))?;
    setegid(own)?;
    setgroups(&groups)?;
    Ok(done)
}

/// The account that owns `directory`, where this process is root and that is not root's.
#[must_use]
pub fn lesser_owner(directory: &Path) -> Option<(Uid, Gid)> {
    let metadata = std::fs::symlink_metadata(directory).ok()?;
    let owner = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    (geteuid().is_root() && !owner.0.is_root()).then_some(owner)
}

/// Whether the kernel shows this process the attributes that overlayfs marks files with (`trusted.*`,
/// xattr(7)): they are for `CAP_SYS_ADMIN` outside of every user namespace.
#[must_use]
pub fn sees_trusted_attributes() -> bool {
    capabilities().is_some_and(|bits| bits & CAP_SYS_ADMIN != 0) && outside(0) == Mapping::Itself
}

/// What a user id is outside of this process's user namespace.
#[derive(Debug, PartialEq, Eq)]
enum Mapping {
    /// Every id is itself: there is no such namespace.
    Itself,
    User(u32),
    Unknown,
}

fn outside(uid: u32) -> Mapping {
    match read_small::<4096>(Path::new("/proc/self/uid_map")) {
        Ok(bytes) => mapping(&bytes, uid),
        Err(_) => Mapping::Unknown,
    }
}

/// Lines of `inside outside count`.
fn mapping(map: &[u8], uid: u32) -> Mapping {
    let text = String::from_utf8_lossy(map);
    let lines = text.lines().map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(inside)), Some(Ok(outside)), Some(Ok(count))) => {
                Some((inside, outside, count))
            }
            _ => None,
        }
    });
    for line in lines {
        let Some((inside, outside, count)) = line else {
            return Mapping::Unknown;
        };
        if (inside, outside, count) == (0, 0, u32::MAX) {
            return Mapping::Itself;
        }
        if let Some(offset) = uid.checked_sub(inside).filter(|offset| *offset < count) {
            return outside
                .checked_add(offset)
                .map_or(Mapping::Unknown, Mapping::User);
        }
    }
    Mapping::Unknown
}

fn is_our_program_roots() -> bool {
    // What cannot be looked at is taken for root's: that is the stricter of the two.
    std::fs::metadata("/proc/self/exe").map_or(true, |program| program.uid() == 0)
}

/// The effective capabilities.
fn capabilities() -> Option<u64> {
    let status = read_small::<8192>(Path::new("/proc/self/status")).ok()?;
    let text = String::from_utf8_lossy(&status);
    let line = text.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::{Mapping, Unprivileged, capabilities, mapping};

    #[test]
    fn a_map_says_who_somebody_is_outside() {
        for (map, uid, expected) in [
            ("         0          0 4294967295\n", 0, Mapping::Itself),
            ("0 65534 1\n", 0, Mapping::User(65534)),
            ("0 1000 1\n1 100000 65536\n", 0, Mapping::User(1000)),
            ("0 1000 1\n1 100000 65536\n", 5, Mapping::User(100_004)),
            ("0 1000 1\n", 5, Mapping::Unknown),
            ("0 0 1000\n", 0, Mapping::User(0)),
            ("0 4294967295 4294967295\n", 1, Mapping::Unknown),
            ("x\n", 0, Mapping::Unknown),
            ("", 0, Mapping::Unknown),
        ] {
            assert_eq!(mapping(map.as_bytes(), uid), expected, "{map:?}");
        }
    }

    #[test]
    fn the_tests_own_process_is_who_it_is() {
        let uid = nix::unistd::geteuid();
        assert!(capabilities().is_some());
        let unprivileged = Unprivileged::is_this_process();
        assert_eq!(unprivileged.is_none(), uid.is_root(), "{unprivileged:?}");
    }
}
