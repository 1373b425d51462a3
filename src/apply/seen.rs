//! What ran on this node and was vouched for, from one `apply` to the next.
//!
//! Owns root's file `seen` in the state directory. It is the guard's memory:
//! less of it means that less is held, never that more starts.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::image::digest::{ChainId, Digest};
use crate::store::HighWater;
use crate::sys::file;

/// For how long an image that does not run any more is still looked at: a node that was off over a long
/// weekend, or restarts all it runs, is not to lose it all for having been looked at in between.
const REMEMBERED: u64 = 7 * 86_400;

/// The most bytes of the file: some ten thousand images.
const MAX_SIZE: u64 = 4 << 20;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Unix seconds of the last look that could say something.
    pub(super) applied: u64,
    /// How new the allowlist was then: log size, time, root version. Not the mark itself, which a start
    /// may have raised since.
    newest: (u64, u64, u64),
    /// The images that ran and that the ledger vouched for, or that are held.
    pub(super) images: Vec<SeenImage>,
}

/// One image, bound to its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenImage {
    pub(super) config: Digest,
    pub(super) chain: ChainId,
    /// Unix seconds at which it ran last.
    pub(super) ran: u64,
}

impl Seen {
    /// Reads what is remembered; what cannot be read is not.
    pub(super) fn read(state_dir: &Path) -> Self {
        let bytes = file::read_owned(&path(state_dir), MAX_SIZE).ok();
        bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Writes it, and how new the allowlist is now, if that is known.
    pub(super) fn write(
        mut self,
        state_dir: &Path,
        mark: Option<HighWater>,
    ) -> Result<(), (PathBuf, io::Error)> {
        if let Some(mark) = mark {
            self.newest = (mark.log_size, mark.time, mark.root_version);
        }
        let path = path(state_dir);
        let bytes = serde_json::to_vec(&self).map_err(io::Error::from);
        bytes
            .and_then(|bytes| file::replace(&path, &bytes, 0o644))
            .map_err(|error| (path, error))
    }

    /// How new the allowlist was.
    pub(super) const fn mark(&self) -> HighWater {
        let (log_size, time, root_version) = self.newest;
        HighWater {
            log_size,
            time,
            root_version,
        }
    }

    /// The images that ran not long before `now`.
    pub(super) fn recent(&self, now: u64) -> impl Iterator<Item = &SeenImage> {
        let recent = move |each: &&SeenImage| now.saturating_sub(each.ran) <= REMEMBERED;
        self.images.iter().filter(recent)
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("seen")
}
