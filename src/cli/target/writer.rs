//! How a statement gets into a ledger: by its own sequencer, or by the server that has one.
//!
//! Owns that an entry which is answered for is in the log. Whether it counts
//! is the target's to confirm.

use std::path::{Path, PathBuf};

use super::super::failure::{Failure, OrFail as _};
use super::super::ledger::index;
use super::super::ledgers::{Place, unreadable};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::client::{self, AddError, Http};
use crate::ledger::sequencer::Sequencer;
use crate::trust::keys;
use crate::trust::root::TrustRoot;
use crate::verdict::{ReasonCode, exit};

/// Where entries are appended.
#[derive(Debug)]
pub(super) enum Writer {
    /// A directory whose keys are at hand.
    Directory(PathBuf),
    /// A server that takes statements.
    Server(Http),
}

impl Writer {
    pub(super) fn of(place: &Place) -> Self {
        match place {
            Place::Directory(path) => Self::Directory(path.clone()),
            Place::Url(url) => Self::Server(Http::new(url)),
        }
    }

    /// Finishes what an interrupted writer left behind. A server has done so before it listens.
    pub(super) fn settle(&self, root: &TrustRoot, now: u64) -> Result<(), Failure> {
        let Self::Directory(directory) = self else {
            return Ok(());
        };
        Sequencer::open(directory, root.log.clone())
            .or_fail(exit::FAILURE, || unwritable(directory))?;
        publish(directory, now)
    }

    /// Appends entries, durably, and returns the place of each.
    ///
    /// `seen` is the checkpoint that was verified last; it is moved on to one that has the entries.
    pub(super) fn append(
        &self,
        entries: &[&Vec<u8>],
        root: &TrustRoot,
        seen: &mut Checkpoint,
        now: u64,
    ) -> Result<Vec<u64>, Failure> {
        match self {
            Self::Directory(directory) => append(directory, entries, root, now),
            Self::Server(log) => entries
                .iter()
                .map(|entry| {
                    let added = client::add(log, entry).map_err(failure)?;
                    *seen =
                        client::prove(log, &root.log, seen, added.index, entry).map_err(failure)?;
                    Ok(added.index)
                })
                .collect(),
        }
    }

    /// What whoever keeps the ledger does when the index is behind.
    pub(super) fn advice(&self) -> String {
        match self {
            Self::Directory(directory) => format!("ledger index {}", directory.display()),
            Self::Server(_) => "ledger index DIR".to_owned(),
        }
    }
}

fn append(
    directory: &Path,
    entries: &[&Vec<u8>],
    root: &TrustRoot,
    now: u64,
) -> Result<Vec<u64>, Failure> {
    let what = || unwritable(directory);
    let path = directory.join(".state/keys/log");
    let key = keys::open(&path, &mut |_: &Path| None).or_fail(exit::FAILURE, what)?;
    let mut sequencer =
        Sequencer::open(directory, root.log.clone()).or_fail(exit::FAILURE, what)?;
    let first = sequencer
        .append(entries, &key)
        .or_fail(exit::FAILURE, what)?;
    publish(directory, now)?;
    Ok((first..).take(entries.len()).collect())
}

/// Publishes the index, where its key is at hand.
fn publish(directory: &Path, now: u64) -> Result<(), Failure> {
    if index::key_path(directory).exists() {
        index::publish(directory, now)?;
    }
    Ok(())
}

fn unwritable(directory: &Path) -> String {
    format!("cannot write to the ledger '{}'", directory.display())
}

fn failure(error: AddError) -> Failure {
    let code = match &error {
        AddError::Read(error) => return unreadable(error.clone()),
        AddError::Unheard { .. } => exit::UNREACHABLE,
        AddError::Refused { .. } => exit::FAILURE,
        AddError::Answer(_)
        | AddError::Checkpoint(_)
        | AddError::Forked(_)
        | AddError::Absent(..)
        | AddError::Unpublished(_) => ReasonCode::Tampered.exit_code(),
    };
    Failure {
        code,
        error: error.into(),
    }
}
