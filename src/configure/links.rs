//! Links named `runc` and `crun` that lead to this program, for engines that are told which runtime to call.

use std::path::Path;

use super::Target;
use super::change::Change;
use super::places::Places;
use super::record::Record;
use crate::engine::RuntimeKind;

/// What makes them; nothing where a package ships them.
pub(super) fn missing(places: &Places) -> Vec<Change> {
    let mut changes = directories(&places.libexec.join("gate"));
    for kind in [RuntimeKind::Runc, RuntimeKind::Crun] {
        let path = places.gate(kind);
        if !is_right(&path, places) {
            let to = places.program.clone();
            changes.push(Change::Link { path, to });
        }
    }
    changes
}

/// What makes them lead to the real runtimes, for shims that go on calling what they were once told to.
pub(super) fn left_behind(places: &Places) -> Vec<Change> {
    if Record::read(places, Target::Podman).is_some() {
        return Vec::new();
    }
    let kinds = [RuntimeKind::Runc, RuntimeKind::Crun].into_iter();
    let links = kinds.filter_map(|kind| Some((places.gate(kind), places.find(kind.as_str())?)));
    let links = links.filter(|(path, to)| std::fs::read_link(path).ok().as_ref() != Some(to));
    links.map(|(path, to)| Change::Link { path, to }).collect()
}

/// Whether both lead to this program.
pub(super) fn are_there(places: &Places) -> bool {
    [RuntimeKind::Runc, RuntimeKind::Crun]
        .iter()
        .all(|kind| is_right(&places.gate(*kind), places))
}

/// A relative link, as packages make them, is as good.
fn is_right(path: &Path, places: &Places) -> bool {
    let program = std::fs::canonicalize(&places.program);
    std::fs::canonicalize(path)
        .ok()
        .is_some_and(|to| program.is_ok_and(|program| program == to))
}

/// What makes a directory and those above it that are not there.
pub(super) fn directories(path: &Path) -> Vec<Change> {
    let missing = path.ancestors().take_while(|path| !path.is_dir());
    let mut missing: Vec<_> = missing.map(Path::to_owned).collect();
    missing.reverse();
    missing.into_iter().map(Change::MakeDirectory).collect()
}
