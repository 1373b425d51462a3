//! The ways in that were configured: whether each still stands.

use super::Node;
use super::check::{Check, Findings};
use crate::configure::{State, Status};

pub(super) fn look(node: &Node<'_>, found: &mut Findings) {
    let check = Check::Configured;
    for Status {
        target,
        state,
        findings,
        ..
    } in &node.ways
    {
        let fix = format!("vcn-hook configure --runtime {target}");
        match state {
            State::Off => {}
            State::On => found.ok(check, format!("{target} is on")),
            State::Partial | State::Overwritten => {
                for finding in findings {
                    let what = format!("{target} is {}: {finding}", state.as_str());
                    found.danger(check, what, fix.clone());
                }
            }
            State::Unclear => {
                for finding in findings {
                    found.warn(
                        check,
                        format!("{target}: {finding}"),
                        "vcn-hook configure --status",
                    );
                }
            }
        }
    }
    if node.ways.iter().all(|way| way.state == State::Off) {
        // Another way may have been found by hand: whether it leads to the gate, the other checks say.
        found.note(
            check,
            "the gate was put in no engine's way here",
            super::CONFIGURE,
        );
    }
}
