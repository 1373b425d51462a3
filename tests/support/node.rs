//! A node of its own: configuration, trust, state, decisions, and the ledger it follows.

use super::binary;
use super::command::{Ran, command, run};
use super::daemon::Daemon;
use super::podman::Podman;
use super::program;
use super::scratch::Scratch;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The node, enrolled with a ledger of its own.
#[derive(Debug)]
pub struct Node {
    base: PathBuf,
    docker: Option<(PathBuf, PathBuf)>,
    storage: Vec<PathBuf>,
}

impl Node {
    /// Makes a ledger and enrols a node with it.
    pub fn new(scratch: &Scratch, name: &str, daemon: Option<&Daemon>) -> Self {
        Self::bare(scratch, name, daemon).enrolled()
    }

    /// The same on a machine whose engine is Podman.
    pub fn of_podman(scratch: &Scratch, name: &str, podman: &Podman) -> Self {
        let mut node = Self::bare(scratch, name, None);
        node.storage = vec![podman.root()];
        node.configure("");
        node.enrolled()
    }

    /// The same with a graph root of Podman's, too.
    pub fn with_storage(mut self, root: &Path) -> Self {
        self.storage.push(root.to_path_buf());
        self.configure("");
        self
    }

    fn enrolled(self) -> Self {
        let node = self;
        node.vcn(&[
            "ledger",
            "init",
            node.ledger_str(),
            "--origin",
            "ledger.test/vcn",
        ])
        .ok();
        node.vcn(&["enroll", node.ledger_str()]).ok();
        node
    }

    /// The same without a ledger.
    pub fn bare(scratch: &Scratch, name: &str, daemon: Option<&Daemon>) -> Self {
        let base = scratch.folder(name);
        let docker = daemon.map(|daemon| (daemon.root(), daemon.socket().to_path_buf()));
        let storage = Vec::new();
        let node = Self {
            base,
            docker,
            storage,
        };
        for folder in ["etc", "state", "run", "log", "home"] {
            fs::create_dir_all(node.base.join(folder)).unwrap();
        }
        node.configure("");
        node
    }

    /// Writes config.toml, `more` at its end; `more` may begin with top-level keys. What verbs have
    /// written beside it stays.
    pub fn configure(&self, more: &str) {
        let (top, tables) = match more.find('[') {
            Some(at) => more.split_at(at),
            None => (more, ""),
        };
        let engines = self
            .docker
            .as_ref()
            .map_or_else(String::new, |(root, socket)| {
                format!("docker_roots = [{root:?}]\ndocker_socket = {socket:?}\n")
            });
        let storage = match self.storage.as_slice() {
            [] => String::new(),
            roots => format!("storage_roots = {roots:?}\n"),
        };
        let text = format!(
            "{top}\nstate_dir = {:?}\nrun_dir = {:?}\ndecisions = {:?}\n\
             [runtime]\nrunc = {:?}\ncrun = {:?}\n[engines]\n{engines}{storage}{tables}",
            self.state(),
            self.base.join("run"),
            self.decisions_file(),
            program("runc"),
            program("crun"),
        );
        fs::write(self.config(), text).unwrap();
    }

    pub fn base(&self) -> &Path {
        &self.base
    }

    pub fn config(&self) -> PathBuf {
        self.base.join("etc/config.toml")
    }

    pub fn state(&self) -> PathBuf {
        self.base.join("state")
    }

    pub fn ledger(&self) -> PathBuf {
        self.base.join("ledger")
    }

    fn ledger_str(&self) -> &str {
        // The folder's name is ASCII: this file makes it.
        Box::leak(self.ledger().to_str().unwrap().to_owned().into_boxed_str())
    }

    pub fn decisions_file(&self) -> PathBuf {
        self.base.join("log/decisions.jsonl")
    }

    /// `vcn-hook -c CONFIG ARGS` as this node's administrator.
    pub fn vcn(&self, args: &[&str]) -> Ran {
        run(self.command(args))
    }

    /// The same, not yet started.
    pub fn command(&self, args: &[&str]) -> Command {
        let config = self.config();
        let mut command = command(binary(), ["-c".as_ref(), config.as_os_str()]);
        command.args(args);
        self.environment(&mut command);
        command
    }

    /// Gives a command this node's home and nobody's passphrase.
    pub fn environment(&self, command: &mut Command) {
        command
            .env("HOME", self.base.join("home"))
            .env("XDG_CONFIG_HOME", self.base.join("home/.config"));
    }

    /// Notarizes and syncs.
    #[track_caller]
    pub fn notarize(&self, reference: &str) {
        self.vcn(&["notarize", reference]).ok();
        self.sync();
    }

    #[track_caller]
    pub fn sync(&self) {
        self.vcn(&["sync"]).ok();
    }

    #[track_caller]
    pub fn apply(&self) {
        self.vcn(&["apply"]).ok();
    }

    /// Every decision so far.
    pub fn decisions(&self) -> Vec<Value> {
        fs::read_to_string(self.decisions_file())
            .unwrap_or_default()
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }
}
