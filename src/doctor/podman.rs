//! Podman: the programs that its names for runtimes mean, and the hooks that it runs.
//!
//! Owns what Podman does where containers.conf says nothing. A hook whose program is missing is
//! skipped without a word, and the container starts.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Node;
use super::check::{Check, Findings};
use super::programs::{NAMES, Way, way};
use crate::configure::PodmanSettings as Settings;
use crate::sys::file::read_capped;

const MAX_HOOK: u64 = 1 << 20;

/// Where Podman looks for hooks unless it is told otherwise.
const HOOKS: &str = "/usr/share/containers/oci/hooks.d";

/// Where Podman looks for a runtime unless it is told otherwise (common, `pkg/config/default.go`).
const BIN: [&str; 6] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/sbin",
    "/bin",
];

/// The part of a hook's file that names its program.
#[derive(Debug, Deserialize)]
struct HookFile {
    hook: Hook,
}

#[derive(Debug, Deserialize)]
struct Hook {
    path: PathBuf,
}

pub(super) fn look(node: &Node<'_>, found: &mut Findings) {
    if !BIN.iter().any(|bin| Path::new(bin).join("podman").exists()) {
        return;
    }
    match Settings::read(&node.places, None) {
        Ok(settings) => {
            runtimes(&settings, found);
            hooks(&settings, found);
        }
        Err(error) => {
            let why = std::error::Error::source(&error)
                .map_or_else(String::new, |why| format!(": {why}"));
            found.unseen(Check::PodmanRuntimes, format!("{error}{why}"));
        }
    }
}

fn runtimes(settings: &Settings, found: &mut Findings) {
    let check = Check::PodmanRuntimes;
    let others = settings.names().filter(|name| !NAMES.contains(name));
    let default = settings.default_runtime();
    for name in NAMES.into_iter().chain(others) {
        let Some(program) = program(settings, name) else {
            continue;
        };
        if way(&program, Path::new("/")) == Way::Gate {
            continue;
        }
        let what = format!("'{}', which is not vcn-hook", program.display());
        if NAMES.contains(&name) {
            let what = format!("Podman's {name} is {what}");
            found.danger(check, what, super::CONFIGURE);
        } else {
            let what = format!("'podman --runtime={name}' starts with {what}");
            let fix = format!("remove {name} from [engine.runtimes] of containers.conf");
            match default == Some(name) {
                true => found.danger(check, what, fix),
                false => found.warn(check, what, fix),
            }
        }
    }
    // A path is used as it is.
    if let Some(program) = default.filter(|default| default.starts_with('/'))
        && way(Path::new(program), Path::new("/")) != Way::Gate
    {
        let what = format!("Podman's runtime is '{program}', which is not vcn-hook");
        let fix = "remove runtime from [engine] of containers.conf";
        found.danger(check, what, fix);
    }
    found.ok_unless_told(
        check,
        "every runtime that Podman has a name for leads to the gate",
    );
}

/// The program that a name means: the first one that is there.
fn program(settings: &Settings, name: &str) -> Option<PathBuf> {
    let mut listed = settings.programs(name);
    if listed.is_empty() {
        listed = BIN.map(|bin| Path::new(bin).join(name)).into();
    }
    listed.into_iter().find(|path| path.exists())
}

fn hooks(settings: &Settings, found: &mut Findings) {
    let check = Check::PodmanHooks;
    let mut directories = settings.hooks_dirs();
    if directories.is_empty() {
        directories.push(HOOKS.into());
    }
    let files = directories
        .iter()
        .flat_map(std::fs::read_dir)
        .flatten()
        .flatten();
    let files = files.map(|entry| entry.path());
    for file in files.filter(|path| path.extension().is_some_and(|end| end == "json")) {
        let bytes = read_capped(&file, MAX_HOOK).unwrap_or_default();
        let at = file.display();
        let Ok(HookFile { hook }) = serde_json::from_slice(&bytes) else {
            let what = format!("'{at}' is no hook that Podman can read: no container starts");
            found.warn(check, what, format!("rm '{at}'"));
            continue;
        };
        if is_program(&hook.path) {
            continue;
        }
        let program = hook.path.display();
        let what = format!(
            "'{at}' names '{program}', which is not there: Podman skips it, and says nothing"
        );
        if hook.path.file_name().is_some_and(|name| name == "vcn-hook") {
            found.danger(check, what, "vcn-hook configure --runtime podman");
        } else {
            found.note(check, what, format!("rm '{at}'"));
        }
    }
    found.ok_unless_told(check, "the program of every hook is there");
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|program| program.is_file() && program.mode() & 0o111 != 0)
}
