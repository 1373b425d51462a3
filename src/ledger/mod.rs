//! The ledger: an append-only transparency log of signed statements.
//!
//! Owns the log's files and proofs, who may append, how it is read, and what
//! its statements say. What a node keeps of it belongs to `store`; fetching on a timer to `sync`.

pub mod bundles;
pub mod check;
pub mod checkpoint;
pub mod claim;
pub mod client;
mod edge;
pub mod follow;
pub mod index;
pub mod proof;
pub mod range;
pub mod roots;
pub mod sequencer;
pub mod serve;
pub mod state;
pub mod statement;
pub mod tiles;

pub use check::log_check;
