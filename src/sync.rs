//! From the ledger to the store: what the timer runs.
//!
//! Owns the order in which a ledger's claims are checked before a node believes
//! them (docs/sync.md), and what a node keeps of the log. Whatever fails, the
//! allowlist that is installed stays as it was. Nothing here is on the way of a
//! start; advancing root's high-water mark is the caller's, when it is root.

mod attempt;
mod error;
mod history;
mod incoming;
mod judge;
mod mirror;
mod replay;

use std::io;
use std::path::Path;

pub use attempt::Attempt;
pub use error::{Fault, SyncError};
pub use history::{Named, history};
pub use mirror::Mirror;

use crate::allowlist::index_note::{IndexNote, MAX_INDEX_NOTE_SIZE};
use crate::ledger::client::{self, Fresh, TlogRead};
use crate::ledger::roots::Roots;
use crate::ledger::state::Tally;
use crate::store::Store;
use crate::sys::file::read_capped;

/// What to follow, and where to keep it.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The same ledger in several places, best first; the next one is asked where one fails.
    pub sources: &'a [String],
    /// The state directory, such as `/var/lib/vcn-hook`.
    pub state_dir: &'a Path,
    /// The store in it.
    pub store: &'a Store,
    /// The signed note of the trust root that this node pins.
    pub pinned_root: &'a [u8],
    /// Fold the whole log again although what is installed could be gone on from.
    pub replay: bool,
}

/// What a sync did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncReport {
    /// Which of the sources answered.
    pub source: String,
    /// The installed note.
    pub note: IndexNote,
    /// False if it was installed before.
    pub changed: bool,
    /// The installed note has expired: starts are refused until the ledger signs again.
    pub expired: bool,
    /// The latest version of the trust root that the ledger has; never less than the note's.
    pub root_version: u64,
    /// Entries that were read and verified by this run.
    pub entries: u64,
    /// The log was folded from its first entry on.
    pub replayed: bool,
    /// What these entries did.
    pub tally: Tally,
}

/// Told the name of each durable write before it happens; an error stops there, as a power cut would.
pub type Step<'a> = &'a mut dyn FnMut(&'static str) -> io::Result<()>;

/// Brings the node's allowlist up to the ledger's, if everything about it is right.
///
/// # Errors
/// [`SyncError`], the first source's; the installed allowlist is then what it was.
pub fn run(settings: &Settings<'_>, now: u64) -> Result<SyncReport, SyncError> {
    run_stepwise(settings, now, &mut |_| Ok(()))
}

/// As [`run`], telling `step` of each write: how tests stop it between any two.
///
/// # Errors
/// [`SyncError`].
pub fn run_stepwise(
    settings: &Settings<'_>,
    now: u64,
    step: Step<'_>,
) -> Result<SyncReport, SyncError> {
    // One at a time, and never beside a start: the gate takes no lock.
    let mirror = Mirror::open(settings.state_dir)?;
    let _lock = mirror.lock()?;
    let mut first = None;
    for source in settings.sources {
        let answered = client::open(source)
            .map_err(SyncError::from)
            .and_then(|ledger| follow(settings, &mirror, ledger.as_ref(), now, step));
        match answered {
            // Whatever one source shows, another may be whole. What is wrong here is so for all.
            Err(error) if error.fault() != Fault::Local => {
                first.get_or_insert(error);
            }
            answered => return answered,
        }
    }
    Err(first.unwrap_or(SyncError::NoSource))
}

/// The steps, in the order in which each makes the next one safe.
fn follow(
    settings: &Settings<'_>,
    mirror: &Mirror,
    ledger: &dyn TlogRead,
    now: u64,
    step: Step<'_>,
) -> Result<SyncReport, SyncError> {
    // 1. Who may say what: from the pinned root, through what is kept here, to what the ledger adds.
    let roots = roots(settings, mirror, ledger, step)?;
    let latest = roots.latest();
    latest
        .root
        .check_expiry(now)
        .map_err(SyncError::RootExpired)?;

    // 2. What is installed, if the latest indexers stand by it. A root that drops an indexer drops its notes.
    let installed = installed(settings.state_dir, &roots);
    let etag = mirror.etag(
        ledger.place(),
        installed.as_ref().map(|(bytes, _)| bytes.as_slice()),
    );

    // 3. The index note, unless it is the one that is installed.
    let asked = etag.as_deref().filter(|_| !settings.replay);
    let fresh = client::index_note(ledger, asked)?.ok_or(SyncError::NoIndex)?;
    let (bytes, etag) = match (fresh, &installed) {
        (Fresh::New { bytes, etag }, _) => (bytes, etag),
        (Fresh::Same, Some((bytes, _))) => (bytes.clone(), etag),
        (Fresh::Same, None) => return Err(SyncError::NoIndex),
    };

    // 4. Signatures, origin, clock; nothing older than what is installed or marked; no second truth.
    let current = installed.as_ref().map(|(_, note)| note);
    let note = judge::note(&bytes, &roots, now)?;
    let same = installed.as_ref().is_some_and(|(old, _)| *old == bytes);
    judge::succession(&note, current, settings.store)
        .and_then(|()| judge::equivocation(&note, current))
        .map_err(|error| mirror.keep_evidence(error, now, &[&bytes]))?;
    // Bundles that got lost are read again: people are answered from them.
    let usable = current.is_some_and(|note| {
        judge::is_usable(settings.store, &roots, note) && mirror.has(note.log_size)
    });
    let whole = usable && mirror.checkpoint_root(&latest.root.log).is_some();
    if same && whole && !settings.replay {
        return Ok(report(ledger, note, &roots, now, None));
    }

    // 5. The checkpoint: the log key stands by at least as many entries.
    let Fresh::New { bytes: signed, .. } = client::checkpoint(ledger, None)? else {
        return Err(SyncError::NoIndex);
    };
    let checkpoint = judge::checkpoint(&signed, &note, latest)
        .map_err(|error| mirror.keep_evidence(error, now, &[&bytes, &signed]))?;

    // 6. Every entry, read, hashed, verified and folded: the tables are made here and only compared.
    let start = current.filter(|_| usable && !settings.replay);
    let work = replay::Work {
        ledger,
        mirror,
        roots: &roots,
        directory: &settings.state_dir.join("allowlist"),
        note: &note,
        checkpoint: &checkpoint,
        installed: start,
    };
    let made = work
        .run(step)
        .map_err(|error| mirror.keep_evidence(error, now, &[&bytes, &signed]))?;

    // 7. The entries that were read stay, for names and dates; then the note, which makes it so.
    mirror.settle(&made, &signed, step)?;
    step("note")?;
    settings.store.install_note(&bytes)?;
    made.draft.keep();

    // 8. What makes the next run cheap. Losing it costs time and nothing else.
    step("range")?;
    mirror.write_range(&made.range)?;
    mirror.write_etag(ledger.place(), &bytes, etag.as_deref())?;
    step("sweep")?;
    mirror.sweep(checkpoint.size);
    // What cannot be removed stays for the next time, and is no reason to call this sync failed.
    let _ = settings.store.collect_garbage(now);
    Ok(report(ledger, note, &roots, now, Some(made.done)))
}

fn report(
    ledger: &dyn TlogRead,
    note: IndexNote,
    roots: &Roots,
    now: u64,
    done: Option<replay::Done>,
) -> SyncReport {
    let changed = done.is_some();
    let done = done.unwrap_or_default();
    SyncReport {
        source: ledger.place().to_owned(),
        expired: now > note.expires,
        root_version: roots.latest().root.version,
        note,
        changed,
        entries: done.entries,
        replayed: done.replayed,
        tally: done.tally,
    }
}

/// The trust root's versions: each one is verified by the one before, wherever it comes from.
fn roots(
    settings: &Settings<'_>,
    mirror: &Mirror,
    ledger: &dyn TlogRead,
    step: Step<'_>,
) -> Result<Roots, SyncError> {
    let mut roots = Roots::pinned(settings.pinned_root)?;
    // A kept version that does not verify is as good as none: the ledger is asked for it again.
    let _ = roots.walk(|version| Ok::<_, SyncError>(mirror.root(version)));
    let kept = roots.latest().root.version;
    roots.walk(|version| client::root_note(ledger, version).map_err(SyncError::from))?;
    for new in roots.all().filter(|version| version.root.version > kept) {
        step("root")?;
        mirror.write_root(new.root.version, &new.note)?;
    }
    Ok(roots)
}

/// The installed note and its bytes, if it is one that the latest trust root's indexers signed.
fn installed(state_dir: &Path, roots: &Roots) -> Option<(Vec<u8>, IndexNote)> {
    let root = &roots.latest().root;
    let bytes = read_capped(&state_dir.join("allowlist/note"), MAX_INDEX_NOTE_SIZE).ok()?;
    let keys = &root.indexers;
    let note = crate::store::verify_note(&bytes, &keys.keys, keys.threshold, &root.origin).ok()?;
    Some((bytes, note))
}
