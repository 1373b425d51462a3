//! Break-glass on a real Docker daemon: what an exemption lets start, and what it does not.

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
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::command::{Ran, sh};
use support::image::{EVIL, Image, SAYS};
use support::ledger;
use support::node::Node;
use support::stage::{Stage, stage};
use vcn_hook::sys::clock;
use vcn_hook::trust::exemption::Exemption;
use vcn_hook::trust::keys::SecretKey;

impl Stage {
    /// A node of its own, and an image that nobody notarized.
    fn node_and_stranger(&self, name: &str) -> (Node, Image) {
        let image = Image::app(&format!("{name}:1"))
            .with_layer(&[("data/mark", support::image::script(name))]);
        image.load(&self.daemon);
        let node = Node::new(&self.scratch, name, Some(&self.daemon));
        self.daemon.gated_by(&node.config());
        (node, image)
    }
}

#[track_caller]
fn refused(ran: &Ran, node: &Node, code: &str) {
    assert!(ran.err.contains(&format!("({code})")), "{ran:?}");
    assert_eq!(ran.out.trim(), "", "{ran:?}");
    assert_eq!(last(node), ("deny".to_owned(), code.to_owned()));
}

#[track_caller]
fn exempt(ran: Ran, node: &Node) -> String {
    assert_eq!(ran.ok(), SAYS);
    assert_eq!(last(node), ("warn".to_owned(), "exempt".to_owned()));
    let last = node.decisions().pop().unwrap();
    last["detail"].as_str().unwrap().to_owned()
}

fn last(node: &Node) -> (String, String) {
    let last = node.decisions().pop().expect("there is a decision");
    let text = |key: &str| last[key].as_str().unwrap().to_owned();
    (text("verdict"), text("code"))
}

/// `vcn-hook exempt IMAGE` for a day.
fn break_glass(node: &Node, image: &Image, more: &[&str]) -> Ran {
    let image = format!("docker://{}", image.tag);
    let words = [
        "-o",
        "json",
        "exempt",
        &image,
        "--for",
        "24h",
        "--reason",
        "ticket 4711",
    ];
    node.vcn(&[&words[..], more].concat())
}

fn listed(node: &Node) -> Vec<Value> {
    let list = node.vcn(&["-o", "json", "exempt", "list"]);
    list.json().as_array().unwrap().clone()
}

fn own_id(node: &Node) -> String {
    let status = node.vcn(&["-o", "json", "status"]).json();
    status["node"].as_str().expect("a node id").to_owned()
}

/// What the verb would write, with whatever clock, node and keys.
fn forged(
    node: &Node,
    file: &str,
    keys: &[SecretKey],
    change: impl FnOnce(&mut Exemption),
) -> PathBuf {
    let now = clock::now();
    let mut exemption = Exemption {
        origin: "ledger.test/vcn".to_owned(),
        node: own_id(node).parse().unwrap(),
        config: Image::app("none").id().parse().unwrap(),
        from: now,
        until: now + 3_600,
        reason: "forged".to_owned(),
    };
    change(&mut exemption);
    let text = exemption.format().unwrap();
    let mut note = vcn_hook::allowlist::note::SignedNote::new(text).unwrap();
    for key in keys {
        use vcn_hook::trust::keys::Signer as _;
        let signature = key.sign(note.text.as_bytes()).unwrap();
        note.sign(key.verifier(), &signature).unwrap();
    }
    let path = node.base().join(file);
    fs::write(&path, note.to_bytes()).unwrap();
    path
}

fn install(node: &Node, path: &Path) -> Ran {
    node.vcn(&["exempt", "install", path.to_str().unwrap()])
}

#[test]
fn an_unknown_image_starts_by_exemption_with_a_warning_until_it_ends() {
    let stage = stage("exempt");
    let (node, image) = stage.node_and_stranger("glass");
    refused(&stage.daemon.run(&["glass:1"]), &node, "unknown");

    let dry = break_glass(&node, &image, &["--dry-run"]);
    assert!(dry.err.contains("in force at once"), "{dry:?}");
    assert_eq!(listed(&node), Vec::<Value>::new());
    refused(&stage.daemon.run(&["glass:1"]), &node, "unknown");

    let made = break_glass(&node, &image, &[]);
    made.clone().ok();
    assert_eq!(made.json()["config"], image.id());
    let detail = exempt(stage.daemon.run(&["glass:1"]), &node);
    for said in [
        "ticket 4711",
        "ledger.test/vcn/exempt+",
        made.json()["until"].as_str().unwrap(),
    ] {
        assert!(detail.contains(said), "{said} in {detail}");
    }
    let list = listed(&node);
    assert_eq!((list.len(), &list[0]["state"]), (1, &Value::from("active")));
    let status = node.vcn(&["-o", "json", "status"]).json();
    assert_eq!(status["exemptions"][0]["config"], image.id());
    assert_eq!(
        sh(
            "systemd-id128",
            &[
                "machine-id",
                "--app-specific=be616f35c925431a9067d2294f6faeda"
            ]
        )
        .ok(),
        own_id(&node)
    );

    node.vcn(&["exempt", "remove", &image.id()]).ok();
    refused(&stage.daemon.run(&["glass:1"]), &node, "unknown");

    // One that ends while the node does nothing: the gate itself looks at the time.
    let end = clock::now() + 15;
    let short = forged(
        &node,
        "short.note",
        &[ledger::key(&node, "exempt")],
        |exemption| {
            exemption.config = image.id().parse().unwrap();
            exemption.until = end;
        },
    );
    install(&node, &short).ok();
    exempt(stage.daemon.run(&["glass:1"]), &node);
    while clock::now() < end {
        std::thread::sleep(Duration::from_millis(200));
    }
    refused(&stage.daemon.run(&["glass:1"]), &node, "unknown");
    assert_eq!(listed(&node)[0]["state"], "ended");
    let again = install(&node, &short).exits(14);
    assert!(again.err.contains("it ended"), "{again:?}");
    // Once it is notarized, nobody needs one.
    node.notarize("docker://glass:1");
    assert_eq!(stage.daemon.run(&["glass:1"]).ok(), SAYS);
    assert_eq!(last(&node).1, "trusted");
}

#[test]
fn no_word_no_rule_and_no_binding_is_overridden() {
    let stage = stage("exempt");
    let (node, image) = stage.node_and_stranger("firm");
    break_glass(&node, &image, &[]).ok();

    let other = image.with_other_config("firm:other");
    other.load(&stage.daemon);
    refused(&stage.daemon.run(&["firm:other"]), &node, "unknown");
    let id = stage.daemon.create(&["firm:1"]);
    let evil = node.base().join("evil");
    fs::write(&evil, format!("#!/bin/sh\necho {EVIL}\n")).unwrap();
    sh("chmod", &["755", evil.to_str().unwrap()]).ok();
    stage
        .daemon
        .docker(&["cp", evil.to_str().unwrap(), &format!("{id}:/bin/app")])
        .ok();
    refused(
        &stage.daemon.docker(&["start", "-a", &id]),
        &node,
        "upper-not-pristine",
    );
    let mount = format!("{}:/bin/app:ro", evil.display());
    refused(
        &stage.daemon.run(&["-v", &mount, "firm:1"]),
        &node,
        "mount-over-code",
    );
    exempt(stage.daemon.run(&["firm:1"]), &node);

    // What is warned of besides does not hide that it is exempt.
    let detail = exempt(stage.daemon.run(&["--pid=host", "firm:1"]), &node);
    assert!(detail.contains("host-access"), "{detail}");

    node.notarize("docker://firm:1");
    node.vcn(&["untrust", "docker://firm:1"]).ok();
    node.sync();
    refused(&stage.daemon.run(&["firm:1"]), &node, "untrusted");
    // Whatever the allowlist's age.
    ledger::age(&node.state().join("allowlist/note"), &node, 25);
    refused(&stage.daemon.run(&["firm:1"]), &node, "untrusted");
}

#[test]
fn a_stale_allowlist_is_overridden_and_a_missing_one_is_not() {
    let stage = stage("exempt");
    let (node, image) = stage.node_and_stranger("old");
    node.notarize("docker://old:1");
    ledger::age(&node.state().join("allowlist/note"), &node, 25);
    refused(&stage.daemon.run(&["old:1"]), &node, "stale");
    break_glass(&node, &image, &[]).ok();
    exempt(stage.daemon.run(&["old:1"]), &node);
    fs::rename(
        node.state().join("allowlist"),
        node.base().join("allowlist"),
    )
    .unwrap();
    refused(&stage.daemon.run(&["old:1"]), &node, "no-allowlist");
}

#[test]
fn it_takes_as_many_keys_as_the_trust_root_says() {
    let stage = stage("exempt");
    let (node, image) = stage.node_and_stranger("two");
    let ann = node.vcn(&["-o", "json", "keygen", "ann"]).json()["key"].clone();
    let next = node.base().join("next.txt");
    let next = next.to_str().unwrap();
    let both = [
        "--exempt-key",
        ann.as_str().unwrap(),
        "--exempt-threshold",
        "2",
    ];
    node.vcn(&[&["trust", "edit", next], &both[..]].concat())
        .ok();
    node.vcn(&["trust", "sign", next]).ok();
    let ledger = node.ledger();
    node.vcn(&["trust", "publish", ledger.to_str().unwrap(), next])
        .ok();
    node.sync();

    let file = node.base().join("exempt.note");
    let file = file.to_str().unwrap();
    let key = ledger.join(".state/keys/exempt");
    let one = ["--key", key.to_str().unwrap(), "--file", file];
    let made = break_glass(&node, &image, &one);
    made.clone().ok();
    assert!(
        made.json()["next"].as_str().unwrap().contains("ann+"),
        "{made:?}"
    );
    let early = node.vcn(&["exempt", "install", file]).exits(14);
    assert!(early.err.contains("signed by 1 of the 2 keys"), "{early:?}");
    let repeated = node.vcn(&["exempt", "sign", file, "--key", key.to_str().unwrap()]);
    assert!(repeated.err.contains("already"), "{repeated:?}");
    node.vcn(&["keygen", "stranger"]).ok();
    let stranger = node
        .vcn(&["exempt", "sign", file, "--key", "stranger"])
        .exits(14);
    assert!(stranger.err.contains("does not count"), "{stranger:?}");
    refused(&stage.daemon.run(&["two:1"]), &node, "unknown");

    // Two signatures of one key are one.
    let exempt_key = || ledger::key(&node, "exempt");
    let doubled = forged(
        &node,
        "doubled.note",
        &[exempt_key(), exempt_key()],
        |exemption| {
            exemption.config = image.id().parse().unwrap();
        },
    );
    install(&node, &doubled).exits(14);

    node.vcn(&["exempt", "sign", file, "--key", "ann"]).ok();
    node.vcn(&["exempt", "install", file]).ok();
    let detail = exempt(stage.daemon.run(&["two:1"]), &node);
    assert!(
        detail.contains("ann+") && detail.contains("/exempt+"),
        "{detail}"
    );

    // The next version names one of them no more, and still asks for two: nobody is left.
    let after = node.base().join("after.txt");
    let after = after.to_str().unwrap();
    node.vcn(&["trust", "edit", after]).ok();
    let text = fs::read_to_string(after).unwrap();
    let bob = node.vcn(&["-o", "json", "keygen", "bob"]).json()["key"].clone();
    let other = text.replace(ann.as_str().unwrap(), bob.as_str().unwrap());
    assert_ne!(other, text);
    fs::write(after, other).unwrap();
    node.vcn(&["trust", "sign", after]).ok();
    node.vcn(&["trust", "publish", ledger.to_str().unwrap(), after])
        .ok();
    node.sync();
    refused(&stage.daemon.run(&["two:1"]), &node, "unknown");
}

#[test]
fn a_strange_file_is_told_and_stops_nothing() {
    let stage = stage("exempt");
    let (node, image) = stage.node_and_stranger("junk");
    let config = image.id().parse().unwrap();
    let exempt_key = || [ledger::key(&node, "exempt")];
    let elsewhere = forged(&node, "elsewhere.note", &exempt_key(), |exemption| {
        exemption.config = config;
        exemption.node = "7".repeat(32).parse().unwrap();
    });
    let foreign = forged(&node, "foreign.note", &exempt_key(), |exemption| {
        exemption.config = config;
        exemption.origin = "ledger.test/other".to_owned();
    });
    let stranger = SecretKey::from_seed("ledger.test/vcn/exempt", &[7; 32]).unwrap();
    let strange = forged(&node, "strange.note", &[stranger], |exemption| {
        exemption.config = config;
    });
    let junk = node.base().join("junk.note");
    fs::write(&junk, "junk").unwrap();
    for (path, why) in [
        (&elsewhere, "it is for the node 7777"),
        (&foreign, "it is for the ledger"),
        (&strange, "signed by 0 of the 1 keys"),
        (&junk, "no signed note"),
    ] {
        let refused = install(&node, path).exits(14);
        assert!(refused.err.contains(why), "{refused:?}");
    }
    let folder = node.base().join("etc/exemptions");
    assert!(!folder.exists());
    fs::create_dir(&folder).unwrap();
    for path in [&elsewhere, &foreign, &strange, &junk] {
        fs::copy(path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let applied = node.vcn(&["-o", "json", "apply"]);
    applied.clone().ok();
    assert_eq!(applied.json()["exemptions"]["refused"], 4);
    assert_eq!(applied.err.matches("is refused").count(), 4, "{applied:?}");
    refused(&stage.daemon.run(&["junk:1"]), &node, "unknown");
    // What others can write is not root's word.
    break_glass(&node, &image, &[]).ok();
    exempt(stage.daemon.run(&["junk:1"]), &node);
    sh("chmod", &["777", folder.to_str().unwrap()]).ok();
    node.apply();
    refused(&stage.daemon.run(&["junk:1"]), &node, "unknown");

    let hash = image.id();
    for (lasts, reason, at, why) in [
        ("73h", "x", None, "longer than 72 hours"),
        ("0h", "x", None, "ends before it begins"),
        ("soon", "x", None, "no span of time"),
        ("1h", "two\nlines", None, "one line"),
        ("1h", "x", Some("here"), "--node"),
    ] {
        let mut words = vec![
            "exempt", "--hash", &hash, "--for", lasts, "--reason", reason,
        ];
        words.extend(at.iter().flat_map(|at| ["--node", *at]));
        let refused = node.vcn(&words).exits(64);
        assert!(refused.err.contains(why), "{refused:?}");
    }
}
