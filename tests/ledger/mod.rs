//! A ledger in a directory, made with library calls and with none of the sequencer's care.

// Each test file uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};

use vcn_hook::allowlist::index_note::IndexNote;
use vcn_hook::allowlist::note::SignedNote;
use vcn_hook::allowlist::record::{Key, Kind, Status};
use vcn_hook::image::digest::{ChainId, Digest};
use vcn_hook::ledger::checkpoint::Checkpoint;
use vcn_hook::ledger::index::{IndexError, Publish, Published, publish_stepwise};
use vcn_hook::ledger::range::{CompactRange, leaf_hash};
use vcn_hook::ledger::statement::{Statement, Subject, SubjectKind, sign};
use vcn_hook::ledger::tiles::{Row, TileName, push_entry};
use vcn_hook::store::Store;
use vcn_hook::sync::{Settings, SyncError, SyncReport, run_stepwise};
use vcn_hook::trust::keys::{SecretKey, Signer};
use vcn_hook::trust::root::{Allow, KeySet, Organisation, TrustRoot, TrustSigner, Unsupported};

pub const ORIGIN: &str = "ledger.example/vcn";
pub const NOW: u64 = 1_790_000_000;
pub const DAY: u64 = 86_400;

/// A key that is made of its name.
pub fn key(name: &str) -> SecretKey {
    SecretKey::from_seed(name, Digest::of(name.as_bytes()).as_bytes()).unwrap()
}

/// A key of the ledger's own, under the name it must have.
pub fn seeded(name: &str, seed: &str) -> SecretKey {
    SecretKey::from_seed(name, Digest::of(seed.as_bytes()).as_bytes()).unwrap()
}

pub fn log_key() -> SecretKey {
    seeded(ORIGIN, "log")
}

pub fn indexer_key() -> SecretKey {
    seeded(&IndexNote::key_name(ORIGIN), "indexer")
}

fn set(key: &SecretKey) -> KeySet {
    KeySet {
        keys: vec![key.verifier().clone()],
        threshold: 1,
    }
}

pub fn signer(name: &str, organisation: u16) -> TrustSigner {
    TrustSigner {
        key: key(name).verifier().clone(),
        level: 2,
        organisation,
        from_index: 0,
        until_index: None,
        revoked_from: None,
    }
}

pub fn first_root() -> TrustRoot {
    let organisations = ["ACME", "BETA"];
    TrustRoot {
        version: 1,
        origin: ORIGIN.to_owned(),
        expires: NOW + 365 * DAY,
        roots: set(&key("root")),
        log: log_key().verifier().clone(),
        indexers: set(&indexer_key()),
        exempt: None,
        organisations: organisations
            .map(|name| Organisation {
                name: name.to_owned(),
                company: String::new(),
                website: String::new(),
            })
            .into(),
        signers: vec![signer("acme-ci", 0), signer("beta-ci", 1)],
        allow: Allow {
            threshold: 1,
            min_level: 0,
            organisations: vec![0, 1],
        },
        veto: None,
        unsupported: Unsupported::Deny,
    }
}

pub fn sign_note(text: &str, keys: &[&SecretKey]) -> Vec<u8> {
    let mut note = SignedNote::new(text).unwrap();
    for key in keys {
        let signature = key.sign(text.as_bytes()).unwrap();
        note.sign(key.verifier(), &signature).unwrap();
    }
    note.to_bytes()
}

/// The config that the tests call `name`, as the allowlist finds it.
pub fn config(name: &str) -> Key {
    Key::of(Kind::Config, &Digest::of(name.as_bytes()))
}

pub fn statement(signer: &str, status: Status, after: u64, names: &[&str]) -> Vec<u8> {
    let statement = Statement {
        subjects: names
            .iter()
            .map(|name| Subject {
                name: (*name).to_owned(),
                digest: Digest::of(name.as_bytes()),
                kind: SubjectKind::Config {
                    chain: Some(ChainId::from_digest(Digest::of(b"chain"))),
                },
            })
            .collect(),
        status,
        origin: ORIGIN.to_owned(),
        after,
        time: NOW,
        not_after: 0,
        kind: "docker".to_owned(),
        name: format!("docker://{}", names.first().unwrap()),
        size: 1,
        company: String::new(),
        website: String::new(),
        reason: String::new(),
    };
    sign(&statement, &key(signer)).unwrap()
}

/// A public ledger directory.
pub struct Ledger {
    pub directory: tempfile::TempDir,
    pub entries: Vec<Vec<u8>>,
    pub root: TrustRoot,
}

impl Ledger {
    pub fn new() -> Self {
        let ledger = Self {
            directory: tempfile::tempdir().unwrap(),
            entries: Vec::new(),
            root: first_root(),
        };
        ledger.write_root();
        ledger.write_log();
        ledger
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        read(&self.path().join(path))
    }

    pub fn write_root(&self) {
        let note = sign_note(&self.root.format().unwrap(), &[&key("root")]);
        self.write(&format!("root/{}.note", self.root.version), &note);
    }

    /// Changes the trust root, as its next version.
    pub fn next_root(&mut self, change: impl FnOnce(&mut TrustRoot)) {
        self.root.version += 1;
        change(&mut self.root);
        self.write_root();
    }

    /// Writes the bundles and the checkpoint of all entries.
    pub fn write_log(&self) {
        let size = self.entries.len() as u64;
        let mut range = CompactRange::default();
        for entry in &self.entries {
            range.append(leaf_hash(entry));
        }
        for name in TileName::all(Row::Entries, size) {
            let first = usize::try_from(name.index * 256).unwrap();
            let mut bundle = Vec::new();
            for entry in &self.entries[first..first + usize::from(name.width)] {
                push_entry(&mut bundle, entry).unwrap();
            }
            self.write(&name.to_string(), &bundle);
        }
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size,
            root: range.root(),
        };
        self.write(
            "checkpoint",
            &sign_note(&checkpoint.to_string(), &[&log_key()]),
        );
    }

    pub fn append(&mut self, entries: impl IntoIterator<Item = Vec<u8>>) {
        self.entries.extend(entries);
        self.write_log();
    }

    /// Appends a TRUSTED of acme-ci for each name, all signed with the size before.
    pub fn trust(&mut self, names: &[&str]) {
        let after = self.entries.len() as u64;
        let entries: Vec<_> = names
            .iter()
            .map(|name| statement("acme-ci", Status::Trusted, after, &[name]))
            .collect();
        self.append(entries);
    }

    pub fn index(&self, now: u64) -> Published {
        self.try_index(now, &mut |_| Ok(())).unwrap()
    }

    pub fn try_index(
        &self,
        now: u64,
        step: &mut dyn FnMut(&'static str) -> std::io::Result<()>,
    ) -> Result<Published, IndexError> {
        let indexer = indexer_key();
        let what = Publish {
            directory: self.path(),
            indexers: &[&indexer],
            validity: DAY,
            force: false,
        };
        publish_stepwise(&what, now, step)
    }

    /// Signs an index note that says something else.
    pub fn forge_note(&self, change: impl FnOnce(&mut IndexNote)) {
        let signed = SignedNote::parse(&self.read("index/note")).unwrap();
        let mut note = IndexNote::parse(&signed.text).unwrap();
        change(&mut note);
        self.write("index/note", &sign_note(&note.format(), &[&indexer_key()]));
    }

    /// All files as they are, to put back later.
    pub fn backup(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(self.path(), copy.path());
        copy
    }
}

pub fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Reads a file that the test itself has made.
pub fn read(path: &Path) -> Vec<u8> {
    vcn_hook::sys::file::read_capped(path, 1 << 30).unwrap()
}

/// A node that follows a ledger.
pub struct Node {
    pub state: tempfile::TempDir,
    pub pinned: Vec<u8>,
}

impl Node {
    pub fn of(ledger: &Ledger) -> Self {
        Self {
            state: tempfile::tempdir().unwrap(),
            pinned: ledger.read("root/1.note"),
        }
    }

    pub fn store(&self) -> Store {
        Store::of_user(self.state.path())
    }

    pub fn sync(&self, source: &Path, now: u64) -> Result<SyncReport, SyncError> {
        self.sync_stepwise(source, now, &mut |_| Ok(()))
    }

    pub fn sync_stepwise(
        &self,
        source: &Path,
        now: u64,
        step: &mut dyn FnMut(&'static str) -> std::io::Result<()>,
    ) -> Result<SyncReport, SyncError> {
        self.sync_from(&[source.display().to_string()], false, now, step)
    }

    pub fn sync_from(
        &self,
        sources: &[String],
        replay: bool,
        now: u64,
        step: &mut dyn FnMut(&'static str) -> std::io::Result<()>,
    ) -> Result<SyncReport, SyncError> {
        let store = self.store();
        let settings = Settings {
            sources,
            state_dir: self.state.path(),
            store: &store,
            pinned_root: &self.pinned,
            replay,
        };
        run_stepwise(&settings, now, step)
    }

    /// What the installed allowlist says of a config; signer and status.
    pub fn says(&self, root: &TrustRoot, name: &str) -> Vec<(u16, Status)> {
        let keys = &root.indexers;
        let allowlist = self
            .store()
            .open(&keys.keys, keys.threshold, ORIGIN)
            .unwrap();
        let records = allowlist.lookup(&config(name)).unwrap();
        records.iter().map(|r| (r.signer, r.status)).collect()
    }

    /// The installed note's bytes.
    pub fn note(&self) -> Vec<u8> {
        read(&self.state.path().join("allowlist/note"))
    }

    pub fn evidence(&self) -> Vec<PathBuf> {
        fs::read_dir(self.state.path().join("log/evidence"))
            .map(|files| files.map(|file| file.unwrap().path()).collect())
            .unwrap_or_default()
    }
}
