//! The bytes of bbolt's pages, checked before they are believed.
//!
//! Owns the layout (bbolt `page.go`, `meta.go`, `bucket.go`); numbers are in the
//! machine's byte order, as bbolt writes them. Fetching pages belongs to the parent.

use super::{BoltError, Meta};

/// Leaf element flag: the value is a bucket.
pub(super) const BUCKET: u32 = 1;
/// Page header, then the meta record with its checksum.
pub(super) const META_SIZE: usize = HEADER + 64;

const HEADER: usize = 16;
const ELEMENT: usize = 16;
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;

/// A page of a bucket's tree.
pub(super) enum Page<'a> {
    Branch(Branch<'a>),
    Leaf(Leaf<'a>),
}

/// Smallest key and page id of each child, in order.
pub(super) struct Branch<'a>(Elements<'a>);

/// Keys and values, in order.
pub(super) struct Leaf<'a>(Elements<'a>);

struct Elements<'a> {
    bytes: &'a [u8],
    count: usize,
}

/// Parses a meta page; `None` when it is not valid, as one is while it is being written.
pub(super) fn parse_meta(bytes: &[u8; META_SIZE]) -> Option<Meta> {
    let page_size = u64::from(u32_at(bytes, HEADER + 8)?);
    let valid = u32_at(bytes, HEADER)? == MAGIC
        && u32_at(bytes, HEADER + 4)? == VERSION
        && u64_at(bytes, HEADER + 56)? == fnv64a(bytes.get(HEADER..HEADER + 56)?)
        // The sizes that some operating system has: anything else would let ids overflow.
        && page_size.is_power_of_two()
        && (1024..=65536).contains(&page_size);
    valid.then_some(Meta {
        page_size,
        root: u64_at(bytes, HEADER + 16)?,
        end: u64_at(bytes, HEADER + 40)?,
        transaction: u64_at(bytes, HEADER + 48)?,
    })
}

/// The page id in a page's header.
pub(super) fn id(page: &[u8]) -> Result<u64, BoltError> {
    u64_at(page, 0).ok_or(SHORT)
}

/// How many more pages belong to this one.
pub(super) fn overflow(page: &[u8]) -> Result<u64, BoltError> {
    u32_at(page, 12).map(u64::from).ok_or(SHORT)
}

/// The root page of a stored bucket, zero for an inline one, and the inline page.
pub(super) fn parse_bucket(value: &[u8]) -> Result<(u64, &[u8]), BoltError> {
    let root = u64_at(value, 0).ok_or(SHORT)?;
    // A sequence number of 8 bytes lies between.
    Ok((root, value.get(16..).ok_or(SHORT)?))
}

const SHORT: BoltError = BoltError::Damaged("a page is too short");
const RANGE: BoltError = BoltError::Damaged("an element lies outside its page");

impl<'a> Page<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, BoltError> {
        let count = usize::from(u16_at(bytes, 10).ok_or(SHORT)?);
        if bytes.len() < HEADER + count * ELEMENT {
            return Err(RANGE);
        }
        let elements = Elements { bytes, count };
        match u16_at(bytes, 8).ok_or(SHORT)? {
            BRANCH => Ok(Self::Branch(Branch(elements))),
            LEAF => Ok(Self::Leaf(Leaf(elements))),
            _ => Err(BoltError::Damaged("a page is neither branch nor leaf")),
        }
    }
}

impl Branch<'_> {
    /// The child that holds `key`, if any does.
    pub(super) fn child(&self, key: &[u8]) -> Result<u64, BoltError> {
        // The last child whose first key is not after `key`; before all of them, the first.
        let after = self
            .0
            .partition(|place| Ok(self.element(place)?.0 <= key))?;
        Ok(self.element(after.saturating_sub(1))?.1)
    }

    pub(super) fn children(&self) -> Result<Vec<u64>, BoltError> {
        (0..self.0.count)
            .map(|place| Ok(self.element(place)?.1))
            .collect()
    }

    fn element(&self, place: usize) -> Result<(&[u8], u64), BoltError> {
        let at = self.0.at(place)?;
        let key = self
            .0
            .slice(at, self.0.number(at)?, 0, self.0.number(at + 4)?)?;
        Ok((key, u64_at(self.0.bytes, at + 8).ok_or(SHORT)?))
    }
}

impl<'a> Leaf<'a> {
    pub(super) fn len(&self) -> usize {
        self.0.count
    }

    /// Flags and value of `key`.
    pub(super) fn find(&self, key: &[u8]) -> Result<Option<(u32, &'a [u8])>, BoltError> {
        let place = self.0.partition(|place| Ok(self.element(place)?.1 < key))?;
        if place == self.0.count {
            return Ok(None);
        }
        let (flags, found, value) = self.element(place)?;
        Ok((found == key).then_some((flags, value)))
    }

    /// Flags, key and value.
    pub(super) fn element(&self, place: usize) -> Result<(u32, &'a [u8], &'a [u8]), BoltError> {
        let at = self.0.at(place)?;
        let (flags, offset) = (
            u32_at(self.0.bytes, at).ok_or(SHORT)?,
            self.0.number(at + 4)?,
        );
        let (key, value) = (self.0.number(at + 8)?, self.0.number(at + 12)?);
        Ok((
            flags,
            self.0.slice(at, offset, 0, key)?,
            self.0.slice(at, offset, key, value)?,
        ))
    }
}

impl<'a> Elements<'a> {
    fn at(&self, place: usize) -> Result<usize, BoltError> {
        if place >= self.count {
            return Err(RANGE);
        }
        Ok(HEADER + place * ELEMENT)
    }

    fn number(&self, at: usize) -> Result<usize, BoltError> {
        let number = u32_at(self.bytes, at).ok_or(SHORT)?;
        usize::try_from(number).map_err(|_| RANGE)
    }

    /// `length` bytes, `skip` after `offset` from the element at `at`.
    fn slice(
        &self,
        at: usize,
        offset: usize,
        skip: usize,
        length: usize,
    ) -> Result<&'a [u8], BoltError> {
        let start = at
            .checked_add(offset)
            .and_then(|start| start.checked_add(skip));
        let end = start.and_then(|start| start.checked_add(length));
        let (Some(start), Some(end)) = (start, end) else {
            return Err(RANGE);
        };
        self.bytes.get(start..end).ok_or(RANGE)
    }

    /// The first place where `before` no longer holds.
    fn partition(
        &self,
        before: impl Fn(usize) -> Result<bool, BoltError>,
    ) -> Result<usize, BoltError> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(middle)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

/// FNV-1a with 64 bits, bbolt's checksum of a meta page.
fn fnv64a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::{META_SIZE, Page, fnv64a, parse_meta};

    #[test]
    fn the_checksum_is_fnv_1a() {
        assert_eq!(fnv64a(b""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv64a(b"foobar"), 0x8594_4171_F739_67E8);
    }

    #[test]
    fn a_meta_page_is_refused_when_any_bit_is_torn() {
        let good = super::super::tests::meta_page(4096, 3, 10, 7);
        let mut bytes: [u8; META_SIZE] = good[..META_SIZE].try_into().unwrap();
        assert!(parse_meta(&bytes).is_some());
        for at in 16..META_SIZE {
            bytes[at] ^= 1;
            assert_eq!(parse_meta(&bytes), None, "byte {at}");
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn an_element_outside_its_page_is_refused() {
        let mut page = vec![0; 48];
        page[8..10].copy_from_slice(&2_u16.to_ne_bytes());
        for (count, offset, key, value) in [
            (1_u16, u32::MAX, 1_u32, 0_u32),
            (1, 16, u32::MAX, 0),
            (1, 16, 1, u32::MAX),
            (1, 31, 2, 0),
            (3, 16, 1, 0),
        ] {
            page[10..12].copy_from_slice(&count.to_ne_bytes());
            page[20..24].copy_from_slice(&offset.to_ne_bytes());
            page[24..28].copy_from_slice(&key.to_ne_bytes());
            page[28..32].copy_from_slice(&value.to_ne_bytes());
            let refused = match Page::parse(&page) {
                Ok(Page::Leaf(leaf)) => leaf.find(b"k").is_err(),
                Ok(Page::Branch(_)) => false,
                Err(_) => true,
            };
            assert!(refused, "{count} {offset} {key} {value}");
        }
    }
}
