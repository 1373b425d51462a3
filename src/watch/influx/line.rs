//! Points in InfluxDB's line protocol.
//!
//! Owns the measurement `vcn_verification` as vcn-watchdog wrote it, tag by tag, and `vcn_hook` beside
//! it for the node itself. Pure. Times are in seconds: `precision=s` goes with them.

use std::fmt::{Display, Write as _};

use crate::escape::Escaped;
use crate::policy::gatebin::Mode;
use crate::watch::picture::Picture;
use crate::watch::sweep::{Sweep, Watched};

/// Characters of a tag's value.
const MAX_TAG: usize = 256;

/// The points of one sweep, each a line; none without a sweep.
#[must_use]
pub fn points(picture: &Picture) -> Vec<String> {
    let Some(sweep) = &picture.sweep else {
        return Vec::new();
    };
    let containers = sweep.containers.iter();
    let mut points: Vec<_> = containers.map(|found| container(sweep, found)).collect();
    points.push(node(sweep, picture));
    points
}

/// As the seeds had it: `container_name` is the image, and a check that failed says no status.
fn container(sweep: &Sweep, container: &Watched) -> String {
    let (image, id) = (container.image_name(), container.label());
    let mut line = String::from("vcn_verification");
    tag(&mut line, "hostname", &sweep.node);
    tag(&mut line, "container_name", &image);
    tag(&mut line, "container_id", &id);
    let time = sweep.begun;
    if container.passes() {
        let (status, level) = (container.status.code(), container.level);
        tag(&mut line, "status", &status.to_string());
        tag(&mut line, "level", &level.to_string());
        line.push_str(&format!(" failed=0,status={status},level={level} {time}"));
    } else {
        line.push_str(&format!(" failed=1 {time}"));
    }
    line
}

/// What no single container says.
fn node(sweep: &Sweep, picture: &Picture) -> String {
    let mut line = String::from("vcn_hook");
    tag(&mut line, "hostname", &sweep.node);
    let mut fields = Fields(String::new());
    let failed = sweep.containers.iter().filter(|found| !found.passes());
    let around = sweep.containers.iter();
    let around = around.filter(|found| found.entered.as_str() == "around");
    fields.add("running", sweep.containers.len());
    fields.add("failed", failed.count());
    fields.add("around", around.count());
    fields.add("troubles", sweep.troubles.len());
    fields.add("sweep_seconds", sweep.took.as_secs_f64());
    if let Some(allowlist) = &sweep.allowlist {
        let age = sweep.begun.saturating_sub(allowlist.signed);
        fields.add("allowlist_age_seconds", age);
        let left = i128::from(allowlist.expires) - i128::from(sweep.begun);
        fields.add("allowlist_expires_in_seconds", left);
        fields.add("allowlist_entries", allowlist.records);
    }
    fields.add("allowlist_usable", u8::from(sweep.undecided.is_none()));
    let node = &picture.node;
    fields.add("enforcing", u8::from(node.mode == Some(Mode::Enforce)));
    if let Some(sync) = &node.sync {
        fields.add("sync_ok", u8::from(sync.error.is_none()));
        fields.add("sync_age_seconds", picture.now.saturating_sub(sync.time));
    }
    if let Some(test) = &node.self_test {
        fields.add("selftest_ok", u8::from(test.proven));
        let age = picture.now.saturating_sub(test.time);
        fields.add("selftest_age_seconds", age);
    }
    fields.add("exemptions", node.exemptions.len());
    fields.add("unrecorded", node.unrecorded);
    let decisions = &picture.decisions;
    for (name, decision) in [
        ("decisions_allow", "allow"),
        ("decisions_warn", "warn"),
        ("decisions_deny", "deny"),
        ("decisions_would_deny", "would-deny"),
    ] {
        fields.add(name, decisions.came_out(decision));
    }
    for (name, thousandths) in [("decision_p50_us", 500), ("decision_p99_us", 990)] {
        if let Some(time) = decisions.quantile(thousandths) {
            fields.add(name, time);
        }
    }
    let waiting: u64 = picture.told.iter().map(|other| other.waiting).sum();
    fields.add("deliveries_waiting", waiting);
    format!("{line} {} {}", fields.0, sweep.begun)
}

/// Numbers without a suffix, as the seeds wrote them: floats, whatever they count.
struct Fields(String);

impl Fields {
    fn add(&mut self, name: &str, value: impl Display) {
        let comma = if self.0.is_empty() { "" } else { "," };
        // Writing into a String cannot fail.
        let _ = write!(self.0, "{comma}{name}={value}");
    }
}

/// Adds a tag; one without a value is none.
fn tag(line: &mut String, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    let _ = write!(line, ",{name}=");
    // No line may end within a tag, and no terminal that shows one may obey it.
    let short: String = value.chars().take(MAX_TAG).collect();
    for character in Escaped(&short).to_string().chars() {
        match character {
            // InfluxDB knows no escape of a backslash, and takes one at the end for that of what follows.
            '\\' => line.push('/'),
            ',' | '=' | ' ' => {
                line.push('\\');
                line.push(character);
            }
            other => line.push(other),
        }
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
