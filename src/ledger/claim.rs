//! Who says what: one entry of the log, judged by the trust root alone.
//!
//! Owns which signers count where in the log. Refuses to look at other
//! entries, so entries can be judged on all cores at once; what they amount
//! to in their order is `state`'s.

use std::collections::HashMap;

use crate::allowlist::note::VerifierKey;
use crate::ledger::state::{Claim, Ignored};
use crate::ledger::statement::{EntryError, Envelope};

/// The signers of one version of the trust root, as far as the meaning of entries depends on them.
#[derive(Debug, Clone)]
pub struct Roster {
    origin: String,
    seats: Vec<Seat>,
    by_keyid: HashMap<String, Vec<u16>>,
}

/// One signer: a key, whose it is, and where in the log it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The signer's key.
    pub key: VerifierKey,
    /// Its organisation's place in the trust root's list.
    pub organisation: u16,
    /// The first log index that counts.
    pub from: u64,
    /// The first log index that no longer counts.
    pub until: Option<u64>,
    /// The first log index at which the key is revoked.
    pub revoked_from: Option<u64>,
}

impl Roster {
    /// Takes the signers in the order of the trust root, whose numbers records carry.
    #[must_use]
    pub fn new(origin: &str, seats: Vec<Seat>) -> Self {
        let mut by_keyid: HashMap<String, Vec<u16>> = HashMap::new();
        for (place, seat) in (0..u16::MAX).zip(&seats) {
            by_keyid.entry(seat.key.keyid()).or_default().push(place);
        }
        Self {
            origin: origin.to_owned(),
            seats,
            by_keyid,
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
        let (signer, seat) = self.seat(&envelope, index).ok_or(Ignored::UnknownSigner)?;
        let statement = envelope
            .verify(&seat.key)
            .map_err(|_| Ignored::BadSignature)?;
        if statement.origin != self.origin {
            return Err(Ignored::OtherOrigin);
        }
        if !seat.covers(index) {
            return Err(Ignored::OutOfRange);
        }
        Ok(Claim {
            signer,
            organisation: seat.organisation,
            revoked: seat.revoked_from.is_some_and(|from| index >= from),
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

    /// Says whose a record is; a signer that no root ever named has an organisation of its own.
    #[must_use]
    pub fn organisation(&self, signer: u16) -> u16 {
        self.seats
            .get(usize::from(signer))
            .map_or(u16::MAX, |seat| seat.organisation)
    }

    /// Says whether the first `size` entries mean the same to both.
    ///
    /// If they do, a state of `size` entries need not be folded again for a new trust root.
    #[must_use]
    pub fn agrees_before(&self, size: u64, newer: &Self) -> bool {
        let unchanged = self
            .seats
            .iter()
            .zip(&newer.seats)
            .all(|(old, new)| old.clipped(size) == new.clipped(size));
        let added = newer.seats.get(self.seats.len()..);
        self.origin == newer.origin
            && unchanged
            && added.is_some_and(|added| added.iter().all(|seat| seat.from >= size))
    }

    /// The seat of the key that an envelope names; of several, the one that counts at `index`.
    fn seat(&self, envelope: &Envelope, index: u64) -> Option<(u16, &Seat)> {
        let mut named = self
            .by_keyid
            .get(envelope.keyid())?
            .iter()
            .filter_map(|&place| Some((place, self.seats.get(usize::from(place))?)));
        let first = named.next()?;
        if first.1.covers(index) {
            return Some(first);
        }
        Some(named.find(|(_, seat)| seat.covers(index)).unwrap_or(first))
    }
}

impl Seat {
    fn covers(&self, index: u64) -> bool {
        index >= self.from && self.until.is_none_or(|until| index < until)
    }

    /// The seat as the first `size` entries see it: what lies beyond is cut off.
    fn clipped(&self, size: u64) -> Self {
        Self {
            from: self.from.min(size),
            until: self.until.filter(|until| *until < size),
            revoked_from: self.revoked_from.filter(|from| *from < size),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Roster, Seat};
    use crate::allowlist::record::Status;
    use crate::image::digest::{ChainId, Digest};
    use crate::ledger::state::{Claim, Ignored};
    use crate::ledger::statement::{Statement, Subject, SubjectKind, sign};
    use crate::trust::keys::{SecretKey, Signer as _};

    const ORIGIN: &str = "ledger.example/vcn";

    fn key(name: &str) -> SecretKey {
        SecretKey::from_seed(name, Digest::of(name.as_bytes()).as_bytes()).unwrap()
    }

    fn seat(name: &str, organisation: u16) -> Seat {
        Seat {
            key: key(name).verifier().clone(),
            organisation,
            from: 0,
            until: None,
            revoked_from: None,
        }
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
        let roster = Roster::new(ORIGIN, vec![seat("other", 0), seat("acme-ci", 4)]);
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
        let early = Seat {
            until: Some(5),
            ..seat("early", 0)
        };
        let late = Seat {
            from: 10,
            ..seat("late", 0)
        };
        let roster = Roster::new(ORIGIN, vec![seat("acme", 0), early, late]);
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
        let revoked = Seat {
            revoked_from: Some(7),
            ..seat("acme", 0)
        };
        let roster = Roster::new(ORIGIN, vec![revoked]);
        let entry = sign(&statement(), &key("acme")).unwrap();
        let at = |index| roster.claim(index, &entry).map(|claim| claim.revoked);
        assert_eq!([at(6), at(7)], [Ok(false), Ok(true)]);
    }

    #[test]
    fn rosters_agree_on_a_prefix_that_their_differences_do_not_reach() {
        let old = Roster::new(ORIGIN, vec![seat("acme", 0)]);
        let with = |change: fn(&mut Seat)| {
            let mut changed = seat("acme", 0);
            change(&mut changed);
            Roster::new(ORIGIN, vec![changed])
        };
        let joined = |from| {
            let newcomer = Seat {
                from,
                ..seat("beta", 1)
            };
            Roster::new(ORIGIN, vec![seat("acme", 0), newcomer])
        };
        for (size, newer, agrees) in [
            (100, with(|_| ()), true),
            (100, with(|seat| seat.revoked_from = Some(100)), true),
            (100, with(|seat| seat.revoked_from = Some(99)), false),
            (100, with(|seat| seat.until = Some(100)), true),
            (100, with(|seat| seat.until = Some(99)), false),
            (100, with(|seat| seat.organisation = 1), false),
            (100, joined(100), true),
            (100, joined(99), false),
            (100, Roster::new(ORIGIN, vec![]), false),
            (100, Roster::new("elsewhere", vec![seat("acme", 0)]), false),
            (0, joined(0), true),
        ] {
            assert_eq!(old.agrees_before(size, &newer), agrees, "{newer:?}");
        }
    }
}
