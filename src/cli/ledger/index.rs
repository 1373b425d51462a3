//! `ledger index` and `ledger check`: the index follows the log, and somebody looks that it does.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::context::Context;
use super::super::failure::{Failure, OrFail as _};
use super::super::moment;
use super::super::output;
use crate::allowlist::index_note::IndexNote;
use crate::ledger::client::ReadError;
use crate::ledger::index::{self, IndexError, Outcome, Publish, Published};
use crate::ledger::state::Tally;
use crate::trust::keys::{self, Signer};
use crate::verdict::{ReasonCode, exit};

/// How long a note is good: a node that hears nothing for a day refuses to start what it cannot vouch for.
pub(super) const VALIDITY: u64 = 86_400;

/// Brings the index up to the log, and signs it anew when half of its time has passed.
pub(super) fn index(context: &mut Context, directory: &Path) -> Result<u8, Failure> {
    let published = publish(directory, context.now)?;
    let value = json!({
        "ledger": directory.display().to_string(),
        "outcome": word(published.outcome),
        "index": described(&published.note, &published.tally),
    });
    context.out.answer(&value, |_| {
        let mut rows = vec![("Index", word(published.outcome).to_owned())];
        rows.extend(rows_of(&published.note, &published.tally));
        output::rows(&rows)
    })?;
    Ok(0)
}

/// Recomputes tables and hashes from the first entry on, and compares.
pub(super) fn check(context: &mut Context, directory: &Path) -> Result<u8, Failure> {
    std::fs::metadata(directory).or_fail(exit::UNREACHABLE, || {
        format!("cannot open the ledger '{}'", directory.display())
    })?;
    let scratch = Scratch::make()?;
    let checked = index::check(directory, &scratch.0).map_err(|error| failure(error, directory))?;
    let value = json!({
        "ledger": directory.display().to_string(),
        "sound": true,
        "logSize": checked.log_size,
        "index": described(&checked.note, &checked.tally),
    });
    context.out.answer(&value, |_| {
        let mut rows = vec![(
            "Ledger",
            "what it publishes follows from its entries".to_owned(),
        )];
        rows.extend(rows_of(&checked.note, &checked.tally));
        output::rows(&rows)
    })?;
    Ok(0)
}

/// Publishes the index of the ledger in `directory` with the key in its private state.
///
/// # Errors
/// Tampered for a log that is not what was signed, a plain failure for a file or key.
pub(crate) fn publish(directory: &Path, now: u64) -> Result<Published, Failure> {
    let path = key_path(directory);
    let key = keys::open(&path, &mut |_: &Path| None).or_fail(exit::FAILURE, || {
        format!("cannot sign the index of '{}'", directory.display())
    })?;
    let signers: [&dyn Signer; 1] = [&key];
    let what = Publish {
        directory,
        indexers: &signers,
        validity: VALIDITY,
        force: false,
    };
    index::publish(&what, now).map_err(|error| failure(error, directory))
}

/// Where the indexer's key of a one-machine ledger is.
pub(crate) fn key_path(directory: &Path) -> PathBuf {
    directory.join(".state/keys/indexer")
}

pub(super) fn failure(error: IndexError, directory: &Path) -> Failure {
    let code = match &error {
        IndexError::Read(ReadError::Unreachable { .. }) => exit::UNREACHABLE,
        IndexError::Disk(..)
        | IndexError::Key(_)
        | IndexError::Stopped(_)
        | IndexError::Draft(_) => exit::FAILURE,
        IndexError::Expired(_) => ReasonCode::Stale.exit_code(),
        _ => ReasonCode::Tampered.exit_code(),
    };
    let error = anyhow::Error::from(error);
    Failure {
        code,
        error: error.context(format!("the ledger '{}'", directory.display())),
    }
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Unchanged => "unchanged",
        Outcome::Renewed => "renewed",
        Outcome::Delta => "delta",
        Outcome::Base => "base",
    }
}

fn described(note: &IndexNote, tally: &Tally) -> Value {
    let ignored: serde_json::Map<_, _> = tally
        .ignored
        .iter()
        .map(|(why, count)| (why.as_str().to_owned(), json!(count)))
        .collect();
    json!({
        "logSize": note.log_size,
        "records": note.base.records + note.delta.records,
        "rootVersion": note.root_version,
        "signed": moment::rfc3339(note.time),
        "expires": moment::rfc3339(note.expires),
        "applied": tally.applied,
        "ignored": ignored,
    })
}

fn rows_of(note: &IndexNote, tally: &Tally) -> Vec<(&'static str, String)> {
    let ignored: Vec<_> = tally
        .ignored
        .iter()
        .map(|(why, count)| format!("{count} {}", why.as_str()))
        .collect();
    vec![
        ("Log size", note.log_size.to_string()),
        ("Expires", moment::text(note.expires)),
        ("Applied", tally.applied.to_string()),
        ("Ignored", ignored.join(", ")),
    ]
}

/// A directory for tables that are only compared, gone when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("vcn-hook-check.{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .or_fail(exit::FAILURE, || {
                format!("cannot make '{}'", path.display())
            })?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Whoever cleans the temporary directory finds what is left.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
