//! One entry of the log: a signed statement about the digests of one image.
//!
//! Owns the statement, its checks and its signed envelope (docs/formats.md,
//! "Statement"). Refuses to know which key may sign, and in what order
//! statements count: the former is `trust::root`'s, the latter `ledger::state`'s.
//! Names are kept as the signer wrote them; whoever prints one escapes it.

mod wire;

use std::collections::HashSet;
use std::fmt;

use crate::allowlist::note::VerifierKey;
use crate::allowlist::record::{Key, Kind, Status};
use crate::image::digest::{ChainId, Digest};
use crate::image::subjects::{self, SubjectOf};
use crate::trust::keys::{KeyError, Signer};

/// The `payloadType` of every entry; in-toto's, so that its tools can read ours.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The `predicateType` of the statements that this product writes and understands.
pub const PREDICATE_TYPE: &str = "urn:vcn-hook:notarization:v1";

/// The most bytes of one entry: room for 64 subjects with long names, and a bound for every reader.
pub const MAX_ENTRY_SIZE: usize = 16 * 1024;

/// The most subjects of one statement: an index of some thirty platforms, a manifest and a config each.
pub const MAX_SUBJECTS: usize = 64;

/// What one signer says of the digests of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Every digest that it speaks of. Applied to all of them or to none.
    pub subjects: Vec<Subject>,
    /// TRUSTED, UNTRUSTED or UNSUPPORTED; the others are never stated.
    pub status: Status,
    /// The ledger it was written for, so that it says nothing in another.
    pub origin: String,
    /// The log size that its signer had verified.
    pub after: u64,
    /// Unix seconds by the signer's clock; shown to people, decides nothing.
    pub time: u64,
    /// Unix seconds after which TRUSTED lapses; 0 for never, and always 0 for a negative.
    pub not_after: u32,
    /// Where the image came from: `docker`, `oci`, `file`, `hash`.
    pub kind: String,
    /// What its signer called it, such as `docker://app:1.4`.
    pub name: String,
    /// Its size in bytes, as vcn shows it.
    pub size: u64,
    /// The signer's company, empty if not stated.
    pub company: String,
    /// The signer's website, empty if not stated.
    pub website: String,
    /// Why a status changed, empty if not stated.
    pub reason: String,
}

/// One digest that a statement speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What its signer called it. Decides nothing.
    pub name: String,
    /// The digest.
    pub digest: Digest,
    /// What it is the digest of, and what that leads to.
    pub kind: SubjectKind,
}

/// What a subject's digest is the digest of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    /// An index or manifest list.
    Index,
    /// A manifest.
    Manifest {
        /// The config that it names, where its bytes were at hand.
        config: Option<Digest>,
    },
    /// An image config, the "image ID".
    Config {
        /// The chain of its layers; `None` when only a hash was at hand, and then it starts nothing.
        chain: Option<ChainId>,
    },
    /// Any other file.
    File,
}

/// An entry whose form is checked and whose signature is not, until [`Envelope::verify`] is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    keyid: String,
    payload: Vec<u8>,
    signature: [u8; 64],
    statement: Statement,
}

/// Why bytes are not a usable entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryError {
    /// An envelope or predicate of another type: somebody else's entry, not a broken one of ours.
    NotOurs,
    /// Longer than [`MAX_ENTRY_SIZE`].
    TooLong,
    /// Ours by its type, and not in the one form that ours have.
    Malformed(&'static str),
    /// The signature is not this key's over this payload.
    Signature,
}

/// Why a statement could not be signed.
#[derive(Debug)]
pub enum SignError {
    /// The statement breaks a rule of its own format.
    Statement(EntryError),
    /// The key could not sign.
    Key(KeyError),
}

impl SubjectKind {
    /// The kind that the allowlist's key is derived with.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Index => Kind::Index,
            Self::Manifest { .. } => Kind::Manifest,
            Self::Config { .. } => Kind::Config,
            Self::File => Kind::File,
        }
    }

    /// What a record of this subject points at: a config's chain, a manifest's config.
    #[must_use]
    pub fn target(self) -> Option<Digest> {
        match self {
            Self::Manifest { config } => config,
            Self::Config { chain } => chain.map(|chain| *chain.digest()),
            Self::Index | Self::File => None,
        }
    }
}

impl From<subjects::Subject> for Subject {
    fn from(found: subjects::Subject) -> Self {
        let kind = match found.of {
            SubjectOf::Index => SubjectKind::Index,
            SubjectOf::Manifest { config } => SubjectKind::Manifest {
                config: Some(config),
            },
            SubjectOf::Config { chain } => SubjectKind::Config { chain },
            SubjectOf::File => SubjectKind::File,
        };
        Self {
            name: found.name,
            digest: found.digest,
            kind,
        }
    }
}

impl Subject {
    /// Where the allowlist keeps what is said of this subject.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::of(self.kind.kind(), &self.digest)
    }
}

impl Statement {
    /// Checks what the types alone do not hold.
    ///
    /// # Errors
    /// [`EntryError::Malformed`] naming the broken rule.
    pub fn check(&self) -> Result<(), EntryError> {
        let mut seen = HashSet::new();
        let rule = if self.origin.is_empty() {
            "it names no ledger"
        } else if self.subjects.is_empty() {
            "it has no subject"
        } else if self.subjects.len() > MAX_SUBJECTS {
            "it has more than 64 subjects"
        } else if !self
            .subjects
            .iter()
            .all(|s| seen.insert((s.kind.kind(), s.digest)))
        {
            "it has the same subject twice"
        } else {
            match self.status {
                Status::Trusted => return Ok(()),
                // A negative never lapses.
                Status::Untrusted | Status::Unsupported if self.not_after == 0 => return Ok(()),
                Status::Untrusted | Status::Unsupported => "its status cannot lapse",
                Status::Unknown | Status::Revoked => "its status cannot be stated",
            }
        };
        Err(EntryError::Malformed(rule))
    }
}

/// Signs a statement: the bytes to append to the log.
///
/// # Errors
/// [`SignError::Statement`] when it breaks a rule or is too long, [`SignError::Key`] when the key cannot sign.
pub fn sign(statement: &Statement, signer: &dyn Signer) -> Result<Vec<u8>, SignError> {
    statement.check().map_err(SignError::Statement)?;
    let payload = wire::encode_statement(statement).map_err(SignError::Statement)?;
    let signature = signer
        .sign(&pae(PAYLOAD_TYPE, &payload))
        .map_err(SignError::Key)?;
    let key = signer.verifier();
    let entry =
        wire::encode_envelope(&payload, &key.keyid(), &signature).map_err(SignError::Statement)?;
    if entry.len() > MAX_ENTRY_SIZE {
        return Err(SignError::Statement(EntryError::TooLong));
    }
    Ok(entry)
}

impl Envelope {
    /// Parses one entry of the log.
    ///
    /// Off-spec: DSSE and in-toto tolerate unknown fields, white space and several signatures. Here
    /// a statement has exactly one spelling, so no two parsers can read one entry differently and
    /// nobody can append somebody's entry again in other bytes.
    ///
    /// # Errors
    /// [`EntryError`]; a reader of the log counts the entry as ignored and goes on.
    pub fn parse(entry: &[u8]) -> Result<Self, EntryError> {
        if entry.len() > MAX_ENTRY_SIZE {
            return Err(EntryError::TooLong);
        }
        let signed = wire::decode_envelope(entry)?;
        let statement = wire::decode_statement(&signed.payload)?;
        statement.check()?;
        let same_entry = wire::encode_envelope(&signed.payload, &signed.keyid, &signed.signature)?;
        if same_entry != entry || wire::encode_statement(&statement)? != signed.payload {
            return Err(EntryError::Malformed("it is not spelled as statements are"));
        }
        Ok(Self {
            keyid: signed.keyid,
            payload: signed.payload,
            signature: signed.signature,
            statement,
        })
    }

    /// `<name>+<8 hex id>` of the key that claims to have signed: what to look up in the trust root.
    #[must_use]
    pub fn keyid(&self) -> &str {
        &self.keyid
    }

    /// Checks the signature and hands out what it covers.
    ///
    /// # Errors
    /// [`EntryError::Signature`] when `key` is another key or the signature is not its.
    pub fn verify(&self, key: &VerifierKey) -> Result<&Statement, EntryError> {
        if key.keyid() == self.keyid
            && key.verify(&pae(PAYLOAD_TYPE, &self.payload), &self.signature)
        {
            Ok(&self.statement)
        } else {
            Err(EntryError::Signature)
        }
    }

    /// What the entry says, before anybody has checked who says so.
    #[must_use]
    pub const fn unverified(&self) -> &Statement {
        &self.statement
    }
}

/// The bytes that DSSE signs (DSSE v1.0, "Signature Definition": PAE).
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => f.write_str("the entry is no notarization statement"),
            Self::TooLong => write!(f, "the statement is longer than {MAX_ENTRY_SIZE} bytes"),
            Self::Malformed(rule) => write!(f, "the statement is malformed: {rule}"),
            Self::Signature => f.write_str("the statement is not signed by its key"),
        }
    }
}

impl std::error::Error for EntryError {}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot sign the statement")
    }
}

impl std::error::Error for SignError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            Self::Statement(error) => error,
            Self::Key(error) => error,
        })
    }
}

#[cfg(test)]
mod tests;
