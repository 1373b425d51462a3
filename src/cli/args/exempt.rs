//! The options of `exempt`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::trust::Named;
use crate::cli::help;

/// Options of `exempt`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Exempt {
    /// What else may be done with exemptions.
    #[command(subcommand)]
    pub verb: Option<ExemptVerb>,
    /// A new one.
    #[command(flatten)]
    pub new: NewExemption,
}

/// What is done with exemptions that somebody made.
#[derive(Debug, Subcommand)]
pub enum ExemptVerb {
    /// Check an exemption, show it, and sign it
    #[command(after_help = help::EXEMPT_SIGN)]
    Sign(ExemptSign),
    /// Install an exemption that enough keys have signed, and apply it
    Install(ExemptFile),
    /// List the exemptions of this node
    List,
    /// Remove an exemption from this node, and apply that
    Remove(ExemptRemove),
}

/// A new exemption.
#[derive(Debug, Args)]
pub struct NewExemption {
    /// The image.
    #[arg(value_name = "IMAGE", required_unless_present = "hash", help = help::IMAGE)]
    pub image: Option<String>,
    /// Exempt this image ID (config digest) instead
    #[arg(long, value_name = "HEX", conflicts_with = "image")]
    pub hash: Option<String>,
    /// How long, at most 72h: 90m, 24h, 2d
    #[arg(long = "for", value_name = "SPAN", required = true)]
    pub lasts: Option<String>,
    /// Why, for whoever is told of it
    #[arg(long, value_name = "TEXT", required = true)]
    pub reason: Option<String>,
    /// The node that it is for, as its 'status' shows [default: this one]
    #[arg(long, value_name = "ID")]
    pub node: Option<String>,
    /// A key to sign with, as for notarize; repeatable [default: the exempt keys at hand]
    #[arg(short, long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// Where to write it if it cannot be installed yet [default: exempt-DIGEST.note]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Which ledger it is for.
    #[command(flatten)]
    pub named: Named,
    /// Show what would be signed, and by whom; sign and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `exempt sign`.
#[derive(Debug, Args)]
pub struct ExemptSign {
    /// The file with the exemption
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which ledger it is for.
    #[command(flatten)]
    pub named: Named,
    /// A key to sign with, as for notarize; repeatable [default: the exempt keys at hand]
    #[arg(short, long = "key", value_name = "KEY")]
    pub keys: Vec<String>,
    /// Show what would be signed, and by whom; sign nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `exempt install`.
#[derive(Debug, Args)]
pub struct ExemptFile {
    /// The file with the exemption, signed
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Check it; install nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `exempt remove`.
#[derive(Debug, Args)]
pub struct ExemptRemove {
    /// Its file's name, or the image's digest, as 'exempt list' shows them
    #[arg(value_name = "NAME|DIGEST")]
    pub what: String,
    /// Show what would be removed
    #[arg(long)]
    pub dry_run: bool,
}
