//! The gate as an OCI hook: the container's state on standard input, the answer as the exit status.
//!
//! Owns the state (runtime-spec, `runtime.md`) and what of it is believed:
//! which container of which bundle, and which process. The rest is read where
//! only root writes. runc and crun run hooks of the stages `prestart` and
//! `createRuntime` when everything is mounted and no code of the image runs;
//! at later stages the state is another one, and is refused.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use oci_spec::runtime::{ContainerState, State};

use super::argv::is_container_id;
use super::judged::{Judged, judge, load};
use super::refusal::words;
use crate::engine::{RuntimeKind, Start, Verb};
use crate::verdict::{ReasonCode, Undecided, exit};

/// Room for more annotations than any orchestrator lets through.
const MAX_STATE_SIZE: u64 = 4 << 20;

/// How the hook was called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The words after `hook`, of which there are none.
    pub words: Vec<OsString>,
    /// The directory of gate.bin, or why it is not known.
    pub state_dir: Result<PathBuf, Undecided>,
}

/// Judges the container whose state is on standard input. Success lets the runtime go on.
#[must_use]
pub fn run(call: &Call) -> ExitCode {
    let begun = Instant::now();
    let state = match call.words.as_slice() {
        [] => read().and_then(|bytes| parse(&bytes)),
        [word, ..] => Err(Undecided::new(
            ReasonCode::Argv,
            format!(
                "'{}' stands after 'hook', which takes no arguments",
                word.display()
            ),
            "see the arguments of the hook where it is configured",
        )),
    };
    let id = state
        .as_ref()
        .map_or_else(|_| String::new(), |state| state.id().clone());
    let start = state.and_then(|state| start(&state));
    let gate = call
        .state_dir
        .as_deref()
        .map_err(Clone::clone)
        .and_then(load);
    match judge(Verb::Hook, &id, start, gate.as_ref(), begun) {
        Judged::Start => ExitCode::from(exit::OK),
        Judged::Refuse(refusal) => {
            // runc shows it; crun drops it, and with an annotation writes it to a file of a client's choice.
            refusal.tell(None);
            ExitCode::from(exit::REFUSED)
        }
    }
}

fn read() -> Result<Vec<u8>, Undecided> {
    let mut bytes = Vec::new();
    let mut input = io::stdin().lock().take(MAX_STATE_SIZE + 1);
    match input.read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 <= MAX_STATE_SIZE => Ok(bytes),
        Ok(_) => Err(unclear(&format!(
            "it is longer than {MAX_STATE_SIZE} bytes"
        ))),
        Err(error) => Err(unclear(&words(&error))),
    }
}

/// Parses the state that a runtime gives its hooks.
///
/// # Errors
/// `unreadable` for anything else.
pub fn parse(bytes: &[u8]) -> Result<State, Undecided> {
    let state: State =
        serde_json::from_slice(bytes).map_err(|error| unclear(&error.to_string()))?;
    // It becomes part of paths, and of the record of a refusal for any other reason.
    if !is_container_id(state.id()) {
        return Err(unclear("it names no container"));
    }
    Ok(state)
}

fn start(state: &State) -> Result<Start, Undecided> {
    match state.status() {
        // runc says the one, crun the other, in the very same stages.
        ContainerState::Creating | ContainerState::Created => {}
        late => {
            return Err(unclear(&format!(
                "the container is {late}: a hook of stage 'prestart' or 'createRuntime' would see it before"
            )));
        }
    }
    let init = state
        .pid()
        .and_then(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid > 0);
    let init = init.ok_or_else(|| unclear("it names no process"))?;
    if !state.bundle().is_absolute() {
        return Err(unclear("it names no bundle by an absolute path"));
    }
    Ok(Start {
        verb: Verb::Hook,
        id: state.id().clone(),
        bundle: Some(state.bundle().clone()),
        runtime_root: None,
        // Whichever it is, its own state is not read: the hook was told all of it.
        runtime: RuntimeKind::Runc,
        init: Some(init),
    })
}

fn unclear(why: &str) -> Undecided {
    let detail = format!("the container's state on standard input is not clear: {why}");
    let hint = "let runc or crun call this hook, at stage 'createRuntime' or 'prestart'";
    Undecided::new(ReasonCode::Unreadable, detail, hint)
}

#[cfg(test)]
mod tests {
    use super::{Start, Verb, parse, start};
    use crate::engine::RuntimeKind;
    use crate::verdict::{ReasonCode, Undecided};

    fn read(text: &str) -> Result<Start, Undecided> {
        parse(text.as_bytes()).and_then(|state| start(&state))
    }

    #[test]
    fn understands_what_runc_and_crun_write() {
        for text in [
            r#"{"ociVersion":"1.0.2-dev","id":"x","status":"creating","pid":9,"bundle":"/b","annotations":{"bundle":"/forged"}}"#,
            r#"{"ociVersion":"1.0","id":"x","pid":9,"root":"rootfs","bundle":"/b","status":"created"}"#,
        ] {
            let expected = Start {
                verb: Verb::Hook,
                id: "x".to_owned(),
                bundle: Some("/b".into()),
                runtime_root: None,
                runtime: RuntimeKind::Runc,
                init: Some(9),
            };
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_every_other_state() {
        for text in [
            "",
            "{",
            "null",
            "[]",
            r#"{"id":"x","status":"creating","pid":9,"bundle":"/b"}{}"#,
            r#"{"id":"x","id":"y","status":"creating","pid":9,"bundle":"/b"}"#,
            r#"{"id":"x","status":"creating","pid":9,"bundle":"/b","bundle":"/c"}"#,
            r#"{"id":"../x","status":"creating","pid":9,"bundle":"/b"}"#,
            r#"{"id":"","status":"creating","pid":9,"bundle":"/b"}"#,
            r#"{"id":7,"status":"creating","pid":9,"bundle":"/b"}"#,
            r#"{"status":"creating","pid":9,"bundle":"/b"}"#,
            r#"{"id":"x","status":"running","pid":9,"bundle":"/b"}"#,
            r#"{"id":"x","status":"stopped","pid":9,"bundle":"/b"}"#,
            r#"{"id":"x","status":"paused","pid":9,"bundle":"/b"}"#,
            r#"{"id":"x","pid":9,"bundle":"/b"}"#,
            r#"{"id":"x","status":"created","bundle":"/b"}"#,
            r#"{"id":"x","status":"created","pid":0,"bundle":"/b"}"#,
            r#"{"id":"x","status":"created","pid":-1,"bundle":"/b"}"#,
            r#"{"id":"x","status":"created","pid":99999999999,"bundle":"/b"}"#,
            r#"{"id":"x","status":"created","pid":9}"#,
            r#"{"id":"x","status":"created","pid":9,"bundle":"b"}"#,
        ] {
            let code = read(text).map_err(|undecided| undecided.0.code);
            assert_eq!(code, Err(ReasonCode::Unreadable), "{text}");
        }
    }
}
