//! A low-level runtime's own state: which bundle a container was created from.
//!
//! Owns where runc and crun keep it, and the one field of it that is read.

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
}

#[derive(Deserialize)]
struct RuncConfig {
    #[serde(default)]
    labels: Vec<String>,
}

#[derive(Deserialize)]
struct CrunStatus {
    bundle: PathBuf,
}

/// Finds the bundle that `start.id` was created from.
///
/// # Errors
/// `unreadable` when the runtime does not know the container, or says no bundle.
pub fn bundle_of(start: &Start) -> Result<PathBuf, Undecided> {
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
    let bundle = parse(start.runtime, &bytes).filter(|bundle| bundle.is_absolute());
    bundle.ok_or_else(|| {
        let detail = format!("the runtime's state '{}' names no bundle", path.display());
        Undecided::new(ReasonCode::Unreadable, detail, "create the container again")
    })
}

fn parse(runtime: RuntimeKind, bytes: &[u8]) -> Option<PathBuf> {
    match runtime {
        // What a state lacks or spells differently is told by the caller as a whole.
        RuntimeKind::Crun => serde_json::from_slice::<CrunStatus>(bytes)
            .ok()
            .map(|status| status.bundle),
        RuntimeKind::Runc => {
            let state: RuncState = serde_json::from_slice(bytes).ok()?;
            let mut bundles = state
                .config
                .labels
                .iter()
                .filter_map(|label| label.strip_prefix("bundle="));
            // An annotation may be spelled like the label; runc itself writes exactly one.
            match (bundles.next(), bundles.next()) {
                (Some(bundle), None) => Some(bundle.into()),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::parse;
    use crate::engine::RuntimeKind::{Crun, Runc};

    #[test]
    fn finds_the_bundle_of_either_runtime() {
        for (runtime, text, bundle) in [
            (
                Runc,
                r#"{"id":"x","config":{"labels":["a=b","bundle=/run/b"]}}"#,
                Some("/run/b"),
            ),
            (Runc, r#"{"id":"x","config":{"labels":["a=b"]}}"#, None),
            (
                Runc,
                r#"{"config":{"labels":["bundle=/forged","bundle=/run/b"]}}"#,
                None,
            ),
            (Runc, r#"{"id":"x"}"#, None),
            (
                Crun,
                r#"{"pid":7,"bundle":"/run/b","rootfs":"/r"}"#,
                Some("/run/b"),
            ),
            (Crun, r#"{"pid":7}"#, None),
            (Crun, "", None),
        ] {
            assert_eq!(
                parse(runtime, text.as_bytes()),
                bundle.map(PathBuf::from),
                "{text}"
            );
        }
    }
}
