//! An allowlist of any size, without a log behind it: `tables STATE_DIR RECORDS`. For `make bench`.
//!
//! Writes tables, note and gate.bin of a ledger that exists nowhere else, and
//! prints as JSON which digests are in them and how long the base took: to build, to reach the disk,
//! and what hashing as many pages on as many cores takes at the least.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for developers that may stop at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use vcn_hook::allowlist::build::Builder;
use vcn_hook::allowlist::index_note::{IndexNote, TableRef};
use vcn_hook::allowlist::note::SignedNote;
use vcn_hook::allowlist::record::{Key, Kind, Record, Status};
use vcn_hook::allowlist::table::TableKind;
use vcn_hook::apply::gatebin_path;
use vcn_hook::image::digest::Digest;
use vcn_hook::policy::gatebin::{
    AllowRule, Engines, GateBin, Mode, Response, Rules, Runtimes, SignerRule, Trust,
};
use vcn_hook::store::{HighWater, Store};
use vcn_hook::sys::{clock, file};
use vcn_hook::trust::keys::{SecretKey, Signer as _};

const ORIGIN: &str = "ledger.example/bench";
const SIGNERS: u16 = 12;

fn main() {
    let mut words = std::env::args_os().skip(1);
    let state = PathBuf::from(words.next().unwrap());
    let records = words.next().unwrap().to_str().unwrap().parse().unwrap();
    let build = node(&state, records);
    let answer = json!({
        "present": digest(b'b', records / 2),
        "absent": digest(b'x', 0),
        "chain": chain(),
        "build_seconds": build.built.as_secs_f64(),
        "disk_seconds": build.durable.as_secs_f64(),
        "hash_seconds": build.hashed.as_secs_f64(),
    });
    println!("{answer}");
}

/// How long a table took.
struct Build {
    built: Duration,
    durable: Duration,
    /// As many pages hashed and nothing else, on all cores.
    hashed: Duration,
}

fn chain() -> Digest {
    Digest::of(b"chain")
}

/// Makes one. The delta has a hundredth of the base's records, all of other keys.
fn node(state: &Path, records: u64) -> Build {
    let store = Store::new(state);
    let (base, build) = table(&store, TableKind::Base, b'b', records, records);
    let (delta, _) = table(&store, TableKind::Delta, b'd', records / 100, records);
    let root = Digest::of(b"root");
    let indexer = SecretKey::from_seed(&IndexNote::key_name(ORIGIN), &[7; 32]).unwrap();
    let now = clock::now();
    let note = IndexNote {
        origin: ORIGIN.to_owned(),
        log_size: records,
        log_root: [1; 32],
        base,
        delta,
        root_version: 1,
        root_digest: root,
        time: now,
        expires: now + 86_400,
    };
    let text = note.format();
    let mut signed = SignedNote::new(text.clone()).unwrap();
    signed
        .sign(indexer.verifier(), &indexer.sign(text.as_bytes()).unwrap())
        .unwrap();
    store.install_note(&signed.to_bytes()).unwrap();
    store.reset_high_water(HighWater::of(&note)).unwrap();
    let gate = gatebin(state, root, indexer.verifier().to_string());
    file::replace(&gatebin_path(state), &gate.encode().unwrap(), 0o644).unwrap();
    build
}

fn digest(kind: u8, number: u64) -> Digest {
    let mut bytes = [kind; 9];
    bytes[1..].copy_from_slice(&number.to_be_bytes());
    Digest::of(&bytes)
}

fn table(
    store: &Store,
    kind: TableKind,
    letter: u8,
    records: u64,
    log_size: u64,
) -> (TableRef, Build) {
    let mut keys: Vec<(Key, u64)> = (0..records)
        .map(|number| (Key::of(Kind::Config, &digest(letter, number)), number))
        .collect();
    keys.sort_unstable();
    let begun = Instant::now();
    // 51 records on a page, and upper levels of a sixty-third.
    let size = records.div_ceil(51).max(1) * 4096 * 64 / 63 + (8 << 12);
    let mut writer = store.create_table(size).unwrap();
    let mut builder = Builder::new(&mut writer, kind, ORIGIN, log_size);
    for (key, number) in keys {
        builder
            .push(&Record {
                key,
                signer: u16::try_from(number % u64::from(SIGNERS)).unwrap(),
                status: Status::Trusted,
                not_after: 0,
                log_index: number,
                target: Some(chain()),
            })
            .unwrap();
    }
    let table = builder.finish().unwrap();
    let built = begun.elapsed();
    store
        .install_table(writer, &table, kind, ORIGIN, false)
        .unwrap();
    let durable = begun.elapsed() - built;
    let hashed = hashing(records.div_ceil(51));
    let build = Build {
        built,
        durable,
        hashed,
    };
    (table, build)
}

/// What hashing so many pages takes on all cores.
fn hashing(pages: u64) -> Duration {
    let cores = std::thread::available_parallelism().unwrap().get();
    let share = pages.div_ceil(u64::try_from(cores).unwrap());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut page = [0; 4096];
                for _ in 0..share {
                    let digest = Digest::of(&page);
                    // Each page depends on the one before, so that no hash can be left out.
                    page[..32].copy_from_slice(digest.as_bytes());
                }
            });
        }
    });
    begun.elapsed()
}

fn gatebin(state: &Path, root_digest: Digest, indexer: String) -> GateBin {
    GateBin {
        mode: Mode::Enforce,
        state_dir: state.to_owned(),
        run_dir: state.to_owned(),
        decisions: state.join("decisions.jsonl"),
        config_dir: state.to_owned(),
        runtimes: Runtimes {
            runc: "/usr/sbin/runc".into(),
            crun: "/usr/bin/crun".into(),
        },
        engines: Engines::default(),
        bundles: Vec::new(),
        trust: Trust {
            origin: ORIGIN.to_owned(),
            root_version: 1,
            root_digest,
            indexers: vec![indexer],
            index_threshold: 1,
            organisations: vec!["bench".to_owned()],
            signers: vec![
                SignerRule {
                    organisation: 0,
                    level: 2
                };
                usize::from(SIGNERS)
            ],
            allow: AllowRule {
                threshold: 1,
                min_level: 1,
                organisations: vec![0],
            },
            veto: None,
            unsupported: Response::Deny,
        },
        floor: Vec::new(),
        exemptions: Vec::new(),
        held: Vec::new(),
        rules: Rules::standard(),
        grace: 0,
    }
}
