//! `exempt`: in an emergency, one image on one node for a while.
//!
//! Owns the way from a wish to an exemption: made, signed by as many as must,
//! installed. What one is belongs to `trust::exemption`, and what it does to
//! `policy`; neither lets this verb do more than its signatures.

mod installed;

use serde_json::{Value, json};

use super::args::{self, ExemptSign, ExemptVerb, NewExemption};
use super::ask;
use super::context::{Context, is_root};
use super::draft::Draft;
use super::failure::{Failure, OrFail as _};
use super::images;
use super::ledgers::Place;
use super::moment;
use super::output;
use super::signing;
use super::target::Target;
use super::trusted;
use super::view;
use crate::apply::exemptions;
use crate::image::digest::Digest;
use crate::image::subjects::SubjectOf;
use crate::trust::exemption::{Exemption, ExemptionError};
use crate::trust::keys::Signer;
use crate::trust::node_id::NodeId;
use crate::trust::root::{KeySet, TrustRoot};
use crate::verdict::{ReasonCode, exit};

/// Makes an exemption, or does what the verb below it says.
///
/// # Errors
/// Whatever keeps it from being one that this trust root and this node go by.
pub fn run(context: &mut Context, args: &args::Exempt) -> Result<u8, Failure> {
    match &args.verb {
        None => make(context, &args.new),
        Some(ExemptVerb::Sign(args)) => sign(context, args),
        Some(ExemptVerb::Install(args)) => installed::install(context, args),
        Some(ExemptVerb::List) => installed::list(context),
        Some(ExemptVerb::Remove(args)) => installed::remove(context, args),
    }
}

/// Makes and signs one. On its own node, as root and with enough signatures, it is in force at once.
fn make(context: &mut Context, args: &NewExemption) -> Result<u8, Failure> {
    let root = root(context, &args.named)?;
    let exempt = exempt_keys(&root)?;
    let exemption = wished(context, args, &root)?;
    let code = exit::USAGE;
    let text = exemption
        .format()
        .or_fail(code, || "there can be no such exemption")?;
    let name = format!("exempt-{}.note", exemption.config.hex().split_at(12).0);
    let path = args.file.clone().unwrap_or_else(|| name.into());
    let mut draft = Draft::new(&std::path::absolute(&path)?, &text)?;
    let signers = signing::signers(&args.keys, exempt, ledger_here(context)?.as_deref())?;
    let own = exemptions::node_id().is_ok_and(|own| own == exemption.node);
    let enough = signers.len() >= exempt.threshold;
    let at_once = own && enough && is_root();
    if args.dry_run {
        let then = match at_once {
            true => "and would be in force at once".to_owned(),
            false => format!("and would be in '{}'", path.display()),
        };
        let by = names(&signers);
        context
            .out
            .note(format!("would be signed by {by}, {then}; nothing was done"));
        return answer(context, &exemption, &Vec::new(), "nothing was done");
    }
    draft.sign(&signers)?;
    if at_once {
        return installed::put(context, &draft.to_bytes());
    }
    if draft.path.exists() {
        let text = format!("'{}' exists, and is not overwritten", path.display());
        return Err(Failure::new(exit::FAILURE, text));
    }
    draft.write()?;
    let next = next(&draft, exempt, &path.display().to_string())?;
    answer(context, &exemption, &signers, &next)
}

/// What was asked for, as it would be signed.
fn wished(context: &Context, args: &NewExemption, root: &TrustRoot) -> Result<Exemption, Failure> {
    let node = match &args.node {
        Some(text) => text
            .parse()
            .or_fail(exit::USAGE, || format!("--node: '{text}'"))?,
        None => own_id()?,
    };
    let lasts = args.lasts.as_deref().unwrap_or_default();
    let until = moment::span(lasts).and_then(|span| context.now.checked_add(span));
    let until = until.ok_or_else(|| {
        Failure::usage(format!(
            "--for: '{lasts}' is no span of time such as 90m, 24h or 2d"
        ))
    })?;
    Ok(Exemption {
        origin: root.origin.clone(),
        node,
        config: config_digest(context, args)?,
        from: context.now,
        until,
        reason: args.reason.clone().unwrap_or_default(),
    })
}

/// The one config that is meant.
fn config_digest(context: &Context, args: &NewExemption) -> Result<Digest, Failure> {
    let image = match (&args.hash, &args.image) {
        (Some(hash), _) => images::resolve_hash(hash, None)?,
        (None, Some(image)) => view::resolve(context, image)?,
        (None, None) => return Err(Failure::usage("name an image")),
    };
    let mut configs: Vec<_> = image
        .subjects
        .iter()
        .filter(|subject| matches!(subject.of, SubjectOf::Config { .. }))
        .collect();
    match (configs.pop(), configs.is_empty()) {
        (Some(only), true) => Ok(only.digest),
        (None, _) => Err(Failure::usage(format!("'{}' is no image", image.name))),
        (Some(last), false) => {
            configs.push(last);
            let each = configs
                .iter()
                .map(|each| format!("{} ({})", each.digest, each.name));
            let each: Vec<_> = each.collect();
            Err(Failure::usage(format!(
                "'{}' is several images, and an exemption is for one: name it with --hash: {}",
                image.name,
                each.join(", ")
            )))
        }
    }
}

/// One more signature on an exemption that somebody made.
fn sign(context: &mut Context, args: &ExemptSign) -> Result<u8, Failure> {
    let root = root(context, &args.named)?;
    let exempt = exempt_keys(&root)?;
    let mut draft = Draft::read(&std::path::absolute(&args.file)?)?;
    let code = ReasonCode::Configuration.exit_code();
    let what = || format!("'{}'", args.file.display());
    let exemption = Exemption::parse(&draft.note.text).or_fail(code, what)?;
    exemption.check_origin(&root).or_fail(code, what)?;
    exemption.check_end(context.now).or_fail(code, what)?;
    draft.signed_by(exempt)?;
    let signers = signing::signers(&args.keys, exempt, ledger_here(context)?.as_deref())?;
    if signers.is_empty() {
        let text = "no exempt key is at hand: name one with --key";
        return Err(Failure::configuration(text));
    }
    let by = names(&signers);
    for line in draft.note.text.lines() {
        context.out.note(line);
    }
    if args.dry_run {
        context
            .out
            .note(format!("would be signed by {by}; nothing was"));
        return answer(context, &exemption, &Vec::new(), "nothing was done");
    }
    let question = format!(
        "Sign as {by}: let this image start on that node until {}?",
        moment::text(exemption.until)
    );
    if ask::somebody() && !ask::yes(&question)? {
        return Err(Failure::configuration("not signed"));
    }
    draft.sign(&signers)?;
    draft.write()?;
    let next = next(&draft, exempt, &args.file.display().to_string())?;
    answer(context, &exemption, &signers, &next)
}

fn answer(
    context: &mut Context,
    exemption: &Exemption,
    signers: &[Box<dyn Signer>],
    next: &str,
) -> Result<u8, Failure> {
    let mut value = described(exemption);
    let ids = signers.iter().map(|signer| signer.verifier().keyid());
    let ids: Vec<_> = ids.collect();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("signedBy".to_owned(), json!(ids));
        fields.insert("next".to_owned(), json!(next));
    }
    let by = ids.join(", ");
    context.out.answer(&value, |_| {
        let mut rows = rows(exemption);
        rows.extend([("Signed by", by), ("Next", next.to_owned())]);
        output::rows(&rows)
    })?;
    Ok(0)
}

fn described(exemption: &Exemption) -> Value {
    json!({
        "origin": exemption.origin,
        "node": exemption.node.to_string(),
        "config": exemption.config,
        "from": moment::rfc3339(exemption.from),
        "until": moment::rfc3339(exemption.until),
        "reason": exemption.reason,
    })
}

fn rows(exemption: &Exemption) -> Vec<(&'static str, String)> {
    vec![
        ("Config", exemption.config.to_string()),
        ("Node", exemption.node.to_string()),
        ("From", moment::text(exemption.from)),
        ("Until", moment::text(exemption.until)),
        ("Reason", exemption.reason.clone()),
    ]
}

/// Who must still sign, or what comes then.
fn next(draft: &Draft, exempt: &KeySet, file: &str) -> Result<String, Failure> {
    let signed = draft.signed_by(exempt)?;
    let more = exempt.threshold.saturating_sub(signed.len());
    if more == 0 {
        return Ok(format!(
            "on the node, as root: vcn-hook exempt install {file}"
        ));
    }
    let others = exempt.keys.iter().filter(|key| !signed.contains(key));
    let others: Vec<_> = others.map(|key| key.keyid()).collect();
    Ok(format!(
        "{more} more of the exempt keys must sign '{file}' with 'vcn-hook exempt sign': {}",
        others.join(", ")
    ))
}

/// The trust root by which it is judged: the machine's own, without network, unless a ledger is named.
fn root(context: &mut Context, named: &args::Named) -> Result<TrustRoot, Failure> {
    if named.ledger.is_some() {
        let target = Target::find(context, named.ledger.as_deref(), named.root.as_deref())?;
        return Ok(target.root().clone());
    }
    let config = context.config()?;
    let state = context.own_state(&config)?;
    Ok(trusted::root(&config, &state)?.root)
}

fn exempt_keys(root: &TrustRoot) -> Result<&KeySet, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let what = || format!("'{}'", root.origin);
    root.exempt
        .as_ref()
        .ok_or(ExemptionError::Nobody)
        .or_fail(code, what)
}

/// The ledger's directory, where this is its machine.
fn ledger_here(context: &Context) -> Result<Option<std::path::PathBuf>, Failure> {
    let place = context.config()?.ledger.as_deref().map(Place::parse);
    let place = place.and_then(Result::ok);
    Ok(place.and_then(|place| place.directory().map(ToOwned::to_owned)))
}

fn own_id() -> Result<NodeId, Failure> {
    exemptions::node_id().or_fail(
        ReasonCode::Configuration.exit_code(),
        || "name the node with --node",
    )
}

fn names(signers: &[Box<dyn Signer>]) -> String {
    if signers.is_empty() {
        return "nobody".to_owned();
    }
    let ids: Vec<_> = signers
        .iter()
        .map(|signer| signer.verifier().keyid())
        .collect();
    ids.join(", ")
}
