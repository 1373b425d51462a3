//! `apply`: the configuration and the trust root, compiled for the gate.
//!
//! Owns what is said of everything that applies: what lies here and was refused
//! is told whichever verb came across it.

use serde_json::json;

use super::context::Context;
use super::failure::{Failure, OrFail as _};
use super::moment;
use crate::apply::{self, Applied};
use crate::config::Config;
use crate::verdict::ReasonCode;

/// Replaces gate.bin, or leaves it as it was.
///
/// # Errors
/// `configuration`, whatever kept it from being compiled.
pub fn run(context: &mut Context) -> Result<u8, Failure> {
    let config = context.config()?;
    let applied = apply(context, &config)?;
    let path = apply::gatebin_path(&config.state_dir).display().to_string();
    let refused = applied
        .exemptions
        .iter()
        .filter(|each| each.granted.is_err());
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
    });
    context.out.answer(&value, |_| {
        let done = if applied.changed {
            "written"
        } else {
            "unchanged"
        };
        let exempt = match applied.gate.exemptions.len() {
            0 => String::new(),
            count => format!(", {count} exempt"),
        };
        format!(
            "{path}: {done}, trust root version {}{exempt}\n",
            applied.gate.trust.root_version
        )
    })?;
    Ok(0)
}

/// Applies, and says what was refused on the way.
///
/// # Errors
/// `configuration`; gate.bin is then what it was.
pub fn apply(context: &mut Context, config: &Config) -> Result<Applied, Failure> {
    let applied = apply::apply(config, context.now).or_fail(
        ReasonCode::Configuration.exit_code(),
        || "nothing was applied",
    )?;
    for line in said_of(&applied) {
        context.out.warn(&line);
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
    said
}
