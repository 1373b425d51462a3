//! The trust root: who may say what, signed by those who answer for it.
//!
//! Owns the document and its rules (docs/formats.md, "Trust root"), and when
//! one version may follow another. Refuses to say what records amount to: that
//! is `policy`'s, from what `apply` compiles out of this. The clock is an argument.

mod chain;
mod rules;
mod text;

use std::fmt;

pub use chain::fingerprint;

use crate::allowlist::note::{NoteError, SignedNote, VerifierKey};

/// The most signers: records name one in 16 bits.
pub const MAX_SIGNERS: usize = 1 << 16;

/// vcn's levels and their names, as people read them.
pub const LEVELS: [(i8, &str); 8] = [
    (-1, "DISABLED"),
    (0, "UNKNOWN"),
    (1, "EMAIL_VERIFIED"),
    (2, "SOCIAL_VERIFIED"),
    (3, "ID_VERIFIED"),
    (4, "LOCATION_VERIFIED"),
    (98, "CNLC"),
    (99, "VCHAIN"),
];

/// One version of the trust root.
///
/// The fields may be changed freely; [`TrustRoot::check`] says whether the whole is a trust root,
/// and nothing is parsed, formatted or verified without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRoot {
    /// Counts from 1, without a gap.
    pub version: u64,
    /// The ledger it is for: the first line of that log's checkpoints.
    pub origin: String,
    /// Unix seconds after which it says nothing any more.
    pub expires: u64,
    /// Who may change this document.
    pub roots: KeySet,
    /// The key that signs checkpoints; its name is the origin.
    pub log: VerifierKey,
    /// Who signs the notes that nodes read.
    pub indexers: KeySet,
    /// Who may let a container start in an emergency; nobody when `None`.
    pub exempt: Option<KeySet>,
    /// Who signers belong to. Votes are counted by organisation, never by key.
    pub organisations: Vec<Organisation>,
    /// Who may make statements. A signer's number is its place in this list, for ever.
    pub signers: Vec<TrustSigner>,
    /// Whose TRUSTED it takes.
    pub allow: Allow,
    /// Whose UNTRUSTED denies, by number; every organisation's when `None`.
    pub veto: Option<Vec<u16>>,
    /// What UNSUPPORTED does.
    pub unsupported: Unsupported,
}

/// Keys of which some number must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    /// The keys, no public key twice.
    pub keys: Vec<VerifierKey>,
    /// How many of them must sign.
    pub threshold: usize,
}

/// Somebody who can be held to what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organisation {
    /// Its name in this document, without white space.
    pub name: String,
    /// Its company name as vcn shows it; empty if not stated.
    pub company: String,
    /// Its website as vcn shows it; empty if not stated.
    pub website: String,
}

/// A key that may make statements, and where in the log they count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustSigner {
    /// The key, with its name.
    pub key: VerifierKey,
    /// How well it is verified; one of [`LEVELS`].
    pub level: i8,
    /// Whose it is, by number.
    pub organisation: u16,
    /// The first log index at which its statements count.
    pub from_index: u64,
    /// The first log index at which they do not count any more.
    pub until_index: Option<u64>,
    /// The first log index at which somebody else may have had the key.
    pub revoked_from: Option<u64>,
}

/// What makes an image TRUSTED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// How many of the organisations must vouch for it.
    pub threshold: usize,
    /// Signers below this level do not count; one of [`LEVELS`].
    pub min_level: i8,
    /// The organisations that count, by number.
    pub organisations: Vec<u16>,
}

/// What UNSUPPORTED does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsupported {
    /// Denies, as UNTRUSTED does.
    Deny,
    /// Counts as TRUSTED did.
    Allow,
}

/// Why a trust root is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootError {
    /// It is no signed note, or its own keys have not signed it.
    Note(NoteError),
    /// The keys of the version before it have not signed it.
    Predecessor(NoteError),
    /// A line of its text is wrong; lines count from 1.
    Line(usize, &'static str),
    /// A line is missing where this one stands.
    Expected(usize, &'static str),
    /// It breaks a rule of its format.
    Rule(&'static str),
    /// It is not the next version.
    Version {
        /// The version that had to come.
        expected: u64,
        /// The version that came.
        found: u64,
    },
    /// It may not follow the version before it.
    Succession(&'static str),
    /// It says nothing any more.
    Expired {
        /// Unix seconds at which it ended.
        at: u64,
    },
}

impl TrustRoot {
    /// Parses a trust root's text. Who signed it is not looked at.
    ///
    /// # Errors
    /// [`RootError::Line`] or [`RootError::Rule`]. Every trust root has exactly one spelling.
    pub fn parse(text: &str) -> Result<Self, RootError> {
        text::parse(text)
    }

    /// Writes the text that [`TrustRoot::parse`] reads back, and that its keys sign.
    ///
    /// # Errors
    /// As [`TrustRoot::check`].
    pub fn format(&self) -> Result<String, RootError> {
        self.check()?;
        Ok(text::format(self))
    }

    /// Checks that it still says something at `now`.
    ///
    /// # Errors
    /// [`RootError::Expired`].
    pub const fn check_expiry(&self, now: u64) -> Result<(), RootError> {
        if now >= self.expires {
            return Err(RootError::Expired { at: self.expires });
        }
        Ok(())
    }

    /// The signer with this number.
    #[must_use]
    pub fn signer(&self, number: u16) -> Option<&TrustSigner> {
        self.signers.get(usize::from(number))
    }

    /// The signer whose key is called `<name>+<8 hex id>`, and its number.
    #[must_use]
    pub fn signer_by_keyid(&self, keyid: &str) -> Option<(u16, &TrustSigner)> {
        let (name, id) = keyid.rsplit_once('+')?;
        let id = u32::from_str_radix(id, 16).ok()?;
        let number = self
            .signers
            .iter()
            .position(|signer| signer.key.id() == id && signer.key.name() == name)?;
        let number = u16::try_from(number).ok()?;
        Some((number, self.signer(number)?))
    }

    /// The organisation with this number.
    #[must_use]
    pub fn organisation(&self, number: u16) -> Option<&Organisation> {
        self.organisations.get(usize::from(number))
    }

    /// The number of the organisation of this name.
    #[must_use]
    pub fn organisation_number(&self, name: &str) -> Option<u16> {
        let at = self.organisations.iter().position(|org| org.name == name)?;
        u16::try_from(at).ok()
    }
}

impl Unsupported {
    /// The word that the trust root has for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
        }
    }
}

impl KeySet {
    /// Checks that enough of the keys have signed `note`.
    ///
    /// # Errors
    /// As [`SignedNote::verify`].
    pub fn verify(&self, note: &SignedNote) -> Result<usize, NoteError> {
        note.verify(&self.keys, self.threshold)
    }
}

impl TrustSigner {
    /// Says whether a statement at this place in the log is inside the range in which the key counts.
    #[must_use]
    pub fn valid_at(&self, log_index: u64) -> bool {
        self.from_index <= log_index && self.until_index.is_none_or(|until| log_index < until)
    }

    /// Says whether the key was revoked at this place in the log.
    #[must_use]
    pub fn revoked_at(&self, log_index: u64) -> bool {
        self.revoked_from.is_some_and(|from| from <= log_index)
    }
}

/// The name of one of vcn's levels.
#[must_use]
pub fn level_name(level: i8) -> Option<&'static str> {
    LEVELS
        .iter()
        .find(|(number, _)| *number == level)
        .map(|(_, name)| *name)
}

impl fmt::Display for RootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(_) => f.write_str("the trust root is not signed by its own root keys"),
            Self::Predecessor(_) => f.write_str(
                "the trust root is not signed by the root keys of the version before it",
            ),
            Self::Line(line, what) => write!(f, "line {line} of the trust root: {what}"),
            Self::Expected(line, word) => {
                write!(f, "line {line} of the trust root: no '{word}' line")
            }
            Self::Rule(rule) => write!(f, "the trust root breaks a rule: {rule}"),
            Self::Version { expected, found } => {
                write!(
                    f,
                    "expected version {expected} of the trust root, found {found}"
                )
            }
            Self::Succession(what) => {
                write!(
                    f,
                    "the trust root cannot follow the version before it: {what}"
                )
            }
            Self::Expired { at } => write!(
                f,
                "the trust root expired at unix time {at}; its publisher must sign a new version"
            ),
        }
    }
}

impl std::error::Error for RootError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Note(error) | Self::Predecessor(error) => Some(error),
            Self::Line(..)
            | Self::Expected(..)
            | Self::Rule(_)
            | Self::Version { .. }
            | Self::Succession(_)
            | Self::Expired { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
