use std::ffi::OsString;
use std::path::Path;

use super::{Action, CommandLine, parse};
use crate::engine::RuntimeKind::{self, Crun, Runc};
use crate::engine::{Start, Verb};
use crate::verdict::ReasonCode;

const CWD: &str = "/run/cwd";

fn read(runtime: RuntimeKind, line: &str) -> CommandLine {
    let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
    parse(runtime, &words, Path::new(CWD))
}

fn start(runtime: RuntimeKind, verb: Verb, bundle: Option<&str>, root: Option<&str>) -> Start {
    Start {
        verb,
        id: "ID".to_owned(),
        bundle: bundle.map(Into::into),
        runtime_root: root.map(Into::into),
        runtime,
        init: None,
    }
}

#[test]
fn reads_what_every_engine_writes() {
    let docker = "/var/run/docker/runtime-runc/moby";
    for (runtime, line, log, expected) in [
        (
            Runc,
            "--root /var/run/docker/runtime-runc/moby --log /b/log.json --log-format json --systemd-cgroup \
             create --bundle /b --pid-file /b/init.pid ID",
            Some("/b/log.json"),
            start(Runc, Verb::Create, Some("/b"), Some(docker)),
        ),
        (
            Runc,
            "--root /var/run/docker/runtime-runc/moby --log /b/log.json --log-format json start ID",
            Some("/b/log.json"),
            start(Runc, Verb::Start, None, Some(docker)),
        ),
        (
            Runc,
            "--log /x/runc-log.json --log-format json run --bundle /x/abc --keep ID",
            Some("/x/runc-log.json"),
            start(Runc, Verb::Run, Some("/x/abc"), None),
        ),
        (
            Crun,
            "--log-format=json --log /u/oci-log create --bundle /u --pid-file /u/pidfile ID",
            Some("/u/oci-log"),
            start(Crun, Verb::Create, Some("/u"), None),
        ),
        (
            Crun,
            "--root=/run/crun --cgroup-manager=systemd create --no-new-keyring --bundle=/u --pid-file=/p ID",
            None,
            start(Crun, Verb::Create, Some("/u"), Some("/run/crun")),
        ),
        (
            Runc,
            "run -d ID",
            None,
            start(Runc, Verb::Run, Some(CWD), None),
        ),
        (
            Runc,
            "--debug=true --rootless=false create -b rel --preserve-fds 1 ID",
            None,
            start(Runc, Verb::Create, Some("/run/cwd/rel"), None),
        ),
        (
            Runc,
            "restore --detach --empty-ns network --empty-ns ipc --image-path /i --bundle /b ID",
            None,
            start(Runc, Verb::Restore, Some("/b"), None),
        ),
        (
            Runc,
            "exec --process /tmp/p --detach --pid-file /p ID",
            None,
            start(Runc, Verb::Exec, None, None),
        ),
        (
            Crun,
            "exec -e A=b -e C=d ID create --bundle /x run",
            None,
            start(Crun, Verb::Exec, None, None),
        ),
    ] {
        let expected = CommandLine {
            log: log.map(Into::into),
            action: Action::Gate(expected.verb, Ok(expected)),
        };
        assert_eq!(read(runtime, line), expected, "{line}");
    }
}

#[test]
fn passes_every_other_verb_whatever_follows() {
    for line in [
        "",
        "--version",
        "--help",
        "features",
        "state ID",
        "kill --all ID 9",
        "delete --force create",
        "--root /create list --format=json",
        "--log /create --log-format json delete ID",
        "--unknown state ID",
        "init",
        "create --help",
        "run -h",
    ] {
        assert_eq!(read(Runc, line).action, Action::Pass, "{line}");
    }
}

#[test]
fn refuses_what_gate_and_runtime_may_read_differently() {
    for (runtime, line) in [
        (Runc, "create"),
        (Runc, "create --bundle"),
        (Runc, "create --bundle /b"),
        (Runc, "create ID --bundle /evil"),
        (Runc, "create ID ID"),
        (Runc, "create --bundle /a --bundle /b ID"),
        (Runc, "create --bundle /a -b /b ID"),
        (Runc, "create -bundle /a ID"),
        (Runc, "create -b=/a ID"),
        (Runc, "create -- ID"),
        (Runc, "create --no-pivot=maybe ID"),
        (Runc, "create ../ID"),
        (Runc, "create .."),
        (Runc, "create a/b"),
        (Runc, "start --anything ID"),
        (Runc, "start ID OTHER"),
        (Runc, "--root /a --root /b create ID"),
        (Runc, "--unknown create ID"),
        (Runc, "--unknown value create ID"),
        (Runc, "-root /a create ID"),
        (Runc, "-- create ID"),
        (Crun, "--no-pivot=true create ID"),
        (Crun, "--ro /a create ID"),
        (Crun, "--log=/l --lo=/m run ID"),
        (Crun, "create --bund /b ID"),
        (Crun, "create -b/b ID"),
        (Crun, "create -f /evil.json ID"),
        (Crun, "create --config /evil.json ID"),
        (Crun, "create --config=/evil.json ID"),
        (Crun, "create --no-pivot=true ID"),
        (Crun, "run -df /evil.json ID"),
        (Crun, "restore --unknown ID"),
        (Crun, "exec --unknown ID sh"),
    ] {
        let Action::Gate(_, Err(refused)) = read(runtime, line).action else {
            panic!("'{line}' is not refused");
        };
        assert_eq!(refused.0.code, ReasonCode::Argv, "{line}");
    }
}

#[test]
fn a_permitted_exec_hides_no_create() {
    let line = read(Runc, "--unknown exec create --bundle /b ID");
    assert!(
        matches!(line.action, Action::Gate(Verb::Create, Err(_))),
        "{line:?}"
    );
}

#[test]
fn a_refusal_still_knows_where_to_say_so() {
    let line = read(
        Runc,
        "--log /b/log.json --log-format json create --what /b ID",
    );
    assert_eq!(line.log.as_deref(), Some(Path::new("/b/log.json")));
}
