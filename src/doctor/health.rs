//! The node itself: its clock, its disks, its records, and the last proof that the gate is in.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use serde::Deserialize;

use super::Node;
use super::check::{Check, Findings};
use crate::audit::UNRECORDED;
use crate::policy::freshness::duration;
use crate::store::Store;
use crate::sys::clock;
use crate::sys::file::read_owned;

/// Clocks that are kept right are not as far apart.
const SKEW: u64 = 300;

/// Below this much room the next allowlist may not fit.
const MIN_BYTES: u64 = 64 << 20;
/// A sync and its predecessor have some dozen files.
const MIN_INODES: u64 = 256;

/// A self-test that is older proves little of today.
const OLD: u64 = 30 * 86_400;
const MAX_SELF_TEST: u64 = 64 << 10;

pub(super) fn look(node: &Node<'_>, found: &mut Findings) {
    the_clock(node, found);
    disks(node, found);
    records(node, found);
    self_test(node, found);
}

fn the_clock(node: &Node<'_>, found: &mut Findings) {
    if let Ok(gate) = &node.gate
        && let Ok(mark) = Store::new(&gate.state_dir).high_water()
        && mark.time > node.now().saturating_add(SKEW)
    {
        let what = format!(
            "it is {} behind the newest signature seen: starts go on, and nothing can be synced",
            duration(mark.time - node.now())
        );
        return found.danger(Check::Clock, what, "timedatectl set-ntp true");
    }
    match clock::is_synchronised() {
        Ok(true) => found.ok(Check::Clock, "something keeps it right"),
        Ok(false) => found.note(
            Check::Clock,
            "nothing says that it is kept right; a clock that is fast makes the allowlist expire early",
            "timedatectl set-ntp true",
        ),
        Err(error) => found.unseen(Check::Clock, format!("whether it is kept right: {error}")),
    }
}

fn disks(node: &Node<'_>, found: &mut Findings) {
    let Ok(gate) = &node.gate else { return };
    let decisions = gate.decisions.parent().unwrap_or_else(|| Path::new("/"));
    let mut wrong = false;
    for directory in [gate.state_dir.as_path(), decisions] {
        let at = directory.display();
        let Ok(disk) = statvfs(directory) else {
            // What is not there is told by what needs it.
            continue;
        };
        let bytes = disk.blocks_available() * disk.fragment_size();
        let tight = if bytes < MIN_BYTES {
            Some(format!("'{at}' has room for {} kB", bytes / 1000))
        } else if disk.files() > 0 && disk.files_available() < MIN_INODES {
            Some(format!(
                "'{at}' has room for {} files",
                disk.files_available()
            ))
        } else {
            None
        };
        if let Some(what) = tight {
            wrong = true;
            found.warn(
                Check::Disk,
                what,
                format!("make room on the disk of '{at}'"),
            );
        }
    }
    if !wrong {
        found.ok(Check::Disk, "there is room for state and decisions");
    }
}

fn records(node: &Node<'_>, found: &mut Findings) {
    let Ok(gate) = &node.gate else { return };
    let counter = gate.run_dir.join(UNRECORDED);
    match std::fs::metadata(&counter) {
        Ok(counted) if counted.len() > 0 => found.warn(
            Check::Records,
            format!(
                "{} decisions could not be written to '{}': see that they can be",
                counted.len(),
                gate.decisions.display()
            ),
            format!("rm '{}'", counter.display()),
        ),
        Ok(_) => found.ok(Check::Records, "every decision was recorded"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            found.ok(Check::Records, "every decision was recorded");
        }
        Err(error) => found.unseen(Check::Records, format!("'{}': {error}", counter.display())),
    }
}

/// The record of `self-test`, as far as it is read.
#[derive(Debug, Deserialize)]
struct SelfTest {
    time: String,
    unknown: Half,
    trusted: Half,
}

#[derive(Debug, Deserialize)]
struct Half {
    proven: bool,
    outcome: String,
}

fn self_test(node: &Node<'_>, found: &mut Findings) {
    const AGAIN: &str = "vcn-hook self-test";
    let Some(config) = node.config() else { return };
    let path = config.state_dir.join("self-test.json");
    let bytes = match read_owned(&path, MAX_SELF_TEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = "it was never tried whether an unknown image is refused";
            return found.note(Check::SelfTest, what, AGAIN);
        }
        Err(error) => {
            return found.unseen(Check::SelfTest, format!("'{}': {error}", path.display()));
        }
    };
    let Ok(last) = serde_json::from_slice::<SelfTest>(&bytes) else {
        let what = format!("'{}' is no result of a self-test", path.display());
        return found.warn(Check::SelfTest, what, AGAIN);
    };
    let time = clock::parse_rfc3339(&last.time).unwrap_or_default();
    let ago = node.now().saturating_sub(time);
    let when = format!("{} ago", duration(ago));
    if !last.unknown.proven {
        let what = format!(
            "{when} an image that nobody notarized was not refused: {}",
            last.unknown.outcome
        );
        return found.danger(Check::SelfTest, what, AGAIN);
    }
    if !last.trusted.proven {
        let what = format!(
            "{when} it was not proven that a notarized image starts: {}",
            last.trusted.outcome
        );
        return found.note(Check::SelfTest, what, AGAIN);
    }
    let what = format!("{when} an unknown image was refused, and a notarized one started");
    match ago {
        0..OLD => found.ok(Check::SelfTest, what),
        _ => found.note(Check::SelfTest, what, AGAIN),
    }
}
