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

use std::fs;
use std::process::Command;

use serde_json::Value;
use support::node::Node;
use support::scratch::Scratch;
use support::{binary, program};

/// Starts journald, runs `"$@"`, shows what the journal has, and ends journald by its pid.
const AROUND: &str = r#"
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal || exit 90
/lib/systemd/systemd-journald >&2 & journald=$!
trap 'kill $journald; wait $journald' EXIT
for _ in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
"$@" >&2
for _ in $(seq 100); do
    journalctl -D /run/log/journal -o json --no-pager SYSLOG_IDENTIFIER=vcn-hook >/run/shown
    [ -s /run/shown ] && break; sleep 0.1
done
cat /run/shown
"#;

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
        .arg(binary())
        .arg("-c")
        .arg(node.config())
        .args(["runtime", "--", "run", "--bundle"])
        .arg(&bundle)
        .arg("by-hand");
    let output = command.output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
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
}
