//! containerd's databases, read as if somebody were writing them.

use std::cell::Cell;

use vcn_hook::engine::bolt::{BoltError, Bucket, Db, Entry, Tx, Visit};
use vcn_hook::engine::containerd::{image_named, images_of_target};
use vcn_hook::engine::docker_store::{snapshot_name, walk};

use super::Target;

/// bbolt's page size on this machine.
const PAGE: usize = 4096;

/// Keys that are shown before a walk is given up: a torn database may point in circles.
const MAX_KEYS: u32 = 5_000;

pub const BOLT: Target = Target {
    words: &[
        "v1",
        "moby",
        "images",
        "snapshots",
        "overlayfs",
        "target",
        "digest",
        "parent",
        "name",
        "id",
        "sha256:",
        "\u{ed}\u{c}",
        "\u{1}\0",
        "\u{2}\0",
        "\u{10}\0",
    ],
    repair: Some(checksums_again),
    longest: 112 << 10,
    // What one read may fetch, twice over, is bolt's own bound.
    memory: 160 << 20,
    ..Target::new(
        "bolt",
        "bbolt databases, and what containerd keeps in them",
        bolt,
    )
};

fn bolt(bytes: &[u8]) -> bool {
    let db = Db::over(bytes);
    let shown = db.read(|tx| {
        let left = Cell::new(MAX_KEYS);
        match tx.bucket(&[])? {
            Some(top) => show(&top, 0, &left).map(|()| MAX_KEYS - left.get()),
            None => Ok(0),
        }
    });
    let id = "1a".repeat(32);
    let _ = db.read(|tx| image_named(tx, "moby", "docker.io/library/app:1"));
    if let Ok(images) = db.read(|tx| images_of_target(tx, "moby", "")) {
        assert!(images.len() <= bytes.len());
    }
    let _ = db.read(|tx| snapshot_name(tx, &id));
    for name in db.read(names).unwrap_or_default() {
        if let Ok(snapshots) = db.read(|tx| walk(tx, &name, &id)) {
            assert!(
                (1..=129).contains(&snapshots.below.len()),
                "more layers than there can be"
            );
        }
    }
    shown.is_ok_and(|keys| keys > 0)
}

/// Some of the snapshots that the snapshotter has.
fn names(tx: &Tx<'_>) -> Result<Vec<Vec<u8>>, BoltError> {
    let mut names = Vec::new();
    if let Some(snapshots) = tx.bucket(&[b"v1", b"snapshots"])? {
        snapshots.for_each(|key, _| {
            names.push(key.to_vec());
            Ok::<_, BoltError>(if names.len() < 4 {
                Visit::Continue
            } else {
                Visit::Stop
            })
        })?;
    }
    Ok(names)
}

fn show(bucket: &Bucket<'_>, depth: u32, left: &Cell<u32>) -> Result<(), BoltError> {
    bucket.for_each(|key, entry| {
        let Some(fewer) = left.get().checked_sub(1) else {
            return Ok::<_, BoltError>(Visit::Stop);
        };
        left.set(fewer);
        if depth < 4 {
            // What a walk shows, a lookup may miss only where keys are out of order.
            let _ = bucket.entry(key)?;
        }
        match entry {
            Entry::Bucket(inner) if depth < 8 => show(&inner, depth + 1, left)?,
            Entry::Bucket(_) | Entry::Value(_) => {}
        }
        Ok(Visit::Continue)
    })
}

/// Puts the checksums of both meta pages right (bbolt `meta.go`: FNV-1a of what is before).
fn checksums_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    for page in [0, PAGE] {
        let meta = bytes.get_mut(page + 16..page + 80)?;
        let (content, sum) = meta.split_at_mut(56);
        let hash = content
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            });
        sum.copy_from_slice(&hash.to_ne_bytes());
    }
    Some(bytes)
}
