//! Which ledger a command is about, and what its keepers have signed.
//!
//! Owns the meaning of DIR and URL on the command line, the reading of a
//! ledger's trust roots from the first to the newest, and which exit code a
//! failure to read has. Whether a root is to be trusted is a person's to say, in `enroll`.

use std::fmt;
use std::path::{Path, PathBuf};

use super::failure::{Failure, OrFail as _};
use crate::image::digest::Digest;
use crate::ledger::client::{self, ReadError, TlogRead};
use crate::ledger::roots::{RootVersion, Roots, RootsError};
use crate::verdict::{ReasonCode, exit};

/// Where a ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A directory of this machine, absolute and without symlinks.
    Directory(PathBuf),
    /// A web server.
    Url(String),
}

impl Place {
    /// Understands DIR or URL as it is typed, or as config.toml has it.
    ///
    /// # Errors
    /// Wrong usage for another scheme; unreachable for a directory that is not there.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Self::Url(text.trim_end_matches('/').to_owned()));
        }
        let path = text.strip_prefix("file://").unwrap_or(text);
        if path.contains("://") {
            let hint = "a ledger is a directory or an http:// or https:// URL";
            return Err(Failure::usage(format!("'{text}': {hint}")));
        }
        let directory = std::fs::canonicalize(path).or_fail(exit::UNREACHABLE, || {
            format!("cannot open the ledger '{path}'")
        })?;
        Ok(Self::Directory(directory))
    }

    /// Opens the ledger for reading.
    ///
    /// # Errors
    /// Unreachable.
    pub fn open(&self) -> Result<Box<dyn TlogRead>, Failure> {
        client::open(&self.to_string()).map_err(unreadable)
    }

    /// The directory, for whoever must write to it.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) => Some(path),
            Self::Url(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}

/// Reads every version of a ledger's trust root, each verified as the successor of the one before it.
///
/// # Errors
/// Unreachable, or tampered when a version does not verify or there is none.
pub fn roots(log: &dyn TlogRead) -> Result<Roots, Failure> {
    let code = ReasonCode::Tampered.exit_code();
    let what = || format!("the ledger '{}' cannot be trusted", log.place());
    let first = client::root_note(log, 1)
        .map_err(unreadable)?
        .ok_or_else(|| {
            let text = format!(
                "'{}' has no trust root: it is no ledger of vcn-hook",
                log.place()
            );
            Failure::new(code, text)
        })?;
    let mut roots = Roots::pinned(&first).or_fail(code, what)?;
    let walked: Result<(), Walk> = roots.walk(|version| Ok(client::root_note(log, version)?));
    match walked {
        Ok(()) => Ok(roots),
        Err(Walk::Read(error)) => Err(unreadable(error)),
        Err(Walk::Roots(error)) => Err(error).or_fail(code, what),
    }
}

/// The version that was asked for by its fingerprint, or else the newest.
///
/// # Errors
/// `configuration` when the ledger has no such version.
pub fn choose<'a>(roots: &'a Roots, wanted: Option<&str>) -> Result<&'a RootVersion, Failure> {
    let newest = roots.latest();
    let Some(wanted) = wanted else {
        return Ok(newest);
    };
    let digest = wanted
        .parse::<Digest>()
        .or_else(|_| Digest::from_hex(wanted))
        .map_err(|_| Failure::usage(format!("--root: '{wanted}' is no SHA-256 fingerprint")))?;
    roots
        .all()
        .find(|version| version.digest == digest)
        .ok_or_else(|| {
            Failure::configuration(format!(
                "the trust root is another one: expected {digest}, found {} (version {}); \
                 ask the ledger's keepers for the right fingerprint",
                newest.digest, newest.root.version
            ))
        })
}

/// What ends a walk along the versions.
enum Walk {
    Read(ReadError),
    Roots(RootsError),
}

impl From<ReadError> for Walk {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<RootsError> for Walk {
    fn from(error: RootsError) -> Self {
        Self::Roots(error)
    }
}

/// Gives a failure to read a ledger its exit code.
#[must_use]
pub fn unreadable(error: ReadError) -> Failure {
    let code = match error {
        ReadError::Unreachable { .. } => exit::UNREACHABLE,
        ReadError::BadAnswer { .. } | ReadError::Missing { .. } => ReasonCode::Tampered.exit_code(),
        ReadError::Store(_) => exit::FAILURE,
    };
    Failure {
        code,
        error: error.into(),
    }
}
