//! Options of `configure` and `unconfigure`.
//!
//! Owns the names of the ways in. Where each one leads is `configure`'s.

use clap::{Args, ValueEnum};

use crate::configure::Target;

/// Options of `configure`.
#[derive(Debug, Args)]
pub struct Configure {
    /// docker, podman or system [default: system where dpkg-divert is]
    #[arg(long, value_name = "WAY", value_enum, hide_possible_values = true)]
    pub runtime: Option<Way>,
    /// Show what would be changed as a patch, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Say which ways in are on, and whether they still stand
    #[arg(long, conflicts_with_all = ["runtime", "dry_run"])]
    pub status: bool,
}

/// Options of `unconfigure`.
#[derive(Debug, Args)]
pub struct Unconfigure {
    /// docker, podman or system [default: all that are on]
    #[arg(long, value_name = "WAY", value_enum, hide_possible_values = true)]
    pub runtime: Option<Way>,
    /// Show what would be changed as a patch, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// A way in, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Docker's default runtime.
    Docker,
    /// Podman's runtimes and hooks.
    Podman,
    /// runc and crun themselves.
    System,
    /// Not by itself.
    #[value(hide = true)]
    Containerd,
    /// Not by itself.
    #[value(hide = true, alias = "cri-o")]
    Crio,
}

impl Way {
    /// The way in; `None` for an engine that has none of its own.
    #[must_use]
    pub const fn target(self) -> Option<Target> {
        match self {
            Self::Docker => Some(Target::Docker),
            Self::Podman => Some(Target::Podman),
            Self::System => Some(Target::System),
            Self::Containerd | Self::Crio => None,
        }
    }
}
