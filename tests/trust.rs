//! The trust root from one version to the next, by the verbs alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

#[path = "cli/sandbox.rs"]
#[allow(dead_code, reason = "other test files use the rest")]
mod sandbox;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use sandbox::Sandbox;
use serde_json::Value;

/// The public half of a new key in the key folder.
fn keygen(sandbox: &Sandbox, name: &str) -> String {
    let made = sandbox.json(&["keygen", name]);
    made["key"].as_str().expect("a key").to_owned()
}

fn key_id(vkey: &str) -> String {
    let mut parts = vkey.splitn(3, '+');
    let (name, id) = (parts.next().unwrap(), parts.next().unwrap());
    format!("{name}+{id}")
}

/// The next version as `trust edit` writes it, changed by an editor.
fn edit(sandbox: &Sandbox, options: &[&str], change: impl FnOnce(String) -> String) -> String {
    let file = sandbox.text("next.txt");
    drop(std::fs::remove_file(&file));
    sandbox.ok(&[&["trust", "edit", &file], options].concat());
    let text = std::fs::read_to_string(&file).expect("it was written");
    std::fs::write(&file, change(text)).expect("it is writable");
    file
}

/// Signs it with the root key at hand, publishes it, and has this machine follow.
fn publish(sandbox: &Sandbox, file: &str) -> Value {
    sandbox.ok(&["trust", "sign", file]);
    let published = sandbox.json(&["trust", "publish", &sandbox.text("ledger"), file]);
    sandbox.ok(&["sync"]);
    published
}

fn code(sandbox: &Sandbox, image: &str) -> i32 {
    sandbox.run(&["verify", image]).code
}

#[test]
fn a_signer_comes_counts_and_is_revoked() {
    let sandbox = Sandbox::enrolled();
    let (image, _) = sandbox.layout("app", "one");
    let ci = keygen(&sandbox, "ci");
    let refused = sandbox.run(&["notarize", &image, "--key", "ci"]);
    assert_eq!(refused.code, 14, "{}", refused.stderr);

    let allow = |text: String| {
        let more = text.replace(" default\nunsupported", " default ACME\nunsupported");
        assert_ne!(more, text);
        more
    };
    let file = edit(&sandbox, &["--signer", &ci, "--org", "ACME"], allow);
    let published = publish(&sandbox, &file);
    assert_eq!(published["version"], 2);
    let effects = published["effects"].to_string();
    assert!(
        effects.contains("may make statements from entry 0 on"),
        "{effects}"
    );
    sandbox.ok(&["notarize", &image, "--key", "ci"]);
    assert_eq!(code(&sandbox, &image), 0);

    // From the first entry on, it may have been somebody else's.
    let options = ["--revoke", &key_id(&ci), "--from-index", "0"];
    let published = publish(&sandbox, &edit(&sandbox, &options, |text| text));
    assert_eq!(published["version"], 3);
    assert_eq!(
        code(&sandbox, &image),
        4,
        "only a revoked key vouches for it"
    );
    sandbox.ok(&["ledger", "check", &sandbox.text("ledger")]);
    let shown = sandbox.json(&["trust", "show"]);
    assert_eq!(
        (&shown["version"], &shown["signed"]),
        (&Value::from(3), &Value::from(true))
    );
    let own = sandbox.json(&["trust", "show", &sandbox.text("ledger")]);
    assert_eq!(own, shown);
    assert_eq!(
        sandbox.ok(&["trust", "show", "--text"]),
        shown["text"].as_str().unwrap()
    );
}

#[test]
fn it_takes_the_thresholds_of_both_versions() {
    let sandbox = Sandbox::enrolled();
    let (ann, bob) = (keygen(&sandbox, "ann"), keygen(&sandbox, "bob"));
    let two_of_three = |text: String| {
        let more = format!("rootkey {ann}\nrootkey {bob}\nrootthreshold 2");
        text.replace("rootthreshold 1", &more)
    };
    let file = edit(&sandbox, &[], two_of_three);
    let ledger = sandbox.text("ledger");
    let signed = sandbox.json(&["trust", "sign", &file, "--key", "ann"]);
    assert!(
        signed["missing"]
            .as_str()
            .unwrap()
            .contains("root keys of version 1")
    );
    let early = sandbox.run(&["trust", "publish", &ledger, &file]);
    assert_eq!(early.code, 14, "{}", early.stderr);
    assert!(!sandbox.path("ledger/root/2.note").exists());
    let again = sandbox.run(&["trust", "sign", &file, "--key", "ann"]);
    assert!(
        again.code != 0 && again.stderr.contains("already"),
        "{}",
        again.stderr
    );
    let root = sandbox.text("ledger/.state/keys/root");
    let signed = sandbox.json(&["trust", "sign", &file, "--key", &root]);
    assert_eq!(signed["missing"], Value::Null);
    sandbox.ok(&["trust", "publish", &ledger, &file]);

    // The next one is not the first key's alone any more.
    let file = edit(
        &sandbox,
        &["--ledger", &ledger, "--expires", "900d"],
        |text| text,
    );
    let signed = sandbox.json(&["trust", "sign", &file, "--key", &root, "--ledger", &ledger]);
    assert!(signed["missing"].as_str().unwrap().contains(&key_id(&bob)));
    let signed = sandbox.json(&["trust", "sign", &file, "--key", "bob", "--ledger", &ledger]);
    assert_eq!(signed["missing"], Value::Null);
    sandbox.ok(&["trust", "publish", &ledger, &file]);
    // Once more, as after an interruption, changes nothing.
    let again = sandbox.json(&["trust", "publish", &ledger, &file]);
    assert_eq!(
        (&again["version"], &again["changes"]),
        (&Value::from(3), &serde_json::json!([]))
    );
    sandbox.ok(&["sync"]);
    assert_eq!(sandbox.json(&["trust", "show"])["version"], 3);
}

#[test]
fn what_may_not_follow_is_not_signed() {
    let sandbox = Sandbox::enrolled();
    let stranger = keygen(&sandbox, "stranger");
    type Change<'a> = &'a dyn Fn(&str) -> String;
    let cases: [(Change<'_>, &str); 7] = [
        (
            &|text| text.replace("version 2", "version 3"),
            "expected version 2",
        ),
        (
            &|text| text.replace("origin test.example/vcn", "origin test.example/other"),
            "origin",
        ),
        (
            &|text| text.replace("\nallow 1 ", "\nallow 01 "),
            "not spelled",
        ),
        (
            &|text| text.replace("\nallow 1 ", "\nallow 2 "),
            "allow line",
        ),
        (&|text| format!("{text}more\n"), "line"),
        (
            &|text| {
                let lines = text.lines().filter(|line| !line.starts_with("signer "));
                lines.map(|line| format!("{line}\n")).collect()
            },
            "a signer was moved, removed",
        ),
        (
            &|text| {
                let end = text
                    .lines()
                    .find(|line| line.starts_with("expires "))
                    .unwrap();
                text.replace(end, "expires 1700000000")
            },
            "expired",
        ),
    ];
    for (change, why) in cases {
        let file = edit(&sandbox, &[], |text| change(&text));
        let before = std::fs::read(&file).unwrap();
        let refused = sandbox.run(&["trust", "sign", &file]);
        assert_eq!(refused.code, 14, "{}", refused.stderr);
        assert!(refused.stderr.contains(why), "{why}: {}", refused.stderr);
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
    let file = edit(&sandbox, &["--exempt-key", &stranger], |text| text);
    let refused = sandbox.run(&["trust", "sign", &file, "--key", "stranger"]);
    assert_eq!(refused.code, 14, "no root key: {}", refused.stderr);
    let dry = sandbox.run(&["trust", "sign", &file, "--dry-run"]);
    assert!(
        dry.stderr.contains("+ exemptkey stranger"),
        "{}",
        dry.stderr
    );
    assert!(dry.stderr.contains("an exemption, which"), "{}", dry.stderr);
    assert!(!std::fs::read_to_string(&file).unwrap().contains('\u{2014}'));

    // Whoever edits what is signed signs it anew.
    sandbox.ok(&["trust", "sign", &file]);
    let signed = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, signed.replace("min-level=2", "min-level=1")).unwrap();
    for verb in [
        vec!["trust", "sign", &file],
        vec!["trust", "publish", &sandbox.text("ledger"), &file],
    ] {
        let refused = sandbox.run(&verb);
        assert!(refused.code != 0, "{verb:?}");
        assert!(
            refused.stderr.contains("changed after somebody had signed"),
            "{}",
            refused.stderr
        );
    }
    assert!(!sandbox.path("ledger/root/2.note").exists());
}

#[test]
fn a_server_that_nobody_vouches_for_gets_nothing_signed() {
    let keeper = Sandbox::enrolled();
    let mut serve = keeper.command(&["-o", "json", "ledger", "serve", &keeper.text("ledger")]);
    let mut server = serve
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let url = ready["url"].as_str().unwrap().to_owned();
    let elsewhere = Sandbox::new();
    let file = elsewhere.text("next.txt");
    let refused = elsewhere.run(&["trust", "edit", &file, "--ledger", &url]);
    let fingerprint = keeper.json(&["trust", "show"])["fingerprint"].clone();
    let fingerprint = fingerprint.as_str().unwrap();
    let named = ["--ledger", &url, "--root", fingerprint];
    let edited = elsewhere.run(&[&["trust", "edit", &file][..], &named].concat());
    let key = keeper.text("ledger/.state/keys/root");
    let sign = ["trust", "sign", &file, "--key", &key];
    let unvouched = elsewhere.run(&[&sign[..], &["--ledger", &url]].concat());
    let signed = elsewhere.run(&[&sign[..], &named].concat());
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(refused.code, 14, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("nobody here vouches"),
        "{}",
        refused.stderr
    );
    assert_eq!(edited.code, 0, "{}", edited.stderr);
    assert_eq!(unvouched.code, 14, "{}", unvouched.stderr);
    assert_eq!(signed.code, 0, "{}", signed.stderr);
}
