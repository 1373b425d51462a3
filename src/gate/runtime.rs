//! The gate as a runtime: reads the command line of runc or crun, judges what it would start, and becomes the real one.
//!
//! Owns the order of things between the engine's call and the real runtime.
//! Every verb that starts nothing passes through, even when nothing can be decided.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::argv::{self, Action};
use super::real;
use super::refusal::{Refusal, words};
use crate::audit::{self, Decision, Sinks, Subject};
use crate::engine::{RuntimeKind, Start, Verb};
use crate::pipeline;
use crate::policy::decide::{enforced, on_failure};
use crate::policy::gatebin::{GateBin, MAX_GATEBIN_SIZE, Response};
use crate::sys::file::read_owned;
use crate::sys::{clock, exec, journal};
use crate::verdict::{Reason, ReasonCode, Undecided, Verdict, exit};

/// How a runtime was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The name that it was called by, which the real one is called by too.
    pub name: OsString,
    /// Whose command line it is.
    pub runtime: RuntimeKind,
    /// The words after the name.
    pub words: Vec<OsString>,
    /// The directory of gate.bin, or why it is not known.
    pub state_dir: Result<PathBuf, Undecided>,
}

/// Judges what the call would start, then becomes the real runtime. Returns only to refuse.
pub fn run(call: Call) -> ExitCode {
    let begun = Instant::now();
    // Only relative paths need it, and what they lead to without it is not there.
    let cwd = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let line = argv::parse(call.runtime, &call.words, &cwd);
    let gate = call
        .state_dir
        .as_deref()
        .map_err(Clone::clone)
        .and_then(load);
    let verdict = match line.action {
        Action::Pass => return become_real(&call, gate.ok().as_ref(), line.log.as_deref()),
        Action::Gate(verb, start) => judge(verb, start, gate.as_ref(), begun),
    };
    match verdict {
        Judged::Start => become_real(&call, gate.ok().as_ref(), line.log.as_deref()),
        Judged::Refuse(refusal) => {
            refusal.tell(line.log.as_deref());
            ExitCode::from(exit::REFUSED)
        }
    }
}

enum Judged {
    Start,
    Refuse(Refusal),
}

fn judge(
    verb: Verb,
    start: Result<Start, Undecided>,
    gate: Result<&GateBin, &Undecided>,
    begun: Instant,
) -> Judged {
    let now = clock::now();
    let gate = match gate {
        Ok(gate) => gate,
        // Exec starts no container: without a word against it, it is like any other verb.
        Err(_) if verb == Verb::Exec => return Judged::Start,
        Err(Undecided(reason)) => {
            let verdict = Verdict::Deny(reason.clone());
            let id = start.as_ref().map_or("", |start| start.id.as_str());
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
    let (verdict, container, id) = match start {
        Ok(start) => {
            let judgement = pipeline::judge(&start, gate, now);
            (judgement.verdict, judgement.container, start.id)
        }
        Err(undecided) => {
            let decided = on_failure(gate, undecided);
            let verdict = enforced(gate.mode, decided.clone());
            let mode = Mode::of(gate, verdict != decided);
            record(&verdict, mode, verb, "", now, begun.elapsed());
            (verdict, None, String::new())
        }
    };
    match verdict {
        Verdict::Allow(_) | Verdict::Warn(_) => Judged::Start,
        Verdict::Deny(reason) => Judged::Refuse(Refusal::of(&id, container.as_ref(), &reason)),
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
        duration: took,
    };
    audit::record(&decision, &mode.sinks);
}

/// Reads gate.bin, which only root can have written.
fn load(state_dir: &Path) -> Result<GateBin, Undecided> {
    let path = state_dir.join("gate.bin");
    let cannot = |why: String| {
        let detail = format!("cannot use '{}': {why}", path.display());
        let hint = "run 'vcn-hook apply' as root";
        Undecided::new(ReasonCode::Configuration, detail, hint)
    };
    let bytes = read_owned(&path, MAX_GATEBIN_SIZE).map_err(|error| cannot(words(&error)))?;
    GateBin::decode(&bytes).map_err(|error| cannot(error.to_string()))
}

fn become_real(call: &Call, gate: Option<&GateBin>, log: Option<&Path>) -> ExitCode {
    let configured = gate.map(|gate| match call.runtime {
        RuntimeKind::Runc => gate.runtimes.runc.as_path(),
        RuntimeKind::Crun => gate.runtimes.crun.as_path(),
    });
    let why = match real::find(call.runtime, configured) {
        None => "there is none beside vcn-hook itself".to_owned(),
        Some(program) => {
            let words = call.words.iter().cloned();
            let arguments: Vec<OsString> =
                std::iter::once(call.name.clone()).chain(words).collect();
            match exec::replace(&program, &arguments) {
                Ok(never) => match never {},
                Err(error) => format!("'{}': {}", program.display(), self::words(&error)),
            }
        }
    };
    let detail = format!("cannot run the real {}: {why}", call.runtime.as_str());
    let hint = "name it in [runtime] of config.toml and run 'vcn-hook apply'";
    let reason = Reason::new(ReasonCode::Configuration, detail, hint);
    Refusal::of("", None, &reason).tell(log);
    ExitCode::from(exit::REFUSED)
}
