//! How a sweep is made: what runs, what the gate would say of it now, and how it came to run.
//!
//! Owns the order, and that one look opens the allowlist once. The verdict is `policy`'s, and by the
//! layers that are mounted; nothing that a container is called decides anything.

use std::path::Path;
use std::time::Instant;

use nix::unistd::geteuid;

use super::reach::Reach;
use super::slow::{Images, Slow};
use super::sweep::{Allowlist, Stated, Sweep, Watched};
use crate::allowlist::record::{Key, Kind, Record, Status};
use crate::audit::passages::Passages;
use crate::config::Config;
use crate::engine::running::{self, Container, Source};
use crate::engine::unpacked::{self, Store};
use crate::engine::{Declared, Engines, Image};
use crate::pipeline::{self, Opened};
use crate::policy::decide::{Case, decide, on_failure};
use crate::policy::facts::Facts;
use crate::policy::gatebin::{GateBin, MAX_GATEBIN_SIZE};
use crate::policy::standing::{deciding, standing};
use crate::sys::cgroup;
use crate::sys::file::read_owned;
use crate::sys::process;
use crate::verdict::{Reason, ReasonCode, Undecided, Verdict};

/// Who knows what the ledger's statements say.
pub trait Statements {
    /// The statement at a place in the log, where it is known.
    fn at(&mut self, log_index: u64) -> Option<Stated>;
}

/// Where a node's containers are looked at from, and what is remembered between two looks.
#[derive(Debug)]
pub struct Lookout {
    node: String,
    passages: Passages,
    reach: Reach,
    slow: Option<Slow>,
}

/// What every container of one sweep is judged by.
struct Bench<'a> {
    gate: Result<&'a GateBin, &'a Reason>,
    allowlist: Result<&'a Opened, &'a Reason>,
    now: u64,
}

/// What is to be said of one image.
struct Judged {
    verdict: Verdict,
    status: Status,
    level: i8,
    statement: Option<Stated>,
}

impl Lookout {
    /// Takes the node's name, and its decisions from where `config` has them.
    #[must_use]
    pub fn new(node: String, config: &Config) -> Self {
        Self {
            node,
            passages: Passages::of(&config.decisions),
            reach: Reach::default(),
            slow: None,
        }
    }

    /// Has what was found of the layers of what runs counted, from now on; `None` ends that.
    pub fn count_layers(&mut self, slow: Option<Slow>) {
        self.slow = slow;
    }

    /// Whether a look is due because a layer was found to be another than before.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.slow.as_ref().is_some_and(Slow::has_news)
    }

    /// Looks at everything that runs. `now` is in Unix seconds.
    pub fn sweep(&mut self, config: &Config, statements: &mut dyn Statements, now: u64) -> Sweep {
        let begun = Instant::now();
        let gate = compiled(&config.state_dir);
        let allowlist = gate
            .as_ref()
            .map_err(Reason::clone)
            .and_then(|gate| Opened::open(gate, &crate::store::Store::new(&gate.state_dir), now));
        let mut troubles = Vec::new();
        let mut engines = gate
            .as_ref()
            .map_or_else(|_| of_config(config), pipeline::engines);
        let hung = self.reach.keep_reachable(&mut engines, &mut troubles);
        // Listed before the decisions are read: what is listed has its decision on record by then.
        let running = running::list_without(&engines, &hung, now);
        troubles.extend(running.unread.iter().map(|unread| unread.0.clone()));
        let unseen = unseen(running.unseen);
        let is_partial = !hung.is_empty() || running.is_unlisted || unseen.is_some();
        troubles.extend(unseen);
        self.learn_passages(config, &mut troubles);
        let bench = Bench {
            gate: gate.as_ref(),
            allowlist: allowlist.as_ref(),
            now,
        };
        if let Some(slow) = &self.slow {
            slow.feed(&engines, images(&running.containers));
        }
        let containers = running.containers.into_iter();
        let mut containers: Vec<_> = containers
            .map(|container| self.watched(container, &bench, statements))
            .collect();
        spare(&mut containers, gate.as_ref().ok(), now);
        let running = containers.iter();
        let running = running.map(|watched| (watched.id.as_str(), watched.pid));
        self.passages.forget(&running.collect());
        Sweep {
            node: self.node.clone(),
            begun: now,
            took: begun.elapsed(),
            containers,
            troubles,
            is_partial,
            mode: gate.as_ref().ok().map(|gate| gate.mode),
            undecided: bench.undecided().cloned(),
            allowlist: allowlist.ok().map(|opened| facts_of(&opened)),
            layers: self.slow.as_ref().and_then(Slow::layers),
        }
    }

    fn learn_passages(&mut self, config: &Config, troubles: &mut Vec<Reason>) {
        if self.passages.path() != config.decisions {
            self.passages = Passages::of(&config.decisions);
        }
        if let Err(error) = self.passages.read_on() {
            let detail = format!("cannot read '{}': {error}", config.decisions.display());
            let hint = "run the watch as root";
            troubles.push(Reason::new(ReasonCode::Unreadable, detail, hint));
        }
    }

    fn watched(
        &mut self,
        container: Container,
        bench: &Bench<'_>,
        statements: &mut dyn Statements,
    ) -> Watched {
        let mut judged = bench.judge(&container.image, statements);
        let layers = container.image.as_ref().ok();
        let layers = layers.map(|image| image.rootfs.lowers.as_slice());
        if let Some(slow) = &self.slow
            && !matches!(judged.verdict, Verdict::Deny(_))
            && let Some(differs) = slow.differing(layers.unwrap_or_default())
        {
            // The ledger's word is about what was unpacked, and this is not it.
            judged = Judged::unknown(Verdict::Deny(differs));
        }
        let identity = container.image.as_ref().ok().map(|image| &image.identity);
        Watched {
            engine: container.source.as_str(),
            config: identity.map(|identity| identity.config),
            manifest: identity.and_then(|identity| identity.manifest),
            pid: container.init,
            started: container.started,
            ticks: container.ticks,
            paused: cgroup::is_frozen(container.init),
            status: judged.status,
            level: judged.level,
            verdict: judged.verdict,
            statement: judged.statement,
            entered: (self.passages).of_process(&container.id, container.init, container.started),
            id: container.id,
            name: container.name,
            image: container.image_name,
            spared: false,
        }
    }
}

impl Bench<'_> {
    /// Why nothing can be decided now, if nothing can.
    fn undecided(&self) -> Option<&Reason> {
        match (self.gate, self.allowlist) {
            (Err(reason), _) | (_, Err(reason)) => Some(reason),
            (Ok(_), Ok(allowlist)) => allowlist.freshness().err(),
        }
    }

    /// What the gate would say now, apart from what only a start shows: the image is that of the
    /// mounted layers, and the ledger's word about it is today's.
    fn judge(&self, image: &Result<Image, Undecided>, statements: &mut dyn Statements) -> Judged {
        let gate = match self.gate {
            Ok(gate) => gate,
            Err(reason) => return Judged::unknown(Verdict::Deny(reason.clone())),
        };
        let image = match image {
            Ok(image) => image,
            Err(undecided) => return Judged::unknown(on_failure(gate, undecided.clone())),
        };
        let key = Key::of(Kind::Config, &image.identity.config);
        let answer = self.allowlist.map_err(Reason::clone);
        let answer = answer.and_then(|allowlist| allowlist.ask(&key));
        let records = answer.as_ref().map(|answer| answer.records.as_slice());
        let now = answer.as_ref().map_or(self.now, |answer| answer.now);
        // As in the gate: only what stands in for a missing word needs the config's own about its layers.
        let chain_of_config = match gate.may_stand_in(&image.identity.config, now) {
            true => image.chain_of_config().ok(),
            false => None,
        };
        let case = Case {
            identity: &image.identity,
            records,
            freshness: answer
                .as_ref()
                .map_or(Ok(()), |answer| answer.freshness.as_ref().copied()),
            chain_of_config,
            pause: image.pause,
            facts: &Facts::none(),
            now,
        };
        let verdict = decide(gate, &case);
        match records {
            Ok(records) if !is_undecided(&verdict) => {
                let chain = image.identity.chain.as_ref();
                let status = standing(&gate.trust, records, chain, now).status;
                Judged::of(verdict, status, gate, records, statements)
            }
            _ => Judged::unknown(verdict),
        }
    }
}

impl Judged {
    const fn unknown(verdict: Verdict) -> Self {
        Self {
            verdict,
            status: Status::Unknown,
            level: 0,
            statement: None,
        }
    }

    fn of(
        verdict: Verdict,
        status: Status,
        gate: &GateBin,
        records: &[Record],
        statements: &mut dyn Statements,
    ) -> Self {
        let Some(record) = deciding(records, status) else {
            return Self {
                status,
                ..Self::unknown(verdict)
            };
        };
        let signer = gate.trust.signers.get(usize::from(record.signer));
        let organisation = || {
            let place = usize::from(signer?.organisation);
            gate.trust.organisations.get(place).cloned()
        };
        let statement = statements.at(record.log_index).unwrap_or_else(|| Stated {
            log_index: record.log_index,
            organisation: organisation().unwrap_or_default(),
            ..Stated::default()
        });
        Self {
            verdict,
            status,
            // As vcn has it, what is not known has no level.
            level: match status {
                Status::Unknown => 0,
                _ => signer.map_or(0, |signer| signer.level),
            },
            statement: Some(statement),
        }
    }
}

/// Whether a verdict only says that nobody could decide.
#[must_use]
pub const fn is_undecided(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Deny(reason) if is_of_node(reason.code))
}

/// Whether a reason is the node's, and so the same for everything that runs on it.
#[must_use]
pub const fn is_of_node(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::NoAllowlist
            | ReasonCode::Stale
            | ReasonCode::RolledBack
            | ReasonCode::Tampered
            | ReasonCode::Configuration
            | ReasonCode::RootBehind
    )
}

/// Reads gate.bin as the gate does.
fn compiled(state_dir: &Path) -> Result<GateBin, Reason> {
    let path = state_dir.join("gate.bin");
    let cannot = |why: String| {
        let detail = format!("cannot use '{}': {why}", path.display());
        Reason::new(
            ReasonCode::Configuration,
            detail,
            "run 'vcn-hook apply' as root",
        )
    };
    let bytes = read_owned(&path, MAX_GATEBIN_SIZE).map_err(|error| cannot(error.to_string()))?;
    GateBin::decode(&bytes).map_err(|error| cannot(error.to_string()))
}

/// Marks what nothing is ever done to: what root lets run here, and the image that this process is of.
fn spare(containers: &mut [Watched], gate: Option<&GateBin>, now: u64) {
    let own = process::mounts_of(std::process::id()).ok();
    let is_own = |watched: &&Watched| own.is_some() && process::mounts_of(watched.pid).ok() == own;
    let own = containers.iter().find(is_own).and_then(|own| own.config);
    for watched in containers {
        watched.spared = watched.config.is_some_and(|config| {
            Some(config) == own || gate.is_some_and(|gate| gate.may_stand_in(&config, now))
        });
    }
}

/// The images of what runs whose layers can be compared with what was unpacked.
fn images(containers: &[Container]) -> Images {
    let images = containers.iter().filter_map(|container| {
        let store = match container.source {
            Source::Docker => Store::Docker,
            Source::Podman => Store::Podman,
            Source::User
            | Source::Bundle
            | Source::Build
            | Source::Other
            | Source::Unrecorded
            | Source::Nested => return None,
        };
        let identity = &container.image.as_ref().ok()?.identity;
        let image = unpacked::Image {
            config: identity.config,
            chain: identity.chain?,
            manifest: identity.manifest,
        };
        Some(((store, identity.config), image))
    });
    images.collect()
}

/// Without gate.bin, what runs is still shown.
fn of_config(config: &Config) -> Engines {
    let bundles = config.bundles.iter().map(|bundle| Declared {
        path: bundle.path.clone(),
        config: bundle.config,
    });
    Engines {
        docker_roots: config.engines.docker_roots.clone(),
        containerd_roots: config.engines.containerd_roots.clone(),
        storage_roots: config.engines.storage_roots.clone(),
        bundles: bundles.collect(),
    }
}

fn facts_of(opened: &Opened) -> Allowlist {
    let note = opened.note();
    Allowlist {
        log_size: note.log_size,
        records: note.base.records.saturating_add(note.delta.records),
        root_version: note.root_version,
        signed: note.time,
        expires: note.expires,
    }
}

/// Some kernels let root look into every process but the first; for anybody else it matters.
fn unseen(processes: usize) -> Option<Reason> {
    if geteuid().is_root() {
        return None;
    }
    let detail = format!("{processes} processes may not be looked into");
    let reason = Reason::new(ReasonCode::Unreadable, detail, "run the watch as root");
    (processes > 0).then_some(reason)
}
