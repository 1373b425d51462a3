//! The statements of a log, for people to read.
//!
//! Owns finding them: one by its place, the newest, those that name a digest.
//! Every statement that is shown has a valid signature of a signer that the
//! trust root names. Refuses to say what counts now: that is the allowlist's.

use std::collections::HashSet;

use super::failure::{Failure, OrFail as _};
use super::ledgers::unreadable;
use crate::image::digest::Digest;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::client::{self, Fresh, TlogRead};
use crate::ledger::statement::{Envelope, Statement};
use crate::ledger::tiles::{Row, TILE_WIDTH, TileName};
use crate::trust::root::{TrustRoot, TrustSigner};
use crate::verdict::ReasonCode;

/// A log, or the copy that sync keeps of one.
#[derive(Debug)]
pub struct History<'a> {
    log: &'a dyn TlogRead,
    root: &'a TrustRoot,
    size: u64,
}

/// One signed statement, and its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub index: u64,
    /// The signer, as the trust root has it.
    pub signer: TrustSigner,
    /// What it says.
    pub statement: Statement,
}

impl<'a> History<'a> {
    /// Takes the log at the size that its own signed checkpoint says.
    ///
    /// # Errors
    /// Unreachable, or tampered when the checkpoint is not the log's.
    pub fn open(log: &'a dyn TlogRead, root: &'a TrustRoot) -> Result<Self, Failure> {
        let bytes = match client::checkpoint(log, None).map_err(unreadable)? {
            Fresh::New { bytes, .. } => bytes,
            // Nothing was named that it could be the same as.
            Fresh::Same => Vec::new(),
        };
        let checkpoint = Checkpoint::verify(&bytes, &root.log)
            .or_fail(ReasonCode::Tampered.exit_code(), || {
                format!("the checkpoint of '{}'", log.place())
            })?;
        let size = checkpoint.size;
        Ok(Self { log, root, size })
    }

    /// How many entries there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The statement at `index`, if a signer of the trust root made it.
    ///
    /// # Errors
    /// As reading the log.
    pub fn at(&self, index: u64) -> Result<Option<Entry>, Failure> {
        let width = u64::from(TILE_WIDTH);
        let Some(entries) = self.bundle(index / width)? else {
            return Ok(None);
        };
        let place = usize::try_from(index % width).unwrap_or(usize::MAX);
        Ok(entries
            .get(place)
            .and_then(|bytes| self.entry(index, bytes, |_, _| true)))
    }

    /// The newest `limit` statements that are `wanted`, newest first.
    ///
    /// # Errors
    /// As reading the log.
    pub fn newest(
        &self,
        limit: usize,
        wanted: impl Fn(&Statement, &TrustSigner) -> bool,
    ) -> Result<Vec<Entry>, Failure> {
        let width = u64::from(TILE_WIDTH);
        let mut found = Vec::new();
        for tile in (0..self.size.div_ceil(width)).rev() {
            let entries = self.bundle(tile)?.unwrap_or_default();
            let first = tile * width;
            for (index, bytes) in (first..)
                .zip(&entries)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
            {
                if found.len() >= limit {
                    return Ok(found);
                }
                found.extend(self.entry(index, bytes, &wanted));
            }
        }
        Ok(found)
    }

    /// Every statement that names one of `digests`, as whatever kind, oldest first.
    ///
    /// # Errors
    /// As reading the log.
    pub fn naming(&self, digests: &HashSet<Digest>) -> Result<Vec<Entry>, Failure> {
        let names = |statement: &Statement, _: &TrustSigner| {
            statement
                .subjects
                .iter()
                .any(|subject| digests.contains(&subject.digest))
        };
        let mut found = self.newest(usize::MAX, names)?;
        found.reverse();
        Ok(found)
    }

    fn bundle(&self, tile: u64) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        TileName::in_tree(Row::Entries, tile, self.size)
            .map(|name| client::entries(self.log, name).map_err(unreadable))
            .transpose()
    }

    /// Reads one entry. The signature comes last: it costs most, and few entries are wanted.
    fn entry(
        &self,
        index: u64,
        bytes: &[u8],
        wanted: impl Fn(&Statement, &TrustSigner) -> bool,
    ) -> Option<Entry> {
        let envelope = Envelope::parse(bytes).ok()?;
        let (_, signer) = self.root.signer_by_keyid(envelope.keyid())?;
        if !wanted(envelope.unverified(), signer) {
            return None;
        }
        let statement = envelope.verify(&signer.key).ok()?;
        let counts = statement.origin == self.root.origin && signer.valid_at(index);
        counts.then(|| Entry {
            index,
            signer: signer.clone(),
            statement: statement.clone(),
        })
    }
}
