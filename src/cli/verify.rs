//! `verify`: whether images are TRUSTED, by the rule that the gate applies.
//!
//! Owns how the answers of several digests and several images become one, and
//! what a selection of signers asks for on top: it can make an answer
//! stricter than the trust root's, and never milder.

use std::cell::OnceCell;
use std::env;

use super::args;
use super::context::Context;
use super::deep;
use super::entries::chosen;
use super::failure::Failure;
use super::history::History;
use super::images;
use super::notarize::shown_hash;
use super::output::{self, Format};
use super::verification::{Stated, Verification, worst};
use super::view::{self, LogCopy, View};
use crate::allowlist::record::{Key, Kind, Record, Status};
use crate::image::digest::{ChainId, Digest};
use crate::image::subjects::{ImageSubjects, SubjectOf};
use crate::policy::gatebin::Response;
use crate::policy::standing::{Standing, deciding, standing};
use crate::trust::root::TrustRoot;
use crate::verdict::{Reason, ReasonCode, exit};

/// Verifies every image that was named.
///
/// # Errors
/// Only when there is nothing to verify by; what is wrong with one image is its own answer.
/// The code is never one that says what an image is.
pub fn run(context: &mut Context, args: &args::Verify) -> Result<u8, Failure> {
    answers(context, args).map_err(|failure| match failure.code {
        // What has no number of its own must not be read as UNTRUSTED or UNSUPPORTED.
        0..=4 => Failure {
            code: ReasonCode::Configuration.exit_code(),
            ..failure
        },
        _ => failure,
    })
}

fn answers(context: &mut Context, args: &args::Verify) -> Result<u8, Failure> {
    // A wrong digest is wrong usage, whatever the state of this machine.
    let bare = args
        .hash
        .as_deref()
        .map(|hash| images::resolve_hash(hash, None))
        .transpose()?;
    let selection = selection(&args.selection)?;
    if args.deep.deep {
        deep::permitted()?;
    }
    let view = View::open(context)?;
    let copy = view.log(context).ok();
    let judge = Judge {
        view: &view,
        copy: copy.as_ref(),
        selection: &selection,
        now: context.now,
        unread: OnceCell::new(),
    };
    let mut answers = Vec::new();
    if let (Some(hash), Some(image)) = (&args.hash, &bare) {
        answers.push(judge.bare(hash, image)?);
    }
    if args.deep.deep {
        answers = deep_answers(context, args, &judge)?;
    } else {
        for asked in &args.images {
            let answer = match view::resolve(context, asked) {
                Ok(image) => judge.image(asked, &image)?,
                Err(failure) if failure.code == exit::USAGE => return Err(failure),
                Err(failure) => unresolved(asked, &failure),
            };
            answers.push(answer);
        }
    }
    if let Some(failure) = judge.unread.into_inner() {
        let mend = "'vcn-hook sync --replay' reads the log again";
        context
            .out
            .note(format!("cannot show the statement ({mend}): {failure}"));
    }
    let code = match worst(answers.iter().map(Verification::exit_code)) {
        exit::OK => args.exit_code.unwrap_or(exit::OK),
        code => code,
    };
    match show(context, &answers) {
        // Whoever reads no further still learns from the code what was found.
        Err(failure) if !output::is_closed(&failure) => Err(failure),
        _ => Ok(code),
    }
}

/// The same, with every layer read.
fn deep_answers(
    context: &Context,
    args: &args::Verify,
    judge: &Judge<'_>,
) -> Result<Vec<Verification>, Failure> {
    let mut answers = Vec::new();
    for asked in &args.images {
        let answer = match deep::resolve(context, asked) {
            Ok(found) => {
                let answer = judge.image(asked, &found.image)?;
                deep::check(context, found, answer, args.deep)?
            }
            Err(failure) if failure.code == exit::USAGE => return Err(failure),
            Err(failure) => unresolved(asked, &failure),
        };
        answers.push(answer);
    }
    Ok(answers)
}

/// The signers that were asked for: those of the command line, or else those of the environment.
/// An empty variable asks for nobody in particular: that is how a script leaves it unset.
fn selection(typed: &args::Selection) -> Result<args::Selection, Failure> {
    let mut selection = typed.clone();
    if !typed.signers.is_empty() || typed.org.is_some() {
        return Ok(selection);
    }
    let read = |name| {
        let value = env::var_os(name)?.to_string_lossy().trim().to_owned();
        Some(value).filter(|value| !value.is_empty())
    };
    selection.org = read("VCN_ORG");
    selection.signers = read("VCN_SIGNERID")
        .map(|ids| ids.split_whitespace().map(str::to_owned).collect())
        .unwrap_or_default();
    if selection.org.is_some() && !selection.signers.is_empty() {
        return Err(Failure::usage(
            "VCN_SIGNERID and VCN_ORG are both set: ask for one of them with -s or -I",
        ));
    }
    Ok(selection)
}

/// Prints the answers, and on stderr why one of them is not TRUSTED.
fn show(context: &mut Context, answers: &[Verification]) -> Result<(), Failure> {
    let values = answers.iter().map(Verification::json).collect();
    let written = context.out.answer(&output::one_or_many(values), |paint| {
        let decided = answers
            .iter()
            .filter(|answer| !answer.undecided || answer.deep.is_some());
        decided
            .map(|answer| answer.text(paint))
            .collect::<Vec<_>>()
            .join("\n")
    });
    for answer in answers {
        let why = format!("{}: {}", answer.asked, answer.reason);
        if answer.undecided {
            context.out.warn(&why);
        } else if answer.status != Status::Trusted && context.out.format == Format::Text {
            context.out.note(&why);
        }
    }
    written
}

/// Everything that one answer depends on besides the image.
struct Judge<'a> {
    view: &'a View,
    copy: Option<&'a LogCopy>,
    selection: &'a args::Selection,
    now: u64,
    /// Why a statement could not be read from the copy.
    unread: OnceCell<Failure>,
}

/// What was found about one digest.
struct Finding {
    standing: Standing,
    records: Vec<Record>,
    undecided: bool,
}

impl Judge<'_> {
    /// An image whose bytes are at hand: every one of its configs must be TRUSTED.
    fn image(&self, asked: &str, image: &ImageSubjects) -> Result<Verification, Failure> {
        let mut findings = Vec::new();
        for subject in &image.subjects {
            let chain = match subject.of {
                SubjectOf::Config { chain } => chain,
                SubjectOf::File => None,
                SubjectOf::Index | SubjectOf::Manifest { .. } => continue,
            };
            findings.push(self.digest(kind(subject.of), &subject.digest, chain.as_ref()));
        }
        self.answer(asked, shown_hash(image), findings)
    }

    /// A digest without bytes: whatever the ledger knows it as.
    fn bare(&self, asked: &str, image: &ImageSubjects) -> Result<Verification, Failure> {
        let Some(digest) = image.subjects.first().map(|subject| subject.digest) else {
            return Err(Failure::usage("--hash: no digest"));
        };
        let kinds = [Kind::Config, Kind::Manifest, Kind::Index, Kind::File];
        let mut findings: Vec<_> = kinds
            .iter()
            .map(|kind| self.digest(*kind, &digest, None))
            .collect();
        if findings
            .iter()
            .any(|finding| finding.undecided || !finding.records.is_empty())
        {
            findings.retain(|finding| finding.undecided || !finding.records.is_empty());
        }
        self.answer(asked, digest.hex(), findings)
    }

    fn answer(
        &self,
        asked: &str,
        hash: String,
        findings: Vec<Finding>,
    ) -> Result<Verification, Failure> {
        let codes = findings
            .iter()
            .map(|finding| finding.standing.reason.code.exit_code());
        let code = worst(codes);
        let finding = findings
            .into_iter()
            .find(|finding| finding.standing.reason.code.exit_code() == code)
            .ok_or_else(|| Failure::new(ReasonCode::NoIdentity.exit_code(), "no image config"))?;
        let statement = match (
            self.copy,
            deciding(&finding.records, finding.standing.status),
        ) {
            (Some(copy), Some(record)) => stated(copy, record).unwrap_or_else(|failure| {
                // The statement explains the answer and is no part of it. One note is enough.
                self.unread.get_or_init(|| failure);
                None
            }),
            _ => None,
        };
        Ok(Verification {
            asked: asked.to_owned(),
            hash,
            status: finding.standing.status,
            reason: finding.standing.reason,
            undecided: finding.undecided,
            statement,
            records: finding.records.len(),
            deep: None,
        })
    }

    fn digest(&self, kind: Kind, digest: &Digest, chain: Option<&ChainId>) -> Finding {
        let consulted = self.view.consult(&Key::of(kind, digest), self.now);
        let (mut records, freshness) = match consulted {
            Ok(answer) => (answer.records, answer.freshness),
            Err(reason) => (Vec::new(), Err(reason)),
        };
        if let Err(reason) = freshness {
            let standing = Standing {
                status: Status::Unknown,
                response: Response::Deny,
                reason,
            };
            return Finding {
                standing,
                records,
                undecided: true,
            };
        }
        if matches!(kind, Kind::Index | Kind::File) {
            // These have no layers of their own that a record could name: nothing starts from them.
            for record in &mut records {
                record.target = record.target.or(Some(*digest));
            }
        }
        let mut standing = self.selected(&records, chain);
        let by_hash_alone = records.iter().all(|record| record.target.is_none());
        if standing.reason.code == ReasonCode::ChainMismatch && by_hash_alone {
            standing.reason.detail =
                "it was notarized by its hash alone, so its layers are not known".to_owned();
            standing.reason.hint = "notarize it from its bytes".to_owned();
        }
        let undecided = standing.reason.code == ReasonCode::RootBehind;
        Finding {
            standing,
            records,
            undecided,
        }
    }

    /// The trust root's answer, and then that of the signers who were asked for.
    fn selected(&self, records: &[Record], chain: Option<&ChainId>) -> Standing {
        let mut trust = self.view.gate.trust.clone();
        if let Some(level) = self.selection.min_level {
            trust.allow.min_level = trust.allow.min_level.max(level);
        }
        let whole = standing(&trust, records, chain, self.now);
        let args::Selection { signers, org, .. } = self.selection;
        if whole.response == Response::Deny || signers.is_empty() && org.is_none() {
            return whole;
        }
        let root = self.copy.map(|copy| &copy.root);
        let wanted: Vec<Record> = records
            .iter()
            .filter(|record| root.is_some_and(|root| self.wants(root, record)))
            .copied()
            .collect();
        trust.allow.threshold = 1;
        trust.veto = None;
        let narrowed = standing(&trust, &wanted, chain, self.now);
        if narrowed.status != Status::Unknown {
            return narrowed;
        }
        let asked = org
            .iter()
            .chain(signers)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        Standing {
            reason: Reason::new(
                ReasonCode::Quorum,
                format!("none of those asked for vouches for it ({asked})"),
                "see who does with 'vcn-hook inspect'",
            ),
            ..narrowed
        }
    }

    fn wants(&self, root: &TrustRoot, record: &Record) -> bool {
        let Some(signer) = root.signer(record.signer) else {
            return false;
        };
        let organisation = root.organisation(signer.organisation);
        match &self.selection.org {
            Some(org) => organisation.is_some_and(|its| its.name == *org),
            None => chosen(signer, &self.selection.signers),
        }
    }
}

fn stated(copy: &LogCopy, record: &Record) -> Result<Option<Stated>, Failure> {
    let history = History::open(copy.log.as_ref(), &copy.root)?;
    let entry = history.at(record.log_index)?;
    Ok(entry.map(|entry| Stated::of(entry.index, &entry.statement, &entry.signer, &copy.root)))
}

/// An image that could not be found or read: nothing can be said about it.
fn unresolved(asked: &str, failure: &Failure) -> Verification {
    Verification {
        asked: asked.to_owned(),
        hash: String::new(),
        status: Status::Unknown,
        reason: Reason::new(ReasonCode::NoIdentity, failure.to_string(), ""),
        undecided: true,
        statement: None,
        records: 0,
        deep: None,
    }
}

const fn kind(of: SubjectOf) -> Kind {
    match of {
        SubjectOf::Index => Kind::Index,
        SubjectOf::Manifest { .. } => Kind::Manifest,
        SubjectOf::Config { .. } => Kind::Config,
        SubjectOf::File => Kind::File,
    }
}
