//! What is wrong on a node, worst first, as somebody on call is told it.
//!
//! Owns what counts as wrong, and the sentence for it. Pure. Where it is shown is the page's and the
//! terminal's; texts in it come from outside and are escaped there.

use super::look::is_undecided;
use super::picture::Picture;
use super::sweep::{Entered, Sweep, Watched};
use crate::policy::freshness::duration;
use crate::policy::gatebin::Mode;
use crate::verdict::ReasonCode;

/// An allowlist that is not renewed this long before its end will not be.
const SOON: u64 = 6 * 3600;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something runs, or starts, that should not; or nothing is decided any more.
    Danger,
    /// It will become so, or is not seen.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in one sentence.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

/// Everything that is wrong, worst first.
#[must_use]
pub fn problems(picture: &Picture) -> Vec<Problem> {
    let mut found = Found(Vec::new());
    match &picture.sweep {
        None => found.warning(
            "nothing was looked at yet",
            "wait for the first sweep, or see the log of vcn-hook-watch",
        ),
        Some(sweep) => {
            late(&mut found, picture, sweep);
            containers(&mut found, sweep, picture.node.unrecorded > 0);
            allowlist(&mut found, picture, sweep);
            for trouble in &sweep.troubles {
                found.warning(&trouble.detail, &trouble.hint);
            }
        }
    }
    node(&mut found, picture);
    for delivery in &picture.told {
        if let Some(error) = &delivery.error {
            let target = &delivery.target;
            found.warning(
                &format!(
                    "{target} cannot be told: {error}; {} wait",
                    delivery.waiting
                ),
                &format!("see that {target} can be reached from here, and its settings in [watch]"),
            );
        }
    }
    found.0.sort_by_key(|problem| problem.severity);
    found.0
}

struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, severity: Severity, what: &str, next: &str) {
        self.0.push(Problem {
            severity,
            what: what.to_owned(),
            next: next.to_owned(),
        });
    }

    fn danger(&mut self, what: &str, next: &str) {
        self.add(Severity::Danger, what, next);
    }

    fn warning(&mut self, what: &str, next: &str) {
        self.add(Severity::Warning, what, next);
    }
}

fn late(found: &mut Found, picture: &Picture, sweep: &Sweep) {
    let age = picture.now.saturating_sub(sweep.begun);
    if picture.is_late() {
        found.warning(
            &format!("the last sweep was {} ago", duration(age)),
            "see the log of vcn-hook-watch",
        );
    }
}

fn containers(found: &mut Found, sweep: &Sweep, unrecorded: bool) {
    for container in &sweep.containers {
        let called = called(container);
        // Where nothing can be decided, that is the one thing wrong, not every container.
        if !container.passes() && !is_undecided(&container.verdict) {
            let reason = container.verdict.reason();
            let status = container.status.as_str();
            let what = match reason.code {
                ReasonCode::LayerDiffers => "runs files that were changed on disk".to_owned(),
                _ => format!("runs, and its image is {status}"),
            };
            found.danger(&format!("{called} {what}: {}", reason.detail), &reason.hint);
        } else if container.entered == Entered::Around {
            let what = match unrecorded {
                false => "the gate was not asked",
                true => "the gate was not asked, or could not write down what it decided",
            };
            found.danger(
                &format!("{called} was started, and {what}"),
                "find the way around the gate: vcn-hook doctor",
            );
        }
    }
}

/// A container as a sentence begins with it.
fn called(container: &Watched) -> String {
    let (id, engine) = (container.label(), container.engine);
    let image = match container.image_name() {
        image if image.is_empty() => "no image".to_owned(),
        image => image,
    };
    match container.name.as_deref() {
        Some(name) => format!("{name} ({engine}, {id}, {image})"),
        None => format!("{id} ({engine}, {image})"),
    }
}

fn allowlist(found: &mut Found, picture: &Picture, sweep: &Sweep) {
    if let Some(reason) = &sweep.undecided {
        let what = format!("no start can be decided: {}", reason.detail);
        return found.danger(&what, &reason.hint);
    }
    let left = sweep
        .allowlist
        .map(|allowlist| allowlist.expires.saturating_sub(picture.now));
    if let Some(left) = left.filter(|left| *left < SOON) {
        found.warning(
            &format!(
                "the allowlist expires in {}; then nothing starts but the floor",
                duration(left)
            ),
            "vcn-hook sync; if that changes nothing, the ledger's index is not signed anew",
        );
    }
}

fn node(found: &mut Found, picture: &Picture) {
    let node = &picture.node;
    match node.mode {
        Some(Mode::Enforce) => {}
        Some(Mode::Audit) => found.warning(
            "the gate refuses nothing: it is in audit mode",
            "vcn-hook report, and then vcn-hook mode enforce",
        ),
        None => found.danger(
            "no settings are applied: the gate has none",
            "vcn-hook apply",
        ),
    }
    if let Some(test) = node.self_test.as_ref().filter(|test| !test.proven) {
        let what = format!("the self-test failed: {}", test.outcome);
        found.danger(&what, "vcn-hook doctor, then vcn-hook self-test");
    }
    if let Some((sync, error)) = node
        .sync
        .as_ref()
        .and_then(|s| Some((s, s.error.as_ref()?)))
    {
        let ago = duration(picture.now.saturating_sub(sync.time));
        found.warning(
            &format!("the last sync, {ago} ago, failed: {error}"),
            "vcn-hook sync",
        );
    }
    if node.unrecorded > 0 {
        found.warning(
            &format!("{} decisions could not be written down", node.unrecorded),
            "see that the disk of the decision record has room",
        );
    }
    for exemption in &node.exemptions {
        let left = duration(exemption.until.saturating_sub(picture.now));
        found.warning(
            &format!(
                "{} may start for {left} more by an exemption: {}",
                exemption.config, exemption.because
            ),
            "notarize it before that ends",
        );
    }
}

impl Picture {
    /// Whether the last sweep is older than it should ever be.
    #[must_use]
    pub fn is_late(&self) -> bool {
        let begun = self.sweep.as_ref().map_or(0, |sweep| sweep.begun);
        self.now.saturating_sub(begun) > 3 * self.interval.max(10)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Severity, problems};
    use crate::policy::gatebin::Mode;
    use crate::verdict::{Reason, ReasonCode, Verdict};
    use crate::watch::picture::Picture;
    use crate::watch::samples;

    /// A layer of what runs is another than was unpacked.
    fn changed(picture: &mut Picture) {
        let sweep = picture.sweep.as_mut().map(Arc::make_mut);
        let first = sweep.and_then(|sweep| sweep.containers.first_mut());
        let first = first.expect("something runs");
        let detail = "layer x in 'y' is not what was unpacked";
        first.verdict = Verdict::Deny(Reason::new(ReasonCode::LayerDiffers, detail, ""));
    }

    #[test]
    fn a_healthy_node_has_none_and_what_is_worst_comes_first() {
        assert_eq!(problems(&samples::healthy()), []);
        let found = problems(&samples::hostile());
        let first = found.first().expect("an untrusted image runs");
        assert_eq!(first.severity, Severity::Danger);
        assert!(first.what.contains("UNTRUSTED"), "{first:?}");
        assert!(found.is_sorted_by_key(|problem| problem.severity));
    }

    #[test]
    fn what_nothing_can_be_decided_of_is_one_thing_and_hides_no_other() {
        let mut picture = samples::hostile();
        let before = problems(&picture).len();
        if let Some(sweep) = picture.sweep.as_mut().map(Arc::make_mut) {
            let stale = Reason::new(ReasonCode::Stale, "it has expired", "");
            sweep.undecided = Some(stale.clone());
            // The first one passes; the second is the one that is UNTRUSTED, the third nobody's.
            for container in sweep.containers.iter_mut().take(2) {
                container.verdict = Verdict::Deny(stale.clone());
                container.entered = crate::watch::sweep::Entered::Before;
            }
        }
        let found = problems(&picture);
        assert_eq!(found.len(), before, "{found:?}");
        let told = |text: &str| found.iter().filter(|one| one.what.contains(text)).count();
        assert_eq!(
            (told("no start can be decided"), told("it has expired")),
            (1, 1)
        );
        assert_eq!(told("(other, "), 1, "{found:?}");
    }

    #[test]
    fn each_thing_that_can_be_wrong_is_told() {
        let told = |change: &dyn Fn(&mut Picture)| {
            let mut picture = samples::healthy();
            change(&mut picture);
            let found = problems(&picture);
            assert_eq!(found.len(), 1, "{found:?}");
            found
                .first()
                .map_or_else(String::new, |one| one.what.clone())
        };
        for (said, expected) in [
            (told(&|p| p.node.mode = Some(Mode::Audit)), "audit mode"),
            (told(&|p| p.node.mode = None), "no settings"),
            (
                told(&changed),
                "runs files that were changed on disk: layer",
            ),
            (told(&|p| p.node.unrecorded = 2), "2 decisions"),
            (told(&|p| p.sweep = None), "nothing was looked at"),
            (told(&|p| p.now += 3600), "last sweep was 60 minutes ago"),
            (
                told(&|p| p.told.push(samples::failing())),
                "slack cannot be told: connection refused; 3 wait",
            ),
        ] {
            assert!(said.contains(expected), "{said}");
        }
    }
}
