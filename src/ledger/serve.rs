//! A ledger over HTTP: its files for everybody, and statements from known signers.
//!
//! Owns the routes and the life of the server: who waits for whom, and what is
//! finished before it ends. The files are those that any web server could
//! serve; the one thing that needs a program is `POST /add`.

mod append;
mod condition;
mod files;
mod recent;
mod refusal;
mod renew;
mod signers;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use nix::fcntl::{Flock, FlockArg};
use serde_json::json;

use append::{Appender, Entrance};
use files::Public;
use renew::Bell;

use super::index::IndexError;
use super::sequencer::SequencerError;
use super::statement::MAX_ENTRY_SIZE;
use crate::http::message::{Answer, Head, Method};
use crate::http::{Connection, ReadBody, Stop};
use crate::trust::keys::SecretKey;

/// Where statements are sent.
const ADD: &str = "/add";

/// Told what whoever keeps the ledger should know.
pub type Tell<'a> = &'a (dyn Fn(&str) + Sync);

/// What to serve, and with which keys.
#[derive(Debug)]
pub struct Serve<'a> {
    /// The ledger's directory.
    pub directory: &'a Path,
    /// The key that signs its checkpoints.
    pub log: &'a SecretKey,
    /// The key that signs its index; without it somebody else publishes the index.
    pub indexer: Option<&'a SecretKey>,
    /// For how many seconds an index note is good.
    pub validity: u64,
    /// The clock, in Unix seconds.
    pub now: fn() -> u64,
}

/// Why a ledger cannot be served, or not any longer.
#[derive(Debug)]
pub enum ServeError {
    /// Another process serves it.
    Busy(PathBuf),
    /// A file of the private state cannot be used.
    Disk(PathBuf, io::Error),
    /// The log cannot be written.
    Log(SequencerError),
    /// What the log amounts to cannot be read, or not be published.
    Index(IndexError),
}

impl Serve<'_> {
    /// Serves until `stop` is told to end, then answers what is owed and returns.
    ///
    /// # Errors
    /// [`ServeError`] when it cannot begin, or the disk cannot be believed any more.
    pub fn run(&self, stop: &Stop, ready: &dyn Fn(), tell: Tell<'_>) -> Result<(), ServeError> {
        let _lock = self.lock()?;
        let (appender, entrance) = Appender::open(self.directory.to_owned(), self.log)?;
        let bell = Bell::default();
        if let Some(indexer) = self.indexer {
            renew::publish(self, indexer).map_err(ServeError::Index)?;
        }
        ready();
        let (bell, directory) = (&bell, self.directory);
        thread::scope(|scope| {
            let indexing = scope.spawn(move || renew::run(self, bell, tell));
            let appending = scope.spawn(move || appender.run(bell, stop, tell));
            stop.accept(scope, {
                let entrance = entrance.clone();
                move |stream| {
                    let answer = |head: &Head, body: &mut ReadBody<'_>| {
                        route(directory, &entrance, head, body)
                    };
                    Connection::new(stream).converse(stop, &answer);
                }
            });
            // The connections that are left hold the other entrances.
            drop(entrance);
            let appended = appending.join();
            bell.end();
            let _ = indexing.join();
            appended.unwrap_or(Ok(()))
        })
    }

    /// One process serves a ledger; the sequencer's own lock is for whoever appends beside it.
    fn lock(&self) -> Result<Flock<std::fs::File>, ServeError> {
        let path = self.directory.join(".state/serve.lock");
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        let file = file.map_err(|error| ServeError::Disk(path.clone(), error))?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| match error {
            nix::errno::Errno::EWOULDBLOCK => ServeError::Busy(self.directory.to_owned()),
            error => ServeError::Disk(path, error.into()),
        })
    }
}

fn route(directory: &Path, entrance: &Entrance, head: &Head, body: &mut ReadBody<'_>) -> Answer {
    if let Some(public) = Public::named(&head.path) {
        return match head.method {
            Method::Get | Method::Head => public.answer(directory, head),
            Method::Post | Method::Other => Answer::not_allowed("GET, HEAD"),
        };
    }
    if head.path != ADD {
        return Answer::refusal(404, "not-found", "there is nothing here");
    }
    if head.method != Method::Post {
        return Answer::not_allowed("POST");
    }
    let entry = match body(MAX_ENTRY_SIZE as u64) {
        Ok(entry) => entry,
        Err(refusal) => return refusal,
    };
    match entrance.add(entry) {
        Ok(taken) => Answer::json(
            200,
            &json!({ "index": taken.index, "status": "applied", "repeated": taken.repeated }),
        ),
        Err(refusal) => refusal.into(),
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(path) => {
                write!(f, "another process serves the ledger '{}'", path.display())
            }
            Self::Disk(path, _) => write!(f, "cannot use '{}'", path.display()),
            Self::Log(_) => f.write_str("the log cannot be written"),
            Self::Index(_) => f.write_str("the log cannot be indexed"),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Busy(_) => None,
            Self::Disk(_, error) => Some(error),
            Self::Log(error) => Some(error),
            Self::Index(error) => Some(error),
        }
    }
}
