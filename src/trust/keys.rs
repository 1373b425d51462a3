//! Keys that sign, and the ways in which a publisher reaches one.
//!
//! Owns what a signer is and how `--key` names one. Key files are `file`'s, the
//! folder they lie in is `folder`'s, agents are `trust::agent`'s. Who may sign
//! what is `trust::root`'s.

mod command;
mod error;
mod file;
mod folder;

use std::fmt;
use std::path::{Path, PathBuf};

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

use crate::allowlist::note::VerifierKey;
use crate::trust::agent;

pub use command::CommandKey;
pub use error::KeyError;
pub use file::{generate, open, parse_private, parse_public, public_path, read_public};
pub use folder::{DEFAULT_KEY, KeyFolder, ListedKey};

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

/// Asks for the passphrase of the key in this file; `None` when there is nobody to ask.
pub trait AskPassphrase {
    /// Asks once; what it returns is tried once.
    fn ask(&mut self, path: &Path) -> Option<Zeroizing<String>>;
}

impl<F: FnMut(&Path) -> Option<Zeroizing<String>>> AskPassphrase for F {
    fn ask(&mut self, path: &Path) -> Option<Zeroizing<String>> {
        self(path)
    }
}

/// A private key in memory.
pub struct SecretKey {
    pair: Ed25519KeyPair,
    verifier: VerifierKey,
}

/// How `--key` names a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyReference {
    /// A file, or the name of one in the key folder.
    File(PathBuf),
    /// `agent:NAME` or `agent:VKEY`: a key of the ssh-agent.
    Agent(String),
    /// `exec:VKEY COMMAND`: a command that signs, and the key that it signs with.
    Command(VerifierKey, String),
}

/// Where keys are looked for.
#[derive(Debug, Clone)]
pub struct KeySources {
    /// The key folder.
    pub folder: KeyFolder,
    /// The agent's socket, as `SSH_AUTH_SOCK` names it.
    pub agent: Option<PathBuf>,
}

impl KeyReference {
    /// Takes apart what a person wrote.
    ///
    /// # Errors
    /// [`KeyError::Reference`] for an `agent:` without a key or an `exec:` without key or command.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if let Some(key) = text.strip_prefix("agent:") {
            if key.is_empty() {
                return Err(KeyError::Reference("write 'agent:NAME' or 'agent:VKEY'"));
            }
            return Ok(Self::Agent(key.to_owned()));
        }
        let Some(rest) = text.strip_prefix("exec:") else {
            return Ok(Self::File(text.into()));
        };
        let form = KeyError::Reference(
            "write 'exec:VKEY COMMAND', where VKEY is the public key that the command signs with",
        );
        match rest.split_once(' ') {
            Some((key, command)) if !command.trim().is_empty() => match key.parse() {
                Ok(key) => Ok(Self::Command(key, command.to_owned())),
                Err(_) => Err(form),
            },
            _ => Err(form),
        }
    }

    /// Opens the key.
    ///
    /// # Errors
    /// [`KeyError`], by the way in which it is named.
    pub fn open(
        &self,
        sources: &KeySources,
        passphrase: &mut dyn AskPassphrase,
    ) -> Result<Box<dyn Signer>, KeyError> {
        Ok(match self {
            Self::File(path) => Box::new(open(&sources.folder.find(path), passphrase)?),
            Self::Agent(key) => {
                let socket = sources.agent.as_deref().ok_or(KeyError::NoAgent)?;
                Box::new(agent::open(socket, key)?)
            }
            Self::Command(key, command) => Box::new(CommandKey::new(key.clone(), command)),
        })
    }
}

impl SecretKey {
    /// Takes the 32 bytes that an Ed25519 key is made of, and the name that it signs under.
    ///
    /// # Errors
    /// [`KeyError::Name`] for a name that a note cannot carry.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Signature)?;
        let public = pair.public_key().as_ref();
        let public = public.try_into().map_err(|_| KeyError::Signature)?;
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
pub(super) fn checked(
    key: &VerifierKey,
    message: &[u8],
    signature: &[u8],
) -> Result<[u8; 64], KeyError> {
    let signature: [u8; 64] = signature.try_into().map_err(|_| KeyError::Signature)?;
    if key.verify(message, &signature) {
        Ok(signature)
    } else {
        Err(KeyError::Signature)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.verifier.keyid())
    }
}

#[cfg(test)]
mod tests;
