//! What every verb starts from: who is asking, which configuration, where things are kept.
//!
//! Owns the choice of files by option, environment and user. What is in them
//! belongs to `config`, `store` and `trust`.

use std::env;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use super::failure::{Failure, OrFail as _};
use super::output::Output;
use crate::config::{Config, DEFAULT_PATH};
use crate::store::Store;
use crate::verdict::ReasonCode;

/// Below a state directory: what a sync installs. Its owner is who syncs.
pub const ALLOWLIST: &str = "allowlist";

/// What every verb starts from.
#[expect(
    missing_debug_implementations,
    reason = "streams have nothing to show that a person could use"
)]
pub struct Context {
    /// Where answers and diagnoses go.
    pub out: Output,
    /// The configuration file in force.
    pub config_path: PathBuf,
    /// The clock, read once. Unix seconds.
    pub now: u64,
}

impl Context {
    /// Chooses the configuration: the one that was given, a person's own, or the machine's.
    #[must_use]
    pub fn new(out: Output, given: Option<PathBuf>, now: u64) -> Self {
        let own = || {
            let own = config_home()?.join("config.toml");
            own.exists().then_some(own)
        };
        let config_path = given.or_else(own).unwrap_or_else(|| DEFAULT_PATH.into());
        // What is written beside it must not depend on where the process stands.
        let config_path = std::path::absolute(&config_path).unwrap_or(config_path);
        Self {
            out,
            config_path,
            now,
        }
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// A failure with the exit code of `configuration`.
    pub fn config(&self) -> Result<Config, Failure> {
        let code = ReasonCode::Configuration.exit_code();
        Config::load(&self.config_path).or_fail(code, || "the configuration cannot be used")
    }

    /// The directory in which this user keeps an allowlist: the node's for root and for the account that
    /// syncs for it, otherwise one of the user's own.
    ///
    /// # Errors
    /// When neither `XDG_STATE_HOME` nor `HOME` says where the user's own would be.
    pub fn own_state(&self, config: &Config) -> Result<PathBuf, Failure> {
        if is_root() || self.syncs_for_node(config) {
            return Ok(config.state_dir.clone());
        }
        home_directory("XDG_STATE_HOME", ".local/state").ok_or_else(|| no_home("XDG_STATE_HOME"))
    }

    /// Says whether this is the account that brings the node's allowlist: what it fetches is its own, and
    /// everything else in the state directory is root's.
    #[must_use]
    pub fn syncs_for_node(&self, config: &Config) -> bool {
        !is_root() && owns(&config.state_dir.join(ALLOWLIST))
    }

    /// The store in the directory that [`Context::own_state`] names.
    #[must_use]
    pub fn own_store(&self, state: &Path) -> Store {
        if is_root() {
            Store::new(state)
        } else {
            Store::of_user(state)
        }
    }
}

/// Says whether the process may do what only root may.
#[must_use]
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// The folder of a publisher's keys.
///
/// # Errors
/// When neither `XDG_CONFIG_HOME` nor `HOME` says where it is.
pub fn key_folder() -> Result<PathBuf, Failure> {
    let home = config_home().ok_or_else(|| no_home("XDG_CONFIG_HOME"))?;
    Ok(home.join("keys"))
}

/// A person's own configuration directory.
#[must_use]
pub fn config_home() -> Option<PathBuf> {
    home_directory("XDG_CONFIG_HOME", ".config")
}

/// Where a user's own Podman keeps its images and containers.
#[must_use]
pub fn own_storage() -> Option<PathBuf> {
    Some(base_directory("XDG_DATA_HOME", ".local/share")?.join("containers/storage"))
}

fn home_directory(variable: &str, fallback: &str) -> Option<PathBuf> {
    Some(base_directory(variable, fallback)?.join("vcn-hook"))
}

fn base_directory(variable: &str, fallback: &str) -> Option<PathBuf> {
    // The specification says to ignore relative paths.
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute(variable).or_else(|| Some(absolute("HOME")?.join(fallback)))
}

fn owns(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.uid() == Uid::effective().as_raw())
}

fn no_home(variable: &str) -> Failure {
    Failure::configuration(format!("neither {variable} nor HOME names a directory"))
}
