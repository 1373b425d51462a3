//! (skeleton)
pub mod checkpoint;
pub mod claim;
pub mod client;
pub mod index;
pub mod sequencer;
pub mod state;
pub mod statement;
pub mod tiles;
