//! `trust sign`: the next version, checked, shown and signed.

use serde_json::json;

use super::super::args::TrustSign;
use super::super::ask;
use super::super::context::Context;
use super::super::draft::Draft;
use super::super::failure::{Failure, OrFail as _};
use super::super::output;
use super::super::signing;
use super::Newest;
use super::changes::Changes;
use crate::image::digest::Digest;
use crate::trust::root::{KeySet, TrustRoot};
use crate::verdict::ReasonCode;

/// Signs with the keys that were named, or with the root keys at hand.
pub(super) fn run(context: &mut Context, args: &TrustSign) -> Result<u8, Failure> {
    let newest = Newest::find(context, &args.named)?;
    let old = &newest.version.root;
    let mut draft = Draft::read(&std::path::absolute(&args.file)?)?;
    let root = follows(old, &draft, context.now)?;
    let both = both(old, &root);
    draft.signed_by(&both)?;
    let signers = signing::signers(&args.keys, &both, newest.place.directory())?;
    if signers.is_empty() {
        let text = "no root key is at hand: name one with --key";
        return Err(Failure::configuration(text));
    }
    let what = || "the trust root";
    let before = old
        .format()
        .or_fail(ReasonCode::Tampered.exit_code(), what)?;
    let changes = Changes::between((old, &before), (&root, &draft.note.text));
    context.out.note(format!(
        "version {} of '{}' follows version {}, {}",
        root.version, root.origin, old.version, newest.version.digest
    ));
    for line in changes.lines.iter().chain(&changes.effects) {
        context.out.note(line);
    }
    let by: Vec<_> = signers
        .iter()
        .map(|signer| signer.verifier().keyid())
        .collect();
    if args.dry_run {
        context
            .out
            .note(format!("would be signed by {}; nothing was", by.join(", ")));
    } else {
        if ask::somebody() && !ask::yes(&format!("Sign it as {}?", by.join(", ")))? {
            return Err(Failure::configuration("not signed"));
        }
        draft.sign(&signers)?;
        draft.write()?;
    }
    let missing = missing(&draft, old, &root)?;
    let fingerprint = Digest::of(draft.note.text.as_bytes());
    let value = json!({
        "file": draft.path.display().to_string(),
        "version": root.version,
        "fingerprint": fingerprint,
        "changes": changes.lines,
        "effects": changes.effects,
        "signedBy": if args.dry_run { Vec::new() } else { by.clone() },
        "missing": missing,
    });
    let next = match &missing {
        Some(missing) => missing.clone(),
        None => format!("vcn-hook trust publish DIR {}", args.file.display()),
    };
    context.out.answer(&value, |_| {
        output::rows(&[
            ("Version", root.version.to_string()),
            ("Fingerprint", fingerprint.to_string()),
            (
                "Signed by",
                if args.dry_run {
                    String::new()
                } else {
                    by.join(", ")
                },
            ),
            ("Next", next),
        ])
    })?;
    Ok(0)
}

/// Checks that what is in the file may follow.
pub(super) fn follows(old: &TrustRoot, draft: &Draft, now: u64) -> Result<TrustRoot, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let what = || format!("'{}' cannot be the next version", draft.path.display());
    let root = TrustRoot::parse(&draft.note.text).or_fail(code, what)?;
    old.check_succession(&root).or_fail(code, what)?;
    root.check_expiry(now).or_fail(code, what)?;
    Ok(root)
}

/// The keys of both versions: the thresholds of both must be met.
fn both(old: &TrustRoot, new: &TrustRoot) -> KeySet {
    let mut keys = old.roots.keys.clone();
    let more = new
        .roots
        .keys
        .iter()
        .filter(|key| !old.roots.keys.contains(key));
    keys.extend(more.cloned());
    KeySet { keys, threshold: 1 }
}

/// Who must still sign, if somebody must.
pub(super) fn missing(
    draft: &Draft,
    old: &TrustRoot,
    new: &TrustRoot,
) -> Result<Option<String>, Failure> {
    for root in [old, new] {
        let KeySet { keys, threshold } = &root.roots;
        let signed = draft.signed_by(&root.roots)?;
        if signed.len() < *threshold {
            let others = keys.iter().filter(|key| !signed.contains(key));
            let others: Vec<_> = others.map(|key| key.keyid()).collect();
            return Ok(Some(format!(
                "{} more of the root keys of version {} must sign it: {}",
                threshold - signed.len(),
                root.version,
                others.join(", ")
            )));
        }
    }
    Ok(None)
}
