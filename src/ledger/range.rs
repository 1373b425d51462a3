//! Hashes of a growing tree (RFC 6962 §2.1) in at most 64 of them.
//!
//! Owns leaf and node hashing and the compact range: all that a follower of a log keeps.
//! Whoever appends every entry and finds the checkpoint's root has verified consistency.

use sha2::{Digest as _, Sha256};

/// The root of the empty tree: SHA-256 of nothing.
pub const EMPTY_ROOT: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// Hashes an entry: SHA-256(0x00 ‖ entry).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update([0])
        .chain_update(entry)
        .finalize()
        .into()
}

/// Hashes two subtrees: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The first `size` entries of a log: one hash per complete subtree, largest first.
///
/// ```
/// use vcn_hook::ledger::range::{CompactRange, leaf_hash, node_hash};
///
/// let mut range = CompactRange::default();
/// range.append(leaf_hash(b"a"));
/// range.append(leaf_hash(b"b"));
/// assert_eq!((range.size(), range.root()), (2, node_hash(&leaf_hash(b"a"), &leaf_hash(b"b"))));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    hashes: Vec<[u8; 32]>,
}

impl CompactRange {
    /// How many entries are covered.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends the leaf hash of the next entry.
    pub fn append(&mut self, leaf: [u8; 32]) {
        self.append_subtree(0, leaf);
    }

    /// Appends a complete subtree of 2^`height` entries; the range must end on a multiple of that.
    pub(crate) fn append_subtree(&mut self, height: u32, hash: [u8; 32]) {
        let mut hash = hash;
        let mut trees = self.size.checked_shr(height).unwrap_or(0);
        while trees & 1 == 1 {
            let Some(left) = self.hashes.pop() else { break };
            hash = node_hash(&left, &hash);
            trees >>= 1;
        }
        self.hashes.push(hash);
        self.size = self
            .size
            .saturating_add(1_u64.checked_shl(height).unwrap_or(0));
    }

    /// The range at the last multiple of `width` (a power of two) that it has reached.
    #[must_use]
    pub(crate) fn before_part(&self, width: u64) -> Self {
        let size = self.size - self.size.checked_rem(width).unwrap_or(0);
        let whole = usize::try_from(size.count_ones()).unwrap_or(0);
        Self {
            size,
            hashes: self.hashes.iter().take(whole).copied().collect(),
        }
    }

    /// The root of the tree of these entries.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        self.hashes
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or(EMPTY_ROOT)
    }

    /// The range as a follower keeps it on disk: the size (8 bytes, big-endian), then the hashes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        bytes.extend(self.hashes.iter().flatten());
        bytes
    }

    /// Reads what [`CompactRange::to_bytes`] wrote. `None` unless there is one hash per set bit of the size.
    ///
    /// The hashes are believed: compare [`CompactRange::root`] with a signed checkpoint's.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk::<8>()?;
        let size = u64::from_be_bytes(*size);
        let (hashes, rest) = rest.as_chunks::<32>();
        let expected = usize::try_from(size.count_ones()).ok()?;
        (rest.is_empty() && hashes.len() == expected).then(|| Self {
            size,
            hashes: hashes.to_vec(),
        })
    }
}

/// The root of a complete subtree, given the hashes of one row of it (a power of two of them).
pub(crate) fn fold(row: &[[u8; 32]]) -> [u8; 32] {
    let mut range = CompactRange::default();
    for hash in row {
        range.append(*hash);
    }
    range.root()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{CompactRange, EMPTY_ROOT, leaf_hash, node_hash};
    use crate::image::digest::{Digest, hex};

    /// The eight leaves of Certificate Transparency's reference tree.
    pub(crate) const CT_LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];

    /// Its roots at the sizes 1 to 8.
    pub(crate) const CT_ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn grows_through_the_roots_of_the_reference_tree() {
        let mut range = CompactRange::default();
        assert_eq!(range.root(), EMPTY_ROOT);
        assert_eq!(EMPTY_ROOT, *Digest::of(b"").as_bytes());
        for (leaf, root) in CT_LEAVES.iter().zip(CT_ROOTS) {
            range.append(leaf_hash(leaf));
            assert_eq!(hex(&range.root()), root);
        }
        assert_eq!(range.size(), 8);
    }

    #[test]
    fn keeps_one_hash_per_set_bit_and_survives_the_disk() {
        let mut range = CompactRange::default();
        for n in 0..=600_u32 {
            assert_eq!(range.hashes.len(), n.count_ones() as usize);
            let bytes = range.to_bytes();
            assert_eq!(CompactRange::from_bytes(&bytes).as_ref(), Some(&range));
            assert_eq!(
                CompactRange::from_bytes(&[&bytes[..], &[0; 32]].concat()),
                None
            );
            assert_eq!(CompactRange::from_bytes(&bytes[1..]), None);
            range.append(leaf_hash(&n.to_be_bytes()));
        }
    }

    #[test]
    fn takes_subtrees_as_it_takes_leaves() {
        let leaves: Vec<[u8; 32]> = (0..7_u8).map(|n| leaf_hash(&[n])).collect();
        let mut one = CompactRange::default();
        leaves.iter().for_each(|leaf| one.append(*leaf));
        let mut other = CompactRange::default();
        let pair = |a: usize| node_hash(&leaves[a], &leaves[a + 1]);
        other.append_subtree(2, node_hash(&pair(0), &pair(2)));
        other.append_subtree(1, pair(4));
        other.append(leaves[6]);
        assert_eq!(one, other);
    }
}
