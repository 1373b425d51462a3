//! The entrances that engines use.
//!
//! Owns how a start arrives and how its verdict is carried out. Decides
//! nothing: that is `pipeline`'s. No network code is reachable from here.

pub mod argv;
pub mod hook;
mod judged;
pub mod real;
pub mod refusal;
mod rootless;
pub mod runtime;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Deserialize;

use crate::engine::RuntimeKind;
use crate::sys::file::read_owned;
use crate::verdict::{ReasonCode, Undecided};

/// Where gate.bin is unless `-c` names a file that says otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/vcn-hook";

/// Room for a config.toml that lists every image of a large site.
const MAX_CONFIG_SIZE: u64 = 4 << 20;

/// The one line of config.toml that the gate reads, and only when `-c` names the file.
#[derive(Deserialize)]
struct Config {
    state_dir: Option<PathBuf>,
}

/// The way in that an engine took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entrance {
    /// In the place of a runtime.
    Runtime(runtime::Call),
    /// As a hook that a runtime calls.
    Hook(hook::Call),
}

impl Entrance {
    /// Judges, and does what the verdict says.
    #[must_use]
    pub fn enter(self) -> ExitCode {
        match self {
            Self::Runtime(call) => runtime::run(call),
            Self::Hook(call) => hook::run(&call),
        }
    }
}

/// Takes the command line if it is the gate's: called as `runc` or `crun`, or
/// `vcn-hook [-c FILE] runtime [[runc|crun] --] ARGUMENTS`, or `vcn-hook [-c FILE] hook`.
/// `None` if it is for people.
///
/// As `runc` or `crun` no word of it is ours.
#[must_use]
pub fn entrance(words: &[OsString]) -> Option<Entrance> {
    let (name, rest) = words.split_first()?;
    if let Some(runtime) = named(Path::new(name).file_name()?) {
        return Some(Entrance::Runtime(runtime::Call {
            name: name.clone(),
            runtime,
            words: rest.to_vec(),
            state_dir: Ok(DEFAULT_STATE_DIR.into()),
        }));
    }
    let (config, rest) = config_option(rest);
    let state_dir = || config.map_or_else(|| Ok(DEFAULT_STATE_DIR.into()), state_dir);
    if let Some(rest) = after(rest, "hook") {
        return Some(Entrance::Hook(hook::Call {
            words: rest.to_vec(),
            state_dir: state_dir(),
        }));
    }
    let rest = after(rest, "runtime")?;
    let (runtime, rest) = match rest {
        [word, dashes, rest @ ..] if dashes == "--" => (named(word)?, rest),
        [dashes, rest @ ..] if dashes == "--" => (RuntimeKind::Runc, rest),
        rest => (RuntimeKind::Runc, rest),
    };
    Some(Entrance::Runtime(runtime::Call {
        name: runtime.as_str().into(),
        runtime,
        words: rest.to_vec(),
        state_dir: state_dir(),
    }))
}

fn named(name: &OsStr) -> Option<RuntimeKind> {
    [RuntimeKind::Runc, RuntimeKind::Crun]
        .into_iter()
        .find(|runtime| name == runtime.as_str())
}

fn after<'a>(words: &'a [OsString], word: &str) -> Option<&'a [OsString]> {
    let (first, rest) = words.split_first()?;
    (first == word).then_some(rest)
}

fn config_option(words: &[OsString]) -> (Option<&Path>, &[OsString]) {
    match words {
        [option, file, rest @ ..] if option == "-c" || option == "--config" => {
            (Some(Path::new(file)), rest)
        }
        [option, rest @ ..] => match option.to_str().and_then(|o| o.strip_prefix("--config=")) {
            Some(file) => (Some(Path::new(file)), rest),
            None => (None, words),
        },
        [] => (None, words),
    }
}

fn state_dir(config: &Path) -> Result<PathBuf, Undecided> {
    let cannot = |why: String| {
        let detail = format!("cannot use '{}': {why}", config.display());
        let hint = "run 'vcn-hook config check'";
        Undecided::new(ReasonCode::Configuration, detail, hint)
    };
    let absolute = std::path::absolute(config).map_err(|error| cannot(error.to_string()))?;
    let bytes =
        read_owned(&absolute, MAX_CONFIG_SIZE).map_err(|error| cannot(refusal::words(&error)))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| cannot("it is not UTF-8".to_owned()))?;
    let config: Config =
        toml::from_str(text).map_err(|error| cannot(error.message().to_owned()))?;
    Ok(config.state_dir.unwrap_or_else(|| DEFAULT_STATE_DIR.into()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{DEFAULT_STATE_DIR, Entrance, ReasonCode, entrance, hook, runtime};
    use crate::engine::RuntimeKind::{self, Crun, Runc};

    fn call(line: &str) -> Option<(String, RuntimeKind, Vec<OsString>)> {
        let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
        let call = as_runtime(entrance(&words)?)?;
        Some((
            call.name.into_string().expect("ASCII"),
            call.runtime,
            call.words,
        ))
    }

    fn as_runtime(entrance: Entrance) -> Option<runtime::Call> {
        match entrance {
            Entrance::Runtime(call) => Some(call),
            Entrance::Hook(_) => None,
        }
    }

    #[test]
    fn a_hook_is_told_by_its_first_word() {
        let hook = |words: &[&str], state_dir| {
            Some(Entrance::Hook(hook::Call {
                words: words.iter().map(Into::into).collect(),
                state_dir,
            }))
        };
        let default = || Ok(DEFAULT_STATE_DIR.into());
        for (line, expected) in [
            ("vcn-hook hook", hook(&[], default())),
            ("/usr/bin/vcn-hook hook now", hook(&["now"], default())),
            ("vcn-hook hooks", None),
            ("vcn hook", hook(&[], default())),
        ] {
            let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
            assert_eq!(entrance(&words), expected, "{line}");
        }
        assert!(
            call("runc hook").is_some(),
            "a runtime's name has no such word"
        );
    }

    #[test]
    fn engines_are_told_from_people() {
        for (line, expected) in [
            ("runc create -c x", Some(("runc", Runc, "create -c x"))),
            (
                "/usr/sbin/runc --version",
                Some(("/usr/sbin/runc", Runc, "--version")),
            ),
            ("/usr/bin/crun", Some(("/usr/bin/crun", Crun, ""))),
            (
                "runc runtime -- create",
                Some(("runc", Runc, "runtime -- create")),
            ),
            ("vcn-hook runtime -- run x", Some(("runc", Runc, "run x"))),
            (
                "vcn-hook runtime crun -- run x",
                Some(("crun", Crun, "run x")),
            ),
            (
                "vcn-hook -c /none runtime -- run x",
                Some(("runc", Runc, "run x")),
            ),
            (
                "vcn-hook --config=/none runtime -- x",
                Some(("runc", Runc, "x")),
            ),
            ("vcn-hook runtime run x", Some(("runc", Runc, "run x"))),
            ("vcn-hook runtime kata -- run x", None),
            ("vcn-hook verify x", None),
            ("vcn-hook", None),
            ("", None),
        ] {
            let expected = expected.map(|(name, runtime, words)| {
                let words = words.split_whitespace().map(Into::into).collect();
                (name.to_owned(), runtime, words)
            });
            assert_eq!(call(line), expected, "{line}");
        }
    }

    #[test]
    fn only_a_config_file_moves_the_state() {
        let words = [
            "vcn-hook",
            "-c",
            "/none/config.toml",
            "runtime",
            "--",
            "run",
        ];
        let call = entrance(&words.map(OsString::from)).and_then(as_runtime);
        let call = call.expect("it is the gate's");
        let code = call.state_dir.map_err(|undecided| undecided.0.code);
        assert_eq!(
            code,
            Err(ReasonCode::Configuration),
            "a missing file is not the default"
        );
        let call = entrance(&["runc".into()]).and_then(as_runtime);
        let call = call.expect("it is the gate's");
        assert_eq!(call.state_dir, Ok(DEFAULT_STATE_DIR.into()));
    }
}
