//! A running dockerd, as far as the kernel and its files show it.
//!
//! Owns the options it was started with, and what containers it keeps. Asks it nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::Deserialize;

use super::edit::MAX_SETTINGS;
use super::places::Places;
use crate::sys::file::read_capped;

/// A command line.
const MAX_LINE: u64 = 1 << 20;

/// Containers of one daemon.
const MAX_CONTAINERS: usize = 10_000;

/// Root's dockerd of this machine, if one runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Daemon {
    pub pid: i32,
    words: Vec<OsString>,
}

impl Daemon {
    pub(super) fn find(places: &Places) -> Option<Self> {
        let here = std::fs::metadata("/").ok()?;
        let processes = std::fs::read_dir(&places.proc).ok()?;
        processes.flatten().find_map(|process| {
            let path = process.path();
            let name = read_capped(&path.join("comm"), 64).ok()?;
            // One in a container, or a user's own, reads other files.
            let root = std::fs::metadata(path.join("root")).ok()?;
            let is_ours = name == b"dockerd\n"
                && (root.dev(), root.ino()) == (here.dev(), here.ino())
                && std::fs::metadata(&path).is_ok_and(|process| process.uid() == 0);
            let line = read_capped(&path.join("cmdline"), MAX_LINE).ok();
            let line = line.filter(|_| is_ours)?;
            let words = line.split(|byte| *byte == 0);
            Some(Self {
                pid: process.file_name().to_str()?.parse().ok()?,
                words: words
                    .map(|word| OsString::from_vec(word.to_vec()))
                    .collect(),
            })
        })
    }

    /// The value of an option that it was started with, as `--name=VALUE` or in the next word.
    pub(super) fn option(&self, name: &str) -> Option<String> {
        let mut words = self.words.iter().map(|word| word.to_string_lossy());
        while let Some(word) = words.next() {
            if word == name {
                return words.next().map(std::borrow::Cow::into_owned);
            }
            let value = word.strip_prefix(name);
            if let Some(value) = value.and_then(|rest| rest.strip_prefix('=')) {
                return Some(value.to_owned());
            }
        }
        None
    }
}

/// A container, and the runtime it was created with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Created {
    pub name: String,
    pub runtime: String,
    /// Whether it runs, so that its shim may call that runtime at any time.
    pub runs: bool,
}

#[derive(Deserialize)]
struct HostConfig {
    #[serde(default, rename = "Runtime")]
    runtime: String,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default, rename = "Name")]
    name: String,
    #[serde(default, rename = "State")]
    state: RunState,
}

#[derive(Default, Deserialize)]
struct RunState {
    #[serde(default, rename = "Running")]
    running: bool,
}

/// Every container below a data root. One whose files cannot be read is left out: Docker cannot start it either.
pub(super) fn containers(root: &Path) -> Vec<Created> {
    let folders = std::fs::read_dir(root.join("containers"));
    let folders = folders.into_iter().flatten().flatten().take(MAX_CONTAINERS);
    let mut created: Vec<_> = folders
        .filter_map(|folder| container(&folder.path()))
        .collect();
    created.sort_by(|one, other| one.name.cmp(&other.name));
    created
}

fn container(folder: &Path) -> Option<Created> {
    let host = read_capped(&folder.join("hostconfig.json"), MAX_SETTINGS).ok()?;
    let host: HostConfig = serde_json::from_slice(&host).ok()?;
    let named = read_capped(&folder.join("config.v2.json"), MAX_SETTINGS).ok()?;
    let named: Named = serde_json::from_slice(&named).ok()?;
    Some(Created {
        name: named.name.trim_start_matches('/').to_owned(),
        runtime: host.runtime,
        runs: named.state.running,
    })
}
