//! The keys that somebody signs with, and their passphrases.
//!
//! Owns which key is taken when none is named, and where a passphrase comes
//! from: `VCN_NOTARIZATION_PASSWORD`, else the terminal. Never from the command
//! line, which every user of the machine can read.

use std::path::Path;

use zeroize::Zeroizing;

use super::ask;
use super::failure::{Failure, OrFail as _};
use crate::allowlist::note::VerifierKey;
use crate::trust::keys::{DEFAULT_KEY, KeyFolder, KeyReference, KeySources, ListedKey, Signer};
use crate::trust::root::{KeySet, TrustRoot, TrustSigner};
use crate::verdict::ReasonCode;

const PASSPHRASE: &str = "VCN_NOTARIZATION_PASSWORD";

/// Opens the key that was named, or the one of the key folder that `root` names.
///
/// # Errors
/// When there is no such key, it cannot be used, or the trust root does not count it in a log of
/// `size` entries: whatever it signed would be in the log for ever and mean nothing.
pub fn signer(
    wanted: Option<&str>,
    root: &TrustRoot,
    size: u64,
) -> Result<Box<dyn Signer>, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let reference = match (wanted, KeyFolder::of_user()) {
        (Some(text), _) => KeyReference::parse(text).or_fail(code, || NO_KEY)?,
        (None, Ok(folder)) => KeyReference::File(known(&folder, root)?),
        (None, Err(_)) => KeyReference::File(DEFAULT_KEY.into()),
    };
    let signer = open(&reference)?;
    let keyid = signer.verifier().keyid();
    let counts = |known: &TrustSigner| known.valid_at(size) && !known.revoked_at(size);
    match root.signer_by_keyid(&keyid) {
        Some((_, known)) if counts(known) => Ok(signer),
        Some((_, known)) if size < known.from_index => Err(Failure::configuration(format!(
            "the trust root of '{}' does not count the key {keyid} before entry {}, and the log \
             has {size}; use another one",
            root.origin, known.from_index
        ))),
        Some(_) => Err(Failure::configuration(format!(
            "the trust root of '{}' does not count the key {keyid} any more; use another one",
            root.origin
        ))),
        None => Err(Failure::configuration(format!(
            "the trust root of '{}' does not name the key {keyid} as a signer",
            root.origin
        ))),
    }
}

/// Opens the keys that were named, or those at hand of the ones that count: in the key folder, and in the
/// private state of the ledger in `ledger`, if this is its machine.
///
/// # Errors
/// When a key cannot be used, or there is none that counts.
pub fn signers(
    wanted: &[String],
    counting: &KeySet,
    ledger: Option<&Path>,
) -> Result<Vec<Box<dyn Signer>>, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let references = match wanted {
        [] => at_hand(counting, ledger),
        named => named
            .iter()
            .map(|text| KeyReference::parse(text).or_fail(code, || NO_KEY))
            .collect::<Result<_, _>>()?,
    };
    let signers: Vec<_> = references.iter().map(open).collect::<Result<_, _>>()?;
    let mut seen: Vec<&VerifierKey> = Vec::new();
    for signer in &signers {
        let key = signer.verifier();
        if !counting.keys.contains(key) {
            let text = format!(
                "the trust root does not count the key {} for this",
                key.keyid()
            );
            return Err(Failure::configuration(text));
        }
        if seen.contains(&key) {
            let text = format!("the key {} is named twice", key.keyid());
            return Err(Failure::usage(text));
        }
        seen.push(key);
    }
    Ok(signers)
}

/// The files of keys that count, of which nobody had to tell us.
fn at_hand(counting: &KeySet, ledger: Option<&Path>) -> Vec<KeyReference> {
    let folders = [
        KeyFolder::of_user().ok(),
        ledger.map(|directory| KeyFolder::new(directory.join(".state/keys"))),
    ];
    // A folder that is not to be read has no keys for us.
    let listed = folders.into_iter().flatten();
    let listed = listed.flat_map(|folder| folder.list().unwrap_or_default());
    let mut seen = Vec::new();
    let mut counts = |key: &ListedKey| {
        let new = !seen.contains(&key.public);
        seen.push(key.public.clone());
        new && counting.keys.contains(&key.public)
    };
    listed
        .filter(|key| counts(key))
        .map(|key| KeyReference::File(key.path))
        .collect()
}

const NO_KEY: &str = "no key to sign with";

fn open(reference: &KeyReference) -> Result<Box<dyn Signer>, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let sources = KeySources {
        folder: match (KeyFolder::of_user(), reference) {
            (Ok(folder), _) => folder,
            // A key elsewhere needs no folder.
            (Err(_), KeyReference::File(path)) if path.components().count() > 1 => {
                KeyFolder::new(".")
            }
            (Err(_), KeyReference::Agent(_) | KeyReference::Command(..)) => KeyFolder::new("."),
            (Err(error), KeyReference::File(_)) => return Err(error).or_fail(code, || NO_KEY),
        },
        agent: std::env::var_os("SSH_AUTH_SOCK").map(Into::into),
    };
    reference
        .open(&sources, &mut passphrase)
        .or_fail(code, || NO_KEY)
}

/// The passphrase for a new key: none when nobody is there to type one.
///
/// # Errors
/// The terminal's, or two that differ.
pub fn new_passphrase(name: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    if let Some(given) = from_environment() {
        return Ok(Some(given).filter(|text| !text.is_empty()));
    }
    if !ask::somebody() {
        return Ok(None);
    }
    let prompt = format!("New passphrase for the key '{name}' (empty for none)");
    let first = Zeroizing::new(ask::unseen(&prompt)?);
    if first.is_empty() {
        return Ok(None);
    }
    let second = Zeroizing::new(ask::unseen("The same again")?);
    if first != second {
        return Err(Failure::usage("the two passphrases differ"));
    }
    Ok(Some(first))
}

/// The passphrase of the key at `path`, if anybody can tell it.
pub fn passphrase(path: &Path) -> Option<Zeroizing<String>> {
    from_environment().or_else(|| {
        let prompt = format!("Passphrase of '{}'", path.display());
        // Whoever cannot be asked has not answered; the key's own error says what to do.
        ask::somebody()
            .then(|| ask::unseen(&prompt).ok().map(Zeroizing::new))
            .flatten()
    })
}

fn from_environment() -> Option<Zeroizing<String>> {
    std::env::var(PASSPHRASE).ok().map(Zeroizing::new)
}

/// The key of the folder that the trust root names; of several, the one called `default`.
fn known(folder: &KeyFolder, root: &TrustRoot) -> Result<std::path::PathBuf, Failure> {
    let keys = folder.list().or_fail(
        ReasonCode::Configuration.exit_code(),
        || "no key to sign with",
    )?;
    let mut known = keys
        .into_iter()
        .filter(|key| root.signer_by_keyid(&key.public.keyid()).is_some())
        .map(|key| key.path);
    let (first, second) = (known.next(), known.next());
    let is_default = |path: &std::path::PathBuf| path.ends_with(DEFAULT_KEY);
    let place = folder.path().display();
    match (first, second) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Failure::configuration(format!(
            "no key in '{place}' is a signer of '{}': make one with 'vcn-hook keygen', have its \
             keepers name it in the trust root, or choose one with --key",
            root.origin
        ))),
        (Some(first), Some(second)) => [first, second]
            .into_iter()
            .chain(known)
            .find(is_default)
            .ok_or_else(|| {
                Failure::configuration(format!(
                    "several keys in '{place}' are signers of '{}': choose one with --key",
                    root.origin
                ))
            }),
    }
}
