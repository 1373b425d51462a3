//! Ended at any moment, or out of disk: what was there stays true, and the next run goes on.
//!
//! strace ends the command as it enters the n-th call of each kind that
//! changes a file, for every n that there is: nothing happens between two
//! such calls that a later reader could see. It sees no process but its own:
//! what it would open to look at others would be so many moments more.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use std::fs;
use std::path::Path;
use support::command::{Ran, command, run, sh};
use support::image::Image;
use support::node::Node;
use support::scratch::Scratch;
use support::{binary, program};

/// Every call by which a file's content, name or existence changes.
const CALLS: &[&str] = &[
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "open",
    "openat",
    "ftruncate",
    "fchmod",
    "chmod",
    "rmdir",
];

/// Far more calls than any verb makes; without it a verb that never ends would be killed for ever.
const MOST_CALLS: usize = 2_000;

/// What a case starts from: a node that trusts one digest.
fn node(scratch: &Scratch, name: &str) -> Node {
    let node = Node::new(scratch, name, None);
    node.vcn(&["notarize", &image(&node, 0)]).ok();
    node.sync();
    node
}

/// An archive of the n-th image, and how one refers to it.
fn image(node: &Node, n: usize) -> String {
    let path = node.base().join(format!("tiny-{n}.tar"));
    if !path.exists() {
        fs::write(&path, Image::tiny(n).archive()).unwrap();
    }
    format!("docker-archive:{}", path.display())
}

fn ledger(node: &Node) -> String {
    node.ledger().to_str().unwrap().to_owned()
}

/// Runs the verb and ends it as it enters its `n`-th `call`.
fn killed_at(node: &Node, call: &str, n: usize, args: &[&str]) -> Ran {
    let inject = format!("inject={call}:signal=KILL:when={n}");
    let trace = format!("trace={call}");
    let mut strace = command(
        program("unshare"),
        ["--pid", "--fork", "--kill-child", "--mount-proc"],
    );
    strace
        .arg(program("strace"))
        .args(["-f", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
        .arg(binary())
        .arg("-c")
        .arg(node.config())
        .args(args);
    node.environment(&mut strace);
    run(strace)
}

/// For each moment: ends `args` there, lets `then` look, and runs `args` again, which must succeed.
fn kill_everywhere(node: &Node, args: impl Fn(usize) -> Vec<String>, then: impl Fn(&str)) -> usize {
    let mut moments = 0;
    for call in CALLS {
        for n in 1..MOST_CALLS {
            let words = args(moments);
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let ran = killed_at(node, call, n, &words);
            let survived = ran.code == 0;
            assert!(survived || ran.code == 137, "at {call} {n}: {ran:?}");
            then(&format!("after {call} {n}"));
            if survived {
                break;
            }
            moments += 1;
            node.vcn(&words).ok();
        }
    }
    moments
}

#[test]
fn notarize_may_end_at_any_moment() {
    let scratch = Scratch::new("kill-notarize");
    let node = node(&scratch, "node");
    let args = |n: usize| vec!["notarize".to_owned(), image(&node, n + 1)];
    let moments = kill_everywhere(&node, args, |when| {
        let ran = node.vcn(&["sync"]);
        assert_eq!(ran.code, 0, "{when}: {ran:?}");
        let ran = node.vcn(&["verify", &image(&node, 0)]);
        assert_eq!(ran.code, 0, "{when}: {ran:?}");
    });
    assert!(moments > 10, "only {moments} moments");
    node.vcn(&["ledger", "check", &ledger(&node)]).ok();
    node.sync();
    for n in 0..moments {
        node.vcn(&["verify", &image(&node, n + 1)]).ok();
    }
}

#[test]
fn ledger_index_may_end_at_any_moment() {
    let scratch = Scratch::new("kill-index");
    let node = node(&scratch, "node");
    let directory = ledger(&node);
    let args = |_: usize| vec!["ledger".to_owned(), "index".to_owned(), directory.clone()];
    let moments = kill_everywhere(&node, args, |when| {
        let ran = node.vcn(&["sync"]);
        assert_eq!(ran.code, 0, "{when}: {ran:?}");
        let ran = node.vcn(&["verify", &image(&node, 0)]);
        assert_eq!(ran.code, 0, "{when}: {ran:?}");
    });
    assert!(moments > 2, "only {moments} moments");
    node.vcn(&["ledger", "check", &directory]).ok();
}

#[test]
fn sync_may_end_at_any_moment_and_the_gate_goes_on() {
    let scratch = Scratch::new("kill-sync");
    let node = node(&scratch, "node");
    let other = Node::bare(&scratch, "publisher", None);
    let publish = |n: usize| {
        let keys = node.base().join("home");
        let mut command =
            other.command(&["notarize", "--ledger", &ledger(&node), &image(&node, n)]);
        command
            .env("HOME", &keys)
            .env("XDG_CONFIG_HOME", keys.join(".config"));
        run(command).ok();
    };
    let args = |n: usize| {
        publish(n + 1);
        vec!["sync".to_owned()]
    };
    let moments = kill_everywhere(&node, args, |when| {
        let ran = node.vcn(&["verify", &image(&node, 0)]);
        assert_eq!(ran.code, 0, "{when}: {ran:?}");
    });
    assert!(moments > 10, "only {moments} moments");
    node.sync();
    node.vcn(&["verify", &image(&node, moments)]).ok();
}

#[test]
fn apply_may_end_at_any_moment_and_the_gate_goes_on() {
    let scratch = Scratch::new("kill-apply");
    let node = node(&scratch, "node");
    let args = |n: usize| {
        let mode = if n.is_multiple_of(2) {
            "audit"
        } else {
            "enforce"
        };
        node.configure(&format!("mode = \"{mode}\"\n"));
        vec!["apply".to_owned()]
    };
    let moments = kill_everywhere(&node, args, |when| {
        let ran = node.vcn(&["verify", &image(&node, 0)]);
        assert_eq!(ran.code, 0, "{when}: {ran:?}");
        // The gate itself: any start of a bare bundle has no identity, and says so by gate.bin's rules.
        let ran = node.vcn(&["runtime", "--", "run", "--bundle", "/nonexistent", "x"]);
        assert!(!ran.err.contains("(configuration)"), "{when}: {ran:?}");
    });
    assert!(moments > 2, "only {moments} moments");
    let left: Vec<_> = fs::read_dir(node.state())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.len() < 10, "temporary files pile up: {left:?}");
}

#[test]
fn a_ledger_on_a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let scratch = Scratch::new("full-ledger");
    let mount = scratch.folder("disk");
    let disk = Disk::mount(&mount, "1m");
    let node = Node::bare(&scratch, "node", None);
    let directory = mount.join("ledger");
    let directory = directory.to_str().unwrap();
    node.vcn(&["ledger", "init", directory, "--origin", "ledger.test/full"])
        .ok();
    node.vcn(&["enroll", directory]).ok();
    node.vcn(&["notarize", &image(&node, 0)]).ok();
    let mut refused = 0;
    for (n, free) in [0, 1, 2, 3, 4, 6, 8, 10, 12].into_iter().enumerate() {
        disk.fill_but(free);
        let ran = node.vcn(&["notarize", &image(&node, n + 1)]);
        if ran.code != 0 {
            refused += 1;
            assert!(
                ran.err.to_lowercase().contains("space"),
                "{free} pages: {ran:?}"
            );
        }
        disk.empty();
        node.vcn(&["notarize", &image(&node, n + 1)]).ok();
        node.vcn(&["ledger", "check", directory]).ok();
        node.vcn(&["verify", &image(&node, 0)]).ok();
        node.vcn(&["verify", &image(&node, n + 1)]).ok();
    }
    assert!(refused > 2, "the disk was never full");
}

#[test]
fn a_decision_that_cannot_be_recorded_is_counted_and_changes_nothing() {
    let scratch = Scratch::new("full-decisions");
    let mount = scratch.folder("disk");
    let disk = Disk::mount(&mount, "64k");
    let node = node(&scratch, "node");
    let text = fs::read_to_string(node.config()).unwrap();
    let decisions = mount.join("decisions.jsonl");
    fs::write(
        node.config(),
        text.replace(
            node.decisions_file().to_str().unwrap(),
            decisions.to_str().unwrap(),
        ),
    )
    .unwrap();
    node.apply();
    disk.fill_but(0);
    let refuse = || {
        node.vcn(&["runtime", "--", "run", "--bundle", "/nonexistent", "x"])
            .failed()
    };
    let full = refuse();
    disk.empty();
    assert_eq!(full, refuse());
    let lines = fs::read_to_string(decisions).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    let status = node.vcn(&["status"]).exits(0);
    assert!(
        status.out.contains("1 decisions could not be written"),
        "{status:?}"
    );
    assert_eq!(node.vcn(&["-o", "json", "status"]).json()["unrecorded"], 1);
}

/// A small file system of its own.
struct Disk<'a> {
    path: &'a Path,
}

impl<'a> Disk<'a> {
    fn mount(path: &'a Path, size: &str) -> Self {
        let options = format!("size={size},mode=755");
        sh(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                &options,
                "tmpfs",
                path.to_str().unwrap(),
            ],
        )
        .ok();
        Self { path }
    }

    /// Leaves this many free pages.
    fn fill_but(&self, pages: u64) {
        let filler = self.path.join("filler");
        let to = filler.to_str().unwrap();
        let ran = sh(
            "dd",
            &["if=/dev/zero", &format!("of={to}"), "bs=4k", "status=none"],
        );
        assert_ne!(ran.code, 0, "it never filled up");
        let size = fs::metadata(&filler).unwrap().len();
        let file = fs::File::options().write(true).open(&filler).unwrap();
        file.set_len(size.saturating_sub(pages * 4096)).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        sh("umount", &["-l", self.path.to_str().unwrap()]);
    }
}
