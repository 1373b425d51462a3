//! The log: bundles, tile names, statements, and what folding them amounts to.

use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use vcn_hook::allowlist::record::{Key, MAX_RECORDS_PER_KEY, Record, Status};
use vcn_hook::ledger::bundles;
use vcn_hook::ledger::claim::Roster;
use vcn_hook::ledger::range::CompactRange;
use vcn_hook::ledger::state::{Fold, Older};
use vcn_hook::ledger::statement::{Envelope, MAX_SUBJECTS, PAYLOAD_TYPE, pae};
use vcn_hook::ledger::tiles::{TileName, parse_bundle, parse_hashes, push_entry};
use vcn_hook::trust::keys::Signer as _;

use super::made::{self, MUTATED};
use super::{MEMORY, Target};

const STATEMENT_WORDS: &[&str] = &[
    "application/vnd.in-toto+json",
    "urn:vcn-hook:notarization:v1",
    "\"payload\"",
    "\"signatures\"",
    "TRUSTED",
    "UNTRUSTED",
    "UNSUPPORTED",
    "REVOKED",
    "UNKNOWN",
    "\"kind\"",
    "\"chain\"",
    "\"config\"",
    "manifest",
    "index",
    "file",
    "\"subject\"",
    "\"predicate\"",
    "\"after\":",
    "\"notAfter\":0",
    "\"annotations\":{}",
    "sha256:",
    "\"reason\":\"x\"",
    "\\u0000",
    "\\ud800",
];

pub const TILES: Target = Target {
    words: &[
        "tile/",
        "tile/entries/",
        "x001/",
        ".p/",
        "000",
        "/255",
        "\0\0",
        "\u{1}\0",
    ],
    made: Some(tiles_seeds),
    longest: 64 << 10,
    ..Target::new(
        "tiles",
        "bundles, hash tiles, tile names and the follower's range",
        tiles,
    )
};

pub const STATEMENT: Target = Target {
    words: STATEMENT_WORDS,
    repair: Some(sign_again),
    made: Some(made::statements),
    longest: 17 << 10,
    ..Target::new("statement", "one signed entry of the log", statement)
};

pub const FOLD: Target = Target {
    words: STATEMENT_WORDS,
    repair: Some(sign_bundle_again),
    made: Some(fold_seeds),
    longest: 24 << 10,
    memory: 2 * MEMORY,
    ..Target::new(
        "fold",
        "a bundle of entries, folded under a trust root",
        fold,
    )
};

fn tiles_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut bundle = Vec::new();
    for entry in [&b"one"[..], b"", &[7; 300]] {
        push_entry(&mut bundle, entry).unwrap();
    }
    let mut range = CompactRange::default();
    (0..7_u8).for_each(|leaf| range.append([leaf; 32]));
    vec![
        ("bundle", bundle),
        ("name", b"tile/entries/x001/x234/067.p/8".to_vec()),
        ("hashes", vec![9; 64]),
        ("range", range.to_bytes()),
    ]
}

fn tiles(bytes: &[u8]) -> bool {
    let mut accepted = false;
    if let Ok(name) = std::str::from_utf8(bytes)
        .unwrap_or_default()
        .parse::<TileName>()
    {
        assert_eq!(
            name.to_string().as_bytes(),
            bytes,
            "a second spelling of a tile"
        );
        assert!((1..=256).contains(&name.full().cap().min(256)));
        accepted = true;
    }
    for width in [0, 1, 2, 3, 255, 256, u16::MAX] {
        if let Ok(entries) = parse_bundle(bytes, width) {
            let mut again = Vec::new();
            for entry in &entries {
                push_entry(&mut again, entry).unwrap();
            }
            assert!(again == bytes && entries.len() == usize::from(width));
            assert_eq!(bundles::length(bytes, width), bytes.len());
            accepted = true;
        }
        assert!(bundles::length(bytes, width) <= bytes.len());
        if let Ok(hashes) = parse_hashes(bytes, width) {
            assert_eq!(hashes.as_flattened(), bytes);
            accepted = true;
        }
    }
    if let Some(mut range) = CompactRange::from_bytes(bytes) {
        assert_eq!(range.to_bytes(), bytes, "a second spelling of a range");
        let size = range.size();
        range.append([1; 32]);
        assert!(size == u64::MAX || range.size() == size + 1);
        let _ = range.root();
        accepted = true;
    }
    accepted
}

fn statement(bytes: &[u8]) -> bool {
    let Ok(envelope) = Envelope::parse(bytes) else {
        return false;
    };
    let said = envelope.unverified();
    assert!((1..=MAX_SUBJECTS).contains(&said.subjects.len()));
    assert!(matches!(
        said.status,
        Status::Trusted | Status::Untrusted | Status::Unsupported
    ));
    assert!(
        said.not_after == 0 || said.status == Status::Trusted,
        "a negative lapses"
    );
    for name in ["one", "old", "new", "stranger", "two"] {
        if envelope.verify(made::key(name).verifier()).is_ok() {
            let signed = made::statements().iter().any(|(_, seed)| seed == bytes);
            assert!(signed, "an entry of {name}'s that it never signed");
        }
    }
    let roster = Roster::of(&made::root(2));
    for index in [0, 4, 5, 39, 40, 59, 60, u64::MAX] {
        let Ok(claim) = roster.claim(index, bytes) else {
            continue;
        };
        let (number, signer) = made::root(2)
            .signer_by_keyid(envelope.keyid())
            .map(|(n, s)| (n, s.clone()))
            .unwrap();
        assert!(
            signer.valid_at(index) && claim.signer == number,
            "a claim out of its range"
        );
        assert_eq!(claim.revoked, signer.revoked_at(index));
        assert_eq!(
            (claim.status, claim.after, claim.not_after),
            (said.status, said.after, said.not_after)
        );
        let named = said.subjects.iter().map(|s| (s.key(), s.kind.target()));
        assert_eq!(claim.subjects, named.collect::<Vec<_>>());
    }
    true
}

/// Signs the payload with the key that repairs have; a broken one stays as it is.
fn sign_again(bytes: &[u8]) -> Option<Vec<u8>> {
    const PAYLOAD: &str = "\"payload\":\"";
    const SIGNATURE: &str = "\"sig\":\"";
    let key = made::key(MUTATED);
    let text = std::str::from_utf8(bytes).ok()?;
    let start = text.find(PAYLOAD)? + PAYLOAD.len();
    let payload = &text[start..start + text[start..].find('"')?];
    // Broken base64 is as if its bytes were the payload: mutated JSON then gets in as well.
    let payload = BASE64
        .decode(payload)
        .unwrap_or_else(|_| payload.as_bytes().to_vec());
    let signature = key.sign(&pae(PAYLOAD_TYPE, &payload)).ok()?;
    let keyid = key.verifier().keyid();
    let seed = String::from_utf8(made::statement(MUTATED, 9, Status::Trusted)).ok()?;
    let replaced = |text: String, before: &str, value: &str| {
        let start = text.find(before)? + before.len();
        let end = start + text[start..].find('"')?;
        Some(format!("{}{value}{}", &text[..start], &text[end..]))
    };
    let entry = replaced(seed, PAYLOAD, &BASE64.encode(&payload))?;
    let entry = replaced(entry, SIGNATURE, &BASE64.encode(signature))?;
    let entry = replaced(entry, "\"keyid\":\"", &keyid)?;
    Some(entry.into_bytes())
}

fn fold_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut bundle = Vec::new();
    let entries = [
        made::statement("one", 5, Status::Trusted),
        made::statement(MUTATED, 5, Status::Trusted),
        made::statement("one", 6, Status::Untrusted),
        b"foreign".to_vec(),
    ];
    for entry in entries {
        push_entry(&mut bundle, &entry).unwrap();
    }
    vec![("bundle", bundle)]
}

fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let fits = (0..=256).find_map(|width| parse_bundle(bytes, width).ok());
    fits.unwrap_or_default()
}

fn sign_bundle_again(bytes: &[u8]) -> Option<Vec<u8>> {
    // Mutations seldom keep the lengths right, so entries are told by how they begin.
    let mut bundle = Vec::new();
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(b"{\"payload\""))
        .collect();
    let ends = starts
        .iter()
        .skip(1)
        .map(|next| next.saturating_sub(2))
        .chain([bytes.len()]);
    for (start, end) in starts.iter().zip(ends) {
        let entry = bytes.get(*start..end)?;
        // The others' entries stay as they were signed.
        let mine = !["one+", "new+", "old+"]
            .iter()
            .any(|name| contains(entry, name));
        let entry = if mine {
            sign_again(entry)?
        } else {
            entry.to_vec()
        };
        push_entry(&mut bundle, &entry).ok()?;
    }
    Some(bundle)
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// An older state without records.
struct Nothing;

impl Older for Nothing {
    type Error = Infallible;

    fn records(&self, _: &Key) -> Result<Vec<Record>, Infallible> {
        Ok(Vec::new())
    }

    fn organisation(&self, _: &Record) -> u16 {
        0
    }
}

fn fold(bytes: &[u8]) -> bool {
    let entries = split(bytes);
    let roster = Roster::of(&made::root(2));
    let mut fold = Fold::default();
    // Around the places where signers begin, are revoked and end.
    let places = (3..)
        .zip(entries.iter().cycle())
        .take(entries.len().min(64) * 3);
    let mut count = 0_u64;
    let mut applied = false;
    for (index, entry) in places {
        let claim = roster.claim(index, entry);
        let before: Vec<Record> = fold.changed().copied().collect();
        let outcome = fold.apply(index, claim.as_ref().map_err(|ignored| *ignored), &Nothing);
        let Ok(outcome) = outcome;
        count += 1;
        match (outcome, claim) {
            (Ok(()), Ok(claim)) => {
                applied = true;
                assert!(
                    claim.after <= index,
                    "a statement from the future is applied"
                );
                assert!(!claim.revoked || claim.status == Status::Trusted);
                for (key, target) in &claim.subjects {
                    let record = fold
                        .changed()
                        .find(|r| r.key == *key && r.signer == claim.signer);
                    let record = record.expect("an applied statement is applied to all subjects");
                    assert_eq!((record.target, record.log_index), (*target, index));
                    let trusted = record.status == Status::Trusted;
                    assert!(!trusted || !claim.revoked, "a revoked key vouches");
                }
            }
            (Err(_), _) => assert!(
                fold.changed().eq(before.iter()),
                "an ignored entry changes something"
            ),
            (Ok(()), Err(ignored)) => panic!("applied although it is ignored: {ignored:?}"),
        }
    }
    let ignored: u64 = fold.tally().ignored.values().sum();
    assert_eq!(
        fold.tally().applied + ignored,
        count,
        "an entry is not counted"
    );
    for record in fold.changed() {
        let speakers = fold
            .changed()
            .filter(|other| other.key == record.key)
            .count();
        assert!(speakers <= MAX_RECORDS_PER_KEY);
        assert_eq!(Record::decode(&record.encode()).as_ref(), Ok(record));
        assert_ne!(record.status, Status::Unknown);
    }
    applied
}
