//! Bundles that were read and are not yet known to be the log's.
//!
//! Owns where they wait, `log/incoming/`, and that they take the place of what
//! the node has only when its caller says that they are right. Whatever ends a
//! sync earlier, they are removed; after a power cut, by the next sync.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::Step;
use super::error::SyncError;
use super::judge::disk;
use super::mirror::make;
use crate::ledger::tiles::TileName;
use crate::sys::file::sync_directory;

/// Waiting for so many bundles one by one costs less than waiting for everybody's writes.
const MAX_SINGLY: usize = 64;

/// New bundles, beside the node's copy of the log.
#[derive(Debug)]
pub(super) struct Incoming {
    log: PathBuf,
    directory: PathBuf,
    names: Vec<TileName>,
}

impl Incoming {
    /// Begins with none. Only who holds the lock may.
    pub(super) fn begin(log: &Path) -> Result<Self, SyncError> {
        let directory = log.join("incoming");
        match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SyncError::Disk(directory, error))
            }
            _ => Ok(Self {
                log: log.to_owned(),
                directory,
                names: Vec::new(),
            }),
        }
    }

    /// Keeps a bundle aside.
    pub(super) fn add(&mut self, name: TileName, bytes: &[u8]) -> Result<(), SyncError> {
        let path = self.directory.join(name.to_string());
        make(parent(&path))?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(disk(&path))?;
        self.names.push(name);
        Ok(())
    }

    /// Puts every bundle in its place, durably: first their bytes, then their names.
    pub(super) fn settle(&self, step: Step<'_>) -> Result<(), SyncError> {
        if self.names.is_empty() {
            return Ok(());
        }
        self.flush(&self.directory)?;
        step("places")?;
        for name in &self.names {
            let path = self.log.join(name.to_string());
            make(parent(&path))?;
            fs::rename(self.directory.join(name.to_string()), &path).map_err(disk(&path))?;
        }
        self.flush(&self.log)
    }

    /// Waits for the bundles below `root`.
    fn flush(&self, root: &Path) -> Result<(), SyncError> {
        if self.names.len() > MAX_SINGLY {
            return File::open(root)
                .and_then(|directory| nix::unistd::syncfs(&directory).map_err(io::Error::from))
                .map_err(disk(root));
        }
        self.names.iter().try_for_each(|name| {
            let path = root.join(name.to_string());
            File::open(&path)
                .and_then(|file| file.sync_all())
                .and_then(|()| sync_directory(parent(&path)))
                .map_err(disk(&path))
        })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Best effort: the next sync begins with none.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}
