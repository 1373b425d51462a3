//! What runs, held against what was decided.
//!
//! Owns how bad it is that a container came to run without a decision, on another runtime, or with an
//! image that would be refused now. Which decision is that of its start, `audit` knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Node;
use super::check::{Check, Findings};
use super::programs::{Way, way};
use crate::audit::passages::{Entered, Passages};
use crate::configure::{State, Target};
use crate::engine::running::{Container, Source};
use crate::pipeline::{self, Opened};
use crate::policy::gatebin::Mode;
use crate::store::Store;
use crate::sys::process;
use crate::verdict::{ReasonCode, Verdict};

/// As many names as a line has room for.
const MAX_NAMES: usize = 5;

pub(super) fn look(node: &Node<'_>, found: &mut Findings) {
    let running = &node.running;
    if running.unseen > 0 && !node.question.is_root {
        let what = format!("{} processes of others", running.unseen);
        found.unseen(Check::RunningImage, what);
    }
    for undecided in &running.unread {
        let reason = &undecided.0;
        match node.question.is_root {
            true => found.warn(
                Check::RunningImage,
                reason.detail.clone(),
                reason.hint.clone(),
            ),
            false => found.unseen(Check::RunningImage, reason.detail.clone()),
        }
    }
    users(node, found);
    runtimes(node, found);
    decisions(node, found);
    images(node, found);
}

/// What the gate of this node has a say in: neither users' own engines nor what is made in a container.
fn ours<'a>(node: &'a Node<'_>) -> impl Iterator<Item = &'a Container> {
    let all = node.running.containers.iter();
    all.filter(|container| !matches!(container.source, Source::User | Source::Nested))
}

fn users(node: &Node<'_>, found: &mut Findings) {
    let theirs = node.running.containers.iter();
    let theirs = theirs.filter(|container| container.source == Source::User);
    let count = theirs.count();
    if count > 0 {
        let what = format!("{count} of users' own engines run, which are audited only");
        found.note(Check::RunningDecision, what, "");
    }
}

fn runtimes(node: &Node<'_>, found: &mut Findings) {
    let mut around: BTreeMap<&Path, Vec<String>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for container in ours(node) {
        match (&container.runtime, container.monitor) {
            (Some(runtime), Some(monitor)) => {
                let root = process::path_of(monitor, "root");
                if matches!(way(runtime, &root), Way::Around | Way::Missing) {
                    around.entry(runtime).or_default().push(named(container));
                }
            }
            (None, Some(_)) => unknown.push(named(container)),
            (_, None) => {}
        }
    }
    for (runtime, names) in around {
        let what = format!(
            "'{}' runs {}, and does not lead to vcn-hook",
            runtime.display(),
            some(&names)
        );
        found.danger(Check::RunningRuntime, what, super::CONFIGURE);
    }
    if !unknown.is_empty() {
        let what = format!("it cannot be told which runtime runs {}", some(&unknown));
        found.note(Check::RunningRuntime, what, "");
    }
    found.ok_unless_told(
        Check::RunningRuntime,
        "every shim and conmon calls a runtime that leads to the gate",
    );
}

fn decisions(node: &Node<'_>, found: &mut Findings) {
    let check = Check::RunningDecision;
    let Some(path) = node.decisions() else { return };
    let mut passages = Passages::of(path);
    if let Err(error) = passages.read_on() {
        let what = format!("the decisions in '{}': {error}", path.display());
        return found.unseen(check, what);
    }
    // Once the gate is in, even the first decision has to be there.
    let is_cut = rotated(path).exists();
    let since = put_in(node).filter(|_| !is_cut);
    let mut decided = 0;
    let mut before = Vec::new();
    for container in ours(node) {
        match passages.of_start(&container.id, container.started) {
            Entered::ByGate(_) => decided += 1,
            Entered::Before if since.is_none_or(|since| container.started <= since) => {
                before.push(container);
            }
            // Each is an alert of its own.
            Entered::Before | Entered::Around => {
                let name = named(container);
                let what = format!(
                    "{name} started, and nothing was decided that let it: it came round the gate"
                );
                found.danger(check, what, again(&[container]));
            }
        }
    }
    let names: Vec<_> = before.iter().map(|container| named(container)).collect();
    match (before.is_empty(), is_cut) {
        (true, _) => {}
        (false, true) => {
            let what = format!(
                "{} started before the oldest decision that is kept",
                some(&names)
            );
            found.note(check, what, "");
        }
        (false, false) => {
            let what = format!("{} started before anything was judged here", some(&names));
            found.warn(check, what, again(&before));
        }
    }
    found.ok_unless_told(
        check,
        format!("{decided} running, each by a decision on record"),
    );
}

/// When runc and crun made way for the gate, where they have ever since.
fn put_in(node: &Node<'_>) -> Option<u64> {
    let mut ways = node.ways.iter();
    let system = ways.find(|way| way.target == Target::System && way.state == State::On);
    system?.since
}

/// Where logrotate puts what was in a file before.
fn rotated(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

fn images(node: &Node<'_>, found: &mut Findings) {
    let check = Check::RunningImage;
    let Ok(gate) = &node.gate else { return };
    let allowlist = Opened::look(gate, &Store::new(&gate.state_dir), node.now());
    let mut refused: BTreeMap<ReasonCode, Vec<&Container>> = BTreeMap::new();
    for container in &node.running.containers {
        match &container.image {
            Ok(image) => {
                if let Verdict::Deny(reason) =
                    pipeline::of_running(image, gate, allowlist.as_ref(), node.now())
                {
                    refused.entry(reason.code).or_default().push(container);
                }
            }
            Err(undecided) => {
                let what = format!("{}: {}", named(container), undecided.0.detail);
                let fix = undecided.0.hint.clone();
                match container.source {
                    Source::User => {}
                    Source::Build => found.note(check, what, fix),
                    Source::Other | Source::Nested => found.warn(check, what, fix),
                    Source::Unrecorded => found.danger(check, what, fix),
                    _ if undecided.0.code == ReasonCode::Unbound => found.danger(check, what, fix),
                    Source::Docker | Source::Podman | Source::Bundle => {
                        found.warn(check, what, fix);
                    }
                }
            }
        }
    }
    for (code, containers) in refused {
        let names: Vec<_> = containers
            .iter()
            .map(|container| named(container))
            .collect();
        let what = format!("{} would not start again ({code})", some(&names));
        let is_withdrawn = matches!(
            code,
            ReasonCode::Untrusted | ReasonCode::Revoked | ReasonCode::Unsupported
        );
        match (is_withdrawn, gate.mode) {
            (true, _) => found.warn(check, what, stop(&containers)),
            (false, Mode::Audit) => found.note(check, what, "vcn-hook report --running"),
            (false, Mode::Enforce) => found.warn(check, what, "vcn-hook report --running"),
        }
    }
    found.ok_unless_told(check, "the gate would start everything again that runs");
}

/// Once more, past the gate.
fn again(containers: &[&Container]) -> String {
    command("restart", "end it, and start it again", containers)
}

fn stop(containers: &[&Container]) -> String {
    command("stop", "end it", containers)
}

fn command(verb: &str, otherwise: &str, containers: &[&Container]) -> String {
    let engines = [(Source::Docker, "docker"), (Source::Podman, "podman")];
    let commands = engines.iter().filter_map(|(source, program)| {
        let theirs = containers.iter().filter(|c| c.source == *source);
        let ids: Vec<_> = theirs.map(|c| short(&c.id)).collect();
        (!ids.is_empty()).then(|| format!("{program} {verb} {}", ids.join(" ")))
    });
    let commands: Vec<_> = commands.collect();
    match commands.is_empty() {
        true => otherwise.to_owned(),
        false => commands.join("; "),
    }
}

/// How people call it.
fn named(container: &Container) -> String {
    match (&container.name, container.id.as_str()) {
        (Some(name), _) if !name.is_empty() => format!("'{name}'"),
        (_, "") => format!("process {}", container.init),
        (_, id) => format!("'{}'", short(id)),
    }
}

/// As long as engines show it.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

pub(super) fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    let first: Vec<_> = names.iter().take(MAX_NAMES).map(String::as_str).collect();
    let first = first.join(", ");
    match more {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::some;

    #[test]
    fn a_line_has_room_for_some_names() {
        let names: Vec<_> = (0..7).map(|n| n.to_string()).collect();
        assert_eq!(some(&names[..2]), "0, 1");
        assert_eq!(some(&names), "0, 1, 2, 3, 4 and 2 more");
    }
}
