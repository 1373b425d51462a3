//! Keys that sign.
//!
//! Owns what a signer is. Which of them may say what is `trust::root`'s.

use std::fmt;

use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::allowlist::note::{NoteError, VerifierKey};

/// Somebody who can sign: a key in memory, an agent, a command.
pub trait Signer {
    /// The public half, and the name that it signs under.
    fn verifier(&self) -> &VerifierKey;

    /// Signs `message` with Ed25519. The signature has been verified before it is returned.
    ///
    /// # Errors
    /// [`KeyError`] when the key cannot be used, or what came back is not its signature.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyError>;

    /// The name that it signs under.
    fn name(&self) -> &str {
        self.verifier().name()
    }
}

/// A private key in memory.
pub struct SecretKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

/// Why a key cannot be used.
#[derive(Debug)]
pub enum KeyError {
    /// The key's name cannot be a name.
    Name(NoteError),
    /// What came back is not the key's signature.
    Signature,
}

impl SecretKey {
    /// Takes the 32 bytes that an Ed25519 key is made of, and the name that it signs under.
    ///
    /// # Errors
    /// [`KeyError::Name`] for a name that a note cannot carry.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Signature)?;
        let public = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| KeyError::Signature)?;
        let verifier = VerifierKey::new(name, public).map_err(KeyError::Name)?;
        Ok(Self { pair, verifier })
    }
}

impl Signer for SecretKey {
    fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyError> {
        checked(&self.verifier, message, self.pair.sign(message).as_ref())
    }
}

/// Lets a signature out only if it is the key's: a bad one in the log is there for ever.
fn checked(key: &VerifierKey, message: &[u8], signature: &[u8]) -> Result<[u8; 64], KeyError> {
    if !key.verify(message, signature) {
        return Err(KeyError::Signature);
    }
    signature.try_into().map_err(|_| KeyError::Signature)
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.verifier.keyid())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name(_) => "the key's name cannot be used",
            Self::Signature => "the signature is not the key's",
        })
    }
}

impl std::error::Error for KeyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(error) => Some(error),
            Self::Signature => None,
        }
    }
}
