//! Entries into tables: the part of a sync that reads the log.
//!
//! Owns what is read from the ledger and what from the node's own copy, and the
//! comparison with what was signed. Installs nothing.

use std::path::Path;

use super::Step;
use super::error::SyncError;
use super::incoming::Incoming;
use super::mirror::Mirror;
use crate::allowlist::index_note::IndexNote;
use crate::ledger::bundles;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::claim::Roster;
use crate::ledger::client::{Dir, TlogRead};
use crate::ledger::follow::{Bundle, Stretch, follow};
use crate::ledger::index::{Draft, DraftError, Limit};
use crate::ledger::range::{CompactRange, leaf_hash};
use crate::ledger::roots::Roots;
use crate::ledger::state::Tally;
use crate::ledger::tiles::{TILE_WIDTH, TileName, parse_bundle};

/// A verified note and checkpoint, and what they are checked against.
pub(super) struct Work<'a> {
    pub(super) ledger: &'a dyn TlogRead,
    pub(super) mirror: &'a Mirror,
    pub(super) roots: &'a Roots,
    pub(super) directory: &'a Path,
    pub(super) note: &'a IndexNote,
    pub(super) checkpoint: &'a Checkpoint,
    /// The installed tables to go on from, if they can be.
    pub(super) installed: Option<&'a IndexNote>,
}

/// Tables that are on disk and are the ones that the note names.
pub(super) struct Made {
    pub(super) draft: Draft,
    /// At the note's log size.
    pub(super) range: CompactRange,
    /// The bundles that were read.
    pub(super) incoming: Incoming,
    pub(super) done: Done,
}

/// What was done for it.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) entries: u64,
    pub(super) replayed: bool,
    pub(super) tally: Tally,
}

/// How far the entries have been read.
struct Progress {
    draft: Draft,
    range: CompactRange,
    /// The range when it was at the note's log size.
    at_note: Option<CompactRange>,
    /// A table that cannot become the signed one. Told only when the entries are known to be the log's.
    lie: Option<&'static str>,
}

impl Work<'_> {
    /// Reads, verifies and folds; then compares the tables' ids with the note's.
    pub(super) fn run(&self, step: Step<'_>) -> Result<Made, SyncError> {
        let roster = Roster::of(&self.judges()?.root);
        let (mut progress, from) = self.start(&roster)?;
        self.reach(&mut progress)?;
        let local = self.read_here(&roster, &mut progress)?;
        let stretch = Stretch {
            roster: &roster,
            from: progress.range.size(),
            until: self.checkpoint.size,
        };
        step("bundles")?;
        let mut incoming = self.mirror.incoming()?;
        let first = stretch.from / u64::from(TILE_WIDTH);
        let known = self.known(&progress.range);
        follow(
            stretch,
            &mut |name| {
                let known = if name.index == first {
                    known.as_slice()
                } else {
                    &[]
                };
                bundles::read(self.ledger, name, known).map_err(SyncError::from)
            },
            &mut |bundle| {
                if !fits(&progress.range, &bundle.older) {
                    // Nobody signed these entries; nor can they be told from the root of the new ones.
                    return Err(SyncError::Forked {
                        log_size: progress.range.size(),
                    });
                }
                incoming.add(bundle.name, &bundle.bytes)?;
                self.consume(&mut progress, &bundle)
            },
        )?;
        if progress.range.root() != self.checkpoint.root {
            return Err(SyncError::Forked {
                log_size: self.checkpoint.size,
            });
        }
        step("delta")?;
        let (mut draft, range) = (progress.draft, progress.at_note);
        let range = range.ok_or(SyncError::Forked {
            log_size: self.note.log_size,
        })?;
        if let Some(table) = progress.lie {
            return Err(SyncError::LyingIndexer(table));
        }
        if draft.base() != Some(self.note.base) {
            return Err(SyncError::LyingIndexer("base"));
        }
        if draft.delta()? != self.note.delta {
            return Err(SyncError::LyingIndexer("delta"));
        }
        let done = Done {
            entries: self.checkpoint.size.saturating_sub(from),
            replayed: from == 0 && (self.note.log_size > 0 || local),
            tally: draft.tally().clone(),
        };
        Ok(Made {
            draft,
            range,
            incoming,
            done,
        })
    }

    /// The trust root by which the note's tables were made.
    fn judges(&self) -> Result<&crate::ledger::roots::RootVersion, SyncError> {
        let named = self.note.root_version;
        self.roots
            .version(named)
            .ok_or_else(|| SyncError::UnknownRoot {
                named,
                latest: self.roots.latest().root.version,
            })
    }

    /// Goes on from the installed tables where the new base allows it, else from nothing.
    fn start(&self, roster: &Roster) -> Result<(Progress, u64), SyncError> {
        let resumed = self.installed.and_then(|old| {
            let onward = old.base == self.note.base || self.note.base.log_size >= old.log_size;
            if !onward {
                return None;
            }
            let range = self.mirror.range(old.log_size, &old.log_root)?;
            // Tables that do not open are made again from the log.
            let draft = Draft::resume(self.directory, old, roster.clone()).ok()?;
            Some((draft, range))
        });
        let (mut draft, range) = resumed.unwrap_or_else(|| {
            let draft = Draft::empty(self.directory, &self.note.origin, roster.clone());
            (draft, CompactRange::default())
        });
        if draft.base() == Some(self.note.base) {
            draft.limit(Limit::Refuse(self.note.delta.records));
        }
        let from = range.size();
        let progress = Progress {
            draft,
            range,
            at_note: None,
            lie: None,
        };
        Ok((progress, from))
    }

    /// The bytes of the entries up to `range` in a bundle that is not full, if what is kept here is them.
    fn known(&self, range: &CompactRange) -> Vec<u8> {
        let width = u64::from(TILE_WIDTH);
        let (first, part) = (range.size() / width, range.size() % width);
        let width = u16::try_from(part).unwrap_or(0);
        let mut bytes = self.mirror.partial(first);
        bytes.truncate(bundles::length(&bytes, width));
        let fit = parse_bundle(&bytes, width).is_ok_and(|entries| {
            let leaves: Vec<_> = entries.into_iter().map(leaf_hash).collect();
            fits(range, &leaves)
        });
        if fit { bytes } else { Vec::new() }
    }

    /// Reads the beginning of the log from the copy here, when there is one and it is the log's.
    ///
    /// Its entries were verified when they came; what has happened to the disk since shows in the root.
    fn read_here(&self, roster: &Roster, progress: &mut Progress) -> Result<bool, SyncError> {
        let size = self.mirror.size().min(self.checkpoint.size);
        let full = size - size % u64::from(TILE_WIDTH);
        if progress.range.size() > 0 || full == 0 {
            return Ok(false);
        }
        let here = self.mirror.log()?;
        if !self.is_log(&here, full) {
            return Ok(false);
        }
        let stretch = Stretch {
            roster,
            from: 0,
            until: full,
        };
        follow(
            stretch,
            &mut |name: TileName| bundles::read(&here, name, &[]).map_err(SyncError::from),
            &mut |bundle| self.consume(progress, &bundle),
        )?;
        Ok(true)
    }

    /// Says whether the full bundles here are a beginning of the log, by the installed note's root or the range's.
    fn is_log(&self, here: &Dir, full: u64) -> bool {
        let size = self.mirror.size();
        let mut range = CompactRange::default();
        let whole = bundles::advance::<SyncError>(here, &mut range, size, size);
        let signed = self.mirror.checkpoint_root(&self.roots.latest().root.log);
        whole.is_ok() && range.size() >= full && signed == Some((range.size(), range.root()))
    }

    fn consume(&self, progress: &mut Progress, bundle: &Bundle) -> Result<(), SyncError> {
        for entry in &bundle.entries {
            progress.range.append(entry.leaf);
            if entry.index < self.note.log_size && progress.lie.is_none() {
                match progress.draft.apply(entry) {
                    Err(DraftError::TooManyChanges) => progress.lie = Some("delta"),
                    applied => applied?,
                }
            }
            self.reach(progress)?;
        }
        Ok(())
    }

    /// Does what is due at the log sizes that the note names.
    fn reach(&self, progress: &mut Progress) -> Result<(), SyncError> {
        let size = progress.range.size();
        let draft = &mut progress.draft;
        let due = size == self.note.base.log_size && draft.base() != Some(self.note.base);
        if due && progress.lie.is_none() {
            if draft.rebase()? != self.note.base {
                progress.lie = Some("base");
            }
            draft.limit(Limit::Refuse(self.note.delta.records));
        }
        if size == self.note.log_size {
            if progress.range.root() != self.note.log_root {
                return Err(SyncError::Forked { log_size: size });
            }
            progress.at_note = Some(progress.range.clone());
        }
        Ok(())
    }
}

/// Says whether `leaves` are the last ones of `range`: those since the last full bundle. None fit anywhere.
fn fits(range: &CompactRange, leaves: &[[u8; 32]]) -> bool {
    let mut again = range.before_part(u64::from(TILE_WIDTH));
    leaves.iter().for_each(|leaf| again.append(*leaf));
    leaves.is_empty() || again == *range
}
