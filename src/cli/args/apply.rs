//! The options of `apply`.

use clap::Args;

/// Options of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// Let go of what is held because too many words of the ledger's are missing at once
    #[arg(long)]
    pub accept_lapses: bool,
}
