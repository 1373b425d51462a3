//! Options of `self-test`.
//!
//! Owns the grammar alone.

use clap::{Args, ValueEnum};

/// Options of `self-test`.
#[derive(Debug, Default, Args)]
pub struct SelfTest {
    /// The engine to start the canaries with [default: docker where it answers, else podman]
    #[arg(
        long,
        value_name = "docker|podman",
        value_enum,
        hide_possible_values = true
    )]
    pub engine: Option<EngineWord>,
    /// Notarize the canary that must start, once for all machines that follow the ledger, and end
    #[arg(long)]
    pub publish: bool,
    /// The key to sign with: a file, the name of one in the key folder, 'agent:NAME' or 'exec:COMMAND'
    #[arg(short, long, value_name = "KEY", requires = "publish")]
    pub key: Option<String>,
    /// The ledger to write to, instead of the one this machine follows
    #[arg(long, value_name = "DIR|URL", requires = "publish")]
    pub ledger: Option<String>,
    /// The fingerprint of that ledger's trust root, as its keepers publish it
    #[arg(long, value_name = "FINGERPRINT", requires = "ledger")]
    pub root: Option<String>,
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// An engine, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineWord {
    /// Docker, through its socket.
    Docker,
    /// Podman, through its command.
    Podman,
}
