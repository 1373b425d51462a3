//! Handing a statement to a ledger behind a URL, and proving that it took it.
//!
//! Owns when the same bytes are sent again, and what an answer is worth:
//! nothing, until the log's own signature and hashes say the same. Speaks to
//! `ledger serve`, and to Tessera, which answers with the bare index.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Fresh, Http, ReadError, TlogRead};
use crate::allowlist::note::VerifierKey;
use crate::ledger::checkpoint::{Checkpoint, CheckpointError};
use crate::ledger::proof::{ProofError, Prover, verify_consistency, verify_inclusion};

/// How often the same bytes are sent when no answer comes, and how long to wait in between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// How long an answered entry may take to be under the published checkpoint.
const PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(20);

/// Where a statement went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// Its place in the log.
    pub index: u64,
    /// It was there before this request.
    pub repeated: bool,
}

/// What a server said to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// Taken; the body of the answer.
    Taken(Vec<u8>),
    /// Refused for good.
    Refused { status: u16, body: Vec<u8> },
    /// Not answered, or with the advice to come again: it may have been taken.
    Unheard(String),
}

/// Why a statement is not known to be in the log.
#[derive(Debug)]
pub enum AddError {
    /// The ledger will not have it; nothing was written.
    Refused {
        /// The ledger's code for it, as docs/formats.md lists them, or the HTTP status.
        code: String,
        /// The ledger's words.
        message: String,
    },
    /// No answer came, however often it was sent. It may be in the log all the same.
    Unheard {
        /// The URL.
        place: String,
        /// What happened last.
        why: String,
    },
    /// The answer is none.
    Answer(String),
    /// The log cannot be read.
    Read(ReadError),
    /// The checkpoint is not the log's.
    Checkpoint(CheckpointError),
    /// The log is no longer what was verified before.
    Forked(ProofError),
    /// The entry is not where the answer says.
    Absent(u64, ProofError),
    /// The entry was answered for and is under no checkpoint.
    Unpublished(u64),
}

#[derive(Deserialize)]
struct TakenJson {
    index: u64,
    status: String,
    repeated: bool,
}

#[derive(Deserialize)]
struct RefusedJson {
    error: ReasonJson,
}

#[derive(Deserialize)]
struct ReasonJson {
    code: String,
    message: String,
}

/// Sends `entry` until it is answered, and says where it is by that answer.
///
/// # Errors
/// [`AddError::Refused`], [`AddError::Unheard`] or [`AddError::Answer`].
pub fn add(log: &Http, entry: &[u8]) -> Result<Added, AddError> {
    let mut why = String::new();
    for attempt in 0..TRIES {
        thread::sleep(PAUSE * attempt * attempt);
        match log.post("add", entry) {
            Reply::Taken(body) => return taken(&body),
            Reply::Refused { status, body } => return Err(refused(status, &body)),
            Reply::Unheard(what) => why = what,
        }
    }
    let place = format!("{}/add", log.place());
    Err(AddError::Unheard { place, why })
}

/// Requires `entry` to be number `index` of a log that `key` signs and that goes on from `before`.
/// Returns the checkpoint that says so.
///
/// # Errors
/// [`AddError`]; one that is not about reading means that the ledger lies, or has lost its disk.
pub fn prove(
    log: &dyn TlogRead,
    key: &VerifierKey,
    before: &Checkpoint,
    index: u64,
    entry: &[u8],
) -> Result<Checkpoint, AddError> {
    let checkpoint = covering(log, key, index)?;
    let size = checkpoint.size;
    let mut prover = Prover::new(log, size);
    let proof = prover.consistency(before.size).map_err(AddError::Read)?;
    verify_consistency(&before.root, before.size, &checkpoint.root, size, &proof)
        .map_err(AddError::Forked)?;
    let proof = prover.inclusion(index).map_err(AddError::Read)?;
    verify_inclusion(&checkpoint.root, size, index, entry, &proof)
        .map_err(|error| AddError::Absent(index, error))?;
    Ok(checkpoint)
}

/// Reads the checkpoint until it covers the entry: other servers answer before they have published.
fn covering(log: &dyn TlogRead, key: &VerifierKey, index: u64) -> Result<Checkpoint, AddError> {
    let begun = Instant::now();
    loop {
        let bytes = match super::checkpoint(log, None).map_err(AddError::Read)? {
            Fresh::New { bytes, .. } => bytes,
            // Nothing was named that it could be the same as.
            Fresh::Same => Vec::new(),
        };
        let checkpoint = Checkpoint::verify(&bytes, key).map_err(AddError::Checkpoint)?;
        if checkpoint.size > index {
            return Ok(checkpoint);
        }
        if begun.elapsed() > PATIENCE {
            return Err(AddError::Unpublished(index));
        }
        thread::sleep(GLANCE);
    }
}

fn taken(body: &[u8]) -> Result<Added, AddError> {
    if let Ok(taken) = serde_json::from_slice::<TakenJson>(body)
        && taken.status == "applied"
    {
        let TakenJson {
            index, repeated, ..
        } = taken;
        return Ok(Added { index, repeated });
    }
    let bare = std::str::from_utf8(body).ok();
    let index = bare.and_then(|text| text.trim().parse().ok());
    let added = index.map(|index| Added {
        index,
        repeated: false,
    });
    added.ok_or_else(|| AddError::Answer(shown(body)))
}

fn refused(status: u16, body: &[u8]) -> AddError {
    match serde_json::from_slice::<RefusedJson>(body) {
        Ok(RefusedJson { error }) => AddError::Refused {
            code: error.code,
            message: error.message,
        },
        Err(_) => AddError::Refused {
            code: status.to_string(),
            message: shown(body),
        },
    }
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.trim().chars().take(200).collect()
}

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, message } => {
                write!(f, "the ledger refuses it ({code}): {message}")
            }
            Self::Unheard { place, why } => write!(
                f,
                "no answer from '{place}', so the statement may or may not be in the log: {why}"
            ),
            Self::Answer(answer) => write!(f, "the ledger's answer is none: '{answer}'"),
            Self::Read(error) => error.fmt(f),
            Self::Checkpoint(_) => f.write_str("the ledger's checkpoint is not the log's"),
            Self::Forked(_) => f.write_str("the log does not go on from what was verified before"),
            Self::Absent(index, _) => {
                write!(
                    f,
                    "the ledger answered with entry {index}, and the statement is not there"
                )
            }
            Self::Unpublished(index) => {
                write!(
                    f,
                    "the ledger answered with entry {index}, and publishes no such entry"
                )
            }
        }
    }
}

impl std::error::Error for AddError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Checkpoint(error) => Some(error),
            Self::Forked(error) | Self::Absent(_, error) => Some(error),
            Self::Refused { .. }
            | Self::Unheard { .. }
            | Self::Answer(_)
            | Self::Read(_)
            | Self::Unpublished(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AddError, Added, refused, taken};

    #[test]
    fn reads_the_answers_of_both_servers_and_of_nobody_else() {
        let ours = br#"{"index":17,"repeated":true,"status":"applied"}"#;
        let added = |index, repeated| Added { index, repeated };
        assert_eq!(taken(ours).ok(), Some(added(17, true)));
        assert_eq!(taken(b"42\n").ok(), Some(added(42, false)));
        for answer in [
            &b""[..],
            b"-1",
            b"<html>",
            br#"{"index":17,"repeated":true,"status":"queued"}"#,
            br#"{"index":-1,"repeated":true,"status":"applied"}"#,
        ] {
            assert!(
                matches!(taken(answer), Err(AddError::Answer(_))),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_ledgers_words_however_long() {
        let json = br#"{"error":{"code":"superseded","message":"somebody was first"}}"#;
        let text = refused(409, json).to_string();
        assert_eq!(
            text,
            "the ledger refuses it (superseded): somebody was first"
        );
        let text = refused(413, &[b'x'; 9999]).to_string();
        assert_eq!(
            text,
            format!("the ledger refuses it (413): {}", "x".repeat(200))
        );
    }
}
