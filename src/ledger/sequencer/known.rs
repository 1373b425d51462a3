//! What a sequencer knows of its log between two appends.

use super::SequencerError;
use super::disk::Stamp;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::edge::{Edge, EdgeError};
use crate::ledger::tiles::TileName;

/// A state of the log that need not be read and verified again.
#[derive(Debug)]
pub(super) struct Known {
    /// The file of the tree state that says so.
    pub(super) stamp: Option<Stamp>,
    pub(super) signed: Vec<u8>,
    pub(super) checkpoint: Checkpoint,
    pub(super) edge: Edge,
}

/// Reads the edge of the log and requires it to have the root of `checkpoint`.
pub(super) fn load(
    checkpoint: &Checkpoint,
    read: impl FnMut(TileName) -> Result<Vec<u8>, SequencerError>,
) -> Result<Edge, SequencerError> {
    let edge = Edge::load(checkpoint.size, read).map_err(|error| match error {
        EdgeError::Read(error) => error,
        EdgeError::Tile(name, why) => SequencerError::Damaged(format!("'{name}' {why}")),
        EdgeError::Leaves(name) => {
            SequencerError::Damaged(format!("'{name}' is not what its hashes say"))
        }
    })?;
    if edge.range().root() != checkpoint.root {
        let what = format!("the tiles of {} entries have another root", checkpoint.size);
        return Err(SequencerError::Damaged(what));
    }
    Ok(edge)
}
