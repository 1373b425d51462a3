//! What was observed about a start besides the image: upper layer, mounts, host access, process.
//!
//! Owns the types alone. How they are observed is `engine`'s; what each of
//! them is worth is the rest of `policy`'s.

use std::path::PathBuf;

/// Everything about one start that a digest does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// What lies above the image's layers.
    pub upper: Upper,
    /// The mounts that deserve a word, in the order of the bundle.
    pub mounts: Vec<MountFinding>,
    /// The host access that the bundle asks for.
    pub host: Vec<HostAccess>,
    /// How the process differs from the image's config, where that was at hand.
    pub process: Vec<ProcessChange>,
}

/// What lies above the image's layers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Upper {
    /// Nothing that the engine itself does not explain.
    #[default]
    Clean,
    /// The container has never run, and these paths (as the container sees them) are already there.
    NotPristine(Vec<PathBuf>),
    /// The container has run before, and the code at these paths is no longer the image's.
    Changed(Vec<PathBuf>),
}

/// One mount, and what is the matter with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountFinding {
    /// What is the matter.
    pub fault: MountFault,
    /// Where it comes from, on the host; for a file system of its own, its type.
    pub source: PathBuf,
    /// Where it goes, in the container.
    pub destination: PathBuf,
    /// What it covers (in the container) or reaches (on the host).
    pub touches: PathBuf,
}

/// What can be the matter with a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountFault {
    /// It covers code of the image: `/`, the entry point, its interpreter, `PATH` or library directories.
    OverCode,
    /// It lets the container write the gate's files or the engine's state.
    OfState,
    /// It was there below the root file system before the runtime ran.
    BelowRootfs,
}

/// One kind of access to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostAccess {
    /// Every capability that makes root of the host of root in the container.
    Privileged,
    /// One such capability.
    Capability(String),
    /// The host's namespace of this type (`pid`, `network`, `ipc`, ...).
    Namespace(&'static str),
    /// A device of the host, as the container sees it; `*` for all of them.
    Device(String),
    /// A socket that commands an engine.
    Socket(PathBuf),
    /// A mount of files by which the host, or its kernel, is controlled.
    Files(PathBuf),
    /// The parts of `/proc` and `/sys` that engines hide or make read-only, as they are.
    SystemPaths,
}

/// One difference between the process and what the image's config says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessChange {
    /// Other arguments than entry point and command of the image.
    Arguments,
    /// The image's config is not at hand, so that nobody can say.
    Unknown,
    /// A variable that changes what code runs and that the image does not set, by name.
    Variable(String),
}

impl Facts {
    /// Facts about which nobody has anything to say.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }
}

impl MountFault {
    /// The stable name used in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OverCode => "over-code",
            Self::OfState => "of-state",
            Self::BelowRootfs => "below-rootfs",
        }
    }
}

impl std::fmt::Display for HostAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Privileged => f.write_str("privileged"),
            Self::Capability(name) => write!(f, "capability {name}"),
            Self::Namespace(kind) => write!(f, "host {kind} namespace"),
            Self::Device(path) => write!(f, "device {path}"),
            Self::Socket(path) => write!(f, "socket {}", path.display()),
            Self::Files(path) => write!(f, "mount of {}", path.display()),
            Self::SystemPaths => f.write_str("unconfined system paths"),
        }
    }
}
