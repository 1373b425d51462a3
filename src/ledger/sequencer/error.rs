//! Why a log cannot be appended to, in words for whoever runs it.

use std::fmt;
use std::path::PathBuf;

use super::{Fault, MAX_BATCH};
use crate::allowlist::note::NoteError;
use crate::ledger::checkpoint::CheckpointError;
use crate::ledger::tiles::MAX_ENTRY;
use crate::trust::keys::KeyError;

/// Why a log cannot be appended to.
#[derive(Debug)]
pub enum SequencerError {
    /// There is a log in this directory already.
    Exists(PathBuf),
    /// There is none.
    NoLog(PathBuf),
    /// What is published is not what the private state says: this state was restored from a
    /// backup, or somebody else appended. Going on would make a second past.
    Forked {
        /// The private state's size.
        private: u64,
        /// The published checkpoint's size; none when there is no checkpoint.
        published: Option<u64>,
    },
    /// A file that is never changed holds something else.
    Conflict(PathBuf),
    /// The log's own files do not fit its tree state; says what does not.
    Damaged(String),
    /// Somebody else has appended; the log has so many entries now.
    Moved(u64),
    /// An entry is empty or too long.
    Entry(usize),
    /// The entries are too many for one batch.
    BatchTooLarge(usize),
    /// A checkpoint does not verify.
    Checkpoint(PathBuf, CheckpointError),
    /// The key that would sign is not the log's.
    WrongKey {
        /// The log's key.
        expected: String,
        /// The key that was given.
        found: String,
    },
    /// The log's key cannot sign.
    Key(KeyError),
    /// What the key signed is not a checkpoint of this log.
    Signed(NoteError),
    /// The disk failed.
    Disk(PathBuf, Fault),
    /// An earlier write could not be made durable, so what is read here cannot be believed.
    Aborted,
}

impl SequencerError {
    /// True when the disk did not keep something: nothing read back can be believed then.
    #[must_use]
    pub const fn is_of_sync(&self) -> bool {
        matches!(self, Self::Disk(_, Fault::Sync(_)))
    }
}

impl fmt::Display for SequencerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(path) => write!(f, "there is a log in '{}' already", path.display()),
            Self::Moved(size) => {
                write!(f, "somebody else has appended: the log has {size} entries")
            }
            Self::NoLog(path) => write!(
                f,
                "there is no log in '{}'; run 'vcn-hook ledger init'",
                path.display()
            ),
            Self::Forked { private, published } => {
                write!(f, "the private state says {private} entries, ")?;
                match published {
                    Some(size) => write!(f, "the published checkpoint {size}")?,
                    None => f.write_str("but no checkpoint is published")?,
                }
                f.write_str(
                    "; was one of them restored from a backup? appending would fork the log",
                )
            }
            Self::Conflict(path) => write!(
                f,
                "'{}' must never change, but holds something else; was the log restored from a backup?",
                path.display()
            ),
            Self::Damaged(what) => write!(f, "the log is damaged: {what}"),
            Self::Entry(length) => write!(
                f,
                "an entry has 1 to {MAX_ENTRY} bytes, this one has {length}"
            ),
            Self::BatchTooLarge(bytes) => write!(
                f,
                "a batch has at most {MAX_BATCH} bytes, this one has {bytes}"
            ),
            Self::Checkpoint(path, error) => write!(f, "'{}': {error}", path.display()),
            Self::WrongKey { expected, found } => {
                write!(f, "not the log's key: expected {expected}, found {found}")
            }
            Self::Key(error) => write!(f, "cannot sign the checkpoint: {error}"),
            Self::Signed(error) => write!(f, "cannot sign the checkpoint: {error}"),
            Self::Disk(path, fault) => {
                write!(f, "cannot write or read '{}': {fault}", path.display())
            }
            Self::Aborted => {
                f.write_str("an earlier write was not kept by the disk; check it, then start again")
            }
        }
    }
}

impl std::error::Error for SequencerError {}
