//! `notarize`, `untrust`, `unsupport`: one statement about an image, durable and applied.
//!
//! Owns what is asked for, and what is told of it. How an image becomes digests
//! is `images`', who may sign is the trust root's.

pub mod statements;

use serde_json::Value;

use super::args;
use super::context::Context;
use super::failure::Failure;
use super::images;
use super::moment;
use super::output::{self, Format};
use super::signing;
use super::target::Target;
use super::verification::{Stated, Verification};
use super::view;
use crate::allowlist::record::Status;
use crate::image::subjects::{self, ImageSubjects, SubjectOf};
use crate::ledger::statement::Statement;
use crate::trust::keys::Signer;
use crate::verdict::{Reason, ReasonCode};
use statements::{Draft, Statements, Words, state};

/// States `status` of every image that was named.
///
/// # Errors
/// When an image cannot be resolved, the key is none of the ledger's signers, the ledger cannot be
/// written, or a statement was written and does not count.
pub fn run(context: &mut Context, status: Status, args: &args::State) -> Result<u8, Failure> {
    let not_after = end_date(context, status, args)?;
    let mut target = Target::find(context, args.ledger.as_deref(), args.root.as_deref())?;
    let images = resolve(context, args)?;
    target.settle(context.now)?;
    let after = target.refresh(context)?;
    let signer = signing::signer(args.key.as_deref(), target.root(), after)?;
    let words = Words {
        status,
        not_after,
        reason: args.reason.as_deref().unwrap_or_default(),
    };
    let stated = state(context, &mut target, images, &words, signer.as_ref(), after)?;
    report(context, &target, &stated, signer.as_ref())
}

fn end_date(context: &Context, status: Status, args: &args::State) -> Result<u32, Failure> {
    let Some(text) = &args.not_after else {
        return Ok(0);
    };
    if status != Status::Trusted {
        return Err(Failure::usage("--not-after: only TRUSTED can lapse"));
    }
    let unix = moment::parse(text, context.now)
        .and_then(|unix| u32::try_from(unix).ok())
        .ok_or_else(|| Failure::usage(format!("--not-after: '{text}' is no date and no span")))?;
    if u64::from(unix) <= context.now {
        return Err(Failure::usage(format!(
            "--not-after: '{text}' is not in the future"
        )));
    }
    Ok(unix)
}

/// The images that were named, from their bytes.
fn resolve(context: &Context, args: &args::State) -> Result<Vec<(String, ImageSubjects)>, Failure> {
    if let Some(hash) = &args.hash {
        return Ok(vec![(
            hash.clone(),
            images::resolve_hash(hash, args.name.as_deref())?,
        )]);
    }
    if args.name.is_some() && args.images.len() > 1 {
        return Err(Failure::usage(
            "--name: several images cannot have one name",
        ));
    }
    let mut resolved = Vec::with_capacity(args.images.len());
    for asked in &args.images {
        let mut image = view::resolve(context, asked)?;
        if let Some(name) = &args.name {
            image.name.clone_from(name);
        }
        resolved.push((asked.clone(), image));
    }
    Ok(resolved)
}

/// Prints what was stated, in the words of `verify`.
fn report(
    context: &mut Context,
    target: &Target,
    stated: &Statements,
    signer: &dyn Signer,
) -> Result<u8, Failure> {
    let Statements { drafts, places } = stated;
    let mut answers = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let place = places.iter().find(|(_, statement)| {
            statement.name == draft.image.name
                && draft
                    .covers
                    .iter()
                    .any(|covered| statement.subjects.contains(covered))
        });
        let Some((index, statement)) = place else {
            continue;
        };
        answers.push(answer(target, draft, *index, statement, signer));
    }
    let values: Vec<Value> = answers.iter().map(Verification::json).collect();
    let value = output::one_or_many(values);
    context.out.answer(&value, |paint| {
        answers
            .iter()
            .map(|answer| answer.text(paint))
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    if context.out.format == Format::Text {
        for (answer, draft) in answers.iter().zip(drafts) {
            context
                .out
                .note(format!("{}: {} digests", answer.reason, draft.covers.len()));
        }
    }
    Ok(0)
}

fn answer(
    target: &Target,
    draft: &Draft,
    index: u64,
    statement: &Statement,
    signer: &dyn Signer,
) -> Verification {
    let code = match statement.status {
        Status::Trusted => ReasonCode::Trusted,
        Status::Untrusted => ReasonCode::Untrusted,
        Status::Unsupported => ReasonCode::Unsupported,
        Status::Unknown | Status::Revoked => ReasonCode::Unknown,
    };
    let detail = format!("stated as entry {index} of '{}'", target.root().origin);
    let keyid = signer.verifier().keyid();
    let known = target
        .root()
        .signer_by_keyid(&keyid)
        .map(|(_, signer)| signer);
    Verification {
        asked: draft.asked.clone(),
        hash: shown_hash(&draft.image),
        status: statement.status,
        reason: Reason::new(code, detail, ""),
        undecided: false,
        statement: known.map(|known| Stated::of(index, statement, known, target.root())),
        records: 1,
        deep: None,
    }
}

/// The digest that people call the image's: its config's, as vcn has it.
#[must_use]
pub fn shown_hash(image: &ImageSubjects) -> String {
    let config = |s: &&subjects::Subject| matches!(s.of, SubjectOf::Config { .. });
    let subject = image
        .subjects
        .iter()
        .find(config)
        .or_else(|| image.subjects.first());
    subject
        .map(|subject| subject.digest.hex())
        .unwrap_or_default()
}
