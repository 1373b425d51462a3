//! Bundles that are started by hand with runc and crun, of which root says what image they are.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::bundle::{Bundle, Runtime};
use support::command::{Ran, sh};
use support::daemon::Daemon;
use support::image::{EVIL, Image, SAYS};
use support::node::Node;
use support::program;
use support::scratch::Scratch;

/// A node on which `app:1` may be notarized from its archive, and the runtimes in front of which it stands.
struct Stage {
    scratch: Scratch,
    node: Node,
    app: Image,
    runtimes: [Runtime; 2],
}

impl Stage {
    fn new(name: &str) -> Self {
        Self::with(name, None)
    }

    fn with(name: &str, daemon: Option<&Daemon>) -> Self {
        let scratch = Scratch::new(name);
        let node = Node::new(&scratch, "node", daemon);
        let app = Image::app("app:1");
        fs::write(scratch.join("app.tar"), app.archive()).unwrap();
        let gate = node.config();
        let runtimes = ["runc", "crun"].map(|name| Runtime::new(&scratch, name, Some(&gate)));
        Self {
            scratch,
            node,
            app,
            runtimes,
        }
    }

    fn archive(&self) -> String {
        format!("docker-archive:{}", self.scratch.join("app.tar").display())
    }

    /// The app's files in a plain directory, said by config.toml to be the app.
    fn declared(&self, name: &str) -> Bundle {
        let bundle = Bundle::unpacked(&self.scratch.join(name), &self.app);
        self.declare(&[&bundle]);
        bundle
    }

    fn declare(&self, bundles: &[&Bundle]) {
        let lines = bundles.iter().map(|bundle| bundle.declared(&self.app.id()));
        self.node.configure(&lines.collect::<String>());
        self.node.apply();
    }

    #[track_caller]
    fn refused(&self, ran: Ran, code: &str) -> Value {
        let said = ran.clone().failed();
        assert!(said.contains(&format!("({code})")), "{ran:?}");
        assert!(!said.contains(SAYS) && !said.contains(EVIL), "{ran:?}");
        let last = self.last();
        assert_eq!(
            (&last["verdict"], &last["code"]),
            (&json!("deny"), &json!(code))
        );
        last
    }

    #[track_caller]
    fn last(&self) -> Value {
        self.node.decisions().pop().expect("there is a decision")
    }
}

#[test]
fn a_declared_bundle_goes_through_the_ledger_like_any_image() {
    let stage = Stage::new("bundle-ledger");
    let bundle = stage.declared("bundle");
    for runtime in &stage.runtimes {
        let last = stage.refused(runtime.run(&bundle, "none"), "unknown");
        assert_eq!(last["config"], json!(stage.app.id()));
    }
    stage.node.notarize(&stage.archive());
    for runtime in &stage.runtimes {
        assert_eq!(runtime.run(&bundle, "trusted").ok(), SAYS);
        let last = stage.last();
        assert_eq!(
            [
                &last["verdict"],
                &last["code"],
                &last["engine"],
                &last["config"]
            ],
            [
                &json!("allow"),
                &json!("trusted"),
                &json!("bundle"),
                &json!(stage.app.id())
            ],
            "{last:#}"
        );
        assert_eq!(
            [&last["unbound"], &last["chain"]],
            [&json!(true), &Value::Null],
            "{last:#}"
        );
    }
    // Between create and start, too.
    let runc = &stage.runtimes[0];
    runc.create(&bundle, "kept");
    stage.node.vcn(&["untrust", &stage.archive()]).ok();
    stage.node.sync();
    stage.refused(runc.call(&["start", "kept"]), "untrusted");
    runc.call(&["delete", "--force", "kept"]).ok();
    for runtime in &stage.runtimes {
        stage.refused(runtime.run(&bundle, "withdrawn"), "untrusted");
    }
    let said = stage.node.vcn(&["explain", "withdrawn"]).ok();
    assert!(
        said.contains("UNTRUSTED") && said.contains("unbound"),
        "{said}"
    );
}

#[test]
fn create_and_start_by_hand_run_what_was_declared() {
    let stage = Stage::new("bundle-start");
    let bundle = stage.declared("bundle");
    stage.node.notarize(&stage.archive());
    for runtime in &stage.runtimes {
        runtime.create(&bundle, "two");
        runtime.call(&["start", "two"]).ok();
        runtime.call(&["delete", "--force", "two"]).ok();
        let verbs: Vec<_> = stage
            .node
            .decisions()
            .iter()
            .rev()
            .take(2)
            .map(|last| (last["verb"].clone(), last["verdict"].clone()))
            .collect();
        assert_eq!(
            verbs,
            [
                (json!("start"), json!("allow")),
                (json!("create"), json!("allow"))
            ]
        );
    }
}

#[test]
fn a_bundle_that_nobody_declared_has_no_identity() {
    let stage = Stage::new("bundle-undeclared");
    let bundle = stage.declared("bundle");
    let other = Bundle::unpacked(&stage.scratch.join("other"), &stage.app);
    stage.node.notarize(&stage.archive());
    for runtime in &stage.runtimes {
        stage.refused(runtime.run(&other, "other"), "no-identity");
        assert_eq!(runtime.run(&bundle, "declared").ok(), SAYS);
    }
}

#[test]
fn a_config_that_was_notarized_without_its_bytes_starts_no_bundle() {
    let stage = Stage::new("bundle-hash");
    let bundle = stage.declared("bundle");
    let hash = stage.app.id();
    stage
        .node
        .vcn(&[
            "notarize",
            "--hash",
            hash.trim_start_matches("sha256:"),
            "--name",
            "app",
        ])
        .ok();
    stage.node.sync();
    stage.refused(stage.runtimes[0].run(&bundle, "bare"), "chain-mismatch");
}

#[test]
fn root_alone_may_be_able_to_write_a_declared_bundle() {
    let stage = Stage::new("bundle-owner");
    let bundle = stage.declared("bundle");
    stage.node.notarize(&stage.archive());
    let config = bundle.path.join("config.json");
    let mode =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (path, good) in [
        (&bundle.path, 0o755),
        (&bundle.rootfs(), 0o755),
        (&config, 0o644),
    ] {
        let start = || stage.runtimes[0].run(&bundle, "owned");
        mode(path, 0o777);
        let said = stage.refused(start(), "no-identity");
        assert!(
            said["detail"]
                .as_str()
                .unwrap()
                .contains("not root's alone"),
            "{said:#}"
        );
        mode(path, good);
        chown(path, Some(65534), None).unwrap();
        stage.refused(start(), "no-identity");
        chown(path, Some(0), None).unwrap();
        assert_eq!(start().ok(), SAYS, "{}", path.display());
    }
}

#[test]
fn a_symlink_leads_to_a_bundle_only_if_it_is_roots() {
    let stage = Stage::new("bundle-symlink");
    let bundle = stage.declared("bundle");
    stage.node.notarize(&stage.archive());
    let runc = &stage.runtimes[0];
    let link = stage.scratch.join("link");
    symlink(&bundle.path, &link).unwrap();
    let through = Bundle { path: link };
    assert_eq!(runc.run(&through, "roots").ok(), SAYS);

    let open = stage.scratch.folder("open");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    symlink(&bundle.path, open.join("link")).unwrap();
    let through = Bundle {
        path: open.join("link"),
    };
    stage.refused(runc.run(&through, "others"), "no-identity");

    // The root file system is where config.json says, and not where a symlink there leads.
    let (rootfs, moved) = (bundle.rootfs(), bundle.path.join("moved"));
    fs::rename(&rootfs, &moved).unwrap();
    symlink(&moved, &rootfs).unwrap();
    stage.refused(runc.run(&bundle, "linked"), "no-identity");
}

#[test]
fn no_container_may_write_a_declared_bundle() {
    let stage = Stage::new("bundle-guarded");
    let bundle = stage.declared("bundle");
    let other = Bundle::unpacked(&stage.scratch.join("other"), &stage.app);
    stage.declare(&[&bundle, &other]);
    stage.node.notarize(&stage.archive());
    let bind = |source: &Path, options: &[&str]| json!({"destination": "/data", "type": "bind", "source": source, "options": options});
    let before = fs::read(other.path.join("config.json")).unwrap();
    for (source, options, refused) in [
        (bundle.rootfs(), &["rbind", "rw"][..], true),
        (bundle.path.clone(), &["rbind", "rw"], true),
        (bundle.path.clone(), &["rbind", "rro"], false),
    ] {
        fs::write(other.path.join("config.json"), &before).unwrap();
        other.edit(|spec| {
            spec["mounts"]
                .as_array_mut()
                .unwrap()
                .push(bind(&source, options));
        });
        let ran = stage.runtimes[0].run(&other, "writer");
        if refused {
            stage.refused(ran, "mount-of-state");
        } else {
            // Debian's runc may know no such option; the gate does not mind.
            assert_eq!(stage.last()["verdict"], "allow", "{ran:?}");
        }
    }
}

#[test]
fn an_overlay_of_dockers_layers_is_bound_to_its_image() {
    let scratch = Scratch::new("bundle-daemon");
    let daemon = Daemon::start(&scratch);
    let stage = Stage::with("bundle-docker", Some(&daemon));
    stage.app.load(&daemon);
    let other = Image::saying("other:1", EVIL);
    other.load(&daemon);
    let bundle = Bundle::empty(&stage.scratch.join("bundle"));
    stage.declare(&[&bundle]);
    stage.node.notarize(&stage.archive());
    let [app, evil] = ["app:1", "other:1"].map(|tag| layers(&daemon, tag));
    for runtime in &stage.runtimes {
        bundle.mount(&app);
        assert_eq!(runtime.run(&bundle, "bound").ok(), SAYS);
        let last = stage.last();
        assert_eq!(
            [&last["engine"], &last["chain"], &last["unbound"]],
            [&json!("bundle"), &json!(stage.app.chain()), &Value::Null],
            "{last:#}"
        );
        // The mount points of its last run are explained, and nothing else in there is.
        assert_eq!(runtime.run(&bundle, "again").ok(), SAYS);
        fs::create_dir_all(bundle.upper().join("bin")).unwrap();
        fs::write(
            bundle.upper().join("bin/app"),
            format!("#!/bin/sh\necho {EVIL}\n"),
        )
        .unwrap();
        stage.refused(runtime.run(&bundle, "prefilled"), "upper-not-pristine");
        bundle.unmount();

        let swapped: Vec<_> = [&evil[..1], &app[1..]].concat();
        for lowers in [
            evil.clone(),
            app[1..].to_vec(),
            swapped,
            [&evil[..1], &app].concat(),
        ] {
            bundle.mount(&lowers);
            stage.refused(runtime.run(&bundle, "swapped"), "unbound");
            bundle.unmount();
        }
    }
}

#[test]
fn an_overlay_of_containerds_snapshots_is_bound_to_its_image() {
    let stage = Stage::new("bundle-ctr");
    let root = stage.scratch.join("containerd");
    let containerd = Containerd::start(&stage.scratch, &root);
    let archive = stage.scratch.join("app.tar");
    containerd.ctr(&["images", "import", archive.to_str().unwrap()]);
    containerd.ctr(&["snapshots", "prepare", "mine", &stage.app.chain()]);
    let lowers = containerd.ctr(&["snapshots", "mounts", "/none", "mine"]);
    let lowers = lowers.split("lowerdir=").nth(1).unwrap();
    let lowers: Vec<PathBuf> = lowers.trim().split(':').map(PathBuf::from).collect();

    let bundle = Bundle::empty(&stage.scratch.join("bundle"));
    let said = bundle.declared(&stage.app.id());
    // The node's own configuration ends within the section of engines.
    stage.node.configure("");
    let mut text = fs::read_to_string(stage.node.config()).unwrap();
    text.push_str(&format!("containerd_roots = [{root:?}]\n{said}"));
    fs::write(stage.node.config(), text).unwrap();
    stage.node.apply();
    stage.node.notarize(&stage.archive());
    let runc = &stage.runtimes[0];
    bundle.mount(&lowers);
    assert_eq!(runc.run(&bundle, "bound").ok(), SAYS);
    let last = stage.last();
    assert_eq!(
        [&last["chain"], &last["unbound"]],
        [&json!(stage.app.chain()), &Value::Null],
        "{last:#}"
    );
    bundle.unmount();
    for lowers in [&lowers[1..], &[&lowers[1..], &lowers[..1]].concat()] {
        bundle.mount(lowers);
        stage.refused(runc.run(&bundle, "swapped"), "unbound");
        bundle.unmount();
    }
}

/// A containerd of its own, without Docker.
struct Containerd {
    socket: String,
}

impl Containerd {
    fn start(scratch: &Scratch, root: &Path) -> Self {
        let at = |name: &str| scratch.join(name).display().to_string();
        let config = at("containerd.toml");
        let socket = at("c.sock");
        let text = format!(
            "version = 2\nroot = {root:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {socket:?}\n",
            at("containerd-state")
        );
        fs::write(&config, text).unwrap();
        let child = Command::new(program("containerd"))
            .args(["-c", &config])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        scratch.adopt("containerd", child);
        let begun = Instant::now();
        while !sh(program("ctr"), &["-a", &socket, "version"]).code.eq(&0) {
            assert!(begun.elapsed() < Duration::from_secs(30), "no containerd");
        }
        Self { socket }
    }

    #[track_caller]
    fn ctr(&self, words: &[&str]) -> String {
        sh(program("ctr"), &[&["-a", &self.socket], words].concat()).ok()
    }
}

#[test]
fn an_overlay_of_nobodys_layers_is_unbound_and_its_upper_layer_must_be_pristine() {
    let stage = Stage::new("bundle-overlay");
    let bundle = Bundle::empty(&stage.scratch.join("bundle"));
    stage.declare(&[&bundle]);
    stage.node.notarize(&stage.archive());
    let lower = stage.scratch.join("lower");
    support::bundle::unpack(&stage.app, &lower);
    bundle.mount(std::slice::from_ref(&lower));
    for runtime in &stage.runtimes {
        assert_eq!(runtime.run(&bundle, "loose").ok(), SAYS);
        assert_eq!(stage.last()["unbound"], json!(true));
    }
    fs::create_dir_all(bundle.upper().join("bin")).unwrap();
    fs::write(bundle.upper().join("bin/new"), EVIL).unwrap();
    for runtime in &stage.runtimes {
        stage.refused(runtime.run(&bundle, "prefilled"), "upper-not-pristine");
    }
    bundle.unmount();
    fs::set_permissions(&lower, fs::Permissions::from_mode(0o777)).unwrap();
    bundle.mount(&[lower]);
    stage.refused(stage.runtimes[0].run(&bundle, "open"), "no-identity");
}

/// The directories of an image's layers, topmost first.
fn layers(daemon: &Daemon, tag: &str) -> Vec<PathBuf> {
    let format = "{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}";
    let said = daemon
        .docker(&["image", "inspect", "--format", format, tag])
        .ok();
    said.split(':').map(PathBuf::from).collect()
}
