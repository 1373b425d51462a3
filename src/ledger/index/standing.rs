//! What the log amounts to at this moment, for whoever is about to append to it.
//!
//! Owns asking whether an entry would be applied before it is in the log for
//! ever. Writes nothing: a table in the making would be another's to remove.

use std::path::{Path, PathBuf};

use super::draft::{Draft, DraftError, Limit};
use super::error::IndexError;
use super::place::Place;
use super::publish::roots;
use crate::ledger::bundles;
use crate::ledger::claim::Roster;
use crate::ledger::client::Dir;
use crate::ledger::follow::{Entry, Stretch, follow};
use crate::ledger::state::{Claim, Ignored};

/// Records held in memory, about 200 MB at most: as many as an index may be behind.
const MAX_CHANGED: u64 = 1 << 20;

/// After so many the published tables are taken anew.
const MANY_CHANGED: u64 = 1 << 16;

/// The state of a log, entry by entry ahead of its index.
#[derive(Debug)]
pub struct Standing {
    roster: Roster,
    draft: Draft,
    begun_with: u64,
    next_root: PathBuf,
}

impl Standing {
    /// Starts from the published tables of the ledger in `directory`, whose log has `size` entries.
    ///
    /// # Errors
    /// [`IndexError`] when the trust root or the entries since cannot be read.
    pub fn load(directory: &Path, size: u64) -> Result<Self, IndexError> {
        let place = Place::make(directory)?;
        let ledger = Dir::open(directory)?;
        let roots = roots(&ledger)?;
        let before = place.published(&roots)?;
        let (mut draft, _) = place.start(&ledger, &roots, before.as_ref(), size);
        draft.limit(Limit::Refuse(MAX_CHANGED));
        let latest = &roots.latest().root;
        let mut standing = Self {
            roster: Roster::of(latest),
            begun_with: draft.changed(),
            draft,
            next_root: root_path(directory, latest.version.saturating_add(1)),
        };
        standing.catch_up(&ledger, size)?;
        Ok(standing)
    }

    /// Entries that are covered.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.draft.size()
    }

    /// True when so much has changed that the published tables are the better place to start from.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.draft.changed().saturating_sub(self.begun_with) > MANY_CHANGED
    }

    /// True when there is a later trust root than the one that entries are judged by.
    #[must_use]
    pub fn has_newer_root(&self) -> bool {
        self.next_root.exists()
    }

    fn catch_up(&mut self, ledger: &Dir, size: u64) -> Result<(), IndexError> {
        let stretch = Stretch {
            roster: &self.roster,
            from: self.draft.size(),
            until: size,
        };
        let draft = &mut self.draft;
        follow(
            stretch,
            &mut |name| bundles::read(ledger, name, &[]).map_err(IndexError::from),
            &mut |bundle| {
                for entry in &bundle.entries {
                    draft.apply(entry)?;
                }
                Ok(())
            },
        )
    }

    /// Applies a claim as the next entry of the log, unless it would be ignored: then nothing changes.
    ///
    /// # Errors
    /// [`DraftError`]; it is of no use after that.
    pub fn consider(
        &mut self,
        leaf: [u8; 32],
        claim: Claim,
    ) -> Result<Result<(), Ignored>, DraftError> {
        let index = self.draft.size();
        let claim = match self.roster.moved(index, claim) {
            // What a revoked key leaves behind is for the log's readers to see, not for us to let in.
            Ok(claim) if claim.revoked => return Ok(Err(Ignored::Revoked)),
            Ok(claim) => claim,
            Err(ignored) => return Ok(Err(ignored)),
        };
        let claim = Ok(claim);
        self.draft.try_next(&Entry { index, leaf, claim })
    }
}

/// Where a version of the trust root lies.
pub(in crate::ledger) fn root_path(directory: &Path, version: u64) -> PathBuf {
    directory.join(format!("root/{version}.note"))
}
