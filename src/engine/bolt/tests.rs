//! Databases made byte by byte. Real ones, with their owner at work, are in tests/images.rs.

use std::cell::Cell;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;

use super::{BoltError, Db, Entry, Visit};

const SIZE: usize = 4096;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const META: u16 = 4;
const PLAIN: u32 = 0;
const BUCKET: u32 = 1;

fn header(id: u64, flags: u16, count: usize, overflow: u32) -> Vec<u8> {
    let mut page = id.to_ne_bytes().to_vec();
    page.extend(flags.to_ne_bytes());
    page.extend(u16::try_from(count).unwrap().to_ne_bytes());
    page.extend(overflow.to_ne_bytes());
    page
}

pub(super) fn meta_page(page_size: u32, root: u64, end: u64, transaction: u64) -> Vec<u8> {
    let mut page = header(0, META, 0, 0);
    for number in [0xED0C_DAED, 2, page_size, 0] {
        page.extend(u32::to_ne_bytes(number));
    }
    for number in [root, 0, 2, end, transaction] {
        page.extend(number.to_ne_bytes());
    }
    let sum = page[16..]
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
        });
    page.extend(sum.to_ne_bytes());
    page.resize(SIZE, 0);
    page
}

fn leaf(id: u64, elements: &[(u32, &[u8], &[u8])]) -> Vec<u8> {
    let mut page = header(id, LEAF, elements.len(), 0);
    let mut data = Vec::new();
    for (place, (flags, key, value)) in elements.iter().enumerate() {
        let offset = (elements.len() - place) * 16 + data.len();
        for number in [*flags as usize, offset, key.len(), value.len()] {
            page.extend(u32::try_from(number).unwrap().to_ne_bytes());
        }
        data.extend_from_slice(key);
        data.extend_from_slice(value);
    }
    page.extend(data);
    page
}

fn branch(id: u64, children: &[(&[u8], u64)]) -> Vec<u8> {
    let mut page = header(id, BRANCH, children.len(), 0);
    let mut data = Vec::new();
    for (place, (key, child)) in children.iter().enumerate() {
        let offset = (children.len() - place) * 16 + data.len();
        for number in [offset, key.len()] {
            page.extend(u32::try_from(number).unwrap().to_ne_bytes());
        }
        page.extend(child.to_ne_bytes());
        data.extend_from_slice(key);
    }
    page.extend(data);
    page
}

fn bucket(root: u64, inline: &[u8]) -> Vec<u8> {
    let mut value = root.to_ne_bytes().to_vec();
    value.extend([0; 8]);
    value.extend(inline);
    value
}

/// Pads each page to whole pages, and says so in its header.
fn database(metas: [Vec<u8>; 2], pages: Vec<Vec<u8>>) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for mut page in metas.into_iter().chain(pages) {
        let overflow = page.len().div_ceil(SIZE) - 1;
        page[12..16].copy_from_slice(&u32::try_from(overflow).unwrap().to_ne_bytes());
        page.resize((overflow + 1) * SIZE, 0);
        file.write_all(&page).unwrap();
    }
    file
}

/// Root leaf (2) with a bucket of two leaves (4, 5) under a branch (3), one of them overflowing.
fn sample(root: Option<Vec<u8>>) -> tempfile::NamedTempFile {
    let inline = leaf(0, &[(PLAIN, b"k", b"inline")]);
    let big = vec![7; 3 * SIZE];
    let default = leaf(
        2,
        &[
            (BUCKET, b"small", &bucket(0, &inline)),
            (BUCKET, b"tree", &bucket(3, &[])),
        ],
    );
    database(
        [meta_page(4096, 2, 9, 7), meta_page(4096, 8, 9, 6)],
        vec![
            root.unwrap_or(default),
            branch(3, &[(b"a", 4), (b"m", 5)]),
            leaf(4, &[(PLAIN, b"a", b"1"), (PLAIN, b"b", b"2")]),
            leaf(5, &[(PLAIN, b"m", &big), (PLAIN, b"z", b"26")]),
        ],
    )
}

fn value(file: &tempfile::NamedTempFile, path: &[&[u8]], key: &[u8]) -> Option<Vec<u8>> {
    Db::open(file.path())
        .unwrap()
        .read(|tx| match tx.bucket(path)? {
            Some(bucket) => bucket.value(key),
            None => Ok(None),
        })
        .unwrap()
}

#[test]
fn finds_keys_in_trees_inline_buckets_and_overflow_pages() {
    let file = sample(None);
    for (path, key, expected) in [
        (b"tree", b"a", Some(b"1".to_vec())),
        (b"tree", b"b", Some(b"2".to_vec())),
        (b"tree", b"m", Some(vec![7; 3 * SIZE])),
        (b"tree", b"z", Some(b"26".to_vec())),
        (b"tree", b"0", None),
        (b"tree", b"c", None),
        (b"tree", b"~", None),
        (b"none", b"a", None),
    ] {
        assert_eq!(value(&file, &[path], key), expected, "{key:?}");
    }
    assert_eq!(value(&file, &[b"small"], b"k"), Some(b"inline".to_vec()));
    assert_eq!(value(&file, &[b"small", b"k"], b"k"), None);
    assert_eq!(value(&file, &[], b"small"), None);
}

#[test]
fn shows_every_key_in_order_until_told_to_stop() {
    let file = sample(None);
    let db = Db::open(file.path()).unwrap();
    for (limit, expected) in [(9, "abmz"), (3, "abm"), (1, "a")] {
        let keys = db
            .read(|tx| {
                let mut keys = String::new();
                tx.bucket(&[b"tree"])?.unwrap().for_each(|key, entry| {
                    assert!(matches!(entry, Entry::Value(_)));
                    keys.push(char::from(key[0]));
                    let enough = keys.len() == limit;
                    Ok::<_, BoltError>(if enough { Visit::Stop } else { Visit::Continue })
                })?;
                Ok::<_, BoltError>(keys)
            })
            .unwrap();
        assert_eq!(keys, expected);
    }
}

#[test]
fn takes_the_newest_valid_meta_page() {
    let pages = || {
        vec![
            leaf(2, &[(PLAIN, b"k", b"old")]),
            leaf(3, &[(PLAIN, b"k", b"new")]),
        ]
    };
    let mut torn = meta_page(4096, 3, 4, 9);
    torn[70] ^= 1;
    let mut no_first = meta_page(4096, 2, 4, 9);
    no_first[16] ^= 1;
    for (metas, expected) in [
        ([meta_page(4096, 2, 4, 4), meta_page(4096, 3, 4, 5)], "new"),
        ([meta_page(4096, 2, 4, 4), meta_page(4096, 3, 4, 3)], "old"),
        ([meta_page(4096, 2, 4, 4), torn], "old"),
        ([no_first, meta_page(4096, 3, 4, 5)], "new"),
    ] {
        let file = database(metas, pages());
        assert_eq!(value(&file, &[], b"k"), Some(expected.into()));
    }
}

#[test]
fn refuses_a_damaged_tree_instead_of_following_it() {
    let cases: [(&str, Vec<u8>); 6] = [
        ("points at itself", branch(2, &[(b"a", 2)])),
        ("points at a meta page", branch(2, &[(b"a", 1)])),
        ("points outside", branch(2, &[(b"a", 9)])),
        ("has no child", branch(2, &[])),
        ("carries another id", leaf(3, &[(PLAIN, b"a", b"")])),
        (
            "has a bucket without a page",
            leaf(2, &[(BUCKET, b"a", &[0; 15])]),
        ),
    ];
    for (name, root) in cases {
        let file = sample(Some(root));
        let db = Db::open(file.path()).unwrap();
        let found = db.read(|tx| tx.bucket(&[b"a"]).map(|bucket| bucket.is_some()));
        assert!(
            matches!(found, Err(BoltError::Damaged(_) | BoltError::TooLarge)),
            "{name}: {found:?}"
        );
        let walked = db.read(|tx| {
            let root = tx.bucket(&[])?.unwrap();
            root.for_each(|_, _| Ok::<_, BoltError>(Visit::Continue))
        });
        let empty = name == "has no child";
        assert!(empty || walked.is_err(), "{name}");
    }
}

#[test]
fn says_so_when_the_file_is_no_database() {
    for bytes in [vec![], vec![0; 100], vec![0; 3 * SIZE]] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let read = Db::open(file.path())
            .unwrap()
            .read(|_| Ok::<_, BoltError>(()));
        assert!(matches!(read, Err(BoltError::NotADatabase)), "{read:?}");
    }
}

#[test]
fn a_read_overtaken_by_a_commit_is_made_again() {
    let file = sample(None);
    let db = Db::open(file.path()).unwrap();
    let writer = std::fs::OpenOptions::new()
        .write(true)
        .open(file.path())
        .unwrap();
    let attempts = Cell::new(0);
    let commit = |transaction: u64| {
        let page = meta_page(4096, 2, 9, transaction);
        let place = (transaction % 2) * SIZE as u64;
        writer.write_all_at(&page, place).unwrap();
    };
    let seen = db.read(|_| {
        attempts.set(attempts.get() + 1);
        if attempts.get() < 3 {
            commit(7 + attempts.get());
            return Err(BoltError::Damaged("torn"));
        }
        Ok(attempts.get())
    });
    assert!(matches!(seen, Ok(3)), "{seen:?}");
    let never = db.read(|_| {
        attempts.set(attempts.get() + 1);
        commit(7 + attempts.get());
        Ok::<_, BoltError>(())
    });
    assert!(matches!(never, Err(BoltError::Busy)), "{never:?}");
}
