//! Where an indexer reads and writes: `index/` for everybody, `.state/` for itself.

use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::draft::{Draft, Limit};
use super::error::IndexError;
use super::publish::{Publish, Step};
use crate::allowlist::index_note::{IndexNote, MAX_INDEX_NOTE_SIZE};
use crate::allowlist::note::SignedNote;
use crate::ledger::bundles;
use crate::ledger::claim::Roster;
use crate::ledger::client::Dir;
use crate::ledger::range::CompactRange;
use crate::ledger::roots::{RootVersion, Roots};
use crate::sys::file::{read_capped, replace};

/// The longest compact range: 64 hashes and the size.
const MAX_RANGE: u64 = 8 + 64 * 32;

/// The directories of one ledger that an indexer writes to.
pub(super) struct Place {
    pub(super) index: PathBuf,
    state: PathBuf,
}

impl Place {
    pub(super) fn make(directory: &Path) -> Result<Self, IndexError> {
        use std::os::unix::fs::DirBuilderExt as _;
        let place = Self {
            index: directory.join("index"),
            state: directory.join(".state"),
        };
        for (path, mode) in [(&place.index, 0o755), (&place.state, 0o700)] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(path)
                .map_err(disk(path))?;
        }
        Ok(place)
    }

    pub(super) fn lock(&self) -> Result<Flock<std::fs::File>, IndexError> {
        let path = self.state.join("index.lock");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(disk(&path))?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| IndexError::Disk(path, error.into()))
    }

    pub(super) fn range(&self) -> PathBuf {
        self.state.join("index-range")
    }

    /// What the published note says; `None` when there is none, or none that our trust root knows.
    pub(super) fn published(&self, roots: &Roots) -> Result<Option<IndexNote>, IndexError> {
        let path = self.index.join("note");
        let bytes = match read_capped(&path, MAX_INDEX_NOTE_SIZE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(IndexError::Disk(path, error)),
        };
        // A note that is not ours is replaced as if it were not there: the tables follow from the log.
        let note = SignedNote::parse(&bytes).ok().and_then(|signed| {
            let note = IndexNote::parse(&signed.text).ok()?;
            let version = roots.version(note.root_version)?;
            version.root.indexers.verify(&signed).ok()?;
            (note.origin == version.root.origin).then_some(note)
        });
        Ok(note)
    }

    /// Where to go on: at the published tables if the trust root still means the same by them, else at nothing.
    pub(super) fn start(
        &self,
        ledger: &Dir,
        roots: &Roots,
        before: Option<&IndexNote>,
        size: u64,
    ) -> (Draft, CompactRange) {
        let roster = Roster::of(&roots.latest().root);
        let origin = &roots.latest().root.origin;
        before
            .filter(|note| {
                roots
                    .version(note.root_version)
                    .is_some_and(|old| Roster::of(&old.root).agrees_before(note.log_size, &roster))
            })
            .and_then(|note| {
                let range = self.known_range(ledger, note, size)?;
                // Broken tables are made anew from the log: nothing else depends on them.
                let mut draft = Draft::resume(&self.index, note, roster.clone()).ok()?;
                draft.limit(Limit::Spill);
                Some((draft, range))
            })
            .unwrap_or_else(|| {
                let draft = Draft::empty(&self.index, origin, roster);
                (draft, CompactRange::default())
            })
    }

    /// The hashes of the entries that the published tables cover; `None` if they are not those of the note.
    fn known_range(&self, ledger: &Dir, note: &IndexNote, size: u64) -> Option<CompactRange> {
        let kept = read_capped(&self.range(), MAX_RANGE).ok();
        let mut range = kept
            .and_then(|bytes| CompactRange::from_bytes(&bytes))
            .filter(|range| range.size() <= note.log_size)
            .unwrap_or_default();
        bundles::advance::<IndexError>(ledger, &mut range, note.log_size, size).ok()?;
        (range.root() == note.log_root).then_some(range)
    }

    pub(super) fn sign(
        &self,
        what: &Publish<'_>,
        latest: &RootVersion,
        note: &IndexNote,
        step: Step<'_>,
    ) -> Result<(), IndexError> {
        let text = note.format();
        let mut signed = SignedNote::new(text.clone()).map_err(IndexError::Note)?;
        for indexer in what.indexers {
            let signature = indexer.sign(text.as_bytes()).map_err(IndexError::Key)?;
            signed
                .sign(indexer.verifier(), &signature)
                .map_err(IndexError::Note)?;
        }
        latest
            .root
            .indexers
            .verify(&signed)
            .map_err(IndexError::Note)?;
        step("note")?;
        self.write(&self.index.join("note"), &signed.to_bytes(), 0o644)
    }

    pub(super) fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), IndexError> {
        replace(path, bytes, mode).map_err(disk(path))
    }
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> IndexError {
    let path = path.to_owned();
    move |error| IndexError::Disk(path, error)
}
