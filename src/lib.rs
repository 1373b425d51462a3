//! vcn-hook: a container starts only if the image whose layers are really mounted is TRUSTED.
//!
//! The modules stand in the order in which data flows through one start.
//! Read [`pipeline`] first: it is the product's specification in one function.
//!
//! This library is internal to the `vcn-hook` binary and promises no stable API.

#![deny(clippy::disallowed_methods)]

pub mod allowlist;
pub mod apply;
pub mod audit;
pub mod cli;
pub mod config;
pub mod configure;
pub mod deep;
pub mod doctor;
pub mod engine;
pub mod escape;
pub mod gate;
pub mod http;
pub mod image;
pub mod ledger;
pub mod pipeline;
pub mod policy;
pub mod store;
pub mod sync;
pub mod sys;
pub mod trust;
pub mod verdict;
pub mod watch;
