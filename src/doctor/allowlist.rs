//! The allowlist, the trust root that it stands under, and the mark that keeps both from going back.

use super::Node;
use super::check::{Check, Findings};
use super::files::owner_fix;
use crate::allowlist::index_note::IndexNote;
use crate::allowlist::record::Key;
use crate::apply;
use crate::pipeline::Opened;
use crate::policy::freshness::duration;
use crate::policy::gatebin::GateBin;
use crate::store::{HighWater, Store, StoreError};
use crate::sys::file::{NotRoots, check_owned_file};

/// Left of its life when it is time to look why no newer one has come.
const LATE: u64 = 4;

/// Keepers of a trust root need weeks to meet.
const MONTH: u64 = 30 * 86_400;

pub(super) fn look(node: &Node<'_>, found: &mut Findings) {
    let Ok(gate) = &node.gate else { return };
    let store = Store::new(&gate.state_dir);
    // Any key shows whether the allowlist answers at all.
    let probe = Key::from_bytes([0; 32]);
    let answer = Opened::look(gate, &store, node.now()).and_then(|opened| opened.ask(&probe));
    let note = match answer {
        Ok(answer) => {
            match answer.freshness {
                Ok(()) => age(&answer.note, node.now(), found),
                Err(reason) => found.danger(Check::Allowlist, refuses(&reason.detail), SYNC),
            }
            Some(answer.note)
        }
        Err(reason) => {
            let fix = match reason.hint.split_once("run '") {
                Some((_, command)) => command.split('\'').next().unwrap_or(SYNC),
                None => &reason.hint,
            };
            found.danger(Check::Allowlist, refuses(&reason.detail), fix);
            None
        }
    };
    mark(&store, gate, note.as_ref(), found);
    root(node, found);
}

const SYNC: &str = "vcn-hook sync";

fn refuses(detail: &str) -> String {
    format!("{detail}: only what is on the floor starts")
}

fn age(note: &IndexNote, now: u64, found: &mut Findings) {
    let left = note.expires.saturating_sub(now);
    let what = format!(
        "it answers for {} more, and was signed {} ago",
        duration(left),
        duration(now.saturating_sub(note.time))
    );
    let life = note.expires.saturating_sub(note.time);
    if left < life / LATE {
        found.warn(Check::Allowlist, what, SYNC);
    } else {
        found.ok(Check::Allowlist, what);
    }
}

fn mark(store: &Store, gate: &GateBin, note: Option<&IndexNote>, found: &mut Findings) {
    let path = gate.state_dir.join("high-water");
    match (store.high_water(), note) {
        (Err(error), _) => {
            let owner = check_owned_file(&path).err();
            let owner = owner.as_ref().and_then(NotRoots::of).map(owner_fix);
            let fix = owner.unwrap_or_else(|| {
                format!(
                    "find out who changed '{}', then remove it and run {SYNC}",
                    path.display()
                )
            });
            found.danger(Check::HighWater, high_water(&error), fix);
        }
        (Ok(mark), Some(_)) if mark == HighWater::default() => found.warn(
            Check::HighWater,
            format!(
                "there is no '{}': an older allowlist would be believed",
                path.display()
            ),
            SYNC,
        ),
        (Ok(mark), _) => found.ok(
            Check::HighWater,
            format!(
                "log size {}, trust root {}",
                mark.log_size, mark.root_version
            ),
        ),
    }
}

fn high_water(error: &StoreError) -> String {
    format!("the mark cannot be used, and every start is refused: {error}")
}

fn root(node: &Node<'_>, found: &mut Findings) {
    let Some(config) = node.config() else { return };
    let root = match apply::trust_root(config) {
        Ok(pinned) => pinned.root,
        Err(error) => {
            let what = format!("no configuration can be applied: {error}");
            return found.danger(Check::TrustRoot, what, super::ENROLL);
        }
    };
    let left = root.expires.saturating_sub(node.now());
    let what = format!("version {} of {} ", root.version, root.origin);
    const NEXT: &str =
        "ask the keepers of the ledger to sign a new version, then run vcn-hook sync";
    match left {
        0 => found.danger(
            Check::TrustRoot,
            what + "has expired: nothing new is synced or applied",
            NEXT,
        ),
        1..MONTH => found.warn(
            Check::TrustRoot,
            what + &format!("expires in {}", duration(left)),
            NEXT,
        ),
        _ => found.ok(
            Check::TrustRoot,
            what + &format!("expires in {}", duration(left)),
        ),
    }
}
