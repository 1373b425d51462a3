//! Files: bounded reads, root-owned reads, durable replacement.
//!
//! Owns how bytes get from and to a disk safely. What they mean is the caller's.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::libc;
use nix::sys::signal::kill;
use nix::sys::stat::Mode;
use nix::unistd::Pid;

/// Opens a regular file for reading, following no symlink in its last component and blocking on nothing.
///
/// # Errors
/// The operating system's, or `InvalidInput` when it is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    open_described(path).map(|(file, _)| file)
}

fn open_unseen(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    // `openat`: musl's `open` sets close-on-exec a second time, in a call of its own.
    Ok(File::from(openat(AT_FDCWD, path, flags, Mode::empty())?))
}

fn open_described(path: &Path) -> io::Result<(File, Metadata)> {
    let file = open_unseen(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    Ok((file, metadata))
}

/// Reads a whole regular file of at most `cap` bytes.
///
/// # Errors
/// The operating system's; `InvalidInput` when it is no regular file; `FileTooLarge` when it is longer than `cap`.
pub fn read_capped(path: &Path, cap: u64) -> io::Result<Vec<u8>> {
    let (file, metadata) = open_described(path)?;
    read_all(file, &metadata, cap)
}

/// Reads a small file that only root can have made and that nobody appends to: one that fits is read
/// in one call. What is no regular file gives an error or no bytes, and blocks nothing.
///
/// # Errors
/// The operating system's; `FileTooLarge` when it is longer than `N - 1` bytes.
pub fn read_small<const N: usize>(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_unseen(path)?;
    let mut bytes = vec![0; N];
    let length = file.read(&mut bytes)?;
    if length == N {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// As [`read_capped`], for a file that only root can have written: the file and every
/// directory above it are owned by `owner` (uid 0 in production) or root, and
/// not writable by group or others.
///
/// # Errors
/// As [`read_capped`], and `PermissionDenied` naming the first path that others can change.
pub fn read_owned(path: &Path, cap: u64) -> io::Result<Vec<u8>> {
    check_owned_path(path)?;
    let (file, metadata) = open_described(path)?;
    check_owned(path, &metadata)?;
    read_all(file, &metadata, cap)
}

/// Reads the last `cap` bytes of a file that only root can have written, or all of a shorter one after
/// a line break, so that its first line is like any other.
///
/// # Errors
/// As [`read_owned`].
pub fn read_owned_tail(path: &Path, cap: u64) -> io::Result<Vec<u8>> {
    check_owned_path(path)?;
    let (mut file, metadata) = open_described(path)?;
    check_owned(path, &metadata)?;
    file.seek(SeekFrom::Start(metadata.len().saturating_sub(cap)))?;
    let mut bytes = Vec::new();
    if metadata.len() <= cap {
        bytes.push(b'\n');
    }
    // What is appended meanwhile may be left out.
    file.take(cap).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Checks what [`read_owned`] checks, for a file that is read by other means.
///
/// # Errors
/// As [`read_owned`].
pub fn check_owned_file(path: &Path) -> io::Result<()> {
    check_owned_path(path)?;
    check_owned(path, &open_regular(path)?.metadata()?)
}

/// Checks that every directory above `path` is root's alone, and so is every one that a symlink
/// on the way leads through.
///
/// # Errors
/// `PermissionDenied` naming the first path that others can change; `InvalidInput` for a relative path.
pub fn check_owned_path(path: &Path) -> io::Result<()> {
    check_ancestors(path, MAX_SYMLINKS)
}

fn check_ancestors(path: &Path, links: usize) -> io::Result<()> {
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a plain absolute path",
        ));
    }
    for directory in path.ancestors().skip(1) {
        let metadata = std::fs::symlink_metadata(directory)?;
        if metadata.is_symlink() {
            check_symlink(directory, &metadata, links)?;
        } else if metadata.mode() & libc::S_ISVTX != 0 {
            // A sticky, world-writable directory (/tmp) lets others add names but not replace root's.
            check_owner(directory, &metadata)?;
        } else {
            check_owned(directory, &metadata)?;
        }
    }
    Ok(())
}

/// A symlink is as good as its owner (its mode means nothing) and as the way to its target.
fn check_symlink(link: &Path, metadata: &Metadata, links: usize) -> io::Result<()> {
    check_owner(link, metadata)?;
    let links = links.checked_sub(1).ok_or_else(|| not_roots(link))?;
    let parent = link.parent().unwrap_or_else(|| Path::new("/"));
    let target = parent.join(std::fs::read_link(link)?);
    // `ancestors` leaves the last name out, and the target itself counts too.
    check_ancestors(&target.join("any"), links)
}

fn check_owner(path: &Path, metadata: &Metadata) -> io::Result<()> {
    if metadata.uid() == 0 {
        Ok(())
    } else {
        Err(not_roots(path))
    }
}

/// As many as the kernel follows.
const MAX_SYMLINKS: usize = 40;

fn check_owned(path: &Path, metadata: &Metadata) -> io::Result<()> {
    if metadata.uid() != 0 || metadata.mode() & 0o022 != 0 {
        return Err(not_roots(path));
    }
    Ok(())
}

fn not_roots(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        NotRoots(path.to_path_buf()),
    )
}

/// A path that others than root can change: what an error of the checks above is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRoots(pub PathBuf);

impl NotRoots {
    /// The path that an error is about, if it is one of these.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Path> {
        let error = error.get_ref()?.downcast_ref::<Self>()?;
        Some(&error.0)
    }
}

impl std::fmt::Display for NotRoots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "'{}' can be changed by others than root",
            self.0.display()
        )
    }
}

impl std::error::Error for NotRoots {}

fn read_all(file: File, metadata: &Metadata, cap: u64) -> io::Result<Vec<u8>> {
    // With room for the whole file the start path reads it at once; without, in ever larger pieces.
    let length = metadata.len().min(cap);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(64));
    file.take(cap.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > cap {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {cap} bytes"),
        ));
    }
    Ok(bytes)
}

/// Replaces `path` durably and atomically: temporary file beside it, fsync, rename, fsync of the directory.
///
/// # Errors
/// The operating system's. After an error `path` is still what it was.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    remove_leftovers(path);
    put(path, |temporary| write_new(temporary, bytes, mode))?;
    sync_directory(path.parent().unwrap_or_else(|| Path::new(".")))
}

/// Replaces `path` atomically, without waiting for a disk: for what need not outlive the machine's run. It
/// looks for no leftovers: a start may be waiting.
///
/// # Errors
/// As [`replace`].
pub fn replace_volatile(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    put(path, |temporary| {
        create_new(temporary, mode)?.write_all(bytes)
    })
}

fn put(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let written = write(&temporary).and_then(|()| std::fs::rename(&temporary, path));
    // Best effort: the error that matters is the first one.
    written.inspect_err(|_| drop(std::fs::remove_file(&temporary)))
}

/// Removes what processes that were killed while they wrote `path` have left beside it.
fn remove_leftovers(path: &Path) {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return;
    };
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    let prefix = [b".", name.as_bytes(), b"."].concat();
    for entry in entries.flatten() {
        let called = entry.file_name();
        let pid = called.as_bytes().strip_prefix(&*prefix);
        let pid = pid.and_then(|rest| rest.strip_suffix(b".tmp"));
        let pid = pid.and_then(|pid| str::from_utf8(pid).ok()?.parse().ok());
        let pid = pid.map(Pid::from_raw);
        // Whoever had our number before us is no more; whose number somebody else has now stays for a while.
        let is_no_more = |pid| pid == Pid::this() || kill(pid, None) == Err(Errno::ESRCH);
        if pid.is_some_and(is_no_more) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Appends `bytes` with one write to a file that only root can have written; makes it (mode 0640) if it is not there.
///
/// # Errors
/// As [`read_owned`]; `WriteZero` when not all of it was written.
pub fn append_owned(path: &Path, bytes: &[u8]) -> io::Result<()> {
    check_owned_path(path)?;
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)?;
    let metadata = file.metadata()?;
    check_owned(path, &metadata)?;
    if !metadata.is_file() || file.write(bytes)? != bytes.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}

/// Appends `bytes` with one write to a file of this process's own user; makes it (mode 0600) if it is not there.
///
/// # Errors
/// The operating system's; `WriteZero` when not all of it was written.
pub fn append_own(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)?;
    if !file.metadata()?.is_file() || file.write(bytes)? != bytes.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}

/// Writes a new file and waits until its bytes are on disk. Fails if the name is taken.
///
/// # Errors
/// The operating system's.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = create_new(path, mode)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
}

/// Has the kernel begin to write a file's bytes to disk, and waits for nothing. A hint: only
/// `fsync` says whether they got there.
pub fn begin_writeback(file: &File) {
    let descriptor = file.as_raw_fd();
    // SAFETY: the descriptor is open as long as `file` is borrowed, and no memory is passed.
    let _ = unsafe { libc::sync_file_range(descriptor, 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Waits until the names in a directory are on disk.
///
/// # Errors
/// The operating system's.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The name of a temporary file for `path`: the same directory, hidden, ending in this process's id.
///
/// # Errors
/// `InvalidInput` when `path` has no file name.
pub fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(temporary))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::{read_capped, read_owned, replace};

    #[test]
    fn reads_at_most_the_cap_and_no_symlink() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("file");
        replace(&file, b"12345", 0o644).expect("it is writable");
        assert_eq!(read_capped(&file, 5).expect("it is short enough"), b"12345");
        assert_eq!(
            read_capped(&file, 4).map_err(|e| e.kind()),
            Err(ErrorKind::FileTooLarge)
        );
        let link = directory.path().join("link");
        symlink(&file, &link).expect("it is new");
        read_capped(&link, 5).expect_err("it is a symlink");
        let folder = read_capped(directory.path(), 5).map_err(|e| e.kind());
        assert_eq!(folder, Err(ErrorKind::InvalidInput));
    }

    #[test]
    fn what_others_can_change_is_not_roots_wherever_a_symlink_leads() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("not root: this case needs root-owned files and is checked by 'make test'");
            return;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        for folder in ["safe", "open"] {
            std::fs::create_dir(path(folder)).expect("it is new");
            replace(&path(folder).join("file"), b"", 0o644).expect("it is writable");
            symlink(path(folder), path(&format!("to-{folder}"))).expect("it is new");
        }
        let everybody = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(path("open"), everybody).expect("it is ours");
        symlink(path("open/../safe"), path("through")).expect("it is new");
        let read = |name: &str| read_owned(&path(name), 1).map_err(|error| error.kind());
        assert_eq!(read("safe/file"), Ok(Vec::new()));
        assert_eq!(read("to-safe/file"), Ok(Vec::new()));
        assert_eq!(read("open/file"), Err(ErrorKind::PermissionDenied));
        assert_eq!(read("to-open/file"), Err(ErrorKind::PermissionDenied));
        assert_eq!(read("through/file"), Err(ErrorKind::InvalidInput));
        std::os::unix::fs::lchown(path("to-safe"), Some(1), None).expect("we are root");
        assert_eq!(read("to-safe/file"), Err(ErrorKind::PermissionDenied));
    }

    #[test]
    fn a_write_removes_what_a_killed_one_left() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        // No process has so high a number: the kernel's own limit is 2^22.
        let left = path(".file.1073741824.tmp");
        let ours = path(&format!(".file.{}.tmp", std::process::id()));
        let others = [path(".other.1073741824.tmp"), path(".file.x.tmp")];
        for name in others.iter().chain([&left, &ours]) {
            std::fs::write(name, b"").expect("it is writable");
        }
        replace(&path("file"), b"new", 0o644).expect("it is writable");
        assert!(!left.exists() && !ours.exists());
        assert!(others.iter().all(|name| name.exists()));
        let parent = std::os::unix::process::parent_id();
        let alive = path(&format!(".file.{parent}.tmp"));
        std::fs::write(&alive, b"").expect("it is writable");
        replace(&path("file"), b"newer", 0o644).expect("it is writable");
        assert!(alive.exists(), "another process writes it");
    }
}
