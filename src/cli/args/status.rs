//! Options of `status`.

use clap::Args;

/// Options of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Show what runs and what is wrong, and keep it up to date; once, where there is no terminal
    #[arg(short, long)]
    pub watch: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, requires = "watch", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,
}
