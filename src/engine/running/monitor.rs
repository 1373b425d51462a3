//! The process that watches a container, and the runtime that it calls.
//!
//! Owns what containerd's shims and conmon say of themselves: their command lines, their directory,
//! and what a shim writes there. A process can call itself whatever it likes, so none of this names
//! an image; and of another user's nothing is read, who could make whoever reads wait for ever.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::processes::{Inside, Table};
use crate::sys::file::{read_capped, read_small};
use crate::sys::process::{Listed, path_of};

/// The kernel's own limit for arguments is not far above.
const MAX_ARGUMENTS: u64 = 2 << 20;
/// The longest name of a directory.
const MAX_ID: usize = 255;
/// A shim's options.
const MAX_OPTIONS: u64 = 1 << 20;

/// A container's shim or conmon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Monitor {
    pub(super) pid: u32,
    /// Whether it is another user's than root's.
    pub(super) is_users: bool,
    /// The container's id.
    pub(super) id: Option<String>,
    /// The program that it calls as runtime.
    pub(super) runtime: Option<PathBuf>,
}

/// `options.json` of a shim's bundle (containerd, `runtime/v2/runc/options`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    binary_name: String,
}

impl Monitor {
    /// The monitor of a container's first process: its parent, as both make themselves one of all that
    /// is left behind.
    pub(super) fn of(inside: &Inside, table: &Table) -> Option<Self> {
        let parent = table.get(inside.init.parent)?;
        let pid = parent.pid;
        match parent.name.as_str() {
            // The kernel keeps 15 bytes of `containerd-shim-runc-v2`.
            "conmon" | "containerd-shim" if !is_roots(pid) => Some(Self {
                pid,
                is_users: true,
                id: None,
                runtime: None,
            }),
            "conmon" => Some(Self::conmon(pid, &arguments(pid))),
            "containerd-shim" => Some(Self::shim(parent, &inside.init, &arguments(pid))),
            _ => None,
        }
    }

    fn conmon(pid: u32, words: &[String]) -> Self {
        Self {
            pid,
            is_users: false,
            id: option(words, &["-c", "--cid"]).filter(is_id),
            runtime: option(words, &["-r", "--runtime"]).map(PathBuf::from),
        }
    }

    fn shim(shim: &Listed, init: &Listed, words: &[String]) -> Self {
        // One shim may watch all containers of a pod, and is called after the first.
        let bundles = path_of(shim.pid, "cwd/..");
        let id = id_in_cgroup(init.pid)
            .filter(|id| bundles.join(id).exists())
            .or_else(|| option(words, &["-id"]).filter(is_id));
        let bundle = id.as_ref().map(|id| bundles.join(id));
        Self {
            pid: shim.pid,
            is_users: false,
            runtime: runtime_of_shim(shim.pid, words, bundle.as_deref()),
            id,
        }
    }
}

/// Engines make directories that are called after containers.
#[expect(clippy::ptr_arg, reason = "for filters of options")]
fn is_id(id: &String) -> bool {
    id.len() <= MAX_ID
}

fn is_roots(pid: u32) -> bool {
    let process = std::fs::metadata(path_of(pid, ""));
    process.is_ok_and(|process| process.uid() == 0)
}

/// A shim for another kind of runtime is that runtime itself (kata, runsc).
fn runtime_of_shim(pid: u32, words: &[String], bundle: Option<&Path>) -> Option<PathBuf> {
    let shim = Path::new(words.first()?);
    if !shim
        .file_name()?
        .to_str()?
        .starts_with("containerd-shim-runc")
    {
        return std::fs::read_link(path_of(pid, "exe")).ok();
    }
    let options = read_capped(&bundle?.join("options.json"), MAX_OPTIONS).ok();
    let options: Options = options
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let name = match options.binary_name.as_str() {
        "" => "runc",
        name => name,
    };
    if name.contains('/') {
        return Some(name.into());
    }
    in_path(pid, name)
}

/// Where a process finds a program.
fn in_path(pid: u32, name: &str) -> Option<PathBuf> {
    let environment = nul_separated(&read_capped(&path_of(pid, "environ"), MAX_ARGUMENTS).ok()?);
    let path = environment
        .iter()
        .find_map(|entry| entry.strip_prefix("PATH="))?;
    let root = path_of(pid, "root");
    path.split(':')
        .filter(|directory| directory.starts_with('/'))
        .map(|directory| Path::new(directory).join(name))
        .find(|path| {
            let inside = path.strip_prefix("/").unwrap_or(path);
            // A symlink is there wherever it leads: it may lead elsewhere from here.
            root.join(inside).symlink_metadata().is_ok()
        })
}

/// The 64 digits that engines call a control group after.
fn id_in_cgroup(pid: u32) -> Option<String> {
    let text = read_small::<4096>(&path_of(pid, "cgroup")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().find_map(id_in_line)
}

fn id_in_line(line: &str) -> Option<String> {
    let last = line.rsplit('/').next()?;
    let mut words = last.split(|c: char| !c.is_ascii_hexdigit());
    words.find(|word| word.len() == 64).map(str::to_owned)
}

fn arguments(pid: u32) -> Vec<String> {
    let bytes = read_capped(&path_of(pid, "cmdline"), MAX_ARGUMENTS);
    nul_separated(&bytes.unwrap_or_default())
}

fn nul_separated(bytes: &[u8]) -> Vec<String> {
    bytes
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// The value of the first of these options.
fn option(words: &[String], names: &[&str]) -> Option<String> {
    let at = words
        .iter()
        .position(|word| names.contains(&word.as_str()))?;
    words.get(at + 1).filter(|value| !value.is_empty()).cloned()
}

#[cfg(test)]
mod tests {
    use super::{Monitor, id_in_line, nul_separated};

    #[test]
    fn reads_conmons_command_line() {
        let words = nul_separated(
            b"/usr/bin/conmon\0--api-version\x001\0-c\0abc\0-u\0abc\0-r\0/usr/bin/crun\0-b\0/b\0",
        );
        let monitor = Monitor::conmon(7, &words);
        assert_eq!(monitor.id.as_deref(), Some("abc"));
        assert_eq!(monitor.runtime, Some("/usr/bin/crun".into()));
    }

    #[test]
    fn knows_an_id_in_the_cgroup_of_every_engine() {
        let id = "508d254a9b0a71f3dad25d791d8c056c242b276da5173b4c66d5c95398ab0c64";
        for (line, found) in [
            (format!("9:name=systemd:/docker/{id}"), true),
            (format!("0::/system.slice/docker-{id}.scope"), true),
            (
                format!("0::/kubepods/burstable/pod1/cri-containerd-{id}.scope"),
                true,
            ),
            (format!("0::/{id}/init.scope"), false),
            ("0::/user.slice".to_owned(), false),
        ] {
            assert_eq!(id_in_line(&line).is_some(), found, "{line}");
        }
    }
}
