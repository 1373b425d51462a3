//! The grammar of the command line: verbs, vcn's aliases, options, help.
//!
//! Owns what may be typed and what `--help` says about it. What a verb does
//! is in the file of its name. The engines' entrances are not here: they are
//! chosen in `main` before this grammar is built.

mod apply;
mod exempt;
mod trust;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::help;
use super::ledger;
use super::output::Format;

mod baseline;
mod completion;
mod configure;
mod mode;
mod self_test;
mod setup;
mod status;
mod verify;
mod watch;

pub use apply::Apply;
pub use baseline::Baseline;
pub use completion::{Completion, Shell};
pub use configure::{Configure, Unconfigure, Way};
pub use exempt::{Exempt, ExemptFile, ExemptRemove, ExemptSign, ExemptVerb, NewExemption};
pub use mode::{Mode, ModeWord};
pub use self_test::{EngineWord, SelfTest};
pub use setup::{Setup, Skippable};
pub use status::Status;
pub use trust::{Named, Trust, TrustEdit, TrustPublish, TrustShow, TrustSign};
pub use verify::{Deep, Selection, Verify};
pub use watch::Watch;

/// Starts a container only if its image is TRUSTED in a transparency ledger.
#[derive(Debug, Parser)]
#[command(
    name = "vcn-hook",
    version,
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = help::OVERVIEW
)]
pub struct CommandLine {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// Print the version
    #[arg(short = 'v', long, short_alias = 'V', action = ArgAction::Version)]
    version: Option<bool>,
}

/// Options of every verb.
#[derive(Debug, Args)]
pub struct Global {
    /// Use this configuration instead of the machine's
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "VCN_HOOK_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// How to write the answer: text, json or yaml
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value = "text",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub output: Format,
    /// Print the answer and errors only: no remarks, no progress
    #[arg(short = 'S', long, global = true)]
    pub silent: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// State in the ledger that an image is TRUSTED
    #[command(visible_aliases = ["n", "sign", "s"], after_help = help::NOTARIZE)]
    Notarize(State),
    /// State in the ledger that an image is no longer to be trusted
    #[command(visible_alias = "ut", after_help = help::UNTRUST)]
    Untrust(State),
    /// State in the ledger that an image is no longer supported
    #[command(visible_alias = "us", after_help = help::UNSUPPORT)]
    Unsupport(State),
    /// Notarize what runs and what is stored here, after showing it
    #[command(after_help = help::BASELINE)]
    Baseline(Baseline),
    /// Say whether images are TRUSTED, as the gate would
    #[command(visible_aliases = ["v", "a", "authenticate"], after_help = help::VERIFY)]
    Verify(Verify),
    /// List the newest statements of the ledger
    #[command(visible_alias = "l", after_help = help::LIST)]
    List(List),
    /// Show every statement about one image
    #[command(visible_alias = "i", after_help = help::INSPECT)]
    Inspect(Inspect),
    /// Make a key to notarize with
    #[command(after_help = help::KEYGEN)]
    Keygen(Keygen),
    /// Say why a container was allowed or refused
    #[command(after_help = help::EXPLAIN)]
    Explain(Explain),
    /// Show whether this node's gate is on, and how fresh its allowlist is
    #[command(after_help = help::STATUS)]
    Status(Status),
    /// Find what lets a start come round the gate, or keeps it from judging right
    #[command(after_help = help::DOCTOR)]
    Doctor,
    /// Judge what runs, again and again, and tell whom it concerns
    #[command(after_help = help::WATCH)]
    Watch(Watch),
    /// List what was refused, or would have been in audit mode
    #[command(after_help = help::REPORT)]
    Report(Report),
    /// Prove with two canaries that the gate refuses what it must, and lets start what may
    #[command(after_help = help::SELF_TEST)]
    SelfTest(SelfTest),
    /// Show whether refusals refuse, or set it: audit or enforce
    #[command(after_help = help::MODE)]
    Mode(Mode),
    /// From an installed package to a node that refuses, step by step
    #[command(after_help = help::SETUP)]
    Setup(Setup),
    /// Make this machine follow a ledger
    #[command(after_help = help::ENROLL)]
    Enroll(Enroll),
    /// Bring this machine's allowlist up to date
    #[command(after_help = help::SYNC)]
    Sync,
    /// Compile the configuration and the trust root for the gate
    #[command(after_help = help::APPLY)]
    Apply(Apply),
    /// Let one image start on this node for a while, in an emergency
    #[command(after_help = help::EXEMPT)]
    Exempt(Exempt),
    /// Put the gate in an engine's way, or say where it is
    #[command(after_help = help::CONFIGURE)]
    Configure(Configure),
    /// Take the gate out of the engines' way, exactly
    #[command(after_help = help::UNCONFIGURE)]
    Unconfigure(Unconfigure),
    /// Make a ledger, and keep it
    #[command(subcommand)]
    Ledger(Ledger),
    /// Say who may say what: the trust root, from one version to the next
    #[command(subcommand)]
    Trust(Trust),
    /// Check the configuration, or show what follows from it
    #[command(subcommand)]
    Config(Config),
    /// vcn's login: not needed any more
    #[command(hide = true)]
    Login(Replaced),
    /// vcn's dashboard: not needed any more
    #[command(hide = true, visible_alias = "d")]
    Dashboard(Replaced),
    /// Print what a shell needs to complete command lines
    #[command(after_help = help::COMPLETION)]
    Completion(Completion),
    /// Print the version
    Version,
}

/// Options of the verbs that state something.
#[derive(Debug, Args)]
pub struct State {
    /// The images.
    #[arg(value_name = "IMAGE", required_unless_present = "hash", help = help::IMAGES)]
    pub images: Vec<String>,
    /// State this image ID (config digest) without its bytes; TRUSTED then starts nothing
    #[arg(long, value_name = "HEX", conflicts_with = "images")]
    pub hash: Option<String>,
    /// The name to state, instead of the image's own
    #[arg(short, long, value_name = "NAME")]
    pub name: Option<String>,
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
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// When TRUSTED lapses: 90d, 12h, 2027-03-31 or 2027-03-31T12:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub not_after: Option<String>,
}

/// Options of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only statements of this signer; repeatable
    #[arg(
        short,
        long = "signerID",
        visible_alias = "signer-id",
        value_name = "ID"
    )]
    pub signers: Vec<String>,
    /// Only this many, the newest
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub last: usize,
}

/// Options of `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The image, or a bare digest
    #[arg(value_name = "IMAGE", required_unless_present = "hash")]
    pub image: Option<String>,
    /// Ask about this digest instead
    #[arg(long, value_name = "HEX", conflicts_with = "image")]
    pub hash: Option<String>,
    /// Only statements of this signer; repeatable
    #[arg(
        short,
        long = "signerID",
        visible_alias = "signer-id",
        value_name = "ID"
    )]
    pub signers: Vec<String>,
    /// Only this many, the oldest
    #[arg(long, value_name = "N", conflicts_with = "last")]
    pub first: Option<usize>,
    /// Only this many, the newest
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub last: usize,
}

/// Options of `keygen`.
#[derive(Debug, Args)]
pub struct Keygen {
    /// The key's name, as the ledger will show it
    #[arg(value_name = "NAME", default_value = "default")]
    pub name: String,
    /// The folder to write it to [default: $XDG_CONFIG_HOME/vcn-hook/keys]
    #[arg(long, value_name = "DIR")]
    pub keys: Option<PathBuf>,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The container: its id, the beginning of it, or its name
    #[arg(value_name = "CONTAINER")]
    pub container: String,
    /// Show this many decisions, the newest
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub last: usize,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Only decisions not older than this: 24h, 7d
    #[arg(long, value_name = "SPAN")]
    pub since: Option<String>,
    /// Add the containers that run now and would be refused at their next start
    #[arg(long)]
    pub running: bool,
}

/// Options of `enroll`.
#[derive(Debug, Args)]
pub struct Enroll {
    /// Where the ledger is
    #[arg(value_name = "DIR|URL")]
    pub ledger: String,
    /// The fingerprint of the trust root, as the ledger's keepers publish it
    #[arg(long, value_name = "FINGERPRINT")]
    pub root: Option<String>,
}

/// The verbs of a ledger's keeper.
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Make a complete one-machine ledger: log, trust root, and a first signer
    #[command(after_help = help::LEDGER_INIT)]
    Init(LedgerInit),
    /// Serve the ledger over HTTP, and take statements from its signers
    #[command(after_help = help::LEDGER_SERVE)]
    Serve(LedgerServe),
    /// Bring the ledger's index up to date, and sign it anew before it expires
    #[command(after_help = help::LEDGER_INDEX)]
    Index(LedgerDirectory),
    /// Recompute everything from the entries, and compare
    Check(LedgerDirectory),
}

/// Options of `ledger init`.
#[derive(Debug, Args)]
pub struct LedgerInit {
    /// The directory to make
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The ledger's name for ever, such as ledger.example/vcn
    #[arg(long, value_name = "NAME")]
    pub origin: String,
    /// The folder of the first signer's key [default: $XDG_CONFIG_HOME/vcn-hook/keys]
    #[arg(long, value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// The first organisation's company, as `verify` will show it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub company: String,
    /// The first organisation's website
    #[arg(long, value_name = "URL", default_value = "")]
    pub website: String,
    /// Do not turn on the timer that keeps the index signed
    #[arg(long)]
    pub no_timer: bool,
}

/// Options of `ledger serve`.
#[derive(Debug, Args)]
pub struct LedgerServe {
    /// The ledger's directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = ledger::serve::LISTEN, value_parser = ledger::serve::parse_listen)]
    pub listen: SocketAddr,
}

/// The directory of a ledger.
#[derive(Debug, Args)]
pub struct LedgerDirectory {
    /// The ledger's directory
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// The verbs about config.toml.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Say whether the configuration would be applied
    Check,
    /// Show the settings in force and where each was made, defaults included
    Show {
        /// Print the commented default file instead
        #[arg(long)]
        default: bool,
    },
}

/// Whatever follows a verb of vcn that something else replaces.
#[derive(Debug, Args)]
pub struct Replaced {
    /// Ignored.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub rest: Vec<std::ffi::OsString>,
}

#[cfg(test)]
mod tests {
    use super::{CommandLine, Verb};
    use crate::cli::output::Format;
    use clap::{CommandFactory as _, Parser as _};

    #[test]
    fn the_grammar_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn vcns_command_lines_are_understood() {
        for (line, verb) in [
            ("vcn sign docker://hello-world", "notarize"),
            ("vcn s docker://hello-world", "notarize"),
            ("vcn n docker://parity/parity:ztc", "notarize"),
            ("vcn notarize --hash ab --name x", "notarize"),
            ("vcn ut docker://x", "untrust"),
            ("vcn us docker://x", "unsupport"),
            ("vcn verify docker://parity/parity:ztc", "verify"),
            ("vcn v -o=json docker://x", "verify"),
            ("vcn -o json a docker://x", "verify"),
            (
                "vcn authenticate --signerID a --signerID b --silent --output json --hash ab",
                "verify",
            ),
            ("vcn authenticate -I org docker://x", "verify"),
        ] {
            let parsed = CommandLine::try_parse_from(line.split(' ')).unwrap();
            let name = match parsed.verb {
                Verb::Notarize(_) => "notarize",
                Verb::Untrust(_) => "untrust",
                Verb::Unsupport(_) => "unsupport",
                Verb::Verify(ref verify) => {
                    let json = line.contains("json");
                    assert_eq!(parsed.global.output == Format::Json, json, "{line}");
                    assert!(verify.hash.is_some() || verify.images.len() == 1);
                    "verify"
                }
                _ => "another",
            };
            assert_eq!(name, verb, "{line}");
        }
    }

    #[test]
    fn every_signer_is_honoured() {
        let line = [
            "vcn-hook",
            "v",
            "-s",
            "a",
            "-s",
            "b",
            "--min-level",
            "-1",
            "docker://x",
        ];
        let parsed = CommandLine::try_parse_from(line).unwrap();
        let Verb::Verify(verify) = parsed.verb else {
            panic!("not verify");
        };
        assert_eq!(verify.selection.signers, ["a", "b"]);
        assert_eq!(verify.selection.min_level, Some(-1));
    }
}
