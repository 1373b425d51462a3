//! Every unsafe block and every raw system call of the program.
//!
//! Owns how the kernel is asked; refuses to know what for.

#![allow(
    unsafe_code,
    reason = "the one module that may; see tests/architecture.rs"
)]

pub mod arena;
pub mod cgroup;
pub mod clock;
pub mod cores;
pub mod exec;
pub mod file;
pub mod journal;
pub mod lookup;
pub mod mount;
pub mod mountinfo;
pub mod notify;
pub mod priority;
pub mod process;
pub mod signal;
pub mod source;
pub mod statmount;
pub mod terminal;
pub mod tree;
pub mod user;
pub mod xattr;
