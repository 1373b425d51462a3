//! Appending to a log that is a directory.
//!
//! Owns the order of writes, after Sunlight's: stage the batch, move the private tree state,
//! apply the files, publish the checkpoint. The staged batch is part of the tree state, so one
//! rename does both: with it the batch is in the log, and whatever stops the program after that,
//! the next start finishes it. Refuses to judge entries.

mod disk;
mod error;
mod files;
mod known;
mod settle;
mod staging;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use disk::{Disk, Local};
use files::{Files, parent};
use known::Known;
use staging::Staging;

use super::checkpoint::{Checkpoint, MAX_CHECKPOINT};
use super::edge::{Edge, NewFile};
use super::range::EMPTY_ROOT;
use crate::allowlist::note::{SignedNote, VerifierKey};
use crate::trust::keys::Signer;

pub use disk::Fault;
pub use error::SequencerError;

/// Bytes of the entries of the largest batch, each counted with 64 more for its length and hashes:
/// a batch is held in memory and written twice.
pub const MAX_BATCH: usize = 64 << 20;

/// Bytes of the largest tree state: a batch, and two checkpoints.
const MAX_TREE: u64 = 128 << 20;

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
    files: Files,
    log: VerifierKey,
    /// What the last append left, as long as nobody else has appended since.
    known: Option<Known>,
    /// Directories of which the newest names may still be lost. The tree state can bring those
    /// names back, so they need not be waited for before it moves on to another batch.
    unsure: Vec<PathBuf>,
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
        let parents = sequencer
            .files
            .make_directories(&directory.join(".state"), Names::Unsure)?;
        sequencer.files.sync(&parents)?;
        let _lock = sequencer.files.lock()?;
        for taken in [
            sequencer.files.state("tree"),
            sequencer.files.public("checkpoint"),
        ] {
            if sequencer.files.read(&taken, MAX_CHECKPOINT)?.is_some() {
                return Err(SequencerError::Exists(directory.to_owned()));
            }
        }
        let empty = Checkpoint {
            origin: signer.name().to_owned(),
            size: 0,
            root: EMPTY_ROOT,
        };
        let signed = sign(&empty, signer)?;
        sequencer
            .files
            .replace(&sequencer.files.state("tree"), &signed, PRIVATE_FILE)?;
        sequencer
            .files
            .replace(&sequencer.files.public("checkpoint"), &signed, PUBLIC_FILE)?;
        sequencer.known = Some(Known {
            stamp: sequencer.files.stamp()?,
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
        let tree = sequencer.files.state("tree");
        if sequencer.files.read(&tree, MAX_CHECKPOINT)?.is_none() {
            return Err(SequencerError::NoLog(directory.to_owned()));
        }
        let _lock = sequencer.files.lock()?;
        sequencer.settle()?;
        Ok(sequencer)
    }

    fn on(disk: Box<dyn Disk>, directory: &Path, log: VerifierKey) -> Self {
        Self {
            files: Files {
                directory: directory.to_owned(),
                disk,
            },
            log,
            known: None,
            unsure: Vec::new(),
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
        let first = self.append_where(|_| true, entries, signer)?;
        self.flush()?;
        Ok(first)
    }

    /// As [`Sequencer::append`], if the log has exactly `size` entries: what the batch means may
    /// depend on what stands before it.
    ///
    /// The entries are durable and published; after a power cut the public names may be lost until
    /// the log is opened again, or for good kept by [`Sequencer::flush`].
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
        let _lock = self.files.lock()?;
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
        self.aborted |= appended.as_ref().is_err_and(SequencerError::is_of_sync);
        appended
    }

    /// Waits for the public names of what was appended, so that a reader finds them after a power
    /// cut although nobody has opened the log.
    ///
    /// # Errors
    /// As [`Sequencer::append`].
    pub fn flush(&mut self) -> Result<(), SequencerError> {
        let flushed = self.files.sync(&self.unsure);
        match &flushed {
            Ok(()) => self.unsure.clear(),
            Err(error) => self.aborted |= error.is_of_sync(),
        }
        flushed
    }

    /// The state of the log, its files complete up to there and published.
    ///
    /// # Errors
    /// As [`Sequencer::open`].
    pub fn checkpoint(&mut self) -> Result<Checkpoint, SequencerError> {
        let _lock = self.files.lock()?;
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
        let new = edge
            .grow(entries)
            .map_err(|error| SequencerError::Damaged(error.to_string()))?;
        let after = Checkpoint {
            origin: before.origin.clone(),
            size: edge.range().size(),
            root: edge.range().root(),
        };
        let signed = sign(&after, signer)?;
        for file in &new {
            // The same file again is renamed over itself; another one must not be.
            self.files
                .lacks(&self.files.public(&file.name.to_string()), file)?;
        }
        let tree = Staging::bytes(&before, &signed, entries);
        // What the tree state is about to forget must be able to do without it.
        self.unsure.sort();
        self.unsure.dedup();
        self.files.write(&tree, &new, &signed, &self.unsure)?;
        self.unsure.clear();
        self.files.rename("tree.new", &self.files.state("tree"))?;
        self.files.sync(&[self.files.directory.join(".state")])?;
        self.publish(&new)?;
        self.known = Some(Known {
            stamp: self.files.stamp()?,
            signed,
            checkpoint: after,
            edge,
        });
        Ok(())
    }

    /// Gives the files that were written for an append their public names, the checkpoint last.
    fn publish(&mut self, files: &[NewFile]) -> Result<(), SequencerError> {
        let mut made = Vec::new();
        for (number, file) in files.iter().enumerate() {
            let path = self.files.public(&file.name.to_string());
            let parent = parent(&path).to_owned();
            if !made.contains(&parent) {
                let parents = self.files.make_directories(&parent, Names::Durable)?;
                self.unsure.extend(parents);
                made.push(parent);
            }
            self.files.step(
                &path,
                self.files.disk.rename(&self.files.numbered(number), &path),
            )?;
        }
        self.unsure.extend(made);
        self.files
            .rename("checkpoint.new", &self.files.public("checkpoint"))?;
        self.unsure.push(self.files.directory.clone());
        Ok(())
    }

    fn verify(&self, path: &Path, bytes: &[u8]) -> Result<Checkpoint, SequencerError> {
        Checkpoint::verify(bytes, &self.log)
            .map_err(|error| SequencerError::Checkpoint(path.to_owned(), error))
    }
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
