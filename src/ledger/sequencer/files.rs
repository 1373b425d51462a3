//! The files of one log on one disk: their names, and how each is written.
//!
//! Owns the two kinds of names, public and private, and that a file never has
//! a public name before its bytes are on disk. In which order names are given is `sequencer`'s.

use std::path::{Path, PathBuf};

use super::disk::{Disk, Fault, Stamp};
use super::{
    Names, PRIVATE_DIRECTORY, PRIVATE_FILE, PUBLIC_DIRECTORY, PUBLIC_FILE, SequencerError,
};
use crate::ledger::edge::NewFile;
use crate::ledger::tiles::TileName;

/// The files of a log.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) directory: PathBuf,
    pub(super) disk: Box<dyn Disk>,
}

impl Files {
    /// Writes everything that an append needs, under names that nobody reads, and waits for it and
    /// for the names in `directories` once.
    pub(super) fn write(
        &self,
        tree: &[u8],
        files: &[NewFile],
        signed: &[u8],
        directories: &[PathBuf],
    ) -> Result<(), SequencerError> {
        let mut writes = vec![
            (self.state("tree.new"), tree, PRIVATE_FILE),
            (self.state("checkpoint.new"), signed, PUBLIC_FILE),
        ];
        for (number, file) in files.iter().enumerate() {
            writes.push((self.numbered(number), &file.bytes, PUBLIC_FILE));
        }
        let written = self.disk.write_all(&writes, directories);
        self.step(&self.state("tree.new"), written)
    }

    pub(super) fn tile(&self, name: TileName) -> Result<Vec<u8>, SequencerError> {
        let bytes = self.read(&self.public(&name.to_string()), name.cap())?;
        bytes.ok_or_else(|| SequencerError::Damaged(format!("'{name}' is missing")))
    }

    /// Says whether a file that never changes is not there yet. The same bytes are no error.
    pub(super) fn lacks(&self, path: &Path, file: &NewFile) -> Result<bool, SequencerError> {
        match self.read(path, file.name.cap())? {
            Some(found) if found == file.bytes => Ok(false),
            Some(_) => Err(SequencerError::Conflict(path.to_owned())),
            None => Ok(true),
        }
    }

    /// Waits for the names in these directories, each once.
    pub(super) fn sync(&self, directories: &[PathBuf]) -> Result<(), SequencerError> {
        for (at, directory) in directories.iter().enumerate() {
            if !directories
                .iter()
                .take(at)
                .any(|before| before == directory)
            {
                self.step(directory, self.disk.sync_directory(directory))?;
            }
        }
        Ok(())
    }

    pub(super) fn rename(&self, from: &str, to: &Path) -> Result<(), SequencerError> {
        self.step(to, self.disk.rename(&self.state(from), to))
    }

    /// The name of the tree state's file, in the sense that another file has another.
    pub(super) fn stamp(&self) -> Result<Option<Stamp>, SequencerError> {
        let path = self.state("tree");
        self.step(&path, self.disk.stamp(&path))
    }

    pub(super) fn numbered(&self, number: usize) -> PathBuf {
        self.state(&format!("file.{number}.new"))
    }

    pub(super) fn replace(
        &self,
        path: &Path,
        bytes: &[u8],
        mode: u32,
    ) -> Result<(), SequencerError> {
        self.replace_unsynced(path, bytes, mode)?;
        let parent = parent(path);
        self.step(parent, self.disk.sync_directory(parent))
    }

    /// Everything of [`Sequencer::replace`] but the directory.
    pub(super) fn replace_unsynced(
        &self,
        path: &Path,
        bytes: &[u8],
        mode: u32,
    ) -> Result<(), SequencerError> {
        // In the private state, where no web server sees it. There is one writer at a time, so one
        // name is enough, and what a stopped one left is overwritten.
        let temporary = self.state("new");
        self.step(path, self.disk.write(&temporary, bytes, mode))?;
        self.step(path, self.disk.rename(&temporary, path))
    }

    /// Makes `path` and what is missing above it up to the log's own directory, and returns the
    /// directories whose names are to be waited for.
    pub(super) fn make_directories(
        &self,
        path: &Path,
        names: Names,
    ) -> Result<Vec<PathBuf>, SequencerError> {
        let wanted: Vec<&Path> = path
            .ancestors()
            .take_while(|above| above.starts_with(&self.directory))
            .collect();
        let mut parents = Vec::new();
        for directory in wanted.into_iter().rev() {
            let private = directory.file_name().is_some_and(|name| name == ".state");
            let mode = if private {
                PRIVATE_DIRECTORY
            } else {
                PUBLIC_DIRECTORY
            };
            let made = self.step(directory, self.disk.make_directory(directory, mode))?;
            if made || names == Names::Unsure {
                parents.push(parent(directory).to_owned());
            }
        }
        Ok(parents)
    }

    pub(super) fn lock(&self) -> Result<Option<std::fs::File>, SequencerError> {
        let path = self.state("lock");
        self.step(&path, self.disk.lock(&path))
    }

    pub(super) fn read(&self, path: &Path, cap: u64) -> Result<Option<Vec<u8>>, SequencerError> {
        self.step(path, self.disk.read(path, cap))
    }

    pub(super) fn step<T>(&self, path: &Path, done: Result<T, Fault>) -> Result<T, SequencerError> {
        done.map_err(|fault| SequencerError::Disk(path.to_owned(), fault))
    }

    pub(super) fn public(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(super) fn state(&self, name: &str) -> PathBuf {
        self.directory.join(".state").join(name)
    }
}

/// The directory of a path; the current one for a bare name.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}
