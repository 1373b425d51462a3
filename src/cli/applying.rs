//! `apply`: the configuration and the trust root, compiled for the gate.
//!
//! Owns what is said of everything that applies: what lies here and was refused,
//! what will not start again and what is held is told whichever verb came across it.

use std::path::Path;

use serde_json::json;

use super::args;
use super::context::Context;
use super::failure::{Failure, OrFail as _};
use super::moment;
use crate::apply::{self, Affected, Applied, ApplyError, Lapses};
use crate::audit::message_id;
use crate::config::Config;
use crate::sys::journal;
use crate::verdict::{ReasonCode, exit};

/// How many images are named in one line; all of them are in `-o json`.
const NAMED: usize = 10;

/// Replaces gate.bin, or leaves it as it was.
///
/// # Errors
/// `configuration`, whatever kept it from being compiled.
pub fn run(context: &mut Context, args: &args::Apply) -> Result<u8, Failure> {
    let config = context.config()?;
    let lapses = match args.accept_lapses {
        true => Lapses::Accept,
        false => Lapses::Hold,
    };
    let applied = compiled(&config, lapses, context.now).or_fail(CODE, || WHAT)?;
    for line in said_of(&applied) {
        context.out.warn(&line);
    }
    let path = apply::gatebin_path(&config.state_dir).display().to_string();
    let refused = applied
        .exemptions
        .iter()
        .filter(|each| each.granted.is_err());
    let blast = &applied.blast;
    let affected = blast.affected.iter().map(|each| {
        json!({
            "config": each.config,
            "containers": each.containers,
            "code": each.reason.code.as_str(),
            "detail": each.reason.detail,
            "held": each.held,
        })
    });
    let value = json!({
        "gate": path,
        "changed": applied.changed,
        "mode": applied.gate.mode,
        "rootVersion": applied.gate.trust.root_version,
        "highWater": applied.high_water.as_ref().ok().copied().flatten().map(|mark| json!({
            "logSize": mark.log_size,
            "time": moment::rfc3339(mark.time),
            "rootVersion": mark.root_version,
        })),
        "exemptions": { "compiled": applied.gate.exemptions.len(), "refused": refused.count() },
        "guard": {
            "images": blast.images,
            "held": applied.gate.held.len(),
            "affected": affected.collect::<Vec<_>>(),
            "undecided": blast.undecided.as_ref().map(|reason| reason.code.as_str()),
        },
    });
    context.out.answer(&value, |_| {
        let done = if applied.changed {
            "written"
        } else {
            "unchanged"
        };
        let count = |count: usize, what: &str| match count {
            0 => String::new(),
            count => format!(", {count} {what}"),
        };
        format!(
            "{path}: {done}, trust root version {}{}{}\n",
            applied.gate.trust.root_version,
            count(applied.gate.exemptions.len(), "exempt"),
            count(applied.gate.held.len(), "held"),
        )
    })?;
    Ok(match applied.gate.held.is_empty() {
        true => exit::OK,
        false => ReasonCode::Held.exit_code(),
    })
}

const CODE: u8 = ReasonCode::Configuration.exit_code();
const WHAT: &str = "nothing was applied";

/// Applies, and says what was refused on the way.
///
/// # Errors
/// `configuration`; gate.bin is then what it was.
pub fn apply(context: &mut Context, config: &Config) -> Result<Applied, Failure> {
    let applied = compiled(config, Lapses::Hold, context.now).or_fail(CODE, || WHAT)?;
    for line in said_of(&applied) {
        context.out.warn(&line);
    }
    Ok(applied)
}

/// Applies, and raises the alarm in the journal if something is held.
///
/// # Errors
/// [`ApplyError`]; gate.bin is then what it was.
pub fn compiled(config: &Config, lapses: Lapses, now: u64) -> Result<Applied, ApplyError> {
    let applied = apply::apply(config, lapses, now)?;
    if let Some(alarm) = alarm(&applied) {
        let id = message_id(ReasonCode::Held);
        let fields = [
            ("MESSAGE", alarm.as_str()),
            ("PRIORITY", "2"),
            ("SYSLOG_IDENTIFIER", "vcn-hook"),
            ("MESSAGE_ID", id.as_str()),
            ("VCN_HOOK_CODE", ReasonCode::Held.as_str()),
        ];
        // A node without journald has the verb's own words, and its exit code.
        let _ = journal::send(Path::new(journal::SOCKET), &fields);
    }
    Ok(applied)
}

/// What whoever is on call should know of it.
#[must_use]
pub fn said_of(applied: &Applied) -> Vec<String> {
    let mut said = Vec::new();
    for found in &applied.exemptions {
        if let Err(refused) = &found.granted {
            let path = found.path.display();
            said.push(format!("the exemption '{path}' is refused: {refused}"));
        }
    }
    if let Err(error) = &applied.high_water {
        said.push(format!("the allowlist here is not used: {error}"));
    }
    let refused = applied.blast.affected.iter().filter(|each| !each.held);
    let refused: Vec<_> = refused.collect();
    if !refused.is_empty() {
        let what = match refused.len() {
            1 => "1 image will not start again".to_owned(),
            count => format!("{count} images will not start again"),
        };
        said.push(format!("{what}: {}", named(&refused)));
    }
    said.extend(alarm(applied));
    said
}

/// What is held, if anything is.
fn alarm(applied: &Applied) -> Option<String> {
    let held = applied.gate.held.len();
    if held == 0 {
        return None;
    }
    let affected = applied.blast.affected.iter().filter(|each| each.held);
    let affected: Vec<_> = affected.collect();
    let which = match affected.as_slice() {
        [] => "as before".to_owned(),
        affected => named(affected),
    };
    Some(format!(
        "HELD: the ledger's word is missing for {held} images that it vouched for before, and they go \
         on starting: {which}; find out why, or let them go with 'vcn-hook apply --accept-lapses'"
    ))
}

fn named(affected: &[&Affected]) -> String {
    let one = |each: &&Affected| {
        let of = match each.containers.as_slice() {
            [] => String::new(),
            containers => format!(" of {}", containers.join(" ")),
        };
        format!("{}{of} ({})", each.config, each.reason.code)
    };
    let mut names: Vec<_> = affected.iter().take(NAMED).map(one).collect();
    if let Some(more) = affected.len().checked_sub(NAMED).filter(|more| *more > 0) {
        names.push(format!("and {more} more"));
    }
    names.join(", ")
}
