//! `login` and `dashboard`: what replaces them.
//!
//! vcn had accounts on somebody's server. Here a publisher is a key that the
//! trust root names, and a script that still logs in should hear so, not fail silently.

use super::failure::Failure;

/// Says what replaces vcn's `login`.
#[must_use]
pub fn login() -> Failure {
    Failure::usage(
        "there is no account to log in to: make a key with 'vcn-hook keygen', have it named in \
         the ledger's trust root, and notarize",
    )
}

/// Says what replaces vcn's `dashboard`.
#[must_use]
pub fn dashboard() -> Failure {
    Failure::usage(
        "there is no dashboard on a server: 'vcn-hook list' shows the ledger, and \
         'vcn-hook status' this node",
    )
}
