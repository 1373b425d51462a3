//! One machine in a temporary directory: configuration, state, keys and images of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use vcn_hook::image::digest::Digest;

/// A machine that shares nothing with the one the tests run on but the binary.
pub(crate) struct Sandbox {
    directory: tempfile::TempDir,
}

/// What a command answered.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// A machine on which nothing has been set up.
    pub(crate) fn new() -> Self {
        let sandbox = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
        };
        for name in ["home", "etc", "state", "empty"] {
            std::fs::create_dir(sandbox.path(name)).expect("it is new");
        }
        sandbox.configure("");
        sandbox
    }

    /// A machine with a ledger that it follows, and the first signer's key.
    pub(crate) fn enrolled() -> Self {
        let sandbox = Self::new();
        let ledger = sandbox.text("ledger");
        let made = sandbox.json(&["ledger", "init", &ledger, "--origin", "test.example/vcn"]);
        let root = made["root"]["fingerprint"]
            .as_str()
            .expect("a fingerprint")
            .to_owned();
        sandbox.ok(&["enroll", &ledger, "--root", &root]);
        sandbox
    }

    /// Writes config.toml: the directories of this sandbox, then `more`.
    pub(crate) fn configure(&self, more: &str) {
        let text = format!(
            "state_dir = {:?}\nrun_dir = {:?}\ndecisions = {:?}\n{more}\n\
             [engines]\ndocker_roots = [{:?}]\ndocker_socket = {:?}\ncontainerd_roots = [{:?}]\n",
            self.path("state"),
            self.path("run"),
            self.path("log/decisions.jsonl"),
            self.path("empty"),
            self.path("empty/docker.sock"),
            self.path("empty"),
        );
        std::fs::write(self.path("etc/config.toml"), text).expect("it is writable");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("it is UTF-8").to_owned()
    }

    /// The command, ready to be changed, with this machine's configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(Path::new(env!("CARGO_BIN_EXE_vcn-hook")));
        command
            .arg("-c")
            .arg(self.path("etc/config.toml"))
            .args(arguments);
        command
    }

    /// A program with nothing of the caller's environment.
    pub(crate) fn bare(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        Answer::of(self.command(arguments))
    }

    /// Runs what must succeed, and returns its answer.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let answer = self.run(arguments);
        assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.stderr);
        answer.stdout
    }

    /// Runs what must succeed with `-o json`, and returns its value.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<_> = ["-o", "json"].iter().chain(arguments).copied().collect();
        serde_json::from_str(&self.ok(&arguments)).expect("one JSON value")
    }

    /// Makes an OCI layout of one image whose only layer holds `content`; returns its reference
    /// and its config's digest.
    pub(crate) fn layout(&self, name: &str, content: &str) -> (String, Digest) {
        let directory = self.path(name);
        let blobs = directory.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).expect("it is new");
        let blob = |bytes: &[u8]| {
            let digest = Digest::of(bytes);
            std::fs::write(blobs.join(digest.hex()), bytes).expect("it is writable");
            (digest, bytes.len())
        };
        let (layer, layer_size) = blob(content.as_bytes());
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [layer.to_string()] },
        });
        let (config, config_size) = blob(config.to_string().as_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config.to_string(), "size": config_size,
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": layer.to_string(), "size": layer_size,
            }],
        });
        let (manifest, manifest_size) = blob(manifest.to_string().as_bytes());
        let index = json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": manifest.to_string(), "size": manifest_size,
                "annotations": { "org.opencontainers.image.ref.name": "latest" },
            }],
        });
        let files = BTreeMap::from([
            ("index.json", index.to_string()),
            (
                "oci-layout",
                json!({ "imageLayoutVersion": "1.0.0" }).to_string(),
            ),
        ]);
        for (file, text) in files {
            std::fs::write(directory.join(file), text).expect("it is writable");
        }
        (format!("oci:{}", directory.display()), config)
    }
}

impl Answer {
    pub(crate) fn of(mut command: Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().expect("it runs");
        Self {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8(stdout).expect("it is UTF-8"),
            stderr: String::from_utf8(stderr).expect("it is UTF-8"),
        }
    }
}
