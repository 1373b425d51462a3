//! The container that holds a pod's namespaces, which Podman makes itself on every node.
//!
//! Owns what it may look like. Podman 4 builds an image for it on the spot, so
//! that its config has another digest on every node and no ledger can name it.
//! It is known by what it is instead: one layer with one file, which is the
//! host's own `catatonit` byte for byte, started as `/catatonit -P`, with
//! nothing mounted but what Podman makes for every container.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::bundle::Bundle;
use super::super::observe::OWN_KINDS;
use super::super::reach::is_bind;
use super::super::{Container, Start};
use super::bundle_of;
use crate::sys::file::{check_owned_file, read_capped};

/// What it runs.
const COMMAND: [&str; 2] = ["/catatonit", "-P"];

/// The one file of its image.
const PROGRAM: &str = "catatonit";

/// Where distributions put the program that Podman copies.
const HOSTS: [&str; 4] = [
    "/usr/libexec/podman/catatonit",
    "/usr/lib/podman/catatonit",
    "/usr/local/libexec/podman/catatonit",
    "/usr/bin/catatonit",
];

/// It has some 700 KiB.
const MAX_PROGRAM: u64 = 16 << 20;

/// Whether `start` is about a container that runs a pause container's command, whatever else is in it.
#[must_use]
pub fn may_be_pause(start: &Start, roots: &[PathBuf]) -> bool {
    // Podman's bundles have their place, so nothing of the runtime's need be read.
    let bundles = roots.iter().map(|root| bundle_of(root, &start.id));
    let mut there = bundles.filter(|bundle| bundle.exists());
    there.any(|bundle| Bundle::read(&bundle).is_ok_and(|bundle| has_command(&bundle)))
}

/// Whether it is Podman's pause container and nothing else.
pub(super) fn is_pause(container: &Container) -> bool {
    let [layer] = container.rootfs.lowers.as_slice() else {
        return false;
    };
    has_command(&container.bundle)
        && has_only_own_mounts(container)
        // What cannot be read is no pause container.
        && is_hosts_program(layer).unwrap_or(false)
}

fn has_command(bundle: &Bundle) -> bool {
    bundle.spec.process.args == COMMAND
}

fn has_only_own_mounts(container: &Container) -> bool {
    let Container { bundle, home, .. } = container;
    bundle.spec.mounts.iter().all(|mount| {
        if is_bind(mount) {
            home.made_for(&container.id, &bundle.path.join(&mount.source))
        } else {
            OWN_KINDS.contains(&mount.kind.as_str())
        }
    })
}

/// Whether all that is in a layer is the program that only root can have put on this host.
fn is_hosts_program(layer: &Path) -> io::Result<bool> {
    let mut names = fs::read_dir(layer)?.map(|entry| entry.map(|entry| entry.file_name()));
    let only = match (names.next(), names.next()) {
        (Some(name), None) => name?,
        _ => return Ok(false),
    };
    if only != PROGRAM {
        return Ok(false);
    }
    let program = read_capped(&layer.join(PROGRAM), MAX_PROGRAM)?;
    for host in HOSTS {
        let Ok(real) = Path::new(host).canonicalize() else {
            continue;
        };
        if check_owned_file(&real).is_ok() && read_capped(&real, MAX_PROGRAM)? == program {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::is_hosts_program;

    #[test]
    fn a_layer_with_anything_else_is_no_pause_image() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let layer = folder.path();
        let is = || is_hosts_program(layer).expect("readable");
        assert!(!is(), "it is empty");
        std::fs::write(layer.join("catatonit"), "another program").expect("written");
        assert!(!is(), "it is another program");
        let Ok(bytes) = crate::sys::file::read_capped("/usr/bin/catatonit".as_ref(), 1 << 24)
        else {
            eprintln!("no catatonit here: this case is checked by 'make test'");
            return;
        };
        std::fs::write(layer.join("catatonit"), bytes).expect("written");
        assert!(is(), "it is the host's");
        std::fs::write(layer.join("more"), "").expect("written");
        assert!(!is(), "there is more in it");
        std::fs::remove_file(layer.join("catatonit")).expect("removed");
        assert!(!is(), "it has another name");
    }
}
