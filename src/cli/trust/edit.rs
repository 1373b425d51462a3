//! `trust edit`: the text of the next version, for an editor to change.
//!
//! Owns the changes that have an option: a signer more, a key revoked, who may
//! exempt. Whatever else the format has is changed in the file.

use serde_json::json;

use super::super::args::TrustEdit;
use super::super::context::Context;
use super::super::draft::Draft;
use super::super::failure::{Failure, OrFail as _};
use super::super::ledgers::unreadable;
use super::super::moment;
use super::super::output;
use super::Newest;
use super::changes::Changes;
use crate::allowlist::note::VerifierKey;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::client::{self, Fresh};
use crate::trust::root::{KeySet, Organisation, TrustRoot, TrustSigner};
use crate::verdict::{ReasonCode, exit};

/// Writes version N+1 as it follows from N and the options.
pub(super) fn run(context: &mut Context, args: &TrustEdit) -> Result<u8, Failure> {
    let newest = Newest::find(context, &args.named)?;
    let old = &newest.version.root;
    let path = std::path::absolute(&args.file)?;
    if path.exists() {
        let text = format!("'{}' exists, and is not overwritten", path.display());
        return Err(Failure::new(exit::FAILURE, text));
    }
    let mut root = old.clone();
    root.version = root.version.saturating_add(1);
    let now_on = match args.from_index {
        Some(index) => index,
        None => log_size(&newest)?,
    };
    change(&mut root, args, now_on, context.now)?;
    let what = || "that would be no trust root";
    let text = root.format().or_fail(exit::USAGE, what)?;
    old.check_succession(&root).or_fail(exit::USAGE, what)?;
    Draft::new(&path, &text)?.write()?;
    let before = old.format().or_fail(exit::FAILURE, || "the trust root")?;
    let changes = Changes::between((old, &before), (&root, &text));
    let value = json!({
        "file": path.display().to_string(),
        "version": root.version,
        "changes": changes.lines,
        "effects": changes.effects,
    });
    let file = args.file.display().to_string();
    context.out.answer(&value, |_| {
        let mut rows = vec![("Version", format!("{} in '{file}'", root.version))];
        rows.extend(
            changes
                .effects
                .iter()
                .map(|effect| ("Then", effect.clone())),
        );
        rows.push((
            "Next",
            format!("edit it as you need, then: vcn-hook trust sign {file}"),
        ));
        output::rows(&rows)
    })?;
    Ok(0)
}

fn change(root: &mut TrustRoot, args: &TrustEdit, now_on: u64, now: u64) -> Result<(), Failure> {
    if let Some(text) = &args.expires {
        root.expires = moment::parse(text, now)
            .ok_or_else(|| Failure::usage(format!("--expires: '{text}' is no end date")))?;
    }
    for text in &args.signers {
        let organisation = organisation(root, args.org.as_deref().unwrap_or_default())?;
        root.signers.push(TrustSigner {
            key: key("--signer", text)?,
            level: args.level,
            organisation,
            from_index: now_on,
            until_index: None,
            revoked_from: None,
        });
    }
    for id in &args.revoked {
        let number = root
            .signer_by_keyid(id)
            .map(|(number, _)| usize::from(number));
        let signer = number.and_then(|number| root.signers.get_mut(number));
        let Some(signer) = signer else {
            return Err(Failure::usage(format!(
                "--revoke: no signer has the key id '{id}'"
            )));
        };
        // What was revoked from an earlier entry on stays so.
        let from = signer.revoked_from.map_or(now_on, |from| from.min(now_on));
        signer.revoked_from = Some(from);
    }
    for text in &args.exempt_keys {
        let key = key("--exempt-key", text)?;
        let none = KeySet {
            keys: Vec::new(),
            threshold: 1,
        };
        root.exempt.get_or_insert(none).keys.push(key);
    }
    if let Some(threshold) = args.exempt_threshold {
        let nobody = || Failure::usage("--exempt-threshold: there are no exempt keys");
        root.exempt.as_mut().ok_or_else(nobody)?.threshold = threshold;
    }
    Ok(())
}

/// The number of the organisation of this name, which is new if nobody has that name.
fn organisation(root: &mut TrustRoot, name: &str) -> Result<u16, Failure> {
    if let Some(number) = root.organisation_number(name) {
        return Ok(number);
    }
    let number = u16::try_from(root.organisations.len())
        .map_err(|_| Failure::usage("--org: there are too many organisations"))?;
    root.organisations.push(Organisation {
        name: name.to_owned(),
        company: String::new(),
        website: String::new(),
    });
    Ok(number)
}

fn key(option: &str, text: &str) -> Result<VerifierKey, Failure> {
    text.parse().or_fail(exit::USAGE, || {
        format!("{option}: '{text}' is no public key as 'vcn-hook keygen' prints it")
    })
}

/// How many entries the log has: what a new signer says counts from there on.
fn log_size(newest: &Newest) -> Result<u64, Failure> {
    let bytes = match client::checkpoint(newest.log.as_ref(), None).map_err(unreadable)? {
        Fresh::New { bytes, .. } => bytes,
        // Nothing was named that it could be the same as.
        Fresh::Same => Vec::new(),
    };
    let checkpoint = Checkpoint::verify(&bytes, &newest.version.root.log);
    let what = || format!("the checkpoint of '{}'", newest.place);
    Ok(checkpoint
        .or_fail(ReasonCode::Tampered.exit_code(), what)?
        .size)
}
