//! Bundles made by hand, and the runtimes that start them, with and without the gate.

use super::command::{Ran, command, run};
use super::image::Image;
use super::scratch::Scratch;
use super::{binary, program};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A directory with a `config.json`, as `runc spec` writes it, and a root file system.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub path: PathBuf,
}

impl Bundle {
    /// The image's files in a plain directory; `/bin/app` is what starts.
    pub fn unpacked(path: &Path, image: &Image) -> Self {
        let bundle = Self::empty(path);
        unpack(image, &bundle.rootfs());
        bundle
    }

    /// Without any files.
    pub fn empty(path: &Path) -> Self {
        fs::create_dir_all(path.join("rootfs")).unwrap();
        run(command(
            program("runc"),
            ["spec", "--bundle", path.to_str().unwrap()],
        ))
        .ok();
        let bundle = Self {
            path: path.to_path_buf(),
        };
        bundle.edit(|spec| {
            spec["process"]["terminal"] = false.into();
            spec["process"]["args"] = json!(["/bin/app"]);
        });
        bundle
    }

    pub fn rootfs(&self) -> PathBuf {
        self.path.join("rootfs")
    }

    pub fn str(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Changes its `config.json`.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        let path = self.path.join("config.json");
        let mut spec: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut spec);
        fs::write(path, serde_json::to_vec_pretty(&spec).unwrap()).unwrap();
    }

    /// Mounts an overlay of these layers, topmost first, as its root file system, with a new upper one.
    pub fn mount(&self, lowers: &[PathBuf]) {
        for name in ["upper", "work"] {
            let folder = self.path.join(name);
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(folder).unwrap();
        }
        let lowers: Vec<_> = lowers.iter().map(|path| path.to_str().unwrap()).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lowers.join(":"),
            self.upper().display(),
            self.path.join("work").display()
        );
        let rootfs = self.rootfs();
        let words = ["-t", "overlay", "overlay", "-o", &options];
        let mut mount = command("mount", words);
        mount.arg(rootfs);
        run(mount).ok();
    }

    pub fn unmount(&self) {
        run(command("umount", [self.rootfs()])).ok();
    }

    pub fn upper(&self) -> PathBuf {
        self.path.join("upper")
    }

    /// The line of config.toml that says what image it is.
    pub fn declared(&self, config: &str) -> String {
        format!(
            "[[bundle]]\npath = {:?}\nconfig = \"{config}\"\n",
            self.path
        )
    }
}

/// Writes an image's layers into one directory, one over the other.
pub fn unpack(image: &Image, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for layer in &image.layers {
        tar::Archive::new(layer.as_slice()).unpack(folder).unwrap();
    }
}

/// A runtime by hand: a script that is the real one, or the gate in its place.
#[derive(Debug)]
pub struct Runtime {
    script: PathBuf,
}

impl Runtime {
    /// `name` is `runc` or `crun`; `gate` is the node's config.toml, `None` for no gate.
    pub fn new(scratch: &Scratch, name: &str, gate: Option<&Path>) -> Self {
        let kind = if gate.is_some() { "gated" } else { "alone" };
        let folder = scratch.join("runtimes");
        fs::create_dir_all(&folder).unwrap();
        Self {
            script: runtime(&folder.join(format!("{name}-{kind}")), name, &folder, gate),
        }
    }

    pub fn script(&self) -> &Path {
        &self.script
    }

    /// `run --bundle BUNDLE ID`.
    pub fn run(&self, bundle: &Bundle, id: &str) -> Ran {
        self.call(&["run", "--bundle", bundle.str(), id])
    }

    /// `create`, whose container keeps the output of whoever made it: it gets none, and says nothing.
    #[track_caller]
    pub fn create(&self, bundle: &Bundle, id: &str) {
        let mut command = command(&self.script, ["create", "--bundle", bundle.str(), id]);
        let null = std::process::Stdio::null;
        let status = command.stdin(null()).stdout(null()).stderr(null()).status();
        assert!(status.unwrap().success(), "create {id}");
    }

    pub fn call(&self, words: &[&str]) -> Ran {
        run(command(&self.script, words))
    }
}

/// Writes that script at `path`; the runtime's own state is in `work`.
pub fn runtime(path: &Path, name: &str, work: &Path, gate: Option<&Path>) -> PathBuf {
    let real = program(name);
    let run = match gate {
        None => format!("{} --root {}/root", real.display(), work.display()),
        Some(config) => format!(
            "{} -c {} runtime {name} -- --root {}/root",
            binary().display(),
            config.display(),
            work.display()
        ),
    };
    // crun takes the unified hierarchy beside cgroup v1 for the one to use, and then fails.
    let alone = "unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"' x";
    let line = if name == "crun" {
        format!("exec {alone} {run} \"$@\"")
    } else {
        format!("exec {run} \"$@\"")
    };
    fs::write(path, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_path_buf()
}
