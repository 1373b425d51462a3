//! `doctor`: what on this node lets a start come round the gate, or keeps the gate from judging right.
//!
//! Owns how findings are shown, the worst first, and the exit code. What is looked at, and how bad it
//! is, belongs to `doctor`.

use serde_json::{Value, json};

use super::context::{Context, is_root};
use super::escape::Escaped;
use super::failure::Failure;
use super::output::Paint;
use crate::doctor::{self, Finding, Findings, Question, Severity};
use crate::verdict::exit;

/// The answer's form.
const SCHEMA: &str = "vcn-hook/doctor/v1";

/// The worst first: what is as it should be needs nobody's attention.
const GROUPS: [Severity; 4] = [
    Severity::Danger,
    Severity::Warning,
    Severity::Note,
    Severity::Ok,
];

/// Looks at everything, and says with 1 that something is wrong.
///
/// # Errors
/// When the answer cannot be written.
pub fn run(context: &mut Context) -> Result<u8, Failure> {
    let config = context.config();
    let question = Question {
        config: config.map_err(|failure| failure.to_string()),
        config_path: context.config_path.clone(),
        is_root: is_root(),
        now: context.now,
    };
    let found = doctor::examine(&question);
    context
        .out
        .answer(&value(&found), |paint| text(&found, paint))?;
    Ok(match found.worst() {
        Severity::Ok | Severity::Note => exit::OK,
        Severity::Warning | Severity::Danger => exit::FAILURE,
    })
}

fn value(found: &Findings) -> Value {
    let findings: Vec<_> = found
        .all()
        .map(|finding| {
            json!({
                "check": finding.check.as_str(),
                "severity": finding.severity.as_str(),
                "what": finding.what,
                "fix": finding.fix,
            })
        })
        .collect();
    let unseen: Vec<_> = found
        .not_looked_at()
        .iter()
        .map(|(check, what)| json!({ "check": check.as_str(), "what": what }))
        .collect();
    json!({
        "schema": SCHEMA,
        "worst": found.worst().as_str(),
        "findings": findings,
        "notLookedAt": unseen,
    })
}

fn text(found: &Findings, paint: Paint) -> String {
    let width = found.all().map(|finding| finding.check.as_str().len());
    let width = width.max().unwrap_or(0);
    let mut text = String::new();
    for severity in GROUPS {
        let group: Vec<_> = found.all().filter(|f| f.severity == severity).collect();
        if group.is_empty() {
            continue;
        }
        let heading = severity.as_str();
        text.push_str(&paint.severity(severity, heading));
        text.push('\n');
        for finding in group {
            text.push_str(&row(finding, width));
        }
        text.push('\n');
    }
    for (check, what) in found.not_looked_at() {
        text.push_str(&format!("not looked at, for {check}: {}\n", Escaped(what)));
    }
    if !found.not_looked_at().is_empty() && !is_root() {
        text.push_str("root sees more: sudo vcn-hook doctor\n");
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// What is wrong, and under it what closes it.
fn row(finding: &Finding, width: usize) -> String {
    let check = finding.check.as_str();
    let mut row = format!("  {check:width$}  {}\n", Escaped(&finding.what));
    if let Some(fix) = &finding.fix {
        row.push_str(&format!("  {:width$}  -> {}\n", "", Escaped(fix)));
    }
    row
}
