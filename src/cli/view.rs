//! The allowlist and the log as this user's copy has them.
//!
//! Owns which copy answers a person's question: the node's, or the user's own
//! where that is newer. The gate never asks here.

use std::path::{Path, PathBuf};

use super::context::{Context, is_root, own_storage};
use super::failure::{Failure, OrFail as _};
use super::images::{self, Sources};
use super::ledgers::unreadable;
use super::trusted;
use crate::allowlist::index_note::IndexNote;
use crate::allowlist::record::Key;
use crate::apply;
use crate::config::Config;
use crate::engine::{Declared, Engines};
use crate::image::subjects::ImageSubjects;
use crate::ledger::client::{Dir, TlogRead};
use crate::pipeline::{self, Answer};
use crate::policy::gatebin::{Bundle, GateBin, MAX_GATEBIN_SIZE};
use crate::store::Store;
use crate::sys::file;
use crate::trust::root::TrustRoot;
use crate::verdict::{Reason, ReasonCode};

/// A copy of the log, and the trust root that says whose words are in it.
#[derive(Debug)]
pub struct LogCopy {
    /// The copy.
    pub log: Box<dyn TlogRead>,
    /// The trust root.
    pub root: TrustRoot,
}

/// An allowlist, and the rule to judge by.
#[derive(Debug)]
pub struct View {
    /// The compiled rule.
    pub gate: GateBin,
    /// Where the allowlist is.
    pub store: Store,
    state: PathBuf,
}

impl View {
    /// Opens the view of this user: the node's for root, else the newer one of the node's and the user's own.
    ///
    /// # Errors
    /// `configuration` when this machine follows no ledger or nothing was applied.
    pub fn open(context: &Context) -> Result<Self, Failure> {
        let config = context.config()?;
        let node = Self::of_node(&config);
        if is_root() {
            return match (node, trusted::root(&config, &config.state_dir)) {
                (Some(node), _) => Ok(node),
                (None, Err(failure)) => Err(failure),
                (None, Ok(_)) => Err(Failure::configuration("run 'vcn-hook apply' first")),
            };
        }
        let own = Self::of_user(context, &config);
        match (node, own) {
            (Some(node), Ok(own)) if own.age() > node.age() => Ok(own),
            (Some(node), _) => Ok(node),
            (None, own) => own,
        }
    }

    /// Asks about one key, as the gate does.
    ///
    /// # Errors
    /// The reason why there is no verified answer.
    pub fn consult(&self, key: &Key, now: u64) -> Result<Answer, Reason> {
        pipeline::ask(&self.gate, &self.store, key, now)
    }

    /// The signed note of the allowlist.
    ///
    /// # Errors
    /// The reason why there is none.
    pub fn note(&self) -> Result<IndexNote, Reason> {
        pipeline::note(&self.gate, &self.store)
    }

    /// The copy of the log that the allowlist was made from.
    ///
    /// # Errors
    /// When there is none, or no trust root to read it by.
    pub fn log(&self, context: &Context) -> Result<LogCopy, Failure> {
        copy_in(&context.config()?, &self.state)
    }

    fn of_node(config: &Config) -> Option<Self> {
        let bytes =
            file::read_owned(&apply::gatebin_path(&config.state_dir), MAX_GATEBIN_SIZE).ok()?;
        Some(Self {
            gate: GateBin::decode(&bytes).ok()?,
            store: Store::new(&config.state_dir),
            state: config.state_dir.clone(),
        })
    }

    fn of_user(context: &Context, config: &Config) -> Result<Self, Failure> {
        let state = context.own_state(config)?;
        let pinned = trusted::root(config, &state)?;
        let mut gate = apply::compile(config, &pinned).or_fail(
            ReasonCode::Configuration.exit_code(),
            || "no rule to judge by",
        )?;
        gate.state_dir.clone_from(&state);
        Ok(Self {
            gate,
            store: Store::of_user(&state),
            state,
        })
    }

    /// How new the allowlist is; 0 for none that can be used.
    fn age(&self) -> (u64, u64) {
        self.note()
            .map_or((0, 0), |note| (note.log_size, note.time))
    }
}

/// The newest copy of the log that this user has.
///
/// # Errors
/// When there is none.
pub fn copy(context: &Context) -> Result<LogCopy, Failure> {
    View::open(context)?.log(context)
}

/// Finds out which digests an image stands for, with this machine's configuration.
///
/// # Errors
/// As [`images::resolve`].
pub fn resolve(context: &Context, image: &str) -> Result<ImageSubjects, Failure> {
    with_sources(context, |sources| images::resolve(image, sources))?
}

/// Where the engines of this machine keep their files, as `engine` wants to be told.
#[must_use]
pub fn engines(config: &Config) -> Engines {
    let declared = |bundle: &Bundle| Declared {
        path: bundle.path.clone(),
        config: bundle.config,
    };
    Engines {
        docker_roots: config.engines.docker_roots.clone(),
        containerd_roots: config.engines.containerd_roots.clone(),
        storage_roots: config.engines.storage_roots.clone(),
        bundles: config.bundles.iter().map(declared).collect(),
    }
}

/// Does something with the places in which this machine's configuration says that images are.
///
/// # Errors
/// `configuration`.
pub fn with_sources<T>(
    context: &Context,
    work: impl FnOnce(&Sources<'_>) -> T,
) -> Result<T, Failure> {
    let config = context.config()?;
    let progress = context.out.progress();
    let progress = |done, all| progress.bytes(done, all);
    let mut storage_roots = config.engines.storage_roots.clone();
    // A user without root has an engine of his own.
    storage_roots.extend(own_storage().filter(|_| !is_root()));
    Ok(work(&Sources {
        storage_roots: &storage_roots,
        docker_roots: &config.engines.docker_roots,
        containerd_roots: &config.engines.containerd_roots,
        docker_socket: &config.docker_socket,
        progress: &progress,
    }))
}

/// The copy of the log in a state directory.
///
/// # Errors
/// When there is none, or no trust root to read it by.
pub(super) fn copy_in(config: &Config, state: &Path) -> Result<LogCopy, Failure> {
    let log = Dir::open(&state.join("log")).map_err(unreadable)?;
    let root = trusted::root(config, state)?.root;
    Ok(LogCopy {
        log: Box::new(log),
        root,
    })
}
