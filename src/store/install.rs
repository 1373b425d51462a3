//! Putting a new allowlist in the old one's place.
//!
//! Owns the order of writes: tables first, each complete, on disk and under its
//! final name; the note last. Until then the old note names old, complete
//! tables, so that a killed `sync`, a power cut or a full disk changes nothing.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::allowlist::index_note::{IndexNote, MAX_INDEX_NOTE_SIZE, TableRef};
use crate::allowlist::note::SignedNote;
use crate::allowlist::page::{self, Entry, PAGE_SIZE, PageBytes, PageError, PageSink, Pages};
use crate::allowlist::table::{Table, TableKind};
use crate::sys::cores::on_all_cores;
use crate::sys::file;

use super::{Store, StoreError, TableFile, cannot_use, read_page};

/// How long what no note names is kept: a start that read the old note still opens its tables.
const GRACE: u64 = 600;
/// How long an unfinished download may wait to be resumed.
const PARTIAL_GRACE: u64 = 24 * 3600;

/// Fewer pages than this are hashed by the thread that wants them.
const FEW: u64 = 256;

/// A table that is being written, not yet visible under its name.
#[derive(Debug)]
pub struct TableWriter {
    file: File,
    path: PathBuf,
    keep: bool,
}

impl Store {
    /// Begins a table and sets `size` bytes aside for it, so that a full disk shows now.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`].
    pub fn create_table(&self, size: u64) -> Result<TableWriter, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".table.{}.{number}.tmp", std::process::id());
        self.writer(&name, size, OpenOptions::new().create_new(true), false)
    }

    /// Begins or resumes the download of a table; what is there already is kept and must be verified.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`].
    pub fn resume_table(&self, table: &TableRef, size: u64) -> Result<TableWriter, StoreError> {
        let name = format!(".{}.part", table.id.hex());
        self.writer(
            &name,
            size,
            OpenOptions::new().create(true).truncate(false),
            true,
        )
    }

    /// Says whether the table is there already, under its final name.
    #[must_use]
    pub fn has_table(&self, table: &TableRef) -> bool {
        self.open_table(table).is_ok()
    }

    /// Gives a written table its name, once it is complete and on disk.
    ///
    /// Its header is verified here; every page only where `verify` asks for it, as it must be for
    /// a table that was downloaded and need not be for one that was just built.
    ///
    /// # Errors
    /// [`StoreError`] `Tampered` when it is not the table that `table` names, `Unwritable`.
    pub fn install_table(
        &self,
        mut writer: TableWriter,
        table: &TableRef,
        kind: TableKind,
        origin: &str,
        verify: bool,
    ) -> Result<(), StoreError> {
        let path = writer.path.clone();
        let opened = Table::open(&writer, &table.id, kind, origin);
        let checked = opened.and_then(|opened| {
            if verify {
                opened.verify()?;
            }
            Ok(opened.size())
        });
        let size = checked.map_err(|error| {
            // What was verified and is wrong is not worth resuming.
            writer.keep = false;
            cannot_use(&path, error)
        });
        let size = size?;
        let target = self.table_path(table);
        writer
            .file
            .set_len(size)
            .and_then(|()| writer.file.sync_all())
            .and_then(|()| std::fs::rename(&path, &target))
            .map_err(|error| cannot_write(&target, &error))?;
        writer.keep = true;
        Ok(())
    }

    /// Replaces the note, when the tables that it names are all there. The old one stays as `previous`.
    ///
    /// Who signed it must have been verified; see [`super::verify_note`].
    ///
    /// # Errors
    /// [`StoreError`] `Tampered` for what is no index note, `Missing` for a table, `Unwritable`.
    pub fn install_note(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.note_path();
        let note = parse(bytes).ok_or_else(|| StoreError::Tampered {
            path: path.clone(),
            what: "not an index note".into(),
        })?;
        self.open_table(&note.delta)?;
        self.open_table(&note.base)?;
        self.keep_previous(&note)?;
        // The tables' names must be on disk before a note that needs them.
        let directory = self.allowlist();
        file::sync_directory(&directory).map_err(|error| cannot_write(&directory, &error))?;
        file::replace(&path, bytes, 0o644).map_err(|error| cannot_write(&path, &error))
    }

    /// Removes tables that neither the note nor the previous one names, and what was left unfinished.
    ///
    /// # Errors
    /// [`StoreError`] `Unreadable` or `Unwritable`; what cannot be removed stays for the next time.
    pub fn collect_garbage(&self, now: u64) -> Result<usize, StoreError> {
        let directory = self.allowlist();
        let unreadable = |error: io::Error| StoreError::Unreadable {
            path: directory.clone(),
            why: error.to_string(),
        };
        let named: Vec<PathBuf> = [self.note_path(), self.previous_path()]
            .iter()
            .filter_map(|path| parse(&file::read_capped(path, MAX_INDEX_NOTE_SIZE).ok()?))
            .flat_map(|note| [self.table_path(&note.base), self.table_path(&note.delta)])
            .collect();
        let mut removed = 0;
        for entry in std::fs::read_dir(&directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let Some(grace) = grace(&path) else { continue };
            // What vanished in between was collected by somebody else.
            let Ok(metadata) = std::fs::symlink_metadata(&path) else {
                continue;
            };
            let age = now.saturating_sub(u64::try_from(metadata.mtime()).unwrap_or(0));
            if age > grace && !named.contains(&path) {
                std::fs::remove_file(&path).map_err(|error| cannot_write(&path, &error))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn keep_previous(&self, new: &IndexNote) -> Result<(), StoreError> {
        let Ok(bytes) = file::read_capped(&self.note_path(), MAX_INDEX_NOTE_SIZE) else {
            return Ok(());
        };
        let ids = |note: &IndexNote| (note.base.id, note.delta.id);
        // A note that was only signed again needs no other tables than the one before.
        if parse(&bytes).is_none_or(|old| ids(&old) == ids(new)) {
            return Ok(());
        }
        let path = self.previous_path();
        file::replace(&path, &bytes, 0o644).map_err(|error| cannot_write(&path, &error))
    }

    fn writer(
        &self,
        name: &str,
        size: u64,
        options: &mut OpenOptions,
        keep: bool,
    ) -> Result<TableWriter, StoreError> {
        let directory = self.allowlist();
        let path = directory.join(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&directory)
            .map_err(|error| cannot_write(&directory, &error))?;
        let file = options
            .read(true)
            .write(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&path)
            .map_err(|error| cannot_write(&path, &error))?;
        let writer = TableWriter { file, path, keep };
        reserve(&writer.file, size).map_err(|error| cannot_write(&writer.path, &error))?;
        Ok(writer)
    }
}

impl TableWriter {
    /// Writes downloaded bytes where they belong.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// How many bytes have been written, counted from the beginning of the file.
    ///
    /// # Errors
    /// The operating system's.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

impl Pages for TableWriter {
    fn read_page(&self, offset: u64, page: &mut PageBytes) -> Result<(), PageError> {
        read_page(&self.file, offset, page)
    }
}

impl PageSink for TableWriter {
    fn write_page(&mut self, offset: u64, page: &PageBytes) -> Result<(), PageError> {
        self.write_at(page, offset)
            .map_err(|error| PageError::Failed(error.to_string()))
    }

    fn entries(&self, offset: u64, count: u64) -> Result<Vec<Entry>, PageError> {
        on_all_cores(count, FEW, |part| {
            let start = offset + part.start * PAGE_SIZE as u64;
            page::entries(self, start, part.end - part.start)
        })
    }
}

impl Drop for TableWriter {
    fn drop(&mut self) {
        if !self.keep {
            // Best effort: what stays is collected as garbage later.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl TableFile {
    /// The length of the file.
    ///
    /// # Errors
    /// The operating system's.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// Sets space aside without changing the file's length.
fn reserve(file: &File, size: u64) -> io::Result<()> {
    let size = i64::try_from(size).map_err(|_| io::ErrorKind::FileTooLarge)?;
    if size == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, size) {
        // Not every file system can; then a full disk shows later, and as harmlessly.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn parse(bytes: &[u8]) -> Option<IndexNote> {
    IndexNote::parse(&SignedNote::parse(bytes).ok()?.text).ok()
}

/// How long a file of this name is kept when nothing names it; `None` for what is not ours to remove.
fn grace(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    match path.extension()?.to_str()? {
        "idx" => Some(GRACE),
        "tmp" if name.starts_with('.') => Some(GRACE),
        "part" if name.starts_with('.') => Some(PARTIAL_GRACE),
        _ => None,
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unwritable {
        path: path.to_owned(),
        why: error.to_string(),
    }
}
