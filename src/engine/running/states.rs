//! The containers that low-level runtimes have, by the state that they keep of each.
//!
//! Owns where runtimes keep it when an engine or a person calls them. Explains what no engine's record
//! does: containers of containerd's own clients, build steps, and those that were started by hand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::RuntimeKind;
use super::super::state::parse;
use super::processes::Table;
use super::records::Index;
use crate::sys::file::read_capped;

/// Room for runc's whole libcontainer configuration with thousands of mounts.
const MAX_STATE: u64 = 16 << 20;

/// Directories that have one directory for each container.
const ROOTS: [&str; 2] = ["/run/runc", "/run/crun"];
/// Directories of such directories: one for each of Docker's runtimes, and of containerd's namespaces.
const ABOVE: [&str; 3] = [
    "/run/docker/runtime-runc",
    "/run/docker/runtime-crun",
    "/run/containerd/runc",
];

/// A container that a runtime has, and whose first process is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) id: String,
    pub(super) pid: u32,
    pub(super) bundle: PathBuf,
}

/// When the process was started that a state names, in clock ticks.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Started {
    /// runc's.
    #[serde(deserialize_with = "number")]
    init_process_start: u64,
    /// crun's.
    #[serde(rename = "process-start-time", deserialize_with = "number")]
    process_start_time: u64,
}

/// All containers that are in no engine's record, by their first process.
pub(super) fn read(table: &Table, known: &Index<'_>) -> HashMap<u32, State> {
    let above = ABOVE.iter().flat_map(|above| names(Path::new(above)));
    let roots = ROOTS.iter().map(PathBuf::from).chain(above);
    roots
        .flat_map(|root| names(&root))
        .filter(|path| known.by_id(&id_of(path)).is_none())
        .filter_map(|path| state(&path, table))
        .map(|state| (state.pid, state))
        .collect()
}

fn names(directory: &Path) -> Vec<PathBuf> {
    // What is not there has none, and what may not be read is seen by its processes alone.
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

fn id_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn state(path: &Path, table: &Table) -> Option<State> {
    [
        (RuntimeKind::Runc, "state.json"),
        (RuntimeKind::Crun, "status"),
    ]
    .into_iter()
    .find_map(|(kind, file)| {
        let bytes = read_capped(&path.join(file), MAX_STATE).ok()?;
        let state = parse(kind, &bytes)?;
        let process = table.get(state.pid)?;
        is_of(&bytes, process.started).then(|| State {
            id: id_of(path),
            pid: state.pid,
            bundle: state.bundle,
        })
    })
}

/// Whether the process is the one that was meant, and not a later one with its number.
fn is_of(bytes: &[u8], started: u64) -> bool {
    let said: Started = serde_json::from_slice(bytes).unwrap_or_default();
    let said = said.init_process_start.max(said.process_start_time);
    said == 0 || said == started
}

/// crun's older versions have no such number, and it may be written in another form.
fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_u64().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::is_of;

    #[test]
    fn a_later_process_with_the_same_number_is_another() {
        for (text, is) in [
            (r#"{"init_process_pid":7,"init_process_start":500}"#, true),
            (r#"{"init_process_pid":7,"init_process_start":499}"#, false),
            (r#"{"pid":7,"process-start-time":500}"#, true),
            (r#"{"pid":7,"process-start-time":1}"#, false),
            (r#"{"pid":7,"process-start-time":"?"}"#, true),
            (r#"{"pid":7}"#, true),
        ] {
            assert_eq!(is_of(text.as_bytes(), 500), is, "{text}");
        }
    }
}
