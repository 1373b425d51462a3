//! Options of `setup`.
//!
//! Owns the grammar alone.

use clap::{Args, ValueEnum};

use super::Way;

/// Options of `setup`.
#[derive(Debug, Default, Args)]
pub struct Setup {
    /// Where the ledger is; not needed on a machine that follows one
    #[arg(value_name = "DIR|URL")]
    pub ledger: Option<String>,
    /// The fingerprint of the trust root, as the ledger's keepers publish it
    #[arg(long, value_name = "FINGERPRINT", requires = "ledger")]
    pub root: Option<String>,
    /// docker, podman or system [default: system where dpkg-divert is]
    #[arg(long, value_name = "WAY", value_enum, hide_possible_values = true)]
    pub runtime: Option<Way>,
    /// The key to notarize with, as notarize takes it
    #[arg(short, long, value_name = "KEY")]
    pub key: Option<String>,
    /// Stop in audit mode, before anything is refused
    #[arg(long)]
    pub audit: bool,
    /// Leave out a step: baseline or self-test; repeatable
    #[arg(long, value_name = "STEP", value_enum, hide_possible_values = true)]
    pub skip: Vec<Skippable>,
    /// Yes to every question
    #[arg(short, long)]
    pub yes: bool,
    /// Show every step and what it would do, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// A step that a machine may do without, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Skippable {
    /// Where others notarize.
    Baseline,
    /// Where no engine runs yet.
    SelfTest,
}
