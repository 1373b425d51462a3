//! Bundles as a follower asks for them: exactly as many entries as the name says.
//!
//! Owns cutting what a ledger serves, and continuing a partial bundle that is
//! at hand. Whether the entries are the log's is shown by their root alone.

use crate::ledger::client::{self, ReadError, TlogRead};
use crate::ledger::range::{CompactRange, leaf_hash};
use crate::ledger::tiles::{Row, TILE_WIDTH, TileError, TileName, parse_bundle};

/// Reads the bundle `name`. `known` is its beginning, if a narrower one is at hand; only what follows is asked for.
///
/// # Errors
/// [`ReadError`].
pub fn read(log: &dyn TlogRead, name: TileName, known: &[u8]) -> Result<Vec<u8>, ReadError> {
    let (_, piece) = client::tile(log, name, known.len() as u64)?;
    if piece.from == 0 {
        return Ok(cut(piece.bytes, name.width));
    }
    let bytes = cut([known, &piece.bytes].concat(), name.width);
    if parse_bundle(&bytes, name.width).is_ok() {
        return Ok(bytes);
    }
    // The two do not fit together: the whole of it shows what is wrong, or that only ours was.
    read(log, name, &[])
}

fn cut(mut bytes: Vec<u8>, width: u16) -> Vec<u8> {
    bytes.truncate(length(&bytes, width));
    bytes
}

/// How many bytes the first `width` entries have; all of them when there are fewer entries.
#[must_use]
pub fn length(bytes: &[u8], width: u16) -> usize {
    let mut at = 0;
    for _ in 0..width {
        let Some(length) = bytes.get(at..).and_then(<[u8]>::first_chunk::<2>) else {
            return bytes.len();
        };
        at += 2 + usize::from(u16::from_be_bytes(*length));
    }
    at.min(bytes.len())
}

/// Appends the entries up to `until` to a range, from a log that has `size` entries.
///
/// # Errors
/// What reading says, or that a bundle is malformed. Whether it is the right log, the range's root says.
pub fn advance<E: From<ReadError> + From<TileError>>(
    log: &dyn TlogRead,
    range: &mut CompactRange,
    until: u64,
    size: u64,
) -> Result<(), E> {
    if range.size() >= until {
        return Ok(());
    }
    let width = u64::from(TILE_WIDTH);
    for index in range.size() / width..until.div_ceil(width) {
        let Some(name) = TileName::in_tree(Row::Entries, index, size) else {
            return Ok(());
        };
        let bytes = read(log, name, &[])?;
        for (at, entry) in (index * width..until).zip(parse_bundle(&bytes, name.width)?) {
            if at == range.size() {
                range.append(leaf_hash(entry));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::length;
    use crate::ledger::tiles::push_entry;

    #[test]
    fn cuts_after_the_asked_entries_and_never_beyond_the_end() {
        let mut bundle = Vec::new();
        for entry in [&b"one"[..], b"", b"three"] {
            push_entry(&mut bundle, entry).unwrap();
        }
        for (width, expected) in [(0, 0), (1, 5), (2, 7), (3, 14), (4, 14), (256, 14)] {
            assert_eq!(length(&bundle, width), expected, "{width}");
        }
        assert_eq!(length(&bundle[..10], 3), 10);
        assert_eq!(length(&bundle[..8], 3), 8);
    }
}
