//! `config check` and `config show`: would it be applied, and what follows from it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::args;
use super::context::Context;
use super::failure::{Failure, OrFail as _};
use super::output;
use crate::config::names::default_file;
use crate::config::watch::{Secret, Watch};
use crate::config::{self, Config, Place};
use crate::policy::gatebin::Response;
use crate::verdict::ReasonCode;

/// Checks or shows the configuration.
///
/// # Errors
/// A failure with the exit code of `configuration` when it would not be applied.
pub fn run(context: &mut Context, verb: &args::Config) -> Result<u8, Failure> {
    if let args::Config::Show { default: true } = verb {
        let text = default_file();
        context.out.answer(&text, |_| text.clone())?;
        return Ok(0);
    }
    let config = context.config()?;
    match verb {
        args::Config::Check => {
            let path = config.path.display().to_string();
            let value = json!({ "config": path, "sound": true });
            context
                .out
                .answer(&value, |_| format!("{path} is sound\n"))?;
        }
        args::Config::Show { .. } => {
            let origins = config::origins(&config).or_fail(
                ReasonCode::Configuration.exit_code(),
                || "the configuration",
            )?;
            let mut value = settings(&config);
            let leaves = leaves("", &value);
            let rows = leaves.into_iter().map(|(name, text)| {
                let origin = origin(&name, &origins);
                [name, text, origin]
            });
            let rows: Vec<_> = rows.collect();
            let by_name = rows
                .iter()
                .map(|[name, _, origin]| (name.clone(), json!(origin)));
            let by_name: serde_json::Map<_, _> = by_name.collect();
            if let Value::Object(map) = &mut value {
                map.insert("origins".to_owned(), Value::Object(by_name));
            }
            context.out.answer(&value, |_| {
                output::table(["SETTING", "VALUE", "ORIGIN"], &rows)
            })?;
        }
    }
    Ok(0)
}

/// Who set it: the lines that did, the profile that they chose, or nobody.
fn origin(name: &str, origins: &BTreeMap<String, Vec<Place>>) -> String {
    let list = format!("{name}[].");
    let said = origins
        .iter()
        .filter(|(key, _)| *key == name || key.starts_with(&list));
    let mut places: Vec<_> = said.flat_map(|(_, places)| places).collect();
    // A list's entries have several keys each; the file and the order of lines are enough to find them.
    places.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    places.dedup();
    if !places.is_empty() {
        let places: Vec<_> = places.iter().map(ToString::to_string).collect();
        return places.join(" ");
    }
    let of_profile = !name.ends_with(".allow")
        && [
            "upper.", "mounts.", "host.", "process.", "restore.", "exec.", "build.",
        ]
        .iter()
        .any(|section| name.starts_with(section));
    match origins
        .get("policy.profile")
        .and_then(|places| places.last())
    {
        Some(place) if of_profile => format!("profile at {place}"),
        _ if name == "config" => "the command line, or the usual place".to_owned(),
        _ => "default".to_owned(),
    }
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
        "policy": { "profile": json!(config.profile) },
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
        "guard": { "lapses": config.guard.lapses, "percent": config.guard.percent },
        "watch": watch(&config.watch),
    })
}

/// What the watch was told. Of a secret only where it is.
fn watch(watch: &Watch) -> Value {
    let secret = |secret: &Option<Secret>| secret.as_ref().map(ToString::to_string);
    json!({
        "interval": watch.interval.as_secs(),
        "deep_hours": watch.deep.map_or(0, |every| every.as_secs() / 3600),
        "log": watch.log,
        "on_untrusted": watch.on_untrusted,
        "on_unknown": watch.on_unknown,
        "actions_per_minute": watch.actions_per_minute,
        "alerts_per_minute": watch.alerts_per_minute,
        "slack_webhook": secret(&watch.slack_webhook),
        "webhook": secret(&watch.webhook),
        "exec": watch.exec.as_ref().map(|path| path.display().to_string()),
        "heartbeat": secret(&watch.heartbeat),
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
        Value::Null => vec![(prefix.to_owned(), "-".to_owned())],
        Value::Array(list) if list.is_empty() => vec![(prefix.to_owned(), "-".to_owned())],
        Value::String(text) => vec![(prefix.to_owned(), text.clone())],
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let words: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            vec![(prefix.to_owned(), words.join(" "))]
        }
        other => vec![(prefix.to_owned(), other.to_string())],
    }
}
