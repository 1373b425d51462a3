//! How trouble with files is told.
//!
//! Dockerd and podman search a runtime's message for the system's own words
//! and make exit codes 126 and 127 of them, so those words are not used.

use std::io;
use std::path::Path;

use super::Rootfs;
use crate::verdict::{ReasonCode, Undecided};

/// Something that must be read cannot be.
pub(crate) fn unreadable(what: &str, path: &Path, error: &io::Error) -> Undecided {
    let detail = format!("cannot read {what} '{}': {}", path.display(), words(error));
    let hint = "see that the file is there and whole, and start it again";
    Undecided::new(ReasonCode::Unreadable, detail, hint)
}

/// The kernel cannot be asked about mounts.
pub(crate) fn mounts(path: &Path, error: &io::Error) -> Undecided {
    let text = words(error);
    let detail = format!(
        "cannot find out what is mounted at '{}': {text}",
        path.display()
    );
    Undecided::new(
        ReasonCode::Unreadable,
        detail,
        "see that the file is there and whole, and start it again",
    )
}

/// A program is not the one of the layers that were named when they were mounted.
pub(crate) fn foreign(rootfs: &Path, program: &Path) -> Undecided {
    let detail = format!(
        "'{}' in what is mounted at '{}' is not the file of the image's layers: another one was \
         mounted under their names",
        program.display(),
        rootfs.display()
    );
    Undecided::new(
        ReasonCode::Unbound,
        detail,
        "find out who changed the engine's layers, then remove the container and create it again",
    )
}

/// The layers that are mounted are others than the engine's files say.
pub(crate) fn unbound(id: &str, expected: &Rootfs, found: &Rootfs) -> Undecided {
    let differing = expected
        .lowers
        .iter()
        .zip(&found.lowers)
        .find(|(expected, found)| expected != found)
        .map(|(expected, found)| (expected.display().to_string(), found.display().to_string()));
    let (expected, found) = differing.unwrap_or_else(|| {
        let count =
            |rootfs: &Rootfs| format!("{} layers and its own upper one", rootfs.lowers.len());
        (count(expected), count(found))
    });
    let detail = format!(
        "the layers mounted for container '{id}' are not its image's: expected {expected}, found {found}"
    );
    Undecided::new(
        ReasonCode::Unbound,
        detail,
        "remove the container and create it again",
    )
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "it is missing".to_owned(),
        io::ErrorKind::PermissionDenied => "access is refused".to_owned(),
        io::ErrorKind::NotADirectory => "something in its path is a file".to_owned(),
        _ => error.to_string(),
    }
}
