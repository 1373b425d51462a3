//! What a canary's start proves.
//!
//! Owns the judgement, from what the engine did and what is on record. Pure.

use serde_json::{Value, json};

use super::trial::Trial;
use crate::cli::decisions::Decision;
use crate::image::digest::Digest;
use crate::policy::gatebin::Mode;
use crate::verdict::Reason;

/// One half of a self-test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it went as it must, and that is on record.
    pub proven: bool,
    what: What,
    container: String,
    code: String,
    detail: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// It was refused, by a decision on record.
    Refused,
    /// It was let through in audit mode, and the record says that it would have been refused.
    WouldDeny,
    /// It started, by a decision on record.
    Started,
    /// It started, and nothing was decided about it, or something else than was done.
    StartedUnseen,
    /// It did not start, and nobody decided that.
    Failed,
    /// Nobody has notarized it.
    NotNotarized,
}

impl What {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::WouldDeny => "would-deny",
            Self::Started => "started",
            Self::StartedUnseen => "started-unseen",
            Self::Failed => "failed",
            Self::NotNotarized => "not-notarized",
        }
    }
}

/// What the canary that nobody notarized shows.
pub(super) fn of_unknown(mode: Mode, config: &Digest, trial: Trial) -> Outcome {
    let what = seen(config, &trial);
    let proven = match mode {
        Mode::Enforce => what == What::Refused,
        Mode::Audit => what == What::WouldDeny,
    };
    outcome(proven, what, trial)
}

/// What the canary that is notarized shows.
pub(super) fn of_trusted(config: &Digest, trial: Trial) -> Outcome {
    let what = seen(config, &trial);
    let proven = what == What::Started && trial.ran == Ok(0);
    outcome(proven, what, trial)
}

/// The canary that nobody has notarized yet was not started.
pub(super) fn not_notarized(reason: &Reason) -> Outcome {
    Outcome {
        proven: false,
        what: What::NotNotarized,
        container: String::new(),
        code: reason.code.as_str().to_owned(),
        detail: reason.detail.clone(),
    }
}

fn seen(config: &Digest, trial: &Trial) -> What {
    let config = config.to_string();
    let about = |decision: &&Decision| decision.config.as_ref() == Some(&config);
    let decision = trial.decision.as_ref().filter(about);
    match (&trial.ran, decision) {
        (Ok(_), Some(decision)) if decision.would_deny => What::WouldDeny,
        (Ok(_), Some(decision)) if decision.verdict != "deny" => What::Started,
        (Ok(_), _) => What::StartedUnseen,
        (Err(_), Some(decision)) if decision.verdict == "deny" => What::Refused,
        (Err(_), _) => What::Failed,
    }
}

fn outcome(proven: bool, what: What, trial: Trial) -> Outcome {
    let code = trial
        .decision
        .as_ref()
        .map(|decision| decision.code.clone());
    let detail = match (trial.ran, trial.decision) {
        (Err(message), _) if what == What::Failed => message,
        (_, Some(decision)) => decision.detail,
        (Err(message), None) => message,
        (Ok(status), None) => format!("it ended with {status}"),
    };
    Outcome {
        proven,
        what,
        container: trial.container,
        code: code.unwrap_or_default(),
        detail,
    }
}

impl Outcome {
    /// Whether something started that nobody had decided about.
    pub(super) fn is_open_gate(&self) -> bool {
        !self.proven && matches!(self.what, What::StartedUnseen | What::Started)
    }

    /// Whether nothing is wrong but that nobody has notarized it.
    pub(super) fn is_missing_word(&self) -> bool {
        self.what == What::NotNotarized
    }

    pub(super) fn value(&self) -> Value {
        json!({
            "proven": self.proven,
            "outcome": self.what.as_str(),
            "container": self.container,
            "code": self.code,
            "detail": self.detail,
        })
    }

    pub(super) fn text(&self) -> String {
        let what = match self.what {
            What::Refused => "refused",
            What::WouldDeny => "let through in audit mode, and on record as one to refuse",
            What::Started => "started, by a decision on record",
            What::StartedUnseen => "STARTED, AND NOTHING WAS DECIDED ABOUT IT",
            What::Failed => "did not start, and nobody decided that",
            What::NotNotarized => {
                "not notarized: run 'vcn-hook self-test --publish' once, with a publisher's key"
            }
        };
        let as_it_must = match self.proven {
            true => "as it must",
            false => "NOT PROVEN",
        };
        let why = match (self.code.is_empty(), self.detail.is_empty()) {
            (false, false) => format!(": {} ({})", self.detail, self.code),
            (_, false) => format!(": {}", self.detail),
            (_, true) => String::new(),
        };
        format!("{what}, {as_it_must}{why}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, of_trusted, of_unknown};
    use crate::cli::decisions::{self, Decision};
    use crate::cli::self_test::trial::Trial;
    use crate::image::digest::Digest;
    use crate::policy::gatebin::Mode;

    fn decision(config: &Digest, verdict: &str, would_deny: bool) -> Option<Decision> {
        let line = decisions::tests::line("abc", "canary", verdict, "unknown");
        let mut decision: Decision = serde_json::from_str(&line).unwrap();
        decision.config = Some(config.to_string());
        decision.would_deny = would_deny;
        Some(decision)
    }

    fn trial(ran: Result<i64, &str>, decision: Option<Decision>) -> Trial {
        Trial {
            container: "abc".to_owned(),
            ran: ran.map_err(str::to_owned),
            decision,
        }
    }

    fn shown(outcome: &Outcome) -> (bool, &'static str, bool) {
        (
            outcome.proven,
            outcome.what.as_str(),
            outcome.is_open_gate(),
        )
    }

    #[test]
    fn only_a_decision_about_that_very_image_proves_anything() {
        let (ours, other) = (Digest::of(b"ours"), Digest::of(b"other"));
        let no = Err("no");
        for (mode, trial, expected) in [
            (
                Mode::Enforce,
                trial(no, decision(&ours, "deny", false)),
                (true, "refused", false),
            ),
            (
                Mode::Enforce,
                trial(no, decision(&other, "deny", false)),
                (false, "failed", false),
            ),
            (Mode::Enforce, trial(no, None), (false, "failed", false)),
            (
                Mode::Enforce,
                trial(no, decision(&ours, "allow", false)),
                (false, "failed", false),
            ),
            (
                Mode::Enforce,
                trial(Ok(0), None),
                (false, "started-unseen", true),
            ),
            (
                Mode::Enforce,
                trial(Ok(0), decision(&ours, "deny", false)),
                (false, "started-unseen", true),
            ),
            (
                Mode::Enforce,
                trial(Ok(0), decision(&ours, "warn", false)),
                (false, "started", true),
            ),
            (
                Mode::Enforce,
                trial(Ok(0), decision(&ours, "warn", true)),
                (false, "would-deny", false),
            ),
            (
                Mode::Audit,
                trial(Ok(0), decision(&ours, "warn", true)),
                (true, "would-deny", false),
            ),
            (
                Mode::Audit,
                trial(Ok(0), decision(&other, "warn", true)),
                (false, "started-unseen", true),
            ),
            (
                Mode::Audit,
                trial(Ok(0), None),
                (false, "started-unseen", true),
            ),
            (Mode::Audit, trial(no, None), (false, "failed", false)),
        ] {
            let told = format!("{mode:?} {trial:?}");
            assert_eq!(shown(&of_unknown(mode, &ours, trial)), expected, "{told}");
        }
    }

    #[test]
    fn the_trusted_one_must_start_by_a_decision_and_end_well() {
        let (ours, other) = (Digest::of(b"ours"), Digest::of(b"other"));
        let no = Err("no");
        for (trial, expected) in [
            (
                trial(Ok(0), decision(&ours, "allow", false)),
                (true, "started"),
            ),
            (
                trial(Ok(0), decision(&ours, "warn", false)),
                (true, "started"),
            ),
            (
                trial(Ok(1), decision(&ours, "allow", false)),
                (false, "started"),
            ),
            (
                trial(Ok(0), decision(&other, "allow", false)),
                (false, "started-unseen"),
            ),
            (trial(Ok(0), None), (false, "started-unseen")),
            (
                trial(Ok(0), decision(&ours, "warn", true)),
                (false, "would-deny"),
            ),
            (
                trial(no, decision(&ours, "deny", false)),
                (false, "refused"),
            ),
            (
                trial(no, decision(&ours, "allow", false)),
                (false, "failed"),
            ),
        ] {
            let told = format!("{trial:?}");
            let outcome = of_trusted(&ours, trial);
            assert_eq!((outcome.proven, outcome.what.as_str()), expected, "{told}");
        }
    }
}
