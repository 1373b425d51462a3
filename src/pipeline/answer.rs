//! What the allowlist on disk answers: opened, verified, not rolled back, under a trust root that is known.
//!
//! Owns the order of these checks and which reason each failure is. What the
//! records are worth is `policy`'s to say.

use std::path::PathBuf;

use crate::allowlist::index_note::IndexNote;
use crate::allowlist::lookup::Allowlist;
use crate::allowlist::record::{Key, Kind, Record};
use crate::image::digest::Digest;
use crate::policy::freshness::{self, Ages};
use crate::policy::gatebin::{GateBin, Trust};
use crate::store::{HighWater, Store, StoreError, TableFile, cannot_use};
use crate::verdict::{Reason, ReasonCode};

/// What the allowlist says of one image, every byte of it verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The note that it stands under.
    pub note: IndexNote,
    /// One record for each organisation that said something.
    pub records: Vec<Record>,
    /// Whether the allowlist is recent enough, or why not.
    pub freshness: Result<(), Reason>,
    /// The time: the node's clock, raised to the newest signature seen. Unix seconds.
    pub now: u64,
}

/// Asks the allowlist about one config digest.
///
/// # Errors
/// The reason why there is no verified answer.
pub fn consult(gate: &GateBin, config: &Digest, now: u64) -> Result<Answer, Reason> {
    let key = Key::of(Kind::Config, config);
    let store = Store::new(&gate.state_dir).remembering(&gate.run_dir);
    ask(gate, &store, &key, now)
}

/// Asks the allowlist in `store` about one key: what [`consult`] does, for people's questions too.
///
/// # Errors
/// The reason why there is no verified answer.
pub fn ask(gate: &GateBin, store: &Store, key: &Key, now: u64) -> Result<Answer, Reason> {
    Opened::open(gate, store, now)?.ask(key)
}

/// A verified allowlist, for whoever has more than one question.
#[derive(Debug)]
pub struct Opened {
    allowlist: Allowlist<TableFile>,
    place: PathBuf,
    freshness: Result<(), Reason>,
    now: u64,
    mark: HighWater,
}

impl Opened {
    /// Opens the allowlist in `store`, not rolled back, under a trust root that is known.
    ///
    /// # Errors
    /// The reason why there is none that answers.
    pub fn open(gate: &GateBin, store: &Store, now: u64) -> Result<Self, Reason> {
        let opened = Self::look(gate, store, now)?;
        let note = opened.note();
        if opened.mark != opened.mark.max(HighWater::of(note)) {
            // Best effort: `apply` does it too, and a mark that stays low allows nothing that it would not now.
            let _ = store.try_advance_high_water(note);
        }
        Ok(opened)
    }

    /// The same for whoever only looks: no mark is raised by it.
    ///
    /// # Errors
    /// As [`Opened::open`].
    pub fn look(gate: &GateBin, store: &Store, now: u64) -> Result<Self, Reason> {
        let trust = &gate.trust;
        let mark = store.high_water().map_err(because)?;
        let allowlist = store
            .open(&trust.indexer_keys()?, trust.index_threshold, &trust.origin)
            .map_err(because)?;
        let note = allowlist.note();
        if let Some(rolled_back) = mark.rolled_back(note) {
            return Err(because(StoreError::RolledBack(rolled_back)));
        }
        root_is_known(trust, note)?;
        let ages = Ages {
            signed: note.time,
            expires: note.expires,
            high_water: mark.time,
            now,
        };
        Ok(Self {
            freshness: freshness::check(&ages, gate.grace),
            now: ages.now(),
            place: gate.state_dir.clone(),
            mark,
            allowlist,
        })
    }

    /// The note that every answer stands under.
    #[must_use]
    pub const fn note(&self) -> &IndexNote {
        self.allowlist.note()
    }

    /// Whether the allowlist is recent enough, or why not.
    ///
    /// # Errors
    /// The reason.
    pub fn freshness(&self) -> Result<(), &Reason> {
        self.freshness.as_ref().copied()
    }

    /// Asks about one key.
    ///
    /// # Errors
    /// The reason why there is no verified answer.
    pub fn ask(&self, key: &Key) -> Result<Answer, Reason> {
        let records = self.allowlist.lookup(key);
        let records = records.map_err(|error| because(cannot_use(&self.place, error)))?;
        Ok(Answer {
            records,
            freshness: self.freshness.clone(),
            now: self.now,
            note: self.note().clone(),
        })
    }
}

/// The signed note that the allowlist in `store` stands under, its age not looked at.
///
/// # Errors
/// The reason why there is none.
pub fn note(gate: &GateBin, store: &Store) -> Result<IndexNote, Reason> {
    let trust = &gate.trust;
    store
        .note(&trust.indexer_keys()?, trust.index_threshold, &trust.origin)
        .map_err(because)
}

/// Why the allowlist on disk gives no answer, as a reason for people.
fn because(error: StoreError) -> Reason {
    let (code, hint) = match &error {
        StoreError::Missing { .. } => (ReasonCode::NoAllowlist, "run 'vcn-hook sync'"),
        StoreError::RolledBack(_) => (
            ReasonCode::RolledBack,
            "find out who put an old allowlist there; run 'vcn-hook sync'",
        ),
        StoreError::Tampered { .. } => {
            (ReasonCode::Tampered, "check the disk; run 'vcn-hook sync'")
        }
        StoreError::Unreadable { .. } | StoreError::Unwritable { .. } => (
            ReasonCode::Tampered,
            "check the disk and the owners of the state directory",
        ),
    };
    Reason::new(code, error.to_string(), hint)
}

fn root_is_known(trust: &Trust, note: &IndexNote) -> Result<(), Reason> {
    if trust.knows_root_of(note) {
        return Ok(());
    }
    let (known, named) = (trust.root_version, note.root_version);
    let detail = format!("the allowlist was made under trust root {named}, gate.bin under {known}");
    Err(Reason::new(
        ReasonCode::RootBehind,
        detail,
        "run 'vcn-hook apply' as root",
    ))
}
