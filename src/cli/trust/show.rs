//! `trust show`: a trust root as it was signed.

use std::path::Path;

use serde_json::json;

use super::super::args::TrustShow;
use super::super::context::Context;
use super::super::draft::Draft;
use super::super::failure::{Failure, OrFail as _};
use super::super::ledgers::{self, Place};
use super::super::moment;
use super::super::output;
use super::super::trusted;
use crate::allowlist::note::{SignedNote, VerifierKey};
use crate::escape;
use crate::image::digest::Digest;
use crate::trust::root::TrustRoot;
use crate::verdict::ReasonCode;

/// Shows the newest version of a ledger's, what is in a file, or what this machine goes by.
pub(super) fn run(context: &mut Context, args: &TrustShow) -> Result<u8, Failure> {
    let note = match &args.of {
        Some(of) if Path::new(of).is_file() => Draft::read(&std::path::absolute(of)?)?.note,
        Some(of) => {
            let log = Place::parse(of)?.open()?;
            parsed(&ledgers::roots(log.as_ref())?.latest().note)?
        }
        None => {
            let config = context.config()?;
            let state = context.own_state(&config)?;
            parsed(&trusted::root(&config, &state)?.note)?
        }
    };
    if args.text {
        let value = json!({ "text": note.text });
        context.out.answer(&value, |_| note.text.clone())?;
        return Ok(0);
    }
    let root = TrustRoot::parse(&note.text)
        .or_fail(ReasonCode::Configuration.exit_code(), || "no trust root")?;
    let fingerprint = Digest::of(note.text.as_bytes());
    let signed = signed_by(&note, &root);
    let by: Vec<_> = signed.iter().map(|key| key.keyid()).collect();
    let enough = format!("{} of {} that must", by.len(), root.roots.threshold);
    let value = json!({
        "origin": root.origin,
        "version": root.version,
        "fingerprint": fingerprint,
        "expires": moment::rfc3339(root.expires),
        "expired": root.check_expiry(context.now).is_err(),
        "signedBy": by,
        "threshold": root.roots.threshold,
        "signed": root.roots.verify(&note).is_ok(),
        "text": note.text,
    });
    context.out.answer(&value, |_| {
        let rows = output::rows(&[
            ("Origin", root.origin.clone()),
            ("Version", root.version.to_string()),
            ("Fingerprint", fingerprint.to_string()),
            ("Expires", moment::text(root.expires)),
            ("Signed by", format!("{} ({enough})", by.join(", "))),
        ]);
        let lines = note.text.lines();
        let text: String = lines
            .map(|line| format!("{}\n", escape::message(line)))
            .collect();
        format!("{rows}\n{text}")
    })?;
    Ok(0)
}

/// Its own root keys whose signatures it bears.
fn signed_by<'a>(note: &SignedNote, root: &'a TrustRoot) -> Vec<&'a VerifierKey> {
    let alone = |key: &&VerifierKey| note.verify(std::slice::from_ref(*key), 1).is_ok();
    root.roots.keys.iter().filter(alone).collect()
}

fn parsed(note: &[u8]) -> Result<SignedNote, Failure> {
    SignedNote::parse(note).or_fail(ReasonCode::Tampered.exit_code(), || "the trust root")
}
