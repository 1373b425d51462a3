//! The verdict: what the ledger says first, then what no digest can say.
//!
//! Owns the order of precedence. A refusal by the ledger is told before any
//! other; the floor, what a pod's own container is, an exemption, or that it is
//! held stands in for a missing word and never against a given one.

use crate::allowlist::record::{Record, Status};
use crate::image::digest::ChainId;
use crate::image::identity::Identity;
use crate::policy::facts::Facts;
use crate::policy::gatebin::{GateBin, Mode, Response};
use crate::policy::rules;
use crate::policy::standing::{Standing, standing};
use crate::verdict::{Reason, ReasonCode, Undecided, Verdict};

/// Everything that one decision is made of.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What is about to start.
    pub identity: &'a Identity,
    /// The records of its config digest, or why there is no verified answer.
    pub records: Result<&'a [Record], &'a Reason>,
    /// Whether the allowlist is recent enough, or why not.
    pub freshness: Result<(), &'a Reason>,
    /// The chain that the image's own config names; read only for images on the floor, or exempted.
    pub chain_of_config: Option<ChainId>,
    /// Whether it is an engine's own container for a pod's namespaces, known by what it is.
    pub pause: bool,
    /// What no digest says.
    pub facts: &'a Facts,
    /// The time, in Unix seconds: the node's clock, raised to the newest signature that was seen.
    pub now: u64,
}

/// Decides one start.
pub fn decide(gate: &GateBin, case: &Case<'_>) -> Verdict {
    let from_ledger = ledger(gate, case);
    if matches!(from_ledger, Verdict::Deny(_)) {
        return from_ledger;
    }
    match rules::broken(&gate.rules, case.identity, case.facts) {
        Some((Response::Deny, reason)) => Verdict::Deny(reason),
        Some((Response::Warn, reason)) => Verdict::Warn(match from_ledger {
            // That the ledger does not vouch for it is what its code must go on saying.
            Verdict::Warn(first) => first.and(&reason),
            Verdict::Allow(_) | Verdict::Deny(_) => reason,
        }),
        Some((Response::Allow, _)) | None => from_ledger,
    }
}

/// What it means that nothing could be decided: no, unless a policy of its own says otherwise.
///
/// This is where the product fails closed.
pub fn on_failure(gate: &GateBin, undecided: Undecided) -> Verdict {
    let Undecided(reason) = undecided;
    let permitted = match reason.code {
        ReasonCode::Build => gate.rules.build,
        ReasonCode::Restore => gate.rules.restore,
        _ => Response::Deny,
    };
    match permitted {
        Response::Deny => Verdict::Deny(reason),
        Response::Warn => Verdict::Warn(reason),
        Response::Allow => Verdict::Allow(Reason {
            code: ReasonCode::Permitted,
            ..reason
        }),
    }
}

/// What a verdict about a container means for one more process in it, by `[exec] policy`.
pub fn of_exec(gate: &GateBin, verdict: Verdict) -> Verdict {
    match (gate.rules.exec, verdict) {
        (_, Verdict::Deny(reason)) if reason.code == ReasonCode::InfraExec => Verdict::Deny(reason),
        (Response::Warn, Verdict::Deny(reason)) => Verdict::Warn(reason),
        (_, verdict) => verdict,
    }
}

/// Nothing is started in a container that nobody notarized and that is known by what it is.
pub fn exec_into_pause() -> Verdict {
    let detail = "it only holds a pod's namespaces, and starts without being notarized because nothing else runs in it";
    let hint = "exec into one of the pod's other containers";
    Verdict::Deny(Reason::new(ReasonCode::InfraExec, detail, hint))
}

/// What a verdict does on this node: in audit mode a refusal lets it start, and says so.
pub fn enforced(mode: Mode, verdict: Verdict) -> Verdict {
    match (mode, verdict) {
        (Mode::Audit, Verdict::Deny(reason)) => Verdict::Warn(reason),
        (_, verdict) => verdict,
    }
}

fn ledger(gate: &GateBin, case: &Case<'_>) -> Verdict {
    let records = match case.records {
        Ok(records) => records,
        Err(reason) => {
            return stands_in(gate, case).unwrap_or_else(|| Verdict::Deny(reason.clone()));
        }
    };
    let standing = standing(&gate.trust, records, case.identity.chain.as_ref(), case.now);
    let withdrawn = matches!(
        standing.status,
        Status::Untrusted | Status::Unsupported | Status::Revoked
    );
    if let Err(stale) = case.freshness
        && !(withdrawn && standing.response == Response::Deny)
    {
        return stands_in(gate, case)
            .or_else(|| exempted(gate, case))
            .unwrap_or_else(|| Verdict::Deny(stale.clone()));
    }
    let missing = match standing.reason.code {
        ReasonCode::Unknown | ReasonCode::Lapsed | ReasonCode::Quorum => true,
        // A word about other layers is none about these, if these are the image's own.
        ReasonCode::ChainMismatch => is_bound_by_config(case),
        _ => false,
    };
    if missing {
        let allowed = stands_in(gate, case)
            .or_else(|| exempted(gate, case))
            .or_else(|| held(gate, case, &standing.reason, records));
        return allowed.unwrap_or_else(|| verdict(standing));
    }
    verdict(standing)
}

/// Whether a refusal is only for want of a word: no organisation took anything back, and no key was
/// revoked. A withdrawal must not pass for a lapse where its organisation has no veto.
#[must_use]
pub fn is_lapse(refusal: &Reason, records: &[Record]) -> bool {
    matches!(
        refusal.code,
        ReasonCode::Unknown | ReasonCode::Lapsed | ReasonCode::Quorum
    ) && records
        .iter()
        .all(|record| record.status == Status::Trusted)
}

/// What stands in for a word of the ledger's that is missing.
fn stands_in(gate: &GateBin, case: &Case<'_>) -> Option<Verdict> {
    floor(gate, case).or_else(|| infra(case))
}

/// Every node makes its own image of this, so no ledger can have a word for it.
fn infra(case: &Case<'_>) -> Option<Verdict> {
    let detail = "it holds a pod's namespaces, and all that is in it is this host's own program";
    case.pause
        .then(|| Verdict::Allow(Reason::new(ReasonCode::Infra, detail, "")))
}

/// The floor's word, if root put this image there and its config names the mounted layers.
fn floor(gate: &GateBin, case: &Case<'_>) -> Option<Verdict> {
    if !is_bound_by_config(case) || !gate.on_floor(&case.identity.config) {
        return None;
    }
    let detail = "it is on this node's floor, and the ledger has no word against it";
    Some(Verdict::Allow(Reason::new(ReasonCode::Floor, detail, "")))
}

/// The exempt keys' word, for an image whose config names the mounted layers: only against UNKNOWN and
/// stale. Where the ledger gives no verified answer at all, nobody knows what it says against it.
fn exempted(gate: &GateBin, case: &Case<'_>) -> Option<Verdict> {
    if !is_bound_by_config(case) {
        return None;
    }
    let exempted = gate.exemption(&case.identity.config, case.now)?;
    let detail = format!("it is exempt {}", exempted.because);
    let hint = "notarize it before that ends";
    Some(Verdict::Warn(Reason::new(ReasonCode::Exempt, detail, hint)))
}

/// A lapse that is held. A stale allowlist is none: it may be keeping a withdrawal from us.
fn held(gate: &GateBin, case: &Case<'_>, refusal: &Reason, records: &[Record]) -> Option<Verdict> {
    let Identity { config, chain, .. } = case.identity;
    if !gate.holds(config, chain.as_ref()) || !is_lapse(refusal, records) {
        return None;
    }
    let detail = format!(
        "the ledger vouched for it before, and too many of its words are missing at once: {} ({})",
        refusal.detail, refusal.code
    );
    let hint = "see 'vcn-hook status'; 'vcn-hook apply --accept-lapses' lets go of what is held";
    Some(Verdict::Warn(Reason::new(ReasonCode::Held, detail, hint)))
}

/// Whether the image's own config names the mounted layers. An unbound image has none that it could name.
fn is_bound_by_config(case: &Case<'_>) -> bool {
    case.identity.chain.is_some() && case.chain_of_config == case.identity.chain
}

fn verdict(standing: Standing) -> Verdict {
    match standing.response {
        Response::Allow => Verdict::Allow(standing.reason),
        Response::Warn => Verdict::Warn(standing.reason),
        Response::Deny => Verdict::Deny(standing.reason),
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
