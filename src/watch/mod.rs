//! What runs: looked at again and again, judged as at its start, and told to whoever is to know.
//!
//! Owns the sweep and what follows from one. Every container is judged by the gate's own function, by
//! the layers that are mounted for it. What a sweep looks like on a page, in a metric or in a line is
//! each output's own file. Nothing here is reachable from the gate.

use std::path::{Path, PathBuf};

pub mod act;
pub mod alert;
pub mod decisions;
pub mod deliver;
pub mod heart;
pub mod incidents;
pub mod influx;
pub mod look;
pub mod node;
pub mod outbox;
pub mod outputs;
pub mod page;
pub mod picture;
pub mod problems;
mod program;
pub mod prometheus;
mod reach;
pub mod receiver;
pub mod results;
#[cfg(test)]
pub(crate) mod samples;
pub mod server;
pub mod slow;
pub mod sweep;

/// Where the watch keeps what waits to be told, when nobody says another place.
#[must_use]
pub fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("watch")
}
