//! The layers of an image as an engine has unpacked them, each with what is left of its archive.
//!
//! Owns where they are and what is to be found there: the digest of each layer follows from the chain
//! that an image's config names, and from nothing that a store says. Whether the files are still what
//! was unpacked is for whoever reads them to say.

mod containers;
mod images;

use std::path::PathBuf;

use super::storage::records::IdRange;
use crate::image::digest::Digest;

pub use containers::{Container, containers};
pub use images::{Image, Store, image};

/// One layer, where one engine has unpacked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The digest of its archive, uncompressed.
    pub diff_id: Digest,
    /// Where its files are.
    pub directory: PathBuf,
    /// What is left of the archive.
    pub archive: Archive,
    /// How many bytes are to be read, about; 0 where nobody knows.
    pub size: u64,
    /// Whose its files are.
    pub owners: Owners,
}

/// What is left of the archive that a layer was unpacked from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Archive {
    /// All but the content of files, as vbatts/tar-split keeps it.
    TarSplit(PathBuf),
    /// All of it, as it was pulled: a file of the content store, and its digest.
    Blob {
        /// The file.
        path: PathBuf,
        /// The digest of what is in it.
        digest: Digest,
    },
    /// Nothing, and why.
    Gone(String),
}

/// How the owners in an archive are written on disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owners {
    /// Empty for the same as in the archive.
    uids: Vec<IdRange>,
    gids: Vec<IdRange>,
}

impl Owners {
    /// The owners of the user namespace that starts at `uid` and `gid` (Docker's `userns-remap`, with
    /// as many ids as Debian and its like give to a user).
    fn from(uid: u32, gid: u32) -> Self {
        const USUAL: u32 = 1 << 16;
        let range = |outside| IdRange {
            inside: 0,
            outside,
            size: USUAL,
        };
        Self {
            uids: vec![range(uid)],
            gids: vec![range(gid)],
        }
    }

    /// What is on disk for an owner in the archive; `None` for one that is outside the namespace.
    #[must_use]
    pub fn on_disk(&self, uid: u64, gid: u64) -> Option<(u32, u32)> {
        Some((mapped(&self.uids, uid)?, mapped(&self.gids, gid)?))
    }
}

fn mapped(ranges: &[IdRange], id: u64) -> Option<u32> {
    let id = u32::try_from(id).ok()?;
    if ranges.is_empty() {
        return Some(id);
    }
    ranges.iter().find_map(|range| {
        let place = id.checked_sub(range.inside)?;
        (place < range.size).then(|| range.outside.checked_add(place))?
    })
}

#[cfg(test)]
mod tests {
    use super::Owners;

    #[test]
    fn owners_are_those_of_the_namespace() {
        assert_eq!(Owners::default().on_disk(0, 1000), Some((0, 1000)));
        let owners = Owners::from(231_072, 231_073);
        assert_eq!(owners.on_disk(0, 1), Some((231_072, 231_074)));
        assert_eq!(owners.on_disk(65_535, 0), Some((296_607, 231_073)));
        assert_eq!(owners.on_disk(65_536, 0), None);
        assert_eq!(Owners::default().on_disk(1 << 32, 0), None);
    }
}
