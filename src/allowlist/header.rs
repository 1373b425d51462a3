//! The header page of a table: what it is of, how it is laid out, and the hash of its top page.
//!
//! Owns the header's form (docs/formats.md, "Table"). The SHA-256 of this page
//! is the table's id, which the index note names; everything follows from it.

use crate::image::digest::Digest;

use super::page::{FAN_OUT, LEAF_RECORDS, PAGE_SIZE, PageBytes};
use super::record::RECORD_SIZE;

/// The most levels a table can have: 63^7 leaves are more than any disk holds.
pub const MAX_LEVELS: usize = 8;

const MAGIC: &[u8; 8] = b"VCNIDX01";
const PAGE: u64 = PAGE_SIZE as u64;
const PAGE_WORD: u32 = 4096;
const RECORD_WORD: u32 = 80;
const _: () = assert!(PAGE_SIZE == PAGE_WORD as usize && RECORD_SIZE == RECORD_WORD as usize);

/// Which of the two tables of an allowlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// Everything up to some log size; rebuilt seldom.
    Base,
    /// Every key touched since, each with all its records.
    Delta,
}

/// What a table says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: TableKind,
    pub(super) origin: Digest,
    pub(super) log_size: u64,
    pub(super) records: u64,
    pub(super) top: [u8; 32],
    pub(super) layout: Layout,
}

/// Where the pages of each level are: header, leaves, then the upper levels, top first.
///
/// Follows from the number of leaves alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    levels: usize,
    /// Offset and number of pages; level 0 first.
    table: [(u64, u64); MAX_LEVELS],
}

impl Layout {
    /// Lays out a table of so many leaves; `None` when it would not fit into 64 bits or 8 levels.
    pub(super) fn of(leaves: u64) -> Option<Self> {
        let mut table = [(0, 0); MAX_LEVELS];
        let sizes = std::iter::successors(Some(leaves), |pages| {
            (*pages > 1).then(|| pages.div_ceil(FAN_OUT))
        });
        let mut levels = 0;
        let mut top = 0;
        for (slot, pages) in table.iter_mut().zip(sizes) {
            *slot = (0, pages);
            top = pages;
            levels += 1;
        }
        if top != 1 {
            return None;
        }
        let mut offset = PAGE;
        let (leaves, upper) = table.split_first_mut()?;
        for (start, pages) in std::iter::once(leaves).chain(upper.iter_mut().rev()) {
            if *pages > 0 {
                *start = offset;
                offset = offset.checked_add(pages.checked_mul(PAGE)?)?;
            }
        }
        Some(Self { levels, table })
    }

    /// The number of levels, the leaves included.
    pub(super) const fn levels(&self) -> usize {
        self.levels
    }

    /// How many pages a level has.
    pub(super) fn pages(&self, level: usize) -> u64 {
        self.table.get(level).map_or(0, |(_, pages)| *pages)
    }

    /// How many children an interior page has: as many as fit, but for the last of its level.
    pub(super) fn children(&self, level: u8, number: u64) -> u64 {
        let below = usize::from(level)
            .checked_sub(1)
            .map_or(0, |below| self.pages(below));
        below
            .saturating_sub(number.saturating_mul(FAN_OUT))
            .min(FAN_OUT)
    }

    /// Where a page is; `None` when its level has no such page.
    pub(super) fn offset(&self, level: usize, number: u64) -> Option<u64> {
        let (start, pages) = self.table.get(level)?;
        (number < *pages).then(|| start + number * PAGE)
    }

    /// The length of the whole table.
    pub(super) fn size(&self) -> u64 {
        PAGE + PAGE * self.table.iter().map(|(_, pages)| pages).sum::<u64>()
    }
}

impl TableKind {
    const fn code(self) -> u8 {
        match self {
            Self::Base => 0,
            Self::Delta => 1,
        }
    }
}

impl Header {
    /// Writes the header page.
    pub(super) fn encode(&self) -> PageBytes {
        let mut page = [0; PAGE_SIZE];
        let levels = u32::try_from(self.layout.levels).unwrap_or(u32::MAX);
        let mut fields = Vec::with_capacity(236);
        fields.extend_from_slice(MAGIC);
        fields.extend_from_slice(&PAGE_WORD.to_be_bytes());
        fields.extend_from_slice(&levels.to_be_bytes());
        fields.extend_from_slice(&self.records.to_be_bytes());
        fields.extend_from_slice(&self.top);
        fields.extend_from_slice(&self.log_size.to_be_bytes());
        for (offset, pages) in &self.layout.table {
            fields.extend_from_slice(&offset.to_be_bytes());
            fields.extend_from_slice(&pages.to_be_bytes());
        }
        fields.extend_from_slice(self.origin.as_bytes());
        fields.extend_from_slice(&[self.kind.code(), 0, 0, 0, 0, 0, 0, 0]);
        fields.extend_from_slice(&RECORD_WORD.to_be_bytes());
        for (slot, byte) in page.iter_mut().zip(fields) {
            *slot = byte;
        }
        page
    }

    /// Reads a header page whose hash was checked before.
    pub(super) fn parse(page: &PageBytes) -> Result<Self, &'static str> {
        const SHORT: &str = "a header that is too short";
        let mut rest = page.as_slice();
        if take(&mut rest).ok_or(SHORT)? != *MAGIC {
            return Err("not a table");
        }
        // Page size and levels follow from the program and the leaves; see the comparison below.
        take::<8>(&mut rest).ok_or(SHORT)?;
        let records = u64::from_be_bytes(take(&mut rest).ok_or(SHORT)?);
        let top = take(&mut rest).ok_or(SHORT)?;
        let log_size = u64::from_be_bytes(take(&mut rest).ok_or(SHORT)?);
        take::<8>(&mut rest).ok_or(SHORT)?;
        let leaves = u64::from_be_bytes(take(&mut rest).ok_or(SHORT)?);
        take::<{ 16 * (MAX_LEVELS - 1) }>(&mut rest).ok_or(SHORT)?;
        let origin = Digest::from_bytes(take(&mut rest).ok_or(SHORT)?);
        let kind = match take(&mut rest).ok_or(SHORT)? {
            [0] => TableKind::Base,
            [1] => TableKind::Delta,
            _ => return Err("a table of a kind that is not known"),
        };
        let header = Self {
            kind,
            origin,
            log_size,
            records,
            top,
            layout: Layout::of(leaves).ok_or("a table without leaves, or with too many")?,
        };
        let fewest = records.div_ceil(LEAF_RECORDS as u64).max(1);
        if leaves < fewest || leaves > records.max(1) {
            return Err("a number of leaves that cannot hold the records");
        }
        // A table has one header: every byte that was not read above is what it must be.
        if header.encode() != *page {
            return Err("a header that is not laid out as it must be");
        }
        Ok(header)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::{Header, Layout, PAGE, TableKind};
    use crate::image::digest::Digest;

    fn header(leaves: u64, records: u64) -> Header {
        Header {
            kind: TableKind::Delta,
            origin: Digest::of(b"ledger.example/vcn"),
            log_size: 77,
            records,
            top: [9; 32],
            layout: Layout::of(leaves).unwrap(),
        }
    }

    #[test]
    fn lays_the_upper_levels_after_the_leaves_top_first() {
        let layout = Layout::of(196_079).unwrap();
        assert_eq!(layout.levels(), 4);
        let pages: Vec<_> = (0..5).map(|level| layout.pages(level)).collect();
        assert_eq!(pages, [196_079, 3113, 50, 1, 0]);
        assert_eq!(layout.offset(0, 0), Some(PAGE));
        assert_eq!(layout.offset(3, 0), Some(PAGE * 196_080));
        assert_eq!(layout.offset(2, 0), Some(PAGE * 196_081));
        assert_eq!(layout.offset(1, 0), Some(PAGE * 196_131));
        assert_eq!(layout.offset(1, 3113), None);
        assert_eq!(layout.size(), PAGE * (196_131 + 3113));
        assert_eq!(layout.children(1, 3112), 196_079 - 3112 * 63);
        assert_eq!(layout.children(2, 49), 3113 - 49 * 63);
        assert_eq!(layout.children(3, 0), 50);
    }

    #[test]
    fn has_as_many_levels_as_it_needs_and_no_more_than_eight() {
        for (leaves, levels) in [(1, 1), (2, 2), (63, 2), (64, 3), (63 * 63, 3), (3970, 4)] {
            assert_eq!(Layout::of(leaves).map(|l| l.levels()), Some(levels));
        }
        assert_eq!(Layout::of(63_u64.pow(7)).map(|l| l.levels()), Some(8));
        for leaves in [0, 63_u64.pow(7) + 1, u64::MAX] {
            assert_eq!(Layout::of(leaves), None, "{leaves}");
        }
    }

    #[test]
    fn a_header_survives_its_encoding() {
        for header in [header(1, 0), header(1, 51), header(2, 52), header(64, 3264)] {
            assert_eq!(Header::parse(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn refuses_leaves_that_cannot_hold_the_records() {
        for (leaves, records) in [(2, 0), (1, 52), (53, 52)] {
            assert_eq!(
                Header::parse(&header(leaves, records).encode()),
                Err("a number of leaves that cannot hold the records")
            );
        }
    }

    #[test]
    fn every_byte_of_a_header_is_checked_or_is_a_value() {
        let header = header(2, 52);
        let page = header.encode();
        for at in 0..page.len() {
            let mut changed = page;
            changed[at] ^= 1;
            if let Ok(parsed) = Header::parse(&changed) {
                assert_ne!(parsed, header, "byte {at}");
                // Records, top hash, log size, origin and kind: what a header is free to say.
                assert!(matches!(at, 16..64 | 192..225), "byte {at}");
            }
        }
    }
}
