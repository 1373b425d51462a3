//! `notarize`, `untrust`, `unsupport`: one statement about an image, durable and applied.
//!
//! Owns what a statement covers and when the verb has succeeded: not when it
//! is written, but when the state that follows from the log says so too.
//! How an image becomes digests is `images`', who may sign is the trust root's.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::args;
use super::context::Context;
use super::failure::{Failure, OrFail as _};
use super::history::History;
use super::images;
use super::moment;
use super::output::{self, Format};
use super::signing;
use super::target::Target;
use super::verification::{Stated, Verification};
use super::view;
use crate::allowlist::record::Status;
use crate::image::digest::Digest;
use crate::image::subjects::{self, ImageSubjects, SubjectOf};
use crate::ledger::statement::{self, EntryError, SignError, Statement, Subject, SubjectKind};
use crate::trust::keys::Signer;
use crate::trust::root::TrustRoot;
use crate::verdict::{Reason, ReasonCode, exit};

/// A negative covers whole families of images, a handful of subjects each; more than this many in
/// one statement would not fit into an entry.
const MAX_COVERED: usize = 32;

/// One image, and what is to be said of it.
struct Draft {
    asked: String,
    image: ImageSubjects,
    covers: Vec<Subject>,
}

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
    let mut after = target.refresh(context)?;
    let signer = signing::signer(args.key.as_deref(), target.root(), after)?;
    let drafts = drafts(&target, status, images)?;
    let mut places = Vec::new();
    for round in rounds(&drafts) {
        let mut entries = Vec::new();
        for draft in round {
            let whole = Statement {
                after,
                not_after,
                time: context.now,
                ..draft.statement(status, target.root(), signer.as_ref(), args)
            };
            sign(&whole, signer.as_ref(), &mut entries)?;
        }
        let bytes: Vec<_> = entries.iter().map(|(bytes, _)| bytes).collect();
        let indexes = target.append(&bytes, context.now)?;
        after = target.refresh(context)?;
        for (index, (_, statement)) in indexes.into_iter().zip(entries) {
            target.confirm(index, &statement)?;
            places.push((index, statement));
        }
    }
    report(context, &target, &drafts, &places, signer.as_ref())
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

/// What is to be said of each image.
fn drafts(
    target: &Target,
    status: Status,
    images: Vec<(String, ImageSubjects)>,
) -> Result<Vec<Draft>, Failure> {
    let mut targets = BTreeMap::new();
    let mut drafts = Vec::with_capacity(images.len());
    for (asked, image) in images {
        let covers = covered(target, status, &image)?;
        if status == Status::Trusted && image.kind == images::BARE {
            keeps_layers(target, &image)?;
        }
        for subject in &covers {
            let points_at = subject.kind.target();
            let earlier = *targets.entry(subject.key()).or_insert(points_at);
            // What a negative points at means nothing, and may be what somebody hostile said.
            if status == Status::Trusted && earlier != points_at {
                let text = format!(
                    "nothing was stated: {} stands for something else in '{asked}' than in an \
                     image before it",
                    subject.digest
                );
                return Err(Failure::new(exit::FAILURE, text));
            }
        }
        drafts.push(Draft {
            asked,
            image,
            covers,
        });
    }
    Ok(drafts)
}

/// Refuses to vouch for a bare hash in place of a statement that says which layers it stands for.
///
/// The newer one would replace it, and an image whose layers nobody names starts nowhere.
fn keeps_layers(target: &Target, image: &ImageSubjects) -> Result<(), Failure> {
    let digests: HashSet<Digest> = image.subjects.iter().map(|s| s.digest).collect();
    let named = History::open(target.log(), target.root())?.naming(&digests)?;
    let mut subjects = named.iter().flat_map(|entry| &entry.statement.subjects);
    let with_layers = subjects.find(|subject| {
        let chain = matches!(subject.kind, SubjectKind::Config { chain: Some(_) });
        chain && digests.contains(&subject.digest)
    });
    with_layers.map_or(Ok(()), |subject| {
        let text = format!(
            "nothing was stated: the ledger knows the layers of {}, and by its hash alone it would \
             start nowhere any more; notarize the image itself",
            subject.digest
        );
        Err(Failure::new(exit::FAILURE, text))
    })
}

/// Puts the drafts into as few rounds as can be: the entries of one round speak of different
/// digests. Entries that are written together name the same log size that they come after, so
/// the second word about one digest would be taken for a replay and ignored.
fn rounds(drafts: &[Draft]) -> Vec<Vec<&Draft>> {
    let mut last = BTreeMap::new();
    let mut rounds: Vec<Vec<&Draft>> = Vec::new();
    for (at, draft) in drafts.iter().enumerate() {
        if drafts.iter().take(at).any(|earlier| earlier.says(draft)) {
            continue;
        }
        let keys = || draft.covers.iter().map(Subject::key);
        let after = keys().filter_map(|key| last.get(&key).copied()).max();
        let round = after.map_or(0, |round: usize| round.saturating_add(1));
        last.extend(keys().map(|key| (key, round)));
        match rounds.get_mut(round) {
            Some(round) => round.push(draft),
            None => rounds.push(vec![draft]),
        }
    }
    rounds
}

/// What a statement about `image` speaks of: its own digests, and for a negative every digest of
/// the statements that ever named one of them.
fn covered(
    target: &Target,
    status: Status,
    image: &ImageSubjects,
) -> Result<Vec<Subject>, Failure> {
    let own = image.subjects.iter().cloned().map(Subject::from);
    if status == Status::Trusted {
        return Ok(own.collect());
    }
    let digests: HashSet<Digest> = image.subjects.iter().map(|s| s.digest).collect();
    let log = target.log();
    let named = History::open(log, target.root())?.naming(&digests)?;
    let mut seen = HashSet::new();
    let mut covers: Vec<Subject> = named
        .into_iter()
        .flat_map(|entry| entry.statement.subjects)
        .filter(|subject| seen.insert((subject.kind.kind(), subject.digest)))
        .collect();
    let known: HashSet<Digest> = covers.iter().map(|subject| subject.digest).collect();
    // A bare hash is guessed to be a config or a file, unless the log knows which.
    covers.extend(own.filter(|subject| !known.contains(&subject.digest)));
    Ok(covers)
}

/// Signs a statement, as several where one would not fit into an entry.
fn sign(
    whole: &Statement,
    signer: &dyn Signer,
    entries: &mut Vec<(Vec<u8>, Statement)>,
) -> Result<(), Failure> {
    if whole.subjects.len() <= MAX_COVERED {
        match statement::sign(whole, signer) {
            Ok(bytes) => {
                entries.push((bytes, whole.clone()));
                return Ok(());
            }
            Err(SignError::Statement(EntryError::TooLong)) if whole.subjects.len() > 1 => {}
            Err(error) => {
                return Err(error)
                    .or_fail(exit::FAILURE, || format!("'{}' was not stated", whole.name));
            }
        }
    }
    let (left, right) = whole.subjects.split_at(whole.subjects.len() / 2);
    for half in [left, right] {
        let part = Statement {
            subjects: half.to_vec(),
            ..whole.clone()
        };
        sign(&part, signer, entries)?;
    }
    Ok(())
}

impl Draft {
    /// Says whether a statement about this image has said the same of another one: the same
    /// digests under the same name.
    fn says(&self, other: &Self) -> bool {
        self.image.name == other.image.name
            && other
                .covers
                .iter()
                .all(|subject| self.covers.contains(subject))
    }

    fn statement(
        &self,
        status: Status,
        root: &TrustRoot,
        signer: &dyn Signer,
        args: &args::State,
    ) -> Statement {
        let organisation = root
            .signer_by_keyid(&signer.verifier().keyid())
            .and_then(|(_, signer)| root.organisation(signer.organisation));
        Statement {
            subjects: self.covers.clone(),
            status,
            origin: root.origin.clone(),
            after: 0,
            time: 0,
            not_after: 0,
            kind: self.image.kind.to_owned(),
            name: self.image.name.clone(),
            size: self.image.size,
            company: organisation.map(|o| o.company.clone()).unwrap_or_default(),
            website: organisation.map(|o| o.website.clone()).unwrap_or_default(),
            reason: args.reason.clone().unwrap_or_default(),
        }
    }
}

/// Prints what was stated, in the words of `verify`.
fn report(
    context: &mut Context,
    target: &Target,
    drafts: &[Draft],
    places: &[(u64, Statement)],
    signer: &dyn Signer,
) -> Result<u8, Failure> {
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
