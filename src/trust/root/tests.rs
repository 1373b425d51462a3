use super::{
    Allow, KeySet, Organisation, RootError, TrustRoot, TrustSigner, Unsupported, fingerprint,
};
use crate::allowlist::note::{NoteError, SignedNote, VerifierKey};
use crate::image::digest::Digest;
use crate::trust::keys::{SecretKey, Signer as _};

fn secret(name: &str, seed: u8) -> SecretKey {
    SecretKey::from_seed(name, &[seed; 32]).unwrap()
}

fn key(name: &str, seed: u8) -> VerifierKey {
    secret(name, seed).verifier().clone()
}

fn organisation(name: &str, company: &str, website: &str) -> Organisation {
    Organisation {
        name: name.to_owned(),
        company: company.to_owned(),
        website: website.to_owned(),
    }
}

fn signer(name: &str, seed: u8, organisation: u16) -> TrustSigner {
    TrustSigner {
        key: key(name, seed),
        level: 2,
        organisation,
        from_index: 0,
        until_index: None,
        revoked_from: None,
    }
}

/// Two of three root keys, one indexer, two organisations, three signers.
fn root() -> TrustRoot {
    TrustRoot {
        version: 1,
        origin: "ledger.example/vcn".to_owned(),
        expires: 1_900_000_000,
        roots: KeySet {
            keys: vec![key("alice", 1), key("bob", 2), key("carol", 3)],
            threshold: 2,
        },
        log: key("ledger.example/vcn", 10),
        indexers: KeySet {
            keys: vec![key("ledger.example/vcn/index", 11)],
            threshold: 1,
        },
        exempt: None,
        organisations: vec![
            organisation(
                "ACME",
                "Acme R&D GmbH, Köln = 100%",
                "https://acme.example/",
            ),
            organisation("BETA", "", ""),
        ],
        signers: vec![
            signer("acme-ci", 20, 0),
            signer("acme-old", 21, 0),
            signer("beta", 22, 1),
        ],
        allow: Allow {
            threshold: 2,
            min_level: 1,
            organisations: vec![0, 1],
        },
        veto: None,
        unsupported: Unsupported::Deny,
    }
}

/// With every optional line.
fn full_root() -> TrustRoot {
    let mut root = root();
    root.exempt = Some(KeySet {
        keys: vec![key("oncall", 30)],
        threshold: 1,
    });
    root.signers[1].from_index = 5;
    root.signers[1].until_index = Some(900);
    root.signers[1].revoked_from = Some(0);
    root.signers[2].revoked_from = Some(17);
    root.signers[2].level = -1;
    root.veto = Some(vec![1]);
    root.unsupported = Unsupported::Allow;
    root
}

fn note(root: &TrustRoot, signers: &[(&str, u8)]) -> Vec<u8> {
    sign(&root.format().unwrap(), signers)
}

fn sign(text: &str, signers: &[(&str, u8)]) -> Vec<u8> {
    let mut note = SignedNote::new(text).unwrap();
    for (name, seed) in signers {
        let secret = secret(name, *seed);
        let signature = secret.sign(text.as_bytes()).unwrap();
        note.sign(secret.verifier(), &signature).unwrap();
    }
    note.to_bytes()
}

const ALICE: (&str, u8) = ("alice", 1);
const BOB: (&str, u8) = ("bob", 2);
const DAVE: (&str, u8) = ("dave", 4);

#[test]
fn a_root_survives_being_written_and_read() {
    for root in [root(), full_root()] {
        assert_eq!(TrustRoot::parse(&root.format().unwrap()), Ok(root));
    }
}

#[test]
fn a_root_has_the_documented_lines() {
    let root = full_root();
    let lines: Vec<String> = root
        .format()
        .unwrap()
        .split('\n')
        .map(str::to_owned)
        .collect();
    let keys = |at: usize| root.signers[at].key.clone();
    assert_eq!(
        lines,
        [
            "vcn-root/v1".to_owned(),
            "version 1".to_owned(),
            "origin ledger.example/vcn".to_owned(),
            "expires 1900000000".to_owned(),
            format!("rootkey {}", key("alice", 1)),
            format!("rootkey {}", key("bob", 2)),
            format!("rootkey {}", key("carol", 3)),
            "rootthreshold 2".to_owned(),
            format!("log {}", root.log),
            format!("indexer {}", root.indexers.keys[0]),
            "indexthreshold 1".to_owned(),
            format!("exemptkey {}", key("oncall", 30)),
            "exemptthreshold 1".to_owned(),
            "org ACME company=Acme%20R%26D%20GmbH%2C%20K%C3%B6ln%20%3D%20100%25 website=https%3A%2F%2Facme.example%2F".to_owned(),
            "org BETA".to_owned(),
            format!("signer acme-ci level=2 org=ACME key={}", keys(0)),
            format!("signer acme-old level=2 org=ACME key={} from-index=5 until-index=900", keys(1)),
            format!("signer beta level=-1 org=BETA key={}", keys(2)),
            format!("revoke {:08x} from-index=0", keys(1).id()),
            format!("revoke {:08x} from-index=17", keys(2).id()),
            "allow 2 min-level=1 ACME BETA".to_owned(),
            "veto BETA".to_owned(),
            "unsupported allow".to_owned(),
            String::new(),
        ]
    );
}

#[test]
fn a_root_has_one_spelling() {
    let text = full_root().format().unwrap();
    for (from, to) in [
        ("vcn-root/v1\n", "vcn-root/v2\n"),
        ("version 1\n", "version 01\n"),
        ("version 1\n", "version +1\n"),
        ("version 1\n", "version  1\n"),
        ("version 1\n", "version 1\nversion 1\n"),
        ("version 1\n", ""),
        ("version 1\n", "version 1\n\n"),
        ("version 1\n", "version 1\r\n"),
        ("rootthreshold 2\n", "rootthreshold 2\nwitness x\n"),
        ("rootthreshold 2\n", ""),
        ("%C3%B6", "%c3%b6"),
        ("%C3%B6", "%C3"),
        ("%C3%B6", "ö"),
        ("Acme%20", "%41cme%20"),
        ("org BETA\n", "org BETA company=\n"),
        ("org BETA\n", "org BETA website=x company=y\n"),
        ("org BETA\n", "org BETA x\n"),
        ("signer acme-ci level", "signer acme level"),
        ("level=2 org=ACME", "org=ACME level=2"),
        ("level=2", "level=+2"),
        ("level=-1", "level=-01"),
        ("org=ACME", "org=GAMMA"),
        ("from-index=5 ", "from-index=5 from-index=5 "),
        (" from-index=5", " from-index=0"),
        ("allow 2", "allow 02"),
        ("ACME BETA\n", "ACME GAMMA\n"),
        ("ACME BETA\n", "ACME BETA \n"),
        ("veto BETA\n", "veto\n"),
        ("unsupported allow\n", "unsupported warn\n"),
        ("unsupported allow\n", "unsupported allow\n\n"),
        ("unsupported allow\n", "unsupported allow"),
        (
            "unsupported allow\n",
            "unsupported allow\nunsupported allow\n",
        ),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let found = TrustRoot::parse(&changed);
        assert!(
            matches!(found, Err(RootError::Line(..) | RootError::Expected(..))),
            "{from:?} -> {to:?}: {found:?}"
        );
    }
}

#[test]
fn revocations_name_one_signer_once_and_in_the_signers_order() {
    let root = full_root();
    let text = root.format().unwrap();
    let [first, second] = [1, 2].map(|at: usize| {
        let id = root.signers[at].key.id();
        text.lines()
            .find(|line| line.starts_with(&format!("revoke {id:08x}")))
            .unwrap()
    });
    for (lines, expected) in [
        (
            format!("{second}\n{first}\n"),
            RootError::Line(19, "not spelled as trust roots are"),
        ),
        (
            format!("{first}\n{first}\n"),
            RootError::Line(20, "revokes a key that is revoked"),
        ),
        (
            "revoke 00000000 from-index=1\n".to_owned(),
            RootError::Line(19, "revokes a key that is no signer's"),
        ),
    ] {
        let changed = text.replace(&format!("{first}\n{second}\n"), &lines);
        assert_eq!(TrustRoot::parse(&changed), Err(expected));
    }
}

#[test]
fn what_breaks_a_rule_is_neither_written_nor_read() {
    type Change = fn(&mut TrustRoot);
    let rules: [(&str, Change); 19] = [
        ("versions count from 1", |r| r.version = 0),
        ("the origin is not one word", |r| {
            r.origin = "two words".to_owned();
        }),
        ("the log key's name is not the origin", |r| {
            r.log = key("other", 10);
        }),
        ("a threshold is 0 or more", |r| r.roots.threshold = 0),
        ("a threshold is 0 or more", |r| r.roots.threshold = 4),
        ("a threshold is 0 or more", |r| r.indexers.threshold = 2),
        ("a threshold is 0 or more", |r| {
            r.exempt.as_mut().unwrap().threshold = 2;
        }),
        // One key under two names is still one key.
        ("a threshold is 0 or more", |r| {
            r.roots.keys[1] = key("also-alice", 1);
        }),
        ("there are not between 1 and 48", |r| {
            r.organisations = (0..49)
                .map(|n| organisation(&format!("O{n}"), "", ""))
                .collect();
        }),
        ("an organisation is not one word", |r| {
            r.organisations[1].name = "ACME".to_owned();
        }),
        ("an organisation is not one word", |r| {
            r.organisations[1].name.push('\u{a0}');
        }),
        ("a signer's key or key id", |r| {
            r.signers[2].key = key("beta", 20);
        }),
        ("a signer's level or organisation", |r| {
            r.signers[0].level = 5;
        }),
        ("a signer's level or organisation", |r| {
            r.signers[0].organisation = 2;
        }),
        ("a signer's level or organisation", |r| {
            r.signers[1].until_index = Some(5);
        }),
        ("the allow line has an unknown", |r| {
            r.allow.organisations = vec![0, 0];
        }),
        ("the allow line needs more", |r| r.allow.threshold = 3),
        ("the allow line needs more", |r| r.allow.threshold = 0),
        ("the veto line has no", |r| r.veto = Some(vec![])),
    ];
    for (rule, break_it) in rules {
        let mut broken = full_root();
        break_it(&mut broken);
        let Err(RootError::Rule(found)) = broken.format() else {
            panic!("written: {rule}");
        };
        assert!(found.starts_with(rule), "{found}");
        assert!(
            TrustRoot::parse(&super::text::format(&broken)).is_err(),
            "read: {rule}"
        );
    }
}

#[test]
fn the_first_root_is_signed_by_its_own_threshold() {
    let root = root();
    assert_eq!(
        TrustRoot::verify_initial(&note(&root, &[ALICE, BOB])),
        Ok(root.clone())
    );
    let too_few = NoteError::Threshold {
        found: 1,
        needed: 2,
    };
    for signers in [&[ALICE][..], &[ALICE, ALICE], &[ALICE, DAVE]] {
        assert_eq!(
            TrustRoot::verify_initial(&note(&root, signers)),
            Err(RootError::Note(too_few.clone()))
        );
    }
    let fingerprint_of_text = Digest::of(root.format().unwrap().as_bytes());
    assert_eq!(fingerprint(&note(&root, &[ALICE])), Ok(fingerprint_of_text));
}

#[test]
fn a_successor_is_signed_by_both_thresholds() {
    let old = root();
    let mut new = root();
    new.version = 2;
    new.roots = KeySet {
        keys: vec![key("alice", 1), key("dave", 4)],
        threshold: 2,
    };
    assert_eq!(
        old.verify_successor(&note(&new, &[ALICE, BOB, DAVE])),
        Ok(new.clone())
    );
    let too_few = NoteError::Threshold {
        found: 1,
        needed: 2,
    };
    assert_eq!(
        old.verify_successor(&note(&new, &[ALICE, DAVE])),
        Err(RootError::Predecessor(too_few.clone()))
    );
    assert_eq!(
        old.verify_successor(&note(&new, &[ALICE, BOB])),
        Err(RootError::Note(too_few))
    );
}

#[test]
fn a_successor_keeps_what_the_past_means() {
    type Change = fn(&mut TrustRoot);
    const MOVED: &str = "a signer was moved, removed or given to another organisation";
    let refused: [(RootError, Change); 7] = [
        (
            RootError::Version {
                expected: 2,
                found: 1,
            },
            |r| r.version = 1,
        ),
        (
            RootError::Version {
                expected: 2,
                found: 3,
            },
            |r| r.version = 3,
        ),
        (RootError::Succession("it is for another ledger"), |r| {
            r.origin = "other.example".to_owned();
            r.log = key("other.example", 10);
        }),
        (RootError::Succession(MOVED), |r| r.signers.truncate(2)),
        (RootError::Succession(MOVED), |r| r.signers.swap(0, 1)),
        (RootError::Succession(MOVED), |r| {
            r.signers[0].key = key("acme-ci", 40);
        }),
        (RootError::Succession(MOVED), |r| {
            r.signers[0].organisation = 1;
        }),
    ];
    for (expected, change) in refused {
        let mut next = root();
        next.version = 2;
        change(&mut next);
        assert_eq!(
            root().verify_successor(&note(&next, &[ALICE, BOB])),
            Err(expected)
        );
    }
    let accepted: [Change; 4] = [
        |r| r.signers.push(signer("beta-2", 23, 1)),
        |r| r.signers[0].until_index = Some(7),
        |r| r.signers[0].revoked_from = Some(7),
        // Organisations have no fixed places: signers name them by name.
        |r| {
            r.organisations.swap(0, 1);
            for signer in &mut r.signers {
                signer.organisation = 1 - signer.organisation;
            }
        },
    ];
    for change in accepted {
        let mut next = root();
        next.version = 2;
        change(&mut next);
        assert_eq!(
            root().verify_successor(&note(&next, &[ALICE, BOB])),
            Ok(next)
        );
    }
}

#[test]
fn a_note_that_is_no_root_is_refused() {
    let no_threshold = root()
        .format()
        .unwrap()
        .replace("rootthreshold 2", "rootthreshold 0");
    let no_threshold = TrustRoot::verify_initial(&sign(&no_threshold, &[ALICE, BOB]));
    assert!(
        matches!(no_threshold, Err(RootError::Rule(_))),
        "{no_threshold:?}"
    );
    assert_eq!(
        TrustRoot::verify_initial(&sign("hello\n", &[ALICE, BOB])),
        Err(RootError::Line(1, "no 'vcn-root/v1'"))
    );
    assert_eq!(
        TrustRoot::verify_initial(b"vcn-root/v1\n"),
        Err(RootError::Note(NoteError::Form(
            "no blank line before the signatures"
        )))
    );
}

#[test]
fn ranges_and_revocations_count_in_log_indexes() {
    let root = full_root();
    let old = root.signer(1).unwrap();
    let valid = [4, 5, 899, 900].map(|index| old.valid_at(index));
    assert_eq!(valid, [false, true, true, false]);
    let beta = root.signer(2).unwrap();
    assert_eq!(
        [16, 17, u64::MAX].map(|index| beta.revoked_at(index)),
        [false, true, true]
    );
    assert!(root.signer(0).unwrap().valid_at(u64::MAX));
    assert_eq!(root.signer(3), None);
}

#[test]
fn signers_and_organisations_are_found_by_name() {
    let root = root();
    let keyid = root.signers[2].key.keyid();
    assert_eq!(root.signer_by_keyid(&keyid), Some((2, &root.signers[2])));
    assert_eq!(
        root.signer_by_keyid(&keyid.replace("beta", "acme-ci")),
        None
    );
    assert_eq!(root.signer_by_keyid("beta"), None);
    assert_eq!(root.organisation_number("BETA"), Some(1));
    assert_eq!(root.organisation_number("GAMMA"), None);
}

#[test]
fn a_root_ends_at_its_expiry() {
    let root = root();
    assert_eq!(root.check_expiry(1_899_999_999), Ok(()));
    assert_eq!(
        root.check_expiry(1_900_000_000),
        Err(RootError::Expired { at: 1_900_000_000 })
    );
}
