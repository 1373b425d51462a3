//! A real container, held at the moment its engine calls the runtime.
//!
//! A private Docker daemon has its rootfs mounted and its bundle written; the
//! `runc` it calls notes the command line and waits. So the same `create` can
//! be judged thousands of times.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::race::Runner;
use crate::support::daemon::Daemon;
use crate::support::image::Image;
use crate::support::node::Node;
use crate::support::scratch::Scratch;
use crate::support::{binary, program};

/// The container, its daemon and the node that judges it.
pub struct Held {
    pub node: Node,
    pub id: String,
    arguments: Vec<String>,
    bundle: PathBuf,
    hold: PathBuf,
    client: Child,
    _daemon: Daemon,
    scratch: Scratch,
}

impl Held {
    /// Starts a daemon, notarizes an image of `layers` layers, and stops its start half-way.
    pub fn container(layers: usize) -> Self {
        let scratch = Scratch::new("bench");
        let daemon = Daemon::start(&scratch);
        let node = Node::new(&scratch, "node", Some(&daemon));
        let image = Image::app("bench:1").with_layers(layers);
        image.load(&daemon);
        node.notarize("docker://bench:1");
        let hold = scratch.folder("hold");
        let runc = scratch.join("docker/bin/runc");
        fs::write(&runc, holding_script(&hold)).unwrap();
        let id = daemon.create(&["--name", "held", "bench:1", "/bin/true"]);
        let client = Command::new(program("docker"))
            .args(["start", "held"])
            .env("DOCKER_HOST", daemon.host())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(&hold.join("argv"));
        let arguments = fs::read_to_string(hold.join("argv")).unwrap();
        let arguments = arguments.lines().map(str::to_owned).collect();
        let bundle = fs::read_to_string(hold.join("cwd")).unwrap().trim().into();
        Self {
            node,
            id,
            arguments,
            bundle,
            hold,
            client,
            _daemon: daemon,
            scratch,
        }
    }

    /// The gate on the very command that Docker typed, in front of a runtime that does nothing.
    pub fn gate(&self, empty: &Path) -> Runner {
        let mut runner = self.gated(empty, "create");
        runner
            .arguments
            .extend(self.arguments.iter().map(Into::into));
        runner.directory.clone_from(&self.bundle);
        runner
    }

    /// The gate in front of `runtime`, its own command line still to come. One at a time: its state is
    /// where a node's is, because engines call the gate without options.
    pub fn gated(&self, runtime: &Path, name: &str) -> Runner {
        let config = self.node.config().with_file_name(format!("{name}.toml"));
        let text = fs::read_to_string(self.node.config()).unwrap();
        let state = self.scratch.folder(&format!("state-{name}"));
        let lines = text.lines().map(|line| match line.split(" =").next() {
            Some("runc") => format!("runc = {runtime:?}"),
            Some("state_dir") => format!("state_dir = {state:?}"),
            _ => line.to_owned(),
        });
        fs::write(&config, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let copied = Command::new("cp")
            .arg("-a")
            .arg(self.node.state().join("."))
            .arg(&state)
            .status();
        assert!(copied.unwrap().success());
        let config = config.to_str().unwrap();
        let applied = Command::new(binary())
            .args(["-c", config, "apply"])
            .output();
        assert!(applied.unwrap().status.success());
        at_its_usual_place(&state);
        Runner::new(binary(), ["runtime", "--"])
    }

    /// A bundle on the held rootfs that a runtime can run to its end, again and again.
    pub fn bundle(&self, name: &str, hook: &Value) -> PathBuf {
        let bundle = self.scratch.folder(name);
        let bytes = fs::read(self.bundle.join("config.json")).unwrap();
        let mut spec: Value = serde_json::from_slice(&bytes).unwrap();
        let plain = ["/proc", "/dev", "/dev/pts", "/dev/mqueue"];
        let mounts = spec["mounts"].as_array().unwrap().iter();
        let mounts: Vec<Value> = mounts
            .filter(|mount| plain.contains(&mount["destination"].as_str().unwrap()))
            .cloned()
            .collect();
        spec["mounts"] = json!(mounts);
        spec["hooks"] = match hook {
            Value::Null => json!({}),
            hook => json!({"createRuntime": [hook]}),
        };
        spec["root"]["readonly"] = json!(true);
        spec["process"]["terminal"] = json!(false);
        let linux = spec["linux"].as_object_mut().unwrap();
        for unwanted in ["cgroupsPath", "resources", "seccomp"] {
            linux.remove(unwanted);
        }
        fs::write(
            bundle.join("config.json"),
            serde_json::to_vec(&spec).unwrap(),
        )
        .unwrap();
        bundle
    }

    /// `--root R run --bundle B ID`, for a runtime or for the gate in front of one.
    pub fn run(&self, mut runner: Runner, bundle: &Path) -> Runner {
        let root = self.scratch.folder("runtime-root");
        let words = [
            "--root",
            root.to_str().unwrap(),
            "run",
            "--bundle",
            bundle.to_str().unwrap(),
        ];
        runner.arguments.extend(words.map(Into::into));
        runner.arguments.push((&self.id).into());
        runner.directory = bundle.to_owned();
        runner
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Best effort: the scratch folder ends whatever is left, by pid.
        let _ = fs::write(self.hold.join("go"), "");
        let _ = self.client.wait();
    }
}

/// Mounts a node's state where the gate looks for it, in the mount namespace that is this program's own.
fn at_its_usual_place(state: &Path) {
    let usual = Path::new("/var/lib/vcn-hook");
    fs::create_dir_all(usual).unwrap();
    let mounted = Command::new(program("mount"))
        .arg("--bind")
        .args([state, usual])
        .status();
    assert!(mounted.unwrap().success());
}

fn holding_script(hold: &Path) -> String {
    format!(
        "#!/bin/sh\nfor word in \"$@\"; do if [ \"$word\" = create ]; then held=1; fi; done\n\
         if [ -n \"$held\" ]; then\n  pwd > {hold}/cwd\n  printf '%s\\n' \"$@\" > {hold}/argv.part\n  \
         mv {hold}/argv.part {hold}/argv\n  while [ ! -e {hold}/go ]; do sleep 0.1; done\n  exit 1\nfi\n\
         exec {runc} \"$@\"\n",
        hold = hold.display(),
        runc = program("runc").display()
    )
}

fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "docker did not call its runtime"
        );
        sleep(Duration::from_millis(50));
    }
}
