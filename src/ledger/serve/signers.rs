//! The signers that the newest trust root names, shared by all connections.
//!
//! Owns noticing that a later version of the trust root has been published.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::ledger::claim::Roster;
use crate::ledger::client::Dir;
use crate::ledger::index::{IndexError, root_path, roots};

/// Who may state something, and where in the log that would be.
#[derive(Debug)]
pub(super) struct Signers {
    directory: PathBuf,
    known: RwLock<Known>,
}

#[derive(Debug)]
struct Known {
    roster: Arc<Roster>,
    next_root: PathBuf,
    /// The place that the next entry is likely to have.
    size: u64,
}

impl Signers {
    pub(super) fn load(directory: &Path, size: u64) -> Result<Self, IndexError> {
        Ok(Self {
            known: RwLock::new(Known::load(directory, size)?),
            directory: directory.to_owned(),
        })
    }

    /// The signers by the newest trust root, and the log's size.
    pub(super) fn newest(&self) -> Result<(Arc<Roster>, u64), IndexError> {
        let size = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if !known.next_root.exists() {
                return Ok((Arc::clone(&known.roster), known.size));
            }
            known.size
        };
        let newer = Known::load(&self.directory, size)?;
        let roster = Arc::clone(&newer.roster);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = newer;
        Ok((roster, size))
    }

    /// The log has so many entries now.
    pub(super) fn grown(&self, size: u64) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.size = known.size.max(size);
    }
}

impl Known {
    fn load(directory: &Path, size: u64) -> Result<Self, IndexError> {
        let roots = roots(&Dir::open(directory)?)?;
        let latest = &roots.latest().root;
        Ok(Self {
            roster: Arc::new(Roster::of(latest)),
            next_root: root_path(directory, latest.version.saturating_add(1)),
            size,
        })
    }
}
