//! What the log amounts to: claims folded, in their order, into one record per digest and organisation.
//!
//! Owns the rules by which a claim applies (docs/formats.md, "State") and the
//! records that changed since some older state. Refuses to verify a signature
//! (`claim` does), and knows the older state only as a lookup: it may be a
//! table of ten million records on a disk.

use std::collections::BTreeMap;

use crate::allowlist::record::{Key, MAX_RECORDS_PER_KEY, Record, Status};
use crate::image::digest::Digest;

/// What one verified statement says, in the words of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The signer's place in the trust root's list.
    pub signer: u16,
    /// The signer's organisation, as [`Fold`]'s caller numbers them.
    pub organisation: u16,
    /// The key was revoked at the statement's place in the log.
    pub revoked: bool,
    /// TRUSTED, UNTRUSTED or UNSUPPORTED.
    pub status: Status,
    /// The log size that the signer had verified.
    pub after: u64,
    /// Unix seconds after which TRUSTED lapses; 0 for never.
    pub not_after: u32,
    /// What it is about: each key, and the target that its record is to carry.
    pub subjects: Vec<(Key, Option<Digest>)>,
}

macro_rules! ignored {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal;)+) => {
        /// Why an entry of the log changes nothing. Such an entry stays in the log and is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Ignored { $($(#[doc = $doc])+ $variant,)+ }

        impl Ignored {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable text form.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }
        }
    };
}

ignored! {
    /// Somebody else's kind of entry.
    Foreign = "foreign";
    /// A statement of ours that breaks its own format.
    Malformed = "malformed";
    /// Signed by a key that the trust root does not name.
    UnknownSigner = "unknown-signer";
    /// The signature is not the named key's.
    BadSignature = "bad-signature";
    /// Made for another ledger.
    OtherOrigin = "other-origin";
    /// Stands before or after the part of the log in which its key counts.
    OutOfRange = "out-of-range";
    /// The key was revoked, and the statement says nothing that a revoked key may say.
    Revoked = "revoked";
    /// `after` is beyond its own place: nobody can have verified that.
    Ahead = "ahead";
    /// `after` is not beyond the organisation's current record of a subject: replayed, or another writer was first.
    Superseded = "superseded";
    /// Says two things of one digest.
    Contradiction = "contradiction";
    /// More organisations speak of one digest than a key has room for.
    Crowded = "crowded";
}

/// How many entries were applied, and how many ignored for which reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Entries that changed the state.
    pub applied: u64,
    /// Entries that did not; reasons that never occurred are absent.
    pub ignored: BTreeMap<Ignored, u64>,
}

/// The records that changed since an older state, complete for each key they touch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fold {
    changed: BTreeMap<(Key, u16), Record>,
    tally: Tally,
}

/// The older state that a [`Fold`] goes on from.
pub trait Older {
    /// Why it cannot be read.
    type Error;

    /// Finds all records of a key.
    ///
    /// # Errors
    /// When it cannot be read; the fold then stops where it is.
    fn records(&self, key: &Key) -> Result<Vec<Record>, Self::Error>;

    /// Says whose record it is, numbered as [`Claim::organisation`] is.
    fn organisation(&self, record: &Record) -> u16;
}

impl Fold {
    /// Starts from records that have changed already: the delta of a published state.
    pub fn from_changed(records: impl IntoIterator<Item = (u16, Record)>) -> Self {
        Self {
            changed: records
                .into_iter()
                .map(|(organisation, record)| ((record.key, organisation), record))
                .collect(),
            tally: Tally::default(),
        }
    }

    /// Applies the claim of the entry at `index`, whole or not at all, or counts why not.
    ///
    /// # Errors
    /// When the older state cannot be read; nothing has been applied then.
    pub fn apply<O: Older>(
        &mut self,
        index: u64,
        claim: Result<&Claim, Ignored>,
        older: &O,
    ) -> Result<Result<(), Ignored>, O::Error> {
        let outcome = match claim {
            Ok(claim) => self.consider(index, claim, older)?,
            Err(ignored) => Err(ignored),
        };
        match outcome {
            Ok(()) => self.tally.applied += 1,
            Err(ignored) => *self.tally.ignored.entry(ignored).or_default() += 1,
        }
        Ok(outcome)
    }

    /// How many records have changed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changed.len()
    }

    /// Says whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }

    /// What was applied and ignored so far.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The changed records, ordered by key and organisation.
    pub fn changed(&self) -> impl Iterator<Item = &Record> {
        self.changed.values()
    }

    /// Forgets the changed records, once they are part of the older state.
    pub fn settle(&mut self) {
        self.changed.clear();
    }

    fn consider<O: Older>(
        &mut self,
        index: u64,
        claim: &Claim,
        older: &O,
    ) -> Result<Result<(), Ignored>, O::Error> {
        if claim.after > index {
            return Ok(Err(Ignored::Ahead));
        }
        if claim.revoked && claim.status != Status::Trusted {
            return Ok(Err(Ignored::Revoked));
        }
        let mut pending: BTreeMap<(Key, u16), Record> = BTreeMap::new();
        for &(key, target) in &claim.subjects {
            let mine = (key, claim.organisation);
            let record = Record {
                key,
                signer: claim.signer,
                status: if claim.revoked {
                    Status::Revoked
                } else {
                    claim.status
                },
                not_after: claim.not_after,
                log_index: index,
                target,
            };
            if let Some(twice) = pending.get(&mine) {
                if *twice == record {
                    continue;
                }
                return Ok(Err(Ignored::Contradiction));
            }
            let standing = self.standing(&key, older)?;
            if let Err(ignored) = permits(claim, standing.get(&mine), standing.len()) {
                return Ok(Err(ignored));
            }
            pending.extend(standing);
            pending.insert(mine, record);
        }
        self.changed.extend(pending);
        Ok(Ok(()))
    }

    /// All organisations' current records of a key.
    fn standing<O: Older>(
        &self,
        key: &Key,
        older: &O,
    ) -> Result<BTreeMap<(Key, u16), Record>, O::Error> {
        let known: BTreeMap<_, _> = self
            .changed
            .range((*key, 0)..=(*key, u16::MAX))
            .map(|(&place, &record)| (place, record))
            .collect();
        if !known.is_empty() {
            return Ok(known);
        }
        let records = older.records(key)?;
        Ok(records
            .into_iter()
            .map(|record| ((*key, older.organisation(&record)), record))
            .collect())
    }
}

/// Says whether a claim may replace what its organisation has said of one subject so far.
fn permits(claim: &Claim, current: Option<&Record>, speakers: usize) -> Result<(), Ignored> {
    match current {
        Some(record) if claim.after <= record.log_index => Err(Ignored::Superseded),
        // A revoked key cannot take back what the organisation says with its good ones.
        Some(record) if claim.revoked && record.status != Status::Revoked => Err(Ignored::Revoked),
        Some(_) => Ok(()),
        None if speakers >= MAX_RECORDS_PER_KEY => Err(Ignored::Crowded),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Fold, Ignored, Older, Tally};
    use crate::allowlist::record::{Key, Kind, Record, Status};
    use crate::image::digest::Digest;

    /// An older state held in memory; organisation = signer / 10.
    #[derive(Default)]
    struct Memory(Vec<Record>);

    impl Older for Memory {
        type Error = std::convert::Infallible;

        fn records(&self, key: &Key) -> Result<Vec<Record>, Self::Error> {
            Ok(self.0.iter().filter(|r| r.key == *key).copied().collect())
        }

        fn organisation(&self, record: &Record) -> u16 {
            record.signer / 10
        }
    }

    fn key(name: &str) -> Key {
        Key::of(Kind::Config, &Digest::of(name.as_bytes()))
    }

    fn claim(signer: u16, status: Status, after: u64, names: &[&str]) -> Claim {
        Claim {
            signer,
            organisation: signer / 10,
            revoked: false,
            status,
            after,
            not_after: 0,
            subjects: names.iter().map(|name| (key(name), None)).collect(),
        }
    }

    fn record(signer: u16, status: Status, log_index: u64, name: &str) -> Record {
        Record {
            key: key(name),
            signer,
            status,
            not_after: 0,
            log_index,
            target: None,
        }
    }

    /// Folds claims standing at 0, 1, 2... and returns each outcome and the sorted state.
    fn fold(claims: &[Claim]) -> (Vec<Result<(), Ignored>>, Vec<Record>) {
        let mut fold = Fold::default();
        let outcomes = (0..)
            .zip(claims)
            .map(|(index, claim)| fold.apply(index, Ok(claim), &Memory::default()).unwrap())
            .collect();
        (outcomes, fold.changed().copied().collect())
    }

    #[test]
    fn refuses_a_replayed_trusted_after_untrusted() {
        let trusted = claim(0, Status::Trusted, 0, &["a"]);
        let untrusted = claim(0, Status::Untrusted, 1, &["a"]);
        let (outcomes, state) = fold(&[trusted.clone(), untrusted, trusted]);
        assert_eq!(outcomes, [Ok(()), Ok(()), Err(Ignored::Superseded)]);
        assert_eq!(state, [record(0, Status::Untrusted, 1, "a")]);
    }

    #[test]
    fn two_writers_of_one_organisation_collide_visibly() {
        let first = claim(0, Status::Untrusted, 0, &["a"]);
        let second = claim(1, Status::Trusted, 0, &["a"]);
        let again = claim(1, Status::Trusted, 2, &["a"]);
        let (outcomes, state) = fold(&[first, second, again]);
        assert_eq!(outcomes, [Ok(()), Err(Ignored::Superseded), Ok(())]);
        assert_eq!(state, [record(1, Status::Trusted, 2, "a")]);
    }

    #[test]
    fn organisations_do_not_touch_each_other() {
        let one = claim(0, Status::Trusted, 0, &["a"]);
        let other = claim(10, Status::Untrusted, 0, &["a"]);
        let (outcomes, state) = fold(&[one, other]);
        assert_eq!(outcomes, [Ok(()), Ok(())]);
        assert_eq!(
            state,
            [
                record(0, Status::Trusted, 0, "a"),
                record(10, Status::Untrusted, 1, "a")
            ]
        );
    }

    #[test]
    fn a_statement_that_applies_to_a_part_of_its_subjects_applies_to_none() {
        let first = claim(0, Status::Untrusted, 0, &["b"]);
        let second = claim(0, Status::Trusted, 0, &["a", "b", "c"]);
        let (outcomes, state) = fold(&[first, second]);
        assert_eq!(outcomes, [Ok(()), Err(Ignored::Superseded)]);
        assert_eq!(state, [record(0, Status::Untrusted, 0, "b")]);
    }

    #[test]
    fn nobody_has_verified_a_log_longer_than_the_statements_own_place() {
        let (outcomes, _) = fold(&[claim(0, Status::Trusted, 1, &["a"])]);
        assert_eq!(outcomes, [Err(Ignored::Ahead)]);
    }

    #[test]
    fn two_targets_for_one_config_are_a_contradiction_and_one_twice_is_not() {
        let mut twice = claim(0, Status::Trusted, 0, &["a", "a"]);
        assert_eq!(fold(&[twice.clone()]).0, [Ok(())]);
        twice.subjects[1].1 = Some(Digest::of(b"chain"));
        assert_eq!(fold(&[twice]), (vec![Err(Ignored::Contradiction)], vec![]));
    }

    #[test]
    fn a_revoked_key_only_leaves_its_mark_where_no_good_key_has_spoken() {
        let revoked = |status, after| Claim {
            revoked: true,
            ..claim(1, status, after, &["a"])
        };
        let good = |status, after| claim(0, status, after, &["a"]);
        use Status::{Revoked, Trusted, Unsupported, Untrusted};
        let cases = [
            (
                vec![revoked(Trusted, 0)],
                vec![Ok(())],
                vec![(1, Revoked, 0)],
            ),
            (
                vec![revoked(Untrusted, 0)],
                vec![Err(Ignored::Revoked)],
                vec![],
            ),
            (
                vec![revoked(Unsupported, 0)],
                vec![Err(Ignored::Revoked)],
                vec![],
            ),
            (
                vec![good(Untrusted, 0), revoked(Trusted, 1)],
                vec![Ok(()), Err(Ignored::Revoked)],
                vec![(0, Untrusted, 0)],
            ),
            (
                vec![good(Trusted, 0), revoked(Trusted, 1)],
                vec![Ok(()), Err(Ignored::Revoked)],
                vec![(0, Trusted, 0)],
            ),
            (
                vec![revoked(Trusted, 0), good(Trusted, 1)],
                vec![Ok(()), Ok(())],
                vec![(0, Trusted, 1)],
            ),
        ];
        for (claims, outcomes, state) in cases {
            let state = state
                .into_iter()
                .map(|(signer, status, index)| record(signer, status, index, "a"))
                .collect();
            assert_eq!(fold(&claims), (outcomes, state), "{claims:?}");
        }
    }

    #[test]
    fn the_forty_ninth_organisation_finds_no_room() {
        let claims: Vec<_> = (0..49)
            .map(|org| claim(org * 10, Status::Trusted, 0, &["a"]))
            .collect();
        let (outcomes, state) = fold(&claims);
        assert_eq!(outcomes.last(), Some(&Err(Ignored::Crowded)));
        assert_eq!(state.len(), 48);
    }

    #[test]
    fn counts_what_it_ignores_by_reason() {
        let mut fold = Fold::default();
        let older = Memory::default();
        for ignored in [
            Ignored::Malformed,
            Ignored::BadSignature,
            Ignored::Malformed,
        ] {
            assert_eq!(fold.apply(0, Err(ignored), &older), Ok(Err(ignored)));
        }
        let expected = Tally {
            applied: 0,
            ignored: [(Ignored::Malformed, 2), (Ignored::BadSignature, 1)].into(),
        };
        assert_eq!(fold.tally(), &expected);
    }

    /// A small generator, so that the property below needs no crate and repeats exactly.
    fn random_claims(seed: u64, count: u64) -> Vec<Claim> {
        let mut state = seed;
        let mut next = |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % bound
        };
        (0..count)
            .map(|index| {
                let names = ["a", "b", "c", "d", "e"];
                let first = usize::try_from(next(5)).unwrap();
                let last = first + usize::try_from(next(3)).unwrap();
                let statuses = [Status::Trusted, Status::Untrusted, Status::Unsupported];
                Claim {
                    revoked: next(6) == 0,
                    not_after: u32::try_from(next(4)).unwrap(),
                    ..claim(
                        u16::try_from(next(30)).unwrap(),
                        statuses[usize::try_from(next(3)).unwrap()],
                        index.saturating_sub(next(6)),
                        &names[first..=last.min(4)],
                    )
                }
            })
            .collect()
    }

    #[test]
    fn folding_a_prefix_and_then_the_rest_is_folding_all() {
        for seed in 0..200 {
            let claims = random_claims(seed, 40);
            let (outcomes, whole) = fold(&claims);
            let cut = usize::try_from(seed % 41).unwrap();
            let (_, prefix) = fold(&claims[..cut]);
            let older = Memory(prefix.clone());
            let mut rest = Fold::default();
            for (index, claim) in (0..).zip(&claims).skip(cut) {
                let outcome = rest.apply(index, Ok(claim), &older).unwrap();
                assert_eq!(outcome, outcomes[usize::try_from(index).unwrap()]);
            }
            let touched: Vec<_> = rest.changed().map(|record| record.key).collect();
            let mut merged: Vec<_> = prefix
                .into_iter()
                .filter(|record| !touched.contains(&record.key))
                .chain(rest.changed().copied())
                .collect();
            merged.sort_by_key(|record| (record.key, record.signer / 10));
            assert_eq!(merged, whole, "seed {seed}");
        }
    }
}
