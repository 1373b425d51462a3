//! Taking up a log that somebody else has left, or that has been left in the middle.
//!
//! Owns which states of the private and the public files go together, and what
//! is done about those that nearly do. A fork is refused, whatever made it.

use super::disk::Stamp;
use super::files::parent;
use super::known::{self, Known};
use super::staging::Staging;
use super::{MAX_TREE, Names, PUBLIC_FILE, Sequencer, SequencerError};
use crate::ledger::checkpoint::{Checkpoint, MAX_CHECKPOINT};

impl Sequencer {
    /// Brings the log to one state: finishes the batch of the tree state, and refuses a fork.
    pub(super) fn settle(&mut self) -> Result<Checkpoint, SequencerError> {
        let path = self.files.public("checkpoint");
        let published = self.files.read(&path, MAX_CHECKPOINT)?;
        if let Some(known) = &self.known
            && published.as_ref() == Some(&known.signed)
            && self.files.stamp()? == known.stamp
        {
            return Ok(known.checkpoint.clone());
        }
        self.known = None;
        let published = published.map(|bytes| self.verify(&path, &bytes));
        let published = published.transpose()?;
        let path = self.files.state("tree");
        let stamp = self.files.stamp()?;
        let bytes = self.files.read(&path, MAX_TREE)?;
        let bytes = bytes.ok_or_else(|| SequencerError::NoLog(self.files.directory.clone()))?;
        let known = match Staging::parse(&bytes) {
            Some(staging) => self.finish(staging, stamp, published.as_ref())?,
            None => self.begin(bytes, stamp, published.as_ref())?,
        };
        Ok(self.known.insert(known).checkpoint.clone())
    }

    /// Takes up a tree state of no batch: that of a new log.
    fn begin(
        &self,
        signed: Vec<u8>,
        stamp: Option<Stamp>,
        published: Option<&Checkpoint>,
    ) -> Result<Known, SequencerError> {
        let checkpoint = self.verify(&self.files.state("tree"), &signed)?;
        if published.is_none() && checkpoint.size == 0 {
            // What is about to be published must not be able to vanish again.
            self.files.sync(&[self.files.directory.join(".state")])?;
            self.files
                .replace(&self.files.public("checkpoint"), &signed, PUBLIC_FILE)?;
        } else if published != Some(&checkpoint) {
            return Err(forked(&checkpoint, published));
        }
        let edge = known::load(&checkpoint, |name| self.files.tile(name))?;
        Ok(Known {
            stamp,
            signed,
            checkpoint,
            edge,
        })
    }

    /// Applies the batch of the tree state once more: whoever did so first may have been stopped,
    /// or have lost the names that it gave.
    fn finish(
        &mut self,
        staging: Staging,
        stamp: Option<Stamp>,
        published: Option<&Checkpoint>,
    ) -> Result<Known, SequencerError> {
        let checkpoint = self.verify(&self.files.state("tree"), &staging.signed)?;
        if published != Some(&checkpoint) && published != Some(&staging.before) {
            return Err(forked(&checkpoint, published));
        }
        let mut edge = known::load(&staging.before, |name| self.files.tile(name))?;
        let new = edge
            .grow(&staging.entries)
            .map_err(|error| SequencerError::Damaged(error.to_string()))?;
        if (edge.range().size(), edge.range().root()) != (checkpoint.size, checkpoint.root) {
            let what = "the tree state's batch does not lead to its checkpoint";
            return Err(SequencerError::Damaged(what.to_owned()));
        }
        self.files.sync(&[self.files.directory.join(".state")])?;
        for file in &new {
            let path = self.files.public(&file.name.to_string());
            let parents = self.files.make_directories(parent(&path), Names::Unsure)?;
            self.unsure.extend(parents);
            if self.files.lacks(&path, file)? {
                self.files
                    .replace_unsynced(&path, &file.bytes, PUBLIC_FILE)?;
            }
            self.unsure.push(parent(&path).to_owned());
        }
        if published != Some(&checkpoint) {
            let path = self.files.public("checkpoint");
            self.files
                .replace_unsynced(&path, &staging.signed, PUBLIC_FILE)?;
        }
        self.unsure.push(self.files.directory.clone());
        Ok(Known {
            stamp,
            signed: staging.signed,
            checkpoint,
            edge,
        })
    }
}

fn forked(private: &Checkpoint, published: Option<&Checkpoint>) -> SequencerError {
    SequencerError::Forked {
        private: private.size,
        published: published.map(|checkpoint| checkpoint.size),
    }
}
