//! What `apply` does about containers that run: the blast-radius guard, and the mark against rollback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use serde_json::Value;
use std::fs;
use std::time::Duration;
use support::command::{Ran, sh};
use support::daemon::Daemon;
use support::image::{Image, script};
use support::node::Node;
use support::stage::{Stage, stage};
use vcn_hook::sys::clock;

/// A node, and the images of its containers, each notarized and running.
struct Fleet<'a> {
    daemon: &'a Daemon,
    node: Node,
    images: Vec<Image>,
}

impl Stage {
    fn fleet(&self, name: &str, count: usize, notarize: &[&str]) -> Fleet<'_> {
        let node = Node::new(&self.scratch, name, Some(&self.daemon));
        let image = |n: usize| {
            let mark = script(&format!("{name} {n}"));
            let mut image = Image::app(&format!("{name}:{n}")).with_layer(&[("data/mark", mark)]);
            image.config["Entrypoint"] = serde_json::json!(["/bin/sleep", "600"]);
            image
        };
        let fleet = Fleet {
            daemon: &self.daemon,
            node,
            images: (0..count).map(image).collect(),
        };
        for image in &fleet.images {
            image.load(&self.daemon);
            let reference = format!("docker://{}", image.tag);
            fleet
                .node
                .vcn(&[&["notarize", &reference], notarize].concat())
                .ok();
        }
        fleet.node.sync();
        self.daemon.gated_by(&fleet.node.config());
        for n in 0..count {
            fleet.run(n).ok();
        }
        fleet
    }
}

impl Fleet<'_> {
    fn name(&self, n: usize) -> String {
        self.images[n].tag.replace(':', "-")
    }

    fn run(&self, n: usize) -> Ran {
        let (name, tag) = (self.name(n), &self.images[n].tag);
        self.daemon
            .docker(&["run", "-d", "--network=none", "--name", &name, tag])
    }

    /// Its next start.
    fn restart(&self, n: usize) -> Ran {
        self.daemon.docker(&["restart", "-t", "0", &self.name(n)])
    }

    #[track_caller]
    fn starts(&self, n: usize, verdict: &str, code: &str) {
        self.restart(n).ok();
        assert_eq!(self.last(), (verdict.to_owned(), code.to_owned()));
    }

    #[track_caller]
    fn refused(&self, n: usize, code: &str) {
        let refused = self.restart(n);
        assert!(refused.err.contains(&format!("({code})")), "{refused:?}");
        assert_eq!(self.last(), ("deny".to_owned(), code.to_owned()));
    }

    fn last(&self) -> (String, String) {
        let last = self.node.decisions().pop().expect("there is a decision");
        let text = |key: &str| last[key].as_str().unwrap().to_owned();
        (text("verdict"), text("code"))
    }

    fn apply(&self, more: &[&str]) -> Ran {
        self.node.vcn(&[&["-o", "json", "apply"], more].concat())
    }

    fn state(&self, n: usize, status: &str) {
        let reference = format!("docker://{}", self.images[n].tag);
        self.node.vcn(&[status, &reference]).ok();
    }

    /// The next version of the trust root, changed like this.
    fn publish(&self, change: impl FnOnce(String) -> String) {
        let file = self.node.base().join("next.txt");
        let (name, ledger) = (file.to_str().unwrap(), self.node.ledger());
        drop(fs::remove_file(&file));
        self.node.vcn(&["trust", "edit", name]).ok();
        fs::write(&file, change(fs::read_to_string(&file).unwrap())).unwrap();
        self.node.vcn(&["trust", "sign", name]).ok();
        self.node
            .vcn(&["trust", "publish", ledger.to_str().unwrap(), name])
            .ok();
    }

    fn status(&self) -> Value {
        self.node.vcn(&["-o", "json", "status"]).json()
    }
}

/// Two organisations must vouch, of which one has not been asked yet.
fn quorum_of_two(text: String) -> String {
    let two = text
        .replace("\nsigner default", "\norg second\nsigner default")
        .replace(
            "\nallow 1 min-level=2 default\n",
            "\nallow 2 min-level=2 default second\n",
        );
    assert_eq!(two.lines().count(), text.lines().count() + 1);
    two
}

#[test]
fn many_lapses_at_once_are_held_until_the_word_is_back_or_somebody_lets_go() {
    let stage = stage("guard");
    let fleet = stage.fleet("quorum", 4, &[]);
    // Whoever has the socket has it run round the gate; nobody ever vouched for it.
    let mut stranger = Image::app("quorum:stranger");
    stranger.config = fleet.images[0].config.clone();
    stranger.load(fleet.daemon);
    fleet.daemon.ungated();
    let words = [
        "run",
        "-d",
        "--network=none",
        "--name",
        "stranger",
        "quorum:stranger",
    ];
    fleet.daemon.docker(&words).ok();
    fleet.daemon.gated_by(&fleet.node.config());
    fleet.publish(quorum_of_two);
    let synced = fleet.node.vcn(&["sync"]);
    synced.clone().ok();
    assert!(synced.err.contains("HELD"), "{synced:?}");
    for n in 0..4 {
        fleet.starts(n, "warn", "held");
    }
    let status = fleet.status();
    assert_eq!(status["held"].as_array().unwrap().len(), 4, "{status:#}");
    // doctor tells of the hold, and knows that gate.bin has what was written.
    let doctor = fleet.node.vcn(&["-o", "json", "doctor"]).json();
    let findings = doctor["findings"].as_array().unwrap().iter();
    let of = |check: &str| {
        let told = findings.clone().filter(|finding| finding["check"] == check);
        let what = told.map(|finding| finding["what"].as_str().unwrap().to_owned());
        what.collect::<Vec<_>>().join("; ")
    };
    assert!(of("running-image").contains("they are held"), "{doctor:#}");
    assert!(of("applied").contains("has what"), "{doctor:#}");
    let applied = fleet.apply(&[]).exits(2);
    let json = applied.json();
    assert_eq!(json["guard"]["held"], 4, "{json:#}");
    let affected = json["guard"]["affected"].as_array().unwrap();
    let held = affected.iter().filter(|each| each["held"] == true);
    assert!(
        held.clone().all(|each| each["code"] == "quorum") && held.count() == 4,
        "{json:#}"
    );
    let strange = affected
        .iter()
        .find(|each| each["config"] == stranger.id())
        .unwrap();
    assert_eq!(
        (&strange["code"], &strange["held"]),
        (&"unknown".into(), &false.into())
    );
    assert!(
        affected
            .iter()
            .any(|each| each["containers"][0] == "quorum-0"),
        "{json:#}"
    );

    // What is taken back is refused at once, held or not; the others stay held, however few they are.
    fleet.state(3, "untrust");
    fleet.node.vcn(&["sync"]).ok();
    fleet.refused(3, "untrusted");
    fleet.daemon.docker(&["rm", "-f", &fleet.name(2)]).ok();
    assert_eq!(fleet.apply(&[]).exits(2).json()["guard"]["held"], 3);
    fleet.starts(0, "warn", "held");
    let ran = fleet.daemon.docker(&["restart", "-t", "0", "stranger"]);
    assert!(ran.err.contains("(unknown)"), "{ran:?}");

    // The word is back.
    fleet.publish(|text| {
        text.replace(
            "allow 2 min-level=2 default second",
            "allow 1 min-level=2 default second",
        )
    });
    fleet.node.vcn(&["sync"]).ok();
    assert_eq!(fleet.apply(&[]).exits(0).json()["guard"]["held"], 0);
    fleet.starts(0, "allow", "trusted");

    // Once more, and somebody lets go.
    fleet.publish(|text| text.replace("allow 1 min-level=2", "allow 2 min-level=2"));
    fleet.node.vcn(&["sync"]).ok();
    // Three at most are left of four, and 2 is the limit.
    fleet.starts(0, "warn", "held");
    let accepted = fleet.apply(&["--accept-lapses"]).exits(0);
    assert!(
        accepted.err.contains("will not start again"),
        "{accepted:?}"
    );
    fleet.refused(0, "quorum");
    for _ in 0..2 {
        assert_eq!(fleet.apply(&[]).exits(0).json()["guard"]["held"], 0);
    }
    fleet.refused(1, "quorum");
}

#[test]
fn a_few_lapses_are_named_and_not_held() {
    let stage = stage("guard");
    let end = clock::now() + 40;
    let until = clock::rfc3339(end);
    let fleet = stage.fleet("few", 2, &["--not-after", &until]);
    fleet.node.apply();
    while clock::now() <= end {
        std::thread::sleep(Duration::from_millis(200));
    }
    let applied = fleet.apply(&[]).exits(0);
    assert!(
        applied.err.contains("2 images will not start again"),
        "{applied:?}"
    );
    assert!(applied.err.contains("few-0 (lapsed)"), "{applied:?}");
    fleet.refused(0, "lapsed");

    // The same with a limit of one: no note has changed, nor anything else but the time.
    fleet.node.vcn(&["notarize", "docker://few:0"]).ok();
    fleet.node.vcn(&["notarize", "docker://few:1"]).ok();
    let end = clock::now() + 25;
    let until = clock::rfc3339(end);
    for tag in ["docker://few:0", "docker://few:1"] {
        fleet
            .node
            .vcn(&["notarize", tag, "--not-after", &until])
            .ok();
    }
    fleet.node.configure("[guard]\nlapses = 1\n");
    fleet.node.sync();
    fleet.restart(0).ok();
    while clock::now() <= end {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(fleet.apply(&[]).exits(2).json()["guard"]["held"], 2);
    fleet.starts(0, "warn", "held");
}

#[test]
fn nothing_is_held_that_was_revoked_or_while_the_allowlist_is_stale() {
    let stage = stage("guard");
    let fleet = stage.fleet("firm", 3, &[]);
    let key = fleet.node.vcn(&["-o", "json", "trust", "show"]).json()["text"].clone();
    let line = key
        .as_str()
        .unwrap()
        .lines()
        .find(|line| line.starts_with("signer "))
        .unwrap();
    let vkey = line.split("key=").nth(1).unwrap();
    let mut parts = vkey.splitn(3, '+');
    let id = format!("{}+{}", parts.next().unwrap(), parts.next().unwrap());
    let file = fleet.node.base().join("revoked.txt");
    let (name, ledger) = (file.to_str().unwrap(), fleet.node.ledger());
    fleet
        .node
        .vcn(&["trust", "edit", name, "--revoke", &id, "--from-index", "0"])
        .ok();
    fleet.node.vcn(&["trust", "sign", name]).ok();
    fleet
        .node
        .vcn(&["trust", "publish", ledger.to_str().unwrap(), name])
        .ok();
    fleet.node.vcn(&["sync"]).ok();
    let applied = fleet.apply(&[]).exits(0);
    assert!(
        applied.err.contains("3 images will not start again"),
        "{applied:?}"
    );
    for n in 0..3 {
        fleet.refused(n, "revoked");
    }

    let fleet = stage.fleet("frozen", 3, &[]);
    fleet.publish(quorum_of_two);
    fleet.node.vcn(&["sync"]).ok();
    fleet.starts(0, "warn", "held");
    support::ledger::age(&fleet.node.state().join("allowlist/note"), &fleet.node, 25);
    fleet.refused(0, "stale");
    // Nothing can be said of what a list says that has expired, and what was held stays so.
    let applied = fleet.apply(&[]).exits(2);
    assert_eq!(applied.json()["guard"]["undecided"], "stale");
    fleet.refused(1, "stale");
    assert_eq!(
        fleet.apply(&["--accept-lapses"]).exits(0).json()["guard"]["held"],
        0
    );
}

#[test]
fn after_apply_an_older_allowlist_is_rolled_back_whoever_synced() {
    let stage = stage("guard");
    let fleet = stage.fleet("mark", 1, &[]);
    let state = fleet.node.state();
    let (allowlist, older) = (state.join("allowlist"), fleet.node.base().join("older"));
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        drop(fs::remove_dir_all(to));
        sh("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]).ok();
    };
    copy(&allowlist, &older);
    fleet.state(0, "untrust");
    fleet.node.sync();
    // As it is where an account without root has synced: the mark is of before.
    fs::remove_file(state.join("high-water")).unwrap();
    let applied = fleet.apply(&[]);
    applied.clone().ok();
    assert_eq!(applied.json()["highWater"]["logSize"], 2, "{applied:?}");
    copy(&older, &allowlist);
    fleet.refused(0, "rolled-back");
    let applied = fleet.apply(&[]);
    applied.clone().ok();
    assert!(
        applied.err.contains("older than one seen before"),
        "{applied:?}"
    );
    fleet.refused(0, "rolled-back");
}
