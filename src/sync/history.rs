//! What was said of a digest: statements, looked up in the node's copy of the log.
//!
//! Owns a bounded, streaming scan. Refuses to say what the statements amount
//! to: that is the allowlist's.

use std::collections::BTreeSet;

use super::error::SyncError;
use super::mirror::Mirror;
use crate::allowlist::record::Key;
use crate::ledger::bundles;
use crate::ledger::statement::{Envelope, Statement};
use crate::ledger::tiles::{Row, TILE_WIDTH, TileName, parse_bundle};

/// One entry that names a key that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its place in the log.
    pub log_index: u64,
    /// Who claims to have signed it: `<name>+<8 hex id>`. Verified if a record has this log index.
    pub keyid: String,
    /// What it says.
    pub statement: Statement,
}

/// Finds the entries that name any of `keys`, among the first `size` of the log, oldest first.
///
/// Holds one bundle at a time; `each` decides what to keep, and ends the scan by returning false.
/// Entries that the fold ignored are found as well: compare with the records' log index.
///
/// # Errors
/// [`SyncError`] when the copy cannot be read.
pub fn history(
    mirror: &Mirror,
    size: u64,
    keys: &BTreeSet<Key>,
    each: &mut dyn FnMut(Named) -> bool,
) -> Result<(), SyncError> {
    let log = mirror.log()?;
    let here = mirror.size();
    let width = u64::from(TILE_WIDTH);
    for index in 0..size.min(here).div_ceil(width) {
        let Some(name) = TileName::in_tree(Row::Entries, index, here) else {
            break;
        };
        let bytes = bundles::read(&log, name, &[])?;
        for (log_index, entry) in (index * width..size).zip(parse_bundle(&bytes, name.width)?) {
            if named(log_index, entry, keys).is_some_and(|named| !each(named)) {
                return Ok(());
            }
        }
    }
    Ok(())
}

impl Mirror {
    /// The statement at this place in the log; `None` when it is not here or is none of ours.
    ///
    /// # Errors
    /// [`SyncError`] when the copy cannot be read.
    pub fn statement(&self, log_index: u64) -> Result<Option<Named>, SyncError> {
        let width = u64::from(TILE_WIDTH);
        let Some(name) = TileName::in_tree(Row::Entries, log_index / width, self.size()) else {
            return Ok(None);
        };
        let bytes = bundles::read(&self.log()?, name, &[])?;
        let entries = parse_bundle(&bytes, name.width)?;
        let at = usize::try_from(log_index % width).unwrap_or(usize::MAX);
        Ok(entries.get(at).and_then(|entry| parse(log_index, entry)))
    }
}

fn named(log_index: u64, entry: &[u8], keys: &BTreeSet<Key>) -> Option<Named> {
    let named = parse(log_index, entry)?;
    let mut subjects = named.statement.subjects.iter();
    let asked = subjects.any(|subject| keys.contains(&subject.key()));
    asked.then_some(named)
}

fn parse(log_index: u64, entry: &[u8]) -> Option<Named> {
    let envelope = Envelope::parse(entry).ok()?;
    Some(Named {
        log_index,
        keyid: envelope.keyid().to_owned(),
        statement: envelope.unverified().clone(),
    })
}
