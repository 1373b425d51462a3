//! `baseline`: notarize at once what runs and what is stored on this machine, after showing it.
//!
//! Owns which images that is: those that the ledger has no word about. A word against one is never
//! overwritten. What is found is `listing`'s, what a statement is `notarize`'s.

pub mod glob;
pub mod listing;
mod told;

use super::args;
use super::ask;
use super::context::Context;
use super::failure::Failure;
use super::notarize::statements::{Words, state};
use super::output::Format;
use super::signing;
use super::target::Target;
use crate::allowlist::record::{Key, Kind, Record, Status};
use crate::image::subjects::ImageSubjects;
use crate::ledger::statement::Statement;
use crate::policy::gatebin::Trust;
use crate::policy::standing::standing;
use crate::trust::keys::Signer;
use crate::verdict::{ReasonCode, exit};
use listing::{Candidate, LeftOut, Listing};

/// Images of one batch. What fails in a batch is tried again one by one.
const BATCH: usize = 200;

/// What came of it.
#[derive(Debug)]
pub struct Baseline {
    lines: Vec<Line>,
    left_out: Vec<LeftOut>,
    unread: Vec<String>,
    unwanted: usize,
    dry_run: bool,
}

/// One image, and what is done with it.
#[derive(Debug)]
struct Line {
    image: Candidate,
    status: Status,
    code: &'static str,
    fate: Fate,
}

/// What is done with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// It is to be notarized.
    Wanted,
    /// It was.
    Notarized(u64),
    /// It was to be.
    Failed(String),
    /// It is left as it is, and why.
    Left(String),
}

/// Lists, asks, notarizes.
///
/// # Errors
/// When nothing could be listed, nobody agrees, or the ledger is out of reach. That one image failed
/// is part of the answer.
pub fn run(context: &mut Context, args: &args::Baseline) -> Result<u8, Failure> {
    let made = make(context, args)?;
    context.out.answer(&made.value(), |_| made.text())?;
    Ok(made.code())
}

/// The same without an answer.
///
/// # Errors
/// As [`run`].
pub fn make(context: &mut Context, args: &args::Baseline) -> Result<Baseline, Failure> {
    let mut target = Target::find(context, args.ledger.as_deref(), args.root.as_deref())?;
    let listing = listing::of_machine(context, args)?;
    if !args.dry_run {
        target.settle(context.now)?;
    }
    let mut made = Baseline::judged(listing, &target, context.now)?;
    made.dry_run = args.dry_run;
    let wanted = made.wanted().len();
    if wanted == 0 || args.dry_run {
        return Ok(made);
    }
    if context.out.format == Format::Text {
        context.out.show(&made.table());
    }
    consent(args, wanted, &target.root().origin)?;
    let after = target.refresh(context)?;
    let signer = signing::signer(args.key.as_deref(), target.root(), after)?;
    made.notarize(context, &mut target, signer.as_ref(), &args.reason, after)?;
    Ok(made)
}

/// Finds somebody who vouches for the images that were shown.
fn consent(args: &args::Baseline, wanted: usize, origin: &str) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    let what = format!("{wanted} images are to be TRUSTED in '{origin}'");
    if !ask::somebody() {
        let text =
            format!("{what}, and nobody is here to agree: pass --yes, or look with --dry-run");
        return Err(Failure::configuration(text));
    }
    if ask::yes(&format!("{what}. Notarize them?"))? {
        return Ok(());
    }
    Err(Failure::configuration("nothing was notarized"))
}

impl Baseline {
    /// Looks every image up in the ledger that is written to.
    fn judged(listing: Listing, target: &Target, now: u64) -> Result<Self, Failure> {
        let trust = target.trust();
        let keys = |image: &Candidate| configs(image).collect::<Vec<_>>();
        let keys: Vec<_> = listing.candidates.iter().map(keys).collect();
        let all: Vec<_> = keys.iter().flatten().copied().collect();
        let mut records = target.records(&all)?.into_iter();
        let lines = listing
            .candidates
            .into_iter()
            .zip(keys)
            .map(|(image, keys)| {
                let records: Vec<_> = records.by_ref().take(keys.len()).collect();
                Line::of(image, &records, &trust, now)
            });
        let lines = lines.collect();
        Ok(Self {
            lines,
            left_out: listing.left_out,
            unread: listing.unread,
            unwanted: listing.unwanted,
            dry_run: false,
        })
    }

    fn wanted(&self) -> Vec<usize> {
        let lines = self.lines.iter().enumerate();
        let wanted = lines.filter(|(_, line)| line.fate == Fate::Wanted);
        wanted.map(|(place, _)| place).collect()
    }

    /// Notarizes what is wanted: in batches, and where a batch fails one image after the other.
    fn notarize(
        &mut self,
        context: &Context,
        target: &mut Target,
        signer: &dyn Signer,
        reason: &str,
        after: u64,
    ) -> Result<(), Failure> {
        self.leave_own_words(target, signer)?;
        let words = Words {
            status: Status::Trusted,
            not_after: 0,
            reason,
        };
        let wanted = self.wanted();
        let progress = context.out.progress();
        let mut after = after;
        for (round, batch) in wanted.chunks(BATCH).enumerate() {
            progress.steps(round * BATCH, wanted.len(), "images");
            let images = batch
                .iter()
                .filter_map(|place| self.asked(*place))
                .collect();
            match state(context, target, images, &words, signer, after) {
                Ok(stated) => {
                    for place in batch {
                        self.settle(*place, &stated.places);
                    }
                    after = target.refresh(context)?;
                    continue;
                }
                Err(failure) if failure.code == exit::UNREACHABLE => return Err(failure),
                // It may be one image's fault: which one is found out below.
                Err(_) => {}
            }
            for place in batch {
                after = target.refresh(context)?;
                let images = self.asked(*place).into_iter().collect();
                match state(context, target, images, &words, signer, after) {
                    Ok(stated) => self.settle(*place, &stated.places),
                    Err(failure) if failure.code == exit::UNREACHABLE => return Err(failure),
                    Err(failure) => self.set(*place, Fate::Failed(failure.to_string())),
                }
            }
        }
        Ok(())
    }

    /// Takes out what this key has already vouched for: it is another organisation's word that is missing.
    fn leave_own_words(&mut self, target: &Target, signer: &dyn Signer) -> Result<(), Failure> {
        let keyid = signer.verifier().keyid();
        let Some((own, _)) = target.root().signer_by_keyid(&keyid) else {
            return Ok(());
        };
        for line in &mut self.lines {
            if line.fate != Fate::Wanted || line.code != ReasonCode::Quorum.as_str() {
                continue;
            }
            let keys: Vec<_> = configs(&line.image).collect();
            let said = |record: &Record| record.signer == own && record.status == Status::Trusted;
            if target.records(&keys)?.iter().flatten().any(said) {
                let why = "this key vouches for it, and another organisation must as well";
                line.fate = Fate::Left(why.to_owned());
            }
        }
        Ok(())
    }

    fn asked(&self, place: usize) -> Option<(String, ImageSubjects)> {
        let image = &self.lines.get(place)?.image;
        Some((image.name.clone(), image.image.as_ref().ok()?.clone()))
    }

    fn settle(&mut self, place: usize, places: &[(u64, Statement)]) {
        let Some(line) = self.lines.get(place) else {
            return;
        };
        let mut configs = line.image.configs();
        let index = configs.find_map(|(config, _)| {
            let names = |(_, statement): &&(u64, Statement)| {
                statement
                    .subjects
                    .iter()
                    .any(|subject| subject.digest == config)
            };
            places.iter().find(names).map(|(index, _)| *index)
        });
        drop(configs);
        let fate = match index {
            Some(index) => Fate::Notarized(index),
            None => Fate::Failed("no statement was made about it".to_owned()),
        };
        self.set(place, fate);
    }

    fn set(&mut self, place: usize, fate: Fate) {
        if let Some(line) = self.lines.get_mut(place) {
            if matches!(fate, Fate::Notarized(_)) {
                line.status = Status::Trusted;
                line.code = ReasonCode::Trusted.as_str();
            }
            line.fate = fate;
        }
    }

    fn count(&self, is: impl Fn(&Line) -> bool) -> usize {
        self.lines.iter().filter(|line| is(line)).count()
    }

    /// How many images were notarized.
    #[must_use]
    pub fn notarized(&self) -> usize {
        self.count(|line| matches!(line.fate, Fate::Notarized(_)))
    }

    /// How many could not be.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(|line| matches!(line.fate, Fate::Failed(_)))
    }

    /// The exit code: one image that failed is a failure.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self.failed() {
            0 => exit::OK,
            _ => exit::FAILURE,
        }
    }
}

/// What the ledger knows the image's configs by.
fn configs(image: &Candidate) -> impl Iterator<Item = Key> {
    image
        .configs()
        .map(|(config, _)| Key::of(Kind::Config, &config))
}

impl Line {
    fn of(image: Candidate, records: &[Vec<Record>], trust: &Trust, now: u64) -> Self {
        let configs: Vec<_> = image.configs().collect();
        let standings = configs
            .iter()
            .zip(records)
            .map(|((_, chain), records)| standing(trust, records, chain.as_ref(), now));
        // Of an image for several platforms, the word that is furthest from TRUSTED.
        let rank = |status: Status| match status {
            Status::Trusted => 0,
            Status::Unknown => 1,
            Status::Unsupported | Status::Revoked | Status::Untrusted => 2,
        };
        let worst = standings.max_by_key(|standing| rank(standing.status));
        let (status, code) = match &worst {
            Some(standing) => (standing.status, standing.reason.code.as_str()),
            None => (Status::Unknown, ReasonCode::NoIdentity.as_str()),
        };
        let fate = match (&image.image, image.passed, status) {
            (Err(why), _, _) => Fate::Failed(why.clone()),
            (_, _, Status::Trusted) => Fate::Left("nothing to do".to_owned()),
            (_, _, Status::Untrusted | Status::Unsupported | Status::Revoked) => {
                let why = worst.map(|standing| standing.reason.detail);
                Fate::Left(why.unwrap_or_default())
            }
            (_, Some(why), Status::Unknown) => Fate::Left(why.to_owned()),
            (_, None, Status::Unknown) => Fate::Wanted,
        };
        Self {
            image,
            status,
            code,
            fate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::listing::{Candidate, LeftOut};
    use super::{Baseline, Fate, Line};
    use crate::allowlist::record::Status;

    #[test]
    fn hostile_names_reach_no_terminal() {
        let hostile = "docker://a\nTRUSTED  \u{1b}[2J\u{202e}'\"";
        let image = Candidate {
            name: hostile.to_owned(),
            names: vec![hostile.to_owned()],
            image: Err(hostile.to_owned()),
            containers: vec![hostile.to_owned()],
            passed: None,
        };
        let made = Baseline {
            lines: vec![Line {
                image,
                status: Status::Unknown,
                code: "unknown",
                fate: Fate::Failed(hostile.to_owned()),
            }],
            left_out: vec![LeftOut {
                id: hostile.to_owned(),
                name: hostile.to_owned(),
                image: hostile.to_owned(),
                why: hostile.to_owned(),
            }],
            unread: vec![hostile.to_owned()],
            unwanted: 0,
            dry_run: false,
        };
        let text = made.text();
        let deceives = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.chars().any(deceives), "{text:?}");
        assert!(
            !text.lines().any(|line| line.starts_with("TRUSTED")),
            "{text}"
        );
        assert!(text.contains("\\u{1b}[2J\\u{202e}'\""), "{text}");
    }
}
