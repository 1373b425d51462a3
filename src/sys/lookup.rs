//! Paths inside a root file system, resolved as a container would see them.
//!
//! Owns how a symlink in an image is followed without ever leaving the image:
//! one component after the other, each looked at once. `..` is never taken out
//! as text: behind a symlink it leads elsewhere.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::Mode;

/// The kernel's own limit, `MAXSYMLINKS`, is 40; runtimes that resolve paths themselves allow 255.
const MAX_LINKS: usize = 255;

/// A directory that stands for `/`.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    /// What has been looked at; the paths that one container asks about share most of their way.
    seen: RefCell<Vec<(PathBuf, Entry)>>,
}

/// What is at a path whose parents have no symlinks.
#[derive(Debug, Clone)]
enum Entry {
    Missing,
    Link(PathBuf),
    Other,
}

/// What a path inside a root leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The path without symlinks, absolute within the root.
    pub path: PathBuf,
    /// Whether something is there.
    pub exists: bool,
    /// The symlinks that were followed, and what `..` led out of: whatever replaces one of these
    /// makes the path lead elsewhere.
    pub through: Vec<PathBuf>,
}

impl Root {
    /// Opens a directory to stand for `/`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let directory = nix::fcntl::open(path, flags, Mode::empty())?;
        Ok(Self {
            directory,
            seen: RefCell::new(Vec::new()),
        })
    }

    /// Follows `path` to its end, symlinks included; what does not exist is taken as it is written.
    ///
    /// As runtimes do (`filepath-securejoin`): nothing leads out of the root.
    ///
    /// # Errors
    /// The operating system's, among them too many symlinks.
    pub fn resolve(&self, path: &Path) -> io::Result<Found> {
        let mut todo: Vec<OsString> = names(path);
        let mut done = PathBuf::from("/");
        // Names at the end of `done` that do not exist; nothing below them does.
        let mut missing = 0_usize;
        let mut links = 0;
        let mut through = Vec::new();
        while let Some(name) = todo.pop() {
            if name == ".." {
                through.push(done.clone());
                done.pop();
                missing = missing.saturating_sub(1);
                continue;
            }
            done.push(&name);
            if missing > 0 {
                missing += 1;
                continue;
            }
            match self.entry(&done)? {
                Entry::Link(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::ELOOP.into());
                    }
                    through.push(done.clone());
                    if target.is_absolute() {
                        done = PathBuf::from("/");
                    } else {
                        done.pop();
                    }
                    todo.extend(names(&target));
                }
                Entry::Other => {}
                Entry::Missing => missing = 1,
            }
        }
        Ok(Found {
            path: done,
            exists: missing == 0,
            through,
        })
    }

    /// What is at `path`, absolute within the root, whose parents have no symlinks.
    fn entry(&self, path: &Path) -> io::Result<Entry> {
        let known = |seen: &&(PathBuf, Entry)| seen.0.as_os_str() == path.as_os_str();
        if let Some((_, entry)) = self.seen.borrow().iter().find(known) {
            return Ok(entry.clone());
        }
        let entry = match readlinkat(&self.directory, path.strip_prefix("/").unwrap_or(path)) {
            Ok(target) => Entry::Link(target.into()),
            // It is there and no symlink.
            Err(Errno::EINVAL) => Entry::Other,
            Err(Errno::ENOENT | Errno::ENOTDIR) => Entry::Missing,
            Err(error) => return Err(error.into()),
        };
        let mut seen = self.seen.borrow_mut();
        seen.push((path.to_owned(), entry.clone()));
        Ok(entry)
    }

    /// Opens a regular file for reading, by a path that [`Self::resolve`] gave. `None` for anything else.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open_file(&self, resolved: &Path) -> io::Result<Option<File>> {
        // Looked at before it is opened: opening a device of an image can do things.
        let there = File::from(self.open_at(resolved, OFlag::O_PATH)?);
        if !there.metadata()?.is_file() {
            return Ok(None);
        }
        let file = self.open_at(resolved, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
        Ok(Some(file.into()))
    }

    /// The inode number at a path without symlinks; `None` where there is nothing.
    ///
    /// # Errors
    /// The operating system's.
    pub fn inode(&self, resolved: &Path) -> io::Result<Option<u64>> {
        match self.open_at(resolved, OFlag::O_PATH) {
            Ok(there) => Ok(Some(File::from(there).metadata()?.ino())),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn open_at(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(resolve);
        match openat2(&self.directory, path, how) {
            Err(Errno::ENOSYS) => open_step_by_step(&self.directory, path, flags),
            opened => opened,
        }
    }
}

/// Whether a path is another one or below it. Both are absolute and have neither `.` nor `..`.
#[must_use]
pub fn is_within(path: &Path, above: &Path) -> bool {
    let (path, above) = (path.as_os_str().as_bytes(), above.as_os_str().as_bytes());
    let rest = path.strip_prefix(above);
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/')) || above == b"/")
}

/// What `canonicalize` gives, in one system call where a path has no symlinks.
///
/// # Errors
/// The operating system's.
pub fn real(path: &Path) -> io::Result<PathBuf> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let is_plain = path.is_absolute() && cleaned(path).as_os_str() == path.as_os_str();
    if is_plain && openat2(AT_FDCWD, path, how).is_ok() {
        return Ok(path.to_owned());
    }
    path.canonicalize()
}

/// The inode number at an absolute path that has no symlinks; `None` where there is nothing.
///
/// # Errors
/// The operating system's.
pub fn plain_inode(path: &Path) -> io::Result<Option<u64>> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let opened = match openat2(AT_FDCWD, path, how) {
        Err(Errno::ENOSYS) => {
            nix::fcntl::open("/", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
                .and_then(|top| open_step_by_step(&top, path, OFlag::O_PATH))
        }
        opened => opened,
    };
    match opened {
        Ok(there) => Ok(Some(File::from(there).metadata()?.ino())),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What `openat2` does, for kernels before Linux 5.6: no symlink is followed, and `..` is refused.
fn open_step_by_step(top: &OwnedFd, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let names = names(path);
    if names.iter().any(|name| name == "..") {
        return Err(Errno::EINVAL);
    }
    let step = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut at = openat(top, ".", step, Mode::empty())?;
    for name in names.iter().rev() {
        let next = openat(&at, name.as_os_str(), step, Mode::empty())?;
        let next = File::from(next);
        // Opened by `O_PATH`, a symlink is itself.
        let kind = next.metadata().map_err(|_| Errno::EIO)?.file_type();
        if kind.is_symlink() {
            return Err(Errno::ELOOP);
        }
        at = next.into();
    }
    if flags.contains(OFlag::O_PATH) {
        return Ok(at);
    }
    match names.first() {
        // Once more by its name, because `O_PATH` cannot be turned into reading without `/proc`.
        Some(name) => {
            let parent = path.parent().unwrap_or(path);
            let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat(
                open_step_by_step(top, parent, OFlag::O_PATH)?,
                name.as_os_str(),
                flags,
                Mode::empty(),
            )
        }
        None => openat(&at, ".", flags | OFlag::O_CLOEXEC, Mode::empty()),
    }
}

/// Makes a path absolute and takes `.` and `..` out of it, as text.
#[must_use]
pub fn cleaned(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

/// The names in a path, last one first, `..` among them.
fn names(path: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use nix::errno::Errno;

    use super::{Found, Root, cleaned, is_within, open_step_by_step, real};
    use nix::fcntl::OFlag;

    #[test]
    fn follows_symlinks_inside_the_root_only() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("usr/bin")).expect("made");
        std::fs::write(at("usr/bin/sh"), b"#!").expect("written");
        for (target, link) in [
            ("usr/bin", "bin"),
            ("/usr/bin", "abs"),
            ("../../../../etc", "out"),
            ("/nowhere/deep", "dangling"),
            ("loop", "loop"),
        ] {
            symlink(target, at(link)).expect("linked");
        }
        let opened = Root::open(root.path()).expect("it is there");
        for (path, resolved, exists) in [
            ("/usr/bin/sh", "/usr/bin/sh", true),
            ("/bin/sh", "/usr/bin/sh", true),
            ("/abs/sh", "/usr/bin/sh", true),
            ("/abs/new", "/usr/bin/new", false),
            ("/out/passwd", "/etc/passwd", false),
            ("/dangling/x", "/nowhere/deep/x", false),
            ("/bin/../bin", "/usr/bin", true),
            ("/../../usr", "/usr", true),
            ("/", "/", true),
            ("", "/", true),
        ] {
            let found = opened.resolve(Path::new(path)).expect("it resolves");
            let expected = (Path::new(resolved), exists);
            assert_eq!((found.path.as_path(), found.exists), expected, "{path}");
        }
        let error = opened
            .resolve(Path::new("/loop"))
            .expect_err("it never ends");
        assert_eq!(error.raw_os_error(), Some(Errno::ELOOP as i32));
    }

    #[test]
    fn two_dots_leave_the_target_of_a_symlink() {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(root.path().join("usr/lib")).expect("made");
        std::fs::create_dir_all(root.path().join("etc")).expect("made");
        std::fs::write(root.path().join("etc/hostname"), b"").expect("written");
        symlink("usr/lib", root.path().join("lib")).expect("linked");
        let found = Root::open(root.path())
            .expect("it is there")
            .resolve(Path::new("/lib/../etc/hostname"))
            .expect("it resolves");
        let expected = Found {
            path: "/usr/etc/hostname".into(),
            exists: false,
            through: vec!["/lib".into(), "/usr/lib".into()],
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn old_kernels_follow_no_symlink_either() {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(root.path().join("usr/bin")).expect("made");
        std::fs::write(root.path().join("usr/bin/sh"), b"").expect("written");
        symlink("usr/bin", root.path().join("bin")).expect("linked");
        symlink("sh", root.path().join("usr/bin/dash")).expect("linked");
        let opened = Root::open(root.path()).expect("it is there");
        for path in [
            "/",
            "/usr/bin",
            "/usr/bin/sh",
            "/bin/sh",
            "/bin",
            "/usr/bin/dash",
            "/none",
            "/usr/bin/sh/x",
        ] {
            for flags in [OFlag::O_PATH, OFlag::O_RDONLY] {
                let path = Path::new(path);
                let new = opened.open_at(path, flags).map(|_| ());
                let old = open_step_by_step(&opened.directory, path, flags).map(|_| ());
                assert_eq!(new, old, "{path:?} {flags:?}");
            }
        }
    }

    #[test]
    fn opens_regular_files_only() {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(root.path().join("file"), b"text").expect("written");
        nix::unistd::mkfifo(&root.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU)
            .expect("made");
        let opened = Root::open(root.path()).expect("it is there");
        for (path, regular) in [("/file", true), ("/fifo", false), ("/", false)] {
            let file = opened.open_file(Path::new(path)).expect("it is there");
            assert_eq!(file.is_some(), regular, "{path}");
        }
    }

    #[test]
    fn tells_what_is_within_by_whole_names() {
        for (path, above, within) in [
            ("/usr/bin/app", "/usr/bin", true),
            ("/usr/bin", "/usr/bin", true),
            ("/usr/bin", "/", true),
            ("/", "/", true),
            ("/usr/bin2", "/usr/bin", false),
            ("/usr", "/usr/bin", false),
            ("/", "/usr", false),
        ] {
            let found = is_within(Path::new(path), Path::new(above));
            assert_eq!(found, within, "{path} in {above}");
            assert_eq!(
                found,
                Path::new(path).starts_with(above),
                "{path} in {above}"
            );
        }
    }

    #[test]
    fn a_real_path_is_what_canonicalizing_gives() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let base = folder.path().canonicalize().expect("it is there");
        std::fs::create_dir_all(base.join("a/b")).expect("made");
        symlink("a", base.join("link")).expect("linked");
        for name in ["a", "a/b", "link", "link/b", "a/../a", "a/./b", "none", ""] {
            let path = base.join(name);
            let found = real(&path).map_err(|error| error.kind());
            let expected = path.canonicalize().map_err(|error| error.kind());
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn cleans_as_text() {
        for (path, plain) in [("a/./b/../c", "/a/c"), ("/../x", "/x"), ("//", "/")] {
            assert_eq!(cleaned(Path::new(path)), Path::new(plain));
        }
    }
}
