//! config.toml as it is written: every section, with its defaults.
//!
//! Owns the names that people type and what a missing one means. Which files
//! are read, and how one is laid over another, is the module's above.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::watch::WatchSection;
use super::{Config, ConfigError, Guard};
use crate::image::digest::Digest;
use crate::policy::gatebin::{
    Bundle, Engines, Mode, MountAllow, Response, Rules, Runtimes, UpperAllow,
};

/// The file as it is written. Everything is optional; `deny_unknown_fields` everywhere.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    mode: Option<Mode>,
    state_dir: Option<PathBuf>,
    run_dir: Option<PathBuf>,
    decisions: Option<PathBuf>,
    ledger: Option<String>,
    runtime: RuntimeSection,
    engines: EnginesSection,
    policy: PolicySection,
    upper: UpperSection,
    mounts: MountsSection,
    host: ResponseSection,
    process: ResponseSection,
    restore: ResponseSection,
    exec: ResponseSection,
    build: ResponseSection,
    floor: FloorSection,
    freshness: FreshnessSection,
    guard: GuardSection,
    bundle: Vec<BundleEntry>,
    watch: WatchSection,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RuntimeSection {
    runc: Option<PathBuf>,
    crun: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct EnginesSection {
    docker_roots: Option<Vec<PathBuf>>,
    docker_socket: Option<PathBuf>,
    containerd_roots: Option<Vec<PathBuf>>,
    storage_roots: Option<Vec<PathBuf>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PolicySection {
    profile: Profile,
}

/// The answers that hold where a rule has none of its own.
#[derive(Debug, Deserialize, Serialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Refuses foreign code, and warns of what ordinary containers do too.
    #[default]
    Standard,
    /// Refuses all of it.
    Strict,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct UpperSection {
    not_pristine: Option<Response>,
    changed: Option<Response>,
    allow: Vec<UpperAllowEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpperAllowEntry {
    config: Digest,
    paths: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct MountsSection {
    over_code: Option<Response>,
    state: Option<Response>,
    below_rootfs: Option<Response>,
    allow: Vec<MountAllowEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MountAllowEntry {
    source: String,
    destination: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ResponseSection {
    policy: Option<Response>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct FloorSection {
    configs: Vec<Digest>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct FreshnessSection {
    grace_hours: u32,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct GuardSection {
    lapses: Option<u32>,
    percent: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BundleEntry {
    path: PathBuf,
    config: Digest,
}

impl File {
    /// Checks every value, and fills in what is not said.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub(super) fn check(self, path: &Path, files: Vec<PathBuf>) -> Result<Config, ConfigError> {
        let absolute = |name: &str, value: Option<PathBuf>, default: &str| match value {
            None => Ok(PathBuf::from(default)),
            Some(value) if value.is_absolute() => Ok(value),
            Some(value) => Err(ConfigError::Value(format!(
                "{name}: '{}' is not absolute",
                value.display()
            ))),
        };
        let all_absolute = |name: &str, value: Option<Vec<PathBuf>>, default: &str| match value {
            None => Ok(vec![PathBuf::from(default)]),
            Some(list) => list
                .into_iter()
                .map(|each| absolute(name, Some(each), ""))
                .collect(),
        };
        let engines = self.engines;
        Ok(Config {
            path: path.to_owned(),
            files,
            mode: self.mode.unwrap_or(Mode::Enforce),
            state_dir: absolute("state_dir", self.state_dir, "/var/lib/vcn-hook")?,
            run_dir: absolute("run_dir", self.run_dir, "/run/vcn-hook")?,
            decisions: absolute(
                "decisions",
                self.decisions,
                "/var/log/vcn-hook/decisions.jsonl",
            )?,
            ledger: self.ledger,
            runtimes: Runtimes {
                runc: absolute("runtime.runc", self.runtime.runc, "/usr/sbin/runc")?,
                crun: absolute("runtime.crun", self.runtime.crun, "/usr/bin/crun")?,
            },
            engines: Engines {
                docker_roots: all_absolute(
                    "engines.docker_roots",
                    engines.docker_roots,
                    "/var/lib/docker",
                )?,
                containerd_roots: all_absolute(
                    "engines.containerd_roots",
                    engines.containerd_roots,
                    "/var/lib/containerd",
                )?,
                storage_roots: all_absolute(
                    "engines.storage_roots",
                    engines.storage_roots,
                    "/var/lib/containers/storage",
                )?,
            },
            docker_socket: absolute(
                "engines.docker_socket",
                engines.docker_socket,
                "/var/run/docker.sock",
            )?,
            profile: self.policy.profile,
            rules: rules(
                self.policy.profile,
                self.upper,
                self.mounts,
                [self.host, self.process, self.restore, self.exec, self.build],
            ),
            bundles: bundles(self.bundle)?,
            floor: self.floor.configs,
            guard: Guard {
                lapses: self.guard.lapses.unwrap_or(2),
                percent: self.guard.percent.unwrap_or(10),
            },
            grace_hours: self.freshness.grace_hours,
            watch: self.watch.check()?,
        })
    }
}

/// Each directory once: of two images that it is said to be, neither is root's word.
fn bundles(entries: Vec<BundleEntry>) -> Result<Vec<Bundle>, ConfigError> {
    let mut bundles: Vec<Bundle> = Vec::with_capacity(entries.len());
    for BundleEntry { path, config } in entries {
        let says = |what: &str| {
            let text = format!("bundle.path: '{}' {what}", path.display());
            Err(ConfigError::Value(text))
        };
        let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
        if !path.is_absolute() || !path.components().all(is_plain) {
            return says("is not a plain absolute path");
        }
        // Written with another number of slashes, it is the same directory.
        let path: PathBuf = path.components().collect();
        if bundles.iter().any(|bundle| bundle.path == path) {
            return says("stands twice");
        }
        bundles.push(Bundle { path, config });
    }
    Ok(bundles)
}

/// The profile's answers, with what was said one by one laid over them.
fn rules(
    profile: Profile,
    upper: UpperSection,
    mounts: MountsSection,
    [host, process, restore, exec, build]: [ResponseSection; 5],
) -> Rules {
    let base = match profile {
        Profile::Standard => Rules::standard(),
        Profile::Strict => Rules::strict(),
    };
    Rules {
        upper_not_pristine: upper.not_pristine.unwrap_or(base.upper_not_pristine),
        upper_changed: upper.changed.unwrap_or(base.upper_changed),
        mount_over_code: mounts.over_code.unwrap_or(base.mount_over_code),
        mount_of_state: mounts.state.unwrap_or(base.mount_of_state),
        mount_below_rootfs: mounts.below_rootfs.unwrap_or(base.mount_below_rootfs),
        host: host.policy.unwrap_or(base.host),
        process: process.policy.unwrap_or(base.process),
        restore: restore.policy.unwrap_or(base.restore),
        exec: exec.policy.unwrap_or(base.exec),
        build: build.policy.unwrap_or(base.build),
        upper_allow: upper
            .allow
            .into_iter()
            .map(|entry| UpperAllow {
                config: entry.config,
                paths: entry.paths,
            })
            .collect(),
        mount_allow: mounts
            .allow
            .into_iter()
            .map(|entry| MountAllow {
                source: entry.source,
                destination: entry.destination,
            })
            .collect(),
    }
}
