//! Owners and modes, along every component of the paths that the gate relies on.

use std::io;
use std::path::{Path, PathBuf};

use super::Node;
use super::check::{Check, Findings};
use crate::apply::{self, exemptions};
use crate::sys::file::{NotRoots, check_owned_file, check_owned_path};

/// The command that gives a path back to root.
pub(super) fn owner_fix(path: &Path) -> String {
    let path = path.display();
    format!("chown root:root '{path}' && chmod go-w '{path}'")
}

pub(super) fn look(node: &Node<'_>, found: &mut Findings) {
    let mut theirs = Vec::new();
    for path in paths(node) {
        let checked = match path.is_dir() {
            true => check_owned_path(&path.join("any")),
            false => check_owned_file(&path),
        };
        let Err(error) = checked else { continue };
        match NotRoots::of(&error) {
            Some(first) if !theirs.iter().any(|known| known == first) => {
                theirs.push(first.to_path_buf());
                let what = format!("others than root can change '{}'", first.display());
                let what = match first == path {
                    true => what,
                    false => format!("{what}, and so '{}'", path.display()),
                };
                found.danger(Check::Files, what, owner_fix(first));
            }
            // What is not there is told by what needs it.
            None if error.kind() == io::ErrorKind::NotFound => {}
            None if error.kind() == io::ErrorKind::PermissionDenied => {
                found.unseen(Check::Files, format!("'{}': {error}", path.display()));
            }
            None => {
                let what = format!("'{}' cannot be relied on: {error}", path.display());
                let fix = format!("put a plain file in its place: '{}'", path.display());
                found.danger(Check::Files, what, fix);
            }
            Some(_) => {}
        }
    }
    found.ok_unless_told(
        Check::Files,
        "nobody but root can change what the gate relies on",
    );
}

fn paths(node: &Node<'_>) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    // What a symlink leads to is what counts, and each on the way there is looked at with it.
    let program = std::fs::read_link("/proc/self/exe").ok();
    paths.extend(program);
    if let Some(config) = node.config() {
        paths.extend(config.files.iter().cloned());
        paths.push(apply::pin_path(config));
        let exempt = std::fs::read_dir(exemptions::directory(config));
        paths.extend(
            exempt
                .into_iter()
                .flatten()
                .flatten()
                .map(|each| each.path()),
        );
    }
    if let Ok(gate) = &node.gate {
        paths.push(gate.state_dir.clone());
        paths.push(apply::gatebin_path(&gate.state_dir));
        paths.push(gate.state_dir.join("high-water"));
        paths.push(gate.run_dir.clone());
        paths.push(gate.decisions.clone());
        let real = [&gate.runtimes.runc, &gate.runtimes.crun];
        paths.extend(real.into_iter().filter_map(|path| path.canonicalize().ok()));
    }
    paths
}
