//! `ledger init`: a complete one-machine ledger, without a question.
//!
//! Owns the choices that a keeper may change later: who the first signer is,
//! and what its word is worth. Makes what is missing and keeps what is there,
//! so that an interrupted run can be repeated.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::args::LedgerInit;
use super::super::context::Context;
use super::super::failure::{Failure, OrFail as _};
use super::super::keygen::unencrypted;
use super::super::output;
use super::super::signing;
use crate::allowlist::note::{SignedNote, VerifierKey};
use crate::ledger::sequencer::Sequencer;
use crate::sys::file;
use crate::trust::keys::{self, DEFAULT_KEY, KeyFolder, SecretKey, Signer as _};
use crate::trust::root::{self, Allow, KeySet, Organisation, TrustRoot, TrustSigner, Unsupported};
use crate::verdict::{ReasonCode, exit};

/// The level of the first signer: its keeper knows whom it belongs to, and nobody has checked papers.
const FIRST_LEVEL: i8 = 2;

/// How long the first trust root says something: a key ceremony every five years.
const ROOT_LIFETIME: u64 = 5 * 365 * 86_400;

/// The keys of a ledger, in its private state.
struct LedgerKeys {
    log: SecretKey,
    indexer: SecretKey,
    root: SecretKey,
    exempt: SecretKey,
}

/// Makes the ledger.
///
/// # Errors
/// When there is one already, or a file cannot be written.
pub(super) fn run(context: &mut Context, args: &LedgerInit) -> Result<u8, Failure> {
    let directory = std::path::absolute(&args.directory)?;
    if directory.join("checkpoint").exists() {
        let text = format!("'{}' is a ledger already", directory.display());
        return Err(Failure::new(exit::FAILURE, text));
    }
    let keys = ledger_keys(&directory, &args.origin)?;
    let (signer, path) = first_signer(context, args)?;
    let root = first_root(args, &keys, &signer, context.now);
    let note = sign_root(&root, &keys.root)?;
    let what = || format!("cannot make the ledger '{}'", directory.display());
    make_directory(&directory.join("root"), 0o755).or_fail(exit::FAILURE, what)?;
    file::replace(&directory.join("root/1.note"), &note, 0o644).or_fail(exit::FAILURE, what)?;
    Sequencer::create(&directory, &keys.log).or_fail(exit::FAILURE, what)?;
    super::index::publish(&directory, context.now)?;
    let fingerprint = root::fingerprint(&note).or_fail(exit::FAILURE, what)?;
    let unit = match args.no_timer {
        true => None,
        false => super::timer::turn_on(&directory),
    };
    let value = json!({
        "ledger": directory.display().to_string(),
        "origin": args.origin,
        "root": { "version": 1, "fingerprint": fingerprint },
        "signer": { "key": signer.to_string(), "id": signer.keyid(), "path": path.display().to_string() },
        "timer": unit,
    });
    context.out.answer(&value, |_| {
        output::rows(&[
            ("Ledger", directory.display().to_string()),
            ("Origin", args.origin.clone()),
            ("Trust root", format!("version 1, {fingerprint}")),
            ("First signer", signer.keyid()),
            ("Signer's key", path.display().to_string()),
            ("Index", super::timer::said(unit.as_deref(), &directory)),
            ("Next", format!("vcn-hook enroll {}", directory.display())),
        ])
    })?;
    Ok(0)
}

/// The keys of log, indexer and trust root, and the one that exempts. They sign without anybody present, so they have no
/// passphrase; the directory's mode is their protection.
fn ledger_keys(directory: &Path, origin: &str) -> Result<LedgerKeys, Failure> {
    let what = || format!("cannot make the keys of '{}'", directory.display());
    let folder = directory.join(".state/keys");
    make_directory(directory, 0o755).or_fail(exit::FAILURE, what)?;
    make_directory(&folder, 0o700).or_fail(exit::FAILURE, what)?;
    let key = |name: &str, signs_as: String| {
        let path = folder.join(name);
        let key = if path.exists() {
            keys::open(&path, &mut |_: &Path| None)
        } else {
            keys::generate(&path, &signs_as, None)
        };
        let key = key.or_fail(exit::FAILURE, what)?;
        if key.name() == signs_as {
            return Ok(key);
        }
        let text = format!("'{}' is the key of '{}'", path.display(), key.name());
        Err(Failure::new(exit::FAILURE, text))
    };
    Ok(LedgerKeys {
        log: key("log", origin.to_owned())?,
        indexer: key("indexer", format!("{origin}/index"))?,
        root: key("root", format!("{origin}/root"))?,
        exempt: key("exempt", format!("{origin}/exempt"))?,
    })
}

/// The publisher's own key: the one called `default` if there is one, a new one otherwise.
fn first_signer(
    context: &mut Context,
    args: &LedgerInit,
) -> Result<(VerifierKey, PathBuf), Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let what = || "cannot make the first signer's key";
    let folder = match &args.keys {
        Some(path) => KeyFolder::new(std::path::absolute(path)?),
        None => KeyFolder::of_user().or_fail(code, what)?,
    };
    let path = folder.key(DEFAULT_KEY);
    let public = keys::public_path(&path);
    if path.exists() && public.exists() {
        context
            .out
            .note(format!("'{}' becomes the first signer", path.display()));
        return Ok((keys::read_public(&public).or_fail(code, what)?, path));
    }
    let passphrase = signing::new_passphrase(DEFAULT_KEY)?;
    let given = passphrase.as_ref().map(|text| text.as_str());
    let key = keys::generate(&path, DEFAULT_KEY, given).or_fail(code, what)?;
    if given.is_none() {
        context.out.note(unencrypted(&path));
    }
    Ok((key.verifier().clone(), path))
}

/// Version 1: one organisation with one signer, whose word alone is enough.
fn first_root(args: &LedgerInit, keys: &LedgerKeys, signer: &VerifierKey, now: u64) -> TrustRoot {
    let alone = |key: &SecretKey| KeySet {
        keys: vec![key.verifier().clone()],
        threshold: 1,
    };
    TrustRoot {
        version: 1,
        origin: args.origin.clone(),
        expires: now.saturating_add(ROOT_LIFETIME),
        roots: alone(&keys.root),
        log: keys.log.verifier().clone(),
        indexers: alone(&keys.indexer),
        exempt: Some(alone(&keys.exempt)),
        organisations: vec![Organisation {
            name: "default".to_owned(),
            company: args.company.clone(),
            website: args.website.clone(),
        }],
        signers: vec![TrustSigner {
            key: signer.clone(),
            level: FIRST_LEVEL,
            organisation: 0,
            from_index: 0,
            until_index: None,
            revoked_from: None,
        }],
        allow: Allow {
            threshold: 1,
            min_level: FIRST_LEVEL,
            organisations: vec![0],
        },
        veto: None,
        unsupported: Unsupported::Deny,
    }
}

fn sign_root(root: &TrustRoot, key: &SecretKey) -> Result<Vec<u8>, Failure> {
    let what = || "cannot sign the trust root";
    let text = root.format().or_fail(exit::FAILURE, what)?;
    let mut note = SignedNote::new(text).or_fail(exit::FAILURE, what)?;
    let signature = key
        .sign(note.text.as_bytes())
        .or_fail(exit::FAILURE, what)?;
    note.sign(key.verifier(), &signature)
        .or_fail(exit::FAILURE, what)?;
    Ok(note.to_bytes())
}

fn make_directory(path: &Path, mode: u32) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
}
