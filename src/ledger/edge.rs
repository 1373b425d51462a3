//! The right edge of a log: what must be at hand to append to it.
//!
//! Owns which files a batch of entries adds (every full tile, and one partial tile per row
//! that grew). Refuses to touch a disk: `sequencer` writes, `check` compares.

use super::range::{CompactRange, fold, leaf_hash};
use super::tiles::{
    Row, TILE_WIDTH, TileError, TileName, levels, parse_bundle, parse_hashes, push_entry,
};

/// One immutable file of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewFile {
    /// Its name below the log's directory.
    pub(crate) name: TileName,
    /// All of its bytes.
    pub(crate) bytes: Vec<u8>,
}

/// The compact range of a log and its unfinished tiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edge {
    range: CompactRange,
    /// The hashes of the partial tile of each level.
    rows: Vec<Vec<[u8; 32]>>,
    /// The partial bundle.
    bundle: Vec<u8>,
}

/// Why the edge of a log cannot be read.
#[derive(Debug)]
pub(crate) enum EdgeError<E> {
    /// A file of it cannot be read.
    Read(E),
    /// A file of it is malformed.
    Tile(TileName, TileError),
    /// The partial bundle and the partial tile of leaf hashes disagree.
    Leaves(TileName),
}

impl Edge {
    /// Reads the edge of a log of `size` entries. Its root is the caller's to compare.
    pub(crate) fn load<E>(
        size: u64,
        mut read: impl FnMut(TileName) -> Result<Vec<u8>, E>,
    ) -> Result<Self, EdgeError<E>> {
        let mut edge = Self::default();
        for level in 0..levels(size) {
            let row = match TileName::partial(Row::Hashes(level), size) {
                Some(name) => {
                    let bytes = read(name).map_err(EdgeError::Read)?;
                    parse_hashes(&bytes, name.width)
                        .map_err(|error| EdgeError::Tile(name, error))?
                }
                None => Vec::new(),
            };
            edge.rows.push(row);
        }
        // The largest subtrees stand first, and they are on the highest level.
        let heights: Vec<u32> = (0..64).step_by(8).take(edge.rows.len()).collect();
        for (height, row) in heights.iter().zip(&edge.rows).rev() {
            for hash in row {
                edge.range.append_subtree(*height, *hash);
            }
        }
        if let Some(name) = TileName::partial(Row::Entries, size) {
            edge.bundle = read(name).map_err(EdgeError::Read)?;
            let entries = parse_bundle(&edge.bundle, name.width)
                .map_err(|error| EdgeError::Tile(name, error))?;
            let leaves: Vec<[u8; 32]> = entries.into_iter().map(leaf_hash).collect();
            if edge.rows.first() != Some(&leaves) {
                return Err(EdgeError::Leaves(name));
            }
        }
        Ok(edge)
    }

    /// How many entries the log has, and their root.
    pub(crate) fn range(&self) -> &CompactRange {
        &self.range
    }

    /// Appends entries, and says which files the log has more for it.
    ///
    /// After an error the edge is of no log.
    pub(crate) fn grow<T: AsRef<[u8]>>(
        &mut self,
        entries: &[T],
    ) -> Result<Vec<NewFile>, TileError> {
        let mut files = Vec::new();
        for entry in entries {
            let index = self.range.size() / 256;
            push_entry(&mut self.bundle, entry.as_ref())?;
            let leaf = leaf_hash(entry.as_ref());
            self.range.append(leaf);
            if self.range.size().is_multiple_of(256) {
                let bytes = std::mem::take(&mut self.bundle);
                let name = TileName::entries(index, TILE_WIDTH);
                files.push(NewFile { name, bytes });
            }
            self.push(0, leaf, &mut files);
        }
        if !entries.is_empty() {
            files.extend(self.partials(entries.len() as u64));
        }
        Ok(files)
    }

    fn push(&mut self, level: u8, hash: [u8; 32], files: &mut Vec<NewFile>) {
        if self.rows.len() == usize::from(level) {
            self.rows.push(Vec::new());
        }
        let Some(row) = self.rows.get_mut(usize::from(level)) else {
            return;
        };
        row.push(hash);
        if row.len() < usize::from(TILE_WIDTH) {
            return;
        }
        let full = std::mem::take(row);
        let span = 8 * (u32::from(level) + 1);
        let index = self
            .range
            .size()
            .checked_shr(span)
            .unwrap_or(0)
            .saturating_sub(1);
        let name = TileName::hashes(level, index, TILE_WIDTH);
        let bytes = full.concat();
        files.push(NewFile { name, bytes });
        self.push(level.saturating_add(1), fold(&full), files);
    }

    /// The unfinished tiles that grew with the last `added` entries.
    fn partials(&self, added: u64) -> Vec<NewFile> {
        let size = self.range.size();
        let before = size.saturating_sub(added);
        let rows = (0..)
            .zip(&self.rows)
            .map(|(level, row)| (Row::Hashes(level), row.concat()));
        std::iter::once((Row::Entries, self.bundle.clone()))
            .chain(rows)
            .filter_map(|(row, bytes)| {
                let name = TileName::partial(row, size)?;
                let grew = TileName::partial(row, before) != Some(name);
                grew.then_some(NewFile { name, bytes })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::Edge;
    use crate::ledger::range::{CompactRange, leaf_hash};
    use crate::ledger::tiles::{Row, TileName, levels};

    /// Grows a log by batches of these sizes and checks its files after each.
    fn grow(batches: &[u32]) {
        let mut files: BTreeMap<TileName, Vec<u8>> = BTreeMap::new();
        let (mut edge, mut range) = (Edge::default(), CompactRange::default());
        let mut next = 0_u32;
        for batch in batches {
            let entries: Vec<[u8; 4]> = (next..next + batch).map(u32::to_be_bytes).collect();
            next += batch;
            entries
                .iter()
                .for_each(|entry| range.append(leaf_hash(entry)));
            for file in edge.grow(&entries).unwrap() {
                assert_eq!(files.insert(file.name, file.bytes), None, "{}", file.name);
            }
            assert_eq!(edge.range(), &range);
            let size = range.size();
            let rows = (0..levels(size)).map(Row::Hashes).chain([Row::Entries]);
            for name in rows.filter_map(|row| TileName::partial(row, size)) {
                assert!(files.contains_key(&name), "{name} at {size}");
            }
            let read = |name| Ok::<_, Infallible>(files[&name].clone());
            let loaded = Edge::load(size, read).unwrap();
            assert_eq!(
                (loaded.range(), &loaded.bundle),
                (edge.range(), &edge.bundle)
            );
        }
        let size = range.size();
        for row in (0..levels(size)).map(Row::Hashes).chain([Row::Entries]) {
            for name in TileName::all(row, size) {
                assert!(files.contains_key(&name), "{name}");
            }
        }
        assert_eq!(
            files
                .keys()
                .filter(|name| name.row == Row::Entries && !name.is_partial())
                .count() as u64,
            size / 256
        );
    }

    #[test]
    fn has_every_file_of_every_size_it_stops_at() {
        grow(&[1; 520]);
        grow(&[255, 1, 1, 254, 1, 1, 256, 257, 513]);
        grow(&[65_535, 1, 1]);
        grow(&[0, 66_000, 0, 10]);
    }
}
