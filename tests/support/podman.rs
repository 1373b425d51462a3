//! Podman with a graph root of its own, whose runc and crun are ours.

use super::command::{Ran, command, run, run_with};
use super::image::Image;
use super::scratch::Scratch;
use super::{binary, program};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The low-level runtimes that every case is tried on.
pub const RUNTIMES: [&str; 2] = ["runc", "crun"];

/// Nothing of the machine's own settings, and no more of the machine than every place has.
const SETTINGS: &str = r#"[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
[containers]
netns = "none"
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
log_driver = "k8s-file"
"#;

/// The engine, and a mount namespace in which it works.
#[derive(Debug)]
pub struct Podman {
    base: PathBuf,
    namespace: u32,
    runtime: &'static str,
}

impl Podman {
    /// Prepares it below the scratch folder, ungated.
    ///
    /// # Panics
    ///
    /// When there is no mount namespace to be had.
    pub fn new(scratch: &Scratch) -> Self {
        let base = scratch.folder("podman");
        for folder in ["bin", "home", "tmp"] {
            fs::create_dir_all(base.join(folder)).unwrap();
        }
        fs::write(base.join("containers.conf"), SETTINGS).unwrap();
        for name in RUNTIMES {
            // Which gate, if any, is read at each call, so that one engine serves all cases of a file.
            let path = base.join("bin").join(name);
            let text = format!(
                "#!/bin/sh\nread -r config <{base}/current\ncase \" $* \" in *\" create \"*) \
                 [ ! -e {base}/before ] || sh {base}/before ;; esac\n\
                 if [ -z \"$config\" ]; then exec {real} \"$@\"; fi\n\
                 exec {gate} -c \"$config\" runtime {name} -- \"$@\"\n",
                base = base.display(),
                real = program(name).display(),
                gate = binary().display(),
            );
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let podman = Self {
            namespace: namespace(scratch, &base),
            base,
            runtime: "runc",
        };
        podman.ungated();
        podman
    }

    /// The same engine with its containers on another runtime.
    pub fn on(&self, runtime: &'static str) -> Self {
        Self {
            base: self.base.clone(),
            runtime,
            ..*self
        }
    }

    /// Where its graph root will be.
    pub fn root_in(scratch: &Scratch) -> PathBuf {
        scratch.join("podman/root")
    }

    /// Writes a script that is this engine's `podman`.
    pub fn script(&self, path: &Path) -> PathBuf {
        let line = self.client(&[]);
        let words: Vec<_> = line
            .get_args()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let settings = line.get_envs().filter_map(|(name, value)| {
            let value = value?.to_string_lossy();
            Some(format!("export {}='{value}'\n", name.to_string_lossy()))
        });
        let text = format!(
            "#!/bin/sh\n{}exec timeout {} \"$@\"\n",
            settings.collect::<String>(),
            words.join(" ")
        );
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_path_buf()
    }

    /// Its graph root, as `[engines] storage_roots` names it.
    pub fn root(&self) -> PathBuf {
        self.base.join("root")
    }

    pub fn base(&self) -> &Path {
        &self.base
    }

    /// From now on nothing is gated: the engine as it comes.
    pub fn ungated(&self) {
        fs::write(self.base.join("current"), "\n").unwrap();
        drop(fs::remove_file(self.before()));
    }

    /// A script that, where it exists, runs just before a container is created and judged.
    pub fn before(&self) -> PathBuf {
        self.base.join("before")
    }

    /// From now on every start goes through the gate of this configuration.
    pub fn gated_by(&self, config: &Path) {
        let line = format!("{}\n", config.display());
        fs::write(self.base.join("current"), line).unwrap();
    }

    /// `podman ARGS` on this graph root, and never on another.
    pub fn podman(&self, args: &[&str]) -> Ran {
        run(self.client(args))
    }

    pub fn podman_with(&self, args: &[&str], input: &[u8]) -> Ran {
        run_with(self.client(args), input)
    }

    fn client(&self, args: &[&str]) -> Command {
        self.inside(
            &[
                &self
                    .command()
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>(),
                args,
            ]
            .concat(),
        )
    }

    /// The words with which every command begins.
    pub fn command(&self) -> Vec<String> {
        let at = |name: &str| self.base.join(name).display().to_string();
        let mut words = vec![program("podman").display().to_string()];
        for (option, value) in [
            ("--root", at("root")),
            ("--runroot", at("run")),
            ("--tmpdir", at("tmp")),
            ("--storage-driver", "overlay".to_owned()),
            ("--runtime", at(&format!("bin/{}", self.runtime))),
        ] {
            words.extend([option.to_owned(), value]);
        }
        words
    }

    /// Any command, where this engine's mounts are.
    pub fn inside(&self, words: &[&str]) -> Command {
        let namespace = format!("--mount=/proc/{}/ns/mnt", self.namespace);
        let mut inside = command("nsenter", [&namespace, "--"]);
        inside.args(words);
        inside
            .env("CONTAINERS_CONF", self.base.join("containers.conf"))
            .env("HOME", self.base.join("home"))
            .env("XDG_CONFIG_HOME", self.base.join("home"));
        inside
    }

    /// `podman run --rm ARGS`.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.heard(&[&["run", "--rm"], args].concat())
    }

    /// `podman start -a ID`.
    pub fn start(&self, id: &str) -> Ran {
        self.heard(&["start", "-a", id])
    }

    /// Podman 4.3 now and then loses what a container says that ends at once, on any runtime and
    /// without a gate: then it says it again.
    fn heard(&self, args: &[&str]) -> Ran {
        match self.podman(args) {
            ran if ran.code == 0 && ran.out.is_empty() => self.podman(args),
            ran => ran,
        }
    }

    /// `podman create ARGS`: the container's id.
    #[track_caller]
    pub fn create(&self, args: &[&str]) -> String {
        self.podman(&[&["create"], args].concat()).ok()
    }

    /// Loads an image and checks that the engine gave it the expected ID.
    #[track_caller]
    pub fn load(&self, image: &Image) {
        let archive = self.base.join("load.tar");
        fs::write(&archive, image.archive()).unwrap();
        self.podman(&["load", "-q", "-i", archive.to_str().unwrap()])
            .ok();
        let id = self
            .podman(&["image", "inspect", "--format", "{{.Id}}", &image.tag])
            .ok();
        assert_eq!(format!("sha256:{id}"), image.id());
    }

    /// Removes every container and pod, so that cases do not see each other's.
    pub fn clear(&self) {
        self.podman(&["pod", "rm", "-f", "-t", "0", "-a"]).ok();
        self.podman(&["rm", "-f", "-t", "0", "-a"]).ok();
    }

    /// The full id of a container.
    pub fn id(&self, name: &str) -> String {
        self.podman(&["container", "inspect", "--format", "{{.Id}}", name])
            .ok()
    }
}

/// crun takes the unified hierarchy beside cgroup v1 for the one to use, and then fails; so it is
/// hidden from the engine, whose mounts must then stay where all its commands see them.
fn namespace(scratch: &Scratch, base: &Path) -> u32 {
    let ready = base.join("ready");
    let script = format!(
        "umount /sys/fs/cgroup/unified 2>/dev/null; touch {}; exec sleep infinity",
        ready.display()
    );
    let child = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    scratch.adopt("namespace", child);
    let begun = Instant::now();
    while !ready.exists() {
        assert!(begun.elapsed() < Duration::from_secs(10), "no namespace");
        std::thread::sleep(Duration::from_millis(5));
    }
    pid
}
