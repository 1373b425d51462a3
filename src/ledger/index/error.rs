//! Why an index was not published or not confirmed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::draft::DraftError;
use crate::allowlist::note::NoteError;
use crate::ledger::checkpoint::CheckpointError;
use crate::ledger::client::ReadError;
use crate::ledger::roots::RootsError;
use crate::ledger::tiles::TileError;
use crate::trust::keys::KeyError;
use crate::trust::root::RootError;

/// Why an index was not published or not confirmed.
#[derive(Debug)]
pub enum IndexError {
    /// The log cannot be read.
    Read(ReadError),
    /// A bundle of the log is malformed.
    Bundle(TileError),
    /// The ledger has no trust root.
    NoRoot,
    /// The trust root is not what it must be.
    Roots(RootsError),
    /// The latest trust root has expired.
    Expired(RootError),
    /// The checkpoint is not the log's.
    Checkpoint(CheckpointError),
    /// The entries do not have the hash that was signed.
    Log,
    /// The published note covers more entries than the log has: a restored backup would fork it.
    Shrunk {
        /// Entries that the note covers.
        published: u64,
        /// Entries of the log.
        log: u64,
    },
    /// The published note was made by a later trust root than the latest one here.
    RootBehind {
        /// The note's.
        published: u64,
        /// The latest here.
        latest: u64,
    },
    /// There is no index note, or none that the trust root's indexers have signed.
    NoNote,
    /// The note's tables are not what the log amounts to; names the table.
    Differs(&'static str),
    /// The tables cannot be made.
    Draft(DraftError),
    /// The note cannot be made, or too few indexers sign it.
    Note(NoteError),
    /// An indexer's key cannot sign.
    Key(KeyError),
    /// A file cannot be written.
    Disk(PathBuf, io::Error),
    /// A test stopped it here.
    Stopped(io::Error),
}

macro_rules! from {
    ($($source:ty => $variant:ident),+ $(,)?) => {
        $(impl From<$source> for IndexError {
            fn from(error: $source) -> Self {
                Self::$variant(error)
            }
        })+
    };
}

from! {
    ReadError => Read,
    TileError => Bundle,
    RootsError => Roots,
    CheckpointError => Checkpoint,
    DraftError => Draft,
    io::Error => Stopped,
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(_) => f.write_str("cannot read the log"),
            Self::Bundle(_) => f.write_str("a bundle of the log is malformed"),
            Self::NoRoot => f.write_str("the ledger has no trust root 'root/1.note'"),
            Self::Roots(error) => error.fmt(f),
            Self::Expired(_) => f.write_str("the latest trust root cannot be used"),
            Self::Checkpoint(_) => f.write_str("cannot use the checkpoint"),
            Self::Log => f.write_str("the log's entries do not have the hash that was signed"),
            Self::Shrunk { published, log } => write!(
                f,
                "the index covers {published} entries and the log has {log}: restored from a backup?"
            ),
            Self::RootBehind { published, latest } => write!(
                f,
                "the index was made by trust root {published} and the latest here is {latest}: \
                 restored from a backup?"
            ),
            Self::NoNote => {
                f.write_str("there is no index note that the trust root's indexers signed")
            }
            Self::Differs(table) => {
                write!(f, "the published {table} is not what the log amounts to")
            }
            Self::Draft(_) => f.write_str("cannot make the tables"),
            Self::Note(_) => f.write_str("cannot sign the index note"),
            Self::Key(_) => f.write_str("an indexer's key cannot sign"),
            Self::Disk(path, _) => write!(f, "cannot write '{}'", path.display()),
            Self::Stopped(_) => f.write_str("stopped between two writes"),
        }
    }
}

impl std::error::Error for IndexError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Bundle(error) => Some(error),
            Self::Roots(error) => error.source(),
            Self::Expired(error) => Some(error),
            Self::Checkpoint(error) => Some(error),
            Self::Draft(error) => Some(error),
            Self::Note(error) => Some(error),
            Self::Key(error) => Some(error),
            Self::Disk(_, error) | Self::Stopped(error) => Some(error),
            Self::NoRoot
            | Self::Log
            | Self::Shrunk { .. }
            | Self::RootBehind { .. }
            | Self::NoNote
            | Self::Differs(_) => None,
        }
    }
}
