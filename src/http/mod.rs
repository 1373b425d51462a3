//! A small HTTP/1.1 server, within bounds of size, time and threads.
//!
//! Owns taking connections, reading heads and bodies, and sending answers: what a ledger and the watch
//! both serve with. What is answered is theirs. HTTP is parsed by `httparse`; sockets, threads and time
//! are bounded here.

mod connection;
pub mod message;
mod server;

pub(crate) use connection::{Connection, ReadBody};
pub use server::Stop;
