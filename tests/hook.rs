//! The gate as an OCI hook: called by Debian's runc and crun at both stages that run before any code
//! of the image.

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
use std::path::{Path, PathBuf};
use support::binary;
use support::bundle::{Bundle, Runtime, unpack};
use support::command::{Ran, run, run_with};
use support::image::{EVIL, Image, SAYS};
use support::node::Node;
use support::podman::{Podman, RUNTIMES};
use support::scratch::Scratch;

const STAGES: [&str; 2] = ["prestart", "createRuntime"];

/// A node and both runtimes, with no gate in front of them.
struct Stage {
    scratch: Scratch,
    node: Node,
    app: Image,
    runtimes: [(&'static str, Runtime); 2],
}

impl Stage {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let node = Node::new(&scratch, "node", None);
        let app = Image::app("app:1");
        fs::write(scratch.join("app.tar"), app.archive()).unwrap();
        let runtimes = ["runc", "crun"].map(|name| (name, Runtime::new(&scratch, name, None)));
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

    /// The app on an overlay of its files with a new upper layer, declared, with our hook at these stages.
    fn bundle(&self, name: &str, stages: &[&str]) -> Bundle {
        let bundle = Bundle::empty(&self.scratch.join(name));
        let lower = self.scratch.join("lower");
        if !lower.exists() {
            unpack(&self.app, &lower);
        }
        bundle.mount(&[lower]);
        self.declare(&bundle);
        bundle.edit(|spec| {
            for stage in stages {
                spec["hooks"][stage] = json!([self.hook()]);
            }
        });
        bundle
    }

    fn declare(&self, bundle: &Bundle) {
        self.node.configure(&bundle.declared(&self.app.id()));
        self.node.apply();
    }

    fn hook(&self) -> Value {
        let config = self.node.config();
        json!({"path": binary(), "args": ["vcn-hook", "-c", config, "hook"]})
    }

    fn notarize(&self) {
        self.node.notarize(&self.archive());
    }

    #[track_caller]
    fn last(&self) -> Value {
        self.node.decisions().pop().expect("there is a decision")
    }

    /// Nothing ran, the hook's decision is on record, and `explain` tells it, whatever the runtime showed.
    #[track_caller]
    fn refused(&self, name: &str, ran: Ran, id: &str, code: &str) {
        let said = ran.clone().failed();
        assert!(!said.contains(SAYS) && !said.contains(EVIL), "{ran:?}");
        let last = self.last();
        assert_eq!(
            [
                &last["verdict"],
                &last["code"],
                &last["verb"],
                &last["container"]["id"]
            ],
            [&json!("deny"), &json!(code), &json!("hook"), &json!(id)],
            "{last:#}\n{ran:?}"
        );
        // crun drops what its hooks say.
        assert_eq!(
            said.contains(&format!("({code})")),
            name == "runc",
            "{ran:?}"
        );
        let told = self.node.vcn(&["explain", id]).ok();
        assert!(
            told.contains(&format!("({code})")) && told.contains("refused"),
            "{told}"
        );
    }

    /// What the hook says to this state.
    fn ask(&self, state: &[u8]) -> Ran {
        run_with(self.node.command(&["hook"]), state)
    }
}

#[test]
fn at_either_stage_of_either_runtime_the_ledger_decides() {
    let stage = Stage::new("hook-stages");
    for (name, runtime) in &stage.runtimes {
        for hooked in STAGES {
            let id = format!("{name}-{hooked}");
            let bundle = stage.bundle(&id, &[hooked]);
            if stage.node.decisions().is_empty() {
                stage.refused(name, runtime.run(&bundle, &id), &id, "unknown");
                stage.notarize();
            }
            assert_eq!(runtime.run(&bundle, &id).ok(), SAYS, "{id}");
            let last = stage.last();
            assert_eq!(
                [
                    &last["verdict"],
                    &last["code"],
                    &last["verb"],
                    &last["config"]
                ],
                [
                    &json!("allow"),
                    &json!("trusted"),
                    &json!("hook"),
                    &json!(stage.app.id())
                ],
                "{last:#}"
            );
        }
    }
    let kept = stage
        .runtimes
        .each_ref()
        .map(|(name, _)| stage.bundle(&format!("{name}-kept"), &STAGES[1..]));
    stage.node.vcn(&["untrust", &stage.archive()]).ok();
    stage.node.sync();
    for ((name, runtime), bundle) in stage.runtimes.iter().zip(kept) {
        stage.declare(&bundle);
        let id = format!("{name}-withdrawn");
        stage.refused(name, runtime.run(&bundle, &id), &id, "untrusted");
    }
}

#[test]
fn a_hook_at_both_stages_or_behind_a_gate_makes_one_record_of_one_start() {
    let stage = Stage::new("hook-twice");
    stage.notarize();
    let config = stage.node.config();
    for (name, alone) in &stage.runtimes {
        let gated = Runtime::new(&stage.scratch, name, Some(&config));
        for (runtime, stages, verb) in [
            (alone, &STAGES[..], "hook"),
            (&gated, &STAGES[1..], "run"),
            (&gated, &STAGES[..], "run"),
        ] {
            let bundle = stage.bundle(&format!("{name}-{verb}-{}", stages.len()), stages);
            let before = stage.node.decisions().len();
            for start in 1..=2 {
                assert_eq!(runtime.run(&bundle, "same").ok(), SAYS);
                let decisions = stage.node.decisions();
                assert_eq!(decisions.len(), before + start, "{name} {verb} {stages:?}");
                assert_eq!(decisions.last().unwrap()["verb"], verb);
            }
        }
        // Created and started, each gate has its say once.
        let bundle = stage.bundle(&format!("{name}-create"), &STAGES[1..]);
        let before = stage.node.decisions().len();
        gated.create(&bundle, "two");
        gated.call(&["start", "two"]).ok();
        gated.call(&["delete", "--force", "two"]).ok();
        let verbs: Vec<_> = stage.node.decisions()[before..]
            .iter()
            .map(|d| d["verb"].clone())
            .collect();
        assert_eq!(verbs, ["create", "start"], "{name}");
    }
}

#[test]
fn what_the_second_gate_alone_refuses_is_on_record() {
    let stage = Stage::new("hook-second");
    stage.notarize();
    let config = stage.node.config();
    for (name, _) in &stage.runtimes {
        let gated = Runtime::new(&stage.scratch, name, Some(&config));
        let bundle = stage.bundle(&format!("{name}-changed"), &[]);
        // Between the two gates, somebody puts a file into the upper layer.
        let upper = bundle.upper();
        let put = format!(
            "mkdir -p {0}/etc; echo {EVIL} > {0}/etc/evil",
            upper.display()
        );
        let meanwhile = json!({"path": "/bin/sh", "args": ["sh", "-c", put]});
        bundle.edit(|spec| spec["hooks"]["createRuntime"] = json!([meanwhile, stage.hook()]));
        let before = stage.node.decisions().len();
        let ran = gated.run(&bundle, "changed");
        stage.refused(name, ran, "changed", "upper-not-pristine");
        let codes: Vec<_> = stage.node.decisions()[before..]
            .iter()
            .map(|d| d["code"].clone())
            .collect();
        assert_eq!(codes, ["trusted", "upper-not-pristine"], "{name}");
    }
}

#[test]
fn in_audit_mode_the_hook_lets_everything_start_and_records_it_once() {
    let stage = Stage::new("hook-audit");
    let config = stage.node.config();
    for (name, alone) in &stage.runtimes {
        let bundle = stage.bundle(&format!("{name}-audit"), &STAGES);
        stage.node.configure(&format!(
            "mode = \"audit\"\n{}",
            bundle.declared(&stage.app.id())
        ));
        stage.node.apply();
        let gated = Runtime::new(&stage.scratch, name, Some(&config));
        for runtime in [alone, &gated] {
            let before = stage.node.decisions().len();
            assert_eq!(runtime.run(&bundle, "audited").ok(), SAYS);
            let decisions = stage.node.decisions();
            assert_eq!(decisions.len(), before + 1, "{name}");
            let last = decisions.last().unwrap();
            assert_eq!(
                [&last["verdict"], &last["would_deny"]],
                [&json!("warn"), &json!(true)]
            );
        }
    }
}

#[test]
fn once_the_runtime_began_only_mount_points_are_in_the_upper_layer() {
    let stage = Stage::new("hook-upper");
    stage.notarize();
    fs::write(stage.scratch.join("file"), "x").unwrap();
    let file = stage.scratch.join("file");
    let bind = |destination: &str| json!({"destination": destination, "type": "bind", "source": file, "options": ["bind", "ro"]});
    for (name, runtime) in &stage.runtimes {
        let bundle = stage.bundle(&format!("{name}-points"), &STAGES[1..]);
        bundle.edit(|spec| {
            let mounts = spec["mounts"].as_array_mut().unwrap();
            mounts.push(bind("/new/deep/file"));
            mounts.push(json!({"destination": "/scratch", "type": "tmpfs", "source": "tmpfs"}));
        });
        assert_eq!(runtime.run(&bundle, "points").ok(), SAYS, "{name}");
        let made = bundle.upper().join("new/deep/file");
        assert_eq!(
            fs::metadata(&made).unwrap().len(),
            0,
            "the runtime made the mount point"
        );
        for (path, content) in [
            ("new/deep/other", ""),
            ("new/deep/file", "x"),
            ("bin/app", EVIL),
            ("tmp/x", ""),
        ] {
            let path = bundle.upper().join(path);
            let before = fs::read(&path).ok();
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            stage.refused(
                name,
                runtime.run(&bundle, "filled"),
                "filled",
                "upper-not-pristine",
            );
            match before {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
        }
    }
}

#[test]
fn the_mounts_that_the_container_has_are_judged() {
    let stage = Stage::new("hook-mounts");
    stage.notarize();
    let evil = stage.scratch.folder("evil");
    fs::write(evil.join("app"), format!("#!/bin/sh\necho {EVIL}\n")).unwrap();
    let state = stage.node.state();
    let bind = |source: &Path, destination: &str, options: &[&str]| json!({"destination": destination, "type": "bind", "source": source, "options": options});
    for (name, runtime) in &stage.runtimes {
        for (what, mount, code) in [
            (
                "over-code",
                bind(&evil, "/usr/bin", &["rbind", "ro"]),
                Some("mount-over-code"),
            ),
            (
                "state",
                bind(&state, "/data", &["rbind", "rw"]),
                Some("mount-of-state"),
            ),
            // crun makes it read-only when its hooks have run.
            ("read-only", bind(&state, "/data", &["bind", "ro"]), None),
        ] {
            let id = format!("{name}-{what}");
            let bundle = stage.bundle(&id, &STAGES[1..]);
            bundle.edit(|spec| spec["mounts"].as_array_mut().unwrap().push(mount));
            let ran = runtime.run(&bundle, &id);
            match code {
                Some(code) => stage.refused(name, ran, &id, code),
                None => assert_eq!(ran.ok(), SAYS, "{:#}", stage.last()),
            }
        }
    }
}

#[test]
fn a_hook_that_is_missing_lets_nothing_start() {
    let stage = Stage::new("hook-missing");
    stage.notarize();
    for (name, runtime) in &stage.runtimes {
        let bundle = stage.bundle(&format!("{name}-missing"), &[]);
        let missing = json!([{"path": stage.scratch.join("none"), "args": ["vcn-hook", "hook"]}]);
        bundle.edit(|spec| spec["hooks"]["createRuntime"] = missing);
        let said = runtime.run(&bundle, "missing").failed();
        assert!(!said.contains(SAYS), "{said}");
    }
}

#[test]
fn a_hook_at_a_stage_that_is_too_late_refuses() {
    let stage = Stage::new("hook-late");
    stage.notarize();
    let (_, runc) = &stage.runtimes[0];
    for late in ["createContainer", "poststart"] {
        let bundle = stage.bundle(late, &[late]);
        runc.run(&bundle, late).failed();
        assert_eq!(stage.last()["code"], "unreadable", "{late}");
    }
}

#[test]
fn a_node_without_gate_bin_refuses() {
    let stage = Stage::new("hook-no-gate");
    stage.notarize();
    for (name, runtime) in &stage.runtimes {
        let bundle = stage.bundle(&format!("{name}-bare"), &STAGES[1..]);
        fs::remove_file(stage.node.state().join("gate.bin")).unwrap();
        let said = runtime.run(&bundle, "bare").failed();
        assert!(!said.contains(SAYS), "{said}");
        assert_eq!(said.contains("(configuration)"), *name == "runc", "{said}");
    }
}

#[test]
fn a_hostile_state_is_refused_with_a_reason() {
    let stage = Stage::new("hook-hostile");
    stage.notarize();
    let bundle = stage.bundle("bundle", &STAGES[1..]);
    let own = std::process::id();
    let state = |change: &dyn Fn(&mut Value)| {
        let mut state = json!({"ociVersion": "1.0", "id": "hostile", "status": "creating", "pid": own, "bundle": bundle.path});
        change(&mut state);
        serde_json::to_vec(&state).unwrap()
    };
    let mut oversized = state(&|_| {});
    oversized.resize(5 << 20, b' ');
    let named = br#"{"id":"a","id":"b","status":"created","pid":1,"bundle":"/"}"#.to_vec();
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("no JSON", b"\xff\xfe{".to_vec()),
        ("too long", oversized),
        ("twice", named),
        (
            "deep",
            [b"[".repeat(100_000), b"]".repeat(100_000)].concat(),
        ),
        (
            "no pid",
            state(&|state| drop(state.as_object_mut().unwrap().remove("pid"))),
        ),
        ("pid 0", state(&|state| state["pid"] = 0.into())),
        (
            "a pid of nobody",
            state(&|state| state["pid"] = 2_000_000_000.into()),
        ),
        (
            "running",
            state(&|state| state["status"] = "running".into()),
        ),
        (
            "no bundle",
            state(&|state| state["bundle"] = "/none".into()),
        ),
        (
            "a relative bundle",
            state(&|state| state["bundle"] = "bundle".into()),
        ),
        (
            "an id that is a path",
            state(&|state| state["id"] = "../../x".into()),
        ),
        // A process of the host has the overlay mounted too, and is not that container.
        ("another process", state(&|_| {})),
        ("the first process", state(&|state| state["pid"] = 1.into())),
    ] {
        let before = stage.node.decisions().len();
        let ran = stage.ask(&bytes).exits(1);
        assert_eq!(ran.out, "", "{what}: {ran:?}");
        assert!(
            ran.err.contains("(unreadable)") && ran.err.lines().count() == 1,
            "{what}: {ran:?}"
        );
        let decisions = stage.node.decisions();
        assert_eq!(decisions.len(), before + 1, "{what}");
        assert_eq!(decisions[before]["verdict"], "deny", "{what}");
    }
    let mut command = stage.node.command(&["hook", "now"]);
    command.current_dir("/");
    assert!(run(command).exits(1).err.contains("(argv)"));
}

#[test]
fn a_container_cannot_be_judged_as_another_bundle() {
    let stage = Stage::new("hook-other");
    stage.notarize();
    let good = stage.bundle("good", &[]);
    let evil = Bundle::unpacked(&stage.scratch.join("evil"), &Image::saying("evil:1", EVIL));
    let config = stage.node.config();
    let forged = format!(
        "sed 's,\"bundle\": *\"[^\"]*\",\"bundle\":\"{}\",' | exec {} -c {} hook",
        good.str(),
        binary().display(),
        config.display()
    );
    for (name, runtime) in &stage.runtimes {
        evil.edit(|spec| spec["hooks"] = json!({}));
        assert_eq!(runtime.run(&evil, "ungated").ok(), EVIL);
        evil.edit(|spec| {
            spec["hooks"]["createRuntime"] =
                json!([{"path": "/bin/sh", "args": ["sh", "-c", forged]}]);
        });
        stage.refused(name, runtime.run(&evil, "forged"), "forged", "unreadable");
        // A label that is spelled like runc's own.
        evil.edit(|spec| {
            spec["annotations"] = json!({"bundle": good.path});
            spec["hooks"]["createRuntime"] = json!([stage.hook()]);
        });
        stage.refused(
            name,
            runtime.run(&evil, "labelled"),
            "labelled",
            "no-identity",
        );
    }
}

#[test]
fn the_shipped_example_is_a_hook_that_podman_and_the_runtimes_take() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks/50-vcn-hook.json");
    let shipped: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(shipped["version"], "1.0.0");
    assert_eq!(shipped["stages"], json!(["createRuntime"]));
    assert_eq!(shipped["when"], json!({"always": true}));
    assert_eq!(shipped["hook"]["args"], json!(["vcn-hook", "hook"]));
    let hook = PathBuf::from(shipped["hook"]["path"].as_str().unwrap());
    assert!(hook.is_absolute());
    // As it stands in a configuration of runc's, with this test's node in place of the system's.
    let stage = Stage::new("hook-shipped");
    stage.notarize();
    let bundle = stage.bundle("shipped", &[]);
    let mut hook = shipped["hook"].clone();
    hook["path"] = json!(binary());
    hook["args"] = json!(["vcn-hook", "-c", stage.node.config(), "hook"]);
    bundle.edit(|spec| spec["hooks"]["createRuntime"] = json!([hook]));
    for (_, runtime) in &stage.runtimes {
        assert_eq!(runtime.run(&bundle, "shipped").ok(), SAYS);
        assert_eq!(stage.last()["verb"], "hook");
    }
}

/// Podman with our hook in a hooks.d of its own, on each runtime.
#[test]
fn in_podmans_hooks_d_the_ledger_decides() {
    let scratch = Scratch::new("pod");
    let podman = Podman::new(&scratch);
    let app = Image::app("localhost/app:1");
    let stranger = Image::saying("localhost/stranger:1", EVIL);
    podman.load(&app);
    podman.load(&stranger);
    let node = Node::of_podman(&scratch, "node", &podman);
    node.notarize("podman://app:1");
    let hooks = scratch.folder("hooks.d");
    let shipped = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks/50-vcn-hook.json"));
    let mut hook: Value = serde_json::from_slice(&shipped.unwrap()).unwrap();
    hook["hook"]["path"] = json!(binary());
    hook["hook"]["args"] = json!(["vcn-hook", "-c", node.config(), "hook"]);
    let file = hooks.join("50-vcn-hook.json");
    fs::write(&file, serde_json::to_vec(&hook).unwrap()).unwrap();
    let hooks = hooks.to_str().unwrap();
    for name in RUNTIMES {
        podman.ungated();
        let podman = podman.on(name);
        let hooked = |args: &[&str]| podman.podman(&[&["--hooks-dir", hooks], args].concat());
        let last = || node.decisions().pop().expect("there is a decision");

        assert_eq!(hooked(&["run", "--rm", "app:1"]).ok(), SAYS);
        let allowed = last();
        assert_eq!(
            [
                &allowed["verdict"],
                &allowed["verb"],
                &allowed["engine"],
                &allowed["config"]
            ],
            [
                &json!("allow"),
                &json!("hook"),
                &json!("podman"),
                &json!(app.id())
            ],
            "{allowed:#}"
        );

        let ran = hooked(&["run", "--name", "foreign", "stranger:1"]);
        let said = ran.clone().failed();
        assert!(!said.contains(EVIL), "{ran:?}");
        assert_eq!(said.contains("(unknown)"), name == "runc", "{ran:?}");
        assert_eq!(
            [&last()["code"], &last()["config"]],
            [&json!("unknown"), &json!(stranger.id())]
        );
        let told = node.vcn(&["explain", "foreign"]).ok();
        assert!(
            told.contains("(unknown)") && told.contains("refused"),
            "{told}"
        );

        let id = hooked(&["create", "app:1"]).ok();
        hooked(&[
            "cp",
            scratch.join("node/etc/config.toml").to_str().unwrap(),
            &format!("{id}:/bin/app"),
        ])
        .ok();
        hooked(&["start", "-a", &id]).failed();
        assert_eq!(last()["code"], "upper-not-pristine", "{:#}", last());

        // Behind the runtime entrance, the two make one record of what they both see.
        podman.gated_by(&node.config());
        let before = node.decisions().len();
        assert_eq!(hooked(&["run", "--rm", "app:1"]).ok(), SAYS);
        let verbs: Vec<_> = node.decisions()[before..]
            .iter()
            .map(|d| d["verb"].clone())
            .collect();
        assert_eq!(verbs, ["create", "start"]);
        podman.ungated();
        podman.clear();
    }

    // What SECURITY.md says of hooks.d: without its program, Podman starts what it likes.
    hook["hook"]["path"] = json!(scratch.join("none"));
    fs::write(&file, serde_json::to_vec(&hook).unwrap()).unwrap();
    let open = podman.podman(&["--hooks-dir", hooks, "run", "--rm", "stranger:1"]);
    assert_eq!(open.ok(), EVIL);
}
