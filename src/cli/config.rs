//! `config check` and `config show`: would it be applied, and what follows from it.

use std::path::Path;

use serde_json::{Value, json};

use super::args;
use super::context::Context;
use super::failure::Failure;
use super::output;
use crate::config::Config;
use crate::policy::gatebin::Response;

/// Checks or shows the configuration.
///
/// # Errors
/// A failure with the exit code of `configuration` when it would not be applied.
pub fn run(context: &mut Context, verb: &args::Config) -> Result<u8, Failure> {
    let config = context.config()?;
    match verb {
        args::Config::Check => {
            let path = config.path.display().to_string();
            let value = json!({ "config": path, "sound": true });
            context
                .out
                .answer(&value, |_| format!("{path} is sound\n"))?;
        }
        args::Config::Show => {
            let value = settings(&config);
            context.out.answer(&value, |_| {
                let rows: Vec<_> = leaves("", &value);
                let rows: Vec<_> = rows.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
                output::rows(&rows)
            })?;
        }
    }
    Ok(0)
}

/// The settings in force, under the names that config.toml has for them.
fn settings(config: &Config) -> Value {
    let path = |path: &Path| path.display().to_string();
    let paths = |list: &[std::path::PathBuf]| list.iter().map(|p| path(p)).collect::<Vec<_>>();
    let rule = |response: Response| json!(response);
    let rules = &config.rules;
    json!({
        "config": path(&config.path),
        "mode": json!(config.mode),
        "state_dir": path(&config.state_dir),
        "run_dir": path(&config.run_dir),
        "decisions": path(&config.decisions),
        "ledger": config.ledger,
        "runtime": { "runc": path(&config.runtimes.runc), "crun": path(&config.runtimes.crun) },
        "engines": {
            "docker_roots": paths(&config.engines.docker_roots),
            "docker_socket": path(&config.docker_socket),
            "containerd_roots": paths(&config.engines.containerd_roots),
            "storage_roots": paths(&config.engines.storage_roots),
        },
        "upper": {
            "not_pristine": rule(rules.upper_not_pristine),
            "changed": rule(rules.upper_changed),
            "allow": json!(rules.upper_allow),
        },
        "mounts": {
            "over_code": rule(rules.mount_over_code),
            "state": rule(rules.mount_of_state),
            "below_rootfs": rule(rules.mount_below_rootfs),
            "allow": json!(rules.mount_allow),
        },
        "host": { "policy": rule(rules.host) },
        "process": { "policy": rule(rules.process) },
        "restore": { "policy": rule(rules.restore) },
        "exec": { "policy": rule(rules.exec) },
        "build": { "policy": rule(rules.build) },
        "bundle": json!(config.bundles),
        "floor": { "configs": json!(config.floor) },
        "freshness": { "grace_hours": config.grace_hours },
    })
}

/// Flattens nested settings to `section.key` and one line each.
fn leaves(prefix: &str, value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, value)| {
                let dot = if prefix.is_empty() { "" } else { "." };
                leaves(&format!("{prefix}{dot}{key}"), value)
            })
            .collect(),
        Value::Null => Vec::new(),
        Value::String(text) => vec![(prefix.to_owned(), text.clone())],
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let words: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            vec![(prefix.to_owned(), words.join(" "))]
        }
        other => vec![(prefix.to_owned(), other.to_string())],
    }
}
