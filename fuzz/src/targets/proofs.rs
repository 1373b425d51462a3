//! Proofs: whatever is proven is so, in a tree that is known whole.

use std::sync::OnceLock;

use vcn_hook::ledger::proof::{verify_consistency, verify_inclusion};
use vcn_hook::ledger::range::{CompactRange, leaf_hash, node_hash};

use super::Target;

/// Entries of the largest tree; entry `n` is the number `n` as two bytes.
const SIZE: u64 = 300;

pub const PROOF: Target = Target {
    made: Some(seeds),
    words: &["\0\u{1}", "\u{1}\0", "\u{1}\u{2c}"],
    longest: 1024,
    ..Target::new("proof", "inclusion and consistency proofs", proof)
};

/// The root at each size.
fn roots() -> &'static Vec<[u8; 32]> {
    static ROOTS: OnceLock<Vec<[u8; 32]>> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let mut range = CompactRange::default();
        let mut roots = vec![range.root()];
        for number in 0..SIZE {
            range.append(leaf_hash(&entry(number)));
            roots.push(range.root());
        }
        roots
    })
}

fn entry(number: u64) -> [u8; 2] {
    u16::try_from(number % 65_536).unwrap_or(0).to_be_bytes()
}

/// The hash of the entries from `start` to `end`, by the definition (RFC 6962 §2.1).
fn tree(start: u64, end: u64) -> [u8; 32] {
    match end - start {
        1 => leaf_hash(&entry(start)),
        width => {
            let middle = start + width.next_power_of_two() / 2;
            node_hash(&tree(start, middle), &tree(middle, end))
        }
    }
}

/// PATH of RFC 6962 §2.1.1.
fn path(index: u64, start: u64, end: u64) -> Vec<[u8; 32]> {
    if end - start <= 1 {
        return Vec::new();
    }
    let middle = start + (end - start).next_power_of_two() / 2;
    let (mut below, beside) = if index < middle {
        (path(index, start, middle), tree(middle, end))
    } else {
        (path(index, middle, end), tree(start, middle))
    };
    below.push(beside);
    below
}

/// SUBPROOF of RFC 6962 §2.1.2.
fn subproof(old: u64, start: u64, end: u64, known: bool) -> Vec<[u8; 32]> {
    if old == end {
        return if known {
            Vec::new()
        } else {
            vec![tree(start, end)]
        };
    }
    let middle = start + (end - start).next_power_of_two() / 2;
    if old <= middle {
        let mut below = subproof(old, start, middle, known);
        below.push(tree(middle, end));
        below
    } else {
        let mut below = subproof(old, middle, end, false);
        below.push(tree(start, middle));
        below
    }
}

/// Kind, place or old size, size, entry; then the hashes.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let seed = |kind: u8, at: u64, size: u64, hashes: Vec<[u8; 32]>| {
        let head = [&[kind][..], &entry(at), &entry(size), &entry(at)].concat();
        [head, hashes.concat()].concat()
    };
    vec![
        ("inclusion", seed(0, 257, 300, path(257, 0, 300))),
        ("inclusion-small", seed(0, 0, 3, path(0, 0, 3))),
        (
            "consistency",
            seed(1, 130, 300, subproof(130, 0, 300, true)),
        ),
        (
            "consistency-power",
            seed(1, 256, 299, subproof(256, 0, 299, true)),
        ),
    ]
}

fn proof(bytes: &[u8]) -> bool {
    let Some((&[kind, a, b, c, d, e, f], hashes)) = bytes.split_first_chunk() else {
        return false;
    };
    let (at, size) = (
        u64::from(u16::from_be_bytes([a, b])),
        u64::from(u16::from_be_bytes([c, d])),
    );
    let (hashes, rest) = hashes.as_chunks::<32>();
    if !rest.is_empty() {
        return false;
    }
    let root = |size: u64| {
        usize::try_from(size)
            .ok()
            .and_then(|size| roots().get(size))
    };
    // A size that no tree here has is tried with the largest root.
    let newer = root(size).unwrap_or(&roots()[300]);
    let known = root(size).is_some();
    if kind % 2 == 0 {
        let held = verify_inclusion(newer, size, at, &[e, f], hashes).is_ok();
        let so = known && at < size && entry(at) == [e, f] && path(at, 0, size) == hashes;
        assert_eq!(held, so, "entry {at} of {size}");
        held
    } else {
        let Some(older) = root(at) else {
            assert!(verify_consistency(&[0; 32], at, newer, size, hashes).is_err());
            return false;
        };
        let held = verify_consistency(older, at, newer, size, hashes).is_ok();
        let expected = if at == 0 || at >= size {
            Vec::new()
        } else {
            subproof(at, 0, size, true)
        };
        // Whatever its root, every tree has grown from the empty one.
        let so = (known || at == 0) && at <= size && expected == hashes;
        assert_eq!(held, so, "from {at} to {size}");
        // Another old root than the real one is never consistent.
        assert!(at == 0 || verify_consistency(&[0x5a; 32], at, newer, size, hashes).is_err());
        held
    }
}
