//! Tables: a page is what its parent says, and an answer is the one that was signed.

use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};
use vcn_hook::allowlist::record::{Key, Record};
use vcn_hook::allowlist::table::{Table, TableKind};
use vcn_hook::image::digest::Digest;

use super::Target;
use super::made::{self, ORIGIN};

const PAGE: usize = 4096;

pub const TABLE: Target = Target {
    words: &["VCNIDX01", "\0\0\0\u{1}", "\0\0\0\0\0\0\0\u{2}"],
    repair: Some(repair),
    made: Some(seeds),
    longest: 6 * PAGE,
    ..Target::new("table", "the pages of an allowlist's table", table)
};

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let [(base, _), (delta, _)] = made::tables();
    vec![("base", base), ("delta", delta)]
}

/// The base, its id and all its records.
fn good() -> &'static (Digest, Vec<Record>) {
    static GOOD: OnceLock<(Digest, Vec<Record>)> = OnceLock::new();
    GOOD.get_or_init(|| {
        let [(bytes, named), _] = made::tables();
        let table = Table::open(bytes, &named.id, TableKind::Base, ORIGIN).unwrap();
        (named.id, table.records().map(Result::unwrap).collect())
    })
}

fn table(bytes: &[u8]) -> bool {
    let (id, records) = good();
    // The tables that a note names: each answer is the signed one, or none.
    if let Ok(table) = Table::open(bytes.to_vec(), id, TableKind::Base, ORIGIN) {
        for key in records.iter().step_by(7).map(|record| record.key) {
            if let Ok(found) = table.lookup(&key) {
                let signed = records.iter().filter(|record| record.key == key).copied();
                assert_eq!(
                    found,
                    signed.collect::<Vec<_>>(),
                    "an answer that nobody signed"
                );
            }
        }
        let absent = Key::from_bytes([0x55; 32]);
        assert!(
            table.lookup(&absent).is_ok_and(|found| found.is_empty()) || table.verify().is_err()
        );
        if table.verify().is_ok() {
            let all: Vec<_> = table.records().map(Result::unwrap).collect();
            assert_eq!(&all, records);
        }
    }
    // Whatever an indexer may have signed: no panic, and what verifies is consistent.
    let first = Digest::of(bytes.get(..PAGE).unwrap_or(bytes));
    let kinds = [TableKind::Base, TableKind::Delta];
    let opened = kinds.map(|kind| Table::open(bytes.to_vec(), &first, kind, ORIGIN).ok());
    let Some(table) = opened.into_iter().flatten().next() else {
        return false;
    };
    let Ok(all) = table.records().collect::<Result<Vec<_>, _>>() else {
        return false;
    };
    assert!(table.records().count() as u64 == table.len() && all.len() as u64 == table.len());
    for record in all.iter().step_by(5) {
        let found = table
            .lookup(&record.key)
            .expect("what verifies can be looked up");
        let expected = all.iter().filter(|other| other.key == record.key).copied();
        assert_eq!(
            found,
            expected.collect::<Vec<_>>(),
            "lookup and walk differ"
        );
    }
    true
}

/// Hashes the pages again, from the leaves up, as the header lays them out.
fn repair(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let number = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..at + 8)?.first_chunk::<8>()?;
        usize::try_from(u64::from_be_bytes(*word)).ok()
    };
    let level = |bytes: &[u8], level: usize| {
        Some((
            number(bytes, 64 + 16 * level)?,
            number(bytes, 72 + 16 * level)?,
        ))
    };
    for below in 0..7 {
        let (Some((start, pages)), Some((above, _))) =
            (level(&bytes, below), level(&bytes, below + 1))
        else {
            break;
        };
        for page in 0..pages.min(8) {
            let from = start.checked_add(page * PAGE)?;
            let hash: [u8; 32] = Sha256::digest(bytes.get(from..from.checked_add(PAGE)?)?).into();
            let entry = match above {
                0 => 24,
                above => above.checked_add((page / 63) * PAGE + 16 + (page % 63) * 64 + 32)?,
            };
            bytes
                .get_mut(entry..entry.checked_add(32)?)?
                .copy_from_slice(&hash);
        }
        if above == 0 {
            break;
        }
    }
    Some(bytes)
}
