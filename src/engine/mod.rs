//! What is starting: one bundle, the engine's own files and the kernel's mounts, made into one identity.
//!
//! Owns how each engine stores what it knows. Reads files only: no engine's
//! API, no lock that a daemon holds, no network. What an identity is worth is
//! the ledger's to say, and what a fact is worth is `policy`'s.

pub mod bolt;
pub mod bundle;
pub mod code;
pub mod containerd;
mod declared;
pub mod docker;
pub mod docker_files;
pub mod docker_images;
pub mod docker_store;
pub mod home;
pub mod host;
pub mod interpreter;
mod landing;
mod layers;
pub mod mounts;
mod observe;
pub mod process;
pub mod reach;
pub mod running;
pub mod state;
pub mod storage;
pub mod storage_images;
mod table;
mod trouble;
pub mod unpacked;
pub mod upper;

pub use observe::facts;

use std::path::{Path, PathBuf};

use crate::engine::bundle::Bundle;
use crate::engine::home::Home;
use crate::image::digest::{ChainId, Digest};
use crate::image::identity::Identity;
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
    /// The container's first process, where the runtime itself says it.
    pub init: Option<u32>,
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
    /// A hook: the runtime has made the container and mounted everything, and runs no code yet.
    Hook,
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
    /// The bundles that no engine makes.
    pub bundles: Vec<Declared>,
}

/// A bundle that is started by hand, and root's word on what image it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its directory.
    pub path: PathBuf,
    /// The config digest of the image that its root file system holds.
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
    /// The image, bound to the mounted layers (or said to be unbound).
    pub identity: Identity,
    /// Whether the engine has never started it.
    pub first_start: bool,
    /// Whether it is an engine's own container for a pod's namespaces, and nothing but that.
    pub pause: bool,
    /// The engine whose files named the image.
    pub home: Home,
    /// Where the engine keeps the config of the image, if it still does.
    pub image_config: PathBuf,
    /// The root file system.
    pub rootfs: Rootfs,
    /// What the runtime is told to make of it.
    pub bundle: Bundle,
}

/// The image that a container is bound to, and the layers that are mounted for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The image.
    pub identity: Identity,
    /// Where the engine keeps its config, if it still does.
    pub config: PathBuf,
    /// The root file system.
    pub rootfs: Rootfs,
    /// Whether it is an engine's own container for a pod's namespaces, and nothing but that.
    pub pause: bool,
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
pub fn identify(start: &Start, engines: &Engines) -> Result<Container, Undecided> {
    if start.verb == Verb::Restore {
        let detail = "a checkpoint's memory cannot be bound to an image";
        let hint = "permit it on this node with [restore] policy = \"allow\"";
        return Err(Undecided::new(ReasonCode::Restore, detail, hint));
    }
    let bundle = match &start.bundle {
        Some(path) => Bundle::read(path)?,
        None => Bundle::read(&state::bundle_of(start)?)?,
    };
    let rootfs = bundle.rootfs();
    if let Some(layout) = docker::Layout::of(&rootfs, &engines.docker_roots) {
        return docker::identify(&start.id, bundle, layout);
    }
    if let Some(layout) = docker_store::Layout::of(&rootfs, &start.id, &engines.docker_roots) {
        let roots = &engines.containerd_roots;
        return docker_store::identify(&start.id, bundle, layout, roots);
    }
    if let Some(layout) = storage::Layout::of(&bundle.path, &start.id, &engines.storage_roots) {
        return storage::identify(&start.id, bundle, &layout, &engines.storage_roots);
    }
    if docker::is_build(&rootfs, &engines.docker_roots) {
        return Err(build_step());
    }
    if let Some(config) = declared::find(&bundle.path, &engines.bundles) {
        return declared::identify(&start.id, bundle, config, engines);
    }
    Err(no_engine(&rootfs))
}

fn build_step() -> Undecided {
    let detail = "a build step has no image yet";
    let hint = "permit builds on this node with [build] policy = \"allow\"";
    Undecided::new(ReasonCode::Build, detail, hint)
}

fn no_engine(rootfs: &Path) -> Undecided {
    Undecided::new(
        ReasonCode::NoIdentity,
        format!(
            "no engine of this node knows the root file system '{}'",
            rootfs.display()
        ),
        "start it through an engine whose root is listed in [engines] of config.toml, or say there what \
         image the bundle is with [[bundle]] path = \"...\", config = \"sha256:...\"",
    )
}

/// Reads the image's own config and says which chain it names; the engine may have lost it.
///
/// # Errors
/// `unreadable` when it is not there, or is not the one that its digest names.
pub fn chain_of_config(container: &Container) -> Result<ChainId, Undecided> {
    docker::chain_of_config(&container.image_config, &container.identity.config)
}

impl Image {
    /// As [`chain_of_config`].
    ///
    /// # Errors
    /// `unreadable`.
    pub fn chain_of_config(&self) -> Result<ChainId, Undecided> {
        docker::chain_of_config(&self.config, &self.identity.config)
    }
}

impl From<Container> for Image {
    fn from(container: Container) -> Self {
        Self {
            identity: container.identity,
            config: container.image_config,
            rootfs: container.rootfs,
            pause: container.pause,
        }
    }
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
            Self::Hook => "hook",
        }
    }
}

impl Start {
    /// Whether the container is there already, so that its own mount table can be looked at.
    #[must_use]
    pub const fn is_made(&self) -> bool {
        matches!(self.verb, Verb::Start | Verb::Hook)
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
