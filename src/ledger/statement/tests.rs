use super::{
    EntryError, Envelope, MAX_ENTRY_SIZE, PAYLOAD_TYPE, Statement, Subject, SubjectKind, pae, sign,
};
use crate::allowlist::record::Status;
use crate::image::digest::{ChainId, Digest};
use crate::trust::keys::{SecretKey, Signer as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

fn key() -> SecretKey {
    SecretKey::from_seed("acme-ci", &[7; 32]).unwrap()
}

fn subject(text: &str, kind: SubjectKind) -> Subject {
    Subject {
        name: text.to_owned(),
        digest: Digest::of(text.as_bytes()),
        kind,
    }
}

fn statement() -> Statement {
    let config = Some(Digest::of(b"config"));
    let chain = Some(ChainId::from_digest(Digest::of(b"chain")));
    Statement {
        subjects: vec![
            subject("index", SubjectKind::Index),
            subject("manifest", SubjectKind::Manifest { config }),
            subject("config", SubjectKind::Config { chain }),
            subject("bare", SubjectKind::Config { chain: None }),
            subject("file \u{1b}[2J\u{2028}<&>", SubjectKind::File),
        ],
        status: Status::Trusted,
        origin: "ledger.example/vcn".to_owned(),
        after: 41,
        time: 1_790_000_000,
        not_after: 1_800_000_000,
        kind: "docker".to_owned(),
        name: "docker://app:1.4".to_owned(),
        size: 270_000_000,
        company: "Acme \"R&D\" GmbH".to_owned(),
        website: String::new(),
        reason: "Grüße".to_owned(),
    }
}

/// An entry around `payload`, signed as ours are.
fn entry_of(payload: &[u8]) -> Vec<u8> {
    let key = key();
    let signature = key.sign(&pae(PAYLOAD_TYPE, payload)).unwrap();
    super::wire::encode_envelope(payload, &key.verifier().keyid(), &signature).unwrap()
}

fn payload_text() -> String {
    String::from_utf8(super::wire::encode_statement(&statement()).unwrap()).unwrap()
}

#[test]
fn pae_is_that_of_the_dsse_specification() {
    assert_eq!(
        pae("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
}

#[test]
fn a_statement_survives_being_signed_and_read() {
    let key = key();
    let entry = sign(&statement(), &key).unwrap();
    let envelope = Envelope::parse(&entry).unwrap();
    assert_eq!(envelope.keyid(), key.verifier().keyid());
    assert_eq!(envelope.verify(key.verifier()), Ok(&statement()));
}

#[test]
fn an_entry_has_the_documented_bytes() {
    let mut statement = statement();
    statement.subjects.drain(..2);
    statement.subjects.truncate(1);
    let payload = super::wire::encode_statement(&statement).unwrap();
    assert_eq!(
        String::from_utf8(payload).unwrap(),
        concat!(
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"config","#,
            r#""digest":{"sha256":"b79606fb3afea5bd1609ed40b622142f1c98125abcfe89a76a661b0e8e343910"},"#,
            r#""annotations":{"kind":"config","#,
            r#""chain":"sha256:9414886b1ebf025db067a4cbd13a0903fbd9733a5372bba1b58bd72c1699b798"}}],"#,
            r#""predicateType":"urn:vcn-hook:notarization:v1","predicate":{"origin":"ledger.example/vcn","#,
            r#""status":"TRUSTED","after":41,"time":1790000000,"notAfter":1800000000,"kind":"docker","#,
            r#""name":"docker://app:1.4","size":270000000,"company":"Acme \"R&D\" GmbH","reason":"Grüße"}}"#,
        )
    );
}

#[test]
fn another_key_and_another_payload_do_not_verify() {
    let entry = sign(&statement(), &key()).unwrap();
    let envelope = Envelope::parse(&entry).unwrap();
    let same_name = SecretKey::from_seed("acme-ci", &[8; 32]).unwrap();
    let same_key = SecretKey::from_seed("acme", &[7; 32]).unwrap();
    for other in [same_name, same_key] {
        assert_eq!(
            envelope.verify(other.verifier()),
            Err(EntryError::Signature)
        );
    }
    let mut changed = statement();
    changed.after += 1;
    let forged = super::wire::encode_envelope(
        &super::wire::encode_statement(&changed).unwrap(),
        envelope.keyid(),
        &envelope.signature,
    )
    .unwrap();
    assert_eq!(
        Envelope::parse(&forged).unwrap().verify(key().verifier()),
        Err(EntryError::Signature)
    );
}

#[test]
fn what_breaks_a_rule_is_neither_signed_nor_read() {
    type Change = fn(&mut Statement);
    let rules: [(&str, Change); 7] = [
        ("it names no ledger", |s| s.origin.clear()),
        ("it has no subject", |s| s.subjects.clear()),
        ("it has more than 64 subjects", |s| {
            s.subjects = (0..65)
                .map(|n| subject(&n.to_string(), SubjectKind::File))
                .collect();
        }),
        ("it has the same subject twice", |s| {
            // A config with and without its chain is still one subject.
            let mut again = s.subjects[2].clone();
            again.kind = SubjectKind::Config { chain: None };
            s.subjects.push(again);
        }),
        ("its status cannot lapse", |s| s.status = Status::Untrusted),
        ("its status cannot be stated", |s| {
            s.status = Status::Unknown;
        }),
        ("its status cannot be stated", |s| {
            s.status = Status::Revoked;
        }),
    ];
    for (rule, break_it) in rules {
        let mut broken = statement();
        break_it(&mut broken);
        let expected = EntryError::Malformed(rule);
        let Err(super::SignError::Statement(error)) = sign(&broken, &key()) else {
            panic!("signed: {rule}");
        };
        assert_eq!(error, expected);
        let entry = entry_of(&super::wire::encode_statement(&broken).unwrap());
        assert_eq!(Envelope::parse(&entry), Err(expected));
    }
}

#[test]
fn the_same_digest_may_be_two_kinds_of_subject() {
    let mut both = statement();
    let mut file = both.subjects[2].clone();
    file.kind = SubjectKind::File;
    both.subjects.push(file);
    assert_eq!(both.check(), Ok(()));
}

#[test]
fn a_statement_is_at_most_16_kib() {
    let mut long = statement();
    long.reason = "x".repeat(MAX_ENTRY_SIZE);
    assert!(matches!(
        sign(&long, &key()),
        Err(super::SignError::Statement(EntryError::TooLong))
    ));
    assert_eq!(
        Envelope::parse(&vec![b' '; MAX_ENTRY_SIZE + 1]),
        Err(EntryError::TooLong)
    );
}

#[test]
fn payloads_of_another_kind_are_not_ours() {
    for payload in [
        r#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"https://slsa.dev/provenance/v1","predicate":{"x":[1]}}"#,
        r#"{"predicateType":"urn:vcn-hook:notarization:v2"}"#,
    ] {
        assert_eq!(
            Envelope::parse(&entry_of(payload.as_bytes())),
            Err(EntryError::NotOurs)
        );
    }
    for envelope in [
        r#"{"payloadType":"text/plain","payload":"","signatures":[]}"#,
        r#"{"payloadType":"text/plain","more":true}"#,
    ] {
        assert_eq!(
            Envelope::parse(envelope.as_bytes()),
            Err(EntryError::NotOurs)
        );
    }
}

#[test]
fn a_payload_has_one_spelling() {
    let text = payload_text();
    for (from, to) in [
        (r#""after":41,"#, r#""after":41,"after":41,"#),
        (r#""after":41,"#, r#""after":41.0,"#),
        (r#""after":41,"#, r#""after":-1,"#),
        (r#""after":41,"#, r#""after": 41,"#),
        (r#""after":41,"#, ""),
        (r#""after":41,"#, r#""after":41,"expires":1,"#),
        (r#""after":41,"#, r#""after":18446744073709551616,"#),
        (r#""notAfter":1800000000"#, r#""notAfter":4294967296"#),
        (r#""reason":"Gr"#, r#""website":"","reason":"Gr"#),
        ("Grüße", r"Gr\u00fc\u00dfe"),
        ("TRUSTED", "trusted"),
        ("TRUSTED", "UNKNOWN"),
        ("Statement/v1", "Statement/v0.1"),
        (r#"{"kind":"index"}"#, r#"{"kind":"chain"}"#),
        (r#"{"kind":"index"}"#, r#"["index"]"#),
        (r#"{"kind":"index"}"#, r#"{"kind":"index","chain":null}"#),
        (
            r#"{"kind":"config","chain""#,
            r#"{"kind":"config","config""#,
        ),
        (
            r#"{"kind":"config","chain":"sha256:"#,
            r#"{"kind":"config","chain":"SHA256:"#,
        ),
        (r#"{"sha256":""#, r#"{"sha512":""#),
        (r#"{"sha256":""#, r#"{"sha256":"sha256:"#),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let found = Envelope::parse(&entry_of(changed.as_bytes()));
        assert!(
            matches!(found, Err(EntryError::Malformed(_))),
            "{to}: {found:?}"
        );
    }
    for whole in [
        format!("{text}\n"),
        format!(" {text}"),
        format!("[{text}]"),
        String::new(),
    ] {
        let found = Envelope::parse(&entry_of(whole.as_bytes()));
        assert!(matches!(found, Err(EntryError::Malformed(_))), "{whole}");
    }
}

#[test]
fn an_envelope_has_one_spelling() {
    let text = String::from_utf8(sign(&statement(), &key()).unwrap()).unwrap();
    let keyid = key().verifier().keyid();
    let signature = text
        .split(r#""sig":""#)
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let unpadded = signature.trim_end_matches('=');
    let url_safe = STANDARD.encode([0xff_u8; 64]).replace('/', "_");
    for (from, to) in [
        (r#""payloadType""#, r#""payloadtype""#.to_owned()),
        ("/vnd", r"\/vnd".to_owned()),
        (
            r#""signatures":["#,
            r#""signatures":[],"signatures":["#.to_owned(),
        ),
        (
            r#""signatures":["#,
            format!(r#""signatures":[{{"keyid":"{keyid}","sig":"{signature}"}},"#),
        ),
        (r#""sig":"#, r#""cert":"","sig":"#.to_owned()),
        (signature, unpadded.to_owned()),
        (signature, url_safe),
        (signature, STANDARD.encode([0_u8; 63])),
        (r#"{"keyid""#, r#"{ "keyid""#.to_owned()),
    ] {
        let changed = text.replacen(from, &to, 1);
        assert_ne!(changed, text, "{from}");
        let found = Envelope::parse(changed.as_bytes());
        assert!(
            matches!(found, Err(EntryError::Malformed(_))),
            "{to}: {found:?}"
        );
    }
    for whole in [
        format!("{text}\n"),
        format!("{text}{text}"),
        format!("[{text}]"),
        "{}".to_owned(),
    ] {
        let found = Envelope::parse(whole.as_bytes());
        assert!(matches!(found, Err(EntryError::Malformed(_))), "{whole}");
    }
}

#[test]
fn no_prefix_of_an_entry_is_an_entry() {
    let entry = sign(&statement(), &key()).unwrap();
    for end in 0..entry.len() {
        let found = Envelope::parse(&entry[..end]);
        assert!(
            matches!(found, Err(EntryError::Malformed(_))),
            "{end} bytes"
        );
    }
}
