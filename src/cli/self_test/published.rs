//! The word for the canary that must start: one statement for a whole fleet.
//!
//! Owns that it is made once, and that nobody's word against it is overwritten.

use serde_json::{Value, json};

use super::canary;
use crate::allowlist::record::{Key, Kind, Status};
use crate::cli::args;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::notarize::statements::{Words, state};
use crate::cli::output;
use crate::cli::signing;
use crate::cli::target::Target;
use crate::policy::standing::{Standing, standing};
use crate::verdict::exit;

/// What came of publishing.
#[derive(Debug)]
pub struct Published {
    origin: String,
    digests: Vec<String>,
    /// The place of the statement; `None` when the canary was TRUSTED before.
    entry: Option<u64>,
}

/// Notarizes the canary that must start.
///
/// # Errors
/// When somebody has withdrawn it, or as `notarize`.
pub fn publish(context: &mut Context, args: &args::SelfTest) -> Result<Published, Failure> {
    let mut target = Target::find(context, args.ledger.as_deref(), args.root.as_deref())?;
    let image = canary::subjects()?;
    let mut published = Published {
        origin: target.root().origin.clone(),
        digests: image
            .subjects
            .iter()
            .map(|s| s.digest.to_string())
            .collect(),
        entry: None,
    };
    let keys: Vec<_> = image
        .subjects
        .iter()
        .map(|subject| Key::of(Kind::Config, &subject.digest))
        .collect();
    let trust = target.trust();
    let records = target.records(&keys)?;
    let words: Vec<_> = records
        .iter()
        .map(|records| standing(&trust, records, None, context.now))
        .collect();
    if words.iter().all(|word| word.status == Status::Trusted) || args.dry_run {
        return Ok(published);
    }
    let withdrawn = |word: &&Standing| !matches!(word.status, Status::Trusted | Status::Unknown);
    if let Some(word) = words.iter().find(withdrawn) {
        let text = format!("the canary was withdrawn: {}", word.reason);
        return Err(Failure::new(exit::FAILURE, text));
    }
    target.settle(context.now)?;
    let after = target.refresh(context)?;
    let signer = signing::signer(args.key.as_deref(), target.root(), after)?;
    let words = Words {
        status: Status::Trusted,
        not_after: 0,
        reason: "self-test",
    };
    let images = vec![(image.name.clone(), image)];
    let stated = state(context, &mut target, images, &words, signer.as_ref(), after)?;
    published.entry = stated.places.first().map(|(index, _)| *index);
    Ok(published)
}

impl Published {
    /// As scripts read it.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({ "origin": self.origin, "canaries": self.digests, "entry": self.entry })
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let done = match self.entry {
            Some(entry) => format!("TRUSTED by entry {entry} of '{}'", self.origin),
            None => format!("nothing was stated in '{}'", self.origin),
        };
        output::rows(&[("Canaries", self.digests.join(" ")), ("Status", done)])
    }
}
