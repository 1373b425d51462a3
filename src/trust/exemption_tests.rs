//! What enough exempt keys signed for this node, in one spelling, and nothing else.

use super::{Exemption, ExemptionError, Granted, MAX_SPAN};
use crate::allowlist::note::{NoteError, SignedNote};
use crate::image::digest::Digest;
use crate::trust::keys::{SecretKey, Signer as _};
use crate::trust::node_id::NodeId;
use crate::trust::root::{Allow, KeySet, Organisation, TrustRoot, Unsupported};

const FROM: u64 = 1_790_000_000;

fn secret(name: &str, seed: u8) -> SecretKey {
    SecretKey::from_seed(name, &[seed; 32]).unwrap()
}

fn keys(names: &[(&str, u8)], threshold: usize) -> KeySet {
    let key = |(name, seed): &(&str, u8)| secret(name, *seed).verifier().clone();
    KeySet {
        keys: names.iter().map(key).collect(),
        threshold,
    }
}

/// Two of three must exempt.
fn root() -> TrustRoot {
    TrustRoot {
        version: 1,
        origin: "ledger.example/vcn".to_owned(),
        expires: FROM + 1,
        roots: keys(&[("root", 1)], 1),
        log: secret("ledger.example/vcn", 2).verifier().clone(),
        indexers: keys(&[("ledger.example/vcn/index", 3)], 1),
        exempt: Some(keys(&[("ann", 4), ("bob", 5), ("eve", 6)], 2)),
        organisations: vec![Organisation {
            name: "A".to_owned(),
            company: String::new(),
            website: String::new(),
        }],
        signers: Vec::new(),
        allow: Allow {
            threshold: 1,
            min_level: 0,
            organisations: vec![0],
        },
        veto: None,
        unsupported: Unsupported::Deny,
    }
}

fn node(digit: char) -> NodeId {
    digit.to_string().repeat(32).parse().unwrap()
}

fn exemption() -> Exemption {
    Exemption {
        origin: "ledger.example/vcn".to_owned(),
        node: node('7'),
        config: Digest::of(b"config"),
        from: FROM,
        until: FROM + MAX_SPAN,
        reason: "disk migration, ticket 4711".to_owned(),
    }
}

fn note(text: &str, signers: &[(&str, u8)]) -> Vec<u8> {
    let mut note = SignedNote::new(text).unwrap();
    for (name, seed) in signers {
        let key = secret(name, *seed);
        let signature = key.sign(text.as_bytes()).unwrap();
        note.sign(key.verifier(), &signature).unwrap();
    }
    note.to_bytes()
}

fn verify(exemption: &Exemption, signers: &[(&str, u8)]) -> Result<Granted, ExemptionError> {
    let text = exemption.format()?;
    Exemption::verify(&note(&text, signers), &root(), &node('7'))
}

#[test]
fn enough_of_the_exempt_keys_exempt_one_image_on_one_node() {
    let granted = verify(&exemption(), &[("ann", 4), ("stranger", 9), ("bob", 5)]).unwrap();
    let by = [("ann", 4), ("bob", 5)].map(|(name, seed)| secret(name, seed).verifier().keyid());
    assert_eq!(granted.exemption, exemption());
    assert_eq!(granted.by, by);
}

#[test]
fn too_few_repeated_or_strange_signatures_exempt_nothing() {
    let needs = |found| {
        Err(ExemptionError::Signatures(NoteError::Threshold {
            found,
            needed: 2,
        }))
    };
    for (signers, found) in [
        (&[("ann", 4)][..], 1),
        (&[("ann", 4), ("ann", 4)], 1),
        (&[("ann", 4), ("root", 1)], 1),
        (&[("stranger", 8), ("another", 9)], 0),
        // The right name on another key, and the right key under another name.
        (&[("ann", 9), ("robert", 5)], 0),
    ] {
        assert_eq!(verify(&exemption(), signers), needs(found), "{signers:?}");
    }
}

#[test]
fn a_signature_on_another_text_exempts_nothing() {
    let text = exemption().format().unwrap();
    let signed = String::from_utf8(note(&text, &[("ann", 4), ("bob", 5)])).unwrap();
    let other = signed.replace("until 1790259200", "until 1790259199");
    assert_ne!(other, signed);
    let error = Exemption::verify(other.as_bytes(), &root(), &node('7'));
    assert!(matches!(error, Err(ExemptionError::Signatures(_))));
}

#[test]
fn another_node_another_ledger_and_a_root_without_exempt_keys_refuse_it() {
    let both = [("ann", 4), ("bob", 5)];
    let text = exemption().format().unwrap();
    assert_eq!(
        Exemption::verify(&note(&text, &both), &root(), &node('8')),
        Err(ExemptionError::Node {
            expected: node('8'),
            found: node('7'),
        })
    );
    let other = Exemption {
        origin: "ledger.example/other".to_owned(),
        ..exemption()
    };
    assert!(matches!(
        verify(&other, &both),
        Err(ExemptionError::Origin { .. })
    ));
    let nobody = TrustRoot {
        exempt: None,
        ..root()
    };
    assert_eq!(
        Exemption::verify(&note(&text, &both), &nobody, &node('7')),
        Err(ExemptionError::Nobody)
    );
}

#[test]
fn it_ends_and_never_lasts_longer_than_three_days() {
    let exemption = exemption();
    assert_eq!(exemption.check_end(exemption.until - 1), Ok(()));
    assert_eq!(
        exemption.check_end(exemption.until),
        Err(ExemptionError::Ended {
            at: exemption.until
        })
    );
    for (from, until) in [(FROM, FROM + MAX_SPAN + 1), (FROM, FROM), (0, u64::MAX)] {
        let other = Exemption {
            from,
            until,
            ..exemption.clone()
        };
        assert!(matches!(other.check(), Err(ExemptionError::Rule(_))));
        assert!(
            Exemption::parse(&other.written()).is_err(),
            "{from} {until}"
        );
    }
}

#[test]
fn it_has_one_spelling() {
    let text = exemption().format().unwrap();
    assert_eq!(Exemption::parse(&text), Ok(exemption()));
    for (from, to) in [
        ("exempt/v1", "exempt/v2"),
        ("exempt/v1\n", "exempt/v1 \n"),
        ("origin ledger", "origin  ledger"),
        ("vcn\nnode", "vcn \nnode"),
        ("node 7", "node +7"),
        ("node 77", "node 7"),
        ("config sha256:", "config "),
        ("from 17", "from 017"),
        ("from 17", "from +17"),
        ("until 17", "until 017"),
        ("\nuntil", "\n\nuntil"),
        ("reason disk", "reason  disk"),
        ("4711\n", "4711 \n"),
        ("4711\n", "4711\t\n"),
        ("4711\n", "4711\nmore\n"),
        ("4711\n", "4711\n\n"),
        ("4711\n", "4711"),
        ("reason disk migration, ticket 4711\n", "reason \n"),
        ("reason disk migration, ticket 4711\n", ""),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text, "{from}");
        assert!(Exemption::parse(&other).is_err(), "{other}");
    }
    let long = Exemption {
        reason: "x".repeat(513),
        ..exemption()
    };
    long.format().unwrap_err();
}
