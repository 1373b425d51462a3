//! The decision, start to finish. Read this file first.
//!
//! Owns the order of the stages and nothing else: each stage is one call into
//! the module that knows how. What a failure means is the policy's to say.

mod answer;
mod places;
mod running;

use std::time::Instant;

use crate::audit::{self, Decision, Subject};
use crate::engine::{self, Container, Start, Verb};
use crate::policy::decide::{Case, decide, enforced, exec_into_pause, of_exec, on_failure};
use crate::policy::gatebin::{GateBin, Response};
use crate::verdict::{Undecided, Verdict};

pub use answer::{Answer, Opened, ask, consult, note};
pub use places::engines;
use places::{guarded, sinks};
pub use running::of_running;

/// What came of one start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a judgement that is not acted on lets everything start"]
pub struct Judgement {
    /// What is to be done: in audit mode a refusal has become a warning.
    pub verdict: Verdict,
    /// What it is about, if an engine's record and the mounted layers agree on it.
    pub container: Option<Container>,
}

/// Whether one more process in this container is to be judged although `[exec]` says nothing of it.
#[must_use]
pub fn must_judge(exec: &Start, gate: &GateBin) -> bool {
    engine::storage::may_be_pause(exec, &gate.engines.storage_roots)
}

/// The runtime's process: a hook is its child, any other gate becomes it.
#[must_use]
pub fn runtime_of(verb: Verb) -> u32 {
    match verb {
        Verb::Hook => std::os::unix::process::parent_id(),
        _ => std::process::id(),
    }
}

/// Judges one start and records the answer. `now` is in Unix seconds.
pub fn judge(start: &Start, gate: &GateBin, now: u64) -> Judgement {
    let begun = Instant::now();
    let mut seen = Seen::default();
    let decided =
        weigh(start, gate, now, &mut seen).unwrap_or_else(|undecided| on_failure(gate, undecided));
    let decided = match start.verb {
        Verb::Exec => of_exec(gate, decided),
        Verb::Create | Verb::Run | Verb::Start | Verb::Restore | Verb::Hook => decided,
    };
    let verdict = enforced(gate.mode, decided.clone());
    let decision = Decision {
        time: now,
        verdict: &verdict,
        would_deny: verdict != decided,
        mode: gate.mode.as_str(),
        verb: start.verb.as_str(),
        subject: seen.subject(start),
        allowlist: seen.allowlist,
        runtime: runtime_of(start.verb),
        duration: begun.elapsed(),
    };
    let sinks = sinks(gate);
    // A runtime that is itself a gate has recorded this start, if both say the same.
    if start.verb != Verb::Hook || !audit::is_on_record(&decision, &sinks) {
        // A record that cannot be written never changes the verdict; it is counted.
        audit::record(&decision, &sinks);
    }
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
    if start.verb == Verb::Exec && container.pause {
        return Ok(exec_into_pause());
    }
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
    // A clock that was set back makes nothing valid again that has ended.
    let now = answer.as_ref().map_or(now, |answer| answer.now);
    // Only what stands in for a missing word needs the config's own word about its layers.
    let chain_of_config = match gate.may_stand_in(&config, now) {
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
        pause: container.pause,
        facts: &facts,
        now,
    };
    Ok(decide(gate, &case))
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
