//! The tree state: one batch, whole, and the two states of the log around it.
//!
//! Owns its bytes and their checksum. When to write and to apply it is `sequencer`'s.

use sha2::{Digest as _, Sha256};

use super::{MAX_BATCH, SequencerError};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::tiles::MAX_ENTRY;

/// What the file begins with.
const MAGIC: &[u8] = b"vcn-tree/v1\n";

/// A batch of entries, and the two states of the log around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staging {
    /// The state that the batch was made from.
    pub(crate) before: Checkpoint,
    /// The signed checkpoint of the state with the batch.
    pub(crate) signed: Vec<u8>,
    /// What lies between the two. The files of the log follow from it.
    pub(crate) entries: Vec<Vec<u8>>,
}

impl Staging {
    pub(crate) fn bytes<T: AsRef<[u8]>>(
        before: &Checkpoint,
        signed: &[u8],
        entries: &[T],
    ) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        push(&mut bytes, before.to_string().as_bytes());
        push(&mut bytes, signed);
        for entry in entries {
            push(&mut bytes, entry.as_ref());
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// `None` for anything that [`Staging::bytes`] did not make.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<32>()?;
        if <[u8; 32]>::from(Sha256::digest(content)) != *checksum {
            return None;
        }
        let rest = &mut content.strip_prefix(MAGIC)?;
        let before = Checkpoint::parse(std::str::from_utf8(take(rest)?).ok()?).ok()?;
        let signed = take(rest)?.to_vec();
        let mut entries = Vec::new();
        while !rest.is_empty() {
            entries.push(take(rest)?.to_vec());
        }
        Some(Self {
            before,
            signed,
            entries,
        })
    }
}

/// Refuses entries that no batch may have, before anything is written.
pub(crate) fn check<T: AsRef<[u8]>>(entries: &[T]) -> Result<(), SequencerError> {
    let lengths = entries.iter().map(|entry| entry.as_ref().len());
    let mut refused = lengths
        .clone()
        .filter(|length| !(1..=MAX_ENTRY).contains(length));
    if let Some(length) = refused.next() {
        return Err(SequencerError::Entry(length));
    }
    let bytes: usize = lengths.map(|length| length.saturating_add(64)).sum();
    if bytes > MAX_BATCH {
        return Err(SequencerError::BatchTooLarge(bytes));
    }
    Ok(())
}

fn push(bytes: &mut Vec<u8>, field: &[u8]) {
    bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
    bytes.extend_from_slice(field);
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
    let (field, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(field)
}
