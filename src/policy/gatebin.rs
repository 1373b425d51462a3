//! gate.bin: everything that the gate reads besides the allowlist, compiled by `vcn-hook apply`.
//!
//! Owns the compiled settings and their encoding: a magic line, the SHA-256 of
//! the body in hexadecimal, and a JSON body. It is written and read by the
//! same version of the program, so it promises no compatibility; a body that
//! does not hash to its second line is refused whole. Where the settings come
//! from belongs to `apply`.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::allowlist::index_note::IndexNote;
use crate::allowlist::note::VerifierKey;
use crate::image::digest::{ChainId, Digest, hex};
use crate::verdict::{Reason, ReasonCode};

/// The most bytes a gate.bin may have: some ten thousand floor entries and exceptions.
pub const MAX_GATEBIN_SIZE: u64 = 4 << 20;

/// How far clocks that are kept right may be apart, in seconds.
const CLOCK_SKEW: u64 = 300;

const MAGIC: &[u8] = b"vcn-gate/1\n";

/// The compiled settings of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateBin {
    /// Whether a refusal refuses.
    pub mode: Mode,
    /// Where the allowlist and gate.bin are.
    pub state_dir: PathBuf,
    /// Where counters are.
    pub run_dir: PathBuf,
    /// The file that decision records are appended to.
    pub decisions: PathBuf,
    /// Directory of config.toml: guarded against writable mounts like the state.
    pub config_dir: PathBuf,
    /// The real runtimes.
    pub runtimes: Runtimes,
    /// Where the engines keep their state.
    pub engines: Engines,
    /// The bundles that no engine makes, and what image each is. A gate.bin from before there were any
    /// must go on starting containers until the next `apply`.
    #[serde(default)]
    pub bundles: Vec<Bundle>,
    /// Who may say what may run.
    pub trust: Trust,
    /// Config digests that start when the ledger cannot be asked about them or has no word.
    pub floor: Vec<Digest>,
    /// What the exempt keys let start on this node for a while. Absent from a gate.bin of before there were any.
    #[serde(default)]
    pub exemptions: Vec<Exempted>,
    /// Images whose words have lapsed, more of them at once than is normal: they start until the words are
    /// back, or somebody lets them go. Absent from a gate.bin of before there were any.
    #[serde(default)]
    pub held: Vec<Held>,
    /// What the rules beyond the ledger answer.
    pub rules: Rules,
    /// Seconds after its expiry for which an allowlist still answers.
    pub grace: u64,
}

/// Whether a refusal refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Records what would have been refused, and lets it start.
    Audit,
    /// Refuses.
    Enforce,
}

/// The real runtimes, by absolute path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtimes {
    /// The real runc.
    pub runc: PathBuf,
    /// The real crun.
    pub crun: PathBuf,
}

/// Directories under which an engine's word counts. An engine anywhere else has no identity to give.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engines {
    /// Docker's data roots.
    pub docker_roots: Vec<PathBuf>,
    /// containerd's roots.
    pub containerd_roots: Vec<PathBuf>,
    /// containers/storage graph roots.
    pub storage_roots: Vec<PathBuf>,
}

/// A bundle that is started by hand: root's word on what image it is, which no engine gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Its directory.
    pub path: PathBuf,
    /// The config digest of the image that its root file system holds.
    pub config: Digest,
}

/// The part of the trust root that decides, with names replaced by places in lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The ledger's origin.
    pub origin: String,
    /// Version of the trust root.
    pub root_version: u64,
    /// SHA-256 of the trust root's signed text.
    pub root_digest: Digest,
    /// Verifier keys of the indexers, in vkey form.
    pub indexers: Vec<String>,
    /// How many of them must have signed the note.
    pub index_threshold: usize,
    /// Names of the organisations; a record's organisation is a place in this list.
    pub organisations: Vec<String>,
    /// The signers; a record's `signer` is a place in this list.
    pub signers: Vec<SignerRule>,
    /// Whose word, and how many, let something start.
    pub allow: AllowRule,
    /// The organisations whose UNTRUSTED refuses; `None` for any.
    pub veto: Option<Vec<u16>>,
    /// What UNSUPPORTED answers: `Deny`, or `Warn` to let it start visibly.
    pub unsupported: Response,
}

/// One signer as the gate sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignerRule {
    /// Place of its organisation in [`Trust::organisations`].
    pub organisation: u16,
    /// How well it is verified: vcn's levels.
    pub level: i8,
}

/// Whose word, and how many, let something start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowRule {
    /// How many organisations must vouch. At least one.
    pub threshold: usize,
    /// Signers below this level do not count.
    pub min_level: i8,
    /// The organisations that count.
    pub organisations: Vec<u16>,
}

/// One image that may start for a while although the ledger has no word about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exempted {
    /// The image.
    pub config: Digest,
    /// Unix seconds from which it may.
    pub from: u64,
    /// Unix seconds from which it may not any more.
    pub until: u64,
    /// Who signed that, until when and why, in words.
    pub because: String,
}

/// One image that starts although the ledger's word about it has lapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The image.
    pub config: Digest,
    /// The layers that the ledger vouched for.
    pub chain: ChainId,
    /// Unix seconds since which it is held.
    pub since: u64,
}

/// What a rule answers when it is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// Nothing to see.
    Allow,
    /// It starts, and an alert says so.
    Warn,
    /// It does not start.
    Deny,
}

/// What the rules beyond the ledger answer, and their exceptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Files were put into the container before its first start.
    pub upper_not_pristine: Response,
    /// Code was changed inside the container after its first start.
    pub upper_changed: Response,
    /// A mount covers code of the image.
    pub mount_over_code: Response,
    /// A writable mount reaches the gate's files or engine state.
    pub mount_of_state: Response,
    /// Something is mounted below the root file system before the runtime runs.
    pub mount_below_rootfs: Response,
    /// Privileges on the host.
    pub host: Response,
    /// Arguments or environment differ from the image's.
    pub process: Response,
    /// `restore` of a checkpoint.
    pub restore: Response,
    /// `exec` into a running container.
    pub exec: Response,
    /// BuildKit's RUN steps.
    pub build: Response,
    /// Paths that may be in the upper layer, for one image each.
    pub upper_allow: Vec<UpperAllow>,
    /// Mounts over code that are known and wanted.
    pub mount_allow: Vec<MountAllow>,
}

/// Paths that may be in the upper layer of containers of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpperAllow {
    /// The image.
    pub config: Digest,
    /// Absolute paths inside the container.
    pub paths: Vec<String>,
}

/// One mount that may cover code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountAllow {
    /// The host path that is mounted.
    pub source: String,
    /// The path in the container that it covers; any when absent.
    pub destination: Option<String>,
}

/// Why bytes are no gate.bin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateBinError {
    /// The body cannot be written as JSON (a path that is not UTF-8).
    Encode(String),
    /// The first line is another: another version wrote it, or it is no gate.bin.
    Magic,
    /// The body does not hash to the second line: truncated or changed.
    Checksum,
    /// The body is not the JSON that this version reads.
    Body(String),
}

impl GateBin {
    /// Encodes for the disk.
    ///
    /// # Errors
    /// [`GateBinError::Encode`] when a path is not UTF-8.
    pub fn encode(&self) -> Result<Vec<u8>, GateBinError> {
        let body = serde_json::to_vec(self).map_err(|e| GateBinError::Encode(e.to_string()))?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(Digest::of(&body).hex().as_bytes());
        bytes.push(b'\n');
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    /// Decodes what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`GateBinError`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, GateBinError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(GateBinError::Magic)?;
        let (checksum, rest) = rest.split_at_checked(64).ok_or(GateBinError::Checksum)?;
        let body = rest.strip_prefix(b"\n").ok_or(GateBinError::Checksum)?;
        if hex(Digest::of(body).as_bytes()).as_bytes() != checksum {
            return Err(GateBinError::Checksum);
        }
        serde_json::from_slice(body).map_err(|e| GateBinError::Body(e.to_string()))
    }

    /// Whether root put this image on the node's floor.
    #[must_use]
    pub fn on_floor(&self, config: &Digest) -> bool {
        self.floor.contains(config)
    }

    /// Whether this image is held, with these layers.
    #[must_use]
    pub fn holds(&self, config: &Digest, chain: Option<&ChainId>) -> bool {
        let same = |held: &Held| held.config == *config && Some(&held.chain) == chain;
        self.held.iter().any(same)
    }

    /// Whether something here may stand in for the ledger's word, if the image's own config names its layers.
    #[must_use]
    pub fn may_stand_in(&self, config: &Digest, now: u64) -> bool {
        self.on_floor(config) || self.exemption(config, now).is_some()
    }

    /// The exemption of this image that counts at `now`; of several, the one that lasts longest.
    #[must_use]
    pub fn exemption(&self, config: &Digest, now: u64) -> Option<&Exempted> {
        // Whoever signs one may be some seconds ahead of the node that is to start something at once.
        let begun = |each: &&Exempted| each.from <= now.saturating_add(CLOCK_SKEW);
        self.exemptions
            .iter()
            .filter(|each| each.config == *config && now < each.until)
            .filter(begun)
            .max_by_key(|each| each.until)
    }
}

impl Trust {
    /// Whether an allowlist was made under this trust root, or one before it: another may mean other
    /// things by its records.
    #[must_use]
    pub fn knows_root_of(&self, note: &IndexNote) -> bool {
        let (known, named) = (self.root_version, note.root_version);
        named < known || (named == known && note.root_digest == self.root_digest)
    }

    /// The indexers' keys, parsed.
    ///
    /// # Errors
    /// [`ReasonCode::Configuration`]: `apply` writes keys that parse.
    pub fn indexer_keys(&self) -> Result<Vec<VerifierKey>, Reason> {
        self.indexers
            .iter()
            .map(|key| key.parse())
            .collect::<Result<_, _>>()
            .map_err(|error| {
                let detail = format!("gate.bin has an indexer key that is none: {error}");
                Reason::new(
                    ReasonCode::Configuration,
                    detail,
                    "run 'vcn-hook apply' as root",
                )
            })
    }
}

impl Rules {
    /// `profile = "standard"`: refuses what design rule 5 names, warns of what ordinary containers do too.
    #[must_use]
    pub const fn standard() -> Self {
        Self {
            upper_not_pristine: Response::Deny,
            upper_changed: Response::Warn,
            mount_over_code: Response::Deny,
            mount_of_state: Response::Deny,
            mount_below_rootfs: Response::Deny,
            host: Response::Warn,
            process: Response::Allow,
            restore: Response::Deny,
            exec: Response::Allow,
            build: Response::Deny,
            upper_allow: Vec::new(),
            mount_allow: Vec::new(),
        }
    }

    /// `profile = "strict"`: refuses all of it.
    #[must_use]
    pub fn strict() -> Self {
        Self {
            upper_changed: Response::Deny,
            host: Response::Deny,
            process: Response::Deny,
            exec: Response::Deny,
            ..Self::standard()
        }
    }
}

impl Mode {
    /// The name in config.toml and in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Enforce => "enforce",
        }
    }
}

impl fmt::Display for GateBinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(why) => write!(f, "gate.bin cannot be encoded: {why}"),
            Self::Magic => {
                f.write_str("gate.bin was written by another version, or is something else")
            }
            Self::Checksum => f.write_str("gate.bin is truncated or changed: its checksum differs"),
            Self::Body(why) => write!(
                f,
                "gate.bin has a body that this version cannot read: {why}"
            ),
        }
    }
}

impl std::error::Error for GateBinError {}

#[cfg(test)]
#[path = "gatebin_tests.rs"]
pub(crate) mod tests;
