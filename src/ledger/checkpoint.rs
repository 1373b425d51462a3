//! Checkpoints: what a log says it is (C2SP tlog-checkpoint v1.0.0).
//!
//! Owns the three lines of a checkpoint and their signature by the log's key.
//! Refuses to compare checkpoints: consistency belongs to `range` and `proof`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::allowlist::note::{NoteError, SignedNote, VerifierKey};

/// Bytes of the longest checkpoint that is read: three short lines and up to a hundred cosignatures.
pub const MAX_CHECKPOINT: u64 = 16 * 1024;

/// Entries of the largest tree: what proofs can be made for.
const MAX_SIZE: u64 = u64::MAX / 2;

/// One state of one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, by which it is told from every other log.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The RFC 6962 root hash of these entries.
    pub root: [u8; 32],
}

/// Why bytes are not a checkpoint of this log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointError {
    /// The signed text is not a checkpoint; says what is wrong with it.
    Form(&'static str),
    /// The note around it is malformed, or the log's key has not signed it.
    Note(NoteError),
    /// Another log's checkpoint.
    Origin {
        /// The log that was asked for.
        expected: String,
        /// The log that the checkpoint names.
        found: String,
    },
}

impl Checkpoint {
    /// Parses the signed text. Extension lines, which the specification discourages, are ignored.
    ///
    /// # Errors
    /// [`CheckpointError::Form`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let form = |what| move || CheckpointError::Form(what);
        let lines = text
            .strip_suffix('\n')
            .ok_or_else(form("no final newline"))?;
        let mut lines = lines.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty());
        let origin = origin.ok_or_else(form("no origin"))?.to_owned();
        let size = lines
            .next()
            .and_then(parse_size)
            .ok_or_else(form("no tree size"))?;
        let root = lines
            .next()
            .and_then(parse_root)
            .ok_or_else(form("no root hash"))?;
        if lines.any(str::is_empty) {
            return Err(form("an empty extension line")());
        }
        Ok(Self { origin, size, root })
    }

    /// Parses a signed checkpoint and requires the signature of `log`, whose name is the origin.
    ///
    /// # Errors
    /// Any [`CheckpointError`].
    pub fn verify(bytes: &[u8], log: &VerifierKey) -> Result<Self, CheckpointError> {
        let note = SignedNote::parse(bytes).map_err(CheckpointError::Note)?;
        note.verify(std::slice::from_ref(log), 1)
            .map_err(CheckpointError::Note)?;
        let checkpoint = Self::parse(&note.text)?;
        if checkpoint.origin != log.name() {
            return Err(CheckpointError::Origin {
                expected: log.name().to_owned(),
                found: checkpoint.origin,
            });
        }
        Ok(checkpoint)
    }
}

/// The text that is signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = BASE64.encode(self.root);
        write!(f, "{}\n{}\n{root}\n", self.origin, self.size)
    }
}

fn parse_size(line: &str) -> Option<u64> {
    let size: u64 = line.parse().ok().filter(|size| *size <= MAX_SIZE)?;
    // One spelling only: no plus sign, no leading zeros.
    (size.to_string() == line).then_some(size)
}

fn parse_root(line: &str) -> Option<[u8; 32]> {
    BASE64.decode(line).ok()?.try_into().ok()
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(what) => write!(f, "not a checkpoint: {what}"),
            Self::Note(error) => error.fmt(f),
            Self::Origin { expected, found } => write!(
                f,
                "the checkpoint of another log: expected {expected:?}, found {found:?}"
            ),
        }
    }
}

impl std::error::Error for CheckpointError {}

#[cfg(test)]
mod tests {
    use super::{Checkpoint, CheckpointError};
    use crate::allowlist::note::{NoteError, VerifierKey};

    const TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn reads_what_it_writes() {
        let checkpoint = Checkpoint::parse(TEXT).unwrap();
        assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.to_string(), TEXT);
        let extended = format!("{TEXT}an extension\n");
        assert_eq!(Checkpoint::parse(&extended), Ok(checkpoint));
    }

    #[test]
    fn refuses_every_other_spelling() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        for (text, why) in [
            (String::new(), "no final newline"),
            (TEXT.trim_end().to_owned(), "no final newline"),
            (format!("\n1\n{root}\n"), "no origin"),
            ("o\n".to_owned(), "no tree size"),
            (format!("o\n01\n{root}\n"), "no tree size"),
            (format!("o\n+1\n{root}\n"), "no tree size"),
            (format!("o\n-1\n{root}\n"), "no tree size"),
            (format!("o\n9223372036854775808\n{root}\n"), "no tree size"),
            (format!("o\n1 \n{root}\n"), "no tree size"),
            ("o\n1\n".to_owned(), "no root hash"),
            (format!("o\n1\n{}\n", &root[..43]), "no root hash"),
            ("o\n1\nAAAA\n".to_owned(), "no root hash"),
            (format!("o\n1\n {root}\n"), "no root hash"),
            (format!("{TEXT}\n"), "an empty extension line"),
        ] {
            let found = Checkpoint::parse(&text);
            assert_eq!(found, Err(CheckpointError::Form(why)), "{text:?}");
        }
    }

    #[test]
    fn refuses_a_checkpoint_that_the_log_has_not_signed() {
        let key = VerifierKey::new("example.com/behind-the-sofa", [7; 32]).unwrap();
        let unsigned = format!(
            "{TEXT}\n— someone x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
        );
        assert_eq!(
            Checkpoint::verify(unsigned.as_bytes(), &key),
            Err(CheckpointError::Note(NoteError::Threshold {
                found: 0,
                needed: 1
            }))
        );
    }
}
