//! `explain`: why one container was allowed or refused, in plain words.
//!
//! Owns also which records whoever asks may read. What is said of many is `report`'s.

use std::io::ErrorKind;

use serde_json::{Value, json};

use super::args;
use super::context::{Context, is_root};
use super::decisions::{self, Decision, Tail};
use super::failure::{Failure, OrFail as _};
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

/// The node's record; for whoever is not root, what of it may be read, and then the user's own.
///
/// # Errors
/// When a record that may be read cannot be.
pub fn read(context: &Context) -> Result<Tail, Failure> {
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
