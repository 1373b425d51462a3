//! Who may say so: the trust root, and the keys that sign.
//!
//! Owns the document that names every key and what it may do, and the ways a
//! publisher's private key is reached. Nodes hold public keys only: nothing of
//! `keys` and `agent` is reachable from the gate.

pub mod agent;
pub mod exemption;
pub mod keys;
pub mod node_id;
pub mod root;
