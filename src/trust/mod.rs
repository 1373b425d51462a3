//! (skeleton)
pub mod agent;
pub mod keys;
pub mod root;
