//! The product on a real Podman, whose containers run on runc and on crun.
//!
//! One graph root serves the whole file; each case has its own node and
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
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock};
use support::command::{Ran, sh};
use support::image::{EVIL, Image, SAYS, script};
use support::ledger;
use support::node::Node;
use support::podman::{Podman, RUNTIMES};
use support::scratch::Scratch;

/// What all cases share; only one of them uses the engine at a time.
struct Stage {
    scratch: Scratch,
    podman: Podman,
    app: Image,
    stranger: Image,
    other: Image,
}

fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| {
        let scratch = Scratch::new("podman");
        let podman = Podman::new(&scratch);
        let app = Image::app("localhost/app:1");
        let stage = Stage {
            other: app.with_other_config("localhost/other:1"),
            stranger: Image::saying("localhost/stranger:1", EVIL),
            app,
            scratch,
            podman,
        };
        for image in [&stage.app, &stage.stranger, &stage.other] {
            stage.podman.load(image);
        }
        Mutex::new(stage)
    });
    // A case that failed says nothing about the next one.
    let stage = stage
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    stage.podman.ungated();
    stage.podman.clear();
    stage
}

impl Stage {
    /// A node that knows no image yet, and whose gate judges from now on.
    fn node(&self, name: &str) -> Node {
        let node = Node::of_podman(&self.scratch, name, &self.podman);
        self.podman.gated_by(&node.config());
        node
    }

    /// The same with the app notarized.
    fn node_with_app(&self, name: &str) -> Node {
        let node = self.node(name);
        node.notarize("podman://app:1");
        node
    }

    /// The engine on each runtime.
    fn each(&self) -> impl Iterator<Item = Podman> {
        RUNTIMES.into_iter().map(|runtime| self.podman.on(runtime))
    }
}

/// Asserts that Podman shows our refusal, that it names code and image, and that it is on record.
#[track_caller]
fn refused(ran: Ran, node: &Node, code: &str, image: &str) {
    let last = refused_somehow(&ran, node, code);
    assert!(ran.err.contains(image), "{ran:?}");
    assert_eq!(text(&last, "config"), image, "{last:#}");
    assert_eq!(text(&last, "engine"), "podman", "{last:#}");
}

#[track_caller]
fn refused_somehow(ran: &Ran, node: &Node, code: &str) -> Value {
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains(&format!("({code})")), "{ran:?}");
    assert!(
        !ran.out.contains(EVIL) && !ran.out.contains(SAYS),
        "{ran:?}"
    );
    let last = last(node);
    assert_eq!(
        (text(&last, "verdict"), text(&last, "code")),
        ("deny", code),
        "{last:#}"
    );
    last
}

#[track_caller]
fn allowed(ran: Ran, node: &Node) {
    assert_eq!(ran.clone().ok(), SAYS, "{ran:?}");
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

/// A script that is not the image's, on the host.
fn foreign_code(node: &Node) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = node.base().join("evil");
    fs::write(&path, format!("#!/bin/sh\necho {EVIL}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn without_a_gate_everything_starts() {
    let stage = stage();
    assert_eq!(stage.app.chain(), stage.other.chain());
    for podman in stage.each() {
        assert_eq!(podman.run(&["app:1"]).ok(), SAYS);
        assert_eq!(podman.run(&["other:1"]).ok(), EVIL);
        assert_eq!(podman.run(&["stranger:1"]).ok(), EVIL);
    }
}

#[test]
fn a_notarized_image_starts_and_no_other_does() {
    let stage = stage();
    let node = stage.node_with_app("known");
    for podman in stage.each() {
        for options in [
            &[][..],
            &["--init"],
            &["--user", "1234:55"],
            &["--uidmap", "0:100000:5000"],
            &["--read-only"],
            &["--tmpfs", "/data"],
            &["-v", "kept:/data"],
            &["--network", "host"],
        ] {
            let ran = podman.run(&[options, &["app:1"]].concat());
            assert_eq!(ran.clone().ok(), SAYS, "{ran:?}");
            let verdicts: Vec<_> = node
                .decisions()
                .iter()
                .rev()
                .take(2)
                .map(|d| (text(d, "verb").to_owned(), text(d, "verdict").to_owned()))
                .collect();
            // Access to the host is told, and the ledger's word stands.
            let word = if options.contains(&"host") {
                "warn"
            } else {
                "allow"
            };
            let both = ["start", "create"].map(|verb| (verb.to_owned(), word.to_owned()));
            assert_eq!(verdicts, both, "{options:?}");
        }
        let stranger = stage.stranger.id();
        refused(podman.run(&["stranger:1"]), &node, "unknown", &stranger);
        refused(
            podman.run(&["other:1"]),
            &node,
            "unknown",
            &stage.other.id(),
        );
    }
}

#[test]
fn eighty_one_layers_are_bound_although_the_kernel_names_them_relatively() {
    let stage = stage();
    let many = Image::app("localhost/layers:81").with_layers(81);
    stage.podman.load(&many);
    let node = stage.node("layers");
    for podman in stage.each() {
        refused(podman.run(&["layers:81"]), &node, "unknown", &many.id());
    }
    node.notarize("podman://layers:81");
    for podman in stage.each() {
        allowed(podman.run(&["layers:81"]), &node);
    }
}

#[test]
fn untrusted_and_unsupported_images_are_refused_until_they_are_notarized_again() {
    let stage = stage();
    let node = stage.node_with_app("withdrawn");
    let container = stage.podman.create(&["app:1"]);
    allowed(stage.podman.start(&container), &node);
    for (verb, code) in [("untrust", "untrusted"), ("unsupport", "unsupported")] {
        node.vcn(&[verb, "podman://app:1"]).ok();
        node.sync();
        for podman in stage.each() {
            refused(podman.run(&["app:1"]), &node, code, &stage.app.id());
        }
        // A container that was there before.
        let again = stage.podman.start(&container);
        refused(again, &node, code, &stage.app.id());
        node.notarize("podman://app:1");
        allowed(stage.podman.start(&container), &node);
    }
}

#[test]
fn a_container_is_judged_by_its_own_image_wherever_the_tag_moves() {
    let stage = stage();
    let node = stage.node_with_app("moved");
    for podman in stage.each() {
        for (tag, image) in [("moved:good", "app:1"), ("moved:bad", "stranger:1")] {
            podman.podman(&["tag", image, tag]).ok();
        }
        let good = podman.create(&["moved:good"]);
        let bad = podman.create(&["moved:bad"]);
        podman.podman(&["tag", "stranger:1", "moved:good"]).ok();
        podman.podman(&["tag", "app:1", "moved:bad"]).ok();
        allowed(podman.start(&good), &node);
        let ran = podman.start(&bad);
        refused(ran, &node, "unknown", &stage.stranger.id());
    }
}

#[test]
fn files_copied_in_before_the_first_start_are_refused() {
    let stage = stage();
    let node = stage.node_with_app("pristine");
    let evil = foreign_code(&node);
    for podman in stage.each() {
        // `init` creates and judges a pristine container; `start` judges again.
        for init in [false, true] {
            let container = podman.create(&["app:1"]);
            if init {
                podman.podman(&["init", &container]).ok();
                assert_eq!(text(&last(&node), "verdict"), "allow");
            }
            podman
                .podman(&["cp", &evil, &format!("{container}:/bin/app")])
                .ok();
            let ran = podman.start(&container);
            assert!(ran.err.contains("/bin/app"), "{ran:?}");
            refused(ran, &node, "upper-not-pristine", &stage.app.id());
            let verb = if init { "start" } else { "create" };
            assert_eq!(text(&last(&node), "verb"), verb);
        }
    }
}

#[test]
fn what_looks_like_podmans_own_files_is_none_of_them() {
    let stage = stage();
    let node = stage.node_with_app("likeness");
    let base = node.base();
    fs::write(base.join("passwd"), "evil:*:0:0:container user:/:/bin/sh\n").unwrap();
    for (name, to) in [("passwd", "/etc/"), ("passwd", "/etc/group")] {
        let container = stage.podman.create(&["app:1"]);
        let source = base.join(name);
        stage
            .podman
            .podman(&["cp", source.to_str().unwrap(), &format!("{container}:{to}")])
            .ok();
        let ran = stage.podman.start(&container);
        refused(ran, &node, "upper-not-pristine", &stage.app.id());
    }
}

#[test]
fn code_copied_in_between_stop_and_start_is_seen_or_refused() {
    let stage = stage();
    let node = stage.node_with_app("upper");
    let evil = foreign_code(&node);
    for podman in stage.each() {
        node.configure("");
        node.apply();
        let container = podman.create(&["app:1"]);
        allowed(podman.start(&container), &node);
        podman
            .podman(&["cp", &evil, &format!("{container}:/bin/app")])
            .ok();
        assert_eq!(podman.start(&container).ok(), EVIL);
        let seen = last(&node);
        assert_eq!(
            (text(&seen, "verdict"), text(&seen, "code")),
            ("warn", "upper-changed"),
            "{seen:#}"
        );
        node.configure("[policy]\nprofile = \"strict\"\n");
        node.apply();
        let ran = podman.start(&container);
        refused(ran, &node, "upper-changed", &stage.app.id());
    }
}

#[test]
fn an_ordinary_container_that_wrote_to_its_root_starts_again() {
    let stage = stage();
    let node = stage.node_with_app("wrote");
    let writes = "echo x > /data/x; echo y >> /etc/app.conf; /bin/app";
    for podman in stage.each() {
        let container = podman.create(&["--entrypoint", "/bin/sh", "app:1", "-c", writes]);
        for _ in 0..3 {
            allowed(podman.start(&container), &node);
        }
    }
}

#[test]
fn a_mount_over_the_entry_point_is_refused_however_it_is_named() {
    let stage = stage();
    let node = stage.node_with_app("mounts");
    let evil = foreign_code(&node);
    for podman in stage.each() {
        for destination in ["/bin/app", "/usr/bin/app", "/opt/current/app"] {
            let mount = format!("{evil}:{destination}:ro");
            let ran = podman.run(&["-v", &mount, "app:1"]);
            assert!(ran.err.contains(&evil), "{ran:?}");
            refused(ran, &node, "mount-over-code", &stage.app.id());
        }
    }
}

#[test]
fn code_of_another_image_is_not_mounted_in() {
    let stage = stage();
    let node = stage.node_with_app("image-mount");
    let mount = "type=image,source=stranger:1,destination=/other";
    for podman in stage.each() {
        let ran = podman.run(&["--mount", mount, "--entrypoint", "/other/bin/app", "app:1"]);
        assert!(ran.err.contains("/other"), "{ran:?}");
        let code = text(&last(&node), "code").to_owned();
        assert!(
            ["mount-over-code", "mount-of-state"].contains(&code.as_str()),
            "{code}"
        );
        refused(ran, &node, &code, &stage.app.id());
    }
}

#[test]
fn a_writable_mount_of_the_engines_or_the_gates_state_is_refused() {
    let stage = stage();
    let node = stage.node_with_app("state-mount");
    let root = stage.podman.root();
    let alias = node.base().join("alias");
    symlink(&root, &alias).unwrap();
    for source in [
        root.clone(),
        root.join("overlay"),
        root.join("overlay-containers"),
        root.join("libpod"),
        alias,
        node.state(),
        node.base().join("etc"),
        "/".into(),
    ] {
        let mount = format!("{}:/data", source.display());
        let ran = stage.podman.run(&["-v", &mount, "app:1"]);
        refused(ran, &node, "mount-of-state", &stage.app.id());
    }
}

#[test]
fn a_pods_own_container_starts_and_nothing_else_runs_in_it() {
    let stage = stage();
    let node = stage.node_with_app("pod");
    let evil = foreign_code(&node);
    for podman in stage.each() {
        podman.podman(&["pod", "create", "--name", "pod"]).ok();
        allowed(podman.run(&["--pod", "pod", "app:1"]), &node);
        let infra: Vec<_> = node
            .decisions()
            .into_iter()
            .rev()
            .filter(|decision| decision["code"] == "infra")
            .take(2)
            .collect();
        assert_eq!(infra.len(), 2, "created and started: {infra:#?}");
        let id = text(&infra[0]["container"], "id").to_owned();
        let stranger = podman.run(&["--pod", "pod", "stranger:1"]);
        refused(stranger, &node, "unknown", &stage.stranger.id());

        let own = podman.podman(&["exec", &id, "/catatonit", "-V"]);
        refused_somehow(&own, &node, "infra-exec");
        podman.podman(&["cp", &evil, &format!("{id}:/evil")]).ok();
        let foreign = podman.podman(&["exec", &id, "/evil"]);
        refused_somehow(&foreign, &node, "infra-exec");
        podman.podman(&["pod", "stop", "-t", "0", "pod"]).ok();
        let again = podman.podman(&["pod", "start", "pod"]);
        assert_ne!(again.code, 0, "{again:?}");
        assert_eq!(text(&last(&node), "code"), "upper-not-pristine");
        podman.clear();
    }
}

#[test]
fn a_container_that_only_resembles_a_pods_own_is_an_unknown_image() {
    let stage = stage();
    let node = stage.node("resembles");
    let mount = format!("{}:/data", node.base().join("home").display());
    let wider = stage
        .podman
        .podman(&["pod", "create", "--name", "wider", "-v", &mount]);
    let wider = format!(
        "{}{}",
        wider.ok(),
        stage.podman.podman(&["pod", "start", "wider"]).failed()
    );
    assert!(wider.contains("(unknown)"), "{wider}");
    stage.podman.clear();

    let evil = Image::app("localhost/fake-pause:1").with_layer(&[("catatonit", script(EVIL))]);
    let mut fake = evil;
    fake.layers = vec![fake.layers.pop().unwrap()];
    fake.config = serde_json::json!({"Entrypoint": ["/catatonit", "-P"]});
    stage.podman.load(&fake);
    for podman in stage.each() {
        refused(podman.run(&["fake-pause:1"]), &node, "unknown", &fake.id());
    }
}

#[test]
fn a_pods_own_container_is_refused_once_somebody_withdraws_its_image() {
    let stage = stage();
    let node = stage.node_with_app("pod-withdrawn");
    stage
        .podman
        .podman(&["pod", "create", "--name", "pod"])
        .ok();
    let image = stage
        .podman
        .podman(&["image", "ls", "-q", "--no-trunc", "localhost/podman-pause"])
        .ok();
    let image = image.trim_start_matches("sha256:").to_owned();
    node.vcn(&["untrust", &format!("podman://{image}")]).ok();
    node.sync();
    let ran = stage.podman.podman(&["pod", "start", "pod"]);
    refused_somehow(&ran, &node, "untrusted");
}

#[test]
fn a_directory_is_no_image() {
    let stage = stage();
    let node = stage.node("rootfs");
    let rootfs = stage.scratch.folder("rootfs");
    for layer in &stage.app.layers {
        tar::Archive::new(layer.as_slice()).unpack(&rootfs).unwrap();
    }
    for podman in stage.each() {
        let ran = podman.run(&["--rootfs", rootfs.to_str().unwrap(), "/bin/app"]);
        refused_somehow(&ran, &node, "no-identity");
    }
}

#[test]
fn an_images_config_that_is_another_is_refused() {
    let stage = stage();
    let node = stage.node_with_app("config");
    let id = stage.app.id().replace("sha256:", "");
    let folder = stage.podman.root().join("overlay-images").join(&id);
    let config: PathBuf = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| fs::read(path).unwrap() == stage.app.config_bytes())
        .unwrap();
    let container = stage.podman.create(&["app:1"]);
    fs::write(&config, stage.other.config_bytes()).unwrap();
    let ran = stage.podman.start(&container);
    fs::write(&config, stage.app.config_bytes()).unwrap();
    refused_somehow(&ran, &node, "unreadable");
    allowed(stage.podman.start(&container), &node);
}

#[test]
fn a_graph_root_may_be_called_by_a_symlink_that_is_listed() {
    let stage = stage();
    let node = stage.node_with_app("symlink");
    let alias = stage.scratch.join("alias-of-root");
    symlink(stage.scratch.folder("real-root"), &alias).unwrap();
    let listed = fs::read_to_string(node.config()).unwrap();
    let root = format!("{:?}", stage.podman.root());
    fs::write(node.config(), listed.replace(&root, &format!("{alias:?}"))).unwrap();
    node.apply();
    let archive = node.base().join("app.tar");
    fs::write(&archive, stage.app.archive()).unwrap();
    let on_alias = |podman: &Podman, args: &[&str]| {
        let mut words = podman.command();
        let at = words.iter().position(|word| word == "--root").unwrap();
        words[at + 1] = alias.display().to_string();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        support::command::run(podman.inside(&[&words[..], args].concat()))
    };
    on_alias(
        &stage.podman,
        &["load", "-q", "-i", archive.to_str().unwrap()],
    )
    .ok();
    for podman in stage.each() {
        allowed(on_alias(&podman, &["run", "--rm", "app:1"]), &node);
    }
}

#[test]
fn a_graph_root_that_is_not_listed_has_no_identity_to_give() {
    let stage = stage();
    let node = stage.node_with_app("unlisted");
    let listed = fs::read_to_string(node.config()).unwrap();
    let elsewhere = listed.replace(
        &format!("storage_roots = [{:?}]", stage.podman.root()),
        "storage_roots = [\"/var/lib/containers/storage\"]",
    );
    assert_ne!(listed, elsewhere);
    fs::write(node.config(), elsewhere).unwrap();
    node.apply();
    refused_somehow(&stage.podman.run(&["app:1"]), &node, "no-identity");
}

#[test]
fn images_of_an_additional_store_count_where_root_listed_it() {
    let stage = stage();
    let node = stage.node_with_app("additional");
    let own = stage.scratch.folder("additional-root");
    let store = format!("overlay.imagestore={}", stage.podman.root().display());
    let words = stage.podman.command();
    let mut words: Vec<_> = words.iter().map(String::as_str).collect();
    let at = words.iter().position(|word| *word == "--root").unwrap();
    words[at + 1] = own.to_str().unwrap();
    words.extend(["--storage-opt", &store, "run", "--rm", "app:1"]);
    let run = || support::command::run(stage.podman.inside(&words));
    refused_somehow(&run(), &node, "no-identity");
    let listed = fs::read_to_string(node.config()).unwrap();
    let both = listed.replace("storage_roots = [", &format!("storage_roots = [{own:?}, "));
    fs::write(node.config(), both).unwrap();
    node.apply();
    allowed(run(), &node);
}

#[test]
fn a_day_without_a_signature_stops_starts_and_a_new_signature_brings_them_back() {
    let stage = stage();
    let node = stage.node_with_app("stale");
    ledger::age(&node.state().join("allowlist/note"), &node, 25);
    for podman in stage.each() {
        refused(podman.run(&["app:1"]), &node, "stale", &stage.app.id());
    }
    // Only a pod's own container needs no fresh word: nobody ever had one.
    stage
        .podman
        .podman(&["pod", "create", "--name", "pod"])
        .ok();
    stage.podman.podman(&["pod", "start", "pod"]).ok();
    assert_eq!(text(&last(&node), "code"), "infra");
    node.vcn(&["ledger", "index", node.ledger().to_str().unwrap()])
        .ok();
    node.sync();
    allowed(stage.podman.run(&["app:1"]), &node);
}

#[test]
fn exec_is_judged_where_root_says_so() {
    let stage = stage();
    let node = stage.node_with_app("exec");
    for podman in stage.each() {
        node.configure("");
        node.apply();
        let id = podman.create(&["--entrypoint", "/bin/sleep", "app:1", "60"]);
        podman.podman(&["start", &id]).ok();
        let before = node.decisions().len();
        let said = podman.podman(&["exec", &id, "echo", "hello"]).ok();
        assert_eq!(said, "hello");
        podman.podman(&["exec", &id, "sh", "-c", "exit 7"]).exits(7);
        assert_eq!(
            node.decisions().len(),
            before,
            "no word about it, no record"
        );

        node.configure("[exec]\npolicy = \"deny\"\n");
        node.apply();
        let said = podman.podman(&["exec", &id, "echo", "hello"]).ok();
        assert_eq!(said, "hello");
        node.vcn(&["untrust", "podman://app:1"]).ok();
        node.sync();
        let ran = podman.podman(&["exec", &id, "echo", "hello"]);
        refused_somehow(&ran, &node, "untrusted");
        podman.podman(&["stop", "-t", "0", &id]).ok();
        podman.podman(&["rm", "-f", &id]).ok();
        node.notarize("podman://app:1");
    }
}

#[test]
fn people_are_told_what_the_gate_decided() {
    let stage = stage();
    let node = stage.node_with_app("people");
    let hex = stage.app.id().replace("sha256:", "");
    for name in ["app:1", "localhost/app:1", &hex[..12], &hex] {
        let verify = node.vcn(&["verify", &format!("podman://{name}")]).exits(0);
        assert!(verify.out.contains(&hex), "{verify:?}");
    }
    node.vcn(&["verify", "podman://stranger:1"]).exits(2);
    let listed = node.vcn(&["list"]).ok();
    assert!(listed.contains("podman://app:1"), "{listed}");
    let shown = node.vcn(&["inspect", "podman://app:1"]).ok();
    assert!(shown.contains("manifest linux/amd64"), "{shown}");

    let id = stage
        .podman
        .create(&["--name", "people-kept", "stranger:1"]);
    let ran = stage.podman.start("people-kept");
    refused(ran, &node, "unknown", &stage.stranger.id());
    for name in ["people-kept", &id, &id[..12]] {
        let explained = node.vcn(&["explain", name]).ok();
        assert!(
            explained.contains("unknown") && explained.contains(&stage.stranger.id()),
            "{explained}"
        );
    }
}

#[test]
fn what_the_engine_pulls_is_what_was_notarized_elsewhere() {
    let stage = stage();
    let node = stage.node("elsewhere");
    let layout = node.base().join("layout");
    let to = format!("oci:{}:app", layout.display());
    sh(
        "skopeo",
        &[
            "copy",
            "-q",
            &format!(
                "docker-archive:{}",
                {
                    let archive = node.base().join("app.tar");
                    fs::write(&archive, stage.app.archive()).unwrap();
                    archive
                }
                .display()
            ),
            &to,
        ],
    )
    .ok();
    node.notarize(&to);
    let pulled = stage.podman.podman(&["pull", "-q", &to]).ok();
    allowed(stage.podman.run(&[&pulled]), &node);
}

/// A user without root, who has a Podman and a storage of his own, and whose runtime is the gate.
struct Rootless<'a> {
    podman: &'a Podman,
    home: PathBuf,
    /// The program where everybody may run it, which is not so of where it was built.
    gate: PathBuf,
}

impl<'a> Rootless<'a> {
    const NOBODY: &'static str = "65534";

    fn new(stage: &'a Stage, node: &Node) -> Self {
        let podman = &stage.podman;
        // As a user sees them, who must be able to look at the way to his own runtimes.
        let home = stage.scratch.folder("rootless");
        for folder in ["bin", "run"] {
            fs::create_dir_all(home.join(folder)).unwrap();
        }
        let gate = stage.scratch.folder("everybodys").join("vcn-hook");
        fs::copy(support::binary(), &gate).unwrap();
        for runtime in RUNTIMES {
            let path = home.join("bin").join(runtime);
            let text = format!(
                "#!/bin/sh\nexec {} -c {} runtime {runtime} -- \"$@\"\n",
                gate.display(),
                node.config().display()
            );
            fs::write(&path, text).unwrap();
            sh("chmod", &["755", path.to_str().unwrap()]).ok();
        }
        let settings = "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n\
                        [containers]\nnetns = \"none\"\nlog_driver = \"k8s-file\"\n";
        fs::write(home.join("containers.conf"), settings).unwrap();
        sh("chown", &["-R", Self::NOBODY, home.to_str().unwrap()]).ok();
        Self { podman, home, gate }
    }

    /// Any command as this user, who has no other home.
    fn run(&self, words: &[&str]) -> Ran {
        let at = |name: &str| self.home.join(name).display().to_string();
        let passwd = format!(
            "nobody:x:{0}:{0}::{1}:/bin/sh\n",
            Self::NOBODY,
            self.home.display()
        );
        fs::write(self.podman.base().join("passwd"), passwd).unwrap();
        let script = format!(
            "mount --bind {}/passwd /etc/passwd && exec setpriv --reuid={1} --regid={1} \
             --clear-groups \"$@\"",
            self.podman.base().display(),
            Self::NOBODY
        );
        let mut unshare = self
            .podman
            .inside(&[&["unshare", "-m", "sh", "-c", &script, "sh"], words].concat());
        unshare
            .env("HOME", &self.home)
            .env("XDG_CONFIG_HOME", at(".config"))
            .env("XDG_RUNTIME_DIR", at("run"))
            .env("CONTAINERS_CONF", at("containers.conf"));
        support::command::run(unshare)
    }

    fn podman(&self, runtime: &str, args: &[&str]) -> Ran {
        let runtime = self.home.join("bin").join(runtime);
        let words = ["podman", "--storage-driver", "overlay", "--runtime"];
        self.run(&[&words[..], &[runtime.to_str().unwrap()], args].concat())
    }
}

#[test]
fn a_users_own_containers_are_audited_and_never_refused() {
    let stage = stage();
    let node = stage.node("rootless-node");
    let user = Rootless::new(&stage, &node);
    let archive = user.home.join("stranger.tar");
    fs::write(&archive, stage.stranger.archive()).unwrap();
    sh("chown", &[Rootless::NOBODY, archive.to_str().unwrap()]).ok();
    user.podman("runc", &["load", "-q", "-i", archive.to_str().unwrap()])
        .ok();
    let binary = user.gate.display().to_string();
    let config = node.config().display().to_string();
    for runtime in RUNTIMES {
        let name = format!("own-{runtime}");
        let run = ["run", "--name", &name, "stranger:1"];
        let ran = user.podman(runtime, &run);
        assert_eq!(ran.clone().ok(), EVIL, "{ran:?}");
        // Nothing of the node's was written, and nothing of it could be.
        assert_eq!(node.decisions(), Vec::<Value>::new());
        let explained = user.run(&[&binary, "-c", &config, "explain", &name]);
        let explained = explained.ok();
        for word in [
            "(rootless)",
            "audited only",
            &stage.stranger.id(),
            Rootless::NOBODY,
        ] {
            assert!(explained.contains(word), "{word}: {explained}");
        }
    }
    // The same words from root are no user's: there the gate refuses.
    refused_somehow(&stage.podman.run(&["stranger:1"]), &node, "unknown");

    // A publisher reads his own images, too.
    let ran = user.run(&[&binary, "-c", &config, "inspect", "podman://stranger:1"]);
    assert!(
        !ran.err.contains("no such image"),
        "it is found where the user keeps it: {ran:?}"
    );
}
