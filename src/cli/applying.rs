//! `apply`: the configuration and the trust root, compiled for the gate.

use serde_json::json;

use super::context::Context;
use super::failure::{Failure, OrFail as _};
use crate::apply;
use crate::verdict::ReasonCode;

/// Replaces gate.bin, or leaves it as it was.
///
/// # Errors
/// `configuration`, whatever kept it from being compiled.
pub fn run(context: &mut Context) -> Result<u8, Failure> {
    let config = context.config()?;
    let applied = apply::apply(&config, context.now).or_fail(
        ReasonCode::Configuration.exit_code(),
        || "nothing was applied",
    )?;
    let path = apply::gatebin_path(&config.state_dir).display().to_string();
    let value = json!({
        "gate": path,
        "changed": applied.changed,
        "mode": applied.gate.mode,
        "rootVersion": applied.gate.trust.root_version,
    });
    context.out.answer(&value, |_| {
        let done = if applied.changed {
            "written"
        } else {
            "unchanged"
        };
        format!(
            "{path}: {done}, trust root version {}\n",
            applied.gate.trust.root_version
        )
    })?;
    Ok(0)
}
