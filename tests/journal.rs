//! A real systemd-journald gets a decision, and `journalctl` shows it.
//!
//! The daemon runs in a mount namespace with a `/run` of its own, which ends with the test.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::command::sh;
use support::node::Node;
use support::scratch::Scratch;
use support::{binary, program};
use vcn_hook::audit::message_id;
use vcn_hook::verdict::ReasonCode;

/// Starts journald, runs `"$@"`, shows what the journal has, and ends journald by its pid.
const AROUND: &str = r#"
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal || exit 90
mount --bind "$1" /var/lib/systemd/catalog && shift || exit 91
/lib/systemd/systemd-journald >&2 & journald=$!
trap 'kill $journald; wait $journald' EXIT
for _ in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
"$@" >&2
for _ in $(seq 100); do
    journalctl -D /run/log/journal -o json --no-pager SYSLOG_IDENTIFIER=vcn-hook >/run/shown
    [ -s /run/shown ] && break; sleep 0.1
done
cat /run/shown
journalctl -D /run/log/journal -x --no-pager SYSLOG_IDENTIFIER=vcn-hook
"#;

/// The catalogue that `make install` installs, and its name below a root.
fn catalog(root: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd/catalog.sh");
    let reasons = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reasons.md")).unwrap();
    let made = Command::new(script).stdin(reasons).output().unwrap();
    let text = String::from_utf8(made.stdout).unwrap();
    for (folder, file) in [
        ("usr/lib/systemd/catalog", Some("vcn-hook.catalog")),
        ("var/lib/systemd/catalog", None),
    ] {
        fs::create_dir_all(root.join(folder)).unwrap();
        if let Some(file) = file {
            fs::write(root.join(folder).join(file), &text).unwrap();
        }
    }
    let rooted = format!("--root={}", root.display());
    sh("journalctl", &["--update-catalog", &rooted]).ok();
    text
}

#[test]
fn the_catalogue_explains_each_reason_code_and_no_other() {
    let scratch = Scratch::new("catalogue");
    let root = scratch.folder("root");
    let text = catalog(&root);
    let rooted = format!("--root={}", root.display());
    let listed = sh("journalctl", &["--list-catalog", "--quiet", &rooted]).ok();
    let mut expected: Vec<String> = ReasonCode::ALL
        .iter()
        .map(|code| format!("{} vcn-hook: vcn-hook: {code}", message_id(*code)))
        .collect();
    expected.sort();
    assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
    assert_eq!(text.matches("What to do:").count(), ReasonCode::ALL.len());
}

#[test]
fn the_journal_has_each_denial_with_its_reason() {
    let scratch = Scratch::new("journal");
    let node = Node::new(&scratch, "node", None);
    let bundle = scratch.folder("bundle");
    fs::create_dir(bundle.join("rootfs")).unwrap();
    let config =
        r#"{"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"args":["/x"],"cwd":"/"}}"#;
    fs::write(bundle.join("config.json"), config).unwrap();

    let mut command = Command::new(program("unshare"));
    let root = scratch.folder("root");
    catalog(&root);
    command
        .args([
            "-m",
            "--propagation",
            "private",
            "bash",
            "-c",
            AROUND,
            "journal",
        ])
        .arg(root.join("var/lib/systemd/catalog"))
        .arg(binary())
        .arg("-c")
        .arg(node.config())
        .args(["runtime", "--", "run", "--bundle"])
        .arg(&bundle)
        .arg("by-hand");
    let output = command.output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let (shown, explained) = shown.split_once('\n').unwrap_or((&shown, ""));
    let entries: Vec<Value> = shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(entries.len(), 1, "{shown}\n{errors}");
    let record = &node.decisions()[0];
    let entry = &entries[0];
    assert_eq!(record["code"], "no-identity", "{record}");
    assert_eq!(entry["VCN_HOOK_CODE"], "no-identity", "{entry}");
    assert_eq!(entry["VCN_HOOK_VERB"], "run", "{entry}");
    assert_eq!(entry["CONTAINER_ID_FULL"], "by-hand", "{entry}");
    let message = entry["MESSAGE"].as_str().unwrap();
    assert!(message.starts_with("deny by-hand"), "{message}");
    for part in [
        "Subject: vcn-hook: no-identity",
        "The answer to 'run' of container by-hand was 'deny'",
        "no engine's record says which image this is",
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
}
