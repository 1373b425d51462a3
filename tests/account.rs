//! The account that syncs for a node: what it may do, and what root leaves behind for it.
//!
//! The layout is the package's: the state directory is root's, `allowlist/` and `log/` are the account's.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use support::command::{Ran, command, run};
use support::node::Node;
use support::scratch::Scratch;

/// Nobody's on this machine.
const ACCOUNT: u32 = 48_151;

/// A node whose allowlist another account brings, and a second version of its ledger to bring.
fn node(scratch: &Scratch, name: &str) -> Node {
    let node = Node::bare(scratch, name, None);
    for folder in ["allowlist", "log", "log/root"] {
        let path = node.state().join(folder);
        fs::create_dir_all(&path).unwrap();
        chown(&path, Some(ACCOUNT), Some(ACCOUNT)).unwrap();
    }
    let ledger = node.ledger();
    node.vcn(&[
        "ledger",
        "init",
        ledger.to_str().unwrap(),
        "--origin",
        "l.test/a",
    ])
    .ok();
    node
}

fn enrolled(scratch: &Scratch, name: &str) -> Node {
    let node = node(scratch, name);
    node.vcn(&["enroll", node.ledger().to_str().unwrap()]).ok();
    node
}

/// One more word in the ledger, which this machine does not sync.
fn word(node: &Node, hash: char) {
    let ledger = node.ledger();
    let hash = hash.to_string().repeat(64);
    let elsewhere = node.base().join("elsewhere.toml");
    fs::write(&elsewhere, "").unwrap();
    let mut command = command(
        support::binary(),
        [
            "-c",
            elsewhere.to_str().unwrap(),
            "notarize",
            "--hash",
            &hash,
            "--ledger",
        ],
    );
    command.arg(ledger);
    node.environment(&mut command);
    run(command).ok();
}

fn sync_as_account(node: &Node) -> Ran {
    let config = node.config();
    run(command(
        "setpriv",
        [
            format!("--reuid={ACCOUNT}").as_str(),
            &format!("--regid={ACCOUNT}"),
            "--clear-groups",
            support::binary().to_str().unwrap(),
            "-c",
            config.to_str().unwrap(),
            "-o",
            "json",
            "sync",
        ],
    ))
}

fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            found.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    found
}

#[track_caller]
fn all_the_accounts(node: &Node) {
    let state = node.state();
    let others: Vec<_> = ["allowlist", "log"]
        .iter()
        .flat_map(|folder| below(&state.join(folder)))
        .filter(|path| fs::symlink_metadata(path).unwrap().uid() != ACCOUNT)
        .collect();
    assert_eq!(others, Vec::<PathBuf>::new());
}

#[test]
fn root_enrols_and_the_account_goes_on() {
    let scratch = Scratch::new("account-root-first");
    let node = enrolled(&scratch, "node");
    all_the_accounts(&node);
    word(&node, 'a');
    let mark = fs::read_to_string(node.state().join("high-water")).unwrap();
    let synced = sync_as_account(&node).exits(0).json();
    assert_eq!(
        (&synced["changed"], &synced["logSize"]),
        (&true.into(), &1.into())
    );
    // Its own note, and root's mark: who syncs cannot move that.
    assert_eq!(synced["applied"], false);
    assert_eq!(
        fs::read_to_string(node.state().join("high-water")).unwrap(),
        mark
    );
    all_the_accounts(&node);
    let hash = "a".repeat(64);
    let verified = node.vcn(&["verify", "--hash", &hash]).exits(2);
    assert!(verified.err.contains("by its hash alone"), "{verified:?}");
}

#[test]
fn the_account_syncs_and_root_goes_on() {
    let scratch = Scratch::new("account-account-first");
    let node = enrolled(&scratch, "node");
    word(&node, 'a');
    sync_as_account(&node).exits(0);
    word(&node, 'b');
    let synced = node.vcn(&["-o", "json", "sync"]).exits(0).json();
    assert_eq!(
        (&synced["changed"], &synced["applied"]),
        (&true.into(), &true.into())
    );
    all_the_accounts(&node);
    word(&node, 'c');
    assert_eq!(sync_as_account(&node).exits(0).json()["logSize"], 3);
}

#[test]
fn another_ledger_leaves_the_account_its_places() {
    let scratch = Scratch::new("account-other-ledger");
    let node = enrolled(&scratch, "node");
    let other = node.base().join("other");
    let path = other.to_str().unwrap();
    node.vcn(&["ledger", "init", path, "--origin", "l.test/b"])
        .ok();
    node.vcn(&["enroll", path]).ok();
    all_the_accounts(&node);
    sync_as_account(&node).exits(0);
}

#[test]
fn root_follows_no_symlink_of_the_accounts() {
    let scratch = Scratch::new("account-symlink");
    let node = enrolled(&scratch, "node");
    let roots_own = scratch.folder("roots-own");
    let bundles = node.state().join("log/tile");
    fs::remove_dir_all(&bundles).ok();
    symlink(&roots_own, &bundles).unwrap();
    word(&node, 'a');
    node.vcn(&["sync"]).failed();
    assert_eq!(fs::read_dir(&roots_own).unwrap().count(), 0);
}

#[test]
fn what_only_root_can_read_is_told_at_enrolment() {
    let scratch = Scratch::new("account-private-ledger");
    let node = node(&scratch, "node");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(node.ledger(), mode).unwrap();
    let said = node
        .vcn(&["enroll", node.ledger().to_str().unwrap()])
        .failed();
    assert!(
        said.contains("Permission denied") && said.contains("the account 48151"),
        "{said}"
    );
}
