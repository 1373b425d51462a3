//! What becomes of daemon.json, by its bytes.

use serde_json::{Value, json};

use super::{Places, Settings, without};

fn places() -> Places {
    Places::of_machine("/usr/bin/vcn-hook".into())
}

fn wrapped(text: &str) -> Result<Value, String> {
    Settings::parse(text.as_bytes())
        .unwrap()
        .wrapped(&places(), &|_, _| Ok(()))
}

#[test]
fn what_runs_runc_or_crun_is_wrapped_with_all_its_options() {
    let runc = json!({"path": "/usr/libexec/vcn-hook/gate/runc"});
    for (text, entry) in [
        ("", runc.clone()),
        (r#"{"default-runtime": "io.containerd.runc.v2"}"#, runc),
        (
            r#"{"default-runtime": "c", "runtimes": {"c": {"path": "/opt/crun", "runtimeArgs": ["--debug"]}}}"#,
            json!({"path": "/usr/libexec/vcn-hook/gate/crun", "runtimeArgs": ["--debug"]}),
        ),
        (
            r#"{"default-runtime": "s", "runtimes": {"s": {"runtimeType": "io.containerd.runc.v2", "options": {"SystemdCgroup": true}}}}"#,
            json!({"runtimeType": "io.containerd.runc.v2", "options": {"SystemdCgroup": true, "BinaryName": "/usr/libexec/vcn-hook/gate/runc"}}),
        ),
    ] {
        assert_eq!(wrapped(text), Ok(entry), "{text}");
    }
}

#[test]
fn what_is_not_ours_to_wrap_is_left_alone_and_named() {
    for (text, word) in [
        (
            r#"{"default-runtime": "n", "runtimes": {"n": {"path": "nvidia-container-runtime"}}}"#,
            "'n' is no runc",
        ),
        (
            r#"{"default-runtime": "k", "runtimes": {"k": {"runtimeType": "io.containerd.kata.v2"}}}"#,
            "'k' is no runc",
        ),
        (
            r#"{"default-runtime": "io.containerd.runsc.v1"}"#,
            "is not in daemon.json",
        ),
        (
            r#"{"runtimes": {"vcn": {"path": "/usr/bin/other"}}}"#,
            "another runtime of the name 'vcn'",
        ),
    ] {
        let why = wrapped(text).expect_err(text);
        assert!(
            why.contains(word) && why.contains("--runtime system"),
            "{why}"
        );
    }
    let refuse = |_, _: &std::path::Path| Err("no".to_owned());
    let text = r#"{"default-runtime": "c", "runtimes": {"c": {"path": "crun"}}}"#;
    let settings = Settings::parse(text.as_bytes()).unwrap();
    settings
        .wrapped(&places(), &refuse)
        .expect_err("the machine says no");
}

#[test]
fn only_our_part_comes_out_of_a_file_that_was_changed() {
    let ours = r#"{"runtimes": {"vcn": {"path": "/usr/libexec/vcn-hook/gate/runc"}}, "default-runtime": "vcn"}"#;
    let more = ours.replacen('{', "{\"debug\": true, ", 1);
    let without = |now: &str, before: Option<&str>| {
        let bytes = without(now.as_bytes(), before.map(str::as_bytes), &places()).unwrap();
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(without(ours, None), None);
    assert_eq!(without(&more, None), some(r#"{"debug": true}"#));
    assert_eq!(without(ours, Some("{}")), some("{}"));
    assert_eq!(
        without(
            &more,
            Some(r#"{"default-runtime": "crun", "runtimes": {}}"#)
        ),
        some(r#"{"debug": true, "runtimes": {}, "default-runtime": "crun"}"#)
    );
    let theirs = ours.replace("\"vcn\"}", "\"nvidia\"}");
    assert_eq!(
        without(&theirs, None),
        some(r#"{"default-runtime": "nvidia"}"#)
    );
    assert_eq!(
        without(r#"{ "debug": 1 }"#, None),
        some(r#"{ "debug": 1 }"#)
    );
}
