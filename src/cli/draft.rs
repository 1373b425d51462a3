//! A text in a file, on its way to enough signatures.
//!
//! Owns the file that people hand from one to the next: a plain text that an
//! editor may change as long as nobody has signed it, then a signed note. What
//! the text says, and whose signatures count, is each verb's.

use std::path::{Path, PathBuf};

use super::failure::{Failure, OrFail as _};
use crate::allowlist::note::{MAX_NOTE_SIZE, SignedNote, VerifierKey};
use crate::sys::file;
use crate::trust::keys::Signer;
use crate::trust::root::KeySet;
use crate::verdict::exit;

/// The text, and who has signed it so far.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where it lies.
    pub path: PathBuf,
    /// What is or will be signed.
    pub note: SignedNote,
}

impl Draft {
    /// Begins one that nobody has signed.
    ///
    /// # Errors
    /// A text that cannot be signed.
    pub fn new(path: &Path, text: &str) -> Result<Self, Failure> {
        let note = SignedNote::new(text).or_fail(exit::FAILURE, || unusable(path))?;
        Ok(Self {
            path: path.to_owned(),
            note,
        })
    }

    /// Reads one, signed or not.
    ///
    /// # Errors
    /// A file that cannot be read, or holds neither a text nor a signed note.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let what = || unusable(path);
        let most = MAX_NOTE_SIZE as u64;
        let bytes = file::read_capped(path, most).or_fail(exit::FAILURE, what)?;
        if bytes.windows(2).any(|pair| pair == b"\n\n") {
            let note = SignedNote::parse(&bytes).or_fail(exit::FAILURE, what)?;
            let path = path.to_owned();
            return Ok(Self { path, note });
        }
        let text = String::from_utf8(bytes).or_fail(exit::FAILURE, what)?;
        Self::new(path, &text)
    }

    /// Signs it with each of these keys. One that has signed already signs nothing.
    ///
    /// # Errors
    /// When a key has signed before, or cannot; nothing is written then.
    pub fn sign(&mut self, signers: &[Box<dyn Signer>]) -> Result<(), Failure> {
        for signer in signers {
            let key = signer.verifier();
            if self.is_signed_by(key) {
                let text = format!(
                    "'{}' is signed by {} already",
                    self.path.display(),
                    key.keyid()
                );
                return Err(Failure::new(exit::FAILURE, text));
            }
            let what = || format!("cannot sign '{}'", self.path.display());
            let signature = signer.sign(self.note.text.as_bytes());
            let signature = signature.or_fail(exit::FAILURE, what)?;
            self.note
                .sign(key, &signature)
                .or_fail(exit::FAILURE, what)?;
        }
        Ok(())
    }

    /// Which of these keys have signed it.
    ///
    /// # Errors
    /// When a signature is not of this text: somebody has edited it since.
    pub fn signed_by<'a>(&self, keys: &'a KeySet) -> Result<Vec<&'a VerifierKey>, Failure> {
        let signed: Vec<_> = keys
            .keys
            .iter()
            .filter(|key| self.is_signed_by(key))
            .collect();
        if signed.is_empty() {
            return Ok(signed);
        }
        self.note.verify(&keys.keys, 1).or_fail(exit::FAILURE, || {
            format!(
                "'{}' was changed after somebody had signed it; remove the signatures and sign it anew",
                self.path.display()
            )
        })?;
        Ok(signed)
    }

    /// The file as it is to be written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.note.signatures.is_empty() {
            self.note.text.clone().into_bytes()
        } else {
            self.note.to_bytes()
        }
    }

    /// Writes it back to where it lies.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write(&self) -> Result<(), Failure> {
        file::replace(&self.path, &self.to_bytes(), 0o644).or_fail(exit::FAILURE, || {
            format!("cannot write '{}'", self.path.display())
        })
    }

    fn is_signed_by(&self, key: &VerifierKey) -> bool {
        let mut lines = self.note.signatures.iter();
        lines.any(|line| line.id == key.id() && line.name == key.name())
    }
}

fn unusable(path: &Path) -> String {
    format!("cannot use '{}'", path.display())
}
