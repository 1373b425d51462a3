//! What is starting: one bundle, the engine's own files and the kernel's mounts, made into one identity.
//!
//! Owns how each engine stores what it knows. Reads files only: no engine's
//! API, no lock that a daemon holds, no network. What an identity is worth is
//! the ledger's to say, and what a fact is worth is `policy`'s.

pub mod bolt;
pub mod bundle;
pub mod containerd;
pub mod docker;
pub mod docker_images;
pub mod mounts;

use std::path::PathBuf;

use crate::engine::bundle::Bundle;
use crate::image::digest::Digest;
use crate::image::identity::Identity;
use crate::policy::facts::Facts;
use crate::verdict::{ReasonCode, Undecided};

/// What a runtime was told to do, as far as it concerns the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// What is to happen.
    pub verb: Verb,
    /// The container's id, the last word of the command.
    pub id: String,
    /// The bundle's absolute path; `None` for `start` and `exec`, whose bundle the runtime's own state names.
    pub bundle: Option<PathBuf>,
    /// The value of `--root`, where given.
    pub runtime_root: Option<PathBuf>,
    /// Whose state directory and options these are.
    pub runtime: RuntimeKind,
}

/// The verbs that the gate has a say in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Sets a container up, not yet running the image's code.
    Create,
    /// Create and start in one.
    Run,
    /// Runs the image's code in a container that was created.
    Start,
    /// Continues a checkpoint.
    Restore,
    /// Runs one more process in a running container.
    Exec,
}

/// The low-level runtimes whose command lines are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeKind {
    /// runc.
    Runc,
    /// crun.
    Crun,
}

/// Where engines keep their files on this node; all root-owned configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Engines {
    /// Docker's data roots (`/var/lib/docker`).
    pub docker_roots: Vec<PathBuf>,
    /// containerd's roots (`/var/lib/containerd`).
    pub containerd_roots: Vec<PathBuf>,
    /// Graph roots of containers/storage (`/var/lib/containers/storage`).
    pub storage_roots: Vec<PathBuf>,
    /// Bundles that no engine knows, and what they are.
    pub bundles: Vec<KnownBundle>,
}

/// A bundle that root's configuration names an image for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBundle {
    /// The bundle's directory.
    pub path: PathBuf,
    /// The config digest of its image.
    pub config: Digest,
}

/// What no container may write: the gate's files, its state, and the engines'.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guarded {
    /// Absolute paths of files and directories.
    pub paths: Vec<PathBuf>,
    /// Sockets that command an engine.
    pub sockets: Vec<PathBuf>,
}

/// A container that is about to start, and the image that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The id that engine and runtime know it by.
    pub id: String,
    /// The name that people know it by. Not to be trusted.
    pub name: Option<String>,
    /// What the user asked for. Not to be trusted.
    pub image_name: Option<String>,
    /// The image, bound to the mounted layers.
    pub identity: Identity,
    /// Whether the engine has never started it.
    pub first_start: bool,
    /// The engine's root directory whose files named the image.
    pub engine_root: PathBuf,
    /// The root file system.
    pub rootfs: Rootfs,
    /// What the runtime is told to make of it.
    pub bundle: Bundle,
}

/// A mounted root file system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rootfs {
    /// Where it is mounted.
    pub path: PathBuf,
    /// The read-only layers, topmost first.
    pub lowers: Vec<PathBuf>,
    /// The writable layer.
    pub upper: Option<PathBuf>,
}

/// Finds out which image `start` is about, from the engine's own record of this very container,
/// and binds it to the layers that are mounted.
///
/// # Errors
/// `no-identity`, `unbound`, `unreadable`, or `build` for a step of an image build, which has no image yet.
pub fn identify(start: &Start, _engines: &Engines) -> Result<Container, Undecided> {
    Err(Undecided::new(
        ReasonCode::NoIdentity,
        format!("no engine of this node knows container '{}'", start.id),
        "start it through an engine listed in [engines]",
    ))
}

/// Looks at what a digest does not say: the upper layer, the mounts, host access, the process.
///
/// # Errors
/// `unreadable` when something that must be looked at cannot be.
pub fn facts(
    _start: &Start,
    _container: &Container,
    _guarded: &Guarded,
) -> Result<Facts, Undecided> {
    Ok(Facts::none())
}

impl Verb {
    /// The verb as it is typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Run => "run",
            Self::Start => "start",
            Self::Restore => "restore",
            Self::Exec => "exec",
        }
    }
}

impl RuntimeKind {
    /// The name of its program.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Crun => "crun",
        }
    }
}
