//! What runs: looked at again and again, judged as at its start, and told to whoever is to know.
//!
//! Owns the sweep and what follows from one. Every container is judged by the gate's own function, by
//! the layers that are mounted for it. What a sweep looks like on a page, in a metric or in a line is
//! each output's own file. Nothing here is reachable from the gate.

pub mod look;
mod reach;
pub mod sweep;
