//! Podman's own state of a container: whether it has ever been started.
//!
//! Owns the one bucket of `libpod/bolt_state.db` that is read (Podman up to 4,
//! and 5 where it was upgraded). A container about which nothing can be read,
//! such as in the `SQLite` database of a new Podman 5, counts as never started:
//! that is the stricter of the two.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::engine::bolt::{BoltError, Db, Tx};
use crate::sys::clock::parse_go_time;

/// Where Podman keeps what a reboot may take, unless it is told otherwise.
const RUN_ROOT: &str = "/run/containers/storage";

/// What Podman knows of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Whether it has ever run.
    pub started: bool,
    /// The root of what a reboot may take.
    pub run_root: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Record {
    started_time: String,
    run_dir: PathBuf,
}

/// Reads what Podman knows of container `id` of a graph root.
pub(super) fn state(root: &Path, id: &str) -> State {
    // Whatever is wrong with it, the container counts as never started.
    let bytes = read(&root.join("libpod/bolt_state.db"), id);
    parse(bytes.ok().flatten().as_deref().unwrap_or_default(), id)
}

fn read(path: &Path, id: &str) -> Result<Option<Vec<u8>>, BoltError> {
    let read = |tx: &Tx<'_>| -> Result<Option<Vec<u8>>, BoltError> {
        match tx.bucket(&[b"ctr", id.as_bytes()])? {
            Some(bucket) => bucket.value(b"state"),
            None => Ok(None),
        }
    };
    Db::open(path)?.read(read)
}

/// Parses the state of container `id`; whatever is wrong with it, the container counts as never started.
#[must_use]
pub fn parse(bytes: &[u8], id: &str) -> State {
    let record: Record = serde_json::from_slice(bytes).unwrap_or_default();
    let started = parse_go_time(&record.started_time).is_some();
    let suffix = Path::new("overlay-containers").join(id).join("userdata");
    let run_root = record
        .run_dir
        .ancestors()
        .nth(3)
        .filter(|root| root.join(&suffix) == record.run_dir)
        .unwrap_or_else(|| Path::new(RUN_ROOT));
    State {
        started,
        run_root: run_root.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::{State, parse};

    #[test]
    fn only_a_time_says_that_it_was_started() {
        let run = |text: &str| text.into();
        for (text, started, run_root) in [
            ("", false, run("/run/containers/storage")),
            ("{", false, run("/run/containers/storage")),
            (
                r#"{"startedTime":"0001-01-01T00:00:00Z","runDir":"/r/overlay-containers/abc/userdata"}"#,
                false,
                run("/r"),
            ),
            (
                r#"{"state":2,"startedTime":"2026-11-22T01:04:58.540777881Z"}"#,
                true,
                run("/run/containers/storage"),
            ),
            (
                r#"{"startedTime":"0001-01-01T00:00:00Z2024-02-29T12:34:56.7Z"}"#,
                false,
                run("/run/containers/storage"),
            ),
            (
                r#"{"runDir":"/r/overlay-containers/other/userdata"}"#,
                false,
                run("/run/containers/storage"),
            ),
        ] {
            assert_eq!(
                parse(text.as_bytes(), "abc"),
                State { started, run_root },
                "{text}"
            );
        }
    }
}
