//! The JSON of envelope and statement: field names, field order, nothing else.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{EntryError, PAYLOAD_TYPE, PREDICATE_TYPE, Statement, Subject, SubjectKind};
use crate::allowlist::record::{Kind, Status};
use crate::image::digest::{ChainId, Digest};

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// An envelope's parts, decoded.
pub(super) struct Signed {
    pub(super) keyid: String,
    pub(super) payload: Vec<u8>,
    pub(super) signature: [u8; 64],
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EnvelopeJson<'a> {
    #[serde(borrow)]
    payload_type: Cow<'a, str>,
    #[serde(borrow)]
    payload: Cow<'a, str>,
    #[serde(borrow)]
    signatures: Vec<SignatureJson<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureJson<'a> {
    #[serde(borrow)]
    keyid: Cow<'a, str>,
    #[serde(borrow)]
    sig: Cow<'a, str>,
}

/// What tells somebody else's envelope from a broken one of ours.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeType<'a> {
    #[serde(borrow)]
    payload_type: Cow<'a, str>,
}

/// What tells somebody else's statement from a broken one of ours.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatementType<'a> {
    #[serde(borrow)]
    predicate_type: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StatementJson<'a> {
    #[serde(rename = "_type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    subject: Vec<SubjectJson<'a>>,
    #[serde(borrow)]
    predicate_type: Cow<'a, str>,
    #[serde(borrow)]
    predicate: PredicateJson<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectJson<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    digest: DigestJson<'a>,
    #[serde(borrow)]
    annotations: AnnotationsJson<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestJson<'a> {
    #[serde(borrow)]
    sha256: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnnotationsJson<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<Digest>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PredicateJson<'a> {
    #[serde(borrow)]
    origin: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    after: u64,
    time: u64,
    not_after: u32,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    size: u64,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    company: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    website: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    reason: Cow<'a, str>,
}

pub(super) fn decode_envelope(entry: &[u8]) -> Result<Signed, EntryError> {
    let Ok(envelope) = serde_json::from_slice::<EnvelopeJson<'_>>(entry) else {
        return Err(match serde_json::from_slice::<EnvelopeType<'_>>(entry) {
            Ok(found) if found.payload_type != PAYLOAD_TYPE => EntryError::NotOurs,
            _ => EntryError::Malformed("it is no DSSE envelope"),
        });
    };
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(EntryError::NotOurs);
    }
    let [signed] = envelope.signatures.as_slice() else {
        return Err(EntryError::Malformed("it has not exactly one signature"));
    };
    let base64 = |_| EntryError::Malformed("it is not in strict base64");
    Ok(Signed {
        keyid: signed.keyid.clone().into_owned(),
        payload: STANDARD
            .decode(envelope.payload.as_bytes())
            .map_err(base64)?,
        signature: STANDARD
            .decode(signed.sig.as_bytes())
            .map_err(base64)?
            .try_into()
            .map_err(|_| EntryError::Malformed("its signature has not 64 bytes"))?,
    })
}

pub(super) fn encode_envelope(
    payload: &[u8],
    keyid: &str,
    signature: &[u8; 64],
) -> Result<Vec<u8>, EntryError> {
    let envelope = EnvelopeJson {
        payload_type: PAYLOAD_TYPE.into(),
        payload: STANDARD.encode(payload).into(),
        signatures: vec![SignatureJson {
            keyid: keyid.into(),
            sig: STANDARD.encode(signature).into(),
        }],
    };
    serde_json::to_vec(&envelope).map_err(|_| EntryError::Malformed("it cannot be written as JSON"))
}

pub(super) fn decode_statement(payload: &[u8]) -> Result<Statement, EntryError> {
    let Ok(json) = serde_json::from_slice::<StatementJson<'_>>(payload) else {
        return Err(match serde_json::from_slice::<StatementType<'_>>(payload) {
            Ok(found) if found.predicate_type != PREDICATE_TYPE => EntryError::NotOurs,
            _ => EntryError::Malformed("its payload is no statement"),
        });
    };
    if json.predicate_type != PREDICATE_TYPE {
        return Err(EntryError::NotOurs);
    }
    if json.kind != STATEMENT_TYPE {
        return Err(EntryError::Malformed("it is no in-toto statement v1"));
    }
    let predicate = json.predicate;
    let subjects: Result<_, _> = json.subject.into_iter().map(decode_subject).collect();
    Ok(Statement {
        subjects: subjects?,
        status: decode_status(&predicate.status)?,
        origin: predicate.origin.into_owned(),
        after: predicate.after,
        time: predicate.time,
        not_after: predicate.not_after,
        kind: predicate.kind.into_owned(),
        name: predicate.name.into_owned(),
        size: predicate.size,
        company: predicate.company.into_owned(),
        website: predicate.website.into_owned(),
        reason: predicate.reason.into_owned(),
    })
}

pub(super) fn encode_statement(statement: &Statement) -> Result<Vec<u8>, EntryError> {
    let json = StatementJson {
        kind: STATEMENT_TYPE.into(),
        subject: statement.subjects.iter().map(encode_subject).collect(),
        predicate_type: PREDICATE_TYPE.into(),
        predicate: PredicateJson {
            origin: (&statement.origin).into(),
            status: statement.status.as_str().into(),
            after: statement.after,
            time: statement.time,
            not_after: statement.not_after,
            kind: (&statement.kind).into(),
            name: (&statement.name).into(),
            size: statement.size,
            company: (&statement.company).into(),
            website: (&statement.website).into(),
            reason: (&statement.reason).into(),
        },
    };
    serde_json::to_vec(&json).map_err(|_| EntryError::Malformed("it cannot be written as JSON"))
}

fn decode_subject(json: SubjectJson<'_>) -> Result<Subject, EntryError> {
    let AnnotationsJson {
        kind,
        chain,
        config,
    } = json.annotations;
    let kind = match (kind.as_ref(), chain, config) {
        ("index", None, None) => SubjectKind::Index,
        ("manifest", None, config) => SubjectKind::Manifest { config },
        ("config", chain, None) => SubjectKind::Config {
            chain: chain.map(ChainId::from_digest),
        },
        ("file", None, None) => SubjectKind::File,
        _ => {
            return Err(EntryError::Malformed(
                "a subject's annotations do not fit its kind",
            ));
        }
    };
    Ok(Subject {
        name: json.name.into_owned(),
        digest: Digest::from_hex(&json.digest.sha256)
            .map_err(|_| EntryError::Malformed("a subject's digest is no sha256"))?,
        kind,
    })
}

fn encode_subject(subject: &Subject) -> SubjectJson<'_> {
    let target = subject.kind.target();
    let kind = subject.kind.kind();
    SubjectJson {
        name: (&subject.name).into(),
        digest: DigestJson {
            sha256: subject.digest.hex().into(),
        },
        annotations: AnnotationsJson {
            kind: kind.as_str().into(),
            chain: target.filter(|_| kind == Kind::Config),
            config: target.filter(|_| kind == Kind::Manifest),
        },
    }
}

fn decode_status(text: &str) -> Result<Status, EntryError> {
    [Status::Trusted, Status::Untrusted, Status::Unsupported]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or(EntryError::Malformed("its status cannot be stated"))
}
