//! A log survives being stopped between any two steps, with and without losing what no step
//! had made durable.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use super::disk::{Disk, Stamp};
use super::{Fault, Sequencer, SequencerError};
use crate::image::digest::Digest;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::client::{Fresh, Piece, ReadError, Sink, TlogRead, entries};
use crate::ledger::log_check;
use crate::ledger::tiles::{Row, TileName};
use crate::trust::keys::{SecretKey, Signer as _};

const LOG: &str = "/log";

fn key() -> &'static SecretKey {
    static KEY: LazyLock<SecretKey> =
        LazyLock::new(|| SecretKey::from_seed("ledger.example/vcn", &[7; 32]).unwrap());
    &KEY
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Directory,
    File(usize),
}

/// A disk that forgets: names are kept only once their directory was waited for.
#[derive(Debug, Clone, Default)]
struct World {
    contents: Vec<Vec<u8>>,
    now: BTreeMap<PathBuf, Node>,
    kept: BTreeMap<PathBuf, Node>,
    steps: usize,
    stop_after: usize,
    full: bool,
    broken_sync: bool,
}

#[derive(Debug, Clone)]
struct Ram(Arc<Mutex<World>>);

impl Ram {
    fn new(stop_after: usize) -> Self {
        let mut world = World {
            stop_after,
            ..World::default()
        };
        world.now.insert("/".into(), Node::Directory);
        world.kept.insert("/".into(), Node::Directory);
        Self(Arc::new(Mutex::new(world)))
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        self.read(&Path::new(LOG).join(path), u64::MAX).unwrap()
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let mut world = self.world();
        let node = world.add(bytes);
        world.now.insert(Path::new(LOG).join(path), node);
    }

    fn drop_name(&self, path: &str) {
        self.world().now.remove(&Path::new(LOG).join(path));
    }
}

impl World {
    fn step(&mut self) -> Result<(), Fault> {
        if self.steps == self.stop_after {
            return Err(Fault::Io(io::Error::other("stopped")));
        }
        self.steps += 1;
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) -> Node {
        self.contents.push(bytes.to_vec());
        Node::File(self.contents.len() - 1)
    }

    /// The disk after a power cut: each name that was not waited for is new or old, by `luck`.
    fn cut(&self, luck: u64) -> Self {
        let mut left = Self {
            contents: self.contents.clone(),
            stop_after: usize::MAX,
            ..Self::default()
        };
        let names = self.now.keys().chain(self.kept.keys());
        for (number, name) in names.enumerate() {
            let coin = Digest::of(format!("{luck} {number}").as_bytes()).as_bytes()[0] & 1 == 0;
            let node = if coin {
                self.now.get(name)
            } else {
                self.kept.get(name)
            };
            let same = self.now.get(name) == self.kept.get(name);
            if let Some(node) = if same { self.now.get(name) } else { node } {
                left.now.insert(name.clone(), node.clone());
            } else {
                left.now.remove(name);
            }
        }
        let whole = left.now.clone();
        left.now.retain(|name, _| {
            name.ancestors()
                .skip(1)
                .all(|above| whole.get(above) == Some(&Node::Directory))
        });
        left.kept = left.now.clone();
        left
    }
}

impl Disk for Ram {
    fn lock(&self, _: &Path) -> Result<Option<File>, Fault> {
        Ok(None)
    }

    fn read(&self, path: &Path, cap: u64) -> Result<Option<Vec<u8>>, Fault> {
        let world = self.world();
        match world.now.get(path) {
            Some(Node::File(at)) => {
                assert!(
                    world.contents[*at].len() as u64 <= cap,
                    "{}",
                    path.display()
                );
                Ok(Some(world.contents[*at].clone()))
            }
            Some(Node::Directory) => panic!("read a directory"),
            None => Ok(None),
        }
    }

    fn make_directory(&self, path: &Path, _: u32) -> Result<bool, Fault> {
        let mut world = self.world();
        if world.now.contains_key(path) {
            return Ok(false);
        }
        world.step()?;
        assert_eq!(
            world.now.get(path.parent().unwrap()),
            Some(&Node::Directory)
        );
        world.now.insert(path.to_owned(), Node::Directory);
        Ok(true)
    }

    fn write(&self, path: &Path, bytes: &[u8], _: u32) -> Result<(), Fault> {
        let mut world = self.world();
        assert_eq!(
            world.now.get(path.parent().unwrap()),
            Some(&Node::Directory)
        );
        let stopped = world.step();
        if world.full {
            return Err(Fault::Io(io::ErrorKind::StorageFull.into()));
        }
        let torn = if stopped.is_err() {
            bytes.len() / 2
        } else {
            bytes.len()
        };
        let node = world.add(&bytes[..torn]);
        world.now.insert(path.to_owned(), node);
        stopped
    }

    fn write_all(
        &self,
        files: &[(PathBuf, &[u8], u32)],
        directories: &[PathBuf],
    ) -> Result<(), Fault> {
        for (path, bytes, mode) in files {
            self.write(path, bytes, *mode)?;
        }
        directories
            .iter()
            .try_for_each(|directory| self.sync_directory(directory))
    }

    fn stamp(&self, path: &Path) -> Result<Option<Stamp>, Fault> {
        Ok(self.world().now.get(path).map(|node| match node {
            Node::Directory => panic!("a directory"),
            Node::File(at) => Stamp([*at as u64, 0, 0, 0]),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Fault> {
        let mut world = self.world();
        world.step()?;
        let node = world.now.remove(from).unwrap();
        world.now.insert(to.to_owned(), node);
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> Result<(), Fault> {
        let mut world = self.world();
        world.step()?;
        if world.broken_sync {
            return Err(Fault::Sync(io::Error::other("lost")));
        }
        let inside = |name: &Path| name.parent() == Some(path);
        let mut kept = world.kept.clone();
        kept.retain(|name, _| !inside(name));
        kept.extend(
            world
                .now
                .iter()
                .filter(|(name, _)| inside(name))
                .map(|(name, node)| (name.clone(), node.clone())),
        );
        world.kept = kept;
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), Fault> {
        let mut world = self.world();
        world.step()?;
        world.now.remove(path);
        Ok(())
    }
}

impl TlogRead for Ram {
    fn place(&self) -> &str {
        LOG
    }

    fn piece(&self, path: &str, from: u64, _: u64) -> Result<Option<Piece>, ReadError> {
        assert_eq!(from, 0);
        Ok(self.bytes(path).map(|bytes| Piece { from, bytes }))
    }

    fn slice(&self, _: &str, _: u64, _: u64) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(None)
    }

    fn fresh(&self, path: &str, _: Option<&str>, _: u64) -> Result<Option<Fresh>, ReadError> {
        Ok(self
            .bytes(path)
            .map(|bytes| Fresh::New { bytes, etag: None }))
    }

    fn copy(&self, _: &str, _: u64, _: u64, _: &mut dyn Sink) -> Result<Option<u64>, ReadError> {
        Ok(None)
    }
}

fn create(ram: &Ram) -> Result<Sequencer, SequencerError> {
    Sequencer::create_on(Box::new(ram.clone()), Path::new(LOG), key())
}

fn open(ram: &Ram) -> Result<Sequencer, SequencerError> {
    Sequencer::open_on(
        Box::new(ram.clone()),
        Path::new(LOG),
        key().verifier().clone(),
    )
}

fn batch(first: u64, count: u64) -> Vec<Vec<u8>> {
    (first..first + count)
        .map(|n| n.to_be_bytes().to_vec())
        .collect()
}

/// Makes a log and appends batches until the disk stops; says how many entries were acknowledged.
fn run(ram: &Ram, batches: &[u64]) -> (Option<u64>, bool) {
    let Ok(mut log) = create(ram) else {
        return (None, false);
    };
    let mut size = 0;
    for count in batches {
        // The names of every other batch are left for later.
        let done = if count.is_multiple_of(2) {
            log.append(&batch(size, *count), key())
                .map(|first| assert_eq!(first, size))
        } else {
            log.append_at(size, &batch(size, *count), key())
        };
        if done.is_err() {
            return (Some(size), false);
        }
        size += count;
    }
    (Some(size), true)
}

/// Checks a log whole, and that entry n says n.
fn check(ram: &Ram) -> Checkpoint {
    let checkpoint = log_check(ram, key().verifier()).unwrap();
    let bundles = TileName::all(Row::Entries, checkpoint.size);
    let found: Vec<Vec<u8>> = bundles
        .flat_map(|name| entries(ram, name).unwrap())
        .collect();
    assert_eq!(found, batch(0, checkpoint.size));
    checkpoint
}

/// After a stop: nothing acknowledged is lost, nothing that was published is taken back, and
/// the log goes on.
fn check_after_stop(ram: &Ram, acknowledged: Option<u64>, seen: u64, what: &str) {
    let mut log = match open(ram) {
        Err(SequencerError::NoLog(_)) if acknowledged.is_none() => create(ram).unwrap(),
        opened => opened.unwrap_or_else(|error| panic!("{what}: {error}")),
    };
    let size = check(ram).size;
    assert!(
        size >= acknowledged.unwrap_or(0).max(seen),
        "{what}: {size}"
    );
    assert_eq!(log.append(&batch(size, 3), key()).unwrap(), size, "{what}");
    assert_eq!(published(ram), size + 3, "{what}");
}

fn published(ram: &Ram) -> u64 {
    let bytes = ram.bytes("checkpoint");
    bytes.map_or(0, |bytes| {
        Checkpoint::verify(&bytes, key().verifier()).unwrap().size
    })
}

#[test]
fn survives_being_stopped_between_any_two_steps() {
    for stop in 20.. {
        let ram = Ram::new(stop);
        let (acknowledged, done) = run(&ram, &[255, 1, 1]);
        let seen = published(&ram);
        ram.world().stop_after = usize::MAX;
        check_after_stop(&ram, acknowledged, seen, &format!("stopped after {stop}"));
        if done {
            assert!(stop > 40, "{stop} steps");
            return;
        }
    }
}

#[test]
fn survives_a_power_cut_between_any_two_steps() {
    // From nothing, and across the end of a bundle.
    for (batches, from, lucks) in [(&[1, 2][..], 0, 4), (&[255, 2], 20, 1)] {
        for stop in from.. {
            let ram = Ram::new(stop);
            let (acknowledged, done) = run(&ram, batches);
            let seen = published(&ram);
            for luck in 0..lucks {
                let after = Ram(Arc::new(Mutex::new(ram.world().cut(luck))));
                let what = format!("{batches:?} cut after {stop}, luck {luck}");
                check_after_stop(&after, acknowledged, seen, &what);
            }
            if done {
                break;
            }
        }
    }
}

#[test]
fn survives_a_power_cut_while_it_recovers_from_one() {
    for stop in 0.. {
        let ram = Ram::new(stop);
        let (acknowledged, done) = run(&ram, &[1, 2]);
        for again in (0..24).step_by(3) {
            let after = Ram(Arc::new(Mutex::new(ram.world().cut(again))));
            let seen = published(&after);
            after.world().stop_after = usize::try_from(again).unwrap();
            let recovered = open(&after).is_ok();
            let seen = seen.max(published(&after));
            let last = Ram(Arc::new(Mutex::new(after.world().cut(again + 1))));
            check_after_stop(&last, acknowledged, seen, &format!("{stop}, then {again}"));
            if recovered {
                break;
            }
        }
        if done {
            return;
        }
    }
}

#[test]
fn refuses_a_state_restored_from_a_backup() {
    let ram = Ram::new(usize::MAX);
    run(&ram, &[]);
    let first = ram.bytes("checkpoint").unwrap();
    open(&ram).unwrap().append(&batch(0, 5), key()).unwrap();
    let old = ram.bytes(".state/tree").unwrap();
    open(&ram).unwrap().append(&batch(5, 3), key()).unwrap();
    let new = ram.bytes(".state/tree").unwrap();
    ram.put(".state/tree", &old);
    let refused = |ram: &Ram| match open(ram).unwrap_err() {
        SequencerError::Forked { private, published } => (private, published),
        other => panic!("{other}"),
    };
    assert_eq!(refused(&ram), (5, Some(8)));
    // The other way round: the public files are older than the state's last batch.
    ram.put(".state/tree", &new);
    ram.put("checkpoint", &first);
    assert_eq!(refused(&ram), (8, Some(0)));
    ram.drop_name("checkpoint");
    assert_eq!(refused(&ram), (8, None));
    // The same size with another past.
    let other = Ram::new(usize::MAX);
    create(&other)
        .unwrap()
        .append(&vec![vec![1]; 8], key())
        .unwrap();
    ram.put("checkpoint", &other.bytes("checkpoint").unwrap());
    assert_eq!(refused(&ram), (8, Some(8)));
}

#[test]
fn refuses_a_restored_directory_whose_tiles_went_on() {
    let ram = Ram::new(usize::MAX);
    run(&ram, &[5]);
    let old = ram.bytes(".state/tree").unwrap();
    let public = ram.bytes("checkpoint").unwrap();
    open(&ram).unwrap().append(&[b"other"], key()).unwrap();
    ram.put(".state/tree", &old);
    ram.put("checkpoint", &public);
    let mut log = open(&ram).unwrap();
    let conflict = log.append(&batch(5, 1), key()).unwrap_err();
    assert!(
        matches!(conflict, SequencerError::Conflict(path) if path == Path::new("/log/tile/entries/000.p/6"))
    );
}

#[test]
fn refuses_a_tree_state_that_is_not_whole() {
    let ram = Ram::new(usize::MAX);
    run(&ram, &[5]);
    let whole = ram.bytes(".state/tree").unwrap();
    let other = Ram::new(usize::MAX);
    run(&other, &[4]);
    let others = other.bytes(".state/tree").unwrap();
    let flipped: Vec<u8> = whole.iter().map(|byte| byte ^ 1).collect();
    for broken in [
        &b""[..],
        b"vcn-tree/v1\n",
        &[0xff; 4096],
        &others,
        &flipped,
        &whole[..whole.len() - 1],
    ] {
        ram.put(".state/tree", broken);
        assert!(open(&ram).is_err(), "{broken:?}");
        assert_eq!(check(&ram).size, 5);
    }
    ram.put(".state/tree", &whole);
    assert_eq!(open(&ram).unwrap().checkpoint().unwrap().size, 5);
}

#[test]
fn sees_what_another_process_has_appended() {
    let ram = Ram::new(usize::MAX);
    run(&ram, &[5]);
    let mut one = open(&ram).unwrap();
    let mut other = open(&ram).unwrap();
    assert_eq!(one.append(&batch(5, 1), key()).unwrap(), 5);
    assert_eq!(other.append(&batch(6, 2), key()).unwrap(), 6);
    let moved = one.append_at(6, &batch(6, 1), key()).unwrap_err();
    assert!(matches!(moved, SequencerError::Moved(8)), "{moved}");
    one.append_at(8, &batch(8, 1), key()).unwrap();
    assert_eq!(check(&ram).size, 9);
}

#[test]
fn a_full_disk_leaves_a_consistent_log() {
    let full_at = |step: usize| {
        let ram = Ram::new(usize::MAX);
        run(&ram, &[255]);
        let mut log = open(&ram).unwrap();
        let before = ram.world().steps;
        ram.world().stop_after = before + step;
        let done = log.append(&batch(255, 2), key()).is_ok();
        ram.world().full = true;
        ram.world().stop_after = usize::MAX;
        let size = published(&ram);
        if !done {
            log.append(&batch(size, 1), key()).unwrap_err();
        }
        assert_eq!(check(&ram).size, size);
        ram.world().full = false;
        // The same sequencer goes on once there is room.
        let size = log.checkpoint().unwrap().size;
        assert_eq!(log.append(&batch(size, 2), key()).unwrap(), size);
        assert_eq!(check(&ram).size, size + 2);
        done
    };
    assert!((0..).any(full_at));
}

#[test]
fn appends_nothing_more_once_the_disk_did_not_keep_something() {
    let ram = Ram::new(usize::MAX);
    run(&ram, &[5]);
    let mut log = open(&ram).unwrap();
    ram.world().broken_sync = true;
    let lost = log.append(&batch(5, 1), key()).unwrap_err();
    assert!(
        matches!(lost, SequencerError::Disk(_, Fault::Sync(_))),
        "{lost}"
    );
    ram.world().broken_sync = false;
    let aborted = log.append(&batch(5, 1), key()).unwrap_err();
    assert!(matches!(aborted, SequencerError::Aborted), "{aborted}");
    assert_eq!(open(&ram).unwrap().checkpoint().unwrap().size, 5);
}

#[test]
fn refuses_entries_and_keys_that_do_not_fit() {
    let ram = Ram::new(usize::MAX);
    run(&ram, &[5]);
    let mut log = open(&ram).unwrap();
    let stranger = SecretKey::from_seed("ledger.example/vcn", &[8; 32]).unwrap();
    for (entries, signer, expected) in [
        (
            vec![vec![]],
            key(),
            "an entry has 1 to 16384 bytes, this one has 0",
        ),
        (
            vec![vec![0; 16_385]],
            key(),
            "an entry has 1 to 16384 bytes, this one has 16385",
        ),
        (
            vec![vec![0; 16_384]; 4096],
            key(),
            "a batch has at most 67108864 bytes, this one has 67371008",
        ),
        (
            batch(5, 1),
            &stranger,
            &*format!(
                "not the log's key: expected {}, found {}",
                key().verifier().keyid(),
                stranger.verifier().keyid()
            ),
        ),
    ] {
        let steps = ram.world().steps;
        let refused = log.append(&entries, signer).unwrap_err().to_string();
        assert_eq!(refused, expected);
        assert!(ram.world().steps <= steps + 1, "{expected}");
    }
    assert_eq!(log.append::<Vec<u8>>(&[], key()).unwrap(), 5);
    let exists = create(&ram).unwrap_err();
    assert!(matches!(exists, SequencerError::Exists(_)), "{exists}");
    assert_eq!(log.append(&batch(5, 1), key()).unwrap(), 5);
    assert_eq!(check(&ram).size, 6);
}

#[test]
fn names_the_first_difference_of_a_tampered_log() {
    let ram = Ram::new(usize::MAX);
    run(&ram, &[600]);
    let first = |path: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let good = ram.bytes(path).unwrap();
        let mut bad = good.clone();
        change(&mut bad);
        ram.put(path, &bad);
        let found = log_check(&ram, key().verifier()).unwrap_err().to_string();
        ram.put(path, &good);
        found
    };
    // The last byte of the fourth entry, or of the second hash.
    let flip = |bytes: &mut Vec<u8>| {
        let at = if bytes.len() == 2560 { 39 } else { 63 };
        bytes[at] ^= 1;
    };
    for (path, found) in [
        (
            "tile/entries/001",
            "'tile/0/001' does not follow from the entries",
        ),
        (
            "tile/0/000",
            "'tile/0/000' does not follow from the entries",
        ),
        (
            "tile/0/002.p/88",
            "'tile/0/002.p/88' does not follow from the entries",
        ),
        (
            "tile/1/000.p/2",
            "'tile/1/000.p/2' does not follow from the entries",
        ),
    ] {
        assert_eq!(first(path, &flip), found);
    }
    let cut = first("tile/entries/002.p/88", &|bytes| bytes.truncate(9));
    assert!(
        cut.contains("bad answer from '/log/tile/entries/002.p/88'"),
        "{cut}"
    );
    let good = ram.bytes("tile/0/001").unwrap();
    ram.drop_name("tile/0/001");
    let gone = log_check(&ram, key().verifier()).unwrap_err().to_string();
    assert_eq!(gone, "the ledger lacks '/log/tile/0/001'");
    ram.put("tile/0/001", &good);
    check(&ram);
}
