//! Checking a whole log: everything recomputed from its entries.
//!
//! Owns the first difference between what a log serves and what follows from its entries and
//! its key. Refuses to know what entries mean.

use std::fmt;

use super::checkpoint::{Checkpoint, CheckpointError};
use super::client::{self, Fresh, ReadError, TlogRead};
use super::edge::Edge;
use super::tiles::{Row, TileError, TileName};
use crate::allowlist::note::VerifierKey;

/// Why a log is not what its checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckError {
    /// A file of it is missing, malformed or cannot be read.
    Read(ReadError),
    /// Its checkpoint does not verify.
    Checkpoint(CheckpointError),
    /// An entry cannot be part of any bundle.
    Entry(TileError),
    /// A hash tile is not the one that follows from the entries.
    Tile(TileName),
    /// The entries have another root than the one that is signed.
    Root {
        /// The signed one.
        expected: [u8; 32],
        /// The one that follows from the entries.
        found: [u8; 32],
    },
}

/// Recomputes a log from its entries: every bundle, every tile of every level, the signed root.
///
/// Keeps one bundle and one tile per level in memory, however long the log is.
///
/// # Errors
/// The first difference, in the order of the entries.
pub fn log_check(reader: &dyn TlogRead, log: &VerifierKey) -> Result<Checkpoint, CheckError> {
    let bytes = match client::checkpoint(reader, None).map_err(CheckError::Read)? {
        Fresh::New { bytes, .. } => bytes,
        // No etag was given, so no reader answers this; an empty note does not verify.
        Fresh::Same => Vec::new(),
    };
    let checkpoint = Checkpoint::verify(&bytes, log).map_err(CheckError::Checkpoint)?;
    let mut edge = Edge::default();
    for bundle in TileName::all(Row::Entries, checkpoint.size) {
        let entries = client::entries(reader, bundle).map_err(CheckError::Read)?;
        for file in edge.grow(&entries).map_err(CheckError::Entry)? {
            let name = file.name;
            // A tile that was partial on the way need not be there any more.
            let lasting = TileName::in_tree(name.row, name.index, checkpoint.size) == Some(name);
            if lasting && name.row != Row::Entries {
                let found = client::hashes(reader, name).map_err(CheckError::Read)?;
                if found.concat() != file.bytes {
                    return Err(CheckError::Tile(name));
                }
            }
        }
    }
    let found = edge.range().root();
    if found != checkpoint.root {
        return Err(CheckError::Root {
            expected: checkpoint.root,
            found,
        });
    }
    Ok(checkpoint)
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Checkpoint(error) => error.fmt(f),
            Self::Entry(error) => error.fmt(f),
            Self::Tile(name) => write!(f, "'{name}' does not follow from the entries"),
            Self::Root { expected, found } => write!(
                f,
                "the entries have another root than the signed one: expected {}, found {}",
                crate::image::digest::hex(expected),
                crate::image::digest::hex(found)
            ),
        }
    }
}

impl std::error::Error for CheckError {}
