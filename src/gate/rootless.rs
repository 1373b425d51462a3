//! Starts by a user's own engine: recorded, and never refused.
//!
//! Owns what is said of them. Such a container can do no more than its user,
//! who could run its code without any engine; its storage is the user's to
//! write, so nothing that it says is worth a verdict.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::audit::{self, Decision, Subject};
use crate::engine::storage::{self, Claim};
use crate::engine::{Start, Verb};
use crate::pipeline;
use crate::policy::gatebin::GateBin;
use crate::sys::user::Unprivileged;
use crate::sys::{clock, journal};
use crate::verdict::{Reason, ReasonCode, Undecided, Verdict};

/// Where a user's own state is, below the home.
const OWN_STATE: &str = ".local/state/vcn-hook";

/// The record in there.
const DECISIONS: &str = "decisions.jsonl";

/// Whether a call is a user's own. To root, who can read gate.bin, it costs one system call.
pub(super) fn is_rootless(gate: Result<&GateBin, &Undecided>) -> Option<Unprivileged> {
    let as_root = gate.is_ok() && nix::unistd::geteuid().is_root();
    if as_root {
        return None;
    }
    Unprivileged::is_this_process()
}

/// Records one start of a user's own engine.
pub(super) fn record(
    user: &Unprivileged,
    verb: Verb,
    id: &str,
    start: Option<&Start>,
    begun: Instant,
) {
    if verb == Verb::Exec {
        return;
    }
    let claim = start
        .and_then(|start| storage::claim(start.bundle.as_deref()?, id))
        .unwrap_or_default();
    let verdict = Verdict::Warn(reason(user, &claim));
    let decision = Decision {
        time: clock::now(),
        verdict: &verdict,
        would_deny: false,
        mode: "audit",
        verb: verb.as_str(),
        subject: Subject {
            id,
            name: claim.name.as_deref(),
            image: claim.image_name.as_deref(),
            identity: None,
        },
        allowlist: None,
        runtime: pipeline::runtime_of(verb),
        duration: begun.elapsed(),
    };
    let file = user.home().and_then(|home| own_record(&home));
    audit::record_own(&decision, file.as_deref(), Path::new(journal::SOCKET));
}

fn reason(user: &Unprivileged, claim: &Claim) -> Reason {
    let image = match &claim.image {
        None => String::new(),
        Some(image) => format!("; that engine calls the image sha256:{image}"),
    };
    let detail = format!(
        "user {}'s own engine starts it, and such containers are audited only: the ledger was not \
         asked{image}",
        user.uid
    );
    let hint = "start it with root's engine to have it judged";
    Reason::new(ReasonCode::Rootless, detail, hint)
}

/// The user's own file of records, in a directory that is made if need be.
fn own_record(home: &Path) -> Option<PathBuf> {
    let directory = home.join(OWN_STATE);
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .ok()?;
    Some(directory.join(DECISIONS))
}

#[cfg(test)]
mod tests {
    use super::{Claim, Unprivileged, reason};

    #[test]
    fn says_that_nothing_was_judged() {
        let user = Unprivileged { uid: 1000 };
        let text = reason(&user, &Claim::default()).to_string();
        assert_eq!(
            text,
            "user 1000's own engine starts it, and such containers are audited only: the ledger was \
             not asked (rootless); start it with root's engine to have it judged"
        );
        let claim = Claim {
            image: Some("abc".to_owned()),
            ..Claim::default()
        };
        let text = reason(&user, &claim).to_string();
        assert!(
            text.contains("; that engine calls the image sha256:abc"),
            "{text}"
        );
    }
}
