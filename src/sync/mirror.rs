//! What a node keeps of the log: `log/` in the state directory.
//!
//! Owns the bundles that were read (names and dates are looked up there), the
//! compact range that the next sync goes on from, the trust root's versions and
//! the evidence of lies. All of it can be lost or replaced by junk: that costs
//! time, not safety, and the next sync fetches what is missing.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::Step;
use super::error::SyncError;
use super::incoming::Incoming;
use super::judge::disk;
use super::replay::Made;
use crate::allowlist::note::{SignedNote, VerifierKey};
use crate::image::digest::Digest;
use crate::ledger::bundles;
use crate::ledger::checkpoint::{Checkpoint, MAX_CHECKPOINT};
use crate::ledger::client::{Dir, MAX_ROOT_NOTE};
use crate::ledger::range::CompactRange;
use crate::ledger::tiles::{Row, TILE_WIDTH, TileName};
use crate::sys::file::{read_capped, replace, write_new};

/// The longest compact range: 64 hashes and the size.
const MAX_RANGE: u64 = 8 + 64 * 32;

/// The longest etag that is kept, with the source's name and the note's digest.
const MAX_ETAG: u64 = 4096;

/// More pieces of evidence than this only repeat the first ones.
const MAX_EVIDENCE: usize = 32;

/// The node's copy of the log.
#[derive(Debug)]
pub struct Mirror {
    directory: PathBuf,
}

impl Mirror {
    /// Opens the copy in a state directory, or begins one.
    ///
    /// # Errors
    /// [`SyncError::Disk`].
    pub fn open(state_dir: &Path) -> Result<Self, SyncError> {
        let mirror = Self {
            directory: state_dir.join("log"),
        };
        for directory in [state_dir.join("allowlist"), mirror.directory.join("root")] {
            make(&directory)?;
        }
        Ok(mirror)
    }

    pub(super) fn lock(&self) -> Result<File, SyncError> {
        let path = self.directory.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&path)
            .map_err(disk(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => Err(SyncError::Busy),
            Err(std::fs::TryLockError::Error(error)) => Err(SyncError::Disk(path, error)),
        }
    }

    /// The copy as a log that can be read.
    pub(super) fn log(&self) -> Result<Dir, SyncError> {
        Ok(Dir::open(&self.directory)?)
    }

    /// How many entries are here; 0 when it is not known.
    pub(super) fn size(&self) -> u64 {
        let signed = read_capped(&self.directory.join("checkpoint"), MAX_CHECKPOINT).ok();
        signed
            .and_then(|bytes| SignedNote::parse(&bytes).ok())
            .and_then(|note| Checkpoint::parse(&note.text).ok())
            .map_or(0, |checkpoint| checkpoint.size)
    }

    /// Says whether every bundle up to the checkpoint's size is here, and that is at least `size`.
    pub(super) fn has(&self, size: u64) -> bool {
        let here = self.size();
        let is_there = |name: TileName| {
            let path = self.directory.join(name.to_string());
            path.symlink_metadata()
                .is_ok_and(|file| file.is_file() && file.len() > 0)
        };
        here >= size
            && (0..here.div_ceil(u64::from(TILE_WIDTH)))
                .all(|index| TileName::in_tree(Row::Entries, index, here).is_some_and(is_there))
    }

    /// The size and root that the log's key stands by, of what is here.
    pub(super) fn checkpoint_root(&self, log: &VerifierKey) -> Option<(u64, [u8; 32])> {
        let signed = read_capped(&self.directory.join("checkpoint"), MAX_CHECKPOINT).ok()?;
        let checkpoint = Checkpoint::verify(&signed, log).ok()?;
        Some((checkpoint.size, checkpoint.root))
    }

    pub(super) fn root(&self, version: u64) -> Option<Vec<u8>> {
        read_capped(&self.root_path(version), MAX_ROOT_NOTE).ok()
    }

    pub(super) fn write_root(&self, version: u64, note: &[u8]) -> Result<(), SyncError> {
        let path = self.root_path(version);
        replace(&path, note, 0o644).map_err(disk(&path))
    }

    /// The compact range at the size of the installed tables, if it has their root.
    ///
    /// One that was left behind by a stopped sync is brought up from the bundles.
    pub(super) fn range(&self, size: u64, root: &[u8; 32]) -> Option<CompactRange> {
        let log = self.log().ok()?;
        let kept = read_capped(&self.directory.join("range"), MAX_RANGE).ok();
        let kept = kept.and_then(|bytes| CompactRange::from_bytes(&bytes));
        let candidates = [kept, Some(CompactRange::default())];
        candidates.into_iter().flatten().find_map(|mut range| {
            if range.size() > size {
                return None;
            }
            bundles::advance::<SyncError>(&log, &mut range, size, self.size()).ok()?;
            (range.size() == size && range.root() == *root).then_some(range)
        })
    }

    pub(super) fn write_range(&self, range: &CompactRange) -> Result<(), SyncError> {
        let path = self.directory.join("range");
        replace(&path, &range.to_bytes(), 0o644).map_err(disk(&path))
    }

    /// The bytes of the partial bundle `index` that are here.
    pub(super) fn partial(&self, index: u64) -> Vec<u8> {
        TileName::in_tree(Row::Entries, index, self.size())
            .filter(|name| name.is_partial())
            .and_then(|name| read_capped(&self.directory.join(name.to_string()), name.cap()).ok())
            .unwrap_or_default()
    }

    /// Begins to take new bundles, beside those that are here.
    pub(super) fn incoming(&self) -> Result<Incoming, SyncError> {
        Incoming::begin(&self.directory)
    }

    /// Takes over the bundles, then says how far they reach.
    pub(super) fn settle(
        &self,
        made: &Made,
        checkpoint: &[u8],
        step: Step<'_>,
    ) -> Result<(), SyncError> {
        made.incoming.settle(step)?;
        step("checkpoint")?;
        let path = self.directory.join("checkpoint");
        replace(&path, checkpoint, 0o644).map_err(disk(&path))
    }

    /// Removes partial bundles that wider ones have replaced. Best effort.
    pub(super) fn sweep(&self, size: u64) {
        let last = size.saturating_sub(1) / 256;
        for index in [last.saturating_sub(1), last] {
            let Some(name) = TileName::in_tree(Row::Entries, index, size) else {
                continue;
            };
            let full = self.directory.join(name.full().to_string());
            let partials = PathBuf::from(format!("{}.p", full.display()));
            let kept = self.directory.join(name.to_string());
            let Ok(files) = std::fs::read_dir(&partials) else {
                continue;
            };
            for file in files.flatten().filter(|file| file.path() != kept) {
                let _ = std::fs::remove_file(file.path());
            }
            let _ = std::fs::remove_dir(&partials);
        }
    }

    /// What to ask the ledger at `place` by, if the note it stands for is the installed one.
    pub(super) fn etag(&self, place: &str, installed: Option<&[u8]>) -> Option<String> {
        let bytes = read_capped(&self.directory.join("etag"), MAX_ETAG).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        let same = lines.next()? == place && lines.next()? == Digest::of(installed?).hex();
        same.then(|| lines.next().map(str::to_owned)).flatten()
    }

    pub(super) fn write_etag(
        &self,
        place: &str,
        note: &[u8],
        etag: Option<&str>,
    ) -> Result<(), SyncError> {
        let path = self.directory.join("etag");
        let line = |text: &str| !text.contains(['\n', '\r']) && text.len() < 1024;
        let Some(etag) = etag.filter(|etag| line(etag) && line(place)) else {
            // Without one the next sync asks for the whole note.
            let _ = std::fs::remove_file(&path);
            return Ok(());
        };
        let text = format!("{place}\n{}\n{etag}\n", Digest::of(note).hex());
        replace(&path, text.as_bytes(), 0o644).map_err(disk(&path))
    }

    /// Keeps what shows a lie, beside what it contradicts, and hands the error on.
    pub(super) fn keep_evidence(&self, error: SyncError, now: u64, said: &[&[u8]]) -> SyncError {
        let directory = self.directory.join("evidence");
        let full = std::fs::read_dir(&directory).is_ok_and(|files| files.count() >= MAX_EVIDENCE);
        if error.is_evidence() && !full && make(&directory).is_ok() {
            let installed = self.directory.with_file_name("allowlist").join("note");
            let installed = read_capped(&installed, MAX_CHECKPOINT).unwrap_or_default();
            for bytes in said.iter().copied().chain([installed.as_slice()]) {
                let name = format!("{now}-{}", Digest::of(bytes).hex());
                // Best effort: the error is what matters, and the same lie may be told twice.
                let _ = write_new(&directory.join(name), bytes, 0o644);
            }
        }
        error
    }

    fn root_path(&self, version: u64) -> PathBuf {
        self.directory.join(format!("root/{version}.note"))
    }
}

pub(super) fn make(directory: &Path) -> Result<(), SyncError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)
        .map_err(disk(directory))
}
