//! Options of `watch`.
//!
//! Owns what may be typed. What is watched, and what is done, is config.toml's.

use clap::Args;

/// Options of `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Look once, tell whom it concerns, and end: 0 when everything passes, else 1
    #[arg(long)]
    pub once: bool,
    /// Pause and stop nothing, tell and write nothing: say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Say only what is another than at the look before, whatever config.toml says
    #[arg(long, conflicts_with = "once")]
    pub changes: bool,
    /// Seconds between two looks, instead of those of `CHECK_INTERVAL` and config.toml
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400), conflicts_with = "once")]
    pub interval: Option<u64>,
}
