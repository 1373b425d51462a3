//! Each way round the gate opened for real, found by name, closed by what the finding says, and gone.
//!
//! What concerns engines is tried on a machine of its own, with a real Docker and Podman; what
//! concerns the node's own files, on a node with its ledger.

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
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use support::command::{Ran, command, run, sh};
use support::ledger;
use support::node::Node;
use support::scratch::Scratch;
use support::{binary, program};
use vcn_hook::config::Config;
use vcn_hook::doctor::{self, Check, Question, Severity};
use vcn_hook::sys::clock;

/// What `doctor -o json` has answered.
struct Answer {
    ran: Ran,
    value: Value,
}

impl Answer {
    fn of(ran: Ran) -> Self {
        let value = ran.json();
        assert_eq!(value["schema"], "vcn-hook/doctor/v1");
        let bad = ["warning", "danger"].contains(&value["worst"].as_str().unwrap());
        assert_eq!(ran.code, i32::from(bad), "{ran:?}");
        Self { ran, value }
    }

    /// What a check found that is not as it should be: severity, words and fix.
    fn of_check(&self, check: &str) -> Vec<(String, String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let findings = self.value["findings"].as_array().unwrap().iter();
        findings
            .filter(|finding| finding["check"] == check && finding["severity"] != "ok")
            .map(|f| (text(&f["severity"]), text(&f["what"]), text(&f["fix"])))
            .collect()
    }

    /// The one finding of a check, of this severity and with these words in it: its fix.
    #[track_caller]
    fn finds(&self, check: &str, severity: &str, words: &str) -> String {
        let found = self.of_check(check);
        let mut fitting = found
            .iter()
            .filter(|(grade, what, _)| grade == severity && what.contains(words));
        match (fitting.next(), fitting.next()) {
            (Some((.., fix)), None) => fix.clone(),
            _ => panic!("{check}, {severity}, '{words}': {found:#?}\n{:?}", self.ran),
        }
    }

    #[track_caller]
    fn finds_nothing(&self, check: &str) {
        let found = self.of_check(check);
        assert!(found.is_empty(), "{check}: {found:#?}");
    }
}

/// A node with a ledger, and what doctor says of it.
struct OnNode {
    _scratch: Scratch,
    node: Node,
}

impl OnNode {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let node = Node::new(&scratch, "node", None);
        node.sync();
        Self {
            _scratch: scratch,
            node,
        }
    }

    fn ask(&self) -> Answer {
        Answer::of(self.node.vcn(&["-o", "json", "doctor"]))
    }

    /// Types what a finding says, as this node's administrator.
    #[track_caller]
    fn type_in(&self, fix: &str) {
        let gate = format!("{} -c {}", binary().display(), self.node.config().display());
        let line = fix.replace("vcn-hook ", &format!("{gate} "));
        let mut shell = command("sh", ["-c", &line]);
        self.node.environment(&mut shell);
        run(shell).ok();
    }

    /// Opens a hole, finds it, closes it as it is told to, and finds it no more.
    #[track_caller]
    fn closes(&self, check: &str, severity: &str, words: &str, open: impl FnOnce(&Node)) {
        self.ask().finds_nothing(check);
        open(&self.node);
        let fix = self.ask().finds(check, severity, words);
        self.type_in(&fix);
        self.ask().finds_nothing(check);
    }
}

#[test]
fn the_gates_own_files_are_looked_after() {
    let on = OnNode::new("doctor-gate");
    let state = on.node.state();
    on.closes("gate", "danger", "there is no '", |_| {
        fs::remove_file(state.join("gate.bin")).unwrap();
    });
    on.closes("gate", "danger", "cannot be used", |_| {
        fs::write(state.join("gate.bin"), "junk").unwrap();
    });
    on.closes("gate", "danger", "does not take", |_| {
        set_mode(&state.join("gate.bin"), 0o666);
    });
    on.closes("files", "danger", "others than root can change", |node| {
        set_mode(&node.base().join("etc"), 0o777);
    });
    on.closes("files", "danger", "config.toml", |node| {
        chown(&node.config(), 65534);
    });
    on.closes("applied", "warning", "has changed", |node| {
        node.configure("mode = \"audit\"\n");
    });
    on.ask().finds("mode", "note", "audit");
    let broken = fs::read_to_string(on.node.config()).unwrap() + "mdoe = 1\n";
    fs::write(on.node.config(), broken).unwrap();
    // A gate.bin that stands elsewhere cannot be found without the configuration that says where.
    on.ask().finds("applied", "warning", "cannot be used");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn chown(path: &Path, user: u32) {
    std::os::unix::fs::chown(path, Some(user), None).unwrap();
}

#[test]
fn the_allowlist_and_how_it_comes_are_looked_after() {
    let on = OnNode::new("doctor-allowlist");
    let note = on.node.state().join("allowlist/note");
    let ledgers = on.node.ledger().join("index/note");
    assert!(ledgers.exists() || note.exists());
    on.closes("allowlist", "danger", "expired", |node| {
        ledger::age(&note, node, 25);
    });
    on.closes("allowlist", "warning", "it answers for", |node| {
        ledger::age(&note, node, 20);
    });
    on.closes("allowlist", "danger", "note", |_| {
        fs::write(&note, "junk").unwrap();
    });
    on.closes("high-water", "warning", "an older allowlist", |node| {
        fs::remove_file(node.state().join("high-water")).unwrap();
    });
    on.closes("high-water", "danger", "cannot be used", |node| {
        set_mode(&node.state().join("high-water"), 0o666);
    });
    on.closes("records", "warning", "could not be written", |node| {
        fs::write(node.base().join("run/unrecorded"), "..").unwrap();
    });

    let away = on.node.base().join("away");
    fs::rename(on.node.ledger(), &away).unwrap();
    on.node.vcn(&["sync"]).failed();
    let fix = on.ask().finds("sync", "warning", "failed");
    fs::rename(&away, on.node.ledger()).unwrap();
    on.type_in(&fix);
    on.ask().finds_nothing("sync");

    let evidence = on.node.state().join("log/evidence");
    fs::create_dir_all(&evidence).unwrap();
    fs::write(evidence.join("1"), "").unwrap();
    on.ask().finds("sync", "danger", "cannot both be true");
}

#[test]
fn a_full_disk_is_told_before_it_stops_anything() {
    let on = OnNode::new("doctor-disk");
    let log = on.node.base().join("log");
    on.ask().finds_nothing("disk");
    sh(
        "mount",
        &[
            "-t",
            "tmpfs",
            "-o",
            "size=1M",
            "tmpfs",
            log.to_str().unwrap(),
        ],
    )
    .ok();
    on.ask().finds("disk", "warning", "room for");
    sh("umount", &[log.to_str().unwrap()]).ok();
    on.ask().finds_nothing("disk");
}

/// The clock is an argument: no machine's is moved.
#[test]
fn what_time_brings_is_told() {
    let on = OnNode::new("doctor-time");
    let at = |now: u64| {
        let config = Config::load(&on.node.config()).unwrap();
        let found = doctor::examine(&Question {
            config_path: on.node.config(),
            config: Ok(config),
            is_root: true,
            now,
        });
        let severity = |check: Check| {
            let of_check = found.all().filter(|finding| finding.check == check);
            of_check.map(|finding| finding.severity).max().unwrap()
        };
        [
            Check::Clock,
            Check::Allowlist,
            Check::Sync,
            Check::TrustRoot,
        ]
        .map(severity)
    };
    const DAY: u64 = 86_400;
    let now = clock::now();
    let [clock, allowlist, sync, root] = at(now);
    assert!(clock <= Severity::Note);
    assert_eq!([allowlist, sync, root], [Severity::Ok; 3]);
    assert_eq!(at(now - DAY)[0], Severity::Danger, "the clock is behind");
    assert_eq!(
        at(now + 2 * DAY)[1..3],
        [Severity::Danger, Severity::Warning]
    );
    assert_eq!(at(now + 100 * 365 * DAY)[3], Severity::Danger);
    let last = (0..).map(|days| at(now + days * 10 * DAY)[3]);
    assert!(last.take(400).any(|root| root == Severity::Warning));
}

#[test]
fn whoever_is_not_root_is_told_what_was_not_looked_at() {
    let on = OnNode::new("doctor-user");
    fs::write(on.node.decisions_file(), "").unwrap();
    set_mode(&on.node.decisions_file(), 0o640);
    let config = on.node.config();
    let words = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut asked = command(program("setpriv"), words);
    asked.arg(binary()).arg("-c").arg(config);
    asked.args(["-o", "json", "doctor"]);
    let answer = Answer::of(run(asked));
    let unseen = answer.value["notLookedAt"].as_array().unwrap();
    let checks: Vec<_> = unseen
        .iter()
        .map(|each| each["check"].as_str().unwrap())
        .collect();
    assert!(checks.contains(&"running-decision"), "{checks:?}");
    assert!(checks.contains(&"running-image"), "{checks:?}");
    answer.finds_nothing("gate");
}
