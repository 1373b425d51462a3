//! The names that config.toml may have: each with its default or an example, and what it does.
//!
//! Owns the one list that unknown keys are compared with, that the commented
//! default file is made of, and that the manual is checked against. A name's
//! type is the struct's beside this (`written`), and a test holds both together.

/// One name that config.toml may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Sections and key, divided by dots; a list of tables ends in `[]`: `upper.allow[].config`.
    pub name: &'static str,
    /// Its value, as TOML.
    pub value: Value,
    /// What it does.
    pub what: &'static str,
}

/// A value as it would be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// What holds where nobody says otherwise.
    Default(&'static str),
    /// Nothing holds where nobody says it; this is how it would be said.
    Example(&'static str),
}

use Value::{Default, Example};

const fn setting(name: &'static str, value: Value, what: &'static str) -> Setting {
    Setting { name, value, what }
}

/// Every name, in the order of the default file; what has no section comes first.
pub const SETTINGS: &[Setting] = &[
    setting(
        "mode",
        Default(r#""enforce""#),
        "What a refusal does: \"enforce\" refuses the start; \"audit\" lets it start, and records that it would have been refused",
    ),
    setting(
        "ledger",
        Example(r#""https://ledger.example/team""#),
        "The ledger that this node follows: a directory or a URL; `vcn-hook enroll` writes it",
    ),
    setting(
        "state_dir",
        Default(r#""/var/lib/vcn-hook""#),
        "The allowlist, and the compiled settings (gate.bin)",
    ),
    setting(
        "run_dir",
        Default(r#""/run/vcn-hook""#),
        "What need not outlive a boot",
    ),
    setting(
        "decisions",
        Default(r#""/var/log/vcn-hook/decisions.jsonl""#),
        "One line of JSON for each start that was judged",
    ),
    setting(
        "runtime.runc",
        Default(r#""/usr/sbin/runc""#),
        "The real runc, where it was not diverted",
    ),
    setting(
        "runtime.crun",
        Default(r#""/usr/bin/crun""#),
        "The real crun, where it was not diverted",
    ),
    setting(
        "engines.docker_roots",
        Default(r#"["/var/lib/docker"]"#),
        "Docker's data roots; an engine that keeps its files anywhere else starts nothing",
    ),
    setting(
        "engines.docker_socket",
        Default(r#""/var/run/docker.sock""#),
        "Docker's API, for publishers who are not root; the gate never uses it",
    ),
    setting(
        "engines.containerd_roots",
        Default(r#"["/var/lib/containerd"]"#),
        "containerd's roots",
    ),
    setting(
        "engines.storage_roots",
        Default(r#"["/var/lib/containers/storage"]"#),
        "Graph roots of containers/storage (Podman)",
    ),
    setting(
        "policy.profile",
        Default(r#""standard""#),
        "\"standard\" refuses foreign code and warns of what ordinary containers do too; \"strict\" refuses all of it. \
         The answers below, each \"deny\", \"warn\" or \"allow\", are laid over it",
    ),
    setting(
        "upper.not_pristine",
        Default(r#""deny""#),
        "Files were put into a container before its first start",
    ),
    setting(
        "upper.changed",
        Default(r#""warn""#),
        "Code was changed inside a container since its first start",
    ),
    setting(
        "upper.allow[].config",
        Example(NO_IMAGE),
        "The image whose containers may have these paths in their upper layer",
    ),
    setting(
        "upper.allow[].paths",
        Example(r#"["/etc/app.conf"]"#),
        "Absolute paths inside the container",
    ),
    setting(
        "mounts.over_code",
        Default(r#""deny""#),
        "A mount covers code of the image",
    ),
    setting(
        "mounts.state",
        Default(r#""deny""#),
        "A writable mount reaches the gate's files or an engine's state",
    ),
    setting(
        "mounts.below_rootfs",
        Default(r#""deny""#),
        "Something is mounted below the root file system before the runtime runs",
    ),
    setting(
        "mounts.allow[].source",
        Example(r#""/usr/bin/docker-init""#),
        "The host path of a mount that may cover code",
    ),
    setting(
        "mounts.allow[].destination",
        Example(r#""/sbin/docker-init""#),
        "Where it goes in the container; anywhere if left out",
    ),
    setting(
        "host.policy",
        Default(r#""warn""#),
        "A container asks for access to the host: privileged, host pid, devices, engine sockets",
    ),
    setting(
        "process.policy",
        Default(r#""allow""#),
        "Arguments or environment are not the image's",
    ),
    setting(
        "restore.policy",
        Default(r#""deny""#),
        "A checkpoint is restored, which cannot be bound to an image",
    ),
    setting(
        "exec.policy",
        Default(r#""allow""#),
        "A process is started in a running container that is no longer trusted",
    ),
    setting(
        "build.policy",
        Default(r#""deny""#),
        "BuildKit runs a step on layers that nobody can name yet",
    ),
    setting(
        "floor.configs",
        Default("[]"),
        "Config digests of images that start here when the ledger has no word about them, or cannot be asked; \
         never against its word",
    ),
    setting(
        "freshness.grace_hours",
        Default("0"),
        "For how long an allowlist still answers after it has expired",
    ),
    setting(
        "guard.lapses",
        Default("2"),
        "When the ledger's word is suddenly missing for more images than this that run here, and for more than \
         `percent` of them, they go on starting with a warning until it is back or somebody lets go of them \
         (`vcn-hook apply --accept-lapses`). Never what is UNTRUSTED, UNSUPPORTED or revoked",
    ),
    setting(
        "guard.percent",
        Default("10"),
        "See `lapses`; with 100 nothing is ever held",
    ),
    setting(
        "bundle[].path",
        Example(r#""/srv/app""#),
        "A bundle that no engine makes: its directory",
    ),
    setting(
        "bundle[].config",
        Example(NO_IMAGE),
        "The config digest of the image that its root file system holds",
    ),
    setting(
        "watch.interval",
        Default("60"),
        "Seconds between two looks at everything that runs; `CHECK_INTERVAL` in the environment goes first",
    ),
    setting(
        "watch.deep_hours",
        Default("24"),
        "How often the layers of what runs are read again, at low priority, to find files that were changed on disk; 0 for never",
    ),
    setting(
        "watch.log",
        Default(r#""all""#),
        "\"all\": a line for each container at each look; \"changes\": only where the answer is another than before",
    ),
    setting(
        "watch.on_untrusted",
        Default(r#""alert""#),
        "What happens to a running container whose image the ledger speaks against: \"alert\", \"pause\" or \"stop\"",
    ),
    setting(
        "watch.on_unknown",
        Default(r#""alert""#),
        "The same where nobody vouches for it. Nothing is paused or stopped while nothing can be decided",
    ),
    setting(
        "watch.actions_per_minute",
        Default("5"),
        "The most containers that are paused or stopped in one minute; about the others somebody is told",
    ),
    setting(
        "watch.alerts_per_minute",
        Default("30"),
        "The most alerts that one receiver is sent in one minute; the others wait",
    ),
    setting(
        "watch.slack_webhook",
        Example(r#""https://hooks.slack.com/services/T000/B000/XXXX""#),
        "Slack's incoming webhook. Whoever can read it can write there: better in a file of its own",
    ),
    setting(
        "watch.slack_webhook_file",
        Example(r#""/etc/vcn-hook/slack_webhook""#),
        "A file whose first line is that address; give one of the two",
    ),
    setting(
        "watch.webhook",
        Example(r#""https://alerts.example/vcn-hook""#),
        "An address that each alert is sent to as JSON",
    ),
    setting(
        "watch.webhook_file",
        Example(r#""/etc/vcn-hook/webhook""#),
        "A file whose first line is that address; give one of the two",
    ),
    setting(
        "watch.exec",
        Example(r#""/usr/local/sbin/on-alert""#),
        "A program that is run for each alert, with the container's id and image as its arguments",
    ),
    setting(
        "watch.heartbeat",
        Example(r#""https://hc-ping.example/0000""#),
        "An address that is asked for after each look, so that somebody notices when this node falls silent",
    ),
    setting(
        "watch.heartbeat_file",
        Example(r#""/etc/vcn-hook/heartbeat""#),
        "A file whose first line is that address; give one of the two",
    ),
    setting(
        "watch.listen",
        Default(r#""127.0.0.1:9581""#),
        "Where metrics, results and the status page are: ADDRESS:PORT, or \"off\". Whoever can reach it \
         sees what runs here",
    ),
    setting(
        "watch.textfile",
        Example(r#""/var/lib/prometheus/node-exporter/vcn-hook.prom""#),
        "A file that the metrics are written to after each look, for node_exporter's textfile collector",
    ),
    setting(
        "watch.influx.url",
        Example(r#""http://influx:8086""#),
        "The InfluxDB that the points of each look are sent to; then `db`, or `org`, `bucket` and `token_file`",
    ),
    setting(
        "watch.influx.db",
        Example(r#""mydb""#),
        "InfluxDB 1: the database",
    ),
    setting(
        "watch.influx.user",
        Example(r#""vcn""#),
        "InfluxDB 1: who writes, where that is asked for",
    ),
    setting(
        "watch.influx.password_file",
        Example(r#""/etc/vcn-hook/influx_password""#),
        "A file whose first line is that user's password",
    ),
    setting(
        "watch.influx.org",
        Example(r#""acme""#),
        "InfluxDB 2: the organisation",
    ),
    setting(
        "watch.influx.bucket",
        Example(r#""containers""#),
        "InfluxDB 2: the bucket",
    ),
    setting(
        "watch.influx.token_file",
        Example(r#""/etc/vcn-hook/influx_token""#),
        "InfluxDB 2: a file whose first line is a token that may write to the bucket",
    ),
];

/// A digest that no image has.
const NO_IMAGE: &str =
    r#""sha256:0000000000000000000000000000000000000000000000000000000000000000""#;

/// The commented default file: nothing in it says anything until a `#` is removed.
#[must_use]
pub fn default_file() -> String {
    let mut text = String::from(
        "# vcn-hook: what this node lets start. vcn-hook.toml(5) says more.\n\
         #\n\
         # Each line below that begins with '#name =' is what holds without it or, where nothing does, an example.\n\
         # An unknown name is an error, at `vcn-hook config check` and `vcn-hook apply`, and then the last settings\n\
         # stay. Files in conf.d/*.toml beside this one are laid over it, in the order of their names. Nothing\n\
         # changes before `vcn-hook apply`.\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let (parent, key) = setting.name.rsplit_once('.').unwrap_or(("", setting.name));
        if parent != section {
            text.push('\n');
            text.push_str(&match parent.strip_suffix("[]") {
                Some(list) => format!("#[[{list}]]\n"),
                None => format!("[{parent}]\n"),
            });
            section = parent;
        } else if parent.is_empty() {
            text.push('\n');
        }
        for line in wrapped(setting.what) {
            text.push_str(&format!("# {line}\n"));
        }
        let (Default(value) | Example(value)) = setting.value;
        text.push_str(&format!("#{key} = {value}\n"));
    }
    text
}

/// Breaks a sentence where a file is wide enough.
fn wrapped(sentence: &str) -> Vec<String> {
    const WIDTH: usize = 100;
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
