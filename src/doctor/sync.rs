//! Whether the node follows its ledger.

use super::Node;
use super::check::{Check, Findings};
use crate::policy::freshness::duration;
use crate::sync::Attempt;

/// The timer runs many times a day.
const DAY: u64 = 86_400;

pub(super) fn look(node: &Node<'_>, found: &mut Findings) {
    let Some(config) = node.config() else { return };
    let Some(ledger) = &config.ledger else {
        let what = "this node follows no ledger, so that nothing new is ever known";
        return found.danger(Check::Sync, what, super::ENROLL);
    };
    let evidence = config.state_dir.join("log/evidence");
    let pieces = std::fs::read_dir(&evidence).map_or(0, Iterator::count);
    if pieces > 0 {
        let what = format!(
            "'{ledger}' has said two things that cannot both be true: {pieces} of its words are kept in '{}'",
            evidence.display()
        );
        let fix = "compare them with what other nodes have, and then remove them";
        found.danger(Check::Sync, what, fix);
    }
    let attempt = match Attempt::last(&config.state_dir) {
        Ok(attempt) => attempt,
        Err(error) => {
            let what = format!("how the last sync ended cannot be read: {error}");
            return found.unseen(Check::Sync, what);
        }
    };
    match attempt {
        None => found.note(
            Check::Sync,
            "it is not known how the last sync ended",
            "vcn-hook sync",
        ),
        Some(Attempt {
            error: Some(error),
            time,
        }) => found.warn(
            Check::Sync,
            format!(
                "the last sync with '{ledger}' failed {} ago: {error}",
                duration(node.now().saturating_sub(time))
            ),
            "vcn-hook sync",
        ),
        Some(Attempt { time, .. }) => {
            let ago = node.now().saturating_sub(time);
            let what = format!("the last sync with '{ledger}' was {} ago", duration(ago));
            match ago {
                0..DAY => found.ok(Check::Sync, what),
                _ => found.warn(
                    Check::Sync,
                    what,
                    "systemctl enable --now vcn-hook-sync.timer",
                ),
            }
        }
    }
}
