//! An allowlist in the making: a base on disk, and over it what changed since, in memory.
//!
//! Owns how entries become tables in bounded memory. The indexer and every
//! node make their tables here, and so find the same ids. Which entries and
//! which note is `publish`'s and `sync`'s.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::merge::{by_signer, overlay};
use super::pages::PageFile;
use crate::allowlist::build::{BuildError, Builder};
use crate::allowlist::index_note::{IndexNote, TableRef};
use crate::allowlist::record::{Key, Record};
use crate::allowlist::table::{Table, TableError, TableKind};
use crate::image::digest::Digest;
use crate::ledger::claim::Roster;
use crate::ledger::follow::Entry;
use crate::ledger::state::{Fold, Ignored, Older, Tally};
use crate::sys::file::{open_regular, sync_directory, temporary_beside};

/// Changed records held in memory, about 50 MB, before a long replay puts them on disk.
const SPILL: u64 = 1 << 18;

/// The state of the log at [`Draft::size`], as tables can be made of it.
#[derive(Debug)]
pub struct Draft {
    directory: PathBuf,
    origin: String,
    roster: Roster,
    base: Option<Base>,
    fold: Fold,
    size: u64,
    limit: Limit,
    made: Made,
}

/// Tables that no note names yet: removed when a draft comes to nothing.
#[derive(Debug, Default)]
struct Made(Vec<PathBuf>);

#[derive(Debug)]
struct Base {
    at: TableRef,
    table: Table<PageFile>,
}

/// What happens when very much has changed since the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The base is going to be replaced: make one in between.
    Spill,
    /// The base stays, and the delta is known to have no more records than this.
    Refuse(u64),
}

/// Why tables could not be made.
#[derive(Debug)]
pub enum DraftError {
    /// The old table cannot be read.
    Table(TableError),
    /// The new table cannot be written.
    Build(BuildError),
    /// A file cannot be made.
    Disk(PathBuf, io::Error),
    /// More has changed than the delta is said to hold.
    TooManyChanges,
}

impl Draft {
    /// Starts from nothing: the state of an empty log.
    #[must_use]
    pub fn empty(directory: &Path, origin: &str, roster: Roster) -> Self {
        Self {
            directory: directory.to_owned(),
            origin: origin.to_owned(),
            roster,
            base: None,
            fold: Fold::default(),
            size: 0,
            limit: Limit::Spill,
            made: Made::default(),
        }
    }

    /// Goes on from the tables of a note, which lie in `directory`.
    ///
    /// # Errors
    /// [`DraftError`] when one of them is missing or broken.
    pub fn resume(directory: &Path, note: &IndexNote, roster: Roster) -> Result<Self, DraftError> {
        let base = open(directory, &note.base, TableKind::Base, &note.origin)?;
        let delta = open(directory, &note.delta, TableKind::Delta, &note.origin)?;
        let changed: Result<Vec<_>, _> = delta
            .records()
            .map(|record| record.map(|record| (roster.organisation(record.signer), record)))
            .collect();
        Ok(Self {
            fold: Fold::from_changed(changed?),
            base: Some(Base {
                at: note.base,
                table: base,
            }),
            size: note.log_size,
            ..Self::empty(directory, &note.origin, roster)
        })
    }

    /// Says what to do when very much changes from here on.
    pub const fn limit(&mut self, limit: Limit) {
        self.limit = limit;
    }

    /// How many entries are covered.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The base, once there is one.
    #[must_use]
    pub fn base(&self) -> Option<TableRef> {
        self.base.as_ref().map(|base| base.at)
    }

    /// How many records have changed since the base.
    #[must_use]
    pub fn changed(&self) -> u64 {
        self.fold.len() as u64
    }

    /// What was applied and ignored since the draft was begun.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        self.fold.tally()
    }

    /// Applies the next entry of the log.
    ///
    /// # Errors
    /// [`DraftError`]; the draft is of no use after that.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), DraftError> {
        // What was ignored, and why, is in the tally.
        let _ = self.fold(entry)?;
        self.size = entry.index.saturating_add(1);
        self.keep_within()
    }

    /// Applies what could become the next entry of the log; if it would be ignored, it never becomes one.
    ///
    /// # Errors
    /// As [`Draft::apply`].
    pub fn try_next(&mut self, entry: &Entry) -> Result<Result<(), Ignored>, DraftError> {
        let outcome = self.fold(entry)?;
        if outcome.is_ok() {
            self.size = entry.index.saturating_add(1);
            self.keep_within()?;
        }
        Ok(outcome)
    }

    fn fold(&mut self, entry: &Entry) -> Result<Result<(), Ignored>, DraftError> {
        let older = Before {
            base: self.base.as_ref(),
            roster: &self.roster,
        };
        let claim = entry.claim.as_ref().map_err(|ignored| *ignored);
        Ok(self.fold.apply(entry.index, claim, &older)?)
    }

    fn keep_within(&mut self) -> Result<(), DraftError> {
        match self.limit {
            Limit::Refuse(most) if self.changed() > most => Err(DraftError::TooManyChanges),
            Limit::Spill if self.changed() > self.spill() => self.rebase().map(drop),
            Limit::Refuse(_) | Limit::Spill => Ok(()),
        }
    }

    /// Makes a base of everything up to here; the delta is empty after that.
    ///
    /// # Errors
    /// [`DraftError`].
    pub fn rebase(&mut self) -> Result<TableRef, DraftError> {
        let older = self.base.take();
        let below = older.iter().flat_map(|base| base.table.records());
        let changed = by_signer(self.fold.changed());
        let (at, made) = self.write(TableKind::Base, overlay(below, changed))?;
        self.made.0.extend(made);
        let table = open(&self.directory, &at, TableKind::Base, &self.origin)?;
        if let Some(older) = older.filter(|older| older.at.id != at.id) {
            self.made.remove(&table_path(&self.directory, &older.at.id));
        }
        self.fold.settle();
        self.base = Some(Base { at, table });
        Ok(at)
    }

    /// Writes what changed since the base.
    ///
    /// # Errors
    /// [`DraftError`].
    pub fn delta(&mut self) -> Result<TableRef, DraftError> {
        let changed = by_signer(self.fold.changed()).map(Ok);
        let (delta, made) = self.write(TableKind::Delta, changed)?;
        self.made.0.extend(made);
        Ok(delta)
    }

    /// Leaves the tables where they are: a note is about to name them.
    pub fn keep(mut self) {
        self.made.0.clear();
    }

    fn spill(&self) -> u64 {
        let base = self.base.as_ref().map_or(0, |base| base.at.records);
        SPILL.max(base / 64)
    }

    /// Writes a table, durably, under its own id. Returns the path if no such file was there before.
    fn write(
        &self,
        kind: TableKind,
        records: impl Iterator<Item = Result<Record, TableError>>,
    ) -> Result<(TableRef, Option<PathBuf>), DraftError> {
        let name = self.directory.join("table");
        let temporary = temporary_beside(&name).map_err(disk(&name))?;
        let built = self.build(&temporary, kind, records).and_then(|table| {
            let path = table_path(&self.directory, &table.id);
            let made = (!path.exists()).then(|| path.clone());
            std::fs::rename(&temporary, &path).map_err(disk(&path))?;
            sync_directory(&self.directory).map_err(disk(&self.directory))?;
            Ok((table, made))
        });
        if built.is_err() {
            // Best effort: the error that matters is the first one, and old temporaries are swept.
            let _ = std::fs::remove_file(&temporary);
        }
        built
    }

    fn build(
        &self,
        path: &Path,
        kind: TableKind,
        records: impl Iterator<Item = Result<Record, TableError>>,
    ) -> Result<TableRef, DraftError> {
        // A process of the same id may have left one behind.
        let _ = std::fs::remove_file(path);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)
            .map_err(disk(path))?;
        let sink = PageFile(file.try_clone().map_err(disk(path))?);
        let mut builder = Builder::new(sink, kind, &self.origin, self.size);
        for record in records {
            builder.push(&record?).map_err(DraftError::Build)?;
        }
        let table = builder.finish().map_err(DraftError::Build)?;
        file.sync_all().map_err(disk(path))?;
        Ok(table)
    }
}

impl Made {
    /// Removes a table, unless somebody else had made it.
    fn remove(&mut self, path: &Path) {
        if let Some(at) = self.0.iter().position(|made| made == path) {
            self.0.swap_remove(at);
            // Best effort: unnamed tables are swept later.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            // Best effort: unnamed tables are swept later.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What the base says of a key.
struct Before<'a> {
    base: Option<&'a Base>,
    roster: &'a Roster,
}

impl Older for Before<'_> {
    type Error = TableError;

    fn records(&self, key: &Key) -> Result<Vec<Record>, TableError> {
        self.base
            .map_or(Ok(Vec::new()), |base| base.table.lookup(key))
    }

    fn organisation(&self, record: &Record) -> u16 {
        self.roster.organisation(record.signer)
    }
}

/// Where the table of this id lies.
#[must_use]
pub fn table_path(directory: &Path, id: &Digest) -> PathBuf {
    directory.join(format!("{}.idx", id.hex()))
}

fn open(
    directory: &Path,
    at: &TableRef,
    kind: TableKind,
    origin: &str,
) -> Result<Table<PageFile>, DraftError> {
    let path = table_path(directory, &at.id);
    let file = open_regular(&path).map_err(disk(&path))?;
    Ok(Table::open(PageFile(file), &at.id, kind, origin)?)
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> DraftError {
    let path = path.to_owned();
    move |error| DraftError::Disk(path, error)
}

impl From<TableError> for DraftError {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl fmt::Display for DraftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(_) => f.write_str("cannot read the table so far"),
            Self::Build(_) => f.write_str("cannot write a table"),
            Self::Disk(path, _) => write!(f, "cannot use '{}'", path.display()),
            Self::TooManyChanges => f.write_str("more has changed than the delta is said to hold"),
        }
    }
}

impl std::error::Error for DraftError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Table(error) => Some(error),
            Self::Build(error) => Some(error),
            Self::Disk(_, error) => Some(error),
            Self::TooManyChanges => None,
        }
    }
}
