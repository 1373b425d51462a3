//! `trust publish`: the next version, where nodes find it, and the index under it.
//!
//! Owns the order: nothing is written that nodes would not follow, and a version
//! that is there is never replaced.

use serde_json::json;

use super::super::args::TrustPublish;
use super::super::context::Context;
use super::super::draft::Draft;
use super::super::failure::{Failure, OrFail as _};
use super::super::ledger::index;
use super::super::ledgers::{self, Place};
use super::super::output;
use super::changes::Changes;
use super::sign;
use crate::image::digest::Digest;
use crate::ledger::roots::RootVersion;
use crate::sys::file;
use crate::verdict::exit;

/// Publishes what is in the file, and folds the log anew under it.
pub(super) fn run(context: &mut Context, args: &TrustPublish) -> Result<u8, Failure> {
    let directory = std::path::absolute(&args.directory)?;
    let place = Place::parse(&directory.display().to_string())?;
    let log = place.open()?;
    let newest = ledgers::roots(log.as_ref())?.latest().clone();
    let draft = Draft::read(&std::path::absolute(&args.file)?)?;
    let fingerprint = Digest::of(draft.note.text.as_bytes());
    // Once more after an interruption: then only the index is brought up to it.
    let changes = match fingerprint == newest.digest {
        true => Changes::none(),
        false => publish(context, args, &directory, &newest, &draft)?,
    };
    let version = newest.root.version + u64::from(fingerprint != newest.digest);
    let indexed = if args.dry_run {
        "not, for nothing was published".to_owned()
    } else if index::key_path(&directory).exists() {
        let note = index::publish(&directory, context.now)?.note;
        format!(
            "under version {}, {} entries",
            note.root_version, note.log_size
        )
    } else {
        format!("no indexer's key is here: run 'vcn-hook ledger index {place}' where it is")
    };
    let value = json!({
        "ledger": directory.display().to_string(),
        "version": version,
        "fingerprint": fingerprint,
        "changes": changes.lines,
        "effects": changes.effects,
        "published": !args.dry_run,
        "index": indexed,
    });
    context.out.answer(&value, |_| {
        let mut rows = vec![
            ("Ledger", directory.display().to_string()),
            ("Trust root", format!("version {version}, {fingerprint}")),
        ];
        rows.extend(
            changes
                .effects
                .iter()
                .map(|effect| ("Then", effect.clone())),
        );
        rows.push(("Index", indexed));
        output::rows(&rows)
    })?;
    Ok(0)
}

fn publish(
    context: &Context,
    args: &TrustPublish,
    directory: &std::path::Path,
    newest: &RootVersion,
    draft: &Draft,
) -> Result<Changes, Failure> {
    let old = &newest.root;
    let root = sign::follows(old, draft, context.now)?;
    if let Some(missing) = sign::missing(draft, old, &root)? {
        return Err(Failure::configuration(missing));
    }
    let note = draft.to_bytes();
    let what = || format!("'{}' cannot be published", draft.path.display());
    // The very check that every node makes.
    old.verify_successor(&note).or_fail(exit::FAILURE, what)?;
    let path = directory.join(format!("root/{}.note", root.version));
    if path.exists() {
        let text = format!("'{}' is there already", path.display());
        return Err(Failure::new(exit::FAILURE, text));
    }
    if !args.dry_run {
        file::replace(&path, &note, 0o644).or_fail(exit::FAILURE, what)?;
    }
    let before = old.format().or_fail(exit::FAILURE, what)?;
    Ok(Changes::between((old, &before), (&root, &draft.note.text)))
}
