//! The gate as a runtime: reads the command line of runc or crun, judges what it would start, and becomes the real one.
//!
//! Owns the order of things between the engine's call and the real runtime.
//! Every verb that starts nothing passes through, even when nothing can be decided.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use super::argv::{self, Action};
use super::judged::{Judged, judge, load};
use super::real;
use super::refusal::{Refusal, words};
use crate::engine::RuntimeKind;
use crate::policy::gatebin::GateBin;
use crate::sys::exec;
use crate::verdict::{Reason, ReasonCode, Undecided, exit};

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
        Action::Gate(verb, start) => {
            let id = start
                .as_ref()
                .map_or("", |start| start.id.as_str())
                .to_owned();
            judge(verb, &id, start, gate.as_ref(), begun)
        }
    };
    match verdict {
        Judged::Start => become_real(&call, gate.ok().as_ref(), line.log.as_deref()),
        Judged::Refuse(refusal) => {
            refusal.tell(line.log.as_deref());
            ExitCode::from(exit::REFUSED)
        }
    }
}

fn become_real(call: &Call, gate: Option<&GateBin>, log: Option<&Path>) -> ExitCode {
    let configured = gate.map(|gate| match call.runtime {
        RuntimeKind::Runc => gate.runtimes.runc.as_path(),
        RuntimeKind::Crun => gate.runtimes.crun.as_path(),
    });
    let words = call.words.iter().cloned();
    let arguments: Vec<OsString> = std::iter::once(call.name.clone()).chain(words).collect();
    let mut why = "there is none beside vcn-hook itself".to_owned();
    // Between finding and becoming it, `configure` or a package's upgrade may give it another name.
    for _ in 0..2 {
        let Some(program) = real::find(call.runtime, configured) else {
            break;
        };
        match exec::replace(&program, &arguments) {
            Ok(never) => match never {},
            Err(error) => {
                why = format!("'{}': {}", program.display(), self::words(&error));
            }
        }
    }
    let detail = format!("cannot run the real {}: {why}", call.runtime.as_str());
    let hint = "name it in [runtime] of config.toml and run 'vcn-hook apply'";
    let reason = Reason::new(ReasonCode::Configuration, detail, hint);
    Refusal::of("", None, &reason).tell(log);
    ExitCode::from(exit::REFUSED)
}
