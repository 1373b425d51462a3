//! How a trust root becomes trusted: pinned by a person, or signed by the one before it.

use super::{RootError, TrustRoot, TrustSigner};
use crate::allowlist::note::SignedNote;
use crate::image::digest::Digest;

impl TrustRoot {
    /// Verifies a note that somebody pinned: enough of its own keys have signed it.
    ///
    /// Anybody can make such a note. It becomes trusted by its [`fingerprint()`], compared by a person.
    ///
    /// # Errors
    /// [`RootError`], whatever is wrong with it. Expiry is not looked at; see [`TrustRoot::check_expiry`].
    pub fn verify_initial(note: &[u8]) -> Result<Self, RootError> {
        let note = SignedNote::parse(note).map_err(RootError::Note)?;
        let root = Self::parse(&note.text)?;
        root.roots.verify(&note).map_err(RootError::Note)?;
        Ok(root)
    }

    /// Verifies the note of the next version: enough of this version's root keys and enough of its
    /// own have signed it, and what this version said of the past stays as it is.
    ///
    /// An expired version may still be followed, so that a node that was off for a year catches up;
    /// what must not have expired is the last one.
    ///
    /// # Errors
    /// [`RootError`], whatever is wrong with it.
    pub fn verify_successor(&self, note: &[u8]) -> Result<Self, RootError> {
        let note = SignedNote::parse(note).map_err(RootError::Note)?;
        // Signatures first: whoever has no key of ours gets no further into the parser.
        self.roots.verify(&note).map_err(RootError::Predecessor)?;
        let next = Self::parse(&note.text)?;
        next.roots.verify(&note).map_err(RootError::Note)?;
        self.check_succession(&next)?;
        Ok(next)
    }

    /// Checks that `next` may follow this version, whoever signed it.
    ///
    /// # Errors
    /// [`RootError::Version`] or [`RootError::Succession`].
    pub fn check_succession(&self, next: &Self) -> Result<(), RootError> {
        let expected = self.version.saturating_add(1);
        if next.version != expected {
            let found = next.version;
            return Err(RootError::Version { expected, found });
        }
        if next.origin != self.origin {
            return Err(RootError::Succession("it is for another ledger"));
        }
        let kept = self.signers.iter().enumerate().all(|(number, signer)| {
            next.signers.get(number).is_some_and(|kept| {
                kept.key == signer.key && next.name_of(kept) == self.name_of(signer)
            })
        });
        if !kept {
            // Records name signers by number and mean their organisation.
            return Err(RootError::Succession(
                "a signer was moved, removed or given to another organisation",
            ));
        }
        Ok(())
    }

    fn name_of(&self, signer: &TrustSigner) -> Option<&str> {
        self.organisation(signer.organisation)
            .map(|org| org.name.as_str())
    }
}

/// What people compare before they trust a ledger: the digest of the text that is signed.
///
/// # Errors
/// [`RootError::Note`] when it is no signed note.
pub fn fingerprint(note: &[u8]) -> Result<Digest, RootError> {
    let note = SignedNote::parse(note).map_err(RootError::Note)?;
    Ok(Digest::of(note.text.as_bytes()))
}
