//! One record of the allowlist: what one organisation last said of one digest.
//!
//! Owns the 80-byte form (docs/formats.md, "Record") and the key derivation.
//! What a set of records amounts to is `policy`'s to say.

use sha2::{Digest as _, Sha256};

use crate::image::digest::Digest;

/// Bytes of an encoded record.
pub const RECORD_SIZE: usize = 80;

/// The most records one key may have: one for each organisation, and all must fit on one page.
pub const MAX_RECORDS_PER_KEY: usize = 48;

/// What a digest is the digest of. Part of the key, so that a notarized file is never a startable image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An OCI image index or Docker manifest list.
    Index,
    /// An image manifest.
    Manifest,
    /// An image config, the "image ID". The only kind that the gate looks up.
    Config,
    /// Any other file.
    File,
}

/// SHA-256(kind ‖ `sha256:` ‖ raw digest): where a record is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

/// What is said of a digest. The numbers are vcn's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// 0: vouched for.
    Trusted,
    /// 1: trust withdrawn.
    Untrusted,
    /// 2: nothing known. Never stored; the answer when there is no record.
    Unknown,
    /// 3: no longer supported by its publisher.
    Unsupported,
    /// 4: vouched for only by a key that was revoked when it did so.
    Revoked,
}

/// What one organisation last said of one digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Which digest.
    pub key: Key,
    /// The signer's place in the trust root's list; roots only ever append to that list.
    pub signer: u16,
    /// What was said.
    pub status: Status,
    /// Unix seconds after which TRUSTED lapses; 0 for never.
    pub not_after: u32,
    /// Place of the statement in the log.
    pub log_index: u64,
    /// Config: its chain ID. Manifest: its config's digest. Otherwise `None`, stored as zeros.
    pub target: Option<Digest>,
}

/// Why 80 bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordError(pub &'static str);

impl Kind {
    /// The byte that the key derivation hashes.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Index => 1,
            Self::Manifest => 2,
            Self::Config => 3,
            Self::File => 4,
        }
    }

    /// The stable name, as statements carry it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::File => "file",
        }
    }
}

impl Key {
    /// Derives the key of `digest` as a `kind`.
    #[must_use]
    pub fn of(kind: Kind, digest: &Digest) -> Self {
        let mut hash = Sha256::new();
        hash.update([kind.code()]);
        hash.update(b"sha256:");
        hash.update(digest.as_bytes());
        Self(hash.finalize().into())
    }

    /// Takes 32 bytes that are already a key.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw 32 bytes, in whose order records are sorted.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Status {
    /// vcn's number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Trusted => 0,
            Self::Untrusted => 1,
            Self::Unknown => 2,
            Self::Unsupported => 3,
            Self::Revoked => 4,
        }
    }

    /// The name that people read.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "TRUSTED",
            Self::Untrusted => "UNTRUSTED",
            Self::Unknown => "UNKNOWN",
            Self::Unsupported => "UNSUPPORTED",
            Self::Revoked => "REVOKED",
        }
    }
}

impl Record {
    /// Encodes: key 32 | signer u16 | status u8 | flags u8 = 0 | `not_after` u32 | `log_index` u64 | target 32, big-endian.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_SIZE] {
        let mut bytes = [0; RECORD_SIZE];
        let target = self.target.map_or([0; 32], |digest| *digest.as_bytes());
        let fields: [&[u8]; 6] = [
            self.key.as_bytes(),
            &self.signer.to_be_bytes(),
            &[self.status.code(), 0],
            &self.not_after.to_be_bytes(),
            &self.log_index.to_be_bytes(),
            &target,
        ];
        let mut at = 0;
        for field in fields {
            if let Some(slot) = bytes.get_mut(at..at + field.len()) {
                slot.copy_from_slice(field);
            }
            at += field.len();
        }
        bytes
    }

    /// Decodes one record.
    ///
    /// # Errors
    /// [`RecordError`] for an unknown status, a stored UNKNOWN, or a flag.
    pub fn decode(bytes: &[u8; RECORD_SIZE]) -> Result<Self, RecordError> {
        let (key, rest) = split::<32>(bytes)?;
        let (signer, rest) = split::<2>(rest)?;
        let (&[status, flags], rest) = split::<2>(rest)?;
        let (not_after, rest) = split::<4>(rest)?;
        let (log_index, rest) = split::<8>(rest)?;
        let (target, _) = split::<32>(rest)?;
        if flags != 0 {
            return Err(RecordError("a record has a flag that is not known"));
        }
        let status = match status {
            0 => Status::Trusted,
            1 => Status::Untrusted,
            3 => Status::Unsupported,
            4 => Status::Revoked,
            _ => return Err(RecordError("a record has a status that is not known")),
        };
        Ok(Self {
            key: Key(*key),
            signer: u16::from_be_bytes(*signer),
            status,
            not_after: u32::from_be_bytes(*not_after),
            log_index: u64::from_be_bytes(*log_index),
            target: (*target != [0; 32]).then(|| Digest::from_bytes(*target)),
        })
    }
}

fn split<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), RecordError> {
    bytes
        .split_first_chunk()
        .ok_or(RecordError("a record is too short"))
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for RecordError {}

#[cfg(test)]
mod tests {
    use super::{Key, Kind, Record, Status};
    use crate::image::digest::Digest;

    #[test]
    fn a_record_survives_its_encoding() {
        let record = Record {
            key: Key::of(Kind::Config, &Digest::of(b"config")),
            signer: 513,
            status: Status::Unsupported,
            not_after: 1_900_000_000,
            log_index: 1 << 40,
            target: Some(Digest::of(b"chain")),
        };
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn one_digest_has_another_key_for_each_kind() {
        let digest = Digest::of(b"x");
        let kinds = [Kind::Index, Kind::Manifest, Kind::Config, Kind::File];
        let mut keys: Vec<_> = kinds.iter().map(|kind| Key::of(*kind, &digest)).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), kinds.len());
    }

    #[test]
    fn refuses_a_stored_unknown_and_a_flag() {
        let record = Record {
            key: Key::of(Kind::Config, &Digest::of(b"config")),
            signer: 0,
            status: Status::Trusted,
            not_after: 0,
            log_index: 0,
            target: None,
        };
        for (at, value) in [(34, 2), (34, 5), (35, 1)] {
            let mut bytes = record.encode();
            bytes[at] = value;
            assert!(Record::decode(&bytes).is_err(), "byte {at} = {value}");
        }
    }
}
