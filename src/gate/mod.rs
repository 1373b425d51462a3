//! The entrances that engines use.
//!
//! Owns how a start arrives and how its verdict is carried out. Decides
//! nothing: that is `pipeline`'s. No network code is reachable from here.

pub mod argv;
pub mod runtime;
