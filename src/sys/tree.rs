//! A directory tree that may be hostile: no symlink in it is followed, and nothing in it is run or waited for.
//!
//! Owns how what is in it is looked at: below open directories, by names, never by a path through it.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fstatat};

use super::xattr;

/// The top of a tree.
#[derive(Debug)]
pub struct Tree {
    top: OwnedFd,
}

/// One directory of a tree, open.
#[derive(Debug)]
pub struct Directory {
    descriptor: OwnedFd,
}

/// What is at a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permissions, with the bits for set-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of a regular file.
    pub size: u64,
    /// Major and minor number of a device.
    pub device: (u64, u64),
    /// File system and inode number.
    pub inode: (u64, u64),
    /// Its names.
    pub links: u64,
    /// When its content was changed, in seconds and nanoseconds.
    pub modified: (i64, i64),
    /// When anything of it was changed, by the kernel's clock.
    pub changed: (i64, i64),
}

/// The kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// One name in a directory, and what the directory says it is; `None` where it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub name: OsString,
    /// What it names.
    pub kind: Option<Kind>,
}

impl Tree {
    /// Opens the directory at its top.
    ///
    /// # Errors
    /// The operating system's; a symlink is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let top = nix::fcntl::open(path, flags, Mode::empty())?;
        Ok(Self { top })
    }

    /// Opens a directory of it, by its path from the top; empty for the top itself.
    /// `None` where there is none, or where a symlink is on the way.
    ///
    /// # Errors
    /// The operating system's.
    pub fn directory(&self, path: &[u8]) -> io::Result<Option<Directory>> {
        let path = if path.is_empty() { b"." } else { path };
        let path = OsStr::from_bytes(path);
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let how = OpenHow::new().flags(flags).resolve(resolve);
        let opened = match openat2(&self.top, path, how) {
            Err(Errno::ENOSYS) => step_by_step(&self.top, path, flags),
            opened => opened,
        };
        match opened {
            Ok(descriptor) => Ok(Some(Directory { descriptor })),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What `openat2` does, for kernels before Linux 5.6.
fn step_by_step(top: &OwnedFd, path: &OsStr, flags: OFlag) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlag::O_NOFOLLOW;
    let mut at = openat(top, ".", flags, Mode::empty())?;
    for name in path.as_bytes().split(|byte| *byte == b'/') {
        if name == b".." {
            return Err(Errno::EXDEV);
        }
        at = openat(&at, OsStr::from_bytes(name), flags, Mode::empty())?;
    }
    Ok(at)
}

impl Directory {
    /// What is at `name`; `None` for nothing.
    ///
    /// # Errors
    /// The operating system's.
    pub fn node(&self, name: &OsStr) -> io::Result<Option<Node>> {
        match fstatat(&self.descriptor, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Node::of(&stat))),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens what [`Self::node`] said to be a regular file.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        // Being looked at is no reason to write to the disk.
        let quiet = openat(
            &self.descriptor,
            name,
            flags | OFlag::O_NOATIME,
            Mode::empty(),
        );
        let file = match quiet {
            Err(Errno::EPERM) => openat(&self.descriptor, name, flags, Mode::empty()),
            opened => opened,
        };
        Ok(File::from(file?))
    }

    /// Where a symlink leads.
    ///
    /// # Errors
    /// The operating system's.
    pub fn link(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        Ok(readlinkat(&self.descriptor, name)?.into_vec())
    }

    /// The names of the extended attributes of what is at `name`, be it a symlink.
    ///
    /// # Errors
    /// The operating system's.
    pub fn xattrs(&self, name: &OsStr) -> io::Result<Vec<CString>> {
        match name == "." {
            true => xattr::names_of(self.descriptor.as_fd()),
            false => xattr::names(&self.through_proc(name)?),
        }
    }

    /// The value of an extended attribute; `None` where there is none of this name.
    ///
    /// # Errors
    /// The operating system's.
    pub fn xattr(&self, name: &OsStr, attribute: &CStr) -> io::Result<Option<Vec<u8>>> {
        match name == "." {
            true => xattr::value_of(self.descriptor.as_fd(), attribute),
            false => xattr::value(&self.through_proc(name)?, attribute),
        }
    }

    /// The names in it, in no order; an error where they take more than `most` bytes (see [`Name::size`]).
    ///
    /// # Errors
    /// The operating system's.
    pub fn names(&self, most: usize) -> io::Result<Vec<Name>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let again = openat(&self.descriptor, ".", flags, Mode::empty())?;
        let (mut names, mut held) = (Vec::new(), 0);
        for entry in Dir::from_fd(again)?.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let name = Name {
                name: OsStr::from_bytes(name).to_owned(),
                kind: entry.file_type().map(Kind::of_entry),
            };
            held += name.size();
            if held > most {
                return Err(io::Error::other("a directory has too many names"));
            }
            names.push(name);
        }
        Ok(names)
    }

    /// A path for calls that take no descriptor: its one symlink is the kernel's own.
    fn through_proc(&self, name: &OsStr) -> io::Result<CString> {
        let mut path = format!("/proc/self/fd/{}/", self.descriptor.as_raw_fd()).into_bytes();
        path.extend_from_slice(name.as_bytes());
        Ok(CString::new(path)?)
    }
}

impl Name {
    /// The bytes that it takes in memory.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.name.len()
    }
}

impl Node {
    fn of(stat: &FileStat) -> Self {
        // Their types differ between architectures and C libraries.
        #[allow(
            clippy::unnecessary_cast,
            clippy::cast_sign_loss,
            reason = "unsigned by their meaning"
        )]
        Self {
            kind: Kind::of_mode(stat.st_mode),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size as u64,
            device: (
                u64::from(libc::major(stat.st_rdev)),
                u64::from(libc::minor(stat.st_rdev)),
            ),
            inode: (stat.st_dev as u64, stat.st_ino as u64),
            links: stat.st_nlink as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    /// Whether overlayfs takes it for a file that is not there.
    #[must_use]
    pub fn is_whiteout(&self) -> bool {
        self.kind == Kind::CharacterDevice && self.device == (0, 0)
    }
}

impl Kind {
    const fn of_mode(mode: u32) -> Self {
        match mode & libc::S_IFMT {
            libc::S_IFDIR => Self::Directory,
            libc::S_IFLNK => Self::Symlink,
            libc::S_IFCHR => Self::CharacterDevice,
            libc::S_IFBLK => Self::BlockDevice,
            libc::S_IFIFO => Self::Fifo,
            libc::S_IFSOCK => Self::Socket,
            _ => Self::File,
        }
    }

    const fn of_entry(kind: Type) -> Self {
        match kind {
            Type::File => Self::File,
            Type::Directory => Self::Directory,
            Type::Symlink => Self::Symlink,
            Type::CharacterDevice => Self::CharacterDevice,
            Type::BlockDevice => Self::BlockDevice,
            Type::Fifo => Self::Fifo,
            Type::Socket => Self::Socket,
        }
    }

    /// What people call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::CharacterDevice => "character device",
            Self::BlockDevice => "block device",
            Self::Fifo => "pipe",
            Self::Socket => "socket",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Directory, Kind, Tree, step_by_step};
    use nix::fcntl::OFlag;
    use std::ffi::OsStr;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_leads_out_of_the_tree() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("tree/a/b")).unwrap();
        std::fs::write(folder.path().join("tree/a/file"), "x").unwrap();
        symlink("a", folder.path().join("tree/link")).unwrap();
        let tree = Tree::open(&folder.path().join("tree")).unwrap();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        for (path, there) in [
            ("", true),
            ("a", true),
            ("a/b", true),
            ("a/file", false),
            ("link", false),
            ("link/b", false),
            ("none", false),
        ] {
            let found = tree.directory(path.as_bytes()).unwrap();
            assert_eq!(found.is_some(), there, "{path}");
            let path = if path.is_empty() { "." } else { path };
            let old = step_by_step(&tree.top, OsStr::new(path), flags);
            assert_eq!(old.is_ok(), there, "{path}, on an old kernel");
        }
        tree.directory(b"..").unwrap_err();
        tree.directory(b"a/../..").unwrap_err();
        tree.directory(b"/etc").unwrap_err();
        step_by_step(&tree.top, OsStr::new("a/../.."), flags).unwrap_err();
    }

    #[test]
    fn what_is_there_is_told_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "12345").unwrap();
        std::fs::hard_link(folder.path().join("file"), folder.path().join("twin")).unwrap();
        symlink("/etc/passwd", folder.path().join("link")).unwrap();
        nix::unistd::mkfifo(
            &folder.path().join("pipe"),
            nix::sys::stat::Mode::from_bits_truncate(0o600),
        )
        .unwrap();
        let top: Directory = Tree::open(folder.path())
            .unwrap()
            .directory(b"")
            .unwrap()
            .unwrap();
        let node = |name: &str| top.node(OsStr::new(name)).unwrap();
        let file = node("file").unwrap();
        assert_eq!((file.kind, file.size, file.links), (Kind::File, 5, 2));
        assert_eq!(file.inode, node("twin").unwrap().inode);
        assert_eq!(node("link").unwrap().kind, Kind::Symlink);
        assert_eq!(node("pipe").unwrap().kind, Kind::Fifo);
        assert_eq!(node("none"), None);
        assert_eq!(top.link(OsStr::new("link")).unwrap(), b"/etc/passwd");
        top.open(OsStr::new("link")).unwrap_err();
        let names = top.names(usize::MAX).unwrap();
        assert_eq!(names.len(), 4);
        let size = names.iter().map(super::Name::size).sum();
        assert_eq!(top.names(size).unwrap().len(), 4);
        top.names(size - 1).unwrap_err();
    }
}
