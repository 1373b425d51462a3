//! A low-level runtime's own state: which bundle a container was created from, and its first process.
//!
//! Owns where runc and crun keep it, and the two fields of it that are read.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{RuntimeKind, Start, trouble};
use crate::sys::file::read_capped;
use crate::verdict::{ReasonCode, Undecided};

/// Room for runc's whole libcontainer configuration with thousands of mounts.
const MAX_STATE_SIZE: u64 = 16 << 20;

#[derive(Deserialize)]
struct RuncState {
    config: RuncConfig,
    #[serde(default)]
    init_process_pid: u32,
}

#[derive(Deserialize)]
struct RuncConfig {
    #[serde(default)]
    labels: Vec<String>,
}

#[derive(Deserialize)]
struct CrunStatus {
    bundle: PathBuf,
    #[serde(default)]
    pid: u32,
}

/// What a runtime's state says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where the container was created from.
    pub bundle: PathBuf,
    /// Its first process; 0 when there is none.
    pub pid: u32,
}

/// Finds the bundle that `start.id` was created from.
///
/// # Errors
/// `unreadable` when the runtime does not know the container, or says no bundle.
pub fn bundle_of(start: &Start) -> Result<PathBuf, Undecided> {
    let (path, state) = read(start)?;
    let bundle = state
        .map(|state| state.bundle)
        .filter(|bundle| bundle.is_absolute());
    bundle.ok_or_else(|| {
        let detail = format!("the runtime's state '{}' names no bundle", path.display());
        Undecided::new(ReasonCode::Unreadable, detail, "create the container again")
    })
}

/// Finds the first process of `start.id`, which was created and runs no code of an image yet.
///
/// # Errors
/// `unreadable` when the runtime does not know the container, or says no process.
pub fn init_of(start: &Start) -> Result<u32, Undecided> {
    let (path, state) = read(start)?;
    let pid = state.map(|state| state.pid).filter(|pid| *pid != 0);
    pid.ok_or_else(|| {
        let detail = format!("the runtime's state '{}' names no process", path.display());
        Undecided::new(ReasonCode::Unreadable, detail, "create the container again")
    })
}

fn read(start: &Start) -> Result<(PathBuf, Option<State>), Undecided> {
    let (default, file) = match start.runtime {
        RuntimeKind::Runc => ("/run/runc", "state.json"),
        RuntimeKind::Crun => ("/run/crun", "status"),
    };
    let root = start
        .runtime_root
        .as_deref()
        .unwrap_or_else(|| Path::new(default));
    let path = root.join(&start.id).join(file);
    let bytes = read_capped(&path, MAX_STATE_SIZE)
        .map_err(|error| trouble::unreadable("the runtime's state", &path, &error))?;
    let state = parse(start.runtime, &bytes);
    Ok((path, state))
}

/// Parses a runtime's state. `None` when it is not what that runtime writes, or names no bundle or several.
#[must_use]
pub fn parse(runtime: RuntimeKind, bytes: &[u8]) -> Option<State> {
    match runtime {
        // What a state lacks or spells differently is told by the caller as a whole.
        RuntimeKind::Crun => serde_json::from_slice::<CrunStatus>(bytes)
            .ok()
            .map(|CrunStatus { bundle, pid }| State { bundle, pid }),
        RuntimeKind::Runc => {
            let state: RuncState = serde_json::from_slice(bytes).ok()?;
            let mut bundles = state
                .config
                .labels
                .iter()
                .filter_map(|label| label.strip_prefix("bundle="));
            // An annotation may be spelled like the label; runc itself writes exactly one.
            match (bundles.next(), bundles.next()) {
                (Some(bundle), None) => Some(State {
                    bundle: bundle.into(),
                    pid: state.init_process_pid,
                }),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{State, parse};
    use crate::engine::RuntimeKind::{Crun, Runc};

    #[test]
    fn finds_bundle_and_process_of_either_runtime() {
        for (runtime, text, state) in [
            (
                Runc,
                r#"{"id":"x","init_process_pid":9,"config":{"labels":["a=b","bundle=/run/b"]}}"#,
                Some(("/run/b", 9)),
            ),
            (Runc, r#"{"id":"x","config":{"labels":["a=b"]}}"#, None),
            (
                Runc,
                r#"{"config":{"labels":["bundle=/forged","bundle=/run/b"]}}"#,
                None,
            ),
            (
                Runc,
                r#"{"config":{"labels":["bundle=/run/b"]}}"#,
                Some(("/run/b", 0)),
            ),
            (Runc, r#"{"id":"x"}"#, None),
            (
                Crun,
                r#"{"pid":7,"bundle":"/run/b","rootfs":"/r"}"#,
                Some(("/run/b", 7)),
            ),
            (Crun, r#"{"pid":7}"#, None),
            (Crun, "", None),
        ] {
            assert_eq!(
                parse(runtime, text.as_bytes()),
                state.map(|(bundle, pid)| State {
                    bundle: bundle.into(),
                    pid
                }),
                "{text}"
            );
        }
    }
}
