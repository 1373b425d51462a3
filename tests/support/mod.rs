//! What the tests on real engines stand on: a scratch place that cleans up
//! after itself, a private Docker daemon, a loopback registry, images made
//! here, and a node with its own ledger.
//!
//! Everything lives below one root-owned folder (the gate refuses files
//! below `/tmp`, which everybody may write to), never touches a daemon that
//! already runs, and is gone afterwards, also when the test is killed.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "test code; no test file uses all of it"
)]

pub mod booted;
pub mod bundle;
pub mod burst;
pub mod command;
pub mod containerd;
pub mod daemon;
pub mod image;
pub mod ledger;
pub mod machine;
pub mod many;
pub mod node;
pub mod package;
pub mod podman;
pub mod registry;
pub mod scratch;
pub mod server;
pub mod snapshot;
pub mod stage;
pub mod telemetry;
pub mod watching;

use std::path::PathBuf;

/// The binary under test: the release binary where `make test` names it, else the one cargo built.
pub fn binary() -> PathBuf {
    std::env::var_os("VCN_HOOK_BIN").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_vcn-hook")),
        PathBuf::from,
    )
}

/// Where a program is, sbin included; a missing one fails the test and names the cure.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"])
        .map(|directory| PathBuf::from(directory).join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is missing; run tests/install-needs.sh test"))
}
