//! The options of `trust`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::help;

/// The verbs of those who answer for the trust root.
#[derive(Debug, Subcommand)]
pub enum Trust {
    /// Show a trust root: its text, its fingerprint, and who has signed it
    #[command(after_help = help::TRUST_SHOW)]
    Show(TrustShow),
    /// Write the text of the next version to a file
    #[command(after_help = help::TRUST_EDIT)]
    Edit(TrustEdit),
    /// Check the next version, show what it changes, and sign it
    #[command(after_help = help::TRUST_SIGN)]
    Sign(TrustSign),
    /// Publish the next version, once enough root keys have signed it
    #[command(after_help = help::TRUST_PUBLISH)]
    Publish(TrustPublish),
}

/// Which ledger is meant.
#[derive(Debug, Args)]
pub struct Named {
    /// The ledger, instead of the one that this machine follows
    #[arg(long, value_name = "DIR|URL")]
    pub ledger: Option<String>,
    /// The fingerprint of that ledger's trust root, as its keepers publish it
    #[arg(long, value_name = "FINGERPRINT", requires = "ledger")]
    pub root: Option<String>,
}

/// Options of `trust show`.
#[derive(Debug, Args)]
pub struct TrustShow {
    /// A ledger, or a file on its way to enough signatures [default: the trust root of this machine]
    #[arg(value_name = "DIR|URL|FILE")]
    pub of: Option<String>,
    /// Print the signed text alone
    #[arg(long)]
    pub text: bool,
}

/// Options of `trust edit`.
#[derive(Debug, Args)]
pub struct TrustEdit {
    /// The file to write, which any editor may change until somebody signs it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which ledger it is for.
    #[command(flatten)]
    pub named: Named,
    /// Let this key make statements, from now on; repeatable
    #[arg(long = "signer", value_name = "VKEY", requires = "org")]
    pub signers: Vec<String>,
    /// The organisation of these signers
    #[arg(long, value_name = "NAME", requires = "signers")]
    pub org: Option<String>,
    /// How well they are verified (-1 to 4, or 99)
    #[arg(
        long,
        value_name = "LEVEL",
        default_value_t = 2,
        allow_negative_numbers = true
    )]
    pub level: i8,
    /// Revoke this signer's key: what it says from now on may be a thief's; repeatable
    #[arg(long = "revoke", value_name = "KEYID")]
    pub revoked: Vec<String>,
    /// Count 'from now on' from this place in the log instead
    #[arg(long, value_name = "INDEX")]
    pub from_index: Option<u64>,
    /// Let this key sign exemptions; repeatable
    #[arg(long = "exempt-key", value_name = "VKEY")]
    pub exempt_keys: Vec<String>,
    /// How many of the exempt keys must sign one
    #[arg(long, value_name = "K")]
    pub exempt_threshold: Option<usize>,
    /// When the version ends: 365d, 2031-03-31 or 2031-03-31T12:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
}

/// Options of `trust sign`.
#[derive(Debug, Args)]
pub struct TrustSign {
    /// The file with the next version
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which ledger it is for.
    #[command(flatten)]
    pub named: Named,
    /// A key to sign with, as for notarize; repeatable [default: the root keys at hand]
    #[arg(short, long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// Show what would be signed, and by whom; sign nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `trust publish`.
#[derive(Debug, Args)]
pub struct TrustPublish {
    /// The ledger's directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The file with the next version, signed
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Show what would be published; write nothing
    #[arg(long)]
    pub dry_run: bool,
}
