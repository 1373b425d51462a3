//! The ledger that a statement is written to.
//!
//! Owns the order append, publish, sync, confirm: a verb that returns has been
//! heard. Writing is local: a ledger behind a URL is written by whoever keeps it.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::failure::{Failure, OrFail as _};
use super::history::History;
use super::ledger::index;
use super::ledgers::{self, Place};
use super::node;
use super::trusted;
use crate::allowlist::index_note::TableRef;
use crate::allowlist::lookup::Allowlist;
use crate::allowlist::record::Record;
use crate::config::Config;
use crate::ledger::client::{self, Fresh, TlogRead};
use crate::ledger::index::table_path;
use crate::ledger::sequencer::Sequencer;
use crate::ledger::statement::Statement;
use crate::store::{self, TableFile};
use crate::sys::file;
use crate::trust::keys;
use crate::trust::root::{KeySet, TrustRoot};
use crate::verdict::exit;

/// A ledger on this machine, and whether this machine follows it.
#[derive(Debug)]
pub struct Target {
    directory: PathBuf,
    log: Box<dyn TlogRead>,
    root: TrustRoot,
    followed: Option<(Config, PathBuf)>,
}

impl Target {
    /// Takes the ledger that was named, or the one that this machine follows.
    ///
    /// # Errors
    /// `configuration` when there is none; wrong usage for one that cannot be written to.
    pub fn find(context: &Context, named: Option<&str>) -> Result<Self, Failure> {
        let config = context.config()?;
        let text = named.or(config.ledger.as_deref()).ok_or_else(|| {
            Failure::configuration(
                "this machine follows no ledger: run 'vcn-hook enroll DIR|URL', or name one with \
                 --ledger",
            )
        })?;
        let place = Place::parse(text)?;
        let Some(directory) = place.directory().map(Path::to_owned) else {
            return Err(Failure::usage(format!(
                "'{place}' can only be read from here: state it on the machine that keeps the \
                 ledger, with --ledger DIR"
            )));
        };
        let log = place.open()?;
        let follows = config.ledger.as_deref().map(Place::parse);
        let (root, followed) = if follows.is_some_and(|its| its.is_ok_and(|its| its == place)) {
            let state = context.own_state(&config)?;
            (trusted::root(&config, &state)?.root, Some((config, state)))
        } else {
            (ledgers::roots(log.as_ref())?.latest().root.clone(), None)
        };
        Ok(Self {
            directory,
            log,
            root,
            followed,
        })
    }

    /// The trust root in force.
    #[must_use]
    pub const fn root(&self) -> &TrustRoot {
        &self.root
    }

    /// The log, for reading.
    #[must_use]
    pub fn log(&self) -> &dyn TlogRead {
        self.log.as_ref()
    }

    /// Brings this machine's copy up to date, where it has one, and says which log size is verified.
    ///
    /// # Errors
    /// As `sync`.
    pub fn refresh(&mut self, context: &Context) -> Result<u64, Failure> {
        let Some((config, state)) = &self.followed else {
            return Ok(History::open(self.log.as_ref(), &self.root)?.size());
        };
        let synced = node::refresh(context)?;
        self.root = trusted::root(config, state)?.root;
        Ok(synced.log_size)
    }

    /// Finishes what an interrupted writer left behind, so that what is stated next comes after it:
    /// a statement that names a smaller log than the one it lands in would not count.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn settle(&self, now: u64) -> Result<(), Failure> {
        let what = || format!("cannot write to the ledger '{}'", self.directory.display());
        Sequencer::open(&self.directory, self.root.log.clone()).or_fail(exit::FAILURE, what)?;
        self.publish(now)
    }

    /// Appends entries, durably, and publishes the index where its key is at hand.
    /// Returns the place of the first one.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn append(&self, entries: &[&Vec<u8>], now: u64) -> Result<u64, Failure> {
        let what = || format!("cannot write to the ledger '{}'", self.directory.display());
        let path = self.directory.join(".state/keys/log");
        let key = keys::open(&path, &mut |_: &Path| None).or_fail(exit::FAILURE, what)?;
        let mut sequencer =
            Sequencer::open(&self.directory, self.root.log.clone()).or_fail(exit::FAILURE, what)?;
        let first = sequencer
            .append(entries, &key)
            .or_fail(exit::FAILURE, what)?;
        self.publish(now)?;
        Ok(first)
    }

    fn publish(&self, now: u64) -> Result<(), Failure> {
        if index::key_path(&self.directory).exists() {
            index::publish(&self.directory, now)?;
        }
        Ok(())
    }

    /// Checks that the statement at `index` counts: the published index has it for every subject.
    ///
    /// # Errors
    /// When it does not, and what to do then.
    pub fn confirm(&self, index: u64, statement: &Statement) -> Result<(), Failure> {
        let what = || format!("entry {index} was written, and its effect cannot be seen");
        let allowlist = self.published().or_fail(exit::FAILURE, what)?;
        let covered = allowlist.note().log_size;
        if covered <= index {
            return Err(Failure::new(
                exit::FAILURE,
                format!(
                    "entry {index} was written and counts once it is indexed (the index is at \
                 {covered}): its keeper runs 'vcn-hook ledger index {}'",
                    self.directory.display()
                ),
            ));
        }
        for subject in &statement.subjects {
            let records = allowlist
                .lookup(&subject.key())
                .or_fail(exit::FAILURE, what)?;
            let counts =
                |record: &Record| record.log_index == index && record.status == statement.status;
            if !records.iter().any(counts) {
                return Err(Failure::new(
                    exit::FAILURE,
                    format!(
                        "entry {index} was written and does not count: somebody else stated something \
                     about {} at the same time; look with 'vcn-hook inspect {}' and try again",
                        subject.digest,
                        subject.digest.hex()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The index that the ledger serves.
    fn published(&self) -> anyhow::Result<Allowlist<TableFile>> {
        let Some(Fresh::New { bytes, .. }) = client::index_note(self.log.as_ref(), None)? else {
            anyhow::bail!("'{}' has no index", self.directory.display());
        };
        let KeySet { keys, threshold } = &self.root.indexers;
        let note = store::verify_note(&bytes, keys, *threshold, &self.root.origin)
            .map_err(anyhow::Error::msg)?;
        let directory = self.directory.join("index");
        let open = |table: &TableRef| {
            file::open_regular(&table_path(&directory, &table.id)).map(TableFile::new)
        };
        let (base, delta) = (open(&note.base)?, open(&note.delta)?);
        Ok(Allowlist::open(note, base, delta)?)
    }
}
