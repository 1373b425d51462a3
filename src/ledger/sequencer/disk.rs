//! The few things that a sequencer does to a disk, one durable step each.
//!
//! Owns how a step is made durable. A trait, so that tests can stop between any two steps and
//! can lose whatever no step has made durable.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use nix::libc;

use crate::sys::file::{begin_writeback, read_capped, sync_directory};

/// Why a step failed.
#[derive(Debug)]
pub enum Fault {
    /// It did not happen, or may have happened in part.
    Io(io::Error),
    /// It happened, but the kernel could not make it durable: what is read back may be a lie.
    Sync(io::Error),
}

/// A disk, as a sequencer sees it.
pub(crate) trait Disk: fmt::Debug + Send {
    /// Waits until no other process appends; the lock ends with the file.
    fn lock(&self, path: &Path) -> Result<Option<File>, Fault>;

    /// Reads a file of at most `cap` bytes, if there is one.
    fn read(&self, path: &Path, cap: u64) -> Result<Option<Vec<u8>>, Fault>;

    /// Makes a directory, unless there is one, and says whether it did.
    fn make_directory(&self, path: &Path, mode: u32) -> Result<bool, Fault>;

    /// Writes a file, overwriting it, and waits for its bytes; its name may still be lost.
    fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), Fault>;

    /// As [`Disk::write`], for several files, and as [`Disk::sync_directory`], for several
    /// directories, all of them waited for together.
    fn write_all(
        &self,
        files: &[(PathBuf, &[u8], u32)],
        directories: &[PathBuf],
    ) -> Result<(), Fault>;

    /// Tells the file of this name from every other one that had the name before or gets it later.
    fn stamp(&self, path: &Path) -> Result<Option<Stamp>, Fault>;

    /// Renames a file, atomically replacing what had the name.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), Fault>;

    /// Waits for the names in a directory.
    fn sync_directory(&self, path: &Path) -> Result<(), Fault>;

    /// Removes a file, if there is one.
    fn remove(&self, path: &Path) -> Result<(), Fault>;
}

/// What tells one file of a name from the next: its number, its length, and when it changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(pub(crate) [u64; 4]);

/// Files that are open, and threads that wait, at the same time.
const TOGETHER: usize = 8;

/// A thread that waits for the disk does nothing else.
const STACK: usize = 64 * 1024;

/// This machine's disk.
#[derive(Debug)]
pub(crate) struct Local;

impl Local {
    fn written(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<File, Fault> {
        // Removed rather than overwritten: after a power cut it may be another name of a file
        // that was renamed.
        self.remove(path)?;
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)
            .and_then(|mut file| {
                file.set_permissions(Permissions::from_mode(mode))?;
                file.write_all(bytes)?;
                Ok(file)
            });
        written.map_err(Fault::Io)
    }

    fn written_all(&self, files: &[(PathBuf, &[u8], u32)]) -> Result<Vec<File>, Fault> {
        let written = files
            .iter()
            .map(|(path, bytes, mode)| self.written(path, bytes, *mode));
        written.collect()
    }
}

/// Waits for all of them. Each `fsync` ends with a flush of the disk's own cache, and those that
/// are asked for at the same time share one; so do the commits of the file system's journal.
fn sync_together(files: &[File]) -> Result<(), Fault> {
    for file in files {
        begin_writeback(file);
    }
    let Some((first, others)) = files.split_first() else {
        return Ok(());
    };
    std::thread::scope(|scope| {
        let waiting: Vec<_> = others
            .iter()
            .map(|file| {
                let begun = std::thread::Builder::new()
                    .stack_size(STACK)
                    .spawn_scoped(scope, || file.sync_all());
                // Without another thread this one does it, only later.
                begun.map_err(|_| file)
            })
            .collect();
        let mut synced = first.sync_all();
        for one in waiting {
            let one = match one {
                Ok(thread) => thread.join().unwrap_or_else(|_| {
                    Err(io::Error::other(
                        "the thread that waited for the disk has died",
                    ))
                }),
                Err(file) => file.sync_all(),
            };
            synced = synced.and(one);
        }
        synced.map_err(Fault::Sync)
    })
}

impl Disk for Local {
    fn lock(&self, path: &Path) -> Result<Option<File>, Fault> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)
            .map_err(Fault::Io)?;
        file.lock().map_err(Fault::Io)?;
        Ok(Some(file))
    }

    fn read(&self, path: &Path, cap: u64) -> Result<Option<Vec<u8>>, Fault> {
        match read_capped(path, cap) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::Io(error)),
        }
    }

    fn make_directory(&self, path: &Path, mode: u32) -> Result<bool, Fault> {
        match DirBuilder::new().mode(mode).create(path) {
            // The umask must not hide a public log, nor may an open one show the private state.
            Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(mode))
                .map(|()| true)
                .map_err(Fault::Io),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
                Ok(false)
            }
            Err(error) => Err(Fault::Io(error)),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), Fault> {
        let file = self.written(path, bytes, mode)?;
        file.sync_all().map_err(Fault::Sync)
    }

    fn write_all(
        &self,
        files: &[(PathBuf, &[u8], u32)],
        directories: &[PathBuf],
    ) -> Result<(), Fault> {
        let (before, last) = files.split_at(files.len().saturating_sub(TOGETHER));
        for some in before.chunks(TOGETHER) {
            sync_together(&self.written_all(some)?)?;
        }
        let mut open = self.written_all(last)?;
        for directory in directories {
            open.push(File::open(directory).map_err(Fault::Sync)?);
        }
        sync_together(&open)
    }

    fn stamp(&self, path: &Path) -> Result<Option<Stamp>, Fault> {
        match std::fs::symlink_metadata(path) {
            Ok(found) => {
                let changed = [found.ctime(), found.ctime_nsec()].map(i64::cast_unsigned);
                let [seconds, nanoseconds] = changed;
                Ok(Some(Stamp([
                    found.ino(),
                    found.len(),
                    seconds,
                    nanoseconds,
                ])))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::Io(error)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Fault> {
        std::fs::rename(from, to).map_err(Fault::Io)
    }

    fn sync_directory(&self, path: &Path) -> Result<(), Fault> {
        sync_directory(path).map_err(Fault::Sync)
    }

    fn remove(&self, path: &Path) -> Result<(), Fault> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Fault::Io(error)),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Sync(error) => write!(f, "the disk did not keep it: {error}"),
        }
    }
}

impl std::error::Error for Fault {}
