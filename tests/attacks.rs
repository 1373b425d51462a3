//! Every attack under `tests/attacks/`, each first shown to succeed.
//!
//! One folder per attack: `attack.sh` does it as an attacker would, and
//! `expect.toml` says what it is, which rule is meant to stop it, and the
//! reason code of the refusal. It runs twice on a fresh copy of the same node:
//! with that one rule off (or, where a rule cannot be turned off, without the
//! gate), where foreign code must run; then as shipped, where it must not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

#[path = "attacks/forge.rs"]
mod forge;
mod support;

use serde::Deserialize;
use serde_json::json;
use std::cell::OnceCell;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::binary;
use support::bundle::{Bundle, runtime, unpack};
use support::command::{Ran, command, run, sh};
use support::daemon::Daemon;
use support::image::{EVIL, Image, Node as Entry, script};
use support::node::Node;
use support::podman::Podman;
use support::scratch::Scratch;

/// What `expect.toml` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    /// What the attacker gains.
    what: String,
    /// How.
    how: String,
    /// The rule that stops it.
    rule: String,
    /// The reason code of the refusal.
    code: String,
    /// How the rule is turned off: `ungated`, `script` (the attack does it itself), or settings.
    off: String,
    /// Settings under which the rule is in force, where the standard profile does not have it.
    #[serde(default)]
    config: String,
    /// What must be forged with the ledger's own code beforehand.
    #[serde(default)]
    prepare: String,
    /// `bundle`, where the attack needs a bundle of its own; `declared`, where root says that a bundle of
    /// its own is `app:1`; `hook`, where a hook is the only gate in front of the latter; `podman`, where it
    /// takes place there.
    #[serde(default)]
    needs: String,
    /// Whether the refusal is on record: not where nothing says any more where records go.
    #[serde(default = "yes")]
    recorded: bool,
    /// What else the refusal must say.
    #[serde(default)]
    says: String,
}

fn yes() -> bool {
    true
}

#[test]
fn every_attack_succeeds_without_its_rule_and_is_refused_with_it() {
    let attacks = attacks();
    let narrowed = std::env::var_os("VCN_HOOK_ATTACK").is_some();
    assert!(narrowed || attacks.len() >= 40, "{} attacks", attacks.len());
    let range = Range::new();
    let mut lost = Vec::new();
    for (name, expect) in &attacks {
        let failures = range.try_attack(name, expect);
        if failures.is_empty() {
            say(&format!("attack {name}: refused ({})", expect.code));
        } else {
            say(&format!(
                "attack {name}: NOT AS EXPECTED\n{}",
                failures.join("\n")
            ));
            lost.push(name.as_str());
        }
    }
    say(&format!(
        "{} attacks, {} of them shown to succeed and then refused with their own reason",
        attacks.len(),
        attacks.len() - lost.len()
    ));
    assert_eq!(lost, Vec::<&str>::new());
}

/// Past the capture of the test runner: the count is to be seen when all is well, too.
fn say(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// The attacks, in the order of their names; `VCN_HOOK_ATTACK` narrows them while one is worked on.
fn attacks() -> Vec<(String, Expect)> {
    let only = std::env::var("VCN_HOOK_ATTACK").unwrap_or_default();
    let mut found: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| {
            let text = fs::read_to_string(path.join("expect.toml")).unwrap();
            let expect: Expect =
                toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let words = [
                &expect.what,
                &expect.how,
                &expect.rule,
                &expect.code,
                &expect.off,
            ];
            assert!(
                words.iter().all(|word| !word.is_empty()),
                "{}",
                path.display()
            );
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                expect,
            )
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if !only.is_empty() {
        let names: Vec<_> = only.split(',').collect();
        found.retain(|(name, _)| names.contains(&name.as_str()));
    }
    found
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks")
}

/// Where attacks take place: a daemon, and a node that is put back before each.
struct Range {
    scratch: Scratch,
    daemon: Daemon,
    node: Node,
    images: Vec<Image>,
    /// Made for the first attack that needs it.
    podman: OnceCell<Podman>,
}

impl Range {
    fn new() -> Self {
        let scratch = Scratch::new("attacks");
        let daemon = Daemon::start(&scratch);
        let images = [
            Image::app("app:1"),
            dynamic("dyn:1"),
            Image::saying("stranger:1", EVIL),
            Image::saying("withdrawn:1", EVIL).with_layer(&[("data/old", script("old"))]),
            Image::app("app:1").with_other_config("other:1"),
        ];
        for image in &images {
            image.load(&daemon);
        }
        let node =
            Node::new(&scratch, "node", Some(&daemon)).with_storage(&Podman::root_in(&scratch));
        for tag in ["app:1", "dyn:1", "withdrawn:1"] {
            node.notarize(&format!("docker://{tag}"));
        }
        copy(
            &node.ledger(),
            &node.base().join("ledger-before-withdrawal"),
        );
        copy(
            &node.state().join("allowlist"),
            &node.base().join("before-withdrawal"),
        );
        node.vcn(&["untrust", "docker://withdrawn:1"]).ok();
        node.sync();
        copy(node.base(), &scratch.join("template"));
        foreign_code(&scratch.join("evil-bin"), &scratch.join("evil.so"));
        let evil = scratch.join("evil");
        fs::write(&evil, format!("#!/bin/sh\necho {EVIL}\n")).unwrap();
        fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            scratch,
            daemon,
            node,
            images: images.into(),
            podman: OnceCell::new(),
        }
    }

    /// What went otherwise than expected.
    fn try_attack(&self, name: &str, expect: &Expect) -> Vec<String> {
        let mut failures = Vec::new();
        let about = format!("{name}: {}, by {}", expect.what, expect.how);
        let off = self.attempt(name, expect, true);
        if !off.out.contains(EVIL) {
            failures.push(format!(
                "{about}: it did not succeed with the rule off ({})\n{off:?}",
                expect.rule
            ));
        }
        let on = self.attempt(name, expect, false);
        let last = self.node.decisions().pop().unwrap_or_default();
        let refused = !expect.recorded || last["verdict"] == "deny" && last["code"] == *expect.code;
        if on.out.contains(EVIL) {
            failures.push(format!("{about}: foreign code RAN\n{on:?}\n{last:#}"));
        } else if !refused
            || !on.err.contains(&format!("({})", expect.code))
            || !on.err.contains(&expect.says)
        {
            failures.push(format!(
                "{about}: refused, but not with '{}'\n{on:?}\n{last:#}",
                expect.code
            ));
        }
        failures
    }

    fn attempt(&self, name: &str, expect: &Expect, off: bool) -> Ran {
        self.reset();
        let settings = match expect.off.as_str() {
            "ungated" | "script" => &expect.config,
            settings if off => settings,
            _ => &expect.config,
        };
        let bundle = self.scratch.join("work/bundle");
        let declared = ["declared", "hook"].contains(&expect.needs.as_str());
        let said = match declared {
            true => format!(
                "[[bundle]]\npath = {bundle:?}\nconfig = \"{}\"\n",
                Image::app("app:1").id()
            ),
            false => String::new(),
        };
        if !settings.is_empty() || declared {
            self.node.configure(&format!("{settings}\n{said}"));
            self.node.apply();
        }
        forge::prepare(&expect.prepare, &self.node);
        let ungated = off && expect.off == "ungated";
        if !ungated {
            self.daemon.gated_by(&self.node.config());
        }
        let work = self.scratch.folder("work");
        let mut shell = command("/bin/sh", [folder().join(name).join("attack.sh")]);
        self.node.environment(&mut shell);
        shell
            .env("LIB", folder().join("lib.sh"))
            .env("DOCKER_HOST", self.daemon.host())
            .env("DOCKER_ROOT", self.daemon.root())
            .env("BEFORE", self.daemon.before())
            .env("NODE", self.node.base())
            .env("CONFIG", self.node.config())
            .env("STATE", self.node.state())
            .env("LEDGER", self.node.ledger())
            .env("VCN", binary())
            .env("EVIL", self.scratch.join("evil"))
            .env("EVIL_BIN", self.scratch.join("evil-bin"))
            .env("EVIL_SO", self.scratch.join("evil.so"))
            .env("MARK", EVIL)
            .env("OFF", if off { "1" } else { "" })
            .env("WORK", &work);
        if expect.needs == "podman" {
            let podman = self.podman();
            if !ungated {
                podman.gated_by(&self.node.config());
            }
            shell
                .env("PODMAN", podman.script(&work.join("podman")))
                .env("PODMAN_ROOT", podman.root())
                .env("BEFORE", podman.before());
        }
        if expect.needs == "bundle" {
            Bundle::unpacked(&work.join("bundle"), &Image::saying("bundle", EVIL));
            let gate = (!ungated).then(|| self.node.config());
            let script = |name| runtime(&work.join(name), name, &work, gate.as_deref());
            shell
                .env("BUNDLE", &bundle)
                .env("RUNC", script("runc"))
                .env("CRUN", script("crun"));
        }
        if declared {
            self.declared(&bundle, expect.needs == "hook", ungated, &mut shell);
        }
        run(shell)
    }

    /// A bundle of `app:1`'s files on an overlay, and the runtimes: with a hook in its config.json, or gated.
    fn declared(&self, path: &Path, hooked: bool, ungated: bool, shell: &mut Command) {
        let work = self.scratch.join("work");
        let bundle = Bundle::empty(path);
        unpack(&Image::app("app:1"), &work.join("lower"));
        bundle.mount(&[work.join("lower")]);
        let config = self.node.config();
        let hook = work.join("hook");
        let calls = match ungated {
            true => "true".to_owned(),
            false => format!("exec {} -c {} hook", binary().display(), config.display()),
        };
        fs::write(&hook, format!("#!/bin/sh\n{calls}\n")).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        if hooked {
            bundle.edit(|spec| spec["hooks"] = json!({"createRuntime": [{"path": hook}]}));
        }
        let gate = (!ungated && !hooked).then_some(config);
        let script = |name| runtime(&work.join(name), name, &work, gate.as_deref());
        shell
            .env("BUNDLE", path)
            .env("HOOK", &hook)
            .env("RUNC", script("runc"))
            .env("CRUN", script("crun"));
    }

    /// Podman with the same images, whose ids are the same.
    fn podman(&self) -> &Podman {
        self.podman.get_or_init(|| {
            let podman = Podman::new(&self.scratch);
            for image in &self.images {
                podman.load(image);
            }
            podman
        })
    }

    /// Puts everything back as it was.
    fn reset(&self) {
        let mounted = self.scratch.join("work/bundle/rootfs");
        while run(command("umount", [&mounted])).code == 0 {}
        self.daemon.ungated();
        self.daemon.clear();
        let _ = fs::remove_dir_all(self.node.base());
        copy(&self.scratch.join("template"), self.node.base());
        let _ = fs::remove_dir_all(self.scratch.join("work"));
        for image in &self.images {
            self.daemon.docker(&["image", "inspect", &image.tag]).ok();
        }
        if let Some(podman) = self.podman.get() {
            podman.ungated();
            podman.clear();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    sh("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]).ok();
}

/// An image whose entry point is dynamically linked, with the libraries of this machine.
fn dynamic(tag: &str) -> Image {
    let mut files = vec![(
        "bin/greet".to_owned(),
        Entry::File(fs::read("/bin/echo").unwrap(), 0o755),
    )];
    for library in sh("ldd", &["/bin/echo"])
        .ok()
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let bytes = fs::read(library).unwrap();
        files.push((
            library.trim_start_matches('/').to_owned(),
            Entry::File(bytes, 0o755),
        ));
    }
    let files: Vec<_> = files
        .iter()
        .map(|(name, node)| (name.as_str(), node.clone()))
        .collect();
    let mut image = Image::app(tag).with_layer(&files);
    image.config["Entrypoint"] = serde_json::json!(["/bin/greet", "hello"]);
    image
}

/// Foreign code as a program that needs nothing, and as a library that runs as soon as it is loaded.
fn foreign_code(program: &Path, library: &Path) {
    let says = format!("if (write(1, \"{EVIL}\\n\", {})) {{}}", EVIL.len() + 1);
    let main = format!("#include <unistd.h>\nint main(void) {{ {says} return 0; }}\n");
    let load = format!(
        "#include <unistd.h>\n__attribute__((constructor)) static void f(void) {{ {says} }}\n"
    );
    for (kind, source, path) in [("-static", main, program), ("-shared", load, library)] {
        let mut compiler = command("cc", [kind, "-fPIC", "-x", "c", "-o"]);
        compiler.arg(path).arg("-");
        support::command::run_with(compiler, source.as_bytes()).ok();
    }
}
