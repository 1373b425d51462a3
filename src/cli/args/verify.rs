//! Options of `verify`: what is asked about, whose words count, and whether every byte is read.

use clap::Args;

use crate::cli::help;

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The images.
    #[arg(value_name = "IMAGE", required_unless_present = "hash", help = help::IMAGES)]
    pub images: Vec<String>,
    /// Ask about this digest instead
    #[arg(long, value_name = "HEX", conflicts_with = "images")]
    pub hash: Option<String>,
    /// Which words count.
    #[command(flatten)]
    pub selection: Selection,
    /// Exit with N instead of 0 when every image is TRUSTED
    #[arg(long, value_name = "N")]
    pub exit_code: Option<u8>,
    /// Whether its files are to be read.
    #[command(flatten)]
    pub deep: Deep,
}

/// Which of the ledger's words count.
#[derive(Debug, Clone, Default, Args)]
pub struct Selection {
    /// The signers that were asked for; any one of several will do.
    #[arg(
        short,
        long = "signerID",
        visible_alias = "signer-id",
        value_name = "ID",
        value_delimiter = ' ',
        help = "Ask that this signer vouches: its name, key id, or both; any one of several will do [env: VCN_SIGNERID]"
    )]
    pub signers: Vec<String>,
    /// The organisation that was asked for.
    #[arg(
        short = 'I',
        long,
        value_name = "NAME",
        conflicts_with = "signers",
        help = "Ask that this organisation vouches [env: VCN_ORG]"
    )]
    pub org: Option<String>,
    /// Count no signer below this level (-1 to 4, or 99)
    #[arg(long, value_name = "LEVEL", allow_negative_numbers = true)]
    pub min_level: Option<i8>,
}

/// Whether the layers on disk are to be compared with what was pulled.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Deep {
    /// Read every file of every layer, and compare all with what was pulled; IMAGE may then be a
    /// container too: its name, its id or the beginning of that
    #[arg(long, conflicts_with = "hash")]
    pub deep: bool,
    /// Read again what has not changed since it was found intact, too
    #[arg(long, requires = "deep")]
    pub again: bool,
}
