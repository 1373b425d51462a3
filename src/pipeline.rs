//! The decision, start to finish. Read this file first.
//!
//! Owns the order of the stages and nothing else: each stage is one call into
//! the module that knows how. What a failure means is the policy's to say.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::allowlist::index_note::IndexNote;
use crate::allowlist::record::{Key, Kind, Record};
use crate::audit::{self, Decision, Sinks, Subject};
use crate::engine::{self, Container, Engines, Guarded, Start};
use crate::image::digest::Digest;
use crate::policy::decide::{Case, decide, enforced, on_failure};
use crate::policy::freshness::{self, Ages};
use crate::policy::gatebin::{GateBin, Response, Trust};
use crate::store::{HighWater, Store, StoreError, cannot_use};
use crate::sys::journal;
use crate::verdict::{Reason, ReasonCode, Undecided, Verdict};

/// What came of one start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a judgement that is not acted on lets everything start"]
pub struct Judgement {
    /// What is to be done: in audit mode a refusal has become a warning.
    pub verdict: Verdict,
    /// What it is about, if an engine's record and the mounted layers agree on it.
    pub container: Option<Container>,
}

/// What the allowlist says of one image, every byte of it verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The note that it stands under.
    pub note: IndexNote,
    /// One record for each organisation that said something.
    pub records: Vec<Record>,
    /// Whether the allowlist is recent enough, or why not.
    pub freshness: Result<(), Reason>,
}

/// Judges one start and records the answer. `now` is in Unix seconds.
pub fn judge(start: &Start, gate: &GateBin, now: u64) -> Judgement {
    let begun = Instant::now();
    let mut seen = Seen::default();
    let decided =
        weigh(start, gate, now, &mut seen).unwrap_or_else(|undecided| on_failure(gate, undecided));
    let verdict = enforced(gate.mode, decided.clone());
    let decision = Decision {
        time: now,
        verdict: &verdict,
        would_deny: verdict != decided,
        mode: gate.mode.as_str(),
        verb: start.verb.as_str(),
        subject: seen.subject(start),
        allowlist: seen.allowlist,
        duration: begun.elapsed(),
    };
    // A record that cannot be written never changes the verdict; it is counted.
    audit::record(&decision, &sinks(gate));
    Judgement {
        verdict,
        container: seen.container,
    }
}

/// The stages: what is starting, what the ledger says of it, what no digest says, the verdict.
fn weigh(start: &Start, gate: &GateBin, now: u64, seen: &mut Seen) -> Result<Verdict, Undecided> {
    let container = seen
        .container
        .insert(engine::identify(start, &engines(gate))?);
    let config = container.identity.config;

    let answer = consult(gate, &config, now);
    seen.allowlist = answer
        .as_ref()
        .ok()
        .map(|answer| (answer.note.log_size, answer.note.time));

    let mut facts = engine::facts(start, container, &guarded(gate))?;
    if gate.rules.process != Response::Allow {
        facts.process = engine::process::changes(container);
    }
    // Only an image on the floor may start on its own config's word about its layers.
    let chain_of_config = match gate.on_floor(&config) {
        true => engine::chain_of_config(container).ok(),
        false => None,
    };
    let case = Case {
        identity: &container.identity,
        records: answer.as_ref().map(|answer| answer.records.as_slice()),
        freshness: answer
            .as_ref()
            .map_or(Ok(()), |answer| answer.freshness.as_ref().copied()),
        chain_of_config,
        facts: &facts,
        now,
    };
    Ok(decide(gate, &case))
}

/// Asks the allowlist about one config digest.
///
/// # Errors
/// The reason why there is no verified answer.
pub fn consult(gate: &GateBin, config: &Digest, now: u64) -> Result<Answer, Reason> {
    let key = Key::of(Kind::Config, config);
    ask(gate, &Store::new(&gate.state_dir), &key, now)
}

/// Asks the allowlist in `store` about one key: what [`consult`] does, for people's questions too.
///
/// # Errors
/// The reason why there is no verified answer.
pub fn ask(gate: &GateBin, store: &Store, key: &Key, now: u64) -> Result<Answer, Reason> {
    let trust = &gate.trust;
    let mark = store.high_water().map_err(because)?;
    let allowlist = store
        .open(&trust.indexer_keys()?, trust.index_threshold, &trust.origin)
        .map_err(because)?;
    let note = allowlist.note().clone();
    if let Some(rolled_back) = mark.rolled_back(&note) {
        return Err(because(StoreError::RolledBack(rolled_back)));
    }
    root_is_known(trust, &note)?;
    let records = allowlist.lookup(key);
    let records = records.map_err(|error| because(cannot_use(&gate.state_dir, error)))?;
    if mark != mark.max(HighWater::of(&note)) {
        // Best effort: `apply` does it too, and a mark that stays low allows nothing that it would not now.
        let _ = store.advance_high_water(&note);
    }
    let ages = Ages {
        signed: note.time,
        expires: note.expires,
        high_water: mark.time,
        now,
    };
    Ok(Answer {
        records,
        freshness: freshness::check(&ages, gate.grace),
        note,
    })
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

/// A note that was made under another trust root may mean other things by its records.
fn root_is_known(trust: &Trust, note: &IndexNote) -> Result<(), Reason> {
    let (known, named) = (trust.root_version, note.root_version);
    if named < known || (named == known && note.root_digest == trust.root_digest) {
        return Ok(());
    }
    let detail = format!("the allowlist was made under trust root {named}, gate.bin under {known}");
    Err(Reason::new(
        ReasonCode::RootBehind,
        detail,
        "run 'vcn-hook apply' as root",
    ))
}

/// What has been learnt so far, for the record.
#[derive(Debug, Default)]
struct Seen {
    container: Option<Container>,
    /// Log size and time of the allowlist that answered.
    allowlist: Option<(u64, u64)>,
}

impl Seen {
    fn subject<'a>(&'a self, start: &'a Start) -> Subject<'a> {
        let container = self.container.as_ref();
        Subject {
            id: &start.id,
            name: container.and_then(|container| container.name.as_deref()),
            image: container.and_then(|container| container.image_name.as_deref()),
            identity: container.map(|container| &container.identity),
        }
    }
}

fn engines(gate: &GateBin) -> Engines {
    Engines {
        docker_roots: gate.engines.docker_roots.clone(),
        containerd_roots: gate.engines.containerd_roots.clone(),
        storage_roots: gate.engines.storage_roots.clone(),
    }
}

/// What no container may write: whoever can, can allow anything.
fn guarded(gate: &GateBin) -> Guarded {
    let GateBin {
        state_dir,
        run_dir,
        decisions,
        config_dir,
        runtimes,
        engines,
        ..
    } = gate;
    let own = [
        state_dir,
        run_dir,
        decisions,
        config_dir,
        &runtimes.runc,
        &runtimes.crun,
    ];
    let engines = [
        &engines.docker_roots,
        &engines.containerd_roots,
        &engines.storage_roots,
    ];
    let own = own
        .into_iter()
        .chain(engines.into_iter().flatten())
        .cloned();
    let paths = own.chain(ENGINE_BUNDLES.map(PathBuf::from)).collect();
    Guarded {
        paths,
        sockets: ENGINE_SOCKETS.map(PathBuf::from).into(),
    }
}

fn sinks(gate: &GateBin) -> Sinks<'_> {
    Sinks {
        decisions: &gate.decisions,
        run_dir: &gate.run_dir,
        journal: Path::new(journal::SOCKET),
    }
}

/// Where engines write the bundles that the runtime reads after us.
const ENGINE_BUNDLES: [&str; 4] = ["/run/containerd", "/run/docker", "/run/runc", "/run/crun"];

/// Whoever may write to one of these commands an engine, and so is root.
const ENGINE_SOCKETS: [&str; 5] = [
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/podman/podman.sock",
    "/var/run/docker.sock",
];
