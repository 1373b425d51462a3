//! Writing a table from sorted records.
//!
//! Owns the packing rule (docs/formats.md, "Table"): the same records give the
//! same bytes everywhere, because nodes recompute what the indexers signed.
//! Takes constant memory: one leaf, then a batch of pages of the level above.

use std::fmt;

use crate::image::digest::Digest;

use super::header::{Header, Layout, TableKind};
use super::index_note::TableRef;
use super::page::{FAN_OUT, LEAF_RECORDS, MAX_ENTRIES, PAGE_SIZE, PageBytes, page_head};
use super::record::{Key, MAX_RECORDS_PER_KEY, RECORD_SIZE, Record};

pub use super::page::{PageError, PageSink};

const PAGE: u64 = PAGE_SIZE as u64;
/// Pages of an upper level that are assembled at once: enough to keep cores busy, 256 KiB of entries.
const BATCH: u64 = 64;

/// Packs records into leaves, and on [`Builder::finish`] puts the upper levels and the header on top.
#[derive(Debug)]
pub struct Builder<S> {
    sink: S,
    kind: TableKind,
    origin: Digest,
    log_size: u64,
    records: u64,
    leaves: u64,
    /// Records of the leaf that is being filled.
    leaf: Vec<[u8; RECORD_SIZE]>,
    /// Where in `leaf` the records of the last key begin.
    group: usize,
    last: Option<(Key, u16)>,
}

/// Why a table was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildError {
    /// A record does not come after the one before it, by key and signer.
    Order,
    /// A key has more than [`MAX_RECORDS_PER_KEY`] records.
    Crowded,
    /// More leaves than a table can have.
    TooLarge,
    /// A page was not written or read back.
    Page(PageError),
}

impl<S: PageSink> Builder<S> {
    /// Starts a table of the ledger `origin` that covers `log_size` entries.
    pub fn new(sink: S, kind: TableKind, origin: &str, log_size: u64) -> Self {
        Self {
            sink,
            kind,
            origin: Digest::of(origin.as_bytes()),
            log_size,
            records: 0,
            leaves: 0,
            leaf: Vec::with_capacity(LEAF_RECORDS),
            group: 0,
            last: None,
        }
    }

    /// Adds the next record.
    ///
    /// # Errors
    /// [`BuildError::Order`] and [`BuildError::Crowded`] for what no table may hold,
    /// [`BuildError::Page`] when a full leaf cannot be written.
    pub fn push(&mut self, record: &Record) -> Result<(), BuildError> {
        let place = Some((record.key, record.signer));
        if self.last >= place {
            return Err(BuildError::Order);
        }
        if self.last.map(|(key, _)| key) != Some(record.key) {
            self.group = self.leaf.len();
        }
        if self.leaf.len() - self.group >= MAX_RECORDS_PER_KEY {
            return Err(BuildError::Crowded);
        }
        if self.leaf.len() == LEAF_RECORDS {
            // The whole key moves on to the next leaf with its last record.
            let moved = self.leaf.split_off(self.group);
            self.write_leaf()?;
            self.leaf = moved;
            self.group = 0;
        }
        self.leaf.push(record.encode());
        self.last = place;
        self.records += 1;
        Ok(())
    }

    /// Writes what is left, the upper levels and, last, the header.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`], or [`BuildError::Page`] when a page cannot be written or read back.
    pub fn finish(mut self) -> Result<TableRef, BuildError> {
        if !self.leaf.is_empty() || self.leaves == 0 {
            self.write_leaf()?;
        }
        let layout = Layout::of(self.leaves).ok_or(BuildError::TooLarge)?;
        for level in 1..layout.levels() {
            self.write_level(&layout, level)?;
        }
        let top = layout.levels() - 1;
        let mut page = [0; PAGE_SIZE];
        self.sink.read_page(offset(&layout, top, 0)?, &mut page)?;
        let header = Header {
            kind: self.kind,
            origin: self.origin,
            log_size: self.log_size,
            records: self.records,
            top: *Digest::of(&page).as_bytes(),
            layout,
        }
        .encode();
        self.sink.write_page(0, &header)?;
        Ok(TableRef {
            log_size: self.log_size,
            records: self.records,
            id: Digest::of(&header),
        })
    }

    fn write_leaf(&mut self) -> Result<(), BuildError> {
        let head = page_head(0, self.leaf.len(), self.leaves);
        let page = assemble(&head, self.leaf.as_flattened());
        let offset = self.leaves.checked_add(1).and_then(|n| n.checked_mul(PAGE));
        self.sink
            .write_page(offset.ok_or(BuildError::TooLarge)?, &page)?;
        self.leaves += 1;
        self.leaf.clear();
        Ok(())
    }

    /// Writes one of the upper levels. The level below is read back, so that its hashes need not be
    /// remembered, and in batches, so that the sink can hash on all cores.
    fn write_level(&mut self, layout: &Layout, level: usize) -> Result<(), BuildError> {
        let code = u8::try_from(level).map_err(|_| BuildError::TooLarge)?;
        let (pages, below) = (layout.pages(level), layout.pages(level - 1));
        let mut number = 0;
        while number < pages {
            let first = number * FAN_OUT;
            let children = (below - first).min(BATCH * FAN_OUT);
            let start = offset(layout, level - 1, first)?;
            let entries = self.sink.entries(start, children)?;
            for siblings in entries.chunks(MAX_ENTRIES) {
                let head = page_head(code, siblings.len(), number);
                let page = assemble(&head, siblings.as_flattened());
                self.sink
                    .write_page(offset(layout, level, number)?, &page)?;
                number += 1;
            }
        }
        Ok(())
    }
}

fn offset(layout: &Layout, level: usize, number: u64) -> Result<u64, BuildError> {
    layout.offset(level, number).ok_or(BuildError::TooLarge)
}

fn assemble(head: &[u8], body: &[u8]) -> PageBytes {
    let mut page = [0; PAGE_SIZE];
    for (at, part) in [(0, head), (head.len(), body)] {
        if let Some(slot) = page.get_mut(at..at + part.len()) {
            slot.copy_from_slice(part);
        }
    }
    page
}

impl From<PageError> for BuildError {
    fn from(error: PageError) -> Self {
        Self::Page(error)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order => f.write_str("the records are not sorted by key and signer"),
            Self::Crowded => {
                write!(f, "a key has more than {MAX_RECORDS_PER_KEY} records")
            }
            Self::TooLarge => f.write_str("too many records for one table"),
            Self::Page(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {}
