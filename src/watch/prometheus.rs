//! The node as Prometheus reads it: text exposition format 0.0.4.
//!
//! Owns names, labels and help (docs/metrics.md). The names of vcn-watchdog and kube-notary stay what
//! they were. How many containers have series of their own is bounded.

mod text;

use std::collections::BTreeSet;

use text::{COUNTER, GAUGE, Text, rendered};

use super::decisions::BOUNDS;
use super::picture::Picture;
use super::sweep::{Sweep, Watched};
use crate::policy::gatebin::Mode;

/// What a scrape is answered as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// More containers than a node runs; whoever starts more to fill a database fills it no further.
const MAX_CONTAINERS: usize = 5000;

/// Writes everything that can be measured.
#[must_use]
pub fn exposition(picture: &Picture) -> String {
    let mut text = Text::default();
    let build = [("version", env!("CARGO_PKG_VERSION"))];
    text.family("vcn_hook_build_info", GAUGE, "Which vcn-hook this is.");
    text.labelled("vcn_hook_build_info", &build, 1);
    if let Some(sweep) = &picture.sweep {
        containers(&mut text, sweep);
        the_sweep(&mut text, sweep);
        text.gauge(
            "vcn_hook_sweep_interval_seconds",
            "How long it is from one sweep to the next, at most.",
            picture.interval,
        );
        allowlist(&mut text, sweep, picture.now);
        layers(&mut text, sweep);
    }
    node(&mut text, picture);
    decisions(&mut text, picture);
    deliveries(&mut text, picture);
    text.finish()
}

fn containers(text: &mut Text, sweep: &Sweep) {
    const STATUS: &str = "Current verification status of images.";
    const LEVEL: &str = "Current verification level of images.";
    let mut seen = BTreeSet::new();
    let shown = sweep.containers.iter().filter_map(|container| {
        let labels = labels(container);
        seen.insert(labels.clone()).then_some((labels, container))
    });
    let shown: Vec<_> = shown.take(MAX_CONTAINERS).collect();
    for prefix in ["vcn_verification", "kube_notary_vcn_verification"] {
        let (status, level) = (format!("{prefix}_status"), format!("{prefix}_level"));
        text.family(&status, GAUGE, STATUS);
        for (labels, container) in &shown {
            text.raw(&status, labels, container.status.code());
        }
        text.family(&level, GAUGE, LEVEL);
        for (labels, container) in &shown {
            text.raw(&level, labels, container.level);
        }
    }
    let name = "vcn_hook_container_verdict";
    text.family(
        name,
        GAUGE,
        "What the gate would say to a start of a running container now, and how it came to run; always 1.",
    );
    for (_, container) in &shown {
        text.raw(name, &verdict(container), 1);
    }
    let name = "kube_notary_aggregate_status";
    text.family(name, GAUGE, "Status aggregate over all containers.");
    for status in 0..5_u8 {
        let code = status.to_string();
        let found = sweep.containers.iter();
        let count = found.filter(|c| c.status.code() == status).count();
        text.labelled(name, &[("target_namespace", ""), ("status", &code)], count);
    }
    let omitted = sweep.containers.len().saturating_sub(shown.len());
    text.gauge(
        "vcn_hook_containers_without_series",
        "Running containers beyond those that have series of their own.",
        omitted,
    );
}

/// The labels of kube-notary, of which those that vcn-watchdog had mean what they did there.
fn labels(container: &Watched) -> String {
    let (namespace, pod, name) = container.pod();
    let (id, image) = (container.label(), container.image_name());
    let manifest = container.manifest.map(|digest| digest.to_string());
    let hash = container.config.map(|digest| digest.hex());
    rendered(&[
        ("namespace", namespace),
        ("pod", pod),
        ("container", &id),
        ("image", &image),
        ("image_id", manifest.as_deref().unwrap_or_default()),
        ("hash", hash.as_deref().unwrap_or_default()),
        ("name", name),
        ("engine", container.engine),
    ])
}

fn verdict(container: &Watched) -> String {
    rendered(&[
        ("container", &container.label()),
        ("image", &container.image_name()),
        ("name", container.pod().2),
        ("engine", container.engine),
        ("verdict", container.verdict.as_str()),
        ("reason", container.verdict.reason().code.as_str()),
        ("entered", container.entered.as_str()),
    ])
}

fn the_sweep(text: &mut Text, sweep: &Sweep) {
    let count = |wanted: &dyn Fn(&Watched) -> bool| {
        let found = sweep.containers.iter();
        found.filter(|container| wanted(container)).count()
    };
    let of = |verdict| count(&|container| container.verdict.as_str() == verdict);
    text.gauges(
        "vcn_hook_running_containers",
        "Running containers, by what the gate would say to a start of them now.",
        "verdict",
        ["allow", "warn", "deny"].map(|verdict| (verdict, of(verdict))),
    );
    let of = |entered| count(&|container| container.entered.as_str() == entered);
    text.gauges(
        "vcn_hook_running_containers_entered",
        "Running containers, by how they came to run.",
        "entered",
        ["by-gate", "around", "before"].map(|entered| (entered, of(entered))),
    );
    text.gauge(
        "vcn_hook_sweep_duration_seconds",
        "How long the last sweep took.",
        sweep.took.as_secs_f64(),
    );
    text.gauge(
        "vcn_hook_sweep_timestamp_seconds",
        "When the last sweep began.",
        sweep.begun,
    );
    text.gauge(
        "vcn_hook_sweep_troubles",
        "What the last sweep could not look at.",
        sweep.troubles.len(),
    );
    let usable = u8::from(sweep.undecided.is_none());
    text.gauge(
        "vcn_hook_allowlist_usable",
        "Whether the allowlist can decide at all.",
        usable,
    );
}

fn allowlist(text: &mut Text, sweep: &Sweep, now: u64) {
    let Some(allowlist) = &sweep.allowlist else {
        return;
    };
    for (name, help, value) in [
        (
            "age_seconds",
            "Seconds since the allowlist was signed.",
            now.saturating_sub(allowlist.signed),
        ),
        (
            "signed_timestamp_seconds",
            "When the allowlist was signed.",
            allowlist.signed,
        ),
        (
            "expires_timestamp_seconds",
            "When the allowlist expires.",
            allowlist.expires,
        ),
        ("entries", "Records in the allowlist.", allowlist.records),
        (
            "log_size",
            "Entries of the log that are in the allowlist.",
            allowlist.log_size,
        ),
        (
            "root_version",
            "The trust root's version that it was made under.",
            allowlist.root_version,
        ),
    ] {
        text.gauge(&format!("vcn_hook_allowlist_{name}"), help, value);
    }
}

fn layers(text: &mut Text, sweep: &Sweep) {
    let Some(layers) = &sweep.layers else {
        return;
    };
    text.gauges(
        "vcn_hook_layers",
        "Layers of running containers, by what the last reading of every byte found.",
        "found",
        [
            ("intact", layers.intact),
            ("differing", layers.differing),
            ("undecidable", layers.undecidable),
        ],
    );
    text.gauge(
        "vcn_hook_images_unread",
        "Images of running containers whose layers are due to be read.",
        layers.images_unread,
    );
    text.gauge(
        "vcn_hook_images_unread_seconds",
        "How long the first of those has been due.",
        layers.longest_wait.as_secs(),
    );
}

fn node(text: &mut Text, picture: &Picture) {
    let node = &picture.node;
    let enforcing = u8::from(node.mode == Some(Mode::Enforce));
    text.gauge(
        "vcn_hook_enforcing",
        "Whether a refusal refuses (1), or is only recorded (0).",
        enforcing,
    );
    if let Some(sync) = &node.sync {
        let ok = u8::from(sync.error.is_none());
        text.gauge("vcn_hook_sync_ok", "Whether the last sync succeeded.", ok);
        text.gauge(
            "vcn_hook_sync_timestamp_seconds",
            "When the last sync ended.",
            sync.time,
        );
    }
    if let Some(test) = &node.self_test {
        let ok = u8::from(test.proven);
        text.gauge(
            "vcn_hook_selftest_ok",
            "Whether the last self-test proved that an unknown image is refused.",
            ok,
        );
        text.gauge(
            "vcn_hook_selftest_timestamp_seconds",
            "When the last self-test was.",
            test.time,
        );
    }
    let exempt = node.exemptions.len();
    text.gauge(
        "vcn_hook_break_glass_active",
        "Images that an exemption lets start now.",
        exempt,
    );
}

fn decisions(text: &mut Text, picture: &Picture) {
    let decisions = &picture.decisions;
    let name = "vcn_hook_decisions_total";
    text.family(name, COUNTER, "Starts that were judged.");
    for (outcome, count) in &decisions.counts {
        let labels = [
            ("decision", outcome.decision),
            ("reason", outcome.reason),
            ("engine", outcome.engine),
        ];
        text.labelled(name, &labels, count);
    }
    // There from the first scrape on, or the first refusal of all would be no increase.
    let name = "vcn_hook_refusals_total";
    text.family(
        name,
        COUNTER,
        "Starts that were refused, or would have been outside of audit mode.",
    );
    for decision in ["deny", "would-deny"] {
        let count = decisions.came_out(decision);
        text.labelled(name, &[("decision", decision)], count);
    }
    let name = "vcn_hook_decision_duration_seconds";
    text.family(name, "histogram", "How long a decision took.");
    let mut below = 0_u64;
    for ((_, bound), count) in BOUNDS.iter().zip(decisions.buckets) {
        below = below.saturating_add(count);
        text.labelled(&format!("{name}_bucket"), &[("le", bound)], below);
    }
    let all = decisions.total();
    text.labelled(&format!("{name}_bucket"), &[("le", "+Inf")], all);
    text.raw(&format!("{name}_sum"), "", Seconds(decisions.sum));
    text.raw(&format!("{name}_count"), "", all);
    for (name, help, count) in [
        (
            "vcn_hook_decisions_unrecorded_total",
            "Decisions that could not be written to their record.",
            picture.node.unrecorded,
        ),
        (
            "vcn_hook_decisions_unreadable_total",
            "Lines of the record that are no decision.",
            decisions.unreadable,
        ),
    ] {
        text.family(name, COUNTER, help);
        text.raw(name, "", count);
    }
}

fn deliveries(text: &mut Text, picture: &Picture) {
    type Count = fn(&super::picture::Telling) -> u64;
    let families: [(&str, &str, &str, Count); 4] = [
        (
            "vcn_hook_delivery_waiting",
            GAUGE,
            "What another place was not told yet.",
            |d| d.waiting,
        ),
        (
            "vcn_hook_delivery_delivered_total",
            COUNTER,
            "What another place was told.",
            |d| d.delivered,
        ),
        (
            "vcn_hook_delivery_failures_total",
            COUNTER,
            "Attempts to tell another place that failed.",
            |d| d.failed,
        ),
        (
            "vcn_hook_delivery_dropped_total",
            COUNTER,
            "What another place will never be told.",
            |d| d.dropped,
        ),
    ];
    for (name, kind, help, count) in families {
        text.family(name, kind, help);
        for delivery in &picture.told {
            text.labelled(name, &[("target", &delivery.target)], count(delivery));
        }
    }
}

/// Microseconds, written as seconds without losing any.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
#[path = "prometheus_tests.rs"]
mod tests;
