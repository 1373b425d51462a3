//! `list` and `inspect`: what the ledger has been told.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::args;
use super::context::Context;
use super::failure::Failure;
use super::history::{Entry, History};
use super::moment;
use super::output;
use super::verification::{Stated, level};
use super::view;
use crate::image::digest::Digest;
use crate::trust::root::{TrustRoot, TrustSigner};

/// Lists the newest statements, newest first.
///
/// # Errors
/// As reading this machine's copy of the log.
pub fn list(context: &mut Context, args: &args::List) -> Result<u8, Failure> {
    let copy = view::copy(context)?;
    let history = History::open(copy.log.as_ref(), &copy.root)?;
    let found = history.newest(args.last, |_, signer| chosen(signer, &args.signers))?;
    let values: Vec<Value> = found.iter().map(|entry| value(entry, &copy.root)).collect();
    context.out.answer(&values, |_| {
        let lines: Vec<_> = found.iter().map(line).collect();
        output::table(
            ["ENTRY", "DATE", "STATUS", "SIGNER", "NAME", "HASH"],
            &lines,
        )
    })?;
    Ok(0)
}

/// Shows every statement about one image, oldest first.
///
/// # Errors
/// As reading this machine's copy of the log, and when the image cannot be resolved.
pub fn inspect(context: &mut Context, args: &args::Inspect) -> Result<u8, Failure> {
    let digests = digests(context, args)?;
    let copy = view::copy(context)?;
    let mut found = History::open(copy.log.as_ref(), &copy.root)?.naming(&digests)?;
    found.retain(|entry| chosen(&entry.signer, &args.signers));
    if let Some(first) = args.first {
        found.truncate(first);
    } else {
        let old = found.len().saturating_sub(args.last);
        found.drain(..old);
    }
    let values: Vec<Value> = found.iter().map(|entry| value(entry, &copy.root)).collect();
    context.out.answer(&values, |_| {
        let blocks: Vec<_> = found.iter().map(|entry| block(entry, &copy.root)).collect();
        if blocks.is_empty() {
            "the ledger has no word about it\n".to_owned()
        } else {
            blocks.join("\n")
        }
    })?;
    Ok(0)
}

/// The digests of what was named: from its bytes, or one as it was typed.
fn digests(context: &Context, args: &args::Inspect) -> Result<HashSet<Digest>, Failure> {
    let bare = |text: &str| text.parse().or_else(|_| Digest::from_hex(text)).ok();
    match (&args.hash, &args.image) {
        (Some(hash), _) => bare(hash)
            .map(|digest| HashSet::from([digest]))
            .ok_or_else(|| Failure::usage(format!("--hash: '{hash}' is no SHA-256 digest"))),
        (None, Some(image)) => match bare(image) {
            Some(digest) => Ok(HashSet::from([digest])),
            None => {
                let image = view::resolve(context, image)?;
                Ok(image
                    .subjects
                    .iter()
                    .map(|subject| subject.digest)
                    .collect())
            }
        },
        (None, None) => Err(Failure::usage("name an image, or a digest with --hash")),
    }
}

/// Says whether a signer is one of those that were asked for, by name, by key id, or by both.
#[must_use]
pub fn chosen(signer: &TrustSigner, wanted: &[String]) -> bool {
    let id = format!("{:08x}", signer.key.id());
    wanted.is_empty()
        || wanted
            .iter()
            .any(|want| *want == id || want == signer.key.name() || *want == signer.key.keyid())
}

fn line(entry: &Entry) -> [String; 6] {
    [
        entry.index.to_string(),
        moment::rfc3339(entry.statement.time),
        entry.statement.status.as_str().to_owned(),
        entry.signer.key.name().to_owned(),
        entry.statement.name.clone(),
        hash(entry),
    ]
}

fn block(entry: &Entry, root: &TrustRoot) -> String {
    let stated = Stated::of(entry.index, &entry.statement, &entry.signer, root);
    let statement = &entry.statement;
    let until = match statement.not_after {
        0 => String::new(),
        until => moment::text(u64::from(until)),
    };
    let mut rows = vec![
        ("Entry", entry.index.to_string()),
        ("Status", statement.status.as_str().to_owned()),
        ("Date", moment::text(statement.time)),
        ("Until", until),
        ("Key", stated.key),
        ("Organisation", stated.organisation),
        ("Level", level(stated.level)),
        ("Name", statement.name.clone()),
        ("Reason", statement.reason.clone()),
    ];
    for subject in &statement.subjects {
        let kind = subject.kind.kind().as_str();
        rows.push((
            "Digest",
            format!("{} {kind} {}", subject.digest, subject.name),
        ));
    }
    output::rows(&rows)
}

fn value(entry: &Entry, root: &TrustRoot) -> Value {
    let stated = Stated::of(entry.index, &entry.statement, &entry.signer, root);
    let statement = &entry.statement;
    let subjects: Vec<_> = statement
        .subjects
        .iter()
        .map(|subject| {
            json!({
                "name": subject.name,
                "kind": subject.kind.kind().as_str(),
                "digest": subject.digest,
                "target": subject.kind.target(),
            })
        })
        .collect();
    json!({
        "index": entry.index,
        "status": statement.status.as_str(),
        "timestamp": moment::rfc3339(statement.time),
        "notAfter": (statement.not_after != 0)
            .then(|| moment::rfc3339(u64::from(statement.not_after))),
        "kind": statement.kind,
        "name": statement.name,
        "hash": hash(entry),
        "size": statement.size,
        "reason": statement.reason,
        "signer": stated.signer,
        "key": stated.key,
        "organisation": stated.organisation,
        "company": stated.company,
        "website": stated.website,
        "level": stated.level,
        "subjects": subjects,
    })
}

/// The digest that people call the image's: its config's, if it has one.
fn hash(entry: &Entry) -> String {
    use crate::allowlist::record::Kind;
    let subjects = &entry.statement.subjects;
    let config = subjects
        .iter()
        .find(|subject| subject.kind.kind() == Kind::Config);
    let subject = config.or_else(|| subjects.first());
    subject
        .map(|subject| subject.digest.hex())
        .unwrap_or_default()
}
