//! The product on a real Docker daemon.
//!
//! One private daemon serves the whole file; each case has its own node and
//! ledger, and says by which of them its starts are judged.

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
use std::os::unix::fs::symlink;
use std::path::Path;
use support::command::{Ran, command, run, sh};
use support::image::{EVIL, Image, SAYS};
use support::ledger;
use support::node::Node;
use support::registry::Registry;
use support::stage::{Stage, stage};
use support::{binary, program};

impl Stage {
    /// A node that knows no image yet, and whose gate judges from now on.
    fn node(&self, name: &str) -> Node {
        let node = Node::new(&self.scratch, name, Some(&self.daemon));
        self.daemon.gated_by(&node.config());
        node
    }

    /// The same with `tag` loaded and notarized.
    fn node_with_app(&self, name: &str, tag: &str) -> (Node, Image) {
        let app = Image::app(tag);
        app.load(&self.daemon);
        let node = self.node(name);
        node.notarize(&format!("docker://{tag}"));
        (node, app)
    }
}

/// Asserts that Docker shows our refusal, that it names code and image, and that it is on record.
#[track_caller]
fn refused(ran: Ran, node: &Node, code: &str, image: &str) {
    // `docker run` exits with 125 where the daemon failed, `docker start` with 1.
    let starts = ran.line.contains(" start ");
    let ran = ran.exits(if starts { 1 } else { 125 });
    assert!(ran.err.contains(&format!("({code})")), "{ran:?}");
    assert!(ran.err.contains(image), "{ran:?}");
    assert_eq!(ran.out.trim(), "", "{ran:?}");
    let last = last(node);
    assert_eq!(
        (text(&last, "verdict"), text(&last, "code")),
        ("deny", code),
        "{last:#}"
    );
    assert_eq!(text(&last, "config"), image, "{last:#}");
}

#[track_caller]
fn allowed(ran: Ran, node: &Node) {
    assert_eq!(ran.clone().ok(), SAYS);
    let last = last(node);
    assert_eq!(
        (text(&last, "verdict"), text(&last, "code")),
        ("allow", "trusted"),
        "{last:#}"
    );
}

#[track_caller]
fn last(node: &Node) -> Value {
    node.decisions().pop().expect("there is a decision")
}

#[track_caller]
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no '{key}' in {value:#}"))
}

#[test]
fn without_a_gate_everything_starts() {
    let stage = stage("docker");
    let app = Image::app("plain:1");
    app.load(&stage.daemon);
    let other = app.with_other_config("plain:other");
    other.load(&stage.daemon);
    assert_eq!(app.chain(), other.chain());
    assert_eq!(stage.daemon.run(&["plain:1"]).ok(), SAYS);
    assert_eq!(stage.daemon.run(&["plain:other"]).ok(), EVIL);
}

#[test]
fn a_notarized_image_starts_and_an_unknown_one_does_not() {
    let stage = stage("docker");
    let (node, _) = stage.node_with_app("known", "known:1");
    allowed(stage.daemon.run(&["known:1"]), &node);
    allowed(stage.daemon.run(&["--init", "known:1"]), &node);
    let stranger = Image::saying("known:stranger", EVIL);
    stranger.load(&stage.daemon);
    refused(
        stage.daemon.run(&["known:stranger"]),
        &node,
        "unknown",
        &stranger.id(),
    );
}

#[test]
fn a_pulled_image_is_the_image_that_was_notarized_elsewhere() {
    let stage = stage("docker");
    let registry = Registry::start(&stage.scratch);
    let app = Image::app("pulled:1");
    app.load(&stage.daemon);
    let name = format!("{}/pulled:1", registry.address);
    stage.daemon.docker(&["tag", "pulled:1", &name]).ok();
    stage.daemon.docker(&["push", "-q", &name]).ok();
    let node = stage.node("pulled");
    let archive = node.base().join("app.tar");
    fs::write(&archive, app.archive()).unwrap();
    node.notarize(&format!("docker-archive:{}", archive.display()));
    stage.daemon.docker(&["rmi", &name, "pulled:1"]).ok();
    stage.daemon.docker(&["pull", "-q", &name]).ok();
    allowed(stage.daemon.run(&[&name]), &node);
}

#[test]
fn eighty_one_layers_are_bound_although_the_kernel_names_them_relatively() {
    let stage = stage("docker");
    let app = Image::app("layers:81").with_layers(81);
    app.load(&stage.daemon);
    let node = stage.node("layers");
    refused(
        stage.daemon.run(&["layers:81"]),
        &node,
        "unknown",
        &app.id(),
    );
    node.notarize("docker://layers:81");
    allowed(stage.daemon.run(&["layers:81"]), &node);
}

#[test]
fn untrusted_and_unsupported_images_are_refused_until_they_are_notarized_again() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("withdrawn", "withdrawn:1");
    for (verb, code) in [("untrust", "untrusted"), ("unsupport", "unsupported")] {
        node.vcn(&[verb, "docker://withdrawn:1"]).ok();
        node.sync();
        refused(stage.daemon.run(&["withdrawn:1"]), &node, code, &app.id());
        node.notarize("docker://withdrawn:1");
        allowed(stage.daemon.run(&["withdrawn:1"]), &node);
    }
}

#[test]
fn the_same_layers_under_another_config_are_another_image() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("config", "config:1");
    let other = app.with_other_config("config:other");
    other.load(&stage.daemon);
    refused(
        stage.daemon.run(&["config:other"]),
        &node,
        "unknown",
        &other.id(),
    );
    allowed(stage.daemon.run(&["config:1"]), &node);
}

#[test]
fn a_container_is_judged_by_its_own_image_wherever_the_tag_moves() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("moved", "moved:1");
    let stranger = Image::saying("moved:stranger", EVIL);
    stranger.load(&stage.daemon);
    let good = stage.daemon.create(&["moved:1"]);
    let bad = stage.daemon.create(&["moved:stranger"]);
    stage
        .daemon
        .docker(&["tag", "moved:stranger", "moved:1"])
        .ok();
    stage
        .daemon
        .docker(&["tag", &app.id(), "moved:stranger"])
        .ok();
    allowed(stage.daemon.docker(&["start", "-a", &good]), &node);
    refused(
        stage.daemon.docker(&["start", "-a", &bad]),
        &node,
        "unknown",
        &stranger.id(),
    );
}

#[test]
fn files_copied_in_before_the_first_start_are_refused() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("pristine", "pristine:1");
    let evil = foreign_code(&node);
    let container = stage.daemon.create(&["pristine:1"]);
    stage
        .daemon
        .docker(&["cp", &evil, &format!("{container}:/bin/app")])
        .ok();
    let ran = stage.daemon.docker(&["start", "-a", &container]);
    assert!(ran.err.contains("/bin/app"), "{ran:?}");
    refused(ran, &node, "upper-not-pristine", &app.id());
}

#[test]
fn code_copied_in_between_stop_and_start_is_seen_or_refused() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("upper", "upper:1");
    let evil = foreign_code(&node);
    let container = stage.daemon.create(&["upper:1"]);
    allowed(stage.daemon.docker(&["start", "-a", &container]), &node);
    stage
        .daemon
        .docker(&["cp", &evil, &format!("{container}:/bin/app")])
        .ok();
    assert_eq!(stage.daemon.docker(&["start", "-a", &container]).ok(), EVIL);
    let seen = last(&node);
    assert_eq!(
        (text(&seen, "verdict"), text(&seen, "code")),
        ("warn", "upper-changed"),
        "{seen:#}"
    );

    node.configure("[policy]\nprofile = \"strict\"\n");
    node.apply();
    refused(
        stage.daemon.docker(&["start", "-a", &container]),
        &node,
        "upper-changed",
        &app.id(),
    );
}

#[test]
fn an_ordinary_container_that_wrote_to_its_root_starts_again() {
    let stage = stage("docker");
    let (node, _) = stage.node_with_app("wrote", "wrote:1");
    let writes = "echo x > /data/x; echo y >> /etc/app.conf; /bin/app";
    let container = stage
        .daemon
        .create(&["--entrypoint", "/bin/sh", "wrote:1", "-c", writes]);
    for _ in 0..3 {
        allowed(stage.daemon.docker(&["start", "-a", &container]), &node);
    }
    let sleeper = stage.daemon.create(&[
        "--entrypoint",
        "/bin/sh",
        "wrote:1",
        "-c",
        "echo z > /data/z; sleep 60",
    ]);
    stage.daemon.docker(&["start", &sleeper]).ok();
    stage.daemon.docker(&["restart", "-t", "0", &sleeper]).ok();
    assert_eq!(
        stage
            .daemon
            .docker(&["exec", &sleeper, "cat", "/data/z"])
            .ok(),
        "z"
    );
    assert_eq!(text(&last(&node), "verdict"), "allow");
}

#[test]
fn an_old_container_is_refused_once_its_image_is_untrusted() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("old", "old:1");
    let container = stage.daemon.create(&["old:1"]);
    allowed(stage.daemon.docker(&["start", "-a", &container]), &node);
    node.vcn(&["untrust", "docker://old:1"]).ok();
    node.sync();
    refused(
        stage.daemon.docker(&["start", "-a", &container]),
        &node,
        "untrusted",
        &app.id(),
    );
}

#[test]
fn what_is_no_start_passes_through_untouched() {
    let stage = stage("docker");
    let (node, _) = stage.node_with_app("through", "through:1");
    let container = stage
        .daemon
        .create(&["--entrypoint", "/bin/sleep", "through:1", "60"]);
    stage.daemon.docker(&["start", &container]).ok();
    let before = node.decisions().len();
    assert_eq!(
        stage
            .daemon
            .docker(&["exec", &container, "echo", "hello"])
            .ok(),
        "hello"
    );
    stage
        .daemon
        .docker(&["exec", &container, "sh", "-c", "exit 7"])
        .exits(7);
    stage.daemon.docker(&["pause", &container]).ok();
    stage.daemon.docker(&["unpause", &container]).ok();
    stage
        .daemon
        .docker(&[
            "update",
            "--memory",
            "64m",
            "--memory-swap",
            "64m",
            &container,
        ])
        .ok();
    stage.daemon.docker(&["top", &container]).ok();
    stage.daemon.docker(&["kill", &container]).ok();
    stage.daemon.docker(&["rm", "-f", &container]).ok();
    assert_eq!(node.decisions().len(), before);
}

#[test]
fn a_mount_over_the_entry_point_is_refused_however_it_is_named() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("mounts", "mounts:1");
    let evil = foreign_code(&node);
    for destination in ["/bin/app", "/usr/bin/app", "/opt/current/app"] {
        let mount = format!("{evil}:{destination}:ro");
        let ran = stage.daemon.run(&["-v", &mount, "mounts:1"]);
        assert!(ran.err.contains(&evil), "{ran:?}");
        refused(ran, &node, "mount-over-code", &app.id());
    }
    let data = node.base().join("data");
    fs::create_dir(&data).unwrap();
    allowed(
        stage
            .daemon
            .run(&["-v", &format!("{}:/data", data.display()), "mounts:1"]),
        &node,
    );
}

#[test]
fn a_mount_that_root_permitted_by_its_source_is_let_through() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("permitted", "permitted:1");
    let evil = foreign_code(&node);
    let mount = format!("{evil}:/bin/app:ro");
    let ran = stage.daemon.run(&["-v", &mount, "permitted:1"]);
    let line = format!("[[mounts.allow]] source = \"{evil}\", destination = \"/bin/app\"");
    assert!(
        ran.err.replace("\\\"", "\"").contains(&line),
        "the refusal quotes {line}: {ran:?}"
    );
    refused(ran, &node, "mount-over-code", &app.id());
    node.configure(&format!(
        "[[mounts.allow]]\nsource = {evil:?}\ndestination = \"/bin/app\"\n"
    ));
    node.apply();
    assert_eq!(stage.daemon.run(&["-v", &mount, "permitted:1"]).ok(), EVIL);
}

#[test]
fn a_writable_mount_of_the_engines_or_the_gates_state_is_refused() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("state-mount", "state-mount:1");
    let root = stage.daemon.root();
    let alias = node.base().join("alias");
    symlink(&root, &alias).unwrap();
    for source in [
        root.clone(),
        root.join("containers"),
        alias,
        node.state(),
        node.base().join("etc"),
        "/".into(),
    ] {
        let mount = format!("{}:/data", source.display());
        refused(
            stage.daemon.run(&["-v", &mount, "state-mount:1"]),
            &node,
            "mount-of-state",
            &app.id(),
        );
    }
}

#[test]
fn where_the_process_must_be_the_images_init_is_no_other_and_a_variable_is() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("process", "process:1");
    node.configure("[process]\npolicy = \"deny\"\n");
    node.apply();
    allowed(stage.daemon.run(&["process:1"]), &node);
    allowed(
        stage.daemon.run(&["--init", "-e", "APP=1", "process:1"]),
        &node,
    );
    for changed in [
        &["-e", "LD_DEBUG=all", "process:1"][..],
        &["-e", "PATH=/tmp", "process:1"],
        &["process:1", "--more"],
        &["--entrypoint", "/bin/true", "process:1"],
    ] {
        refused(
            stage.daemon.run(changed),
            &node,
            "process-changed",
            &app.id(),
        );
    }
}

#[test]
fn a_typo_in_the_configuration_never_stops_a_start() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("typo", "typo:1");
    node.configure("[upper]\nchangd = \"deny\"\n");
    let ran = node.vcn(&["apply"]).exits(14);
    assert!(
        ran.err.contains("changd") && ran.err.contains("line"),
        "{ran:?}"
    );
    node.vcn(&["config", "check"]).exits(14);
    allowed(stage.daemon.run(&["typo:1"]), &node);
    let stranger = Image::saying("typo:stranger", EVIL);
    stranger.load(&stage.daemon);
    refused(
        stage.daemon.run(&["typo:stranger"]),
        &node,
        "unknown",
        &stranger.id(),
    );
    assert_ne!(stranger.id(), app.id());
}

#[test]
fn audit_mode_records_what_it_would_have_refused_and_lets_it_start() {
    let stage = stage("docker");
    let node = stage.node("audit");
    node.configure("mode = \"audit\"\n");
    node.sync();
    node.apply();
    let stranger = Image::saying("audit:stranger", EVIL);
    stranger.load(&stage.daemon);
    assert_eq!(stage.daemon.run(&["audit:stranger"]).ok(), EVIL);
    let seen = last(&node);
    assert_eq!(text(&seen, "code"), "unknown", "{seen:#}");
    let report = node.vcn(&["report"]).ok();
    assert!(report.contains("unknown"), "{report}");
}

#[test]
fn the_floor_starts_what_the_ledger_has_no_word_about_and_nothing_else() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("floor", "floor:1");
    let pause = Image::saying("floor:pause", SAYS).with_other_config("floor:pause");
    pause.load(&stage.daemon);
    refused(
        stage.daemon.run(&["floor:pause"]),
        &node,
        "unknown",
        &pause.id(),
    );
    node.configure(&format!(
        "[floor]\nconfigs = [\"{}\", \"{}\"]\n",
        pause.id(),
        app.id()
    ));
    node.apply();
    assert_eq!(stage.daemon.run(&["floor:pause"]).ok(), EVIL);
    assert_eq!(text(&last(&node), "code"), "floor");
    node.vcn(&["untrust", "docker://floor:1"]).ok();
    node.sync();
    refused(
        stage.daemon.run(&["floor:1"]),
        &node,
        "untrusted",
        &app.id(),
    );
}

#[test]
fn a_day_without_a_signature_stops_starts_and_a_new_signature_brings_them_back() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("stale", "stale:1");
    let installed = node.state().join("allowlist/note");
    ledger::age(&installed, &node, 23);
    allowed(stage.daemon.run(&["stale:1"]), &node);
    ledger::age(&installed, &node, 2);
    refused(stage.daemon.run(&["stale:1"]), &node, "stale", &app.id());

    // The ledger itself was asleep: what it still serves is as old.
    ledger::age(&node.ledger().join("index/note"), &node, 25);
    node.vcn(&["sync"]);
    refused(stage.daemon.run(&["stale:1"]), &node, "stale", &app.id());

    node.vcn(&["ledger", "index", node.ledger().to_str().unwrap()])
        .ok();
    node.sync();
    allowed(stage.daemon.run(&["stale:1"]), &node);
}

#[test]
fn an_allowlist_from_before_one_that_was_seen_is_refused() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("rolled", "rolled:1");
    let old = node.base().join("old");
    sh(
        "cp",
        &[
            "-a",
            node.state().join("allowlist").to_str().unwrap(),
            old.to_str().unwrap(),
        ],
    )
    .ok();
    node.vcn(&["untrust", "docker://rolled:1"]).ok();
    node.sync();
    fs::remove_dir_all(node.state().join("allowlist")).unwrap();
    fs::rename(&old, node.state().join("allowlist")).unwrap();
    refused(
        stage.daemon.run(&["rolled:1"]),
        &node,
        "rolled-back",
        &app.id(),
    );
    node.sync();
    refused(
        stage.daemon.run(&["rolled:1"]),
        &node,
        "untrusted",
        &app.id(),
    );
}

#[test]
fn the_start_path_touches_no_socket_but_the_journals_and_makes_no_process() {
    let stage = stage("docker");
    let (node, _) = stage.node_with_app("strace", "strace:1");
    let trace = node.base().join("trace");
    let calls = "trace=%network,execve,clone,clone3,fork,vfork";
    stage.daemon.run_by(&format!(
        "{} -A -qq -o {} -e {calls}",
        program("strace").display(),
        trace.display()
    ));
    allowed(stage.daemon.run(&["strace:1"]), &node);
    let text = fs::read_to_string(&trace).unwrap();
    let real = format!("execve(\"{}\"", program("runc").display());
    let gate = format!("execve(\"{}\"", binary().display());
    let mut runs = 0;
    let mut in_gate = false;
    for line in text.lines() {
        if line.starts_with(&gate) {
            in_gate = true;
            runs += 1;
        } else if line.starts_with(&real) {
            in_gate = false;
        } else if in_gate {
            // Debian's strace names no system call that is newer than it; the gate's is statmount.
            let journal = line.starts_with("syscall_")
                || line.starts_with("socket(AF_UNIX, SOCK_DGRAM")
                || line.contains("sun_path=\"/run/systemd/journal/socket\"");
            assert!(journal, "{line}\n{text}");
        }
    }
    assert!(runs >= 2, "create and start are judged: {text}");
    assert!(text.contains(&real), "the gate becomes the runtime: {text}");
}

#[test]
fn under_the_name_runc_no_option_of_ours_is_known_and_the_rest_is_runcs() {
    let stage = stage("docker");
    let node = stage.node("link");
    let link = node.base().join("runc");
    symlink(binary(), &link).unwrap();
    let alone = Alone::new(&node);
    let version = alone.run(&link, &["--version"]);
    assert_eq!(
        version.clone().ok(),
        sh(program("runc"), &["--version"]).ok(),
        "{version:?}"
    );
    let ours = alone.run(
        &link,
        &[
            "-c",
            node.config().to_str().unwrap(),
            "run",
            "--bundle",
            "/nonexistent",
            "x",
        ],
    );
    assert!(ours.clone().failed().contains("(argv)"), "{ours:?}");
    let bundle = alone.run(&link, &["run", "--bundle", "/nonexistent", "x"]);
    assert!(!bundle.clone().failed().contains("(argv)"), "{bundle:?}");
}

#[test]
fn people_are_told_what_the_gate_decided() {
    let stage = stage("docker");
    let (node, app) = stage.node_with_app("people", "people:1");
    let stranger = Image::saying("people:stranger", EVIL);
    stranger.load(&stage.daemon);
    let verify = node.vcn(&["verify", "docker://people:1"]);
    let hex = app.id().replace("sha256:", "");
    assert!(
        verify.out.contains(&hex) && verify.out.contains("TRUSTED"),
        "{verify:?}"
    );
    verify.exits(0);
    node.vcn(&["verify", "docker://people:stranger"]).exits(2);
    node.vcn(&["verify", "docker://people:1", "docker://people:stranger"])
        .exits(2);
    let json = node
        .vcn(&["-o", "json", "verify", "docker://people:1"])
        .json();
    assert_eq!(json["verification"]["status"], 0, "{json:#}");
    assert_eq!(json["artifact"]["hash"], hex, "{json:#}");

    let name = "people-kept";
    stage.daemon.create(&["--name", name, "people:stranger"]);
    refused(
        stage.daemon.docker(&["start", "-a", name]),
        &node,
        "unknown",
        &stranger.id(),
    );
    let explained = node.vcn(&["explain", name]).out;
    assert!(
        explained.contains("unknown") && explained.contains(&stranger.id()),
        "{explained}"
    );
    let status = node.vcn(&["status"]).exits(0).out;
    assert!(status.contains("ledger.test/vcn"), "{status}");
}

#[test]
fn vcns_own_command_lines_work_word_for_word() {
    let stage = stage("docker");
    let app = Image::app("hello-world:latest");
    app.load(&stage.daemon);
    let node = stage.node("vcn");
    let link = node.base().join("vcn");
    symlink(binary(), &link).unwrap();
    let vcn = |args: &[&str]| {
        let mut vcn = command(&link, args);
        node.environment(&mut vcn);
        vcn.env("VCN_HOOK_CONFIG", node.config());
        run(vcn)
    };
    vcn(&["verify", "docker://hello-world"]).exits(2);
    vcn(&["sign", "docker://hello-world"]).ok();
    vcn(&["verify", "docker://hello-world"]).exits(0);
    allowed(stage.daemon.run(&["hello-world"]), &node);
    let json = vcn(&["v", "-o=json", "docker://hello-world"])
        .exits(0)
        .json();
    assert_eq!(json["verification"]["status"], 0, "{json:#}");
    vcn(&["untrust", "docker://hello-world"]).ok();
    vcn(&["v", "docker://hello-world"]).exits(1);
    vcn(&["unsupport", "docker://hello-world"]).ok();
    vcn(&["v", "docker://hello-world"]).exits(3);
}

#[test]
fn a_member_of_group_docker_verifies_through_the_engines_api() {
    const NOBODY: &str = "65534";
    let stage = stage("docker");
    let (node, _) = stage.node_with_app("group", "group:1");
    let socket = stage.daemon.socket().to_str().unwrap();
    sh("chgrp", &["54321", socket]).ok();
    sh("chmod", &["660", socket]).ok();
    let home = node.base().join("nobody");
    fs::create_dir(&home).unwrap();
    sh("chown", &[NOBODY, home.to_str().unwrap()]).ok();
    let as_user = |group: &str, args: &[&str]| {
        let ids = [
            format!("--reuid={NOBODY}"),
            format!("--regid={group}"),
            "--clear-groups".to_owned(),
        ];
        let mut user = command("setpriv", ids);
        user.arg(binary()).arg("-c").arg(node.config()).args(args);
        user.env("HOME", &home)
            .env("XDG_CONFIG_HOME", home.join(".config"));
        run(user)
    };
    as_user("54321", &["verify", "docker://group:1"]).exits(0);
    let outsider = as_user(NOBODY, &["verify", "docker://group:1"]);
    assert_ne!(outsider.code, 0, "{outsider:?}");
}

/// A mount namespace in which a node's files are the machine's.
struct Alone<'a> {
    node: &'a Node,
    made: Vec<&'static str>,
}

impl<'a> Alone<'a> {
    fn new(node: &'a Node) -> Self {
        let wanted = ["/etc/vcn-hook", "/var/lib/vcn-hook"];
        let made = wanted
            .into_iter()
            .filter(|path| fs::create_dir(path).is_ok())
            .collect();
        Self { node, made }
    }

    fn run(&self, program: &Path, args: &[&str]) -> Ran {
        let mounts = "mount --bind \"$1\" /etc/vcn-hook && mount --bind \"$2\" /var/lib/vcn-hook && shift 2 && exec \"$@\"";
        let mut unshare = command("unshare", ["-m", "sh", "-c", mounts, "alone"]);
        unshare
            .arg(self.node.base().join("etc"))
            .arg(self.node.state())
            .arg(program)
            .args(args);
        run(unshare)
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        for path in &self.made {
            drop(fs::remove_dir(path));
        }
    }
}

/// A script that is not the image's, on the host.
fn foreign_code(node: &Node) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = node.base().join("evil");
    fs::write(&path, format!("#!/bin/sh\necho {EVIL}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}
