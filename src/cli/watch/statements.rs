//! What the ledger's statements say, from the copy of the log that sync keeps.
//!
//! Owns that each statement is looked up once: a log never changes what it has said.

use std::collections::HashMap;

use crate::cli::history::History;
use crate::cli::verification;
use crate::cli::view::{self, LogCopy};
use crate::config::Config;
use crate::watch::look::Statements;
use crate::watch::sweep::Stated;

/// As many statements as are kept; a node has some hundred images.
const MAX_KEPT: usize = 4096;

/// The statements that were looked up, and the copy of the log.
pub(in crate::cli) struct Copied {
    copy: Option<LogCopy>,
    known: HashMap<u64, Stated>,
}

impl Copied {
    pub(in crate::cli) fn new() -> Self {
        Self {
            copy: None,
            known: HashMap::new(),
        }
    }

    /// Takes the copy as it is now. Without one, verdicts are the same and say less.
    pub(in crate::cli) fn renew(&mut self, config: &Config) {
        self.copy = view::copy_in(config, &config.state_dir).ok();
        if self.known.len() > MAX_KEPT {
            self.known.clear();
        }
    }

    fn read(&self, log_index: u64) -> Option<Stated> {
        let copy = self.copy.as_ref()?;
        let history = History::open(copy.log.as_ref(), &copy.root).ok()?;
        let entry = history.at(log_index).ok()??;
        let said =
            verification::Stated::of(entry.index, &entry.statement, &entry.signer, &copy.root);
        Some(Stated {
            log_index,
            organisation: said.organisation,
            signer: said.signer,
            key: said.key,
            name: said.name,
            time: said.time,
        })
    }
}

impl Statements for Copied {
    fn at(&mut self, log_index: u64) -> Option<Stated> {
        if let Some(known) = self.known.get(&log_index) {
            return Some(known.clone());
        }
        let read = self.read(log_index)?;
        self.known.insert(log_index, read.clone());
        Some(read)
    }
}
