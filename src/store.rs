//! The allowlist on disk: opening it for a decision, and putting a new one in its place.
//!
//! Owns the state directory's `allowlist/` and `high-water` (docs/formats.md,
//! "Table", says what is in them). Reads with `pread` and never maps a file, so
//! that one cut short is an error and not a signal. Whether a note is too old
//! is `policy`'s to say; where a new one comes from, `sync`'s.

mod high_water;
mod install;
mod verified;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::allowlist::index_note::{IndexNote, MAX_INDEX_NOTE_SIZE, TableRef};
use crate::allowlist::lookup::Allowlist;
use crate::allowlist::note::{SignedNote, VerifierKey};
use crate::allowlist::page::{PageBytes, PageError, Pages};
use crate::allowlist::table::TableError;
use crate::sys::file;

pub use high_water::{HighWater, RolledBack};
pub use install::TableWriter;

/// A state directory.
#[derive(Debug, Clone)]
pub struct Store {
    state: PathBuf,
    roots: bool,
    /// The name of the note.
    note: &'static str,
    /// Root's file that remembers which note was verified last.
    verified: Option<PathBuf>,
}

/// The name of the note of before the tables were replaced last.
const PREVIOUS: &str = "previous";

/// A table's file, read page by page.
#[derive(Debug)]
pub struct TableFile(File);

/// Why the allowlist cannot be used or replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// There is none: the note, or a table that it names, is not there.
    Missing {
        /// What is not there.
        path: PathBuf,
    },
    /// Its bytes are not what the indexers signed for this ledger.
    Tampered {
        /// Which file.
        path: PathBuf,
        /// How it shows.
        what: String,
    },
    /// It is older than one that this node has seen.
    RolledBack(RolledBack),
    /// It is there and cannot be read.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The new one cannot be written; the old one is untouched.
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
}

impl Store {
    /// The store of a node, whose high-water mark must be root's alone.
    pub fn new(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            roots: true,
            note: "note",
            verified: None,
        }
    }

    /// The store of somebody who is not root, in a directory of their own.
    pub fn of_user(state: impl Into<PathBuf>) -> Self {
        Self {
            state: state.into(),
            roots: false,
            note: "note",
            verified: None,
        }
    }

    /// Lets this store remember in `run_dir`, which must be root's, which note was verified last.
    #[must_use]
    pub fn remembering(mut self, run_dir: &Path) -> Self {
        self.verified = Some(run_dir.join("verified"));
        self
    }

    /// The same store as it was before the tables were replaced last.
    #[must_use]
    pub const fn of_before(mut self) -> Self {
        self.note = PREVIOUS;
        self
    }

    /// Opens the allowlist of the ledger `origin`, signed by at least `threshold` of `indexers`.
    ///
    /// The high-water mark is not looked at; see [`Store::check_high_water`].
    ///
    /// # Errors
    /// [`StoreError`] `Missing`, `Tampered` or `Unreadable`.
    pub fn open(
        &self,
        indexers: &[VerifierKey],
        threshold: usize,
        origin: &str,
    ) -> Result<Allowlist<TableFile>, StoreError> {
        match self.open_once(indexers, threshold, origin) {
            // A new allowlist came between reading the note and opening what it named.
            Err(StoreError::Missing { path }) if path != self.note_path() => {
                self.open_once(indexers, threshold, origin)
            }
            opened => opened,
        }
    }

    /// Reads and verifies the note alone.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn note(
        &self,
        indexers: &[VerifierKey],
        threshold: usize,
        origin: &str,
    ) -> Result<IndexNote, StoreError> {
        let path = self.note_path();
        let bytes =
            file::read_capped(&path, MAX_INDEX_NOTE_SIZE).map_err(|e| cannot_read(&path, &e))?;
        let tampered = |what| StoreError::Tampered { path, what };
        let Some(memory) = &self.verified else {
            return verify_note(&bytes, indexers, threshold, origin).map_err(tampered);
        };
        let name = verified::name(&bytes, indexers, threshold, origin);
        if verified::is_remembered(memory, &name) {
            return parse_note(&bytes, origin)
                .map(|(_, note)| note)
                .map_err(tampered);
        }
        let note = verify_note(&bytes, indexers, threshold, origin).map_err(tampered)?;
        verified::remember(memory, &name);
        Ok(note)
    }

    fn open_once(
        &self,
        indexers: &[VerifierKey],
        threshold: usize,
        origin: &str,
    ) -> Result<Allowlist<TableFile>, StoreError> {
        let note = self.note(indexers, threshold, origin)?;
        let delta = self.open_table(&note.delta)?;
        let base = self.open_table(&note.base)?;
        let directory = self.allowlist();
        Allowlist::open(note, base, delta).map_err(|error| cannot_use(&directory, error))
    }

    /// Opens the file of a table, without looking into it.
    ///
    /// # Errors
    /// [`StoreError`] `Missing` or `Unreadable`.
    pub fn open_table(&self, table: &TableRef) -> Result<TableFile, StoreError> {
        let path = self.table_path(table);
        match file::open_regular(&path) {
            Ok(file) => Ok(TableFile(file)),
            Err(error) => Err(cannot_read(&path, &error)),
        }
    }

    fn allowlist(&self) -> PathBuf {
        self.state.join("allowlist")
    }

    fn note_path(&self) -> PathBuf {
        self.allowlist().join(self.note)
    }

    fn previous_path(&self) -> PathBuf {
        self.allowlist().join(PREVIOUS)
    }

    fn table_path(&self, table: &TableRef) -> PathBuf {
        self.state.join(format!("allowlist/{}.idx", table.id.hex()))
    }
}

/// Verifies the bytes of an index note: enough indexers, and of this ledger.
///
/// # Errors
/// What is wrong with it, in words.
pub fn verify_note(
    bytes: &[u8],
    indexers: &[VerifierKey],
    threshold: usize,
    origin: &str,
) -> Result<IndexNote, String> {
    let (signed, note) = parse_note(bytes, origin)?;
    signed
        .verify(indexers, threshold)
        .map_err(|error| error.to_string())?;
    Ok(note)
}

/// Parses the bytes of an index note of this ledger, whoever signed it.
fn parse_note(bytes: &[u8], origin: &str) -> Result<(SignedNote, IndexNote), String> {
    let signed = SignedNote::parse(bytes).map_err(|error| error.to_string())?;
    let note = IndexNote::parse(&signed.text).map_err(|error| error.to_string())?;
    if note.origin != origin {
        return Err(format!(
            "an index note of another ledger: expected '{origin}', found '{}'",
            note.origin.escape_debug()
        ));
    }
    Ok((signed, note))
}

/// Says what a [`TableError`] of the allowlist under `path` means for the store.
#[must_use]
pub fn cannot_use(path: &Path, error: TableError) -> StoreError {
    let path = path.to_owned();
    match error {
        TableError::Unreadable { why, .. } => StoreError::Unreadable { path, why },
        TableError::Tampered { .. } => StoreError::Tampered {
            path,
            what: error.to_string(),
        },
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> StoreError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::Missing { path },
        _ => StoreError::Unreadable {
            path,
            why: error.to_string(),
        },
    }
}

impl TableFile {
    /// Takes an open table that is not in a store, such as one that a ledger serves.
    #[must_use]
    pub const fn new(file: File) -> Self {
        Self(file)
    }
}

impl Pages for TableFile {
    fn read_page(&self, offset: u64, page: &mut PageBytes) -> Result<(), PageError> {
        read_page(&self.0, offset, page)
    }
}

fn read_page(file: &File, offset: u64, page: &mut PageBytes) -> Result<(), PageError> {
    file.read_exact_at(page, offset)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => PageError::Truncated,
            _ => PageError::Failed(error.to_string()),
        })
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(f, "there is no '{}'", path.display()),
            Self::Tampered { path, what } => {
                write!(f, "cannot trust '{}': {what}", path.display())
            }
            Self::RolledBack(rolled_back) => rolled_back.fmt(f),
            Self::Unreadable { path, why } => write!(f, "cannot read '{}': {why}", path.display()),
            Self::Unwritable { path, why } => write!(f, "cannot write '{}': {why}", path.display()),
        }
    }
}

impl std::error::Error for StoreError {}

#[cfg(test)]
mod tests;
