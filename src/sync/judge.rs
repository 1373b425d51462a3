//! What a node asks of a note and a checkpoint before it reads a single entry.

use std::io;

use crate::allowlist::index_note::IndexNote;
use crate::allowlist::note::SignedNote;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::claim::Roster;
use crate::ledger::roots::{RootVersion, Roots};
use crate::store::{HighWater, Store};
use crate::sync::error::SyncError;

/// How far the indexer's clock may be ahead of ours, in seconds.
const MAX_SKEW: u64 = 600;

/// Verifies an index note: enough of the latest indexers, this ledger, a trust root that is known, a clock like ours.
pub(super) fn note(bytes: &[u8], roots: &Roots, now: u64) -> Result<IndexNote, SyncError> {
    let latest = &roots.latest().root;
    let signed = SignedNote::parse(bytes).map_err(SyncError::NoteSignature)?;
    latest
        .indexers
        .verify(&signed)
        .map_err(SyncError::NoteSignature)?;
    let note = IndexNote::parse(&signed.text).map_err(SyncError::Note)?;
    if note.origin != latest.origin {
        return Err(SyncError::Origin {
            expected: latest.origin.clone(),
            found: note.origin,
        });
    }
    let named = roots.version(note.root_version);
    if named.is_none_or(|version| version.digest != note.root_digest) {
        return Err(SyncError::UnknownRoot {
            named: note.root_version,
            latest: latest.version,
        });
    }
    if note.time > now.saturating_add(MAX_SKEW) {
        return Err(SyncError::Clock {
            note: note.time,
            now,
        });
    }
    Ok(note)
}

/// Refuses what is older than the installed note or than root's mark.
///
/// The mark stands even where the installed note is lost; it goes back only by root's hand.
pub(super) fn succession(
    note: &IndexNote,
    installed: Option<&IndexNote>,
    store: &Store,
) -> Result<(), SyncError> {
    let seen = installed.map(HighWater::of).unwrap_or_default();
    if let Some(rolled_back) = seen.rolled_back(note) {
        return Err(SyncError::RolledBack(rolled_back));
    }
    match store.check_high_water(note) {
        Err(crate::store::StoreError::RolledBack(rolled_back)) => {
            Err(SyncError::RolledBack(rolled_back))
        }
        checked => checked.map_err(SyncError::from),
    }
}

/// Refuses a second truth about the same entries under the same trust root.
pub(super) fn equivocation(
    note: &IndexNote,
    installed: Option<&IndexNote>,
) -> Result<(), SyncError> {
    let told = installed.filter(|old| {
        (old.log_size, old.root_version) == (note.log_size, note.root_version)
            && (old.log_root, old.base, old.delta) != (note.log_root, note.base, note.delta)
    });
    told.map_or(Ok(()), |old| {
        Err(SyncError::Equivocation {
            log_size: old.log_size,
        })
    })
}

/// Verifies a checkpoint: the log's key, and at least as many entries as the note covers.
pub(super) fn checkpoint(
    bytes: &[u8],
    note: &IndexNote,
    latest: &RootVersion,
) -> Result<Checkpoint, SyncError> {
    let checkpoint = Checkpoint::verify(bytes, &latest.root.log).map_err(SyncError::Checkpoint)?;
    if checkpoint.size < note.log_size {
        return Err(SyncError::ShortLog {
            note: note.log_size,
            log: checkpoint.size,
        });
    }
    Ok(checkpoint)
}

/// Says whether the installed tables open and still mean the same under the latest trust root.
pub(super) fn is_usable(store: &Store, roots: &Roots, installed: &IndexNote) -> bool {
    let latest = &roots.latest().root;
    let agrees = roots.version(installed.root_version).is_some_and(|old| {
        Roster::of(&old.root).agrees_before(installed.log_size, &Roster::of(latest))
    });
    let keys = &latest.indexers;
    agrees
        && store
            .open(&keys.keys, keys.threshold, &latest.origin)
            .is_ok()
}

/// Makes an error of the operating system ours.
pub(super) fn disk(path: &std::path::Path) -> impl FnOnce(io::Error) -> SyncError {
    let path = path.to_owned();
    move |error| SyncError::Disk(path, error)
}
