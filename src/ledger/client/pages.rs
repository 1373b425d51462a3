//! The pages of a table that a ledger serves, fetched one by one.
//!
//! A lookup needs a handful of pages of a table of any size, and verifies each.

use super::TlogRead;
use crate::allowlist::page::PAGE_SIZE;
use crate::allowlist::table::{PageBytes, PageError, Pages};
use crate::image::digest::Digest;

/// The pages of one table.
#[derive(Debug)]
pub struct RemoteTable<'a> {
    log: &'a dyn TlogRead,
    path: String,
}

impl<'a> RemoteTable<'a> {
    /// The table of this id. Nothing is asked yet.
    #[must_use]
    pub fn new(log: &'a dyn TlogRead, id: &Digest) -> Self {
        Self {
            log,
            path: format!("index/{}.idx", id.hex()),
        }
    }
}

impl Pages for RemoteTable<'_> {
    fn read_page(&self, offset: u64, page: &mut PageBytes) -> Result<(), PageError> {
        let read = self.log.slice(&self.path, offset, PAGE_SIZE as u64);
        let read = read.map_err(|error| PageError::Failed(error.to_string()))?;
        let bytes =
            read.ok_or_else(|| PageError::Failed(format!("the ledger lacks '{}'", self.path)))?;
        *page = bytes.try_into().map_err(|_| PageError::Truncated)?;
        Ok(())
    }
}
