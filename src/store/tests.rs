use std::path::PathBuf;

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tempfile::TempDir;

use super::{HighWater, RolledBack, Store, StoreError};
use crate::allowlist::build::Builder;
use crate::allowlist::index_note::{IndexNote, TableRef};
use crate::allowlist::note::{SignedNote, VerifierKey};
use crate::allowlist::record::{Key, Record, Status};
use crate::allowlist::table::TableKind;
use crate::image::digest::Digest;
use crate::sys::clock;

const ORIGIN: &str = "ledger.example/vcn";

struct Node {
    state: TempDir,
    store: Store,
}

impl Node {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let store = Store::of_user(state.path());
        Self { state, store }
    }

    fn table(&self, kind: TableKind, log_size: u64, keys: &[u8]) -> TableRef {
        let mut writer = self.store.create_table(8192).unwrap();
        let mut builder = Builder::new(&mut writer, kind, ORIGIN, log_size);
        for key in keys {
            builder.push(&record(*key, log_size)).unwrap();
        }
        let table = builder.finish().unwrap();
        self.store
            .install_table(writer, &table, kind, ORIGIN, true)
            .unwrap();
        table
    }

    /// An allowlist that covers `log_size` entries, of which the last touched `keys`.
    fn install(&self, log_size: u64, keys: &[u8]) -> IndexNote {
        let note = IndexNote {
            origin: ORIGIN.into(),
            log_size,
            log_root: [1; 32],
            base: self.table(TableKind::Base, 1, &[1, 2]),
            delta: self.table(TableKind::Delta, log_size, keys),
            root_version: 1,
            root_digest: Digest::of(b"root"),
            time: 1_000 + log_size,
            expires: 90_000,
        };
        self.store.install_note(&sign(&note, &[1, 2])).unwrap();
        note
    }

    fn path(&self, name: &str) -> PathBuf {
        self.state.path().join("allowlist").join(name)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn record(key: u8, log_index: u64) -> Record {
    Record {
        key: Key::from_bytes([key; 32]),
        signer: 0,
        status: Status::Trusted,
        not_after: 0,
        log_index,
        target: None,
    }
}

fn indexer(seed: u8) -> (Ed25519KeyPair, VerifierKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let public = pair.public_key().as_ref().try_into().unwrap();
    let key = VerifierKey::new(&IndexNote::key_name(ORIGIN), public).unwrap();
    (pair, key)
}

fn indexers() -> [VerifierKey; 2] {
    [1, 2].map(|seed| indexer(seed).1)
}

fn sign(note: &IndexNote, seeds: &[u8]) -> Vec<u8> {
    let mut signed = SignedNote::new(note.format()).unwrap();
    for (pair, key) in seeds.iter().map(|seed| indexer(*seed)) {
        let signature = pair.sign(signed.text.as_bytes());
        signed
            .sign(&key, signature.as_ref().try_into().unwrap())
            .unwrap();
    }
    signed.to_bytes()
}

#[test]
fn opens_what_was_installed() {
    let node = Node::new();
    let note = node.install(5, &[2, 3]);
    let allowlist = node.store.open(&indexers(), 2, ORIGIN).unwrap();
    assert_eq!(allowlist.note(), &note);
    for (key, expected) in [
        (1, vec![record(1, 1)]),
        (2, vec![record(2, 5)]),
        (3, vec![record(3, 5)]),
        (4, vec![]),
    ] {
        let found = allowlist.lookup(&Key::from_bytes([key; 32]));
        assert_eq!(found, Ok(expected));
    }
}

#[test]
fn tells_missing_from_tampered_from_unreadable() {
    let node = Node::new();
    let open = || node.store.open(&indexers(), 2, ORIGIN).map(drop);
    let note_path = node.path("note");
    let missing = |path: &PathBuf| Err(StoreError::Missing { path: path.clone() });
    assert_eq!(open(), missing(&note_path));
    let note = node.install(5, &[3]);
    let delta = node.path(&format!("{}.idx", note.delta.id.hex()));

    let other = node.store.open(&indexers(), 2, "ledger.example/other");
    assert!(matches!(other, Err(StoreError::Tampered { .. })));
    std::fs::write(&note_path, sign(&note, &[1])).unwrap();
    assert_eq!(
        open(),
        Err(StoreError::Tampered {
            path: note_path.clone(),
            what: "signed by 1 of the 2 keys that must sign".into()
        })
    );
    std::fs::write(&note_path, sign(&note, &[1, 2])).unwrap();
    assert_eq!(open(), Ok(()));

    std::fs::write(&delta, b"").unwrap();
    assert!(matches!(open(), Err(StoreError::Tampered { .. })));
    std::fs::remove_file(&delta).unwrap();
    assert_eq!(open(), missing(&delta));
    std::fs::create_dir(&delta).unwrap();
    assert!(matches!(open(), Err(StoreError::Unreadable { .. })));
    std::fs::remove_dir(&delta).unwrap();
    std::os::unix::fs::symlink(&note_path, &delta).unwrap();
    assert!(matches!(open(), Err(StoreError::Unreadable { .. })));
    std::fs::write(&note_path, vec![b'a'; (16 << 10) + 1]).unwrap();
    assert!(matches!(open(), Err(StoreError::Unreadable { .. })));
}

#[test]
fn the_mark_only_rises_and_refuses_what_is_older() {
    let node = Node::new();
    let new = node.install(9, &[3]);
    let mut old = new.clone();
    old.log_size = 5;
    assert_eq!(node.store.high_water(), Ok(HighWater::default()));
    assert_eq!(node.store.check_high_water(&new), Ok(()));
    let mark = HighWater::of(&new);
    assert_eq!(node.store.advance_high_water(&new), Ok(mark));
    assert_eq!(node.store.advance_high_water(&old), Ok(mark));
    assert_eq!(node.store.high_water(), Ok(mark));
    assert_eq!(node.store.check_high_water(&new), Ok(()));
    let rolled_back = RolledBack {
        what: "log size",
        seen: 9,
        found: 5,
    };
    assert_eq!(
        node.store.check_high_water(&old),
        Err(StoreError::RolledBack(rolled_back))
    );
    let lower = HighWater::of(&old);
    assert_eq!(node.store.reset_high_water(lower), Ok(lower));
    assert_eq!(node.store.check_high_water(&old), Ok(()));
}

#[test]
fn a_mark_that_is_not_a_mark_is_not_taken_for_none() {
    let node = Node::new();
    std::fs::write(node.state.path().join("high-water"), "log 7\n").unwrap();
    let read = node.store.high_water();
    assert!(matches!(read, Err(StoreError::Unreadable { .. })));
}

#[test]
fn a_table_that_is_not_the_named_one_is_never_visible() {
    let node = Node::new();
    let note = node.install(5, &[3]);
    let before = node.names();
    let mut writer = node.store.create_table(0).unwrap();
    let mut builder = Builder::new(&mut writer, TableKind::Delta, ORIGIN, 6);
    builder.push(&record(9, 6)).unwrap();
    let built = builder.finish().unwrap();
    writer.write_at(b"x", 5000).unwrap();
    let installed = node
        .store
        .install_table(writer, &built, TableKind::Delta, ORIGIN, true);
    assert!(matches!(installed, Err(StoreError::Tampered { .. })));
    assert_eq!(node.names(), before);

    let mut next = note.clone();
    next.delta = built;
    next.log_size = built.log_size;
    let installed = node.store.install_note(&sign(&next, &[1, 2]));
    assert!(matches!(installed, Err(StoreError::Missing { .. })));
    let opened = node.store.open(&indexers(), 2, ORIGIN).unwrap();
    assert_eq!(opened.note(), &note);
}

#[test]
fn a_disk_that_is_too_small_leaves_the_old_set_untouched() {
    let node = Node::new();
    node.install(5, &[3]);
    let before = node.names();
    let created = node.store.create_table(1 << 60);
    assert!(matches!(created, Err(StoreError::Unwritable { .. })));
    assert_eq!(node.names(), before);
    node.store.open(&indexers(), 2, ORIGIN).unwrap();
}

#[test]
fn collects_what_no_note_names_once_it_is_old() {
    let node = Node::new();
    let notes: Vec<_> = [(5, [3]), (6, [4]), (7, [5])]
        .iter()
        .map(|(size, keys)| node.install(*size, keys))
        .collect();
    std::fs::write(node.path(".table.1.0.tmp"), "").unwrap();
    std::fs::write(node.path(".x.part"), "").unwrap();
    std::fs::write(node.path("README"), "").unwrap();
    let now = clock::now();
    assert_eq!(node.store.collect_garbage(now), Ok(0));
    assert_eq!(node.store.collect_garbage(now + 1200), Ok(2));
    let mut expected = vec![
        ".x.part".to_owned(),
        "README".into(),
        "note".into(),
        "previous".into(),
    ];
    for id in [notes[0].base.id, notes[1].delta.id, notes[2].delta.id] {
        expected.push(format!("{}.idx", id.hex()));
    }
    expected.sort();
    assert_eq!(node.names(), expected);
    assert_eq!(node.store.collect_garbage(now + 90_000), Ok(1));
    node.store.open(&indexers(), 2, ORIGIN).unwrap();
}

#[test]
fn a_download_is_resumed_where_it_stopped() {
    let node = Node::new();
    let mut bytes = Vec::new();
    let built = Builder::new(&mut bytes, TableKind::Base, ORIGIN, 3)
        .finish()
        .unwrap();
    let writer = node.store.resume_table(&built, 8192).unwrap();
    writer.write_at(&bytes[..5000], 0).unwrap();
    drop(writer);
    let writer = node.store.resume_table(&built, 8192).unwrap();
    assert_eq!(writer.size().unwrap(), 5000);
    writer.write_at(&bytes[5000..], 5000).unwrap();
    assert!(!node.store.has_table(&built));
    node.store
        .install_table(writer, &built, TableKind::Base, ORIGIN, true)
        .unwrap();
    assert!(node.store.has_table(&built));
    assert_eq!(node.names(), [format!("{}.idx", built.id.hex())]);
}

#[test]
fn a_note_is_verified_once_and_again_when_anything_about_it_changes() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not root: this case needs root-owned files and is checked by 'make test'");
        return;
    }
    let node = Node::new();
    let note = node.install(5, &[2]);
    let run = tempfile::tempdir().unwrap();
    let memory = run.path().join("verified");
    let store = Store::new(node.state.path()).remembering(run.path());
    let keys = indexers();
    let bytes = sign(&note, &[1, 2]);
    // Where somebody broke a signature and its form is right: only verifying tells.
    let mut forged = SignedNote::parse(&bytes).unwrap();
    let other = indexer(1).0.sign(b"something else");
    forged.signatures[0].signature = other.as_ref().to_vec();
    let forged = forged.to_bytes();

    store.open(&keys, 2, ORIGIN).unwrap();
    let remembered = |bytes: &[u8], keys: &[VerifierKey], threshold| {
        format!(
            "{}\n",
            super::verified::name(bytes, keys, threshold, ORIGIN).hex()
        )
    };
    let written = crate::sys::file::read_capped(&memory, 100).unwrap();
    assert_eq!(written, remembered(&bytes, &keys, 2).as_bytes());
    store.open(&keys, 2, ORIGIN).unwrap();

    for (what, keys, threshold) in [
        ("other keys", vec![indexer(3).1], 1),
        ("a higher threshold", keys.to_vec(), 3),
    ] {
        let opened = store.open(&keys, threshold, ORIGIN).map(drop);
        assert!(
            matches!(opened, Err(StoreError::Tampered { .. })),
            "{what}: {opened:?}"
        );
    }
    std::fs::write(node.path("note"), &forged).unwrap();
    let opened = store.open(&keys, 2, ORIGIN).map(drop);
    assert!(
        matches!(opened, Err(StoreError::Tampered { .. })),
        "{opened:?}"
    );

    // Root's word is taken for it, and nobody else's.
    std::fs::write(&memory, remembered(&forged, &keys, 2)).unwrap();
    store.open(&keys, 2, ORIGIN).unwrap();
    std::os::unix::fs::chown(&memory, Some(1), None).unwrap();
    let opened = store.open(&keys, 2, ORIGIN).map(drop);
    assert!(
        matches!(opened, Err(StoreError::Tampered { .. })),
        "{opened:?}"
    );
}
