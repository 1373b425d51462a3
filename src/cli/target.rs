//! The ledger that a statement is written to.
//!
//! Owns the order append, publish, sync, confirm: a verb that returns has been
//! heard. Owns also by whose word the ledger is believed: the trust root that
//! this machine pins, or the fingerprint that was given; a ledger that nobody
//! vouches for is taken at its own, and that is said.

mod writer;

use std::thread;
use std::time::{Duration, Instant};

use super::context::Context;
use super::failure::{Failure, OrFail as _};
use super::ledgers::{Place, unreadable};
use super::node;
use super::trusted;
use super::vouching;
use crate::allowlist::index_note::{IndexNote, TableRef};
use crate::allowlist::lookup::Allowlist;
use crate::allowlist::record::{Key, Record};
use crate::apply;
use crate::config::Config;
use crate::image::digest::Digest;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::client::{self, Dir, Fresh, RemoteTable, TlogRead};
use crate::ledger::statement::Statement;
use crate::policy::gatebin::Trust;
use crate::store;
use crate::trust::root::{KeySet, TrustRoot};
use crate::verdict::{ReasonCode, exit};
use writer::Writer;

/// How long a server's index may take to have what its log has.
const PATIENCE: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(25);

/// A ledger, and whether this machine follows it.
#[derive(Debug)]
pub struct Target {
    writer: Writer,
    log: Box<dyn TlogRead>,
    root: TrustRoot,
    followed: Option<(Config, std::path::PathBuf)>,
    seen: Option<Checkpoint>,
}

impl Target {
    /// Takes the ledger that was named, or the one that this machine follows.
    ///
    /// # Errors
    /// `configuration` when there is none, or its trust root is not the one that is pinned or
    /// that has `fingerprint`.
    pub fn find(
        context: &mut Context,
        named: Option<&str>,
        fingerprint: Option<&str>,
    ) -> Result<Self, Failure> {
        let config = context.config()?;
        let text = named.or(config.ledger.as_deref()).ok_or_else(|| {
            Failure::configuration(
                "this machine follows no ledger: run 'vcn-hook enroll DIR|URL', or name one with \
                 --ledger",
            )
        })?;
        let place = Place::parse(text)?;
        let log = place.open()?;
        let follows = config.ledger.as_deref().map(Place::parse);
        let follows = follows.is_some_and(|its| its.is_ok_and(|its| its == place));
        let (root, followed) = if follows && fingerprint.is_none() {
            let state = context.own_state(&config)?;
            (trusted::root(&config, &state)?.root, Some((config, state)))
        } else {
            let vouched = vouching::newest(context, &place, log.as_ref(), fingerprint)?;
            if vouched.by.is_none() && place.directory().is_none() {
                context.out.note(vouched.nobody());
            }
            (vouched.version.root, None)
        };
        Ok(Self {
            writer: Writer::of(&place),
            log,
            root,
            followed,
            seen: None,
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
            let seen = checkpoint(self.log.as_ref(), &self.root)?;
            return Ok(self.seen.insert(seen).size);
        };
        let synced = node::refresh(context)?;
        self.root = trusted::root(config, state)?.root;
        let copy = Dir::open(&state.join("log")).map_err(unreadable)?;
        self.seen = Some(checkpoint(&copy, &self.root)?);
        Ok(synced.log_size)
    }

    /// Finishes what an interrupted writer left behind, so that what is stated next comes after it:
    /// a statement that names a smaller log than the one it lands in would not count.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn settle(&self, now: u64) -> Result<(), Failure> {
        self.writer.settle(&self.root, now)
    }

    /// Appends entries, durably, and returns the place of each. What a server answers is believed
    /// once the log's own signature and hashes say the same.
    ///
    /// # Errors
    /// When the log cannot be written, or is not what the server says.
    pub fn append(&mut self, entries: &[&Vec<u8>], now: u64) -> Result<Vec<u64>, Failure> {
        let mut seen = match self.seen.take() {
            Some(seen) => seen,
            None => checkpoint(self.log.as_ref(), &self.root)?,
        };
        let places = self.writer.append(entries, &self.root, &mut seen, now)?;
        self.seen = Some(seen);
        if let (Writer::Server(_), Some(last)) = (&self.writer, places.iter().max()) {
            self.await_index(*last);
        }
        Ok(places)
    }

    /// Waits until the index that a server publishes has the entry. That it never does is told by
    /// [`Target::confirm`].
    fn await_index(&self, index: u64) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.note().is_ok_and(|note| note.log_size > index) {
                return;
            }
            thread::sleep(GLANCE);
        }
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
                     {covered}): its keeper runs 'vcn-hook {}'",
                    self.writer.advice()
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

    /// The rule of the trust root in force.
    #[must_use]
    pub fn trust(&self) -> Trust {
        // No record is weighed by the root's own digest.
        apply::trust(&self.root, Digest::of(&[]))
    }

    /// What the published index has under each of these keys.
    ///
    /// # Errors
    /// When there is no index, or it is not what the indexers signed.
    pub fn records(&self, keys: &[Key]) -> Result<Vec<Vec<Record>>, Failure> {
        let what = || format!("the index of '{}'", self.log.place());
        let code = ReasonCode::Tampered.exit_code();
        let allowlist = self.published().or_fail(code, what)?;
        let records = keys.iter().map(|key| allowlist.lookup(key));
        records.collect::<Result<_, _>>().or_fail(code, what)
    }

    /// The index that the ledger serves.
    fn published(&self) -> anyhow::Result<Allowlist<RemoteTable<'_>>> {
        let note = self.note()?;
        let open = |table: &TableRef| RemoteTable::new(self.log.as_ref(), &table.id);
        let (base, delta) = (open(&note.base), open(&note.delta));
        Ok(Allowlist::open(note, base, delta)?)
    }

    fn note(&self) -> anyhow::Result<IndexNote> {
        let Some(Fresh::New { bytes, .. }) = client::index_note(self.log.as_ref(), None)? else {
            anyhow::bail!("'{}' has no index", self.log.place());
        };
        let KeySet { keys, threshold } = &self.root.indexers;
        store::verify_note(&bytes, keys, *threshold, &self.root.origin).map_err(anyhow::Error::msg)
    }
}

fn checkpoint(log: &dyn TlogRead, root: &TrustRoot) -> Result<Checkpoint, Failure> {
    let bytes = match client::checkpoint(log, None).map_err(unreadable)? {
        Fresh::New { bytes, .. } => bytes,
        // Nothing was named that it could be the same as.
        Fresh::Same => Vec::new(),
    };
    Checkpoint::verify(&bytes, &root.log).or_fail(ReasonCode::Tampered.exit_code(), || {
        format!("the checkpoint of '{}'", log.place())
    })
}
