//! Who says what: one entry of the log, judged by the trust root alone.
//!
//! Owns which signers count where in the log. Refuses to look at other
//! entries, so entries can be judged on all cores at once; what they amount
//! to in their order is `state`'s.

use std::collections::HashMap;

use crate::ledger::state::{Claim, Ignored};
use crate::ledger::statement::{EntryError, Envelope};
use crate::trust::root::{TrustRoot, TrustSigner};

/// The signers of one version of the trust root, as far as the meaning of entries depends on them.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    origin: String,
    signers: Vec<TrustSigner>,
    by_keyid: HashMap<String, u16>,
}

impl Roster {
    /// Takes the signers of a trust root; a signer's number is its place there.
    #[must_use]
    pub fn of(root: &TrustRoot) -> Self {
        let numbered = (0..=u16::MAX).zip(&root.signers);
        Self {
            origin: root.origin.clone(),
            signers: root.signers.clone(),
            by_keyid: numbered
                .map(|(number, signer)| (signer.key.keyid(), number))
                .collect(),
        }
    }

    /// Judges the entry at `index`.
    ///
    /// # Errors
    /// [`Ignored`]: why the entry can change nothing, whatever stands before it.
    pub fn claim(&self, index: u64, entry: &[u8]) -> Result<Claim, Ignored> {
        let envelope = Envelope::parse(entry).map_err(|error| match error {
            EntryError::NotOurs => Ignored::Foreign,
            EntryError::TooLong | EntryError::Malformed(_) | EntryError::Signature => {
                Ignored::Malformed
            }
        })?;
        let number = self.by_keyid.get(envelope.keyid());
        let (number, signer) = number
            .and_then(|&number| Some((number, self.signer(number)?)))
            .ok_or(Ignored::UnknownSigner)?;
        let statement = envelope
            .verify(&signer.key)
            .map_err(|_| Ignored::BadSignature)?;
        if statement.origin != self.origin {
            return Err(Ignored::OtherOrigin);
        }
        if !signer.valid_at(index) {
            return Err(Ignored::OutOfRange);
        }
        Ok(Claim {
            signer: number,
            organisation: signer.organisation,
            revoked: signer.revoked_at(index),
            status: statement.status,
            after: statement.after,
            not_after: statement.not_after,
            subjects: statement
                .subjects
                .iter()
                .map(|subject| (subject.key(), subject.kind.target()))
                .collect(),
        })
    }

    /// Judges a claim once more for another place: where a signer counts depends on it, and nothing else does.
    ///
    /// # Errors
    /// [`Ignored::OutOfRange`].
    pub fn moved(&self, index: u64, claim: Claim) -> Result<Claim, Ignored> {
        let signer = self.signer(claim.signer).ok_or(Ignored::UnknownSigner)?;
        if !signer.valid_at(index) {
            return Err(Ignored::OutOfRange);
        }
        Ok(Claim {
            revoked: signer.revoked_at(index),
            ..claim
        })
    }

    /// Says whose a record is; a signer that no root ever named has an organisation of its own.
    #[must_use]
    pub fn organisation(&self, signer: u16) -> u16 {
        self.signer(signer)
            .map_or(u16::MAX, |signer| signer.organisation)
    }

    /// Says whether the first `size` entries mean the same to both.
    ///
    /// If they do, a state of `size` entries need not be folded again for a new trust root.
    #[must_use]
    pub fn agrees_before(&self, size: u64, newer: &Self) -> bool {
        let unchanged = self
            .signers
            .iter()
            .zip(&newer.signers)
            .all(|(old, new)| seen_before(size, old) == seen_before(size, new));
        let added = newer.signers.get(self.signers.len()..);
        self.origin == newer.origin
            && unchanged
            && added.is_some_and(|added| added.iter().all(|signer| signer.from_index >= size))
    }

    fn signer(&self, number: u16) -> Option<&TrustSigner> {
        self.signers.get(usize::from(number))
    }
}

/// The signer as the first `size` entries see it: what lies beyond is cut off, and levels mean nothing here.
fn seen_before(size: u64, signer: &TrustSigner) -> TrustSigner {
    TrustSigner {
        level: 0,
        from_index: signer.from_index.min(size),
        until_index: signer.until_index.filter(|until| *until < size),
        revoked_from: signer.revoked_from.filter(|from| *from < size),
        ..signer.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::Roster;
    use crate::allowlist::record::Status;
    use crate::image::digest::{ChainId, Digest};
    use crate::ledger::state::{Claim, Ignored};
    use crate::ledger::statement::{Statement, Subject, SubjectKind, sign};
    use crate::trust::keys::{SecretKey, Signer as _};
    use crate::trust::root::{Allow, KeySet, Organisation, TrustRoot, TrustSigner, Unsupported};

    const ORIGIN: &str = "ledger.example/vcn";

    fn key(name: &str) -> SecretKey {
        SecretKey::from_seed(name, Digest::of(name.as_bytes()).as_bytes()).unwrap()
    }

    fn signer(name: &str, organisation: u16) -> TrustSigner {
        TrustSigner {
            key: key(name).verifier().clone(),
            level: 2,
            organisation,
            from_index: 0,
            until_index: None,
            revoked_from: None,
        }
    }

    fn roster_of(origin: &str, signers: Vec<TrustSigner>) -> Roster {
        let keys = KeySet {
            keys: vec![key(origin).verifier().clone()],
            threshold: 1,
        };
        let organisations = ["ACME", "BETA", "GAMMA", "DELTA", "EPSILON"];
        Roster::of(&TrustRoot {
            version: 1,
            origin: origin.to_owned(),
            expires: u64::MAX,
            roots: keys.clone(),
            log: key(origin).verifier().clone(),
            indexers: keys,
            exempt: None,
            organisations: organisations
                .map(|name| Organisation {
                    name: name.to_owned(),
                    company: String::new(),
                    website: String::new(),
                })
                .into(),
            signers,
            allow: Allow {
                threshold: 1,
                min_level: 0,
                organisations: vec![0],
            },
            veto: None,
            unsupported: Unsupported::Deny,
        })
    }

    fn statement() -> Statement {
        Statement {
            subjects: vec![Subject {
                name: "app:1.4".to_owned(),
                digest: Digest::of(b"config"),
                kind: SubjectKind::Config {
                    chain: Some(ChainId::from_digest(Digest::of(b"chain"))),
                },
            }],
            status: Status::Trusted,
            origin: ORIGIN.to_owned(),
            after: 3,
            time: 1_790_000_000,
            not_after: 1_900_000_000,
            kind: "docker".to_owned(),
            name: "docker://app:1.4".to_owned(),
            size: 1,
            company: String::new(),
            website: String::new(),
            reason: String::new(),
        }
    }

    #[test]
    fn reads_a_known_signers_statement() {
        let roster = roster_of(ORIGIN, vec![signer("other", 0), signer("acme-ci", 4)]);
        let entry = sign(&statement(), &key("acme-ci")).unwrap();
        let subject = statement().subjects[0].clone();
        let claim = Claim {
            signer: 1,
            organisation: 4,
            revoked: false,
            status: Status::Trusted,
            after: 3,
            not_after: 1_900_000_000,
            subjects: vec![(subject.key(), Some(Digest::of(b"chain")))],
        };
        assert_eq!(roster.claim(9, &entry), Ok(claim));
    }

    #[test]
    fn ignores_what_does_not_count_and_says_why() {
        let early = TrustSigner {
            until_index: Some(5),
            ..signer("early", 0)
        };
        let late = TrustSigner {
            from_index: 10,
            ..signer("late", 0)
        };
        let roster = roster_of(ORIGIN, vec![signer("acme", 0), early, late]);
        let signed = |name: &str| sign(&statement(), &key(name)).unwrap();
        let elsewhere = Statement {
            origin: "elsewhere.example/vcn".to_owned(),
            ..statement()
        };
        // Takes a good envelope and puts another statement's signature into it.
        let splice = |good: Vec<u8>, other: Vec<u8>| {
            let [good, other] = [good, other].map(|bytes| String::from_utf8(bytes).unwrap());
            let cut = |text: &str| text.find("\"sig\"").unwrap();
            format!("{}{}", &good[..cut(&good)], &other[cut(&other)..]).into_bytes()
        };
        let forged = splice(signed("acme"), sign(&elsewhere, &key("acme")).unwrap());
        for (index, entry, why) in [
            (9, b"{}".to_vec(), Ignored::Malformed),
            (9, b"\xff".to_vec(), Ignored::Malformed),
            (9, signed("stranger"), Ignored::UnknownSigner),
            (9, forged, Ignored::BadSignature),
            (
                9,
                sign(&elsewhere, &key("acme")).unwrap(),
                Ignored::OtherOrigin,
            ),
            (5, signed("early"), Ignored::OutOfRange),
            (9, signed("late"), Ignored::OutOfRange),
        ] {
            let found = roster.claim(index, &entry);
            assert_eq!(found, Err(why), "{}", String::from_utf8_lossy(&entry));
        }
        for (index, name) in [(4, "early"), (10, "late")] {
            roster.claim(index, &signed(name)).unwrap();
        }
    }

    #[test]
    fn a_key_is_revoked_from_its_index_on() {
        let revoked = TrustSigner {
            revoked_from: Some(7),
            ..signer("acme", 0)
        };
        let roster = roster_of(ORIGIN, vec![revoked]);
        let entry = sign(&statement(), &key("acme")).unwrap();
        let at = |index| roster.claim(index, &entry).map(|claim| claim.revoked);
        assert_eq!([at(6), at(7)], [Ok(false), Ok(true)]);
    }

    #[test]
    fn rosters_agree_on_a_prefix_that_their_differences_do_not_reach() {
        let old = roster_of(ORIGIN, vec![signer("acme", 0)]);
        let with = |change: fn(&mut TrustSigner)| {
            let mut changed = signer("acme", 0);
            change(&mut changed);
            roster_of(ORIGIN, vec![changed])
        };
        let joined = |from| {
            let newcomer = TrustSigner {
                from_index: from,
                ..signer("beta", 1)
            };
            roster_of(ORIGIN, vec![signer("acme", 0), newcomer])
        };
        for (size, newer, agrees) in [
            (100, with(|_| ()), true),
            (100, with(|signer| signer.revoked_from = Some(100)), true),
            (100, with(|signer| signer.revoked_from = Some(99)), false),
            (100, with(|signer| signer.until_index = Some(100)), true),
            (100, with(|signer| signer.until_index = Some(99)), false),
            (100, with(|signer| signer.organisation = 1), false),
            (100, joined(100), true),
            (100, joined(99), false),
            (100, roster_of(ORIGIN, vec![]), false),
            (100, roster_of("elsewhere", vec![signer("acme", 0)]), false),
            (0, joined(0), true),
        ] {
            assert_eq!(old.agrees_before(size, &newer), agrees, "{newer:?}");
        }
    }
}
