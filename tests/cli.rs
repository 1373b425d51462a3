//! The command line, as people and scripts use it: the real binary in a machine of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

#[path = "cli/ledger.rs"]
mod ledger;
#[path = "cli/sandbox.rs"]
mod sandbox;

use std::os::unix::fs::symlink;
use std::process::Stdio;

use sandbox::{Answer, Sandbox};
use serde_json::Value;
use vcn_hook::image::digest::Digest;
use vcn_hook::sys::clock;

#[test]
fn an_image_is_trusted_from_its_notarization_until_it_is_withdrawn() {
    let machine = Sandbox::enrolled();
    let (image, config) = machine.layout("app", "one");
    assert_eq!(machine.run(&["verify", &image]).code, 2);

    machine.ok(&["notarize", &image, "--name", "docker://app:1.4"]);
    let text = machine.ok(&["verify", &image]);
    let labels: Vec<_> = text
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        labels,
        [
            "Asset", "Hash", "Date", "Key", "Name", "Size", "Level", "Status"
        ]
    );
    for line in [
        format!("Hash:    {}", config.hex()),
        "Name:    docker://app:1.4".to_owned(),
        "Level:   2 - SOCIAL_VERIFIED".to_owned(),
        "Status:  \"TRUSTED\"".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }

    machine.ok(&["unsupport", &image]);
    assert_eq!(machine.run(&["verify", &image]).code, 3);
    machine.ok(&["notarize", &image]);
    assert_eq!(machine.run(&["verify", &image]).code, 0);
    machine.ok(&["untrust", &image, "--reason", "CVE-2026-1"]);
    let answer = machine.run(&["verify", &image]);
    assert_eq!(answer.code, 1);
    assert!(
        answer.stdout.contains("Status:  \"UNTRUSTED\""),
        "{}",
        answer.stdout
    );

    let history = machine.json(&["inspect", &image]);
    let statuses: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["status"])
        .collect();
    assert_eq!(statuses, ["TRUSTED", "UNSUPPORTED", "TRUSTED", "UNTRUSTED"]);
    assert_eq!(history[3]["reason"], "CVE-2026-1");
    let list = machine.ok(&["list", "--last", "2"]);
    assert_eq!(list.lines().count(), 3, "{list}");
}

#[test]
fn untrust_covers_every_digest_that_was_stated_together() {
    let machine = Sandbox::enrolled();
    let (image, config) = machine.layout("app", "one");
    machine.ok(&["notarize", &image]);
    let stated = &machine.json(&["inspect", &image])[0]["subjects"];
    let manifest = stated
        .as_array()
        .unwrap()
        .iter()
        .find(|subject| subject["kind"] == "manifest")
        .and_then(|subject| subject["digest"].as_str())
        .unwrap();
    machine.ok(&["untrust", "--hash", manifest]);
    assert_eq!(machine.run(&["verify", "--hash", &config.hex()]).code, 1);
    assert_eq!(machine.run(&["verify", &image]).code, 1);
}

#[test]
fn the_seeds_command_lines_work_through_a_link_named_vcn() {
    let machine = Sandbox::enrolled();
    let (image, _) = machine.layout("app", "one");
    let vcn = machine.path("vcn");
    symlink(env!("CARGO_BIN_EXE_vcn-hook"), &vcn).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = machine.bare(&vcn);
        command
            .env("VCN_HOOK_CONFIG", machine.path("etc/config.toml"))
            .args(arguments);
        Answer::of(command)
    };
    for (arguments, code) in [
        (vec!["v", &image], 2),
        (vec!["sign", &image], 0),
        (vec!["verify", &image], 0),
        (vec!["v", "-o=json", &image], 0),
        (
            vec![
                "authenticate",
                "-s",
                "default",
                "-S",
                "--output",
                "json",
                &image,
            ],
            0,
        ),
        (vec!["a", "-I", "default", &image], 0),
        (vec!["v", "-s", "somebody", &image], 2),
        (vec!["v", "-I", "somebody", &image], 2),
        (vec!["v", "--min-level", "3", &image], 2),
        (vec!["v", "--exit-code", "7", &image], 7),
        (vec!["ut", &image], 0),
        (vec!["v", "--exit-code", "7", &image], 1),
        (vec!["login"], 64),
        (vec!["dashboard"], 64),
    ] {
        let answer = run(&arguments);
        assert_eq!(
            answer.code, code,
            "{arguments:?}: {}{}",
            answer.stdout, answer.stderr
        );
    }
}

#[test]
fn the_environment_selects_signers_as_vcn_does() {
    let machine = Sandbox::enrolled();
    let (image, _) = machine.layout("app", "one");
    machine.ok(&["notarize", &image]);
    for (signers, org, typed, code) in [
        (Some("nobody default"), None, None, 0),
        (Some("nobody"), None, None, 2),
        (None, Some("default"), None, 0),
        (None, Some("nobody"), None, 2),
        // What a script leaves empty asks for nobody.
        (Some(""), None, None, 0),
        (None, Some(""), None, 0),
        (Some(" "), Some(""), None, 0),
        (Some(""), Some("nobody"), None, 2),
        // What was typed counts, and only that.
        (None, Some("nobody"), Some("--signerID=default"), 0),
        (Some("nobody"), None, Some("--org=default"), 0),
        (Some("default"), None, Some("--signerID=nobody"), 2),
        (Some("default"), Some("default"), Some("--org=nobody"), 2),
        (Some("default"), Some("default"), None, 64),
    ] {
        let mut command = machine.command(&["verify", &image]);
        let variables = [("VCN_SIGNERID", signers), ("VCN_ORG", org)];
        let set = variables.map(|(name, value)| value.map(|value| (name, value)));
        command.envs(set.into_iter().flatten()).args(typed);
        let answer = Answer::of(command);
        assert_eq!(
            answer.code, code,
            "{variables:?} {typed:?}: {}",
            answer.stderr
        );
    }
}

#[test]
fn the_watchdogs_jq_lines_read_the_answer() {
    let machine = Sandbox::enrolled();
    let (image, _) = machine.layout("app", "one");
    machine.ok(&["notarize", &image, "--name", "docker://app:1.4"]);
    let json = machine.ok(&["verify", "-o", "json", &image]);
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["schema"], "vcn-hook/verification/v1");
    for (filter, expected) in [
        (".artifact.name", "docker://app:1.4"),
        (".verification.level", "2"),
        (".verification.status", "0"),
        (".artifact.publisher", "default"),
    ] {
        let pointer = filter.replace('.', "/");
        let found = value.pointer(&pointer).unwrap();
        let found = found
            .as_str()
            .map_or_else(|| found.to_string(), str::to_owned);
        assert_eq!(found, expected, "{filter}");
        if let Some(found) = jq(filter, &json) {
            assert_eq!(found, expected, "{filter} by jq");
        }
    }
}

/// What jq itself makes of it, where there is one.
fn jq(filter: &str, json: &str) -> Option<String> {
    use std::io::Write as _;
    let mut child = std::process::Command::new("jq")
        .args(["-r", filter])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(json.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim_end().to_owned())
}

#[test]
fn several_images_are_an_array_and_the_worst_of_them_the_exit_code() {
    let machine = Sandbox::enrolled();
    let (good, _) = machine.layout("good", "one");
    let (bad, _) = machine.layout("bad", "two");
    let (unknown, _) = machine.layout("unknown", "three");
    machine.ok(&["notarize", &good, &bad]);
    machine.ok(&["untrust", &bad]);
    for (images, code) in [
        (vec![&good], 0),
        (vec![&good, &unknown], 2),
        (vec![&bad, &unknown], 1),
        (vec![&unknown, &good, &bad], 1),
    ] {
        let mut arguments = vec!["-o", "json", "verify"];
        arguments.extend(images.iter().map(|image| image.as_str()));
        let answer = machine.run(&arguments);
        assert_eq!(answer.code, code, "{arguments:?}");
        let value: Value = serde_json::from_str(&answer.stdout).unwrap();
        assert_eq!(
            value.as_array().map(Vec::len),
            (images.len() > 1).then_some(images.len())
        );
    }
}

#[test]
fn what_could_not_be_decided_has_its_own_exit_code_and_is_never_a_success() {
    let machine = Sandbox::new();
    let (image, _) = machine.layout("app", "one");
    let ledger = machine.text("ledger");
    let unreachable = machine.text("nowhere");
    let hash = "0".repeat(64);
    for (arguments, code) in [
        // Not enrolled, no such ledger, no such scheme, wrong usage.
        (vec!["verify", &image], 14),
        (vec!["notarize", &image], 14),
        (vec!["sync"], 14),
        (vec!["enroll", &unreachable], 16),
        (vec!["enroll", "http://127.0.0.1:9/"], 16),
        (vec!["enroll", "ftp://127.0.0.1/"], 64),
        (vec!["verify"], 64),
        (vec!["verify", "-I", "a", "-s", "b", &image], 64),
        (vec!["verify", "--hash", &hash, &image], 64),
        (vec!["verify", "--hash", "xyz"], 64),
        (vec!["guard"], 64),
        (vec!["notarize", &image, "--not-after", "yesterday"], 64),
        (vec!["ledger", "check", &unreachable], 16),
        (
            vec!["notarize", "--ledger", "http://127.0.0.1:9/", &image],
            16,
        ),
        (vec!["notarize", "--ledger", &unreachable, &image], 16),
        (vec!["keygen", "../x"], 64),
        (vec!["explain", "nobody"], 1),
    ] {
        let arguments: Vec<_> = ["-o", "json"].iter().chain(&arguments).copied().collect();
        let answer = machine.run(&arguments);
        assert_eq!(answer.code, code, "{arguments:?}: {}", answer.stderr);
        assert!(answer.stderr.starts_with("vcn-hook: "), "{}", answer.stderr);
        let value: Value = serde_json::from_str(&answer.stdout).unwrap();
        assert!(value["error"].is_string(), "{value}");
    }
    machine.ok(&["ledger", "init", &ledger, "--origin", "test.example/vcn"]);
    let again = machine.run(&["ledger", "init", &ledger, "--origin", "test.example/vcn"]);
    assert_eq!(again.code, 1, "{}", again.stderr);
    let wrong = machine.run(&["enroll", &ledger, "--root", &hash]);
    assert_eq!(wrong.code, 14, "{}", wrong.stderr);
}

#[test]
fn a_tampered_or_missing_allowlist_decides_nothing() {
    let machine = Sandbox::enrolled();
    let (image, _) = machine.layout("app", "one");
    machine.ok(&["notarize", &image]);
    let note = machine.path("state/allowlist/note");
    let good = std::fs::read_to_string(&note).unwrap();
    std::fs::write(&note, good.replacen("log ", "log 1", 1)).unwrap();
    assert_eq!(machine.run(&["verify", &image]).code, 13);
    std::fs::remove_file(&note).unwrap();
    assert_eq!(machine.run(&["verify", &image]).code, 10);
    machine.ok(&["sync"]);
    assert_eq!(machine.run(&["verify", &image]).code, 0);
}

#[test]
fn an_image_that_cannot_be_found_is_no_verdict() {
    let machine = Sandbox::enrolled();
    let (good, _) = machine.layout("app", "one");
    machine.ok(&["notarize", &good]);
    let missing = format!("oci:{}", machine.text("empty"));
    for images in [vec![&missing], vec![&good, &missing]] {
        let mut arguments = vec!["verify"];
        arguments.extend(images.iter().map(|image| image.as_str()));
        let answer = machine.run(&arguments);
        assert_eq!(answer.code, 15, "{}", answer.stderr);
        assert!(answer.stderr.starts_with("vcn-hook: ") && answer.stderr.contains("(no-identity)"));
        assert_eq!(answer.stdout.contains("TRUSTED"), images.len() > 1);
    }
}

#[test]
fn a_hash_alone_vouches_for_a_file_and_for_no_image() {
    let machine = Sandbox::enrolled();
    let (image, config) = machine.layout("app", "one");
    machine.ok(&[
        "notarize",
        "--hash",
        &config.hex(),
        "--name",
        "docker://app:1.4",
    ]);
    for arguments in [
        vec!["verify", &image],
        vec!["verify", "--hash", &config.hex()],
    ] {
        let answer = machine.run(&arguments);
        assert_eq!(answer.code, 2, "{arguments:?}");
        assert!(
            answer.stderr.contains("by its hash alone"),
            "{}",
            answer.stderr
        );
    }
    std::fs::write(machine.path("tool"), "a file").unwrap();
    let file = format!("file://{}", machine.text("tool"));
    machine.ok(&["notarize", &file]);
    assert_eq!(machine.run(&["verify", &file]).code, 0);
    let digest = Digest::of(b"a file").hex();
    assert_eq!(machine.run(&["verify", "--hash", &digest]).code, 0);
}

#[test]
fn a_hash_alone_does_not_replace_an_image_that_was_notarized() {
    let machine = Sandbox::enrolled();
    let (image, config) = machine.layout("app", "one");
    machine.ok(&["notarize", &image]);
    let answer = machine.run(&["notarize", "--hash", &config.hex()]);
    assert_eq!(answer.code, 1, "{}", answer.stdout);
    let said = "by its hash alone it would start nowhere any more; notarize the image itself";
    assert!(answer.stderr.contains(said), "{}", answer.stderr);
    assert_eq!(machine.run(&["verify", &image]).code, 0);
    machine.ok(&["untrust", "--hash", &config.hex()]);
    assert_eq!(machine.run(&["verify", &image]).code, 1);
}

#[test]
fn an_expired_note_decides_nothing() {
    let machine = Sandbox::enrolled();
    let (image, _) = machine.layout("app", "one");
    machine.ok(&["notarize", &image]);
    // Another node, which meets the ledger when nobody has signed for two days.
    std::fs::remove_dir_all(machine.path("state")).unwrap();
    std::fs::remove_file(machine.path("ledger/index/note")).unwrap();
    ledger::publish(&machine.path("ledger"), clock::now() - 2 * 86_400);
    machine.run(&["sync"]);
    let answer = machine.run(&["verify", &image]);
    assert_eq!(answer.code, 11, "{}{}", answer.stdout, answer.stderr);
    assert!(!answer.stdout.contains("TRUSTED"), "{}", answer.stdout);
}

#[test]
fn an_older_allowlist_decides_nothing() {
    let machine = Sandbox::enrolled();
    let (image, _) = machine.layout("app", "one");
    machine.ok(&["notarize", &image]);
    let old = std::fs::read(machine.path("state/allowlist/note")).unwrap();
    machine.ok(&["untrust", &image]);
    assert_eq!(machine.run(&["verify", &image]).code, 1);
    std::fs::write(machine.path("state/allowlist/note"), old).unwrap();
    let answer = machine.run(&["verify", &image]);
    assert_eq!(answer.code, 12, "{}{}", answer.stdout, answer.stderr);
}

#[test]
fn a_revoked_key_vouches_for_nothing() {
    let machine = Sandbox::enrolled();
    let (before, _) = machine.layout("before", "one");
    let (after, _) = machine.layout("after", "two");
    machine.ok(&["notarize", &before, &after]);
    ledger::change_first_signer(&machine.path("ledger"), |signer| {
        signer.revoked_from = Some(1);
    });
    machine.ok(&["ledger", "index", &machine.text("ledger")]);
    machine.ok(&["sync"]);
    assert_eq!(machine.json(&["status"])["root"]["version"], 2);
    assert_eq!(machine.run(&["verify", &before]).code, 0);
    assert_eq!(machine.run(&["verify", &after]).code, 4);
    let late = machine.run(&["notarize", &after]);
    assert_eq!(late.code, 14, "{}", late.stderr);
    assert!(
        late.stderr.contains("does not count the key"),
        "{}",
        late.stderr
    );
    assert_eq!(machine.json(&["status"])["allowlist"]["logSize"], 2);
}

#[test]
fn one_image_under_two_names_is_stated_in_one_call() {
    let machine = Sandbox::enrolled();
    let (one, config) = machine.layout("one", "the same");
    let (two, same) = machine.layout("two", "the same");
    let (other, _) = machine.layout("other", "another");
    assert_eq!(config, same);
    let size = || machine.json(&["status"])["allowlist"]["logSize"].clone();
    for (verb, entries, code) in [("notarize", 3, 0), ("unsupport", 6, 3), ("untrust", 9, 1)] {
        // The same name twice says nothing new; another name does, after the first one.
        let answers = machine.json(&[verb, &one, &other, &two, &one, &other]);
        let answers = answers.as_array().unwrap();
        let asked: Vec<_> = answers.iter().map(|answer| &answer["asset"]).collect();
        assert_eq!(asked, [&one, &other, &two, &one, &other], "{verb}");
        assert_eq!(size(), entries, "{verb}");
        for image in [&one, &two, &other] {
            let answer = machine.run(&["verify", image]);
            assert_eq!(answer.code, code, "{verb} {image}: {}", answer.stderr);
        }
    }
}

#[test]
fn a_key_states_nothing_outside_the_range_in_which_it_counts() {
    for (from, until, revoked, code) in [
        (0, Some(2), Some(3), 0),
        (0, Some(1), Some(3), 14),
        (0, None, Some(1), 14),
        (2, None, None, 14),
    ] {
        let machine = Sandbox::enrolled();
        let (first, _) = machine.layout("first", "one");
        let (second, _) = machine.layout("second", "two");
        machine.ok(&["notarize", &first]);
        ledger::change_first_signer(&machine.path("ledger"), |signer| {
            signer.from_index = from;
            signer.until_index = until;
            signer.revoked_from = revoked;
        });
        machine.ok(&["ledger", "index", &machine.text("ledger")]);
        let answer = machine.run(&["notarize", &second]);
        let what = format!("{from} {until:?} {revoked:?}: {}", answer.stderr);
        assert_eq!(answer.code, code, "{what}");
        let told = answer.stderr.contains("does not count the key");
        assert_eq!(told, code != 0, "{what}");
        let size = machine.json(&["status"])["allowlist"]["logSize"].clone();
        assert_eq!(size, if code == 0 { 2 } else { 1 }, "{what}");
    }
}

#[test]
fn a_ledger_whose_index_is_not_what_its_entries_amount_to_is_tampered_with() {
    let machine = Sandbox::enrolled();
    let (image, _) = machine.layout("app", "one");
    machine.ok(&["notarize", &image]);
    let directory = machine.path("ledger");
    let check = || machine.run(&["ledger", "check", &machine.text("ledger")]);
    assert_eq!(check().code, 0, "{}", check().stderr);

    for table in ledger::tables(&directory) {
        let good = std::fs::read(&table).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&table, bad).unwrap();
            assert_eq!(check().code, 13, "{} at {at}", table.display());
        }
        std::fs::write(&table, [good.as_slice(), b"more"].concat()).unwrap();
        assert_eq!(check().code, 13, "{} is longer", table.display());
        std::fs::remove_file(&table).unwrap();
        assert_eq!(check().code, 13, "{} is missing", table.display());
        std::fs::write(&table, good).unwrap();
    }
    assert_eq!(check().code, 0, "{}", check().stderr);

    ledger::forge_note(&directory, |note| note.delta.id = Digest::of(b"lie"));
    let answer = check();
    assert_eq!(answer.code, 13, "{}", answer.stderr);
    assert!(answer.stderr.contains("delta"), "{}", answer.stderr);
}

#[test]
fn decisions_are_explained_and_counted() {
    let machine = Sandbox::new();
    std::fs::create_dir(machine.path("log")).unwrap();
    let line = |id: &str, verdict: &str, would_deny: bool| {
        let value = serde_json::json!({
            "schema": "vcn-hook/decision/v1", "time": "2024-02-29T12:34:56Z", "verdict": verdict,
            "code": "unknown", "detail": "the ledger has no word about it", "hint": "notarize it",
            "container": { "id": id, "name": "web" }, "image": "app:1\u{1b}[2J", "config": null,
            "chain": null, "manifest": null, "engine": null, "verb": "create", "mode": "enforce",
            "would_deny": would_deny, "allowlist": null, "duration_us": 4,
        });
        format!("{value}\n")
    };
    let lines = line("abc1", "deny", false) + &line("def2", "warn", true) + "broken\n";
    std::fs::write(machine.path("log/decisions.jsonl"), lines).unwrap();
    let text = machine.ok(&["explain", "abc"]);
    for part in [
        "refused",
        "the ledger has no word about it (unknown)",
        "notarize it",
        "abc1",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let newest = machine.json(&["explain", "web", "--last", "1"]);
    assert_eq!(newest[0]["container"]["id"], "def2");
    let report = machine.json(&["report"]);
    assert_eq!(
        (&report[0]["refused"], &report[0]["wouldDeny"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        machine.json(&["report", "--since", "1d"]),
        serde_json::json!([])
    );
    let counts = &machine.json(&["status"])["decisions"];
    assert_eq!(
        (&counts["deny"], &counts["wouldDeny"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn another_ledger_starts_from_nothing() {
    for (origin, lost) in [
        ("test.example/vcn", vec![]),
        ("test.example/vcn", vec!["etc/trust"]),
        ("other.example/vcn", vec!["etc/trust"]),
        ("test.example/vcn", vec!["etc/trust", "state/log"]),
        ("test.example/vcn", vec!["etc/trust", "state/allowlist"]),
    ] {
        let machine = Sandbox::enrolled();
        let (image, _) = machine.layout("app", "one");
        machine.ok(&["notarize", &image]);
        let other = machine.text("other");
        let made = machine.json(&["ledger", "init", &other, "--origin", origin]);
        let root = made["root"]["fingerprint"].as_str().unwrap();
        for directory in lost {
            std::fs::remove_dir_all(machine.path(directory)).unwrap();
        }
        machine.ok(&["enroll", &other, "--root", root]);
        assert_eq!(machine.run(&["verify", &image]).code, 2);
        machine.ok(&["enroll", &other, "--root", root]);
        machine.ok(&["notarize", &image]);
        assert_eq!(machine.run(&["verify", &image]).code, 0);
    }
}

#[test]
fn losing_the_pin_makes_an_older_state_of_the_same_ledger_no_newer() {
    let machine = Sandbox::enrolled();
    let (image, _) = machine.layout("app", "one");
    machine.ok(&["notarize", &image]);
    let copy = |from: &str, to: &str| {
        let mut copy = machine.bare(std::path::Path::new("cp"));
        copy.args(["-a", from, to]);
        assert_eq!(Answer::of(copy).code, 0);
    };
    copy("ledger", "backup");
    machine.ok(&["untrust", &image]);
    std::fs::remove_dir_all(machine.path("ledger")).unwrap();
    copy("backup", "ledger");
    std::fs::remove_dir_all(machine.path("etc/trust")).unwrap();
    let root = std::fs::read(machine.path("ledger/root/1.note")).unwrap();
    let root = vcn_hook::ledger::roots::Roots::pinned(&root).unwrap();
    let fingerprint = root.latest().digest.to_string();
    let answer = machine.run(&["enroll", &machine.text("ledger"), "--root", &fingerprint]);
    assert_eq!(answer.code, 12, "{}", answer.stderr);
    assert_eq!(machine.run(&["verify", &image]).code, 1);
}

#[test]
fn hostile_names_reach_no_terminal() {
    let machine = Sandbox::enrolled();
    let (image, _) = machine.layout("app", "one");
    let hostile = "docker://x\nStatus:  \"TRUSTED\"\u{1b}[2J\u{202e}";
    machine.ok(&[
        "notarize",
        &image,
        "--name",
        hostile,
        "--reason",
        "\u{1b}]0;owned\u{7}",
    ]);
    machine.ok(&["untrust", &image, "--reason", "\u{1b}]0;owned\u{7}"]);
    for arguments in [
        vec!["verify", &image],
        vec!["list"],
        vec!["inspect", &image],
        vec!["-o", "json", "verify", &image],
        vec!["-o", "json", "inspect", &image],
        vec!["-o", "yaml", "inspect", &image],
        vec!["-o", "yaml", "verify", &image],
        vec!["verify", "docker://\u{1b}[2J"],
    ] {
        let answer = machine.run(&arguments);
        let shown = answer.stdout + &answer.stderr;
        let hostile = shown
            .chars()
            .filter(|c| c.is_control() && *c != '\n' || *c == '\u{202e}');
        assert_eq!(hostile.count(), 0, "{arguments:?}: {shown:?}");
        assert!(
            !shown.lines().any(|line| line == "Status:  \"TRUSTED\""),
            "{shown}"
        );
    }
    let answer = machine.run(&["-o", "json", "verify", &image]);
    let value: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(value["asset"], image.as_str());
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let machine = Sandbox::new();
    for arguments in [vec!["--help"], vec!["version"], vec!["config", "show"]] {
        let mut command = machine.command(&arguments);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stdout(writer).stderr(Stdio::piped());
        let answer = Answer::of(command);
        assert_eq!(
            (answer.code, answer.stderr.as_str()),
            (0, ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_verdict_that_nobody_reads_is_the_same_verdict() {
    let machine = Sandbox::enrolled();
    let (good, _) = machine.layout("good", "one");
    let (bad, _) = machine.layout("bad", "two");
    let (unknown, _) = machine.layout("unknown", "three");
    machine.ok(&["notarize", &good]);
    machine.ok(&["untrust", &bad]);
    for (arguments, code) in [
        (vec!["verify", &good], 0),
        (vec!["verify", &good, "--exit-code", "7"], 7),
        (vec!["verify", &unknown], 2),
        (vec!["verify", &bad], 1),
        (vec!["verify", &good, &unknown], 2),
    ] {
        for format in ["text", "json", "yaml"] {
            let run = |stdout: Stdio| {
                let mut command = machine.command(&arguments);
                command.args(["-o", format]).stdout(stdout);
                Answer::of(command)
            };
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let closed = run(writer.into());
            assert_eq!(
                closed.code, code,
                "{arguments:?} {format}: {}",
                closed.stderr
            );
            // An answer that is lost for another reason is none.
            let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
            let full = run(full.unwrap().into());
            assert_eq!(full.code, 14, "{arguments:?} {format}: {}", full.stderr);
            assert!(
                full.stderr.contains("cannot write the answer"),
                "{}",
                full.stderr
            );
        }
    }
}

#[test]
fn help_has_examples_and_is_an_answer() {
    let machine = Sandbox::new();
    for verb in [
        "notarize", "untrust", "verify", "enroll", "keygen", "explain", "list",
    ] {
        let answer = machine.run(&[verb, "--help"]);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{verb}");
        assert!(answer.stdout.contains("Example"), "{verb}");
    }
    let version = format!("vcn-hook {}\n", env!("CARGO_PKG_VERSION"));
    for arguments in [["version"], ["--version"], ["-v"], ["-V"]] {
        assert_eq!(machine.ok(&arguments), version);
    }
}

#[test]
fn a_misspelt_setting_is_told_with_its_line_and_stops_nothing_else() {
    let machine = Sandbox::enrolled();
    machine.ok(&["config", "check"]);
    let gate = std::fs::read(machine.path("state/gate.bin")).ok();
    machine.configure("mdoe = \"audit\"");
    for verb in [vec!["config", "check"], vec!["apply"], vec!["status"]] {
        let answer = machine.run(&verb);
        assert_eq!(answer.code, 14, "{verb:?}");
        assert!(
            answer
                .stderr
                .contains("line 4: unknown key 'mdoe' (did you mean 'mode'?)")
        );
    }
    assert_eq!(std::fs::read(machine.path("state/gate.bin")).ok(), gate);
}

#[test]
fn each_setting_is_shown_with_the_line_that_made_it() {
    let machine = Sandbox::enrolled();
    machine.configure("mode = \"audit\"\n[policy]\nprofile = \"strict\"");
    let shown: Value =
        serde_json::from_str(&machine.ok(&["config", "show", "-o", "json"])).unwrap();
    let file = machine.text("etc/config.toml");
    assert_eq!(shown["mode"], "audit");
    assert_eq!(shown["origins"]["mode"], format!("{file}:4"));
    assert_eq!(shown["host"]["policy"], "deny");
    assert_eq!(
        shown["origins"]["host.policy"],
        format!("profile at {file}:6")
    );
    assert_eq!(shown["origins"]["runtime.crun"], "default");
    let text = machine.ok(&["config", "show"]);
    let is_mode = |line: &&str| line.starts_with("mode ") && line.ends_with(&format!("{file}:4"));
    assert_eq!(text.lines().filter(is_mode).count(), 1, "{text}");
}

#[test]
fn keys_are_made_private_and_used_with_their_passphrase() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Sandbox::new();
    let ledger = machine.text("ledger");
    let mut init = machine.command(&["ledger", "init", &ledger, "--origin", "test.example/vcn"]);
    init.env("VCN_NOTARIZATION_PASSWORD", "correct horse");
    let made = Answer::of(init);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let key = machine.path("home/.config/vcn-hook/keys/default");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let (image, _) = machine.layout("app", "one");
    for (passphrase, code) in [(None, 14), (Some("wrong"), 14), (Some("correct horse"), 0)] {
        let mut command = machine.command(&["notarize", "--ledger", &ledger, &image]);
        if let Some(passphrase) = passphrase {
            command.env("VCN_NOTARIZATION_PASSWORD", passphrase);
        }
        let answer = Answer::of(command);
        assert_eq!(answer.code, code, "{passphrase:?}: {}", answer.stderr);
    }
    let other = machine.json(&["keygen", "ci"]);
    assert_eq!(other["encrypted"], false);
    let answer = machine.run(&["notarize", "--ledger", &ledger, "--key", "ci", &image]);
    assert_eq!(answer.code, 14, "{}", answer.stderr);
    assert!(
        answer.stderr.contains("does not name the key"),
        "{}",
        answer.stderr
    );
    assert_eq!(machine.run(&["keygen", "ci"]).code, 1);
}

#[test]
fn status_and_apply_describe_the_node() {
    let machine = Sandbox::enrolled();
    let status = machine.json(&["status"]);
    assert_eq!(status["mode"], "enforce");
    assert_eq!(status["allowlist"]["logSize"], 0);
    assert_eq!(status["root"]["version"], 1);
    let (image, _) = machine.layout("app", "one");
    machine.ok(&["notarize", &image]);
    assert_eq!(machine.json(&["status"])["allowlist"]["logSize"], 1);
    assert!(machine.ok(&["status"]).contains("enforce"));
    machine.ok(&["apply"]);
}
