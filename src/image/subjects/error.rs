//! Why bytes are not an image: every way, with both values where two differ.

use std::fmt;

use super::MAX_SUBJECTS;
use crate::image::digest::{Digest, DigestError};

/// Why bytes are not an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectsError<E> {
    /// The store could not read a blob.
    Read(Digest, E),
    /// A blob that is needed is not stored.
    Missing(&'static str, Digest),
    /// The store has other bytes under this digest.
    Mismatch {
        /// What the blob was looked up by.
        expected: Digest,
        /// What its bytes hash to.
        found: Digest,
    },
    /// A descriptor states another size than its blob has.
    Size {
        /// The blob.
        digest: Digest,
        /// What the descriptor says.
        expected: u64,
        /// What was read.
        found: u64,
    },
    /// A document does not parse.
    Parse(&'static str, Digest, String),
    /// A config or manifest has no layers.
    NoLayers(Digest),
    /// A manifest has another number of layers than its config.
    Layers {
        /// The manifest.
        manifest: Digest,
        /// What the config says.
        expected: usize,
        /// What the manifest says.
        found: usize,
    },
    /// A digest is not SHA-256.
    Digest(String, DigestError),
    /// A manifest describes something else than a container image.
    NotAnImage(Digest, String),
    /// An index, but none of its images is stored here.
    NothingAtHand(Digest),
    /// More subjects than one statement carries, or indexes within indexes without end.
    TooMany(Digest),
}

impl<E: fmt::Display> fmt::Display for SubjectsError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(digest, error) => write!(f, "cannot read blob {digest}: {error}"),
            Self::Missing(what, digest) => write!(f, "the {what} {digest} is not stored here"),
            Self::Mismatch { expected, found } => {
                write!(
                    f,
                    "a blob is not what it is stored as: expected {expected}, found {found}"
                )
            }
            Self::Size {
                digest,
                expected,
                found,
            } => write!(
                f,
                "blob {digest} has another size: expected {expected} bytes, found {found}"
            ),
            Self::Parse(what, digest, why) => write!(f, "cannot parse {what} {digest}: {why}"),
            Self::NoLayers(digest) => write!(f, "config {digest} has no layers"),
            Self::Layers {
                manifest,
                expected,
                found,
            } => write!(
                f,
                "manifest {manifest} has another number of layers than its config: expected {expected}, found {found}"
            ),
            // The text comes from outside: debug escapes it.
            Self::Digest(text, error) => write!(f, "cannot use digest {text:?}: {error}"),
            Self::NotAnImage(digest, media_type) => write!(
                f,
                "manifest {digest} is no container image: its config is a {media_type:?}"
            ),
            Self::NothingAtHand(digest) => {
                write!(f, "no image of index {digest} is stored here")
            }
            Self::TooMany(digest) => write!(
                f,
                "{digest} brings more than the {MAX_SUBJECTS} digests that one statement carries"
            ),
        }
    }
}

impl<E: std::error::Error> std::error::Error for SubjectsError<E> {}
