//! The way from nothing to a gate that refuses, as an administrator walks it, on real engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use std::fs;

use support::daemon::Daemon;
use support::image::{EVIL, Image, SAYS};
use support::node::Node;
use support::scratch::Scratch;

#[test]
fn the_mode_is_written_beside_the_configuration_and_applied_at_once() {
    let scratch = Scratch::new("mode");
    let node = Node::bare(&scratch, "node", None);
    let fragment = node.base().join("etc/conf.d/50-node.toml");
    let theirs = fs::read(node.config()).unwrap();
    let mode = |args: &[&str]| node.vcn(&[&["-o", "json", "mode"], args].concat());

    // A package sets it before there is a ledger.
    let set = mode(&["audit"]);
    assert_eq!(set.code, 0, "{set:?}");
    assert_eq!(set.json()["written"], fragment.to_str().unwrap());
    assert_eq!(set.json()["applied"], false);
    let text = fs::read_to_string(&fragment).unwrap();
    assert!(text.starts_with("# Written by vcn-hook"), "{text}");
    assert!(text.ends_with("\nmode = \"audit\"\n"), "{text}");
    mode(&["enforce"]).exits(14);

    node.vcn(&["ledger", "init", node.ledger().to_str().unwrap()])
        .exits(64);
    let ledger = node.ledger().display().to_string();
    node.vcn(&["ledger", "init", &ledger, "--origin", "ledger.test/vcn"])
        .ok();
    node.vcn(&["enroll", &ledger]).ok();
    let shown = mode(&[]).json();
    assert_eq!(
        (&shown["mode"], &shown["applied"]),
        (&"audit".into(), &"audit".into())
    );
    assert_eq!(shown["origin"], fragment.to_str().unwrap());

    // Nothing would be refused, so nobody is asked.
    assert_eq!(
        mode(&["enforce", "--dry-run"]).json()["written"],
        serde_json::Value::Null
    );
    assert_eq!(mode(&[]).json()["applied"], "audit");
    assert_eq!(mode(&["enforce"]).json()["applied"], true);
    assert_eq!(mode(&[]).json()["applied"], "enforce");
    assert_eq!(fs::read(node.config()).unwrap(), theirs);
    let text = fs::read_to_string(&fragment).unwrap();
    assert!(text.contains(&format!("ledger = {ledger:?}\n")), "{text}");

    // Where people have written it themselves, it is changed there.
    node.configure("# ours\nmode = \"enforce\"\n");
    let set = mode(&["audit"]).json();
    assert_eq!(
        (&set["written"], &set["applied"]),
        (&node.config().to_str().into(), &true.into())
    );
    let text = fs::read_to_string(node.config()).unwrap();
    assert!(text.starts_with("# ours\nmode = \"audit\"\n"), "{text}");

    // Another fragment has the last word, and that is said.
    let last = node.base().join("etc/conf.d/90-site.toml");
    fs::write(&last, "mode = \"enforce\"\n").unwrap();
    let refused = mode(&["audit"]).exits(14);
    assert!(refused.err.contains("90-site.toml"), "{refused:?}");
}

#[test]
fn enforcing_shows_what_would_be_refused_and_wants_a_yes() {
    let scratch = Scratch::new("enforcing");
    let daemon = Daemon::start(&scratch);
    let node = Node::new(&scratch, "node", Some(&daemon));
    daemon.gated_by(&node.config());
    node.vcn(&["mode", "audit"]).ok();
    let app = Image::app("app:1");
    app.load(&daemon);
    let evil = app.with_other_config("app:evil");
    evil.load(&daemon);
    assert_eq!(daemon.run(&["app:1"]).ok(), SAYS);
    assert_eq!(daemon.run(&["app:evil"]).ok(), EVIL);

    let asked = node.vcn(&["mode", "enforce"]).exits(14);
    for part in ["unknown", "app:evil", &evil.id(), "2 of these", "--yes"] {
        assert!(asked.err.contains(part), "{part} in {asked:?}");
    }
    assert_eq!(daemon.run(&["app:evil"]).ok(), EVIL);

    // What was notarized since would start.
    node.notarize("docker://app:1");
    let report = node.vcn(&["-o", "json", "report"]).json();
    let settled = |image: &str| {
        let groups = report.as_array().unwrap();
        let group = groups.iter().find(|group| group["image"] == image);
        group.unwrap()["settled"].as_bool().unwrap()
    };
    assert!(settled("app:1") && !settled("app:evil"));
    let dry = node.vcn(&["-o", "json", "mode", "enforce", "--dry-run"]);
    assert_eq!(dry.json()["refusals"].as_array().unwrap().len(), 1);
    assert_eq!(daemon.run(&["app:evil"]).ok(), EVIL);

    node.vcn(&["mode", "enforce", "--yes"]).ok();
    assert_eq!(daemon.run(&["app:1"]).ok(), SAYS);
    assert!(daemon.run(&["app:evil"]).failed().contains("(unknown)"));
    node.vcn(&["mode", "audit"]).ok();
    assert_eq!(daemon.run(&["app:evil"]).ok(), EVIL);
}
