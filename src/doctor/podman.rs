//! Podman: the programs that its names for runtimes mean, and the hooks that it runs.
//!
//! Owns what containers.conf says of both, and what Podman does where it says nothing. A hook whose
//! program is missing is skipped without a word, and the container starts.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::check::{Check, Findings};
use super::programs::{NAMES, Way, way};
use crate::sys::file::read_capped;

const MAX_SETTINGS: u64 = 4 << 20;
const MAX_HOOK: u64 = 1 << 20;

/// In the order in which Podman lays one over the other.
const DIRECTORIES: [&str; 2] = ["/usr/share/containers", "/etc/containers"];

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

pub(super) fn look(found: &mut Findings) {
    if !BIN.iter().any(|bin| Path::new(bin).join("podman").exists()) {
        return;
    }
    let engine = engine(found);
    runtimes(&engine, found);
    hooks(&engine, found);
}

/// `[engine]` of all settings.
fn engine(found: &mut Findings) -> Table {
    let mut engine = Table::new();
    for file in files() {
        let parsed = read_capped(&file, MAX_SETTINGS)
            .map_err(|error| error.to_string())
            .and_then(|bytes| {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                toml::from_str::<Table>(&text).map_err(|error| error.message().to_owned())
            });
        match parsed {
            Ok(mut table) => {
                if let Some(Value::Table(over)) = table.remove("engine") {
                    lay_over(&mut engine, over);
                }
            }
            Err(why) => found.unseen(
                Check::PodmanRuntimes,
                format!("'{}': {why}", file.display()),
            ),
        }
    }
    engine
}

fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for directory in DIRECTORIES.map(Path::new) {
        files.push(directory.join("containers.conf"));
        let fragments = std::fs::read_dir(directory.join("containers.conf.d"));
        let fragments = fragments.into_iter().flatten().flatten();
        let mut fragments: Vec<_> = fragments.map(|entry| entry.path()).collect();
        fragments.retain(|path| path.extension().is_some_and(|end| end == "conf"));
        fragments.sort();
        files.append(&mut fragments);
    }
    files.retain(|file| file.exists());
    files
}

fn lay_over(engine: &mut Table, over: Table) {
    for (key, value) in over {
        match (engine.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => below.extend(above),
            (_, value) => {
                engine.insert(key, value);
            }
        }
    }
}

fn runtimes(engine: &Table, found: &mut Findings) {
    let check = Check::PodmanRuntimes;
    let named = engine.get("runtimes").and_then(Value::as_table);
    let others = named.into_iter().flat_map(Table::keys).map(String::as_str);
    let others = others.filter(|name| !NAMES.contains(name));
    let default = engine.get("runtime").and_then(Value::as_str);
    for name in NAMES.into_iter().chain(others) {
        let Some(program) = program(named, name) else {
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
fn program(named: Option<&Table>, name: &str) -> Option<PathBuf> {
    let list = named.and_then(|named| named.get(name));
    let mut listed = strings(list);
    if listed.is_empty() {
        listed = BIN.map(|bin| Path::new(bin).join(name)).into();
    }
    listed.into_iter().find(|path| path.exists())
}

fn strings(value: Option<&Value>) -> Vec<PathBuf> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|value| value.as_str().map(PathBuf::from))
        .collect()
}

fn hooks(engine: &Table, found: &mut Findings) {
    let check = Check::PodmanHooks;
    let mut directories = strings(engine.get("hooks_dir"));
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Table, Value, lay_over, program, strings};

    #[test]
    fn settings_lie_over_one_another_name_by_name() {
        let mut engine = Table::new();
        for text in [
            "runtime = \"crun\"\nhooks_dir = [\"/a\"]\n[runtimes]\nrunc = [\"/none\", \"/proc/self/exe\"]",
            "[runtimes]\nkata = [\"/k\"]",
        ] {
            lay_over(&mut engine, toml::from_str(text).expect("well formed"));
        }
        let named = engine.get("runtimes").and_then(Value::as_table);
        assert_eq!(program(named, "runc"), Some("/proc/self/exe".into()));
        assert_eq!(program(named, "kata"), None);
        assert_eq!(strings(engine.get("hooks_dir")), [PathBuf::from("/a")]);
    }
}
