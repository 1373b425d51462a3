//! Why the installed allowlist stays as it is.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::allowlist::index_note::IndexNoteError;
use crate::allowlist::note::NoteError;
use crate::ledger::checkpoint::CheckpointError;
use crate::ledger::client::ReadError;
use crate::ledger::index::DraftError;
use crate::ledger::roots::RootsError;
use crate::ledger::tiles::TileError;
use crate::store::{RolledBack, StoreError};
use crate::trust::root::RootError;

/// Why the installed allowlist stays as it is.
#[derive(Debug)]
pub enum SyncError {
    /// No ledger is configured.
    NoSource,
    /// The ledger cannot be read, or answers what no ledger answers.
    Read(ReadError),
    /// A bundle of the log is malformed.
    Bundle(TileError),
    /// The trust root cannot be followed.
    Roots(RootsError),
    /// The latest trust root has expired.
    RootExpired(RootError),
    /// The ledger has no index note.
    NoIndex,
    /// Too few of the trust root's indexers have signed the note.
    NoteSignature(NoteError),
    /// What is signed is no index note.
    Note(IndexNoteError),
    /// The note is of another ledger.
    Origin {
        /// The trust root's.
        expected: String,
        /// The note's.
        found: String,
    },
    /// The note was made by a trust root that the ledger does not show.
    UnknownRoot {
        /// The version that the note names.
        named: u64,
        /// The latest version that could be verified.
        latest: u64,
    },
    /// The note was signed in our future.
    Clock {
        /// When it was signed, by its own word.
        note: u64,
        /// Our clock.
        now: u64,
    },
    /// The note is older than one that this node has seen.
    RolledBack(RolledBack),
    /// Two notes tell two truths about the same entries.
    Equivocation {
        /// How many entries.
        log_size: u64,
    },
    /// The checkpoint is not the log's.
    Checkpoint(CheckpointError),
    /// The log's own key stands by fewer entries than the note covers.
    ShortLog {
        /// Entries that the note covers.
        note: u64,
        /// Entries of the checkpoint.
        log: u64,
    },
    /// The entries that were served do not make the root that was signed.
    Forked {
        /// At which log size.
        log_size: u64,
    },
    /// The indexers' table is not what the log amounts to; names the table.
    LyingIndexer(&'static str),
    /// The tables cannot be made here.
    Draft(DraftError),
    /// The store cannot be read or written.
    Store(StoreError),
    /// A file cannot be written.
    Disk(PathBuf, io::Error),
    /// Another sync is running.
    Busy,
    /// A test stopped it here.
    Stopped(io::Error),
}

/// What kind of failure it is. `cli` gives each its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The ledger cannot be reached: asking again may help.
    Unreachable,
    /// The trust root or the configuration does not let us follow.
    Configuration,
    /// The ledger has no allowlist yet.
    NoAllowlist,
    /// The ledger shows an older state than this node has seen.
    RolledBack,
    /// What the ledger shows is not what was signed, or not what follows from it.
    Tampered,
    /// This machine: its disk, its clock, another sync.
    Local,
}

impl SyncError {
    /// Says whether asking again, or asking elsewhere, may help.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        match self {
            Self::Read(error) => error.is_unreachable(),
            _ => false,
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Read(error) if error.is_unreachable() => Fault::Unreachable,
            Self::NoSource | Self::Roots(_) | Self::RootExpired(_) | Self::UnknownRoot { .. } => {
                Fault::Configuration
            }
            Self::NoIndex => Fault::NoAllowlist,
            Self::RolledBack(_) => Fault::RolledBack,
            Self::Read(_)
            | Self::Bundle(_)
            | Self::NoteSignature(_)
            | Self::Note(_)
            | Self::Origin { .. }
            | Self::Equivocation { .. }
            | Self::Checkpoint(_)
            | Self::ShortLog { .. }
            | Self::Forked { .. }
            | Self::LyingIndexer(_) => Fault::Tampered,
            Self::Clock { .. }
            | Self::Draft(_)
            | Self::Store(_)
            | Self::Disk(..)
            | Self::Busy
            | Self::Stopped(_) => Fault::Local,
        }
    }

    /// Says whether it shows that somebody lied, so that what was said is worth keeping.
    #[must_use]
    pub const fn is_evidence(&self) -> bool {
        matches!(
            self,
            Self::RolledBack(_)
                | Self::Equivocation { .. }
                | Self::ShortLog { .. }
                | Self::Forked { .. }
                | Self::LyingIndexer(_)
        )
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),+ $(,)?) => {
        $(impl From<$source> for SyncError {
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
    DraftError => Draft,
    StoreError => Store,
    io::Error => Stopped,
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSource => f.write_str("no ledger is configured (run 'vcn-hook enroll')"),
            Self::Read(_) => f.write_str("cannot read the ledger"),
            Self::Bundle(_) => f.write_str("the ledger serves a malformed bundle"),
            Self::Roots(error) => error.fmt(f),
            Self::RootExpired(_) => f.write_str("the latest trust root cannot be used"),
            Self::NoIndex => {
                f.write_str("the ledger has no index note (run 'vcn-hook ledger index' there)")
            }
            Self::NoteSignature(_) => f.write_str("cannot trust the index note"),
            Self::Note(error) => error.fmt(f),
            Self::Origin { expected, found } => write!(
                f,
                "the index note of another ledger: expected '{expected}', found '{}'",
                found.escape_debug()
            ),
            Self::UnknownRoot { named, latest } => write!(
                f,
                "the index note was made by trust root {named}, and {latest} is the latest that \
                 could be verified, or it is another {named}"
            ),
            Self::Clock { note, now } => write!(
                f,
                "the index note was signed at {note} and it is {now} here: set the clock of \
                 whichever is wrong"
            ),
            Self::RolledBack(rolled_back) => rolled_back.fmt(f),
            Self::Equivocation { log_size } => write!(
                f,
                "two index notes tell two truths about the same {log_size} entries"
            ),
            Self::Checkpoint(_) => f.write_str("cannot trust the checkpoint"),
            Self::ShortLog { note, log } => write!(
                f,
                "the index covers {note} entries and the log's own key stands by {log}"
            ),
            Self::Forked { log_size } => write!(
                f,
                "the ledger's entries do not make the root that was signed for {log_size} of them"
            ),
            Self::LyingIndexer(table) => {
                write!(
                    f,
                    "the indexers signed a {table} that is not what the log amounts to"
                )
            }
            Self::Draft(_) => f.write_str("cannot make the tables"),
            Self::Store(error) => error.fmt(f),
            Self::Disk(path, _) => write!(f, "cannot write '{}'", path.display()),
            Self::Busy => f.write_str("another sync is running"),
            Self::Stopped(_) => f.write_str("stopped between two writes"),
        }
    }
}

impl std::error::Error for SyncError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Bundle(error) => Some(error),
            Self::Roots(error) => error.source(),
            Self::RootExpired(error) => Some(error),
            Self::NoteSignature(error) => Some(error),
            Self::Checkpoint(error) => Some(error),
            Self::Draft(error) => Some(error),
            Self::Disk(_, error) | Self::Stopped(error) => Some(error),
            _ => None,
        }
    }
}
