//! The identity of what is about to start, bound to the layers the kernel has mounted.
//!
//! Owns the type that says so. How an engine's files and the mount table
//! are read into one belongs to `engine`.

use crate::image::digest::{ChainId, Digest};

/// The engine whose own records named the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Docker, with the overlay2 graph driver.
    Docker,
    /// Docker, with the containerd image store.
    DockerContainerd,
    /// Podman, with the overlay driver of containers/storage.
    Podman,
    /// None: root said in config.toml what image a bundle is.
    Bundle,
}

/// One image, as one container runs it.
///
/// Can only be built by code that has compared the engine's record with the
/// kernel's mounts: `config` is what the engine's record of *this container*
/// says, and `chain` is the chain of the layers that are really mounted. Only
/// a bundle of root's may lack it, and is called unbound wherever it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Digest of the image's config, the "image ID".
    pub config: Digest,
    /// Chain ID of the layers that the kernel has mounted for this container; `None` where nothing
    /// but root's word says what files these are.
    pub chain: Option<ChainId>,
    /// Digest of the image's manifest, where the engine keeps one.
    pub manifest: Option<Digest>,
    /// Who said so.
    pub engine: EngineKind,
}

impl EngineKind {
    /// The stable name used in records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::DockerContainerd => "docker-containerd",
            Self::Podman => "podman",
            Self::Bundle => "bundle",
        }
    }
}

impl Identity {
    /// Whether nothing but root's word says what files are mounted.
    #[must_use]
    pub const fn is_unbound(&self) -> bool {
        self.chain.is_none()
    }
}
