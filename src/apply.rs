//! Config, trust root, floor and exemptions, compiled into gate.bin.
//!
//! Runs as root and without network. Owns the order of checks and the promise
//! that gate.bin is replaced only by one that compiled: whatever is wrong with
//! config.toml or a trust root, starts go on with the last gate.bin. Where the
//! trust roots come from is `sync`'s; what the settings mean is `policy`'s.

pub mod exemptions;
mod guard;
mod seen;

use std::fmt;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

pub use guard::{Affected, Blast, Lapses};

use guard::Guard;

use crate::config::{Config, ConfigError};
use crate::image::digest::Digest;
use crate::policy::gatebin::{
    AllowRule, GateBin, GateBinError, MAX_GATEBIN_SIZE, Response, SignerRule, Trust,
};
use crate::store::{HighWater, Store, StoreError};
use crate::sys::file;
use crate::trust::root::{self, RootError, TrustRoot, Unsupported};

/// The most bytes a trust root's note may have, as its format says.
const MAX_ROOT_SIZE: u64 = 1 << 20;

/// The most versions one run follows: a root that changes daily, and a node that was off for years.
const MAX_SUCCESSORS: u64 = 4096;

/// What was applied.
#[derive(Debug)]
pub struct Applied {
    /// The settings that the gate now has.
    pub gate: GateBin,
    /// Whether they differ from those it had.
    pub changed: bool,
    /// The exemptions that lie on this node, those that were refused among them.
    pub exemptions: Vec<exemptions::Found>,
    /// What runs and will not start again, or is held.
    pub blast: Blast,
    /// How new the allowlist on this node is known to be from now on; `None` where there is none, or none
    /// that the gate would use. Or why it is not used.
    pub high_water: Result<Option<HighWater>, StoreError>,
}

/// A trust root that was verified, and the note that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedRoot {
    /// The trust root.
    pub root: TrustRoot,
    /// The signed note, byte for byte.
    pub note: Vec<u8>,
}

/// Why nothing was applied. The last gate.bin stays.
#[derive(Debug)]
pub enum ApplyError {
    /// The configuration is wrong.
    Config(ConfigError),
    /// This node has no pinned trust root.
    NotEnrolled(PathBuf),
    /// A trust root is not one that this node may follow.
    Root(PathBuf, RootError),
    /// The settings cannot be encoded.
    Encode(GateBinError),
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
}

/// Compiles and installs gate.bin. `now` is in Unix seconds.
///
/// # Errors
/// [`ApplyError`]; gate.bin is then what it was.
pub fn apply(config: &Config, lapses: Lapses, now: u64) -> Result<Applied, ApplyError> {
    // What decides on this node may only be root's to write, the fragments included.
    for path in &config.files {
        file::check_owned_file(path).map_err(|error| ApplyError::File(path.clone(), error))?;
    }
    let pinned = trust_root(config)?;
    pinned
        .root
        .check_expiry(now)
        .map_err(|error| ApplyError::Root(pin_path(config), error))?;
    let mut gate = compile(config, &pinned)?;
    let exemptions = exemptions::find(config, &pinned.root);
    gate.exemptions = exemptions::compile(&exemptions, now);
    let (blast, seen) = Guard::begin(config, now).look(&mut gate, lapses);
    let bytes = gate.encode().map_err(ApplyError::Encode)?;
    for directory in [
        Some(config.state_dir.as_path()),
        Some(config.run_dir.as_path()),
        config.decisions.parent(),
    ] {
        create_directory(directory)?;
    }
    let path = gatebin_path(&config.state_dir);
    let changed = !file::read_capped(&path, MAX_GATEBIN_SIZE).is_ok_and(|old| old == bytes);
    if changed {
        file::replace(&path, &bytes, 0o644).map_err(|error| ApplyError::File(path, error))?;
    }
    // The root last: a gate.bin of a newer root than the pinned one is right, the reverse is behind.
    repin(config, &pinned)?;
    let high_water = raise_high_water(&gate, &pinned.root);
    seen.write(
        &config.state_dir,
        high_water.as_ref().ok().copied().flatten(),
    )
    .map_err(|(path, error)| ApplyError::File(path, error))?;
    Ok(Applied {
        high_water,
        gate,
        changed,
        exemptions,
        blast,
    })
}

/// Where gate.bin is.
#[must_use]
pub fn gatebin_path(state_dir: &Path) -> PathBuf {
    state_dir.join("gate.bin")
}

/// The newest trust root that follows from the pinned one, every step verified.
///
/// # Errors
/// [`ApplyError::NotEnrolled`], or what is wrong with the pinned root.
pub fn trust_root(config: &Config) -> Result<PinnedRoot, ApplyError> {
    let path = pin_path(config);
    let note = match file::read_owned(&path, MAX_ROOT_SIZE) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ApplyError::NotEnrolled(path));
        }
        Err(error) => return Err(ApplyError::File(path, error)),
    };
    let root = TrustRoot::verify_initial(&note).map_err(|error| ApplyError::Root(path, error))?;
    let mut pinned = PinnedRoot { root, note };
    for _ in 0..MAX_SUCCESSORS {
        let Some(next) = successor(config, &pinned) else {
            break;
        };
        pinned = next;
    }
    Ok(pinned)
}

/// The file that the node's trust root is pinned in.
#[must_use]
pub fn pin_path(config: &Config) -> PathBuf {
    config.trust_dir().join("root.note")
}

/// The next version, if sync has brought one.
///
/// These files are the sync user's: only signatures count, and what has none is as good as no file,
/// so that nobody can keep root from applying its configuration with a file of junk.
fn successor(config: &Config, pinned: &PinnedRoot) -> Option<PinnedRoot> {
    let name = format!("{}.note", pinned.root.version.saturating_add(1));
    let path = config.state_dir.join("log/root").join(name);
    let note = file::read_capped(&path, MAX_ROOT_SIZE).ok()?;
    let root = pinned.root.verify_successor(&note).ok()?;
    Some(PinnedRoot { root, note })
}

/// Remembers the newest root where only root can write, so that nobody can make this node forget it.
fn repin(config: &Config, pinned: &PinnedRoot) -> Result<(), ApplyError> {
    let path = pin_path(config);
    if file::read_capped(&path, MAX_ROOT_SIZE).is_ok_and(|old| old == pinned.note) {
        return Ok(());
    }
    file::replace(&path, &pinned.note, 0o644).map_err(|error| ApplyError::File(path, error))
}

/// Remembers how new the allowlist is that the sync account installed: root's own mark is all that keeps
/// that account from putting an older one back. Its word counts no more than its signatures: they are
/// verified, and the mark only ever rises.
fn raise_high_water(gate: &GateBin, root: &TrustRoot) -> Result<Option<HighWater>, StoreError> {
    let store = Store::new(&gate.state_dir);
    let indexers = &root.indexers;
    let note = match store.note(&indexers.keys, indexers.threshold, &root.origin) {
        Err(StoreError::Missing { .. }) => return Ok(None),
        note => note?,
    };
    // The gate would not use it: another trust root, which did not come with it, says what it means.
    if !gate.trust.knows_root_of(&note) {
        return Ok(None);
    }
    store.check_high_water(&note)?;
    store.advance_high_water(&note).map(Some)
}

fn create_directory(path: Option<&Path>) -> Result<(), ApplyError> {
    let Some(path) = path else { return Ok(()) };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(|error| ApplyError::File(path.to_owned(), error))
}

/// Compiles the settings, without installing them and without exemptions.
///
/// # Errors
/// [`ApplyError`].
pub fn compile(config: &Config, pinned: &PinnedRoot) -> Result<GateBin, ApplyError> {
    let fingerprint = root::fingerprint(&pinned.note)
        .map_err(|error| ApplyError::Root(pin_path(config), error))?;
    let root = &pinned.root;
    Ok(GateBin {
        mode: config.mode,
        state_dir: config.state_dir.clone(),
        run_dir: config.run_dir.clone(),
        decisions: config.decisions.clone(),
        config_dir: config.directory().to_owned(),
        runtimes: config.runtimes.clone(),
        engines: config.engines.clone(),
        bundles: config.bundles.clone(),
        trust: trust(root, fingerprint),
        floor: config.floor.clone(),
        exemptions: Vec::new(),
        held: Vec::new(),
        rules: config.rules.clone(),
        grace: u64::from(config.grace_hours) * 3_600,
    })
}

/// The part of a trust root that decides, with names replaced by places in lists.
#[must_use]
pub fn trust(root: &TrustRoot, fingerprint: Digest) -> Trust {
    Trust {
        origin: root.origin.clone(),
        root_version: root.version,
        root_digest: fingerprint,
        indexers: root.indexers.keys.iter().map(ToString::to_string).collect(),
        index_threshold: root.indexers.threshold,
        organisations: root
            .organisations
            .iter()
            .map(|each| each.name.clone())
            .collect(),
        signers: root
            .signers
            .iter()
            .map(|signer| SignerRule {
                organisation: signer.organisation,
                level: signer.level,
            })
            .collect(),
        allow: AllowRule {
            threshold: root.allow.threshold,
            min_level: root.allow.min_level,
            organisations: root.allow.organisations.clone(),
        },
        veto: root.veto.clone(),
        unsupported: match root.unsupported {
            Unsupported::Deny => Response::Deny,
            Unsupported::Allow => Response::Warn,
        },
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "the configuration is wrong: {error}"),
            Self::NotEnrolled(path) => write!(
                f,
                "this node has no trust root at '{}'; run 'vcn-hook enroll DIR|URL'",
                path.display()
            ),
            Self::Root(path, error) => write!(f, "trust root '{}': {error}", path.display()),
            Self::Encode(error) => error.fmt(f),
            Self::File(path, error) => write!(f, "'{}': {error}", path.display()),
        }
    }
}

impl std::error::Error for ApplyError {}

impl From<ConfigError> for ApplyError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
