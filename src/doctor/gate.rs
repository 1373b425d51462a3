//! gate.bin: whether the gate can read it, and whether it says what the configuration does.

use std::io;
use std::path::{Path, PathBuf};

use super::check::{Check, Findings};
use super::files::owner_fix;
use super::{Node, Question};
use crate::apply::{self, ApplyError, exemptions};
use crate::config::{Config, DEFAULT_PATH};
use crate::policy::gatebin::{GateBin, MAX_GATEBIN_SIZE, Mode};
use crate::sys::file::{NotRoots, read_owned};

/// Where the gate looks when it is called as `runc` or `crun`, whatever any configuration says.
const STATE_DIR: &str = "/var/lib/vcn-hook";

/// Why there is no gate.bin to go by.
#[derive(Debug)]
pub(super) struct Trouble {
    what: String,
    fix: String,
    /// Whether this user only may not see it.
    is_hidden: bool,
}

/// Reads gate.bin as the gate does.
pub(super) fn read(question: &Question) -> Result<GateBin, Trouble> {
    let state_dir = question.config.as_ref().map_or_else(
        |_| PathBuf::from(STATE_DIR),
        |config| config.state_dir.clone(),
    );
    let path = apply::gatebin_path(&state_dir);
    let bytes = read_owned(&path, MAX_GATEBIN_SIZE).map_err(|error| {
        let pinned = question.config.as_ref().map(apply::pin_path);
        let is_enrolled = pinned.is_ok_and(|pin| pin.exists());
        unreadable(&path, &error, is_enrolled)
    })?;
    GateBin::decode(&bytes).map_err(|error| Trouble {
        what: format!("'{}' cannot be used: {error}", path.display()),
        fix: "vcn-hook apply".to_owned(),
        is_hidden: false,
    })
}

fn unreadable(path: &Path, error: &io::Error, is_enrolled: bool) -> Trouble {
    let path = path.display();
    if error.kind() == io::ErrorKind::NotFound {
        let fix = match is_enrolled {
            true => "vcn-hook apply",
            false => super::ENROLL,
        };
        return Trouble {
            what: format!("there is no '{path}': the gate refuses every start"),
            fix: fix.to_owned(),
            is_hidden: false,
        };
    }
    if let Some(theirs) = NotRoots::of(error) {
        return Trouble {
            what: format!("the gate does not take '{path}', and refuses every start: {error}"),
            fix: owner_fix(theirs),
            is_hidden: false,
        };
    }
    Trouble {
        what: format!("'{path}' cannot be read: {error}"),
        fix: "vcn-hook apply".to_owned(),
        is_hidden: error.kind() == io::ErrorKind::PermissionDenied,
    }
}

pub(super) fn look(node: &Node<'_>, found: &mut Findings) {
    let gate = match &node.gate {
        Ok(gate) => gate,
        Err(Trouble {
            what,
            is_hidden: true,
            ..
        }) => return found.unseen(Check::Gate, what.clone()),
        Err(Trouble { what, fix, .. }) => {
            found.danger(Check::Gate, what.clone(), fix.clone());
            return configuration(node, None, found);
        }
    };
    elsewhere(node, gate, found);
    let path = apply::gatebin_path(&gate.state_dir);
    found.ok_unless_told(
        Check::Gate,
        format!("'{}' is whole, and root's alone", path.display()),
    );
    match gate.mode {
        Mode::Enforce => found.ok(Check::Mode, "refusals refuse (enforce)"),
        Mode::Audit => found.note(
            Check::Mode,
            "what would be refused is recorded and starts (audit)",
            "vcn-hook mode enforce",
        ),
    }
    if !gate.held.is_empty() {
        let what = format!(
            "{} images start although the ledger has no word any more that lets them: they are held",
            gate.held.len()
        );
        let fix = "notarize them again, or let them go: vcn-hook apply --accept-lapses";
        found.warn(Check::RunningImage, what, fix);
    }
    configuration(node, Some(gate), found);
}

/// No option and no environment tells a gate that is called as `runc` where its state is.
fn elsewhere(node: &Node<'_>, gate: &GateBin, found: &mut Findings) {
    let question = node.question;
    if gate.state_dir == Path::new(STATE_DIR) || question.config_path != Path::new(DEFAULT_PATH) {
        return;
    }
    let what = format!(
        "state_dir is '{}', and a gate that is called as runc or crun reads '{STATE_DIR}'",
        gate.state_dir.display()
    );
    let fix = format!("remove state_dir from '{DEFAULT_PATH}', then run vcn-hook apply");
    found.danger(Check::Gate, what, fix);
}

fn configuration(node: &Node<'_>, gate: Option<&GateBin>, found: &mut Findings) {
    let config = match &node.question.config {
        Ok(config) => config,
        Err(why) => {
            let what = format!("the configuration cannot be used, and changes nothing: {why}");
            return found.warn(Check::Applied, what, "vcn-hook config check");
        }
    };
    let Some(gate) = gate else { return };
    match is_current(config, gate, node.now()) {
        Ok(true) => found.ok(Check::Applied, "the gate has what the configuration says"),
        Ok(false) => found.warn(
            Check::Applied,
            "the configuration or the trust root has changed since it was applied",
            "vcn-hook apply",
        ),
        Err(why) => found.warn(
            Check::Applied,
            format!("the configuration cannot be applied: {why}"),
            "vcn-hook config check",
        ),
    }
}

fn is_current(config: &Config, gate: &GateBin, now: u64) -> Result<bool, ApplyError> {
    let pinned = apply::trust_root(config)?;
    let exempted = exemptions::compile(&exemptions::find(config, &pinned.root), now);
    let compiled = GateBin {
        // One that has ended since is let go at the next `apply`, and exempts nothing.
        exemptions: gate.exemptions.clone(),
        // What is held follows from the allowlist, and not from what anybody wrote.
        held: gate.held.clone(),
        ..apply::compile(config, &pinned)?
    };
    let has_all = exempted.iter().all(|each| gate.exemptions.contains(each));
    Ok(compiled == *gate && has_all)
}
