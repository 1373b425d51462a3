//! The indexer: makes the tables, signs the note that names them, and renews it.
//!
//! Owns the order of writes (tables, note, what the next run starts from) and
//! the rule by which a base is made anew. Holds no key: signers are handed in.

use std::fmt;
use std::io;
use std::path::Path;

use super::draft::Draft;
use super::error::IndexError;
use super::place::Place;
use super::sweep::sweep;
use crate::allowlist::index_note::{IndexNote, TableRef};
use crate::ledger::bundles;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::claim::Roster;
use crate::ledger::client::{self, Dir, Fresh};
use crate::ledger::follow::{Stretch, follow};
use crate::ledger::roots::{RootVersion, Roots};
use crate::ledger::state::Tally;
use crate::trust::keys::Signer;

/// A delta of so many records is always small enough.
const DELTA_FLOOR: u64 = 4096;

/// A base is made anew when the delta has more than this part of its records.
const DELTA_PART: u64 = 100;

/// What to index, and who signs.
#[derive(Clone, Copy)]
pub struct Publish<'a> {
    /// The ledger: its public directory.
    pub directory: &'a Path,
    /// The keys that sign the note, as many as the trust root asks for.
    pub indexers: &'a [&'a dyn Signer],
    /// For how many seconds a note is good.
    pub validity: u64,
    /// Sign again although the published note says the same and is still good for long.
    pub force: bool,
}

impl fmt::Debug for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Signers say nothing of themselves.
        f.debug_struct("Publish")
            .field("directory", &self.directory)
            .field("validity", &self.validity)
            .field("force", &self.force)
            .finish_non_exhaustive()
    }
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// What the note says now.
    pub note: IndexNote,
    /// What was done for it.
    pub outcome: Outcome,
    /// What the entries since the last index did.
    pub tally: Tally,
}

/// How the published note came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It stays as it was.
    Unchanged,
    /// It says the same as before, and longer.
    Renewed,
    /// It names a new delta.
    Delta,
    /// It names a new base.
    Base,
}

/// Told the name of each durable write before it happens; an error stops there, as a power cut would.
pub type Step<'a> = &'a mut dyn FnMut(&'static str) -> io::Result<()>;

/// Brings `index/` up to the log's checkpoint and the latest trust root, and signs.
///
/// Whatever stops it, the note that is there names complete tables, and the next run goes on.
///
/// # Errors
/// [`IndexError`]; the published note is then what it was.
pub fn publish(what: &Publish<'_>, now: u64) -> Result<Published, IndexError> {
    publish_stepwise(what, now, &mut |_| Ok(()))
}

/// As [`publish`], telling `step` of each write: how tests stop it between any two.
///
/// # Errors
/// [`IndexError`].
pub fn publish_stepwise(
    what: &Publish<'_>,
    now: u64,
    step: Step<'_>,
) -> Result<Published, IndexError> {
    let state = Place::make(what.directory)?;
    let _lock = state.lock()?;
    let ledger = Dir::open(what.directory)?;
    let roots = roots(&ledger)?;
    let latest = roots.latest();
    latest.root.check_expiry(now).map_err(IndexError::Expired)?;
    let before = state.published(&roots)?;
    let checkpoint = checkpoint(&ledger, latest)?;
    if let Some(before) = &before {
        check_growth(before, &checkpoint, latest)?;
    }
    let current = before.as_ref().filter(|note| {
        note.log_size == checkpoint.size && note.root_version == latest.root.version
    });
    if let Some(note) = current.filter(|note| note.log_root == checkpoint.root) {
        return renew(what, now, &state, latest, note, step);
    }
    let (mut draft, mut range) = state.start(&ledger, &roots, before.as_ref(), checkpoint.size);
    let stretch = Stretch {
        roster: &Roster::of(&latest.root),
        from: draft.size(),
        until: checkpoint.size,
    };
    follow(
        stretch,
        &mut |name| bundles::read(&ledger, name, &[]).map_err(IndexError::from),
        &mut |bundle| {
            for entry in &bundle.entries {
                range.append(entry.leaf);
                draft.apply(entry)?;
            }
            Ok(())
        },
    )?;
    if range.root() != checkpoint.root {
        return Err(IndexError::Log);
    }
    let outcome = match &before {
        Some(before) if keeps_base(&draft, before, latest) => Outcome::Delta,
        Some(_) | None => Outcome::Base,
    };
    step("base")?;
    let base = match (draft.base(), outcome) {
        (Some(base), Outcome::Delta) => base,
        _ => draft.rebase()?,
    };
    step("delta")?;
    let delta = draft.delta()?;
    let note = compose(
        &checkpoint,
        [base, delta],
        latest,
        before.as_ref(),
        now,
        what,
    );
    state.sign(what, latest, &note, step)?;
    let tally = draft.tally().clone();
    draft.keep();
    step("range")?;
    state.write(&state.range(), &range.to_bytes(), 0o600)?;
    step("sweep")?;
    sweep(
        &state.index,
        &[&note].into_iter().chain(&before).collect::<Vec<_>>(),
        now,
    );
    Ok(Published {
        note,
        outcome,
        tally,
    })
}

/// Says whether the delta may grow on: part of the format, so that every indexer makes the same tables.
fn keeps_base(draft: &Draft, before: &IndexNote, latest: &RootVersion) -> bool {
    before.root_version == latest.root.version
        && draft.base() == Some(before.base)
        && draft.changed() <= DELTA_FLOOR.max(before.base.records / DELTA_PART)
}

fn check_growth(
    before: &IndexNote,
    checkpoint: &Checkpoint,
    latest: &RootVersion,
) -> Result<(), IndexError> {
    if before.log_size > checkpoint.size {
        return Err(IndexError::Shrunk {
            published: before.log_size,
            log: checkpoint.size,
        });
    }
    if before.root_version > latest.root.version {
        return Err(IndexError::RootBehind {
            published: before.root_version,
            latest: latest.root.version,
        });
    }
    if before.log_size == checkpoint.size && before.log_root != checkpoint.root {
        return Err(IndexError::Log);
    }
    Ok(())
}

/// Signs what the note says once more, unless it is good for long.
fn renew(
    what: &Publish<'_>,
    now: u64,
    state: &Place,
    latest: &RootVersion,
    note: &IndexNote,
    step: Step<'_>,
) -> Result<Published, IndexError> {
    let left = note.expires.saturating_sub(now);
    let published = |note, outcome| Published {
        note,
        outcome,
        tally: Tally::default(),
    };
    if !what.force && left >= what.validity / 2 {
        return Ok(published(note.clone(), Outcome::Unchanged));
    }
    let time = now.max(note.time);
    let renewed = IndexNote {
        time,
        expires: time.saturating_add(what.validity),
        ..note.clone()
    };
    state.sign(what, latest, &renewed, step)?;
    Ok(published(renewed, Outcome::Renewed))
}

fn compose(
    checkpoint: &Checkpoint,
    [base, delta]: [TableRef; 2],
    latest: &RootVersion,
    before: Option<&IndexNote>,
    now: u64,
    what: &Publish<'_>,
) -> IndexNote {
    // Nodes refuse a note that is older than the one they have, whatever happened to this clock.
    let time = before.map_or(now, |before| now.max(before.time));
    IndexNote {
        origin: checkpoint.origin.clone(),
        log_size: checkpoint.size,
        log_root: checkpoint.root,
        base,
        delta,
        root_version: latest.root.version,
        root_digest: latest.digest,
        time,
        expires: time.saturating_add(what.validity),
    }
}

/// The trust root as the ledger itself has it, from its first version on.
pub(in crate::ledger) fn roots(ledger: &Dir) -> Result<Roots, IndexError> {
    let first = client::root_note(ledger, 1)?.ok_or(IndexError::NoRoot)?;
    let mut roots = Roots::pinned(&first)?;
    roots.walk(|version| client::root_note(ledger, version).map_err(IndexError::from))?;
    Ok(roots)
}

pub(super) fn checkpoint(ledger: &Dir, latest: &RootVersion) -> Result<Checkpoint, IndexError> {
    let bytes = match client::checkpoint(ledger, None)? {
        Fresh::New { bytes, .. } => bytes,
        Fresh::Same => Vec::new(),
    };
    Ok(Checkpoint::verify(&bytes, &latest.root.log)?)
}
