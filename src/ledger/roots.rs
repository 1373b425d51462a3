//! The trust root's versions, from the one that is pinned to the latest that the ledger has.
//!
//! Owns the walk. What may follow what is `trust::root`'s, and which version
//! is pinned is the node's.

use std::fmt;

use crate::allowlist::note::{NoteError, SignedNote};
use crate::image::digest::Digest;
use crate::trust::root::{RootError, TrustRoot};

/// More versions than this in one walk are a ledger that wants to keep us busy.
const MAX_VERSIONS: usize = 4096;

/// One version, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootVersion {
    /// The document.
    pub root: TrustRoot,
    /// SHA-256 of its signed text, as index notes name it.
    pub digest: Digest,
    /// The whole note.
    pub note: Vec<u8>,
}

/// Consecutive versions, each signed by the one before it. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    pinned: RootVersion,
    later: Vec<RootVersion>,
}

/// Why the walk ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootsError {
    /// This version is not what it must be.
    Version(u64, RootError),
    /// More versions than any ledger has.
    TooMany,
}

impl Roots {
    /// Starts from a note that a person, or root's own file, vouches for.
    ///
    /// # Errors
    /// [`RootsError::Version`] when it is no trust root.
    pub fn pinned(note: &[u8]) -> Result<Self, RootsError> {
        let root =
            TrustRoot::verify_initial(note).map_err(|error| RootsError::Version(0, error))?;
        Ok(Self {
            pinned: version(root, note)?,
            later: Vec::new(),
        })
    }

    /// Verifies the next versions as `fetch` finds them, until it finds no more.
    ///
    /// # Errors
    /// [`RootsError`] and what `fetch` says; the versions before stay.
    pub fn walk<E: From<RootsError>>(
        &mut self,
        mut fetch: impl FnMut(u64) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        loop {
            let latest = &self.latest().root;
            let number = latest.version.saturating_add(1);
            let Some(note) = fetch(number)? else {
                return Ok(());
            };
            if self.later.len() >= MAX_VERSIONS {
                return Err(RootsError::TooMany.into());
            }
            let next = latest
                .verify_successor(&note)
                .map_err(|error| RootsError::Version(number, error))?;
            let next = version(next, &note)?;
            self.later.push(next);
        }
    }

    /// The latest version.
    #[must_use]
    pub fn latest(&self) -> &RootVersion {
        self.later.last().unwrap_or(&self.pinned)
    }

    /// The version of this number.
    #[must_use]
    pub fn version(&self, number: u64) -> Option<&RootVersion> {
        self.all().find(|version| version.root.version == number)
    }

    /// All versions, the pinned one first.
    pub fn all(&self) -> impl Iterator<Item = &RootVersion> {
        std::iter::once(&self.pinned).chain(&self.later)
    }
}

fn version(root: TrustRoot, note: &[u8]) -> Result<RootVersion, RootsError> {
    let form = |error: NoteError| RootsError::Version(root.version, RootError::Note(error));
    let text = SignedNote::parse(note).map_err(form)?.text;
    Ok(RootVersion {
        digest: Digest::of(text.as_bytes()),
        root,
        note: note.to_vec(),
    })
}

impl fmt::Display for RootsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(0, _) => f.write_str("cannot use the pinned trust root"),
            Self::Version(number, _) => write!(f, "cannot use version {number} of the trust root"),
            Self::TooMany => write!(f, "the trust root has more than {MAX_VERSIONS} versions"),
        }
    }
}

impl std::error::Error for RootsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Version(_, error) => Some(error),
            Self::TooMany => None,
        }
    }
}
