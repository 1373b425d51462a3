//! What keeps the index of a new ledger signed.
//!
//! Its note says nothing any more after a day, so that nobody can hold nodes back at an old one. In a
//! plain directory somebody must sign it anew: the package's timer, where there is one to be had.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::cli::context::is_root;

/// Where systemd says that it is process 1 (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";

/// Turns the package's timer on for this ledger. `None` where there is no systemd, no such unit, or
/// somebody who may not.
pub(super) fn turn_on(directory: &Path) -> Option<String> {
    if !is_root() || !Path::new(BOOTED).exists() {
        return None;
    }
    let escaped = Command::new("systemd-escape")
        .args(["--path", "--template=vcn-hook-index@.timer"])
        .arg(directory)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let unit = String::from_utf8(escaped.stdout).ok()?.trim().to_owned();
    let is_unit = escaped.status.success() && unit.ends_with(".timer");
    let enabled = is_unit
        && Command::new("systemctl")
            .args(["enable", "--now", "--quiet", &unit])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
    enabled.then_some(unit)
}

/// What is said of it.
pub(super) fn said(unit: Option<&str>, directory: &Path) -> String {
    match unit {
        Some(unit) => format!("signed anew each hour by {unit}"),
        None => format!(
            "signed for a day; have 'vcn-hook ledger index {}' run each hour, or serve the ledger, or nodes \
             will refuse everything tomorrow",
            directory.display()
        ),
    }
}
