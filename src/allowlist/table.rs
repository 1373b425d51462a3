//! Looking a key up in a table, every page verified before it is used.
//!
//! Owns the walk from the header's hash down to the leaf that must hold the
//! key, so that "not there" is as well proven as "there". The pages' form
//! belongs to `page`, where they are kept to `store`.

use std::fmt;

use crate::image::digest::Digest;

use super::header::{Header, Layout};
use super::page::{Expected, FAN_OUT, PAGE_SIZE, Page, entry_at, key_of, record_at};
use super::record::{Key, Record};

pub use super::header::TableKind;
pub use super::page::{PageBytes, PageError, Pages};

/// A table whose header is verified.
#[derive(Debug)]
pub struct Table<P> {
    pages: P,
    header: Header,
}

/// Why a table gives no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableError {
    /// A page cannot be read.
    Unreadable {
        /// Where it is.
        offset: u64,
        /// What the storage says.
        why: String,
    },
    /// The bytes are not those that were signed, or what was signed is no table.
    Tampered {
        /// Where it shows.
        offset: u64,
        /// How it shows.
        what: &'static str,
    },
}

/// All records of a table, in order, each page verified on the way. See [`Table::records`].
#[derive(Debug)]
pub struct Records<'a, P> {
    table: &'a Table<P>,
    /// The pages from the top to where we are.
    path: Vec<Step>,
    seen: u64,
    over: bool,
}

#[derive(Debug)]
struct Step {
    bytes: Box<PageBytes>,
    expected: Expected,
    count: usize,
    next: usize,
}

impl<P: Pages> Table<P> {
    /// Verifies the header: it has the hash `id`, and is of this ledger and kind.
    ///
    /// # Errors
    /// [`TableError`] when it is not, or cannot be read.
    pub fn open(pages: P, id: &Digest, kind: TableKind, origin: &str) -> Result<Self, TableError> {
        let tampered = |what| TableError::Tampered { offset: 0, what };
        let mut page = [0; PAGE_SIZE];
        read(&pages, 0, &mut page)?;
        if Digest::of(&page) != *id {
            return Err(tampered("another header than the index note names"));
        }
        let header = Header::parse(&page).map_err(tampered)?;
        if header.kind != kind {
            return Err(tampered(
                "a base where a delta should be, or a delta for a base",
            ));
        }
        if header.origin != Digest::of(origin.as_bytes()) {
            return Err(tampered("a table of another ledger"));
        }
        Ok(Self { pages, header })
    }

    /// Finds all records of `key`, in the order of their signers; none is a proof that there are none.
    ///
    /// # Errors
    /// [`TableError`] when a page on the way cannot be read or is not the one that was signed.
    pub fn lookup(&self, key: &Key) -> Result<Vec<Record>, TableError> {
        let mut bytes = [0; PAGE_SIZE];
        let mut expected = self.top();
        loop {
            match self.load(&expected, &mut bytes)? {
                Page::Interior(entries) => {
                    let after = entries.partition_point(|entry| key_of(entry) <= Some(*key));
                    let Some(at) = after.checked_sub(1) else {
                        return Ok(Vec::new());
                    };
                    expected = self.child(&bytes, &expected, at)?;
                }
                Page::Leaf(records) => {
                    let at = records.partition_point(|record| key_of(record) < Some(*key));
                    return records
                        .iter()
                        .skip(at)
                        .take_while(|record| key_of(*record) == Some(*key))
                        .map(|record| self.decode(&expected, record))
                        .collect();
                }
            }
        }
    }

    /// Walks through all records in order. The walk ends after the first error.
    #[must_use]
    pub fn records(&self) -> Records<'_, P> {
        Records {
            table: self,
            path: Vec::new(),
            seen: 0,
            over: false,
        }
    }

    /// Verifies every page and every record.
    ///
    /// # Errors
    /// The first [`TableError`].
    pub fn verify(&self) -> Result<(), TableError> {
        self.records().try_for_each(|record| record.map(drop))
    }

    /// How many records it has.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.header.records
    }

    /// Says whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.header.records == 0
    }

    /// The log size that it covers.
    #[must_use]
    pub const fn log_size(&self) -> u64 {
        self.header.log_size
    }

    /// Its length in bytes, header included.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.header.layout.size()
    }

    fn layout(&self) -> &Layout {
        &self.header.layout
    }

    fn top(&self) -> Expected {
        let level = self.layout().levels().saturating_sub(1);
        Expected {
            level: u8::try_from(level).unwrap_or(u8::MAX),
            number: 0,
            hash: self.header.top,
            first: None,
            end: None,
        }
    }

    /// Reads a page, compares its hash, then checks its form.
    fn load<'a>(
        &self,
        expected: &Expected,
        bytes: &'a mut PageBytes,
    ) -> Result<Page<'a>, TableError> {
        let offset = self.offset(expected);
        read(&self.pages, offset, bytes)?;
        if Digest::of(bytes) != Digest::from_bytes(expected.hash) {
            return Err(self.tampered(expected, "a page with another hash than its parent says"));
        }
        let page = Page::parse(bytes, expected).map_err(|what| self.tampered(expected, what))?;
        let right = match page {
            Page::Interior(entries) => {
                entries.len() as u64 == self.layout().children(expected.level, expected.number)
            }
            Page::Leaf(records) if self.layout().pages(0) == 1 => {
                records.len() as u64 == self.header.records
            }
            Page::Leaf(records) => !records.is_empty(),
        };
        if !right {
            return Err(self.tampered(expected, "a page with too few or too many entries"));
        }
        Ok(page)
    }

    /// What the verified interior page `bytes` says of its child `at`.
    fn child(
        &self,
        bytes: &PageBytes,
        parent: &Expected,
        at: usize,
    ) -> Result<Expected, TableError> {
        let count = self.layout().children(parent.level, parent.number);
        let next = entry_at(bytes, at + 1).filter(|_| (at as u64) + 1 < count);
        let (first, hash) = entry_at(bytes, at)
            .ok_or_else(|| self.tampered(parent, "a page with too few or too many entries"))?;
        Ok(Expected {
            level: parent.level.saturating_sub(1),
            number: parent.number * FAN_OUT + at as u64,
            hash,
            first: Some(first),
            end: next.map(|(key, _)| key).or(parent.end),
        })
    }

    fn decode(&self, leaf: &Expected, record: &[u8; 80]) -> Result<Record, TableError> {
        Record::decode(record).map_err(|error| self.tampered(leaf, error.0))
    }

    fn offset(&self, expected: &Expected) -> u64 {
        // A number beyond its level comes from no page that was checked; it would read past the end.
        self.layout()
            .offset(usize::from(expected.level), expected.number)
            .unwrap_or(u64::MAX)
    }

    fn tampered(&self, page: &Expected, what: &'static str) -> TableError {
        TableError::Tampered {
            offset: self.offset(page),
            what,
        }
    }
}

impl<P: Pages> Records<'_, P> {
    fn descend(&mut self, expected: Expected) -> Result<(), TableError> {
        let mut bytes = Box::new([0; PAGE_SIZE]);
        let count = match self.table.load(&expected, &mut bytes)? {
            Page::Leaf(records) => records.len(),
            Page::Interior(entries) => entries.len(),
        };
        self.path.push(Step {
            bytes,
            expected,
            count,
            next: 0,
        });
        Ok(())
    }

    fn advance(&mut self) -> Result<Option<Record>, TableError> {
        if self.seen == 0 && self.path.is_empty() {
            self.descend(self.table.top())?;
        }
        while let Some(step) = self.path.last_mut() {
            if step.next >= step.count {
                self.path.pop();
                continue;
            }
            let at = step.next;
            step.next += 1;
            if step.expected.level > 0 {
                let child = self.table.child(&step.bytes, &step.expected, at)?;
                self.descend(child)?;
            } else if let Some(record) = record_at(&step.bytes, at) {
                self.seen += 1;
                if self.seen > self.table.header.records {
                    break;
                }
                return self.table.decode(&step.expected, record).map(Some);
            }
        }
        if self.seen != self.table.header.records {
            let what = "another number of records than the header says";
            return Err(self.table.tampered(&self.table.top(), what));
        }
        Ok(None)
    }
}

impl<P: Pages> Iterator for Records<'_, P> {
    type Item = Result<Record, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.advance();
        self.over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

fn read<P: Pages>(pages: &P, offset: u64, bytes: &mut PageBytes) -> Result<(), TableError> {
    pages.read_page(offset, bytes).map_err(|error| match error {
        PageError::Truncated => TableError::Tampered {
            offset,
            what: "a table that is cut short",
        },
        PageError::Failed(why) => TableError::Unreadable { offset, why },
    })
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { offset, why } => write!(f, "cannot read at byte {offset}: {why}"),
            Self::Tampered { offset, what } => write!(f, "{what}, at byte {offset}"),
        }
    }
}

impl std::error::Error for TableError {}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
