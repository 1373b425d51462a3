//! Options of `baseline`.
//!
//! Owns the grammar alone.

use clap::Args;

/// Options of `baseline`.
#[derive(Debug, Default, Args)]
pub struct Baseline {
    /// Only images that containers run here; with --stored, or without either, both
    #[arg(long)]
    pub running: bool,
    /// Only images that the engines store here; with --running, or without either, both
    #[arg(long)]
    pub stored: bool,
    /// Only images of which a name or the id is like this; repeatable
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// No images of which a name or the id is like this; repeatable
    #[arg(long, value_name = "GLOB")]
    pub except: Vec<String>,
    /// The key to sign with: a file, the name of one in the key folder, 'agent:NAME' or 'exec:COMMAND'
    #[arg(short, long, value_name = "KEY")]
    pub key: Option<String>,
    /// The ledger to write to, instead of the one this machine follows
    #[arg(long, value_name = "DIR|URL")]
    pub ledger: Option<String>,
    /// The fingerprint of that ledger's trust root, as its keepers publish it
    #[arg(long, value_name = "FINGERPRINT", requires = "ledger")]
    pub root: Option<String>,
    /// Why, for whoever is told of it
    #[arg(long, value_name = "TEXT", default_value = "baseline")]
    pub reason: String,
    /// Notarize what is listed, without asking
    #[arg(short, long)]
    pub yes: bool,
    /// List, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}
