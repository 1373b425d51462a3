//! The exemptions of this node: put in force, listed, taken away.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::super::applying;
use super::super::args::{ExemptFile, ExemptRemove};
use super::super::context::{Context, is_root};
use super::super::failure::{Failure, OrFail as _};
use super::super::output;
use super::super::trusted;
use crate::apply::exemptions::{self, Found};
use crate::config::Config;
use crate::sys::file;
use crate::trust::exemption::{Granted, MAX_NOTE};
use crate::trust::root::TrustRoot;
use crate::verdict::{ReasonCode, exit};

/// Installs the exemption in a file of whoever's.
pub(super) fn install(context: &mut Context, args: &ExemptFile) -> Result<u8, Failure> {
    let what = || format!("cannot use '{}'", args.file.display());
    let note = file::read_capped(&args.file, MAX_NOTE).or_fail(exit::FAILURE, what)?;
    if args.dry_run {
        let (_, root) = node(context)?;
        let granted = checked(&note, &root, context.now)?;
        return answer(context, &granted, "it can be installed; nothing was done");
    }
    put(context, &note)
}

/// Puts an exemption in force: beside the configuration, and into gate.bin.
pub(super) fn put(context: &mut Context, note: &[u8]) -> Result<u8, Failure> {
    let (config, root) = node(context)?;
    let granted = checked(note, &root, context.now)?;
    only_root("install an exemption")?;
    let exemption = &granted.exemption;
    let directory = exemptions::directory(&config);
    let image = exemption.config.hex();
    let name = format!("{}-{}.note", image.split_at(12).0, exemption.until);
    let path = directory.join(name);
    let what = || format!("cannot install '{}'", path.display());
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&directory)
        .and_then(|()| file::replace(&path, note, 0o644))
        .or_fail(exit::FAILURE, what)?;
    let applied = applying::apply(context, &config)?;
    let now = exemption.from.max(context.now);
    if applied.gate.exemption(&exemption.config, now).is_none() {
        let text = format!(
            "'{}' is there and is not in force: see 'vcn-hook exempt list'",
            path.display()
        );
        return Err(Failure::new(exit::FAILURE, text));
    }
    answer(
        context,
        &granted,
        "it is in force, and each start by it is a warning on record",
    )
}

fn answer(context: &mut Context, granted: &Granted, done: &str) -> Result<u8, Failure> {
    let mut value = super::described(&granted.exemption);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("signedBy".to_owned(), json!(granted.by));
        fields.insert("done".to_owned(), json!(done));
    }
    context.out.answer(&value, |_| {
        let mut rows = super::rows(&granted.exemption);
        rows.push(("Signed by", granted.by.join(", ")));
        rows.push(("Done", done.to_owned()));
        output::rows(&rows)
    })?;
    Ok(0)
}

/// Lists what lies on this node, and what each is worth.
pub(super) fn list(context: &mut Context) -> Result<u8, Failure> {
    let (config, root) = node(context)?;
    let found = exemptions::find(&config, &root);
    let now = context.now;
    let values: Vec<_> = found.iter().map(|each| described(each, now)).collect();
    context.out.answer(&values, |_| {
        if found.is_empty() {
            return "none\n".to_owned();
        }
        let laid: Vec<_> = found.iter().map(|each| laid_out(each, now)).collect();
        laid.join("\n")
    })?;
    Ok(0)
}

fn described(found: &Found, now: u64) -> Value {
    let mut value = match &found.granted {
        Ok(granted) => super::described(&granted.exemption),
        Err(refused) => json!({ "error": refused.to_string() }),
    };
    if let Some(fields) = value.as_object_mut() {
        fields.insert("file".to_owned(), json!(name(&found.path)));
        fields.insert("state".to_owned(), json!(state(found, now)));
        if let Ok(granted) = &found.granted {
            fields.insert("signedBy".to_owned(), json!(granted.by));
        }
    }
    value
}

fn laid_out(found: &Found, now: u64) -> String {
    let mut rows = vec![
        ("File", name(&found.path)),
        ("State", state(found, now).to_owned()),
    ];
    match &found.granted {
        Ok(granted) => {
            rows.extend(super::rows(&granted.exemption));
            rows.push(("Signed by", granted.by.join(", ")));
        }
        Err(refused) => rows.push(("Because", refused.to_string())),
    }
    output::rows(&rows)
}

/// What an exemption is worth at `now`, in one word.
fn state(found: &Found, now: u64) -> &'static str {
    match &found.granted {
        Err(_) => "refused",
        Ok(granted) if granted.exemption.check_end(now).is_err() => "ended",
        Ok(granted) if granted.exemption.from > now => "pending",
        Ok(_) => "active",
    }
}

/// Takes every exemption of this name or for this image away.
pub(super) fn remove(context: &mut Context, args: &ExemptRemove) -> Result<u8, Failure> {
    let (config, root) = node(context)?;
    let what = args.what.strip_prefix("sha256:").unwrap_or(&args.what);
    let is_meant = |found: &&Found| {
        let image = found
            .granted
            .as_ref()
            .map(|each| each.exemption.config.hex());
        name(&found.path) == what || image.is_ok_and(|image| image == what)
    };
    let found = exemptions::find(&config, &root);
    let meant: Vec<_> = found.iter().filter(is_meant).collect();
    if meant.is_empty() {
        let text = format!("no exemption '{what}' is here: see 'vcn-hook exempt list'");
        return Err(Failure::new(exit::FAILURE, text));
    }
    only_root("remove an exemption")?;
    let names: Vec<_> = meant.iter().map(|each| name(&each.path)).collect();
    if !args.dry_run {
        for each in &meant {
            let what = || format!("cannot remove '{}'", each.path.display());
            std::fs::remove_file(&each.path).or_fail(exit::FAILURE, what)?;
        }
        applying::apply(context, &config)?;
    }
    let done = match args.dry_run {
        true => "would be removed",
        false => "removed",
    };
    let value = json!({ "files": names, "removed": !args.dry_run });
    context.out.answer(&value, |_| {
        let lines = names
            .iter()
            .map(|name| format!("{}: {done}\n", crate::escape::Escaped(name)));
        lines.collect()
    })?;
    Ok(0)
}

/// This node's configuration, and the trust root that it goes by.
fn node(context: &Context) -> Result<(Config, TrustRoot), Failure> {
    let config = context.config()?;
    let root = trusted::root(&config, &config.state_dir)?.root;
    Ok((config, root))
}

fn checked(note: &[u8], root: &TrustRoot, now: u64) -> Result<Granted, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let what = || "this exempts nothing on this node";
    let granted = exemptions::verify(note, root).or_fail(code, what)?;
    granted.exemption.check_end(now).or_fail(code, what)?;
    Ok(granted)
}

fn only_root(what: &str) -> Result<(), Failure> {
    if is_root() {
        return Ok(());
    }
    Err(Failure::configuration(format!("only root can {what}")))
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
