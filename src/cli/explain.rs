//! `explain` and `report`: why containers were allowed or refused, in plain words.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use serde_json::{Value, json};

use super::args;
use super::context::{Context, is_root};
use super::decisions::{self, Decision, Tail};
use super::failure::{Failure, OrFail as _};
use super::moment;
use super::output;
use crate::verdict::exit;

/// Shows the newest decisions about one container, newest first.
///
/// # Errors
/// When the record cannot be read, or has nothing about this container.
pub fn explain(context: &mut Context, args: &args::Explain) -> Result<u8, Failure> {
    let tail = read(context)?;
    let about = |decision: &&Decision| decision.is_about(&args.container);
    let found: Vec<&Decision> = tail
        .decisions
        .iter()
        .rev()
        .filter(about)
        .take(args.last.max(1))
        .collect();
    let Some(newest) = found.first() else {
        return Err(Failure::new(exit::FAILURE, nothing(&args.container, &tail)));
    };
    let several = found
        .iter()
        .any(|decision| decision.container.id != newest.container.id);
    if several {
        context.out.note(format!(
            "'{}' is the beginning of several containers",
            args.container
        ));
    }
    let values: Vec<Value> = found.iter().map(|decision| value(decision)).collect();
    context.out.answer(&values, |_| {
        found
            .iter()
            .map(|decision| block(decision))
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    Ok(0)
}

/// Lists what was refused, or would have been in audit mode: each image and reason once.
///
/// # Errors
/// When the record cannot be read.
pub fn report(context: &mut Context, args: &args::Report) -> Result<u8, Failure> {
    let since = match &args.since {
        None => 0,
        Some(span) => moment::parse(span, 0)
            .filter(|_| !span.contains('-'))
            .map(|span| context.now.saturating_sub(span))
            .ok_or_else(|| Failure::usage(format!("--since: '{span}' is no span such as 7d")))?,
    };
    let tail = read(context)?;
    let mut groups: BTreeMap<(String, String, String), Group> = BTreeMap::new();
    for decision in tail.decisions.iter().filter(|decision| decision.refused()) {
        let unix = moment::parse(&decision.time, 0).unwrap_or(0);
        if unix >= since {
            let image = decision.image.clone().unwrap_or_default();
            let config = decision.config.clone().unwrap_or_default();
            let group = groups
                .entry((decision.code.clone(), image, config))
                .or_default();
            group.add(decision);
        }
    }
    let mut values = Vec::new();
    let mut lines = Vec::new();
    for ((code, image, config), group) in &groups {
        values.push(json!({
            "code": code, "image": image, "config": config, "refused": group.refused,
            "wouldDeny": group.would_deny, "last": group.last, "container": group.container,
            "detail": group.detail, "hint": group.hint,
        }));
        lines.push([
            code.clone(),
            (group.refused + group.would_deny).to_string(),
            group.last.clone(),
            image.clone(),
            config.clone(),
            group.hint.clone(),
        ]);
    }
    context.out.answer(&values, |_| {
        if lines.is_empty() {
            return "nothing was refused, and nothing would have been\n".to_owned();
        }
        output::table(
            ["REASON", "TIMES", "LAST", "IMAGE", "CONFIG", "NEXT"],
            &lines,
        )
    })?;
    if tail.cut {
        context
            .out
            .note("older decisions are in the file, and were not read");
    }
    Ok(0)
}

/// Refusals of one image for one reason.
#[derive(Default)]
struct Group {
    refused: usize,
    would_deny: usize,
    last: String,
    container: String,
    detail: String,
    hint: String,
}

impl Group {
    fn add(&mut self, decision: &Decision) {
        if decision.would_deny {
            self.would_deny += 1;
        } else {
            self.refused += 1;
        }
        self.last.clone_from(&decision.time);
        self.container.clone_from(&decision.container.id);
        self.detail.clone_from(&decision.detail);
        self.hint.clone_from(&decision.hint);
    }
}

/// The node's record; for whoever is not root, what of it may be read, and then the user's own.
fn read(context: &Context) -> Result<Tail, Failure> {
    let config = context.config()?;
    let path = &config.decisions;
    let nodes = match decisions::tail(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied && !is_root() => {
            Ok(Tail::default())
        }
        read => read,
    };
    let mut tail = nodes.or_fail(exit::FAILURE, || {
        format!("cannot read the decisions in '{}'", path.display())
    })?;
    if !is_root() {
        let own = context.own_state(&config)?.join("decisions.jsonl");
        let mut own = decisions::tail(&own).or_fail(exit::FAILURE, || {
            format!("cannot read your own decisions in '{}'", own.display())
        })?;
        tail.decisions.append(&mut own.decisions);
        tail.unreadable += own.unreadable;
        tail.cut |= own.cut;
    }
    Ok(tail)
}

fn nothing(container: &str, tail: &Tail) -> String {
    let read = tail.decisions.len();
    let hint = if read == 0 {
        "no decision was recorded at all: is the gate in the way of starts? see 'vcn-hook status'"
    } else {
        "the gate never saw it start, or that was long ago; of a container of their own engine, its user is told"
    };
    format!("no decision about '{container}' among the last {read}: {hint}")
}

fn block(decision: &Decision) -> String {
    let what = match (decision.verdict.as_str(), decision.would_deny) {
        (_, true) => "let through in audit mode; it would have been refused",
        ("allow", _) => "allowed",
        ("warn", _) => "allowed, with a warning",
        _ => "refused",
    };
    let layers = if decision.unbound {
        "unbound: nothing but [[bundle]] of config.toml says that the files are that image's"
    } else {
        ""
    };
    output::rows(&[
        ("Container", decision.container.id.clone()),
        ("Name", decision.container.name.clone().unwrap_or_default()),
        ("Image", decision.image.clone().unwrap_or_default()),
        ("Config", decision.config.clone().unwrap_or_default()),
        ("Layers", layers.to_owned()),
        ("When", format!("{} ({})", decision.time, decision.verb)),
        ("Decision", what.to_owned()),
        (
            "Because",
            format!("{} ({})", decision.detail, decision.code),
        ),
        ("Next", decision.hint.clone()),
    ])
}

fn value(decision: &Decision) -> Value {
    json!({
        "time": decision.time, "verdict": decision.verdict, "code": decision.code,
        "detail": decision.detail, "hint": decision.hint,
        "container": { "id": decision.container.id, "name": decision.container.name },
        "image": decision.image, "config": decision.config, "unbound": decision.unbound,
        "verb": decision.verb,
        "wouldDeny": decision.would_deny,
    })
}
