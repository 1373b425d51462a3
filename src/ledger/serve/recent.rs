//! The leaf hashes of the newest entries, and where they stand.
//!
//! Owns answering a statement that comes twice: whoever did not hear the first
//! answer sends it again, and gets the same one.

use std::collections::{HashMap, VecDeque};

use crate::ledger::client::{self, Dir, ReadError};
use crate::ledger::tiles::{Row, TILE_WIDTH, TileName};

/// Entries remembered, some 5 MB: the last minutes of a very busy ledger, the last years of most.
const REMEMBERED: usize = 1 << 16;

/// The newest entries by their leaf hashes.
#[derive(Debug, Default)]
pub(super) struct Recent {
    places: HashMap<[u8; 32], u64>,
    order: VecDeque<[u8; 32]>,
    /// The place of the next entry.
    size: u64,
}

impl Recent {
    /// Reads the hashes that it lacks from the tiles of a log of `size` entries.
    pub(super) fn extend(&mut self, log: &Dir, size: u64) -> Result<(), ReadError> {
        let width = u64::from(TILE_WIDTH);
        let oldest = size.saturating_sub(REMEMBERED as u64) / width * width;
        if self.size < oldest {
            *self = Self {
                size: oldest,
                ..Self::default()
            };
        }
        for tile in self.size / width..size.div_ceil(width) {
            let Some(name) = TileName::in_tree(Row::Hashes(0), tile, size) else {
                break;
            };
            for (index, hash) in (tile * width..).zip(client::hashes(log, name)?) {
                if index == self.size {
                    self.push(hash);
                }
            }
        }
        Ok(())
    }

    /// Remembers the next entry.
    pub(super) fn push(&mut self, leaf: [u8; 32]) {
        // Of two equal entries the first one counts.
        self.places.entry(leaf).or_insert(self.size);
        self.order.push_back(leaf);
        self.size = self.size.saturating_add(1);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
    }

    /// Where an entry stands.
    pub(super) fn place(&self, leaf: &[u8; 32]) -> Option<u64> {
        self.places.get(leaf).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::{REMEMBERED, Recent};

    fn leaf(number: usize) -> [u8; 32] {
        *crate::image::digest::Digest::of(&number.to_be_bytes()).as_bytes()
    }

    #[test]
    fn knows_the_newest_entries_and_forgets_the_oldest() {
        let mut recent = Recent::default();
        for number in 0..REMEMBERED + 2 {
            recent.push(leaf(number));
        }
        assert_eq!(recent.place(&leaf(0)), None);
        assert_eq!(recent.place(&leaf(1)), None);
        assert_eq!(recent.place(&leaf(2)), Some(2));
        let last = REMEMBERED + 1;
        assert_eq!(recent.place(&leaf(last)), Some(last as u64));
        assert_eq!(recent.places.len(), REMEMBERED);
    }
}
