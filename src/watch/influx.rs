//! The node as InfluxDB is told it: points, kept on disk until the server has them.
//!
//! Owns the way from a sweep to a server. Points have the time of their sweep, so one that is sent
//! twice is the same point: what may have arrived is sent again, and nothing is there twice.

pub mod line;
mod sender;
mod spool;

pub use sender::{Sender, Server, Target};
