//! (skeleton)
pub mod argv;
pub mod runtime;
