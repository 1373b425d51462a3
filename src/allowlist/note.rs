//! Signed notes and the keys that verify them (C2SP signed-note v1.0.0).
//!
//! Owns the text format, verifier keys and the counting of signatures; the one
//! place where Ed25519 signatures are verified. Refuses to know what a note
//! says, and holds no private key: signing belongs to `trust`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::image::digest::Digest;

/// The longest note that is parsed. What a node reads on each start has a smaller cap of its own.
pub const MAX_NOTE_SIZE: usize = 1 << 20;

/// The most signature lines; signed-note asks verifiers to take at least 16, Go's take 100.
const MAX_SIGNATURES: usize = 100;

/// The signature type byte of Ed25519 (signed-note, "Signatures").
const ED25519_TYPE: u8 = 1;

/// A public key and the name it signs under, written `<name>+<8 hex id>+<base64(0x01 ‖ key)>`.
///
/// ```
/// use vcn_hook::allowlist::note::{SignedNote, VerifierKey};
///
/// let key: VerifierKey =
///     "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse()?;
/// let note = SignedNote::parse("\
/// If you think cryptography is the answer to your problem,
/// then you don't know what your problem is.
///
/// — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
/// ".as_bytes())?;
/// assert_eq!(note.verify(&[key], 1), Ok(1));
/// # Ok::<(), vcn_hook::allowlist::note::NoteError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    id: u32,
    public: [u8; 32],
}

/// A text and who signed it. Parsing checks the form; only [`SignedNote::verify`] makes it trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    /// What is signed, ending in a newline.
    pub text: String,
    /// The signature lines, in their order, whoever made them.
    pub signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key.
    pub name: String,
    /// The id of the key.
    pub id: u32,
    /// The signature proper; 64 bytes for Ed25519, anything for types that are not known here.
    pub signature: Vec<u8>,
}

/// Why a note is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE_SIZE`].
    TooLong,
    /// Not a signed note; says what is wrong with its form.
    Form(&'static str),
    /// Not a verifier key; says what is wrong with it.
    Key(&'static str),
    /// A key that is known made no such signature.
    BadSignature {
        /// The name of the key.
        name: String,
    },
    /// Too few of the keys that count have signed.
    Threshold {
        /// How many did.
        found: usize,
        /// How many must.
        needed: usize,
    },
}

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    /// [`NoteError::Key`] for a name that is empty or has whitespace, a control character or a plus.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Key(
                "a key name is not empty and has no space, control character or '+'",
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            id: key_id(name, &public),
            public,
        })
    }

    /// The name it signs under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ public key).
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The Ed25519 public key.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// `<name>+<8 hex id>`: how statements and revocations name the key.
    #[must_use]
    pub fn keyid(&self) -> String {
        format!("{}+{:08x}", self.name, self.id)
    }

    /// Says whether `signature` is this key's over `message`.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public)
            .verify(message, signature)
            .is_ok()
    }
}

impl SignedNote {
    /// Starts a note that nobody has signed yet.
    ///
    /// # Errors
    /// [`NoteError::Form`] for a text without a final newline or with a control character.
    pub fn new(text: impl Into<String>) -> Result<Self, NoteError> {
        let text = text.into();
        check_text(&text)?;
        Ok(Self {
            text,
            signatures: Vec::new(),
        })
    }

    /// Adds the signature that `key` made over [`SignedNote::text`].
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] when it did not, so that no broken note is ever written.
    pub fn sign(&mut self, key: &VerifierKey, signature: &[u8; 64]) -> Result<(), NoteError> {
        if !key.verify(self.text.as_bytes(), signature) {
            return Err(NoteError::BadSignature {
                name: key.name.clone(),
            });
        }
        self.signatures.push(NoteSignature {
            name: key.name.clone(),
            id: key.id,
            signature: signature.to_vec(),
        });
        Ok(())
    }

    /// Takes a note apart. Whose signatures they are is not looked at.
    ///
    /// # Errors
    /// [`NoteError::TooLong`] or [`NoteError::Form`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_SIZE {
            return Err(NoteError::TooLong);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteError::Form("not UTF-8"))?;
        // The last blank line divides, because the text may have blank lines of its own.
        let (body, lines) = note
            .rsplit_once("\n\n")
            .ok_or(NoteError::Form("no blank line before the signatures"))?;
        let text = format!("{body}\n");
        check_text(&text)?;
        let lines = lines
            .strip_suffix('\n')
            .ok_or(NoteError::Form("the signatures do not end in a newline"))?;
        if lines.split('\n').count() > MAX_SIGNATURES {
            return Err(NoteError::Form("too many signatures"));
        }
        let signatures = lines
            .split('\n')
            .map(|line| parse_signature(line).ok_or(NoteError::Form("a signature line is broken")))
            .collect::<Result<_, _>>()?;
        Ok(Self { text, signatures })
    }

    /// Requires that at least `threshold` of `keys` have signed, and says how many did.
    ///
    /// Signatures by other keys are ignored, as signed-note asks. A key counts once, however often
    /// it is named or signs; a public key under two names counts once as well.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] as soon as one of `keys` is named by a signature that it did not
    /// make; [`NoteError::Threshold`] when too few have signed, and for a threshold of 0.
    pub fn verify(&self, keys: &[VerifierKey], threshold: usize) -> Result<usize, NoteError> {
        let mut signers: Vec<&[u8; 32]> = Vec::new();
        for line in &self.signatures {
            let mut known = keys
                .iter()
                .filter(|key| key.id == line.id && key.name == line.name)
                .peekable();
            if known.peek().is_none() {
                continue;
            }
            let signer = known
                .find(|key| key.verify(self.text.as_bytes(), &line.signature))
                .ok_or_else(|| NoteError::BadSignature {
                    name: line.name.clone(),
                })?;
            if !signers.contains(&&signer.public) {
                signers.push(&signer.public);
            }
        }
        if threshold == 0 || signers.len() < threshold {
            return Err(NoteError::Threshold {
                found: signers.len(),
                needed: threshold,
            });
        }
        Ok(signers.len())
    }

    /// The note as it is published.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut note = format!("{}\n", self.text);
        for line in &self.signatures {
            note.push_str(&signature_line(&line.name, line.id, &line.signature));
        }
        note.into_bytes()
    }
}

/// The id of an Ed25519 key under a name (signed-note, "Signatures").
#[must_use]
pub fn key_id(name: &str, public: &[u8; 32]) -> u32 {
    let named = [name.as_bytes(), &[b'\n', ED25519_TYPE], public].concat();
    let [a, b, c, d, ..] = *Digest::of(&named).as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// One signature line, with its newline.
#[must_use]
pub fn signature_line(name: &str, id: u32, signature: &[u8]) -> String {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend_from_slice(signature);
    format!("— {name} {}\n", BASE64.encode(bytes))
}

fn parse_signature(line: &str) -> Option<NoteSignature> {
    let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = BASE64.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    (is_name(name) && !signature.is_empty()).then(|| NoteSignature {
        name: name.to_owned(),
        id: u32::from_be_bytes(*id),
        signature: signature.to_vec(),
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control())
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if !text.ends_with('\n') {
        return Err(NoteError::Form("the text does not end in a newline"));
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Form("a control character in the text"));
    }
    Ok(())
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(NoteError::Key("a verifier key is '<name>+<id>+<key>'"));
        };
        let bytes = BASE64
            .decode(encoded)
            .map_err(|_| NoteError::Key("a verifier key ends in base64"))?;
        let Some((&ED25519_TYPE, public)) = bytes.split_first() else {
            return Err(NoteError::Key("only Ed25519 verifier keys are known"));
        };
        let public = public
            .try_into()
            .map_err(|_| NoteError::Key("an Ed25519 key has 32 bytes"))?;
        let key = Self::new(name, public)?;
        // Compared as text: the id has one spelling, so that a key has one, too.
        if id != format!("{:08x}", key.id) {
            return Err(NoteError::Key("the key id is not that of name and key"));
        }
        Ok(key)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519_TYPE];
        bytes.extend_from_slice(&self.public);
        write!(f, "{}+{:08x}+{}", self.name, self.id, BASE64.encode(bytes))
    }
}

impl Serialize for VerifierKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VerifierKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the note is longer than {MAX_NOTE_SIZE} bytes"),
            Self::Form(what) => write!(f, "not a signed note: {what}"),
            Self::Key(what) => f.write_str(what),
            Self::BadSignature { name } => {
                write!(f, "the signature of '{}' is wrong", name.escape_debug())
            }
            Self::Threshold { found, needed } => {
                write!(f, "signed by {found} of the {needed} keys that must sign")
            }
        }
    }
}

impl std::error::Error for NoteError {}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
