//! (skeleton)
pub mod bolt;
pub mod bundle;
pub mod containerd;
pub mod docker;
pub mod mounts;
