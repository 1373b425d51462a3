//! How fast a node verifies a log, against the raw rate of its signatures. Run by hand:
//! `cargo test --release --test rate_sync -- --ignored --nocapture`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and this one tells a person"
)]

mod ledger;

use ledger::{Ledger, NOW, Node, key, statement};
use vcn_hook::allowlist::record::Status;
use vcn_hook::trust::keys::Signer as _;

/// The most memory that this process has had, in MB.
fn peak() -> u64 {
    let status = vcn_hook::sys::file::read_capped("/proc/self/status".as_ref(), 1 << 16).unwrap();
    let status = String::from_utf8(status).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let kb: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kb / 1024
}

/// Seconds of all cores that this process has used: other processes do not disturb the ratio.
fn cpu() -> f64 {
    let stat = vcn_hook::sys::file::read_capped("/proc/self/stat".as_ref(), 1 << 16).unwrap();
    let stat = String::from_utf8(stat).unwrap();
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    // USER_HZ is 100 on every architecture that containers run on.
    ticks as f64 / 100.0
}

#[test]
#[ignore = "takes a minute and says something only on a quiet machine"]
fn measures_a_bootstrap() {
    let count: usize = 50_000;
    let signer = key("acme-ci");
    let signature = signer.sign(&[7; 700]).unwrap();
    let started = cpu();
    for _ in 0..20_000 {
        assert!(signer.verifier().verify(&[7; 700], &signature));
    }
    let raw = 20_000.0 / (cpu() - started);
    let mut ledger = Ledger::new();
    ledger.append((0..count).map(|at| {
        let names = [format!("{at}-a"), format!("{at}-b")];
        statement("acme-ci", Status::Trusted, 0, &[&names[0], &names[1]])
    }));
    let before = peak();
    let started = cpu();
    ledger.index(NOW);
    println!(
        "index: {:.0} entries per second of a core",
        count as f64 / (cpu() - started)
    );
    let node = Node::of(&ledger);
    let started = cpu();
    node.sync(ledger.path(), NOW).unwrap();
    let rate = count as f64 / (cpu() - started);
    println!(
        "sync: {rate:.0} entries per second of a core, {:.0} % of its {raw:.0} signatures",
        100.0 * rate / raw
    );
    println!("memory: {before} MB before, {} MB at most", peak());
}
