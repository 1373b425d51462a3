//! The rules that every trust root keeps.

use std::collections::HashSet;
use std::hash::Hash;

use super::{KeySet, MAX_SIGNERS, RootError, TrustRoot, TrustSigner, level_name};
use crate::allowlist::note::VerifierKey;
use crate::allowlist::record::MAX_RECORDS_PER_KEY;

impl TrustRoot {
    /// Checks what the types alone do not hold.
    ///
    /// # Errors
    /// [`RootError::Rule`] naming the broken rule.
    pub fn check(&self) -> Result<(), RootError> {
        self.broken_rule()
            .map_or(Ok(()), |rule| Err(RootError::Rule(rule)))
    }

    fn broken_rule(&self) -> Option<&'static str> {
        let sets = [
            Some(&self.roots),
            Some(&self.indexers),
            self.exempt.as_ref(),
        ];
        let rules = [
            (self.version > 0, "versions count from 1"),
            (is_word(&self.origin), "the origin is not one word"),
            (
                self.log.name() == self.origin,
                "the log key's name is not the origin",
            ),
            (
                sets.into_iter().flatten().all(KeySet::is_sound),
                "a threshold is 0 or more than there are keys, or a key is there twice",
            ),
            (
                (1..=MAX_RECORDS_PER_KEY).contains(&self.organisations.len()),
                "there are not between 1 and 48 organisations",
            ),
            (
                self.organisations.iter().all(|org| is_word(&org.name))
                    && is_distinct(self.organisations.iter().map(|org| &org.name)),
                "an organisation is not one word, or is there twice",
            ),
            (
                self.signers.len() <= MAX_SIGNERS,
                "there are more than 65536 signers",
            ),
            (
                // One key under two names would vote twice; two keys of one id could not be told apart.
                is_distinct(self.signers.iter().map(|signer| signer.key.public()))
                    && is_distinct(self.signers.iter().map(|signer| signer.key.id())),
                "a signer's key or key id is there twice",
            ),
            (
                self.signers.iter().all(|signer| self.is_sound(signer)),
                "a signer's level or organisation is not known, or its range is empty",
            ),
            (
                is_level(self.allow.min_level) && self.is_list(&self.allow.organisations),
                "the allow line has an unknown level or organisation, or one twice",
            ),
            (
                (1..=self.allow.organisations.len()).contains(&self.allow.threshold),
                "the allow line needs more organisations than it names, or none",
            ),
            (
                self.veto
                    .as_ref()
                    .is_none_or(|veto| !veto.is_empty() && self.is_list(veto)),
                "the veto line has no organisation, an unknown one or one twice",
            ),
        ];
        rules
            .into_iter()
            .find_map(|(holds, rule)| (!holds).then_some(rule))
    }

    fn is_sound(&self, signer: &TrustSigner) -> bool {
        is_level(signer.level)
            && self.organisation(signer.organisation).is_some()
            && signer
                .until_index
                .is_none_or(|until| signer.from_index < until)
    }

    fn is_list(&self, numbers: &[u16]) -> bool {
        is_distinct(numbers)
            && numbers
                .iter()
                .all(|number| self.organisation(*number).is_some())
    }
}

impl KeySet {
    fn is_sound(&self) -> bool {
        (1..=self.keys.len()).contains(&self.threshold)
            && is_distinct(self.keys.iter().map(VerifierKey::public))
    }
}

fn is_level(level: i8) -> bool {
    level_name(level).is_some()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn is_distinct<T: Eq + Hash>(items: impl IntoIterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    items.into_iter().all(|item| seen.insert(item))
}
