//! `version`: which program this is.

use serde_json::json;

use super::context::Context;
use super::failure::Failure;

/// Prints the version.
///
/// # Errors
/// When it cannot be written.
pub fn run(context: &mut Context) -> Result<u8, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let value = json!({ "name": "vcn-hook", "version": version });
    context
        .out
        .answer(&value, |_| format!("vcn-hook {version}\n"))?;
    Ok(0)
}
