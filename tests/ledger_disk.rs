//! A log on a real disk: killed while it appends, and filled up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "test code"
)]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vcn_hook::ledger::client::{self, Dir, TlogRead};
use vcn_hook::ledger::log_check;
use vcn_hook::ledger::sequencer::{Sequencer, SequencerError};
use vcn_hook::ledger::tiles::{Row, TileName};
use vcn_hook::trust::keys::{SecretKey, Signer as _};

/// Where the child process of the kill test appends.
const CHILD: &str = "VCN_HOOK_TEST_APPEND_TO";

fn key() -> SecretKey {
    SecretKey::from_seed("ledger.example/vcn", &[7; 32]).unwrap()
}

fn batch(first: u64, count: u64) -> Vec<Vec<u8>> {
    (first..first + count)
        .map(|n| n.to_be_bytes().to_vec())
        .collect()
}

/// Checks the whole log, and that entry n says n; returns its size.
fn check(directory: &Path) -> u64 {
    let reader = Dir::open(directory).unwrap();
    let size = log_check(&reader, key().verifier()).unwrap().size;
    let reader: &dyn TlogRead = &reader;
    let found: Vec<Vec<u8>> = TileName::all(Row::Entries, size)
        .flat_map(|name| client::entries(reader, name).unwrap())
        .collect();
    assert!(found == batch(0, size), "an entry is not what was appended");
    size
}

/// Not a test of its own: what the kill test kills.
#[test]
fn child_appends_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let mut log = Sequencer::open(&directory, key().verifier().clone()).unwrap();
    let mut size = log.checkpoint().unwrap().size;
    loop {
        let count = 1 + size % 97;
        assert_eq!(log.append(&batch(size, count), &key()).unwrap(), size);
        size += count;
        println!("acknowledged {size}");
    }
}

#[test]
fn loses_no_acknowledged_entry_to_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("log");
    Sequencer::create(&directory, &key()).unwrap();
    let mut size = 0;
    for round in 0..25_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_appends_until_it_is_killed", "--nocapture"])
            .env(CHILD, &directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let acknowledged = |line: String| line.strip_prefix("acknowledged ")?.parse::<u64>().ok();
        let mut last = lines
            .by_ref()
            .find_map(acknowledged)
            .expect("the child appends");
        // Odd microseconds, so that the rounds end at different steps.
        std::thread::sleep(Duration::from_micros(1 + round * round * 137 % 9_973));
        child.kill().unwrap();
        child.wait().unwrap();
        last = lines.filter_map(acknowledged).last().unwrap_or(last);
        let mut log = Sequencer::open(&directory, key().verifier().clone()).unwrap();
        let now = log.checkpoint().unwrap().size;
        assert!(
            now >= last && last > size,
            "round {round}: {last} acknowledged, {now} there"
        );
        size = check(&directory);
        assert_eq!(size, now);
    }
    for (name, mode) in [
        ("", 0o755),
        (".state", 0o700),
        ("tile/0", 0o755),
        ("checkpoint", 0o644),
        (".state/tree", 0o600),
    ] {
        let found = std::fs::metadata(directory.join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
}

/// A small file system of its own, gone with the value.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k,mode=0755", "tmpfs"])
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(
            mounted.success(),
            "this test mounts a tmpfs: run it as root"
        );
        Self(folder)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_leaves_a_log_that_goes_on_once_there_is_room() {
    let disk = Tmpfs::mount();
    let directory = disk.0.path().join("log");
    let mut log = Sequencer::create(&directory, &key()).unwrap();
    let filler = disk.0.path().join("filler");
    std::fs::write(&filler, vec![1; 100 << 10]).unwrap();
    let mut size = 0;
    let full = loop {
        match log.append(&batch(size, 3), &key()) {
            Ok(_) => size += 3,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SequencerError::Disk(..)), "{full}");
    assert!(full.to_string().contains("No space left"), "{full}");
    assert!(size > 0, "the disk was full from the start");
    assert_eq!(check(&directory), size);
    std::fs::remove_file(&filler).unwrap();
    let now = log.checkpoint().unwrap().size;
    assert!(now == size || now == size + 3);
    assert_eq!(log.append(&batch(now, 3), &key()).unwrap(), now);
    assert_eq!(check(&directory), now + 3);
}

/// Not a promise, a figure: `cargo test --release --test ledger_disk -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn append_rate() {
    let folder = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let mut log = Sequencer::create(&folder.path().join("log"), &key()).unwrap();
    for (rounds, count) in [(300, 1), (100, 16), (50, 256), (5, 10_000)] {
        let entries = vec![vec![b'x'; 1_100]; count];
        let start = Instant::now();
        let mut each = Vec::new();
        for _ in 0..rounds {
            let one = Instant::now();
            log.append(&entries, &key()).unwrap();
            each.push(one.elapsed());
        }
        each.sort();
        let total = start.elapsed();
        let rate = (rounds * count) as f64 / total.as_secs_f64();
        let middle = each.get(rounds / 2).unwrap();
        println!("batches of {count}: {rate:.0} entries/s, p50 {middle:?} a batch");
    }
}
