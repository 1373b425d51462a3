//! Where a program leads that an engine calls as its runtime.
//!
//! Owns how the gate is told from a runtime: by what a path leads to, whoever put it there.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::sys::file::open_regular;

/// The names under which this program is the gate.
pub(super) const NAMES: [&str; 2] = ["runc", "crun"];

/// A wrapper is a few lines.
const MAX_SCRIPT: u64 = 64 << 10;

/// Where a program leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Through the gate.
    Gate,
    /// To whatever it calls as runc: a wrapper that changes the bundle and goes on.
    Wrapper,
    /// Round the gate.
    Around,
    /// Nowhere: it is not there.
    Missing,
}

/// Where the program at `path` leads, as a process sees it whose root directory is `root`.
pub(super) fn way(path: &Path, root: &Path) -> Way {
    let there = root.join(path.strip_prefix("/").unwrap_or(path));
    let Ok(real) = there.canonicalize() else {
        return Way::Missing;
    };
    let name = path.file_name().unwrap_or_default();
    if is_us(&real) {
        // Under another name it is for people, and starts nothing.
        return match NAMES.iter().any(|gate| name == *gate) {
            true => Way::Gate,
            false => Way::Around,
        };
    }
    if name
        .to_string_lossy()
        .starts_with("nvidia-container-runtime")
    {
        return Way::Wrapper;
    }
    match script(&real) {
        Some(text) if text.contains("vcn-hook") => Way::Gate,
        Some(_) => Way::Wrapper,
        None => Way::Around,
    }
}

/// Whether a program without symlinks is this one, or another copy of it.
fn is_us(real: &Path) -> bool {
    let inode = |path: &Path| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let ours = inode(Path::new("/proc/self/exe"));
    real.file_name().is_some_and(|name| name == "vcn-hook") || ours.is_some() && inode(real) == ours
}

/// The text of a script; `None` for any other program.
fn script(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = open_regular(path).ok()?;
    file.take(MAX_SCRIPT).read_to_end(&mut bytes).ok()?;
    bytes
        .starts_with(b"#!")
        .then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The directories of a `PATH`.
pub(super) fn directories(path: &str) -> Vec<PathBuf> {
    let absolute = |directory: &&str| directory.starts_with('/');
    path.split(':')
        .filter(absolute)
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::{Way, way};

    #[test]
    fn the_gate_is_known_by_what_a_name_leads_to() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| folder.path().join(name);
        let us = std::env::current_exe().expect("we run");
        for name in ["runc", "crun", "kata"] {
            symlink(&us, at(name)).expect("linked");
        }
        std::fs::create_dir(at("copy")).expect("made");
        std::fs::write(at("copy/vcn-hook"), "\x7fELF").expect("written");
        symlink(at("copy/vcn-hook"), at("copy/runc")).expect("linked");
        std::fs::write(at("copy/crun"), "\x7fELF").expect("written");
        let script = |name: &str, line: &str| {
            std::fs::write(at(name), format!("#!/bin/sh\n{line}\n")).expect("written");
        };
        script("ours", "exec /usr/bin/vcn-hook runtime -- \"$@\"");
        script("theirs", "exec runc \"$@\"");
        for (name, leads) in [
            ("runc", Way::Gate),
            ("crun", Way::Gate),
            ("kata", Way::Around),
            ("copy/runc", Way::Gate),
            ("copy/crun", Way::Around),
            ("ours", Way::Gate),
            ("theirs", Way::Wrapper),
            ("none", Way::Missing),
        ] {
            assert_eq!(way(&at(name), Path::new("/")), leads, "{name}");
        }
        assert_eq!(way(Path::new("/crun"), &at("copy")), Way::Around);
    }
}
