//! Content digests and chain IDs.
//!
//! Owns the textual form `sha256:<64 lower-case hex>` (OCI image-spec,
//! `descriptor.md#digests`) and the chain ID recurrence (`config.md#layer-chainid`).
//! Refuses every other algorithm: no engine this product supports stores one,
//! and a second algorithm would be a second way to name the same image.

use std::fmt;
use std::str::FromStr;

use ring::digest::SHA256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A SHA-256 content digest, written `sha256:<hex>`.
///
/// ```
/// use vcn_hook::image::digest::Digest;
///
/// let empty = Digest::of(b"");
/// assert_eq!(
///     empty.to_string(),
///     "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
/// );
/// assert_eq!(empty.to_string().parse::<Digest>(), Ok(empty));
/// assert!("sha256:E3B0".parse::<Digest>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// The digest of an ordered list of layers (OCI image-spec, `config.md#layer-chainid`).
///
/// A type of its own, so that a config digest is never compared with a chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(Digest);

/// Why a text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestError {
    /// The algorithm before the colon is missing or is not `sha256`.
    Algorithm,
    /// What follows the colon is not 64 lower-case hexadecimal digits.
    Encoding,
}

impl Digest {
    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        // Not sha2's: where the processor has no instruction for it, ring's is twice as fast, and
        // this is most of what a start costs us.
        let mut digest = [0; 32];
        digest.copy_from_slice(ring::digest::digest(&SHA256, bytes).as_ref());
        Self(digest)
    }

    /// Takes 32 bytes that are already a SHA-256 digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses the hexadecimal part alone, as vcn's `--hash` and Docker's file names have it.
    ///
    /// # Errors
    /// [`DigestError::Encoding`] unless `hex` is 64 lower-case hexadecimal digits.
    pub fn from_hex(hex: &str) -> Result<Self, DigestError> {
        let digits: &[u8; 64] = hex
            .as_bytes()
            .try_into()
            .map_err(|_| DigestError::Encoding)?;
        let mut bytes = [0_u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let &[high, low] = pair else {
                return Err(DigestError::Encoding);
            };
            *byte = nibble(high)? << 4 | nibble(low)?;
        }
        Ok(Self(bytes))
    }

    /// The raw 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 lower-case hexadecimal digits, without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

impl ChainId {
    /// Folds uncompressed layer digests, bottom layer first. `None` when there are no layers.
    #[must_use]
    pub fn of_layers(diff_ids: &[Digest]) -> Option<Self> {
        let (first, rest) = diff_ids.split_first()?;
        Some(
            rest.iter()
                .fold(Self(*first), |chain, diff_id| chain.push(diff_id)),
        )
    }

    /// The chain ID of this chain with `diff_id` laid on top of it.
    #[must_use]
    pub fn push(self, diff_id: &Digest) -> Self {
        Self(Digest::of(format!("{} {diff_id}", self.0).as_bytes()))
    }

    /// Takes a digest that is known to be a chain ID.
    #[must_use]
    pub const fn from_digest(digest: Digest) -> Self {
        Self(digest)
    }

    /// The chain ID as a plain digest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

/// Lower-case hexadecimal of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| DIGITS.get(usize::from(nibble)).copied().map(char::from))
        .collect()
}

const fn nibble(digit: u8) -> Result<u8, DigestError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(DigestError::Encoding),
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::from_hex(text.strip_prefix("sha256:").ok_or(DigestError::Algorithm)?)
    }
}

impl FromStr for ChainId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainId({})", self.0)
    }
}

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Algorithm => "a digest starts with 'sha256:'",
            Self::Encoding => "a sha256 digest has 64 lower-case hexadecimal digits",
        })
    }
}

impl std::error::Error for DigestError {}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{ChainId, Digest, DigestError};

    #[test]
    fn refuses_every_other_spelling() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (text, error) in [
            (hex.to_owned(), DigestError::Algorithm),
            (format!("sha512:{hex}{hex}"), DigestError::Algorithm),
            (
                format!("sha256:{}", hex.to_uppercase()),
                DigestError::Encoding,
            ),
            (format!("sha256:{hex}0"), DigestError::Encoding),
            (format!("sha256:{}é", &hex[..62]), DigestError::Encoding),
            (format!("sha256: {hex}"), DigestError::Encoding),
            ("sha256:".to_owned(), DigestError::Encoding),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(error), "{text}");
        }
    }

    #[test]
    fn chains_layers_as_the_image_spec_says() {
        let [a, b] = [Digest::of(b"a"), Digest::of(b"b")];
        assert_eq!(ChainId::of_layers(&[]), None);
        assert_eq!(ChainId::of_layers(&[a]), Some(ChainId::from_digest(a)));
        let expected = Digest::of(format!("{a} {b}").as_bytes());
        assert_eq!(
            ChainId::of_layers(&[a, b]),
            Some(ChainId::from_digest(expected))
        );
    }
}
