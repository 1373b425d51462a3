//! An OCI bundle's `config.json`, as far as the gate reads it (runtime-spec, `config.md`).
//!
//! Owns which parts are read, and how much of them. Whatever is not listed
//! here has no influence on a decision.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::engine::trouble;
use crate::sys::file::read_capped;
use crate::sys::lookup::cleaned;
use crate::verdict::{ReasonCode, Undecided};

/// Room for more mounts and rules than any engine writes.
const MAX_CONFIG_SIZE: u64 = 16 << 20;

/// A bundle and what its `config.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bundle {
    /// The bundle's directory.
    pub path: PathBuf,
    /// Its `config.json`.
    pub spec: Spec,
}

/// The parts of `config.json` that the gate looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Spec {
    /// The root file system.
    #[serde(default)]
    pub root: Root,
    /// The process; absent is the runtime's to refuse.
    #[serde(default)]
    pub process: Process,
    /// What is mounted, in order.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub mounts: Vec<Mount>,
    /// What is Linux's own.
    #[serde(default)]
    pub linux: Linux,
}

/// `root`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Root {
    /// Absolute, or relative to the bundle.
    pub path: PathBuf,
}

/// `process`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Process {
    /// The command.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub args: Vec<String>,
    /// `NAME=value`.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub env: Vec<String>,
    /// Where it runs.
    #[serde(default)]
    pub cwd: PathBuf,
    /// Its capabilities.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub capabilities: Capabilities,
}

/// `process.capabilities`, of which the bounding set says what can ever be had.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Capabilities {
    /// The bounding set.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub bounding: Vec<String>,
}

/// One of `mounts`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Mount {
    /// Where it goes, in the container.
    pub destination: PathBuf,
    /// The file system's type; `bind` or absent for a bind.
    #[serde(default, rename = "type", deserialize_with = "null_is_empty")]
    pub kind: String,
    /// Where it comes from.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub source: PathBuf,
    /// `ro`, `rbind`, ...
    #[serde(default, deserialize_with = "null_is_empty")]
    pub options: Vec<String>,
}

/// `linux`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Linux {
    /// The namespaces that are made or joined; one that is absent is the host's.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub namespaces: Vec<Namespace>,
    /// Device nodes that are made.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub devices: Vec<Device>,
    /// Limits, of which only those of devices are read.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub resources: Resources,
    /// What is hidden of the kernel's file systems.
    #[serde(default, rename = "maskedPaths", deserialize_with = "null_is_empty")]
    pub masked_paths: Vec<PathBuf>,
    /// What is read-only of them.
    #[serde(default, rename = "readonlyPaths", deserialize_with = "null_is_empty")]
    pub readonly_paths: Vec<PathBuf>,
    /// User ids that are mapped. Any at all means that root inside is not root outside.
    #[serde(default, rename = "uidMappings", deserialize_with = "null_is_empty")]
    pub uid_mappings: Vec<IdMapping>,
}

/// One of `linux.uidMappings`, of which only the presence matters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct IdMapping {}

/// One of `linux.namespaces`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Namespace {
    /// `pid`, `network`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// A namespace that exists, to be joined.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub path: String,
}

/// One of `linux.devices`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Device {
    /// Where the node is made, in the container.
    pub path: PathBuf,
}

/// `linux.resources`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Resources {
    /// Rules of the device cgroup.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub devices: Vec<DeviceRule>,
}

/// One of `linux.resources.devices`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct DeviceRule {
    /// Whether it grants or takes.
    #[serde(default)]
    pub allow: bool,
    /// `a`, `b`, `c`; absent for all.
    #[serde(default, rename = "type", deserialize_with = "null_is_empty")]
    pub kind: String,
    /// Absent for all.
    #[serde(default)]
    pub major: Option<i64>,
    /// Absent for all.
    #[serde(default)]
    pub minor: Option<i64>,
    /// Some of `rwm`.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub access: String,
}

impl Bundle {
    /// Reads the bundle in the directory `path`.
    ///
    /// # Errors
    /// `unreadable`.
    pub fn read(path: &Path) -> Result<Self, Undecided> {
        let file = path.join("config.json");
        let bytes = read_capped(&file, MAX_CONFIG_SIZE)
            .map_err(|error| trouble::unreadable("the bundle's configuration", &file, &error))?;
        let spec = parse(&bytes).map_err(|error| {
            let detail = format!("'{}' is no OCI configuration: {error}", file.display());
            Undecided::new(ReasonCode::Unreadable, detail, "see what wrote the bundle")
        })?;
        let path = path.to_path_buf();
        Ok(Self { path, spec })
    }

    /// The root file system's absolute path, cleaned as text.
    #[must_use]
    pub fn rootfs(&self) -> PathBuf {
        cleaned(&self.path.join(&self.spec.root.path))
    }
}

/// Parses a `config.json`.
///
/// # Errors
/// Whatever is wrong with it. A key that stands twice is: runtimes differ in which one they take.
pub fn parse(bytes: &[u8]) -> Result<Spec, serde_json::Error> {
    serde_json::from_slice(bytes)
}

/// Go writes an empty list as `null`.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{Bundle, Capabilities, Mount, Process, Root, Spec, parse};

    #[test]
    fn reads_what_engines_write() {
        let text = br#"{"ociVersion":"1.0.2","process":{"user":{"uid":0},"args":["sh"],"env":null,"cwd":"/",
            "capabilities":{"bounding":["CAP_KILL"]}},"root":{"path":"rootfs"},"mounts":[
            {"destination":"/proc","type":"proc","source":"proc"},{"destination":"/x","source":"/y","options":["rbind"]}],
            "linux":{"seccomp":{"syscalls":[{"names":["a"]}]}},"annotations":{"a":"b"}}"#;
        let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| Mount {
            destination: destination.into(),
            kind: kind.to_owned(),
            source: source.into(),
            options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        let expected = Spec {
            root: Root {
                path: "rootfs".into(),
            },
            process: Process {
                args: vec!["sh".to_owned()],
                cwd: "/".into(),
                capabilities: Capabilities {
                    bounding: vec!["CAP_KILL".to_owned()],
                },
                ..Process::default()
            },
            mounts: vec![
                mount("/proc", "proc", "proc", &[]),
                mount("/x", "", "/y", &["rbind"]),
            ],
            ..Spec::default()
        };
        assert_eq!(parse(text).expect("well formed"), expected);
        let bundle = Bundle {
            path: "/run/bundle".into(),
            spec: expected,
        };
        assert_eq!(bundle.rootfs(), std::path::Path::new("/run/bundle/rootfs"));
    }

    #[test]
    fn refuses_a_key_that_stands_twice() {
        let error = parse(br#"{"root":{"path":"a"},"root":{"path":"b"}}"#).expect_err("ambiguous");
        assert!(
            error.to_string().starts_with("duplicate field `root`"),
            "{error}"
        );
    }
}
