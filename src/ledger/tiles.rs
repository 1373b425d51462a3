//! Tiles: how a log is cut into immutable files (C2SP tlog-tiles v0.1.0).
//!
//! Owns the paths, the bytes of entry bundles and hash tiles, and their strict parsers.
//! Refuses to own where files come from and whether their hashes are right.

use std::fmt;
use std::str::FromStr;

/// Hashes in a full tile and entries in a full bundle (tlog-tiles, "Tiles": height 8).
pub const TILE_WIDTH: u16 = 256;

/// Bytes of the longest entry this program appends: a statement fits, a dump does not.
pub const MAX_ENTRY: usize = 16 * 1024;

/// Bytes of the longest bundle any log may serve: 256 entries of 65535 bytes with their lengths.
pub const MAX_BUNDLE: u64 = 256 * (65_535 + 2);

/// Bytes of a full hash tile.
pub const FULL_TILE: u64 = 256 * 32;

/// The highest level the specification names.
const MAX_LEVEL: u8 = 63;

/// Which kind of tile a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Row {
    /// Entry bundles: the log's entries themselves.
    Entries,
    /// Hash tiles of this level; a hash of level L covers 256^L entries.
    Hashes(u8),
}

/// The name of one file of a log: its row, its place in the row, how much of it is there.
///
/// ```
/// use vcn_hook::ledger::tiles::{Row, TileName};
///
/// let name = TileName { row: Row::Hashes(0), index: 1_234_067, width: 112 };
/// assert_eq!(name.to_string(), "tile/0/x001/x234/067.p/112");
/// assert_eq!("tile/0/x001/x234/067.p/112".parse(), Ok(name));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileName {
    /// Entries, or hashes of a level.
    pub row: Row,
    /// Which tile of the row, counted from 0.
    pub index: u64,
    /// Entries or hashes in it, 1 to 256; fewer than 256 makes it a partial tile.
    pub width: u16,
}

/// Why bytes or a path are not a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TileError {
    /// The path is not one that tlog-tiles can spell.
    Path,
    /// A length prefix reaches beyond the end of the bundle.
    Truncated,
    /// The number of entries or hashes is not the one in the file's name.
    Width {
        /// What the name says.
        expected: u16,
        /// What the bytes hold.
        found: usize,
    },
    /// An entry is longer than its 16-bit length prefix can say.
    EntryTooLong(usize),
}

impl TileName {
    /// A bundle of entries.
    #[must_use]
    pub const fn entries(index: u64, width: u16) -> Self {
        Self {
            row: Row::Entries,
            index,
            width,
        }
    }

    /// A tile of hashes.
    #[must_use]
    pub const fn hashes(level: u8, index: u64, width: u16) -> Self {
        Self {
            row: Row::Hashes(level),
            index,
            width,
        }
    }

    /// The same tile once it is full, which a log may serve in place of the partial one.
    #[must_use]
    pub const fn full(self) -> Self {
        Self {
            width: TILE_WIDTH,
            ..self
        }
    }

    /// True for a tile of fewer than 256 entries or hashes.
    #[must_use]
    pub const fn is_partial(self) -> bool {
        self.width < TILE_WIDTH
    }

    /// The most bytes that this file may have.
    #[must_use]
    pub fn cap(self) -> u64 {
        match self.row {
            Row::Entries => MAX_BUNDLE,
            Row::Hashes(_) => u64::from(self.width) * 32,
        }
    }

    /// The tile `index` of `row` in a tree of `size` entries; `None` where such a tree has none.
    #[must_use]
    pub fn in_tree(row: Row, index: u64, size: u64) -> Option<Self> {
        let left = items(row, size).checked_sub(index.checked_mul(256)?)?;
        let width = u16::try_from(left.min(256)).ok()?;
        (width > 0).then_some(Self { row, index, width })
    }

    /// All tiles of `row` in a tree of `size` entries, in order.
    pub fn all(row: Row, size: u64) -> impl Iterator<Item = Self> {
        (0..items(row, size).div_ceil(256)).filter_map(move |index| Self::in_tree(row, index, size))
    }

    /// The last tile of `row` in a tree of `size` entries, if it is a partial one.
    #[must_use]
    pub fn partial(row: Row, size: u64) -> Option<Self> {
        Self::in_tree(row, items(row, size) / 256, size)
    }
}

/// How many entries or hashes a row of a tree has.
fn items(row: Row, size: u64) -> u64 {
    match row {
        Row::Entries => size,
        Row::Hashes(level) => size.checked_shr(8 * u32::from(level)).unwrap_or(0),
    }
}

/// How many rows of hashes a tree of `size` entries has.
#[must_use]
pub fn levels(size: u64) -> u8 {
    (0..8)
        .take_while(|&level| items(Row::Hashes(level), size) > 0)
        .count()
        .try_into()
        .unwrap_or(8)
}

/// Appends one entry to a bundle.
///
/// # Errors
/// [`TileError::EntryTooLong`] when the length does not fit into 16 bits.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), TileError> {
    let length = u16::try_from(entry.len()).map_err(|_| TileError::EntryTooLong(entry.len()))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Splits a bundle into its entries.
///
/// # Errors
/// [`TileError::Truncated`], or [`TileError::Width`] unless there are exactly `width` entries.
pub fn parse_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::with_capacity(usize::from(width));
    let mut rest = bytes;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<2>().ok_or(TileError::Truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(TileError::Truncated)?;
        if entries.len() == usize::from(width) {
            return Err(wrong_width(width, entries.len().saturating_add(1)));
        }
        entries.push(entry);
        rest = after;
    }
    if entries.len() != usize::from(width) {
        return Err(wrong_width(width, entries.len()));
    }
    Ok(entries)
}

/// Splits a hash tile into its hashes.
///
/// # Errors
/// [`TileError::Truncated`] for a broken hash, [`TileError::Width`] unless there are exactly `width`.
pub fn parse_hashes(bytes: &[u8], width: u16) -> Result<Vec<[u8; 32]>, TileError> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(TileError::Truncated);
    }
    if hashes.len() != usize::from(width) {
        return Err(wrong_width(width, hashes.len()));
    }
    Ok(hashes.to_vec())
}

const fn wrong_width(expected: u16, found: usize) -> TileError {
    TileError::Width { expected, found }
}

impl fmt::Display for TileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Row::Entries => f.write_str("tile/entries/")?,
            Row::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let mut scale: u64 = 1;
        while self.index / scale >= 1000 {
            scale = scale.saturating_mul(1000);
        }
        while scale > 1 {
            write!(f, "x{:03}/", self.index / scale % 1000)?;
            scale /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.is_partial() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

impl FromStr for TileName {
    type Err = TileError;

    /// Accepts exactly the spellings that [`fmt::Display`] makes.
    fn from_str(path: &str) -> Result<Self, TileError> {
        let name = parse_path(path).ok_or(TileError::Path)?;
        // Leading zeros, missing groups and widths of 256 all come out spelled differently.
        if name.to_string() == path {
            Ok(name)
        } else {
            Err(TileError::Path)
        }
    }
}

fn parse_path(path: &str) -> Option<TileName> {
    let (row, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let row = match row {
        "entries" => Row::Entries,
        level => Row::Hashes(level.parse().ok().filter(|&level| level <= MAX_LEVEL)?),
    };
    let (groups, width) = match rest.split_once(".p/") {
        Some((groups, width)) => (groups, width.parse().ok().filter(|width| *width > 0)?),
        None => (rest, TILE_WIDTH),
    };
    let mut index: u64 = 0;
    for group in groups.split('/') {
        let digits: u16 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
        index = index.checked_mul(1000)?.checked_add(u64::from(digits))?;
    }
    Some(TileName { row, index, width })
}

impl fmt::Display for TileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("not the path of a tile"),
            Self::Truncated => f.write_str("ends in the middle of an entry or a hash"),
            Self::Width { expected, found } => {
                write!(
                    f,
                    "wrong number of entries or hashes: expected {expected}, found {found}"
                )
            }
            Self::EntryTooLong(length) => {
                write!(f, "an entry of {length} bytes does not fit into a bundle")
            }
        }
    }
}

impl std::error::Error for TileError {}

#[cfg(test)]
mod tests {
    use super::{Row, TileError, TileName, levels, parse_bundle, parse_hashes, push_entry};

    #[test]
    fn spells_paths_as_tlog_tiles_does() {
        for (row, index, width, path) in [
            (Row::Hashes(0), 0, 256, "tile/0/000"),
            (Row::Hashes(1), 999, 1, "tile/1/999.p/1"),
            (Row::Hashes(0), 1000, 256, "tile/0/x001/000"),
            (Row::Hashes(5), 1_234_067, 256, "tile/5/x001/x234/067"),
            (
                Row::Entries,
                1_234_067,
                255,
                "tile/entries/x001/x234/067.p/255",
            ),
            (
                Row::Entries,
                1_000_000_000,
                256,
                "tile/entries/x001/x000/x000/000",
            ),
            (
                Row::Hashes(63),
                u64::MAX,
                256,
                "tile/63/x018/x446/x744/x073/x709/x551/615",
            ),
        ] {
            let name = TileName { row, index, width };
            assert_eq!(name.to_string(), path);
            assert_eq!(path.parse(), Ok(name));
        }
    }

    #[test]
    fn refuses_every_other_spelling() {
        for path in [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/x000/000",
            "tile/0/001/000",
            "tile/0/x001/x000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/257",
            "tile/0/000.p/1/",
            "tile/0/000.p",
            "/tile/0/000",
            "tile/0/000/",
            "tile//000",
            "tile/entries/../000",
            "tile/0/x001",
            "tile/8/0/000",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/0/+01",
            "tile/0/000.p/1.p/1",
        ] {
            assert_eq!(path.parse::<TileName>(), Err(TileError::Path), "{path}");
        }
    }

    #[test]
    fn lays_out_trees_on_both_sides_of_every_boundary() {
        let names = |row, size| {
            TileName::all(row, size)
                .map(|tile| tile.to_string())
                .collect::<Vec<_>>()
        };
        for (size, entries, zero, one, two) in [
            (0_u64, vec![], vec![], vec![], Vec::<&str>::new()),
            (
                1,
                vec!["tile/entries/000.p/1"],
                vec!["tile/0/000.p/1"],
                vec![],
                vec![],
            ),
            (
                255,
                vec!["tile/entries/000.p/255"],
                vec!["tile/0/000.p/255"],
                vec![],
                vec![],
            ),
            (
                256,
                vec!["tile/entries/000"],
                vec!["tile/0/000"],
                vec!["tile/1/000.p/1"],
                vec![],
            ),
            (
                257,
                vec!["tile/entries/000", "tile/entries/001.p/1"],
                vec!["tile/0/000", "tile/0/001.p/1"],
                vec!["tile/1/000.p/1"],
                vec![],
            ),
            (
                512,
                vec!["tile/entries/000", "tile/entries/001"],
                vec!["tile/0/000", "tile/0/001"],
                vec!["tile/1/000.p/2"],
                vec![],
            ),
        ] {
            assert_eq!(names(Row::Entries, size), entries, "{size}");
            assert_eq!(names(Row::Hashes(0), size), zero, "{size}");
            assert_eq!(names(Row::Hashes(1), size), one, "{size}");
            assert_eq!(names(Row::Hashes(2), size), two, "{size}");
        }
        assert_eq!(names(Row::Hashes(1), 65_535), ["tile/1/000.p/255"]);
        assert_eq!(names(Row::Hashes(2), 65_536), ["tile/2/000.p/1"]);
        assert_eq!(names(Row::Hashes(1), 65_537), ["tile/1/000"]);
        for (size, count) in [
            (0, 0),
            (1, 1),
            (255, 1),
            (256, 2),
            (65_535, 2),
            (65_536, 3),
            (u64::MAX, 8),
        ] {
            assert_eq!(levels(size), count, "{size}");
        }
    }

    #[test]
    fn parses_only_whole_bundles_of_the_named_width() {
        let mut bundle = Vec::new();
        for entry in [&b"one"[..], b"", b"three"] {
            push_entry(&mut bundle, entry).unwrap();
        }
        assert_eq!(bundle, b"\0\x03one\0\0\0\x05three");
        assert_eq!(
            parse_bundle(&bundle, 3),
            Ok(vec![&b"one"[..], b"", b"three"])
        );
        let width = |expected, found| Err(TileError::Width { expected, found });
        assert_eq!(parse_bundle(&bundle, 2), width(2, 3));
        assert_eq!(parse_bundle(&bundle, 4), width(4, 3));
        for cut in [1, 4, 8, bundle.len() - 1] {
            assert_eq!(
                parse_bundle(&bundle[..cut], 3),
                Err(TileError::Truncated),
                "{cut}"
            );
        }
        let long = vec![0; 65_536];
        assert_eq!(
            push_entry(&mut bundle, &long),
            Err(TileError::EntryTooLong(65_536))
        );
        assert_eq!(parse_hashes(&[7; 64], 2), Ok(vec![[7; 32]; 2]));
        assert_eq!(
            parse_hashes(&[7; 64], 3),
            Err(TileError::Width {
                expected: 3,
                found: 2
            })
        );
        assert_eq!(parse_hashes(&[7; 63], 2), Err(TileError::Truncated));
    }
}
