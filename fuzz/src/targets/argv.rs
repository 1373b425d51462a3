//! Command lines of runtimes: what the runtime would run is gated, as what it would run.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use vcn_hook::engine::{RuntimeKind, Verb};
use vcn_hook::gate::argv::{Action, parse};

use super::Target;
use super::oracle::{self, Run};

pub const ARGV: Target = Target {
    words: &[
        "\0create\0",
        "\0run\0",
        "\0start\0",
        "\0restore\0",
        "\0exec\0",
        "\0kill\0",
        "\0state\0",
        "\0delete\0",
        "\0--bundle\0",
        "\0-b\0",
        "\0--bundle=",
        "\0--root\0",
        "\0--root=",
        "\0--log\0",
        "\0--debug\0",
        "\0--systemd-cgroup\0",
        "=true\0",
        "=false\0",
        "\0--\0",
        "\0-\0",
        "\0--help\0",
        "\0-h\0",
        "\0--bun\0",
        "\0--config\0",
        "\0-f\0",
        "\0--pid-file\0",
        "\0--version\0",
        "\0-v\0",
        "\0--no-pivot\0",
        "\0id\0",
        "\0-?\0",
    ],
    made: Some(seeds),
    longest: 1024,
    ..Target::new(
        "argv",
        "command lines of runc and crun, beside a model of each",
        argv,
    )
};

/// The runtime's letter, then the words, each behind a zero byte.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    [
        ("docker-create", "r --root /var/run/docker/runtime-runc/moby --log /run/containerd/io.containerd.runtime.v2.task/moby/1a/log.json --log-format json --systemd-cgroup create --bundle /run/containerd/io.containerd.runtime.v2.task/moby/1a --pid-file /run/p/init.pid 1a"),
        ("docker-start", "r --root /var/run/docker/runtime-runc/moby --log /run/l.json --log-format json start 1a"),
        ("podman-create", "c --systemd-cgroup --root=/run/crun create --bundle /var/lib/containers/storage/overlay-containers/1a/userdata --pid-file /run/p 1a"),
        ("run", "r run -b /b id"),
        ("run-crun", "c run -b /b --detach id"),
        ("exec", "r --root /r exec --process /tmp/p --detach --pid-file /p id"),
        ("restore", "r restore --detach --image-path /i --work-path /w --bundle /b id"),
        ("kill", "r --root /r kill --all id 9"),
        ("help", "r create --help"),
        ("behind", "r create id --bundle /evil"),
        ("dashes", "r --debug=false -- run -- id"),
        ("short", "c --roo /r create --bun=/b id"),
    ]
    .into_iter()
    .map(|(name, line)| (name, line.replace(' ', "\0").into_bytes()))
    .collect()
}

fn argv(bytes: &[u8]) -> bool {
    let mut words = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec);
    let runtime = match words.next().as_deref() {
        Some(b"r") => RuntimeKind::Runc,
        Some(b"c") => RuntimeKind::Crun,
        _ => return false,
    };
    let words: Vec<OsString> = words.map(OsString::from_vec).collect();
    let cwd = Path::new("/cwd");
    let line = parse(runtime, &words, cwd);
    // Runtimes take any bytes; the models take text, of which all the words that matter are.
    if words.iter().any(|word| word.to_str().is_none()) {
        return false;
    }
    let plain: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let runs = match runtime {
        RuntimeKind::Runc => oracle::runc(&plain),
        RuntimeKind::Crun => oracle::crun(&plain),
    };
    match (&line.action, &runs) {
        (Action::Pass, Some(run)) => panic!("passes, and the runtime would do {run:?}"),
        (Action::Gate(Verb::Exec, _), Some(run)) => panic!("judged as exec, and is {run:?}"),
        (Action::Gate(verb, Ok(start)), Some(run)) => {
            assert_eq!(*verb, start.verb);
            let bundle =
                (run.verb != "start").then(|| cwd.join(run.bundle.as_deref().unwrap_or("")));
            let read = Run {
                verb: verb.as_str().to_owned(),
                id: start.id.clone(),
                bundle: run.bundle.clone(),
                root: run.root.clone(),
            };
            assert_eq!(&read, run, "read as another start");
            if let Some(bundle) = bundle {
                assert_eq!(
                    start.bundle.as_deref().map(|b| b.join("")),
                    Some(bundle.join(""))
                );
            }
            assert_eq!(
                start.runtime_root,
                run.root.as_ref().map(|root| cwd.join(root))
            );
        }
        _ => {}
    }
    if let Action::Gate(_, Ok(start)) = &line.action {
        let safe = |b: u8| b.is_ascii_alphanumeric() || b"_+-.".contains(&b);
        assert!(start.id.bytes().all(safe) && !["", ".", ".."].contains(&start.id.as_str()));
        assert!(
            start
                .bundle
                .iter()
                .chain(&start.runtime_root)
                .all(|path| path.is_absolute())
        );
    }
    matches!(line.action, Action::Gate(_, Ok(_)))
}
