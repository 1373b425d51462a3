//! Statements on their way into the log.
//!
//! Owns the queue, and who is answered what: many clients' statements are one
//! batch, each is asked about before it is in the log for ever, and none is
//! answered before the batch is durable and published. While a batch is
//! written the next one gathers; nobody waits for a batch to fill up.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::recent::Recent;
use super::refusal::Refusal;
use super::signers::Signers;
use super::{Bell, ServeError, Tell};
use crate::http::Stop;
use crate::ledger::client::Dir;
use crate::ledger::index::{IndexError, Standing};
use crate::ledger::range::leaf_hash;
use crate::ledger::sequencer::{Sequencer, SequencerError};
use crate::ledger::state::Claim;
use crate::trust::keys::{SecretKey, Signer as _};

/// Statements in one batch. There are never as many clients at once.
const MAX_BATCH: usize = 1024;

/// How long nobody must have stated anything before what was stated is put to rest.
const QUIET: Duration = Duration::from_millis(50);

/// How often a batch is tried again because somebody else has appended meanwhile.
const TRIES: usize = 8;

/// A statement that is in the log, applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// Its place.
    pub(super) index: u64,
    /// It was there already.
    pub(super) repeated: bool,
}

/// One client's statement, and who waits for the answer.
struct Job {
    entry: Vec<u8>,
    leaf: [u8; 32],
    claim: Claim,
    answer: SyncSender<Result<Taken, Refusal>>,
}

/// The clients' end.
#[derive(Clone)]
pub(super) struct Entrance {
    jobs: SyncSender<Job>,
    signers: Arc<Signers>,
}

/// The log's end.
pub(super) struct Appender<'a> {
    directory: PathBuf,
    jobs: Receiver<Job>,
    signers: Arc<Signers>,
    key: &'a SecretKey,
    sequencer: Sequencer,
    standing: Option<Standing>,
    recent: Recent,
}

impl Entrance {
    /// Verifies a statement, hands it in, and waits for what becomes of it.
    pub(super) fn add(&self, entry: Vec<u8>) -> Result<Taken, Refusal> {
        let (roster, size) = self.signers.newest().map_err(|_| Refusal::Failed)?;
        // A signature costs more than everything else, so it is checked here, where there are many.
        let claim = roster.claim(size, &entry).map_err(Refusal::Ignored)?;
        let (answer, answered) = sync_channel(1);
        let leaf = leaf_hash(&entry);
        let job = Job {
            entry,
            leaf,
            claim,
            answer,
        };
        self.jobs.send(job).map_err(|_| Refusal::Stopping)?;
        answered.recv().unwrap_or(Err(Refusal::Failed))
    }
}

impl<'a> Appender<'a> {
    /// Opens the log, finishes what was interrupted, and reads what it amounts to.
    pub(super) fn open(
        directory: PathBuf,
        key: &'a SecretKey,
    ) -> Result<(Self, Entrance), ServeError> {
        let log = key.verifier().clone();
        let mut sequencer = Sequencer::open(&directory, log).map_err(ServeError::Log)?;
        let size = sequencer.checkpoint().map_err(ServeError::Log)?.size;
        let (jobs_in, jobs) = sync_channel(MAX_BATCH);
        let signers = Signers::load(&directory, size).map_err(ServeError::Index)?;
        let signers = Arc::new(signers);
        let mut appender = Self {
            signers: Arc::clone(&signers),
            standing: None,
            recent: Recent::default(),
            directory,
            jobs,
            key,
            sequencer,
        };
        appender.load(size).map_err(ServeError::Index)?;
        let entrance = Entrance {
            jobs: jobs_in,
            signers,
        };
        Ok((appender, entrance))
    }

    /// Appends until every entrance is gone, and then what is left in the queue.
    ///
    /// After an error of the disk that leaves nothing to be believed, it says so and ends the server.
    pub(super) fn run(
        mut self,
        bell: &Bell,
        stop: &Stop,
        tell: Tell<'_>,
    ) -> Result<(), ServeError> {
        let mut aborted = None;
        loop {
            let first = match self.jobs.recv_timeout(QUIET) {
                Ok(first) => first,
                Err(RecvTimeoutError::Disconnected) => break,
                // Not while others wait: the next append does it with its own writes.
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.sequencer.flush() {
                        stop.stop();
                        aborted = Some(ServeError::Log(error));
                    }
                    continue;
                }
            };
            let mut batch = vec![first];
            batch.extend(self.jobs.try_iter().take(MAX_BATCH - 1));
            if aborted.is_some() {
                refuse(&batch, &Refusal::Failed);
                continue;
            }
            match self.take(&batch) {
                Ok(()) => bell.ring(),
                Err(Trouble::Log(error)) if error.is_of_sync() => {
                    refuse(&batch, &Refusal::Failed);
                    stop.stop();
                    aborted = Some(ServeError::Log(error));
                }
                Err(trouble) => {
                    refuse(&batch, &Refusal::Failed);
                    tell(&format!(
                        "{} statements were not taken: {trouble}",
                        batch.len()
                    ));
                    // Read afresh: what was tried is applied in memory and not in the log.
                    self.standing = None;
                }
            }
        }
        match aborted {
            Some(error) => Err(error),
            None => self.sequencer.flush().map_err(ServeError::Log),
        }
    }

    /// Takes a batch, or leaves everybody who is not answered yet to the caller.
    fn take(&mut self, batch: &[Job]) -> Result<(), Trouble> {
        for _ in 0..TRIES {
            let mut answers = Vec::with_capacity(batch.len());
            let mut entries: Vec<&[u8]> = Vec::new();
            let standing = self.standing()?;
            let first = standing.size();
            for job in batch {
                let known = |(other, _): &(&Job, Result<Taken, Refusal>)| other.leaf == job.leaf;
                let answer = match answers.iter().find(|a| known(a)) {
                    Some((_, Ok(taken))) => Ok(Taken {
                        repeated: true,
                        ..*taken
                    }),
                    _ => self.consider(job)?,
                };
                if let Ok(Taken {
                    repeated: false, ..
                }) = answer
                {
                    entries.push(&job.entry);
                }
                answers.push((job, answer));
            }
            match self.append(first, &entries) {
                Ok(()) => {
                    for (job, answer) in answers {
                        if let Ok(Taken {
                            repeated: false, ..
                        }) = answer
                        {
                            self.recent.push(job.leaf);
                        }
                        // Whoever did not wait will ask again.
                        let _ = job.answer.send(answer);
                    }
                    return Ok(());
                }
                Err(SequencerError::Moved(_)) => self.standing = None,
                Err(error) => return Err(Trouble::Log(error)),
            }
        }
        Err(Trouble::Busy)
    }

    fn append(&mut self, first: u64, entries: &[&[u8]]) -> Result<(), SequencerError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.sequencer.append_at(first, entries, self.key)?;
        self.signers
            .grown(first.saturating_add(entries.len() as u64));
        Ok(())
    }

    fn consider(&mut self, job: &Job) -> Result<Result<Taken, Refusal>, Trouble> {
        if let Some(index) = self.recent.place(&job.leaf) {
            return Ok(Ok(Taken {
                index,
                repeated: true,
            }));
        }
        let standing = self.standing.as_mut().ok_or(Trouble::Busy)?;
        let index = standing.size();
        let considered = standing.consider(job.leaf, job.claim.clone());
        let considered = considered.map_err(|error| Trouble::Index(error.into()))?;
        Ok(match considered {
            Ok(()) => Ok(Taken {
                index,
                repeated: false,
            }),
            Err(ignored) => Err(Refusal::Ignored(ignored)),
        })
    }

    /// What the log amounts to, by the newest trust root.
    fn standing(&mut self) -> Result<&Standing, Trouble> {
        let outdated = |standing: &Standing| standing.is_long() || standing.has_newer_root();
        if self.standing.as_ref().is_none_or(outdated) {
            let size = self.sequencer.checkpoint().map_err(Trouble::Log)?.size;
            self.load(size).map_err(Trouble::Index)?;
        }
        self.standing.as_ref().ok_or(Trouble::Busy)
    }

    fn load(&mut self, size: u64) -> Result<(), IndexError> {
        self.standing = None;
        self.recent.extend(&Dir::open(&self.directory)?, size)?;
        self.standing = Some(Standing::load(&self.directory, size)?);
        self.signers.grown(size);
        Ok(())
    }
}

/// Why a batch was not taken.
enum Trouble {
    Log(SequencerError),
    Index(IndexError),
    Busy,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Index(error) => match std::error::Error::source(error) {
                Some(cause) => write!(f, "{error}: {cause}"),
                None => error.fmt(f),
            },
            Self::Busy => f.write_str("somebody else keeps appending"),
        }
    }
}

fn refuse(batch: &[Job], refusal: &Refusal) {
    for job in batch {
        // One that was answered already has its answer.
        let _ = job.answer.try_send(Err(refusal.clone()));
    }
}
