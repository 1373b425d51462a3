//! (skeleton)
pub mod facts;
