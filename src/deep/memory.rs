//! Which layers were found intact, so that only what has changed is read again.
//!
//! Owns root's file of them, and by what a layer is known again: the paths, inodes, times, sizes, owners
//! and modes of all that is in it. The kernel sets the time of a change (ctime), and nobody but root
//! can make it say another one.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::archive::{Reading, digest_of};
use super::walk::walk;
use super::{Stop, compare};
use crate::engine::unpacked::Layer;
use crate::image::digest::Digest;
use crate::sys::file::{read_owned, replace};
use crate::sys::tree::{Node, Tree};

/// The name of the form; another one is no memory at all.
const SCHEMA: &str = "vcn-hook/deep/v2";
/// Tens of thousands of layers.
const MAX_SIZE: u64 = 16 << 20;

/// The layers that were found intact.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    known: BTreeMap<PathBuf, Known>,
}

/// One layer as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    diff_id: Digest,
    fingerprint: Digest,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    schema: String,
    layers: BTreeMap<PathBuf, Known>,
}

/// All that tells whether anything in a layer has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    digest: Digest,
    /// When something in it was changed last, in seconds.
    changed: i64,
}

/// What is on disk, path by path, in whatever order it is looked at.
///
/// A sum of digests does not stop whoever can choose what is added up. Nearly all of that is the
/// kernel's to choose, and root, who can choose too, can write the memory itself.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    sum: [u64; 4],
    count: u64,
    changed: i64,
}

impl Memory {
    /// Reads it. One that is not there, is not root's alone or cannot be understood has no layers:
    /// they are read again.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let bytes = read_owned(path, MAX_SIZE).unwrap_or_default();
        let stored: Option<Stored> = serde_json::from_slice(&bytes).ok();
        Self {
            known: stored
                .filter(|stored| stored.schema == SCHEMA)
                .map(|stored| stored.layers)
                .unwrap_or_default(),
        }
    }

    /// Whether this layer was found intact once, whatever has changed since.
    pub(super) fn has(&self, layer: &Layer) -> bool {
        let known = self.known.get(&layer.directory);
        known.is_some_and(|known| known.diff_id == layer.diff_id)
    }

    /// Whether this very layer was found intact and has not changed.
    #[must_use]
    pub fn knows(&self, layer: &Layer, fingerprint: &Fingerprint) -> bool {
        self.known.get(&layer.directory).is_some_and(|known| {
            known.diff_id == layer.diff_id && known.fingerprint == fingerprint.digest
        })
    }

    /// Remembers that a layer was found intact.
    pub fn remember(&mut self, layer: &Layer, fingerprint: &Fingerprint) {
        let known = Known {
            diff_id: layer.diff_id,
            fingerprint: fingerprint.digest,
        };
        self.known.insert(layer.directory.clone(), known);
    }

    /// Forgets a layer that was found to differ.
    pub fn forget(&mut self, layer: &Layer) {
        self.known.remove(&layer.directory);
    }

    /// Writes it, without the layers that are gone.
    ///
    /// # Errors
    /// The operating system's.
    pub fn save(&mut self, path: &Path) -> io::Result<()> {
        self.known
            .retain(|directory, _| std::fs::symlink_metadata(directory).is_ok());
        let stored = Stored {
            schema: SCHEMA.to_owned(),
            layers: self.known.clone(),
        };
        replace(path, &serde_json::to_vec(&stored)?, 0o600)
    }
}

impl Stamps {
    pub(super) fn add(&mut self, path: &[u8], node: &Node) {
        let mut hash = Context::new(&SHA256);
        hash.update(&(path.len() as u64).to_le_bytes());
        hash.update(path);
        for number in [node.inode.1, node.size, node.links] {
            hash.update(&number.to_le_bytes());
        }
        for number in [node.mode, node.uid, node.gid] {
            hash.update(&number.to_le_bytes());
        }
        for (seconds, nanoseconds) in [node.changed, node.modified] {
            hash.update(&seconds.to_le_bytes());
            hash.update(&nanoseconds.to_le_bytes());
        }
        let digest = digest_of(hash);
        let (parts, _) = digest.as_bytes().as_chunks();
        for (sum, part) in self.sum.iter_mut().zip(parts) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*part));
        }
        self.count += 1;
        self.changed = self.changed.max(node.changed.0);
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut hash = Context::new(&SHA256);
        hash.update(&self.count.to_le_bytes());
        for sum in self.sum {
            hash.update(&sum.to_le_bytes());
        }
        Fingerprint {
            digest: digest_of(hash),
            changed: self.changed,
        }
    }
}

impl Fingerprint {
    pub(super) fn of(layer: &Layer, reading: &Reading<'_>) -> Result<Self, Stop> {
        let failed = |error| Stop::reading(&layer.directory, &error);
        let tree = Tree::open(&layer.directory).map_err(failed)?;
        let mut stamps = Stamps::default();
        let top = tree.directory(b"")?;
        if let Some(node) = top.map(|top| top.node(".".as_ref())).transpose()?.flatten() {
            stamps.add(b"", &node);
        }
        walk(&tree, |directory, parent, entry| {
            reading.tell(0)?;
            if let Some(node) = directory.node(&entry.name)? {
                stamps.add(&compare::joined(parent, entry.name.as_bytes()), &node);
            }
            Ok(true)
        })?;
        Ok(stamps.fingerprint())
    }

    /// Whether the last change is long enough ago that another one would have got another time.
    pub(super) fn is_settled(&self, now: u64) -> bool {
        i64::try_from(now).is_ok_and(|now| self.changed < now.saturating_sub(1))
    }
}
