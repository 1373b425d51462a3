use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::{NoteError, SignedNote, VerifierKey, key_id, signature_line};

/// The published example of golang.org/x/mod/sumdb/note.
const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const LINE: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
/// The type byte and the seed of its private key.
const SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";

fn example() -> SignedNote {
    SignedNote::parse(format!("{TEXT}\n{LINE}").as_bytes()).unwrap()
}

fn pair(seed: u8, name: &str) -> (Ed25519KeyPair, VerifierKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let public = pair.public_key().as_ref().try_into().unwrap();
    (pair, VerifierKey::new(name, public).unwrap())
}

fn signed_by(signers: &[(Ed25519KeyPair, VerifierKey)]) -> SignedNote {
    let mut note = SignedNote::new("hello\n\nworld\n").unwrap();
    for (pair, key) in signers {
        let signature = pair.sign(note.text.as_bytes());
        note.sign(key, signature.as_ref().try_into().unwrap())
            .unwrap();
    }
    note
}

#[test]
fn accepts_the_published_example() {
    let key: VerifierKey = KEY.parse().unwrap();
    assert_eq!(key.to_string(), KEY);
    assert_eq!(key.keyid(), "PeterNeumann+c74f20a3");
    assert_eq!(key_id("PeterNeumann", key.public()), 0xc74f_20a3);
    let note = example();
    assert_eq!(note.text, TEXT);
    assert_eq!(note.verify(&[key], 1), Ok(1));
    assert_eq!(note.to_bytes(), format!("{TEXT}\n{LINE}").into_bytes());
}

#[test]
fn composes_the_published_example() {
    let seed = BASE64.decode(SEED).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed[1..]).unwrap();
    let mut note = SignedNote::new(TEXT).unwrap();
    let signature = pair.sign(TEXT.as_bytes());
    note.sign(
        &KEY.parse().unwrap(),
        signature.as_ref().try_into().unwrap(),
    )
    .unwrap();
    assert_eq!(note, example());
}

#[test]
fn refuses_to_compose_a_signature_that_does_not_verify() {
    let mut note = SignedNote::new(TEXT).unwrap();
    let expected = NoteError::BadSignature {
        name: "PeterNeumann".into(),
    };
    assert_eq!(note.sign(&KEY.parse().unwrap(), &[0; 64]), Err(expected));
    assert_eq!(note.signatures, []);
}

#[test]
fn counts_distinct_keys_only() {
    let signers = [pair(1, "a"), pair(2, "b"), pair(2, "b"), pair(2, "c")];
    let note = signed_by(&signers);
    let keys: Vec<_> = signers.iter().map(|(_, key)| key.clone()).collect();
    assert_eq!(note.verify(&keys, 2), Ok(2));
    let too_few = NoteError::Threshold {
        found: 2,
        needed: 3,
    };
    assert_eq!(note.verify(&keys, 3), Err(too_few));
    assert_eq!(note.verify(&keys[..1], 1), Ok(1));
}

#[test]
fn a_threshold_of_zero_accepts_nothing() {
    let note = signed_by(&[pair(1, "a")]);
    let keys = [pair(1, "a").1];
    let expected = NoteError::Threshold {
        found: 1,
        needed: 0,
    };
    assert_eq!(note.verify(&keys, 0), Err(expected));
}

#[test]
fn ignores_strangers_and_refuses_a_known_key_that_did_not_sign() {
    let mut note = signed_by(&[pair(1, "a"), pair(2, "b")]);
    let keys = [pair(1, "a").1, pair(2, "b").1];
    // Same name, other key: a stranger, although the name is known.
    let mut stranger = note.signatures[0].clone();
    stranger.id ^= 1;
    note.signatures.push(stranger);
    assert_eq!(note.verify(&keys, 2), Ok(2));
    note.signatures[1].signature[10] ^= 1;
    let expected = NoteError::BadSignature { name: "b".into() };
    assert_eq!(note.verify(&keys, 1), Err(expected));
    // Who does not know b still sees a.
    assert_eq!(note.verify(&keys[..1], 1), Ok(1));
}

#[test]
fn a_flip_of_any_byte_is_not_accepted() {
    let keys = [KEY.parse::<VerifierKey>().unwrap()];
    let bytes = example().to_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let verified = SignedNote::parse(&changed).and_then(|note| note.verify(&keys, 1));
        assert!(verified.is_err(), "byte {at}");
    }
}

#[test]
fn refuses_what_is_no_note() {
    let many = LINE.repeat(101);
    for (bytes, what) in [
        (
            format!("{TEXT}{LINE}"),
            "no blank line before the signatures",
        ),
        (TEXT.to_owned(), "no blank line before the signatures"),
        (
            format!("{TEXT}\n"),
            "the signatures do not end in a newline",
        ),
        (
            format!("{TEXT}\n\n"),
            "the signatures do not end in a newline",
        ),
        (format!("{TEXT}\n{LINE}x\n"), "a signature line is broken"),
        (
            format!("{TEXT}\n{}", LINE.trim_end()),
            "the signatures do not end in a newline",
        ),
        (
            format!("{TEXT}\n{LINE}\n"),
            "the signatures do not end in a newline",
        ),
        (format!("a\tb\n\n{LINE}"), "a control character in the text"),
        (format!("{TEXT}\n{many}"), "too many signatures"),
        (
            format!("{TEXT}\n— a+b x08goAA=\n"),
            "a signature line is broken",
        ),
        (
            format!("{TEXT}\n— a x08gow==\n"),
            "a signature line is broken",
        ),
        (format!("{TEXT}\n— a !\n"), "a signature line is broken"),
        (
            format!("{TEXT}\n- a x08goAA=\n"),
            "a signature line is broken",
        ),
    ] {
        let parsed = SignedNote::parse(bytes.as_bytes());
        assert_eq!(parsed, Err(NoteError::Form(what)), "{bytes:?}");
    }
    assert_eq!(
        SignedNote::parse(b"\xff\n\n"),
        Err(NoteError::Form("not UTF-8"))
    );
    assert_eq!(
        SignedNote::parse(&vec![b'a'; (1 << 20) + 1]),
        Err(NoteError::TooLong)
    );
}

#[test]
fn refuses_a_key_that_is_not_spelled_exactly() {
    let cases = [
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "",
    ];
    for text in cases {
        let parsed = text.parse::<VerifierKey>();
        assert!(
            matches!(parsed, Err(NoteError::Key(_))),
            "{text}: {parsed:?}"
        );
    }
}

#[test]
fn a_signature_line_is_as_published() {
    let line = &example().signatures[0];
    assert_eq!(signature_line(&line.name, line.id, &line.signature), LINE);
}
