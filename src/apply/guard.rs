//! The blast-radius guard: what runs and would not start again, counted before it happens.
//!
//! Owns which images are looked at, what counts as a lapse, and when lapses are
//! held. A lapse is a word of the ledger's that is missing now and was there
//! before. It is held, if many are at once, until the word is back or somebody
//! lets go; what the ledger says against an image is never held, and neither is
//! what it never vouched for, so that neither a mirror nor whoever may start
//! containers gets anything held that the ledger did not let start.

use std::collections::BTreeMap;

use super::seen::{Seen, SeenImage};
use crate::allowlist::lookup::Allowlist;
use crate::allowlist::record::{Key, Kind, Record, Status};
use crate::config::Config;
use crate::engine::{Image, running};
use crate::image::digest::{ChainId, Digest};
use crate::image::identity::{EngineKind, Identity};
use crate::pipeline::{self, Answer, Opened};
use crate::policy::decide::{Case, decide, is_lapse};
use crate::policy::facts::Facts;
use crate::policy::gatebin::{GateBin, Held, MAX_GATEBIN_SIZE, Response, Trust};
use crate::policy::standing::standing;
use crate::store::{Store, TableFile};
use crate::sys::file;
use crate::verdict::{Reason, Verdict};

/// What is done about lapses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapses {
    /// More than the limit are held.
    Hold,
    /// Somebody lets them go.
    Accept,
}

/// What the guard found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blast {
    /// How many images were looked at.
    pub images: usize,
    /// What will not start again, or would not if it were not held.
    pub affected: Vec<Affected>,
    /// Why nothing can be said: then what is held stays so.
    pub undecided: Option<Reason>,
}

/// One image that would not start again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// The image.
    pub config: Digest,
    /// Names or ids of its containers that run; none for one of the floor, or that ran before.
    pub containers: Vec<String>,
    /// Why it would not.
    pub reason: Reason,
    /// Whether it is held.
    pub held: bool,
}

/// What is known of the time before: the settings in force until now, and what ran under them.
pub(super) struct Guard<'a> {
    config: &'a Config,
    now: u64,
    before: Option<GateBin>,
    seen: Seen,
}

type Bound = (Digest, ChainId);

/// One image that is looked at.
#[derive(Default)]
struct Subject {
    containers: Vec<String>,
    image: Option<Image>,
    /// Unix seconds at which it ran last; 0 if nobody knows.
    ran: u64,
}

/// What is to be said of it.
enum Finding {
    /// The ledger lets it start.
    Vouched,
    /// Something else does.
    Starts,
    /// It does not start, for a word that is missing now and was there.
    Lapsed(Reason),
    /// It does not start.
    Refused(Reason),
}

impl<'a> Guard<'a> {
    /// Takes what is in force, before it is replaced.
    pub(super) fn begin(config: &'a Config, now: u64) -> Self {
        let path = super::gatebin_path(&config.state_dir);
        let before = file::read_owned(&path, MAX_GATEBIN_SIZE).ok();
        Self {
            config,
            now,
            before: before.and_then(|bytes| GateBin::decode(&bytes).ok()),
            seen: Seen::read(&config.state_dir),
        }
    }

    /// Judges what runs by the new settings, and has them hold what is to be held.
    pub(super) fn look(&self, gate: &mut GateBin, lapses: Lapses) -> (Blast, Seen) {
        let subjects = self.subjects(gate);
        let mut blast = Blast {
            images: subjects.len(),
            ..Blast::default()
        };
        let opened = Opened::open(gate, &Store::new(&gate.state_dir), self.now);
        let opened = opened.and_then(|opened| match opened.freshness().map_err(Reason::clone) {
            Ok(()) => Ok(opened),
            Err(stale) => Err(stale),
        });
        let opened = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                blast.undecided = Some(reason);
                gate.held = match lapses {
                    Lapses::Hold => self.held().to_vec(),
                    Lapses::Accept => Vec::new(),
                };
                return (blast, self.seen.clone());
            }
        };
        let lists = self.lists();
        let found: Vec<_> = subjects
            .into_iter()
            .map(|(bound, subject)| {
                let finding = self.find(gate, &opened, &lists, bound, &subject);
                (bound, subject, finding)
            })
            .collect();
        let mut seen = self.seen.clone();
        seen.applied = self.now;
        seen.images.clear();
        let many = lapses == Lapses::Hold && self.are_many(&found);
        for ((config, chain), subject, finding) in found {
            let ran = subject.ran;
            let held = self.held_before(config, chain);
            let hold = match &finding {
                Finding::Lapsed(_) if many => true,
                // As the others come back, the last ones must not be let go unasked.
                Finding::Lapsed(_) => lapses == Lapses::Hold && held.is_some(),
                Finding::Vouched | Finding::Starts | Finding::Refused(_) => false,
            };
            if hold {
                let since = held.map_or(self.now, |held| held.since);
                gate.held.push(Held {
                    config,
                    chain,
                    since,
                });
            }
            if hold || matches!(finding, Finding::Vouched) {
                seen.images.push(SeenImage { config, chain, ran });
            }
            let affected = |reason| Affected {
                config,
                containers: subject.containers,
                reason,
                held: hold,
            };
            match finding {
                Finding::Lapsed(reason) => blast.affected.push(affected(reason)),
                Finding::Refused(reason) if ran == self.now => {
                    blast.affected.push(affected(reason));
                }
                Finding::Vouched | Finding::Starts | Finding::Refused(_) => {}
            }
        }
        blast.affected.extend(withdrawn_floor(gate, &opened));
        (blast, seen)
    }

    /// What runs, what ran not long ago, and what is held.
    fn subjects(&self, gate: &GateBin) -> BTreeMap<Bound, Subject> {
        let mut subjects: BTreeMap<Bound, Subject> = BTreeMap::new();
        for each in self.seen.recent(self.now) {
            let subject = subjects.entry((each.config, each.chain)).or_default();
            subject.ran = each.ran;
        }
        for each in self.held() {
            subjects.entry((each.config, each.chain)).or_default();
        }
        for container in running::list(&pipeline::engines(gate), self.now).containers {
            let Ok(image) = container.image else { continue };
            // What is bound to no layers cannot be told from another that is called the same.
            let Some(chain) = image.identity.chain else {
                continue;
            };
            let bound = (image.identity.config, chain);
            let subject = subjects.entry(bound).or_default();
            subject.ran = self.now;
            subject
                .containers
                .push(container.name.unwrap_or(container.id));
            subject.image = Some(image);
        }
        subjects
    }

    fn find(
        &self,
        gate: &GateBin,
        opened: &Opened,
        lists: &[ListBefore<'_>],
        (config, chain): Bound,
        subject: &Subject,
    ) -> Finding {
        let answer = match opened.ask(&Key::of(Kind::Config, &config)) {
            Ok(answer) => answer,
            Err(reason) => return Finding::Refused(reason),
        };
        if is_vouched(&gate.trust, &answer.records, &chain, answer.now) {
            return Finding::Vouched;
        }
        let Verdict::Deny(reason) = judge(gate, (config, chain), subject, &answer) else {
            return Finding::Starts;
        };
        let same = |each: &SeenImage| each.config == config && each.chain == chain;
        let before = || {
            self.held_before(config, chain).is_some()
                || self.seen.recent(self.now).any(same)
                || lists.iter().any(|list| list.vouches(&config, &chain))
        };
        match is_lapse(&reason, &answer.records) && before() {
            true => Finding::Lapsed(reason),
            false => Finding::Refused(reason),
        }
    }

    /// Whether more have lapsed than is normal.
    fn are_many(&self, found: &[(Bound, Subject, Finding)]) -> bool {
        let count = |is: fn(&Finding) -> bool| found.iter().filter(|(.., each)| is(each)).count();
        let lapsed = count(|each| matches!(each, Finding::Lapsed(_)));
        let vouched = count(|each| matches!(each, Finding::Vouched));
        let images = lapsed.saturating_add(vouched);
        self.config.guard.is_exceeded(lapsed, images)
    }

    /// The lists that let start what runs, as they were read by the trust root of before: the one that is
    /// installed, and the one before it, unless that is older than what was seen when this ran last.
    fn lists(&self) -> Vec<ListBefore<'_>> {
        let Some(before) = &self.before else {
            return Vec::new();
        };
        let trust = &before.trust;
        let Ok(indexers) = trust.indexer_keys() else {
            return Vec::new();
        };
        let store = Store::new(&self.config.state_dir);
        let read = |store: Store| {
            let list = store.open(&indexers, trust.index_threshold, &trust.origin);
            let list = list.ok()?;
            if self.seen.mark().rolled_back(list.note()).is_some() {
                return None;
            }
            let at = list.note().time.max(self.seen.applied);
            Some(ListBefore { list, trust, at })
        };
        let stores = [store.clone(), store.of_before()];
        stores.into_iter().filter_map(read).collect()
    }

    fn held(&self) -> &[Held] {
        let before = self.before.as_ref();
        before.map_or(&[], |gate| gate.held.as_slice())
    }

    fn held_before(&self, config: Digest, chain: ChainId) -> Option<&Held> {
        let mut held = self.held().iter();
        held.find(|each| each.config == config && each.chain == chain)
    }
}

/// An allowlist of before, and when it was read then.
struct ListBefore<'a> {
    list: Allowlist<TableFile>,
    trust: &'a Trust,
    at: u64,
}

impl ListBefore<'_> {
    fn vouches(&self, config: &Digest, chain: &ChainId) -> bool {
        let records = self.list.lookup(&Key::of(Kind::Config, config));
        records.is_ok_and(|records| is_vouched(self.trust, &records, chain, self.at))
    }
}

/// Whether the ledger itself lets it start, without anything that stands in.
fn is_vouched(trust: &Trust, records: &[Record], chain: &ChainId, now: u64) -> bool {
    standing(trust, records, Some(chain), now).response != Response::Deny
}

/// What the gate itself would say of one more start, apart from what only a start shows.
fn judge(gate: &GateBin, (config, chain): Bound, subject: &Subject, answer: &Answer) -> Verdict {
    let image = subject.image.as_ref();
    let ran_before = || Identity {
        config,
        chain: Some(chain),
        manifest: None,
        engine: EngineKind::Docker,
    };
    let identity = image.map_or_else(ran_before, |image| image.identity.clone());
    let chain_of_config = match (gate.may_stand_in(&config, answer.now), image) {
        (false, _) => None,
        (true, Some(image)) => image.chain_of_config().ok(),
        // It was bound to these layers when it ran.
        (true, None) => Some(chain),
    };
    let case = Case {
        identity: &identity,
        records: Ok(&answer.records),
        freshness: answer.freshness.as_ref().copied(),
        chain_of_config,
        pause: image.is_some_and(|image| image.pause),
        facts: &Facts::none(),
        now: answer.now,
    };
    decide(gate, &case)
}

/// Images of the floor that somebody took something back about: they do not start.
fn withdrawn_floor(gate: &GateBin, opened: &Opened) -> Vec<Affected> {
    let withdrawn = |config: &Digest| {
        let answer = opened.ask(&Key::of(Kind::Config, config)).ok()?;
        let word = standing(&gate.trust, &answer.records, None, answer.now);
        let withdrawn = matches!(
            word.status,
            Status::Untrusted | Status::Unsupported | Status::Revoked
        );
        (withdrawn && word.response == Response::Deny).then(|| Affected {
            config: *config,
            containers: Vec::new(),
            reason: word.reason,
            held: false,
        })
    };
    gate.floor.iter().filter_map(withdrawn).collect()
}
