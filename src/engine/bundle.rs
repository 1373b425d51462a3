//! An OCI bundle's `config.json`, as far as the gate reads it (runtime-spec, `config.md`).
//!
//! Owns which parts are read, and how much of them. Whatever is not listed
//! here has no influence on a decision.

use std::path::PathBuf;

use serde::Deserialize;

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

/// Go writes an empty list as `null`.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
