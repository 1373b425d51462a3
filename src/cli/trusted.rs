//! The trust root that this user follows.
//!
//! Owns where it is read from for whoever is not root. For root, and so for
//! the gate, it is `apply`'s.

use std::io;
use std::path::Path;

use super::context::is_root;
use super::failure::{Failure, OrFail as _};
use crate::apply::{self, ApplyError, PinnedRoot};
use crate::config::Config;
use crate::ledger::client::MAX_ROOT_NOTE;
use crate::ledger::roots::{RootVersion, Roots, RootsError};
use crate::sys::file;
use crate::verdict::ReasonCode;

/// Reads the newest trust root that follows from the pinned one, by what `state` has of the ledger.
///
/// # Errors
/// `configuration` when there is none, or the pinned one does not verify.
pub fn root(config: &Config, state: &Path) -> Result<PinnedRoot, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    if is_root() && state == config.state_dir {
        return apply::trust_root(config).map_err(|error| match error {
            ApplyError::NotEnrolled(_) => not_enrolled(),
            other => Failure {
                code,
                error: other.into(),
            },
        });
    }
    let path = apply::pin_path(config);
    let what = || format!("the trust root '{}'", path.display());
    let note = read(&path).or_fail(code, what)?.ok_or_else(not_enrolled)?;
    let mut roots = Roots::pinned(&note).or_fail(code, what)?;
    // As for root: a later version that does not verify is as good as none, until sync brings it.
    let _ = roots.walk(|version| {
        let note = read(&state.join(format!("log/root/{version}.note")));
        Ok::<_, RootsError>(note.ok().flatten())
    });
    let RootVersion { root, note, .. } = roots.latest().clone();
    Ok(PinnedRoot { root, note })
}

/// What is said where no trust root is pinned.
#[must_use]
pub fn not_enrolled() -> Failure {
    Failure::configuration("this machine follows no ledger: run 'vcn-hook enroll DIR|URL'")
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match file::read_capped(path, MAX_ROOT_NOTE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}
