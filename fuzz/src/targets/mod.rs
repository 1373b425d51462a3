//! What is fuzzed: each parser of outside bytes, and what must never happen to it.
//!
//! Owns the one list. A panic, a hang and too much memory are bugs everywhere;
//! what else is one, each target says by an assertion: above all, whatever was
//! signed, hashed or bound must not come out as something else.

mod archives;
mod argv;
mod documents;
mod engines;
mod kernel;
mod keys;
mod layers;
mod log;
mod made;
mod notes;
mod oracle;
mod planted;
mod proofs;
mod settings;
mod tables;

/// One parser, or several of the same kind of bytes.
pub struct Target {
    /// What `--target=` and the corpus call it.
    pub name: &'static str,
    /// What it reads.
    pub what: &'static str,
    /// Parses, asserts, and says whether the bytes were accepted.
    pub run: fn(&[u8]) -> bool,
    /// Words of the format, for the mutations.
    pub words: &'static [&'static str],
    /// Puts checksums and signatures right, so that what lies behind them is reached.
    pub repair: Option<fn(&[u8]) -> Option<Vec<u8>>>,
    /// Seeds that our own code makes; real ones lie in the corpus.
    pub made: Option<fn() -> Vec<(&'static str, Vec<u8>)>>,
    /// The longest input that is tried.
    pub longest: usize,
    /// The most bytes that parsing one input may hold.
    pub memory: usize,
}

/// Room for a document and what is made of it.
const MEMORY: usize = 4 << 20;

impl Target {
    /// What most targets have.
    const fn new(name: &'static str, what: &'static str, run: fn(&[u8]) -> bool) -> Self {
        Self {
            name,
            what,
            run,
            words: &[],
            repair: None,
            made: None,
            longest: 8 << 10,
            memory: MEMORY,
        }
    }
}

/// Every target that is run by `fuzz smoke`.
pub const ALL: &[Target] = &[
    notes::NOTE,
    notes::CHECKPOINT,
    notes::INDEX_NOTE,
    notes::TRUST_ROOT,
    notes::EXEMPTION,
    tables::TABLE,
    log::TILES,
    log::STATEMENT,
    log::FOLD,
    proofs::PROOF,
    keys::KEYS,
    settings::CONFIG,
    settings::GATE_BIN,
    settings::DAEMON_JSON,
    argv::ARGV,
    documents::OCI_CONFIG,
    documents::RUNTIME_STATE,
    documents::DOCKER_FILES,
    documents::PODMAN_FILES,
    documents::DOCKER_ANSWER,
    layers::LAYER,
    layers::TAR_SPLIT,
    documents::REQUEST,
    documents::DECISIONS,
    documents::REFERENCE,
    documents::IMAGE,
    archives::ARCHIVE,
    engines::BOLT,
    kernel::MOUNTS,
    kernel::INTERPRETER,
];

/// Targets with a bug in them, which show that bugs are found. Run by name only.
pub const PLANTED: &[Target] = planted::ALL;

/// Finds a target by its name.
pub fn find(name: &str) -> Option<&'static Target> {
    ALL.iter().chain(PLANTED).find(|target| target.name == name)
}
