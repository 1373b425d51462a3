//! What both entrances do with a start: ask the pipeline, and have an answer when it cannot be asked.
//!
//! Owns what happens without gate.bin, or when it is not clear what is to start: both are refusals
//! on record.

use std::path::Path;
use std::time::{Duration, Instant};

use super::refusal::{Refusal, words};
use super::rootless;
use crate::audit::{self, Decision, Sinks, Subject};
use crate::engine::{Start, Verb};
use crate::pipeline;
use crate::policy::decide::{enforced, on_failure};
use crate::policy::gatebin::{GateBin, MAX_GATEBIN_SIZE, Response};
use crate::sys::file::read_owned;
use crate::sys::{clock, journal};
use crate::verdict::{ReasonCode, Undecided, Verdict};

/// What is to be done with a start.
pub(super) enum Judged {
    /// It goes on.
    Start,
    /// It does not, and this is to be told.
    Refuse(Refusal),
}

/// Judges a start, or the fact that it is not clear what is to start, and records the answer.
/// `id` is what it is called where that is all that is known of it.
pub(super) fn judge(
    verb: Verb,
    id: &str,
    start: Result<Start, Undecided>,
    gate: Result<&GateBin, &Undecided>,
    begun: Instant,
) -> Judged {
    if let Some(user) = rootless::is_rootless(gate) {
        rootless::record(&user, verb, id, start.as_ref().ok(), begun);
        return Judged::Start;
    }
    let now = clock::now();
    let gate = match gate {
        Ok(gate) => gate,
        // Exec starts no container: without a word against it, it is like any other verb.
        Err(_) if verb == Verb::Exec => return Judged::Start,
        Err(Undecided(reason)) => {
            let verdict = Verdict::Deny(reason.clone());
            record(&verdict, Mode::unknown(), verb, id, now, begun.elapsed());
            return Judged::Refuse(Refusal::of(id, None, reason));
        }
    };
    let unruled = verb == Verb::Exec && gate.rules.exec == Response::Allow;
    if unruled
        && !start
            .as_ref()
            .is_ok_and(|exec| pipeline::must_judge(exec, gate))
    {
        return Judged::Start;
    }
    let (verdict, container) = match start {
        Ok(start) => {
            let judgement = pipeline::judge(&start, gate, now);
            (judgement.verdict, judgement.container)
        }
        Err(undecided) => {
            let decided = on_failure(gate, undecided);
            let verdict = enforced(gate.mode, decided.clone());
            let mode = Mode::of(gate, verdict != decided);
            record(&verdict, mode, verb, id, now, begun.elapsed());
            (verdict, None)
        }
    };
    match verdict {
        Verdict::Allow(_) | Verdict::Warn(_) => Judged::Start,
        Verdict::Deny(reason) => Judged::Refuse(Refusal::of(id, container.as_ref(), &reason)),
    }
}

/// What a record says of the node, when nothing was judged.
struct Mode<'a> {
    name: &'a str,
    would_deny: bool,
    sinks: Sinks<'a>,
}

impl<'a> Mode<'a> {
    fn of(gate: &'a GateBin, would_deny: bool) -> Self {
        Self {
            name: gate.mode.as_str(),
            would_deny,
            sinks: Sinks {
                decisions: &gate.decisions,
                run_dir: &gate.run_dir,
                journal: Path::new(journal::SOCKET),
            },
        }
    }

    /// Without gate.bin, the places are those of a configuration that says nothing.
    fn unknown() -> Self {
        Self {
            name: "unknown",
            would_deny: false,
            sinks: Sinks {
                decisions: Path::new("/var/log/vcn-hook/decisions.jsonl"),
                run_dir: Path::new("/run/vcn-hook"),
                journal: Path::new(journal::SOCKET),
            },
        }
    }
}

fn record(verdict: &Verdict, mode: Mode<'_>, verb: Verb, id: &str, now: u64, took: Duration) {
    let decision = Decision {
        time: now,
        verdict,
        would_deny: mode.would_deny,
        mode: mode.name,
        verb: verb.as_str(),
        subject: Subject {
            id,
            ..Subject::default()
        },
        allowlist: None,
        runtime: pipeline::runtime_of(verb),
        duration: took,
    };
    audit::record(&decision, &mode.sinks);
}

/// Reads gate.bin, which only root can have written.
pub(super) fn load(state_dir: &Path) -> Result<GateBin, Undecided> {
    let path = state_dir.join("gate.bin");
    let cannot = |why: String| {
        let detail = format!("cannot use '{}': {why}", path.display());
        let hint = "run 'vcn-hook apply' as root";
        Undecided::new(ReasonCode::Configuration, detail, hint)
    };
    let bytes = read_owned(&path, MAX_GATEBIN_SIZE).map_err(|error| cannot(words(&error)))?;
    GateBin::decode(&bytes).map_err(|error| cannot(error.to_string()))
}
