//! Proofs of inclusion and of consistency (RFC 6962 §2.1.1, §2.1.2).
//!
//! Owns which subtrees a proof names and their hashes from tiles. Refuses to
//! judge its own work: the `ct-merkle` crate verifies, whoever made the proof.

use std::collections::HashMap;
use std::fmt;

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2::Sha256;

use super::range::{CompactRange, EMPTY_ROOT, fold};
use super::tiles::{Row, TileName};

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofError {
    /// The index or the old size lies outside the tree.
    Range,
    /// The proof does not lead from the one to the other.
    Mismatch,
}

/// Where a proof's hashes come from: the parsed hashes of one tile.
pub trait HashTiles {
    /// Why a tile cannot be had.
    type Error;

    /// The hashes of a tile, at least [`TileName::width`] of them.
    ///
    /// # Errors
    /// The implementor's.
    fn hashes(&mut self, tile: TileName) -> Result<Vec<[u8; 32]>, Self::Error>;
}

/// Reads the hashes of subtrees of one tree, each tile once.
#[derive(Debug)]
pub struct Prover<T> {
    tiles: T,
    size: u64,
    read: HashMap<TileName, Vec<[u8; 32]>>,
}

impl<T: HashTiles> Prover<T> {
    /// Proves things about the tree of `size` entries whose tiles these are.
    pub fn new(tiles: T, size: u64) -> Self {
        Self {
            tiles,
            size,
            read: HashMap::new(),
        }
    }

    /// The hashes that prove the entry `index` to be in the tree. Empty when it is not.
    ///
    /// # Errors
    /// The tiles'.
    pub fn inclusion(&mut self, index: u64) -> Result<Vec<[u8; 32]>, T::Error> {
        let mut path = Vec::new();
        let (mut start, mut end) = (0, self.size);
        while index < end && end - start > 1 {
            let middle = split(start, end);
            if index < middle {
                path.push((middle, end));
                end = middle;
            } else {
                path.push((start, middle));
                start = middle;
            }
        }
        self.subtrees(path)
    }

    /// The hashes that prove the tree of `old` entries to be a prefix of this one.
    /// Empty for an old size of 0, which needs no proof, and for one beyond the tree.
    ///
    /// # Errors
    /// The tiles'.
    pub fn consistency(&mut self, old: u64) -> Result<Vec<[u8; 32]>, T::Error> {
        let mut path = Vec::new();
        let (mut start, mut end) = (0, self.size);
        if old == 0 || old >= end {
            return Ok(Vec::new());
        }
        while old != end {
            let middle = split(start, end);
            if old <= middle {
                path.push((middle, end));
                end = middle;
            } else {
                path.push((start, middle));
                start = middle;
            }
        }
        // The verifier knows the old root, so a prefix that is a subtree by itself is not repeated.
        if start > 0 {
            path.push((start, end));
        }
        self.subtrees(path)
    }

    /// The root of the first `size` entries.
    ///
    /// # Errors
    /// The tiles'.
    pub fn root(&mut self, size: u64) -> Result<[u8; 32], T::Error> {
        if size == 0 {
            return Ok(EMPTY_ROOT);
        }
        self.subtree(0, size)
    }

    /// The compact range of the first `size` entries: where a follower goes on from.
    ///
    /// # Errors
    /// The tiles'.
    pub fn range(&mut self, size: u64) -> Result<CompactRange, T::Error> {
        self.cover(0, size)
    }

    /// Proofs name the subtrees from the leaf up; `path` was found from the root down.
    fn subtrees(&mut self, path: Vec<(u64, u64)>) -> Result<Vec<[u8; 32]>, T::Error> {
        path.into_iter()
            .rev()
            .map(|(start, end)| self.subtree(start, end))
            .collect()
    }

    fn subtree(&mut self, start: u64, end: u64) -> Result<[u8; 32], T::Error> {
        Ok(self.cover(start, end)?.root())
    }

    /// Covers entries from `start`, which begins a subtree at least as large as the rest, to `end`.
    fn cover(&mut self, start: u64, end: u64) -> Result<CompactRange, T::Error> {
        let mut range = CompactRange::default();
        let mut at = start;
        while at < end {
            let height = (end - at).ilog2().min(63);
            let hash = self.complete(height, at)?;
            range.append_subtree(height, hash);
            at = at.saturating_add(1 << height);
        }
        Ok(range)
    }

    /// The hash of the complete subtree of 2^`height` entries that begins at entry `start`.
    fn complete(&mut self, height: u32, start: u64) -> Result<[u8; 32], T::Error> {
        let level = height / 8;
        let first = start >> (8 * level);
        let count = 1_usize << (height % 8);
        let row = Row::Hashes(u8::try_from(level).unwrap_or(u8::MAX));
        let name = TileName::in_tree(row, first / 256, self.size);
        let Some(name) = name else {
            return Ok(EMPTY_ROOT);
        };
        let hashes = match self.read.entry(name) {
            std::collections::hash_map::Entry::Occupied(read) => read.into_mut(),
            std::collections::hash_map::Entry::Vacant(unread) => {
                unread.insert(self.tiles.hashes(name)?)
            }
        };
        let first = usize::try_from(first % 256).unwrap_or(0);
        // A tile that is shorter than its name says makes a proof that does not verify.
        let row = hashes.get(first..).unwrap_or_default();
        Ok(fold(row.get(..count).unwrap_or(row)))
    }
}

/// Where RFC 6962 splits the entries from `start` to `end`: after the largest power of two that leaves some.
fn split(start: u64, end: u64) -> u64 {
    let width = end.saturating_sub(start).max(2);
    start.saturating_add(1 << (width - 1).ilog2())
}

/// Requires `entry` to be number `index` in the tree of `size` entries with this `root`.
///
/// # Errors
/// [`ProofError`].
pub fn verify_inclusion(
    root: &[u8; 32],
    size: u64,
    index: u64,
    entry: &[u8],
    proof: &[[u8; 32]],
) -> Result<(), ProofError> {
    if index >= size || size > u64::MAX / 2 {
        return Err(ProofError::Range);
    }
    let proof = InclusionProof::<Sha256>::try_from_bytes(proof.concat())
        .map_err(|_| ProofError::Mismatch)?;
    RootHash::<Sha256>::new((*root).into(), size)
        .verify_inclusion(&entry, index, &proof)
        .map_err(|_| ProofError::Mismatch)
}

/// Requires the tree (`old_size`, `old_root`) to be a prefix of the tree (`size`, `root`).
///
/// # Errors
/// [`ProofError`].
pub fn verify_consistency(
    old_root: &[u8; 32],
    old_size: u64,
    root: &[u8; 32],
    size: u64,
    proof: &[[u8; 32]],
) -> Result<(), ProofError> {
    if old_size > size || size > u64::MAX / 2 {
        return Err(ProofError::Range);
    }
    if old_size == 0 {
        // Every tree grew from the empty one, whose root is known; there is nothing to prove.
        let holds = proof.is_empty() && *old_root == EMPTY_ROOT;
        return holds.then_some(()).ok_or(ProofError::Mismatch);
    }
    let proof = ConsistencyProof::<Sha256>::try_from_bytes(proof.concat())
        .map_err(|_| ProofError::Mismatch)?;
    let old = RootHash::<Sha256>::new((*old_root).into(), old_size);
    RootHash::<Sha256>::new((*root).into(), size)
        .verify_consistency(&old, &proof)
        .map_err(|_| ProofError::Mismatch)
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Range => "outside the tree",
            Self::Mismatch => "the proof does not hold",
        })
    }
}

impl std::error::Error for ProofError {}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::{HashTiles, ProofError, Prover, verify_consistency, verify_inclusion};
    use crate::image::digest::{Digest, hex};
    use crate::ledger::range::tests::{CT_LEAVES, CT_ROOTS};
    use crate::ledger::range::{CompactRange, fold, leaf_hash};
    use crate::ledger::tiles::{Row, TileName};

    /// The tiles of a tree whose leaf hashes are all in memory.
    struct Memory(Vec<[u8; 32]>);

    impl HashTiles for &Memory {
        type Error = Infallible;

        fn hashes(&mut self, tile: TileName) -> Result<Vec<[u8; 32]>, Infallible> {
            let Row::Hashes(level) = tile.row else {
                panic!("asked for entries")
            };
            let span = 256_usize.pow(u32::from(level));
            let first = usize::try_from(tile.index).unwrap() * 256 * span;
            let row = self.0[first..]
                .chunks_exact(span)
                .take(usize::from(tile.width));
            let row: Vec<[u8; 32]> = row.map(fold).collect();
            assert_eq!(row.len(), usize::from(tile.width), "{tile}");
            Ok(row)
        }
    }

    fn root(text: &str) -> [u8; 32] {
        *Digest::from_hex(text).unwrap().as_bytes()
    }

    #[test]
    fn makes_the_proofs_of_the_reference_tree() {
        let tree = Memory(CT_LEAVES.iter().map(|leaf| leaf_hash(leaf)).collect());
        let a = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
        let b = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
        let c = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
        let d = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
        let e = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
        let f = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
        let [one, two, four] = [CT_ROOTS[0], CT_ROOTS[1], CT_ROOTS[3]];
        for (size, index, expected) in [
            (1, 0, vec![]),
            (8, 0, vec![a, b, c]),
            (8, 5, vec![d, e, four]),
            (3, 2, vec![two]),
            (5, 1, vec![one, b, d]),
        ] {
            let tree = Memory(tree.0[..size].to_vec());
            let proof = Prover::new(&tree, tree.0.len() as u64)
                .inclusion(index)
                .unwrap();
            let hexed: Vec<String> = proof.iter().map(|hash| hex(hash)).collect();
            assert_eq!(hexed, expected, "{index} of {size}");
        }
        for (old, size, expected) in [
            (1, 1, vec![]),
            (1, 8, vec![a, b, c]),
            (6, 8, vec![f, e, four]),
            (2, 5, vec![b, d]),
        ] {
            let tree = Memory(tree.0[..size].to_vec());
            let proof = Prover::new(&tree, tree.0.len() as u64)
                .consistency(old)
                .unwrap();
            let hexed: Vec<String> = proof.iter().map(|hash| hex(hash)).collect();
            assert_eq!(hexed, expected, "{old} to {size}");
        }
    }

    #[test]
    fn every_proof_of_the_reference_tree_holds_and_no_other_does() {
        for (size, new) in (1_u64..).zip(CT_ROOTS.map(root)) {
            let leaves = CT_LEAVES
                .iter()
                .zip(0..size)
                .map(|(leaf, _)| leaf_hash(leaf));
            let tree = Memory(leaves.collect());
            let mut prover = Prover::new(&tree, size);
            assert_eq!(prover.root(size), Ok(new));
            for (index, leaf) in (0..size).zip(CT_LEAVES) {
                let proof = prover.inclusion(index).unwrap();
                let check = |index, leaf| verify_inclusion(&new, size, index, leaf, &proof);
                assert_eq!(check(index, leaf), Ok(()));
                assert_eq!(check(index, b"other"), Err(ProofError::Mismatch));
                assert_eq!(check(size, leaf), Err(ProofError::Range));
            }
            for (old_size, old) in (1..=size).zip(CT_ROOTS.map(root)) {
                let proof = prover.consistency(old_size).unwrap();
                let check = |old| verify_consistency(old, old_size, &new, size, &proof);
                assert_eq!(check(&old), Ok(()));
                assert_eq!(check(&[9; 32]), Err(ProofError::Mismatch));
            }
            let shrunk = verify_consistency(&new, size + 1, &new, size, &[]);
            assert_eq!(shrunk, Err(ProofError::Range));
        }
    }

    #[test]
    fn proves_across_tile_boundaries() {
        let leaves: Vec<[u8; 32]> = (0..65_537_u64)
            .map(|n| leaf_hash(&n.to_be_bytes()))
            .collect();
        let prefix = |size: u64| leaves[..usize::try_from(size).unwrap()].to_vec();
        for size in [255, 256, 257, 511, 512, 513, 65_537_u64] {
            let tree = Memory(prefix(size));
            let mut prover = Prover::new(&tree, size);
            let mut range = CompactRange::default();
            prefix(size).into_iter().for_each(|leaf| range.append(leaf));
            assert_eq!(prover.range(size).unwrap(), range);
            let new = range.root();
            for index in [0, 1, 254, 255, 256, size / 2, size - 1] {
                let proof = prover.inclusion(index).unwrap();
                let held = verify_inclusion(&new, size, index, &index.to_be_bytes(), &proof);
                let expected = if index < size {
                    Ok(())
                } else {
                    Err(ProofError::Range)
                };
                assert_eq!(held, expected, "{index} of {size}");
            }
            for old_size in [1, 2, 255, 256, 257, size - 1, size] {
                let old = prover.root(old_size.min(size)).unwrap();
                let proof = prover.consistency(old_size).unwrap();
                let held = verify_consistency(&old, old_size, &new, size, &proof);
                let expected = if old_size <= size {
                    Ok(())
                } else {
                    Err(ProofError::Range)
                };
                assert_eq!(held, expected, "{old_size} to {size}");
            }
        }
    }
}
