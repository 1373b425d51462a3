//! Appending to a log that is a directory.
//!
//! Owns the order of writes, after Sunlight's: stage the batch, move the private tree state,
//! apply the files, publish the checkpoint. A batch is in the log when the tree state has moved;
//! whatever stops the program after that, the next start finishes it. Refuses to judge entries.

mod disk;
mod error;
mod known;
mod staging;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use disk::{Disk, Local};
use known::Known;
use staging::Staging;

use super::checkpoint::{Checkpoint, MAX_CHECKPOINT};
use super::edge::Edge;
use super::range::EMPTY_ROOT;
use super::tiles::TileName;
use crate::allowlist::note::{SignedNote, VerifierKey};
use crate::trust::keys::Signer;

pub use disk::Fault;
pub use error::SequencerError;

/// Bytes of the entries of the largest batch, each counted with 64 more for its length and hashes:
/// a batch is held in memory and written twice.
pub const MAX_BATCH: usize = 64 << 20;

/// Bytes of the largest staging file: a batch, the partial bundle it continues, and hashes.
const MAX_STAGING: u64 = 256 << 20;

/// Readable by any web server.
const PUBLIC_FILE: u32 = 0o644;
const PUBLIC_DIRECTORY: u32 = 0o755;

/// The private state holds keys and what must not be served.
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIRECTORY: u32 = 0o700;

/// Whether the names of existing directories are known to be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// They are: whoever made them waited for that.
    Durable,
    /// Whoever made them may have been stopped before that.
    Unsure,
}

/// The one writer of a log on this disk, as long as it holds the lock.
#[derive(Debug)]
pub struct Sequencer {
    directory: PathBuf,
    log: VerifierKey,
    disk: Box<dyn Disk>,
    /// What the last append left, as long as nobody else has appended since.
    known: Option<Known>,
    aborted: bool,
}

impl Sequencer {
    /// Makes an empty log in `directory`, signed by `log`, whose name becomes the origin.
    ///
    /// # Errors
    /// [`SequencerError::Exists`], or what the disk or the key says.
    pub fn create(directory: &Path, log: &dyn Signer) -> Result<Self, SequencerError> {
        Self::create_on(Box::new(Local), directory, log)
    }

    /// Opens the log in `directory`, whose checkpoints `log` signs, and finishes what was interrupted.
    ///
    /// # Errors
    /// [`SequencerError::Forked`] for a restored backup, [`SequencerError::Damaged`] for files that
    /// do not fit together, or what the disk says.
    pub fn open(directory: &Path, log: VerifierKey) -> Result<Self, SequencerError> {
        Self::open_on(Box::new(Local), directory, log)
    }

    pub(crate) fn create_on(
        disk: Box<dyn Disk>,
        directory: &Path,
        signer: &dyn Signer,
    ) -> Result<Self, SequencerError> {
        let mut sequencer = Self::on(disk, directory, signer.verifier().clone());
        sequencer.make_directories(&directory.join(".state"), Names::Unsure)?;
        let _lock = sequencer.lock()?;
        for taken in [sequencer.state("tree"), sequencer.public("checkpoint")] {
            if sequencer.read(&taken, MAX_CHECKPOINT)?.is_some() {
                return Err(SequencerError::Exists(directory.to_owned()));
            }
        }
        let empty = Checkpoint {
            origin: signer.name().to_owned(),
            size: 0,
            root: EMPTY_ROOT,
        };
        let signed = sign(&empty, signer)?;
        sequencer.replace(&sequencer.state("tree"), &signed, PRIVATE_FILE)?;
        sequencer.replace(&sequencer.public("checkpoint"), &signed, PUBLIC_FILE)?;
        sequencer.known = Some(Known {
            signed,
            checkpoint: empty,
            edge: Edge::default(),
        });
        Ok(sequencer)
    }

    pub(crate) fn open_on(
        disk: Box<dyn Disk>,
        directory: &Path,
        log: VerifierKey,
    ) -> Result<Self, SequencerError> {
        let mut sequencer = Self::on(disk, directory, log);
        let tree = sequencer.state("tree");
        if sequencer.read(&tree, MAX_CHECKPOINT)?.is_none() {
            return Err(SequencerError::NoLog(directory.to_owned()));
        }
        let _lock = sequencer.lock()?;
        sequencer.settle()?;
        Ok(sequencer)
    }

    fn on(disk: Box<dyn Disk>, directory: &Path, log: VerifierKey) -> Self {
        Self {
            directory: directory.to_owned(),
            log,
            disk,
            known: None,
            aborted: false,
        }
    }

    /// Appends a batch, whole or not at all, and returns the log index of its first entry.
    ///
    /// When it returns, the entries are durable and published. After an error they may be in the
    /// log all the same (a disk that filled up after the tree state had moved).
    ///
    /// # Errors
    /// [`SequencerError`]; after [`SequencerError::Aborted`] the process should end.
    pub fn append<T: AsRef<[u8]>>(
        &mut self,
        entries: &[T],
        signer: &dyn Signer,
    ) -> Result<u64, SequencerError> {
        self.append_where(|_| true, entries, signer)
    }

    /// As [`Sequencer::append`], if the log has exactly `size` entries: what the batch means may
    /// depend on what stands before it.
    ///
    /// # Errors
    /// [`SequencerError::Moved`] when somebody else has appended; nothing has happened then.
    pub fn append_at<T: AsRef<[u8]>>(
        &mut self,
        size: u64,
        entries: &[T],
        signer: &dyn Signer,
    ) -> Result<(), SequencerError> {
        self.append_where(|found| found == size, entries, signer)
            .map(drop)
    }

    fn append_where<T: AsRef<[u8]>>(
        &mut self,
        wanted: impl FnOnce(u64) -> bool,
        entries: &[T],
        signer: &dyn Signer,
    ) -> Result<u64, SequencerError> {
        staging::check(entries)?;
        if self.aborted {
            return Err(SequencerError::Aborted);
        }
        let _lock = self.lock()?;
        let appended = self.settle().and_then(|before| {
            let first = before.size;
            if !wanted(first) {
                return Err(SequencerError::Moved(first));
            }
            if !entries.is_empty() {
                self.extend(before, entries, signer)?;
            }
            Ok(first)
        });
        if let Err(SequencerError::Disk(_, Fault::Sync(_))) = appended {
            self.aborted = true;
        }
        appended
    }

    /// The state of the log, its files complete up to there and published.
    ///
    /// # Errors
    /// As [`Sequencer::open`].
    pub fn checkpoint(&mut self) -> Result<Checkpoint, SequencerError> {
        let _lock = self.lock()?;
        self.settle()
    }

    fn extend<T: AsRef<[u8]>>(
        &mut self,
        before: Checkpoint,
        entries: &[T],
        signer: &dyn Signer,
    ) -> Result<(), SequencerError> {
        if *signer.verifier() != self.log {
            return Err(SequencerError::WrongKey {
                expected: self.log.keyid(),
                found: signer.verifier().keyid(),
            });
        }
        // Taken, and put back only after success: after an error the disk is read afresh.
        let mut edge = self
            .known
            .take()
            .map(|known| known.edge)
            .unwrap_or_default();
        let files = edge
            .grow(entries)
            .map_err(|error| SequencerError::Damaged(error.to_string()))?;
        let after = Checkpoint {
            origin: before.origin.clone(),
            size: edge.range().size(),
            root: edge.range().root(),
        };
        let signed = sign(&after, signer)?;
        let staging = Staging {
            before,
            signed,
            files,
        };
        self.replace(&self.state("staging"), &staging.to_bytes(), PRIVATE_FILE)?;
        self.replace(&self.state("tree"), &staging.signed, PRIVATE_FILE)?;
        self.publish(&staging, Names::Durable)?;
        self.known = Some(Known {
            signed: staging.signed,
            checkpoint: after,
            edge,
        });
        Ok(())
    }

    /// Writes what a batch makes public, then its checkpoint.
    fn publish(&self, staging: &Staging, names: Names) -> Result<(), SequencerError> {
        let mut directories = Vec::new();
        for file in &staging.files {
            let path = self.public(&file.name.to_string());
            let parent = parent(&path);
            if !directories.iter().any(|known| known == parent) {
                self.make_directories(parent, names)?;
                directories.push(parent.to_owned());
            }
            self.put_new(&path, &file.bytes, file.name)?;
        }
        for directory in &directories {
            self.step(directory, self.disk.sync_directory(directory))?;
        }
        self.replace(&self.public("checkpoint"), &staging.signed, PUBLIC_FILE)?;
        let path = self.state("staging");
        self.step(&path, self.disk.remove(&path))
    }

    /// Brings the log to one state: finishes or drops a staged batch, and refuses a fork.
    fn settle(&mut self) -> Result<Checkpoint, SequencerError> {
        let path = self.state("tree");
        let signed = self.read(&path, MAX_CHECKPOINT)?;
        let signed = signed.ok_or_else(|| SequencerError::NoLog(self.directory.clone()))?;
        let tree = self.verify(&path, &signed)?;
        let path = self.public("checkpoint");
        let published = match self.read(&path, MAX_CHECKPOINT)? {
            Some(bytes) if bytes == signed => Some(tree.clone()),
            Some(bytes) => Some(self.verify(&path, &bytes)?),
            None => None,
        };
        if published.as_ref() == Some(&tree) {
            let path = self.state("staging");
            self.step(&path, self.disk.remove(&path))?;
        } else {
            self.finish(&tree, &signed, published.as_ref())?;
        }
        if self
            .known
            .as_ref()
            .is_none_or(|known| known.signed != signed)
        {
            let known = Known::load(signed, tree.clone(), |name| self.tile(name))?;
            self.known = Some(known);
        }
        Ok(tree)
    }

    /// Finishes a batch that the tree state has and the published checkpoint has not.
    fn finish(
        &self,
        tree: &Checkpoint,
        signed: &[u8],
        published: Option<&Checkpoint>,
    ) -> Result<(), SequencerError> {
        // What is about to be published must not be able to vanish again.
        let state = self.directory.join(".state");
        self.step(&state, self.disk.sync_directory(&state))?;
        if tree.size == 0 && published.is_none() {
            return self.replace(&self.public("checkpoint"), signed, PUBLIC_FILE);
        }
        let forked = SequencerError::Forked {
            private: tree.size,
            published: published.map(|checkpoint| checkpoint.size),
        };
        let Some(published) = published.filter(|checkpoint| checkpoint.size < tree.size) else {
            return Err(forked);
        };
        let staged = self.read(&self.state("staging"), MAX_STAGING)?;
        let staged = staged.as_deref().and_then(Staging::parse);
        let staged = staged.filter(|staging| staging.signed == signed);
        let Some(staged) = staged else {
            let what = "the tree state has moved, but the batch that moved it is lost";
            return Err(SequencerError::Damaged(what.to_owned()));
        };
        if staged.before != *published {
            return Err(forked);
        }
        self.publish(&staged, Names::Unsure)
    }

    fn tile(&self, name: TileName) -> Result<Vec<u8>, SequencerError> {
        let bytes = self.read(&self.public(&name.to_string()), name.cap())?;
        bytes.ok_or_else(|| SequencerError::Damaged(format!("'{name}' is missing")))
    }

    /// Writes a file that is never changed afterwards. The same bytes again are no error.
    fn put_new(&self, path: &Path, bytes: &[u8], name: TileName) -> Result<(), SequencerError> {
        match self.read(path, name.cap())? {
            Some(found) if found == bytes => Ok(()),
            Some(_) => Err(SequencerError::Conflict(path.to_owned())),
            None => self.replace_unsynced(path, bytes, PUBLIC_FILE),
        }
    }

    fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), SequencerError> {
        self.replace_unsynced(path, bytes, mode)?;
        let parent = parent(path);
        self.step(parent, self.disk.sync_directory(parent))
    }

    /// Everything of [`Sequencer::replace`] but the directory, which a batch waits for once.
    fn replace_unsynced(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), SequencerError> {
        // In the private state, where no web server sees it. There is one writer at a time, so one
        // name is enough, and what a stopped one left is overwritten.
        let temporary = self.state("new");
        self.step(path, self.disk.write(&temporary, bytes, mode))?;
        self.step(path, self.disk.rename(&temporary, path))
    }

    /// Makes `path` and what is missing above it up to the log's own directory, durably.
    fn make_directories(&self, path: &Path, names: Names) -> Result<(), SequencerError> {
        let wanted: Vec<&Path> = path
            .ancestors()
            .take_while(|above| above.starts_with(&self.directory))
            .collect();
        for directory in wanted.into_iter().rev() {
            let private = directory.file_name().is_some_and(|name| name == ".state");
            let mode = if private {
                PRIVATE_DIRECTORY
            } else {
                PUBLIC_DIRECTORY
            };
            let made = self.step(directory, self.disk.make_directory(directory, mode))?;
            if made || names == Names::Unsure {
                let parent = parent(directory);
                self.step(parent, self.disk.sync_directory(parent))?;
            }
        }
        Ok(())
    }

    fn verify(&self, path: &Path, bytes: &[u8]) -> Result<Checkpoint, SequencerError> {
        if let Some(known) = self.known.as_ref().filter(|known| known.signed == bytes) {
            return Ok(known.checkpoint.clone());
        }
        Checkpoint::verify(bytes, &self.log)
            .map_err(|error| SequencerError::Checkpoint(path.to_owned(), error))
    }

    fn lock(&self) -> Result<Option<std::fs::File>, SequencerError> {
        let path = self.state("lock");
        self.step(&path, self.disk.lock(&path))
    }

    fn read(&self, path: &Path, cap: u64) -> Result<Option<Vec<u8>>, SequencerError> {
        self.step(path, self.disk.read(path, cap))
    }

    fn step<T>(&self, path: &Path, done: Result<T, Fault>) -> Result<T, SequencerError> {
        done.map_err(|fault| SequencerError::Disk(path.to_owned(), fault))
    }

    fn public(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn state(&self, name: &str) -> PathBuf {
        self.directory.join(".state").join(name)
    }
}

/// The directory of a path; the current one for a bare name.
fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

fn sign(checkpoint: &Checkpoint, signer: &dyn Signer) -> Result<Vec<u8>, SequencerError> {
    let mut note = SignedNote::new(checkpoint.to_string()).map_err(SequencerError::Signed)?;
    let signature = signer
        .sign(note.text.as_bytes())
        .map_err(SequencerError::Key)?;
    note.sign(signer.verifier(), &signature)
        .map_err(SequencerError::Signed)?;
    Ok(note.to_bytes())
}
