//! What is said of one look: vcn-watchdog's two lines, and JSON.
//!
//! Owns the schema `vcn-hook/sweep/v1` (docs/watch.md). Every name is escaped.

use serde_json::{Value, json};

use crate::cli::escape::Escaped;
use crate::cli::moment::rfc3339;
use crate::verdict::{Reason, Verdict};
use crate::watch::look::is_undecided;
use crate::watch::sweep::{Entered, Sweep, Watched};

/// The line, or lines, about one container.
pub(super) fn of(watched: &Watched) -> String {
    let id = Escaped(watched.short_id());
    if watched.passes() {
        let publisher = watched.statement.as_ref();
        let publisher = publisher.map_or("", |stated| match stated.signer.as_str() {
            "" => stated.organisation.as_str(),
            signer => signer,
        });
        return format!(
            "Container {id} ({}) check successful (publisher: {}, level: {}, status: {})\n",
            Escaped(&watched.artifact_name()),
            Escaped(publisher),
            watched.level,
            watched.status.code()
        );
    }
    let what = match is_undecided(&watched.verdict) {
        true => "could not be verified",
        false => "verification failed",
    };
    let reason = watched.verdict.reason();
    let around = match watched.entered {
        Entered::Around => "it came round the gate: ",
        Entered::ByGate(_) | Entered::Before => "",
    };
    format!(
        "Container {id} ({}) {what}\n  {around}{} ({})\n",
        Escaped(&watched.image_name()),
        Escaped(&reason.detail),
        reason.code
    )
}

/// By what it is known whether this line is another than before: of what nobody can decide, that the
/// allowlist expired a minute longer ago is no news.
pub(super) fn matter(watched: &Watched) -> String {
    match is_undecided(&watched.verdict) {
        true => watched.verdict.reason().code.to_string(),
        false => of(watched),
    }
}

/// The same for [`of_node`].
pub(super) fn matter_of_node(sweep: &Sweep) -> String {
    let undecided = sweep.undecided.as_ref().map(|reason| reason.code.as_str());
    let troubles = sweep.troubles.iter().map(|trouble| trouble.detail.as_str());
    undecided
        .into_iter()
        .chain(troubles)
        .collect::<Vec<_>>()
        .join("\n")
}

/// What is wrong with the node itself.
pub(super) fn of_node(sweep: &Sweep) -> String {
    let reasons = sweep.undecided.iter().chain(&sweep.troubles);
    reasons
        .map(|reason| format!("vcn-hook: {}\n", Escaped(&reason.to_string())))
        .collect()
}

/// One line for whoever asks the service's manager.
pub(super) fn summary(sweep: &Sweep) -> String {
    let failing = sweep.containers.iter().filter(|watched| !watched.passes());
    let (all, failing) = (sweep.containers.len(), failing.count());
    let troubles = sweep.troubles.len() + usize::from(sweep.undecided.is_some());
    match troubles {
        0 => format!("{all} containers run, {failing} fail"),
        _ => format!("{all} containers run, {failing} fail; {troubles} troubles of the node"),
    }
}

/// The whole look for scripts.
pub(in crate::cli) fn json(sweep: &Sweep) -> Value {
    json!({
        "schema": "vcn-hook/sweep/v1",
        "node": sweep.node,
        "time": rfc3339(sweep.begun),
        "duration_ms": u64::try_from(sweep.took.as_millis()).unwrap_or(u64::MAX),
        "mode": sweep.mode,
        "allowlist": sweep.allowlist.map(|allowlist| json!({
            "logSize": allowlist.log_size,
            "records": allowlist.records,
            "rootVersion": allowlist.root_version,
            "signed": rfc3339(allowlist.signed),
            "expires": rfc3339(allowlist.expires),
        })),
        "undecided": sweep.undecided.as_ref().map(reason),
        "troubles": sweep.troubles.iter().map(reason).collect::<Vec<_>>(),
        "containers": sweep.containers.iter().map(container).collect::<Vec<_>>(),
    })
}

fn container(watched: &Watched) -> Value {
    let passage = match &watched.entered {
        Entered::ByGate(passage) => Some(json!({
            "time": passage.time,
            "verdict": passage.verdict,
            "code": passage.code,
            "wouldDeny": passage.would_deny,
        })),
        Entered::Around | Entered::Before => None,
    };
    json!({
        "engine": watched.engine,
        "id": watched.id,
        "name": watched.name,
        "image": watched.image,
        "config": watched.config.map(|config| config.to_string()),
        "pid": watched.pid,
        "started": rfc3339(watched.started),
        "paused": watched.paused,
        "status": watched.status.code(),
        "level": watched.level,
        "passes": watched.passes(),
        "verdict": match &watched.verdict {
            Verdict::Allow(_) => "allow",
            Verdict::Deny(_) => "deny",
            Verdict::Warn(_) => "warn",
        },
        "reason": reason(watched.verdict.reason()),
        "publisher": watched.statement.as_ref().map(|stated| &stated.signer),
        "organisation": watched.statement.as_ref().map(|stated| &stated.organisation),
        "entered": watched.entered.as_str(),
        "passage": passage,
    })
}

fn reason(reason: &Reason) -> Value {
    json!({
        "code": reason.code.as_str(),
        "detail": reason.detail,
        "hint": reason.hint,
    })
}

#[cfg(test)]
mod tests {
    use super::{matter, matter_of_node};
    use crate::verdict::{Reason, ReasonCode, Verdict};
    use crate::watch::samples;

    #[test]
    fn that_an_allowlist_expired_longer_ago_is_no_news() {
        let look = |ago: &str| {
            let stale = Reason::new(ReasonCode::Stale, format!("it expired {ago} ago"), "");
            let picture = samples::healthy();
            let mut sweep = picture.sweep.as_deref().cloned().expect("there is one");
            sweep.undecided = Some(stale.clone());
            for container in &mut sweep.containers {
                container.verdict = Verdict::Deny(stale.clone());
            }
            let mut matters: Vec<_> = sweep.containers.iter().map(matter).collect();
            matters.push(matter_of_node(&sweep));
            matters
        };
        assert_eq!(look("1 minute"), look("2 minutes"));
        let healthy = samples::healthy().sweep;
        let healthy = healthy.as_deref().expect("there is one");
        assert_ne!(look("1 minute").last(), Some(&matter_of_node(healthy)));
    }
}
