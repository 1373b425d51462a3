//! By whose word a ledger that was named is the right one.
//!
//! Owns the order: the fingerprint that was given, else the trust root that this
//! machine pins for the same ledger, else nobody. What follows from nobody is
//! the verb's to say: a statement is the ledger's to judge, a trust root is not.

use super::context::Context;
use super::failure::Failure;
use super::ledgers::{self, Place};
use super::trusted;
use crate::ledger::client::TlogRead;
use crate::ledger::roots::RootVersion;
use crate::verdict::ReasonCode;

/// A ledger's newest trust root, and who vouches for the ledger.
#[derive(Debug)]
pub struct Vouched {
    /// The newest version.
    pub version: RootVersion,
    /// Who says that it is the right ledger.
    pub by: Option<Voucher>,
}

/// Who says that a ledger is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voucher {
    /// Whoever gave the fingerprint.
    Caller,
    /// The trust root that this machine pins.
    Pin,
}

impl Vouched {
    /// What is said where nobody does.
    #[must_use]
    pub fn nobody(&self) -> String {
        let RootVersion { root, digest, .. } = &self.version;
        format!(
            "nobody here vouches for the trust root of '{}': version {}, {digest}; enrol this machine, \
             or name the fingerprint that its keepers publish with --root",
            root.origin, root.version
        )
    }
}

/// Reads the newest trust root of the ledger in `log`.
///
/// # Errors
/// Unreachable, or tampered: it does not verify, or is not what `fingerprint` or the pinned one leads to.
pub fn newest(
    context: &Context,
    place: &Place,
    log: &dyn TlogRead,
    fingerprint: Option<&str>,
) -> Result<Vouched, Failure> {
    let roots = ledgers::roots(log)?;
    let newest = roots.latest();
    let by = |by| Vouched {
        version: newest.clone(),
        by,
    };
    if fingerprint.is_some() {
        ledgers::choose(&roots, fingerprint)?;
        return Ok(by(Some(Voucher::Caller)));
    }
    let config = context.config()?;
    let state = context.own_state(&config)?;
    // The ledger that this machine follows, under another name: a mirror's, or the one to write to.
    let pinned = trusted::root(&config, &state).ok();
    let Some(pinned) = pinned.filter(|pinned| pinned.root.origin == newest.root.origin) else {
        return Ok(by(None));
    };
    let known = roots.version(pinned.root.version);
    if known.is_none_or(|known| known.root != pinned.root) {
        let text = format!(
            "'{place}' has another trust root than the one that is pinned for '{}'",
            pinned.root.origin
        );
        return Err(Failure::new(ReasonCode::Tampered.exit_code(), text));
    }
    Ok(by(Some(Voucher::Pin)))
}
