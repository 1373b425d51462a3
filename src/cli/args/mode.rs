//! Options of `mode`.
//!
//! Owns the words for the two modes on the command line. What they mean is the policy's.

use clap::{Args, ValueEnum};

use crate::policy::gatebin;

/// Options of `mode`.
#[derive(Debug, Args)]
pub struct Mode {
    /// audit: record what would be refused, and let it start; enforce: refuse
    #[arg(value_name = "audit|enforce", value_enum, hide_possible_values = true)]
    pub mode: Option<ModeWord>,
    /// Enforce although something would be refused, without asking
    #[arg(short, long, requires = "mode")]
    pub yes: bool,
    /// Show what would be refused and what would be written, and change nothing
    #[arg(long, requires = "mode")]
    pub dry_run: bool,
}

/// A mode, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeWord {
    /// Records what would be refused.
    Audit,
    /// Refuses.
    Enforce,
}

impl From<ModeWord> for gatebin::Mode {
    fn from(word: ModeWord) -> Self {
        match word {
            ModeWord::Audit => Self::Audit,
            ModeWord::Enforce => Self::Enforce,
        }
    }
}
