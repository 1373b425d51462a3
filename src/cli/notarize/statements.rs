//! Statements about images: drafted, signed, appended, and applied.
//!
//! Owns what a statement covers, and when it has been made: not when it is
//! written, but when the state that follows from the log says so too.

use std::collections::{BTreeMap, HashSet};

use crate::allowlist::record::Status;
use crate::cli::context::Context;
use crate::cli::failure::{Failure, OrFail as _};
use crate::cli::history::History;
use crate::cli::images;
use crate::cli::target::Target;
use crate::image::digest::Digest;
use crate::image::subjects::ImageSubjects;
use crate::ledger::statement::{self, EntryError, SignError, Statement, Subject, SubjectKind};
use crate::trust::keys::Signer;
use crate::trust::root::TrustRoot;
use crate::verdict::exit;

/// A negative covers whole families of images, a handful of subjects each; more than this many in
/// one statement would not fit into an entry.
const MAX_COVERED: usize = 32;

/// One image, and what is to be said of it.
#[derive(Debug)]
pub struct Draft {
    /// What was asked for.
    pub asked: String,
    /// The image.
    pub image: ImageSubjects,
    /// The digests that are spoken of.
    pub covers: Vec<Subject>,
}

/// What is said of each image.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// The status.
    pub status: Status,
    /// When it lapses, in Unix seconds; 0 for never.
    pub not_after: u32,
    /// Why, for whoever is told of it.
    pub reason: &'a str,
}

/// What was said, and counts.
#[derive(Debug)]
pub struct Statements {
    /// What was to be said.
    pub drafts: Vec<Draft>,
    /// The statements that say it, and the place of each in the log.
    pub places: Vec<(u64, Statement)>,
}

/// Says it of every image, each under what was asked for, in a log whose first `after` entries are
/// verified: durably, and applied.
///
/// # Errors
/// When two images contradict each other, the ledger cannot be written, or a statement does not count.
pub fn state(
    context: &Context,
    target: &mut Target,
    images: Vec<(String, ImageSubjects)>,
    words: &Words<'_>,
    signer: &dyn Signer,
    mut after: u64,
) -> Result<Statements, Failure> {
    let drafts = drafts(target, words.status, images)?;
    let mut places = Vec::new();
    for round in rounds(&drafts) {
        let mut entries = Vec::new();
        for draft in round {
            let whole = draft.statement(words, target.root(), signer, after, context.now);
            sign(&whole, signer, &mut entries)?;
        }
        let bytes: Vec<_> = entries.iter().map(|(bytes, _)| bytes).collect();
        let indexes = target.append(&bytes, context.now)?;
        after = target.refresh(context)?;
        for (index, (_, statement)) in indexes.into_iter().zip(entries) {
            target.confirm(index, &statement)?;
            places.push((index, statement));
        }
    }
    Ok(Statements { drafts, places })
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
        words: &Words<'_>,
        root: &TrustRoot,
        signer: &dyn Signer,
        after: u64,
        now: u64,
    ) -> Statement {
        let organisation = root
            .signer_by_keyid(&signer.verifier().keyid())
            .and_then(|(_, signer)| root.organisation(signer.organisation));
        Statement {
            subjects: self.covers.clone(),
            status: words.status,
            origin: root.origin.clone(),
            after,
            time: now,
            not_after: words.not_after,
            kind: self.image.kind.to_owned(),
            name: self.image.name.clone(),
            size: self.image.size,
            company: organisation.map(|o| o.company.clone()).unwrap_or_default(),
            website: organisation.map(|o| o.website.clone()).unwrap_or_default(),
            reason: words.reason.to_owned(),
        }
    }
}
