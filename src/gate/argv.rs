//! A runtime's command line, read exactly as the runtime reads it, or not at all.
//!
//! Owns the options of runc and crun on the verbs that are gated. Whatever
//! the gate and the runtime might read differently (an option that is not
//! known, abbreviated, repeated, or stands after the id) is refused there;
//! every other verb passes through, whatever stands behind it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::engine::{RuntimeKind, Start, Verb};
use crate::verdict::{ReasonCode, Undecided};

/// A runtime's command line, as far as the gate understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The value of the global `--log`, where the engine looks for the reason of a failure.
    pub log: Option<PathBuf>,
    /// What is to be done.
    pub action: Action,
}

/// What a runtime is told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing that runs code: it passes through.
    Pass,
    /// Something that the gate has a say in, and what exactly, or why that is not clear.
    Gate(Verb, Result<Start, Undecided>),
}

/// How often an option may stand, and whether a value follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
    /// Values of which every one counts, so that none hides another.
    Values,
}

/// An option: long name, short name, what follows.
struct Known(&'static str, Option<u8>, Takes);

/// Options that were read from one place.
#[derive(Debug, Default)]
struct Given<'a> {
    options: Vec<(&'static str, Option<&'a OsStr>)>,
}

/// What is the matter with a word, in a sentence about it.
struct Fault(String);

const RUNC_GLOBAL: &[Known] = &[
    Known("log", None, Takes::Value),
    Known("log-format", None, Takes::Value),
    Known("root", None, Takes::Value),
    Known("criu", None, Takes::Value),
    Known("rootless", None, Takes::Value),
    Known("debug", None, Takes::Nothing),
    Known("systemd-cgroup", None, Takes::Nothing),
];

const CRUN_GLOBAL: &[Known] = &[
    Known("log", None, Takes::Value),
    Known("log-format", None, Takes::Value),
    Known("log-level", None, Takes::Value),
    Known("root", None, Takes::Value),
    Known("rootless", None, Takes::Value),
    Known("cgroup-manager", None, Takes::Value),
    Known("debug", None, Takes::Nothing),
    Known("systemd-cgroup", None, Takes::Nothing),
];

/// `create` and `run`. What only one runtime or verb knows, the runtime itself refuses elsewhere.
/// crun's `--config` is missing on purpose: it names another configuration than the one that is judged.
const CREATE: &[Known] = &[
    Known("bundle", Some(b'b'), Takes::Value),
    Known("console-socket", None, Takes::Value),
    Known("pidfd-socket", None, Takes::Value),
    Known("pid-file", None, Takes::Value),
    Known("preserve-fds", None, Takes::Value),
    Known("no-pivot", None, Takes::Nothing),
    Known("no-new-keyring", None, Takes::Nothing),
    Known("no-subreaper", None, Takes::Nothing),
    Known("detach", Some(b'd'), Takes::Nothing),
    Known("keep", None, Takes::Nothing),
];

const RESTORE: &[Known] = &[
    Known("bundle", Some(b'b'), Takes::Value),
    Known("console-socket", None, Takes::Value),
    Known("pid-file", None, Takes::Value),
    Known("image-path", None, Takes::Value),
    Known("work-path", None, Takes::Value),
    Known("manage-cgroups-mode", None, Takes::Value),
    Known("lsm-profile", None, Takes::Value),
    Known("lsm-mount-context", None, Takes::Value),
    Known("empty-ns", None, Takes::Values),
    Known("detach", Some(b'd'), Takes::Nothing),
    Known("tcp-established", None, Takes::Nothing),
    Known("ext-unix-sk", None, Takes::Nothing),
    Known("shell-job", None, Takes::Nothing),
    Known("file-locks", None, Takes::Nothing),
    Known("no-subreaper", None, Takes::Nothing),
    Known("no-pivot", None, Takes::Nothing),
    Known("auto-dedup", None, Takes::Nothing),
    Known("lazy-pages", None, Takes::Nothing),
];

const EXEC: &[Known] = &[
    Known("console-socket", None, Takes::Value),
    Known("pidfd-socket", None, Takes::Value),
    Known("pid-file", None, Takes::Value),
    Known("preserve-fds", None, Takes::Value),
    Known("process", Some(b'p'), Takes::Value),
    Known("process-label", None, Takes::Value),
    Known("apparmor", None, Takes::Value),
    Known("cgroup", None, Takes::Values),
    Known("cwd", None, Takes::Value),
    Known("user", Some(b'u'), Takes::Value),
    Known("env", Some(b'e'), Takes::Values),
    Known("cap", Some(b'c'), Takes::Values),
    Known("additional-gids", Some(b'g'), Takes::Values),
    Known("tty", Some(b't'), Takes::Nothing),
    Known("detach", Some(b'd'), Takes::Nothing),
    Known("no-new-privs", None, Takes::Nothing),
    Known("ignore-paused", None, Takes::Nothing),
];

/// Reads the words after the runtime's name. `cwd` is what relative paths are relative to.
#[must_use]
pub fn parse(runtime: RuntimeKind, words: &[OsString], cwd: &Path) -> CommandLine {
    let global = match runtime {
        RuntimeKind::Runc => RUNC_GLOBAL,
        RuntimeKind::Crun => CRUN_GLOBAL,
    };
    let mut rest = words;
    let globals = options(runtime, global, &mut rest);
    let log = globals.as_ref().ok().and_then(|given| given.value("log"));
    let log = log.and_then(|value| log_file(runtime, &value, cwd));
    let Some((verb, after)) = verb_of(rest, globals.is_err()) else {
        let action = Action::Pass;
        return CommandLine { log, action };
    };
    let start = globals.and_then(|globals| start(runtime, verb, &globals, after, cwd));
    let start = start.map_err(|Fault(fault)| {
        let detail = format!(
            "the command line of '{}' is not clear: {fault}",
            verb.as_str()
        );
        let hint = "write every option in full, once, and before the container's id";
        Undecided::new(ReasonCode::Argv, detail, hint)
    });
    let action = Action::Gate(verb, start);
    CommandLine { log, action }
}

/// crun also logs to the journal and to syslog, which engines do not read back.
fn log_file(runtime: RuntimeKind, value: &Path, cwd: &Path) -> Option<PathBuf> {
    let text = value.to_str().filter(|_| runtime == RuntimeKind::Crun);
    match text.and_then(|text| text.split_once(':')) {
        Some(("file", path)) => Some(cwd.join(path)),
        Some(("journald" | "syslog", _)) => None,
        _ => Some(cwd.join(value)),
    }
}

/// The verb, if it is one that the gate has a say in, and what follows it.
///
/// When the global options are not understood, any word could be the verb.
fn verb_of(words: &[OsString], unclear: bool) -> Option<(Verb, &[OsString])> {
    if unclear {
        // `exec` may be permitted unseen, so it counts only where nothing else could be meant.
        let all = words.iter().filter_map(|word| verb(word));
        return all
            .min_by_key(|verb| *verb == Verb::Exec)
            .map(|verb| (verb, &[][..]));
    }
    let (word, after) = words.split_first()?;
    let verb = verb(word)?;
    let asks_for_help = |word: &OsString| word == "--help" || word == "-h";
    match after {
        [only] if asks_for_help(only) => None,
        _ => Some((verb, after)),
    }
}

fn verb(word: &OsStr) -> Option<Verb> {
    use Verb::{Create, Exec, Restore, Run, Start};
    [Create, Run, Start, Restore, Exec]
        .into_iter()
        .find(|verb| word == verb.as_str())
}

fn start(
    runtime: RuntimeKind,
    verb: Verb,
    globals: &Given<'_>,
    mut words: &[OsString],
    cwd: &Path,
) -> Result<Start, Fault> {
    let table = match verb {
        Verb::Create | Verb::Run => CREATE,
        Verb::Start | Verb::Hook => &[],
        Verb::Restore => RESTORE,
        Verb::Exec => EXEC,
    };
    let given = options(runtime, table, &mut words)?;
    let id = match words {
        [id] => id,
        [id, ..] if verb == Verb::Exec => id,
        [] => return Err(Fault("it has no container id".to_owned())),
        [_, extra, ..] => return Err(fault("stands after the container's id", extra)),
    };
    let bundle = match verb {
        Verb::Start | Verb::Exec | Verb::Hook => None,
        Verb::Create | Verb::Run | Verb::Restore => Some(
            given
                .value("bundle")
                .map_or_else(|| cwd.to_path_buf(), |path| cwd.join(path)),
        ),
    };
    Ok(Start {
        verb,
        id: container_id(id)?,
        bundle,
        runtime_root: globals.value("root").map(|path| cwd.join(path)),
        runtime,
        init: None,
    })
}

/// Takes the options off the front of `words`. On a fault, `words` is what remains to be looked at.
fn options<'a>(
    runtime: RuntimeKind,
    table: &[Known],
    words: &mut &'a [OsString],
) -> Result<Given<'a>, Fault> {
    let mut given = Given::default();
    while let Some((word, after)) = words.split_first() {
        let bytes = word.as_bytes();
        if !bytes.starts_with(b"-") || bytes == b"-" {
            break;
        }
        let (Known(name, _, takes), attached) =
            known(table, bytes).ok_or_else(|| fault("is no option that the gate knows", word))?;
        if *takes != Takes::Values && given.options.iter().any(|(other, _)| other == name) {
            return Err(fault("stands twice", word));
        }
        let (value, after) = match (takes, attached) {
            (Takes::Nothing, None) => (None, after),
            // Only Go's flags take a value here, and only these two mean anything.
            (Takes::Nothing, Some(value))
                if runtime == RuntimeKind::Runc && (value == "true" || value == "false") =>
            {
                (None, after)
            }
            (Takes::Nothing, Some(_)) => return Err(fault("takes no value", word)),
            (_, Some(value)) => (Some(value), after),
            (_, None) => {
                let (value, after) = after
                    .split_first()
                    .ok_or_else(|| fault("has no value", word))?;
                (Some(value.as_os_str()), after)
            }
        };
        given.options.push((name, value));
        *words = after;
    }
    Ok(given)
}

/// Finds `--name`, `--name=value` or `-n`; nothing else that a runtime may also understand.
fn known<'t, 'w>(table: &'t [Known], word: &'w [u8]) -> Option<(&'t Known, Option<&'w OsStr>)> {
    let Some(long) = word.strip_prefix(b"--") else {
        let [b'-', short] = word else { return None };
        let found = table.iter().find(|known| known.1 == Some(*short))?;
        return Some((found, None));
    };
    let equals = long.iter().position(|byte| *byte == b'=');
    let (name, value) = long.split_at(equals.unwrap_or(long.len()));
    let found = table.iter().find(|known| known.0.as_bytes() == name)?;
    Some((found, value.strip_prefix(b"=").map(OsStr::from_bytes)))
}

/// The id becomes part of paths, so it must be one name; both runtimes allow no others.
fn container_id(word: &OsStr) -> Result<String, Fault> {
    word.to_str()
        .filter(|id| is_container_id(id))
        .map(ToOwned::to_owned)
        .ok_or_else(|| fault("is no container id", word))
}

/// Whether a text is a container's id, and so one name in a path.
pub(super) fn is_container_id(id: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(byte);
    id.as_bytes().iter().all(plain) && !matches!(id, "" | "." | "..") && !id.starts_with('-')
}

fn fault(what: &str, word: &OsStr) -> Fault {
    Fault(format!("'{}' {what}", word.display()))
}

impl Given<'_> {
    fn value(&self, name: &str) -> Option<PathBuf> {
        self.options
            .iter()
            .find(|(other, _)| *other == name)
            .and_then(|(_, value)| value.map(PathBuf::from))
    }
}

#[cfg(test)]
#[path = "argv_tests.rs"]
mod tests;
