//! Whether a decision is the second one of the same start.
//!
//! Owns what makes two starts the same: the container's id, and the runtime's
//! process, which is the one that the first gate became. A refusal is never
//! the second of anything: it is recorded whatever stands there.

use serde::Deserialize;

use super::{Decision, Sinks};
use crate::sys::clock::rfc3339;
use crate::sys::file::read_owned_tail;
use crate::sys::process;
use crate::verdict::Verdict;

/// A start in front of this many others is found again; one behind more of them is recorded twice.
const MAX_TAIL: u64 = 128 << 10;

/// Runtimes call hooks from their own process, or from one that it made.
const GENERATIONS: usize = 3;

/// A record, as far as it tells one start from another.
#[derive(Deserialize)]
struct Earlier<'a> {
    time: &'a str,
    verdict: &'a str,
    code: &'a str,
    #[serde(borrow)]
    container: Container<'a>,
    config: Option<&'a str>,
    #[serde(default)]
    would_deny: bool,
    #[serde(default)]
    runtime_pid: u32,
}

#[derive(Deserialize)]
struct Container<'a> {
    id: &'a str,
}

/// Whether another gate in the way of the same start has recorded the same answer.
#[must_use]
pub fn is_on_record(decision: &Decision<'_>, sinks: &Sinks<'_>) -> bool {
    if matches!(decision.verdict, Verdict::Deny(_)) {
        return false;
    }
    let Ok(tail) = read_owned_tail(sinks.decisions, MAX_TAIL) else {
        return false;
    };
    let earlier = last_about(&tail, decision.subject.id);
    earlier.is_some_and(|earlier| {
        says_the_same(&earlier, decision)
            && is_of_this_start(&earlier, decision.runtime, decision.time)
    })
}

/// The newest record about a container. The first line may have lost its beginning, and is none then.
fn last_about<'a>(tail: &'a [u8], id: &str) -> Option<Earlier<'a>> {
    let first = tail.iter().position(|byte| *byte == b'\n')?;
    let mut before = std::str::from_utf8(tail.get(first..)?).ok()?;
    let mark = format!("\"id\":\"{id}\"");
    // A name may be spelled like the mark; the record itself says whose it is.
    while let Some(at) = before.rfind(&mark) {
        let (lines, rest) = before.split_at_checked(at)?;
        let start = lines.rfind('\n')?;
        let end = rest.find('\n').map_or(before.len(), |length| at + length);
        let line = before.get(start..end)?;
        match serde_json::from_str::<Earlier<'_>>(line) {
            Ok(earlier) if earlier.container.id == id => return Some(earlier),
            _ => before = before.get(..start)?,
        }
    }
    None
}

fn says_the_same(earlier: &Earlier<'_>, decision: &Decision<'_>) -> bool {
    let config = decision.subject.identity.map(|i| i.config.to_string());
    earlier.verdict == decision.verdict.as_str()
        && earlier.code == decision.verdict.reason().code.as_str()
        && earlier.would_deny == decision.would_deny
        && earlier.config == config.as_deref()
}

/// Whether that record's runtime is the one that has called, or one that it comes from, and not an
/// older process that had the same number.
fn is_of_this_start(earlier: &Earlier<'_>, runtime: u32, now: u64) -> bool {
    let mut pid = runtime;
    for _ in 0..GENERATIONS {
        let Ok(process) = process::of(pid) else {
            return false;
        };
        if pid == earlier.runtime_pid {
            // Both are rounded to a second; the gate is this process before it becomes the runtime.
            let born = now.saturating_sub(process.age).saturating_sub(2);
            return rfc3339(born).as_str() <= earlier.time;
        }
        pid = process.parent;
    }
    false
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{is_on_record, last_about};
    use crate::audit::{Decision, Sinks, Subject, record};
    use crate::sys::clock;
    use crate::verdict::{Reason, ReasonCode, Verdict};

    fn reason(code: ReasonCode) -> Reason {
        Reason::new(code, "d", "")
    }

    #[test]
    fn finds_the_newest_record_of_a_container_whatever_names_say() {
        let line = |id: &str, name: &str, pid: u32| {
            format!(
                r#"{{"time":"t","verdict":"allow","code":"trusted","container":{{"id":"{id}","name":"{name}"}},"config":null,"runtime_pid":{pid}}}"#
            ) + "\n"
        };
        let named = r#"\"id\":\"abc\""#;
        let text = "cut\"id\":\"abc\"\n".to_owned()
            + &line("abc", "a", 1)
            + &line("abc", "a", 2)
            + &line("other", named, 3)
            + &line("abcd", "a", 4);
        let found = |id| last_about(text.as_bytes(), id).map(|earlier| earlier.runtime_pid);
        assert_eq!(found("abc"), Some(2));
        assert_eq!(found("abcd"), Some(4));
        assert_eq!(found("none"), None);
    }

    /// Needs root, whose the record is.
    #[test]
    fn only_the_same_answer_about_the_same_start_is_on_record() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let own = std::process::id();
        let parent = std::os::unix::process::parent_id();
        let allow = Verdict::Allow(reason(ReasonCode::Trusted));
        let warn = Verdict::Warn(reason(ReasonCode::Trusted));
        let deny = Verdict::Deny(reason(ReasonCode::Unknown));
        let now = clock::now();
        let said = |verdict, id, runtime, ago: u64| Decision {
            time: now - ago,
            verdict,
            would_deny: false,
            mode: "enforce",
            verb: "create",
            subject: Subject {
                id,
                ..Subject::default()
            },
            allowlist: None,
            runtime,
            duration: Duration::ZERO,
        };
        let second = said(&allow, "a", own, 0);
        let audited = Decision {
            would_deny: true,
            ..said(&warn, "a", own, 0)
        };
        for (first, second, expected) in [
            (second, second, true),
            (said(&allow, "a", parent, 0), second, true),
            (said(&allow, "b", own, 0), second, false),
            (said(&allow, "a", 1 << 30, 0), second, false),
            (said(&warn, "a", own, 0), second, false),
            (second, said(&deny, "a", own, 0), false),
            (said(&deny, "a", own, 0), said(&deny, "a", own, 0), false),
            (audited, audited, true),
            (said(&warn, "a", own, 0), audited, false),
            // The number was another process's when that was written.
            (said(&allow, "a", own, 1 << 30), second, false),
        ] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let decisions = directory.path().join("decisions.jsonl");
            let sinks = Sinks {
                decisions: &decisions,
                run_dir: directory.path(),
                journal: &directory.path().join("nobody"),
            };
            assert!(!is_on_record(&second, &sinks), "nothing is");
            record(&first, &sinks);
            assert_eq!(
                is_on_record(&second, &sinks),
                expected,
                "{first:?} {second:?}"
            );
        }
    }
}
