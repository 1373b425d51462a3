//! One page of a table: its head, its entries, and every check that needs no other page.
//!
//! Owns the page's form (docs/formats.md, "Table"). Whether a page is the one
//! that was asked for is decided by its hash, in `table`, before it comes here.

use std::fmt;

use crate::image::digest::Digest;

use super::record::{Key, MAX_RECORDS_PER_KEY, RECORD_SIZE};

/// Bytes of every page.
pub const PAGE_SIZE: usize = 4096;
/// The most children of an interior page.
pub const FAN_OUT: u64 = MAX_ENTRIES as u64;
/// The most records of a leaf.
pub const LEAF_RECORDS: usize = BODY / RECORD_SIZE;

const ZEROS: PageBytes = [0; PAGE_SIZE];
const HEAD: usize = 16;
const BODY: usize = PAGE_SIZE - HEAD;
/// First key and page hash of a child.
const ENTRY_SIZE: usize = 64;
pub(super) const MAX_ENTRIES: usize = BODY / ENTRY_SIZE;
const KEY_SIZE: usize = 32;
/// What orders the records of a leaf: key and signer, big-endian, as they stand.
const ORDER_SIZE: usize = 34;

/// The bytes of a page.
pub type PageBytes = [u8; PAGE_SIZE];

/// Where the pages of a table are read from.
pub trait Pages {
    /// Fills `page` with the bytes at `offset`.
    ///
    /// # Errors
    /// [`PageError::Truncated`] when there are not as many bytes, [`PageError::Failed`] when they cannot be read.
    fn read_page(&self, offset: u64, page: &mut PageBytes) -> Result<(), PageError>;
}

/// Where the pages of a table are written to.
pub trait PageSink: Pages {
    /// Writes `page` at `offset`, which may lie beyond what has been written so far.
    ///
    /// # Errors
    /// [`PageError::Failed`] when it cannot.
    fn write_page(&mut self, offset: u64, page: &PageBytes) -> Result<(), PageError>;

    /// Makes the parents' entries for a run of `count` pages that were written before.
    ///
    /// Most of the time of a build is spent here; a sink that can do it on several cores does.
    ///
    /// # Errors
    /// As [`Pages::read_page`].
    fn entries(&self, offset: u64, count: u64) -> Result<Vec<Entry>, PageError> {
        entries(self, offset, count)
    }
}

/// What an interior page has for a child: its first key and the hash of its page.
pub type Entry = [u8; ENTRY_SIZE];

/// Makes the parents' entries for a run of `count` pages, one after the other.
///
/// # Errors
/// As [`Pages::read_page`].
pub fn entries<P: Pages + ?Sized>(
    pages: &P,
    offset: u64,
    count: u64,
) -> Result<Vec<Entry>, PageError> {
    let mut page = [0; PAGE_SIZE];
    (0..count)
        .map(|number| {
            pages.read_page(offset + number * PAGE_SIZE as u64, &mut page)?;
            let mut entry = [0; ENTRY_SIZE];
            // Leaves and interior pages both begin with the first key of what they hold.
            let key = page.iter().skip(HEAD).take(KEY_SIZE);
            let hash = Digest::of(&page);
            for (slot, byte) in entry.iter_mut().zip(key.chain(hash.as_bytes())) {
                *slot = *byte;
            }
            Ok(entry)
        })
        .collect()
}

/// Why a page was not read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageError {
    /// The table ends before the page does.
    Truncated,
    /// The storage below says why.
    Failed(String),
}

/// A page whose form was checked.
#[derive(Debug)]
pub(super) enum Page<'a> {
    Leaf(&'a [[u8; RECORD_SIZE]]),
    Interior(&'a [[u8; ENTRY_SIZE]]),
}

/// What the pages above say of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// 0 for a leaf.
    pub(super) level: u8,
    /// Its place in its level.
    pub(super) number: u64,
    /// The hash that its parent, or the header, has for it.
    pub(super) hash: [u8; 32],
    /// The first key that its parent has for it; `None` for the top page.
    pub(super) first: Option<Key>,
    /// The first key of the page after it: all of its own keys are less.
    pub(super) end: Option<Key>,
}

impl<'a> Page<'a> {
    /// Checks the form of a page whose hash was checked before.
    pub(super) fn parse(bytes: &'a PageBytes, expected: &Expected) -> Result<Self, &'static str> {
        let (head, body) = bytes
            .split_first_chunk::<HEAD>()
            .ok_or("a page without a head")?;
        let count = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if *head != page_head(expected.level, count, expected.number) {
            return Err("a page of another place or level");
        }
        if expected.level == 0 {
            let records = used(body.as_chunks(), count)?;
            check_order(records, |record| record.first_chunk::<ORDER_SIZE>())?;
            check_bounds(records, expected)?;
            let later = records.iter().skip(MAX_RECORDS_PER_KEY);
            if later.zip(records).any(|(b, a)| key_of(a) == key_of(b)) {
                return Err("a key with too many records");
            }
            Ok(Self::Leaf(records))
        } else {
            let entries = used(body.as_chunks(), count)?;
            check_order(entries, |entry| entry.first_chunk::<32>())?;
            check_bounds(entries, expected)?;
            Ok(Self::Interior(entries))
        }
    }
}

/// The head of a page: level u8 | 0 | count u16 | 0 u32 | number u64.
///
/// A count beyond u16 cannot be written and therefore matches no page.
pub(super) fn page_head(level: u8, count: usize, number: u64) -> [u8; HEAD] {
    let count = u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [
        level, 0, count[0], count[1], 0, 0, 0, 0, a, b, c, d, e, f, g, h,
    ]
}

/// The `n`-th record of a leaf whose form was checked before.
pub(super) fn record_at(bytes: &PageBytes, n: usize) -> Option<&[u8; RECORD_SIZE]> {
    bytes.get(HEAD..)?.as_chunks().0.get(n)
}

/// The `n`-th entry of an interior page whose form was checked before.
pub(super) fn entry_at(bytes: &PageBytes, n: usize) -> Option<(Key, [u8; 32])> {
    entry(bytes.get(HEAD..)?.as_chunks().0.get(n)?)
}

/// The key that a record or an entry begins with.
pub(super) fn key_of(item: &[u8]) -> Option<Key> {
    item.first_chunk().copied().map(Key::from_bytes)
}

/// The first key and the hash of an interior entry.
fn entry(bytes: &[u8; ENTRY_SIZE]) -> Option<(Key, [u8; 32])> {
    Some((key_of(bytes)?, *bytes.last_chunk()?))
}

fn used<'a, const N: usize>(
    (items, tail): (&'a [[u8; N]], &'a [u8]),
    count: usize,
) -> Result<&'a [[u8; N]], &'static str> {
    let (used, unused) = items
        .split_at_checked(count)
        .ok_or("a page with more entries than fit")?;
    // Compared as slices: a byte at a time, this took longer than the page's hash.
    let zero = |bytes: &[u8]| ZEROS.get(..bytes.len()) == Some(bytes);
    if !zero(unused.as_flattened()) || !zero(tail) {
        return Err("bytes that should be zero");
    }
    Ok(used)
}

fn check_order<'a, T, K: Ord>(
    items: &'a [T],
    order: impl Fn(&'a T) -> Option<K>,
) -> Result<(), &'static str> {
    // `None` sorts before everything and so never passes as greater.
    if items.is_sorted_by(|a, b| order(a) < order(b)) {
        Ok(())
    } else {
        Err("a page that is not sorted")
    }
}

fn check_bounds<const N: usize>(
    items: &[[u8; N]],
    expected: &Expected,
) -> Result<(), &'static str> {
    let first = items.first().and_then(|item| key_of(item));
    let last = items.last().and_then(|item| key_of(item));
    if expected.first.is_some() && first != expected.first {
        return Err("a page with another first key than its parent says");
    }
    if expected.end.is_some() && last >= expected.end {
        return Err("a page that reaches into the next one");
    }
    Ok(())
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the table is cut short"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for PageError {}

impl Pages for Vec<u8> {
    fn read_page(&self, offset: u64, page: &mut PageBytes) -> Result<(), PageError> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.get(offset..))
            .and_then(|rest| rest.first_chunk())
            .ok_or(PageError::Truncated)?;
        *page = *bytes;
        Ok(())
    }
}

impl PageSink for Vec<u8> {
    fn write_page(&mut self, offset: u64, page: &PageBytes) -> Result<(), PageError> {
        let full = || PageError::Failed("no memory is that large".into());
        let offset = usize::try_from(offset).map_err(|_| full())?;
        let end = offset.checked_add(PAGE_SIZE).ok_or_else(full)?;
        if self.len() < end {
            self.resize(end, 0);
        }
        if let Some(slot) = self.get_mut(offset..end) {
            slot.copy_from_slice(page);
        }
        Ok(())
    }
}

impl<P: Pages + ?Sized> Pages for &P {
    fn read_page(&self, offset: u64, page: &mut PageBytes) -> Result<(), PageError> {
        (**self).read_page(offset, page)
    }
}

impl<P: PageSink + ?Sized> PageSink for &mut P {
    fn write_page(&mut self, offset: u64, page: &PageBytes) -> Result<(), PageError> {
        (**self).write_page(offset, page)
    }

    fn entries(&self, offset: u64, count: u64) -> Result<Vec<Entry>, PageError> {
        (**self).entries(offset, count)
    }
}

impl<P: Pages + ?Sized> Pages for &mut P {
    fn read_page(&self, offset: u64, page: &mut PageBytes) -> Result<(), PageError> {
        (**self).read_page(offset, page)
    }
}
