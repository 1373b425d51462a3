//! Statements over HTTP: `ledger serve` beside Tessera's POSIX storage, on the same disk, in turns.
//!
//! Each client sends its next entry when the one before is answered, as publishers do. Tessera runs
//! with the two batchings that suit it best here; what it answers is durable and not yet under a
//! checkpoint, what `ledger serve` answers is under one, verified, and applied to the state.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vcn_hook::trust::keys::{SecretKey, Signer as _};

use crate::report::Report;
use crate::support::node::Node;
use crate::support::scratch::Scratch;
use crate::support::server::{Client, Server, signer, trusted};

const ROUNDS: usize = 7;
/// Entries of one client in one round.
const ENTRIES: usize = 200;
const TESSERA: &str = "Tessera 1.0.4 POSIX";

/// One server in the race, and what its clients have seen, by their number.
struct Contender {
    name: String,
    address: SocketAddr,
    seen: [Seen; 2],
}

#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    rates: Vec<f64>,
}

/// Races the servers with one client and with eight.
pub fn append(report: &mut Report, scratch: &Scratch) {
    let node = Node::bare(scratch, "append", None);
    let directory = node.ledger();
    let init = [
        "ledger",
        "init",
        directory.to_str().unwrap(),
        "--origin",
        "ledger.test/vcn",
    ];
    node.vcn(&init).ok();
    let server = Server::start(&node, &directory);
    let mut contenders = vec![Contender {
        name: "ledger serve".to_owned(),
        address: server.address,
        seen: Default::default(),
    }];
    let tessera = tessera(scratch);
    let mut others = Vec::new();
    if let Ok(program) = &tessera {
        for (batch, wait) in [("1", "1ms"), ("256", "5ms")] {
            let other = Tessera::start(program, &scratch.folder(&format!("t{batch}")), batch, wait);
            contenders.push(Contender {
                name: format!("{TESSERA}, batch {batch} within {wait}"),
                address: other.address,
                seen: Default::default(),
            });
            others.push(other);
        }
    }
    let key = signer(&node);
    for round in 0..ROUNDS {
        for (which, clients) in [1, 8].into_iter().enumerate() {
            for at in 0..contenders.len() {
                // Each round in another order, as everywhere.
                let at = (at + round) % contenders.len();
                contenders[at].round(which, clients, round, &key);
            }
        }
    }
    tell(report, &contenders, tessera.as_ref().err());
}

fn tell(report: &mut Report, contenders: &[Contender], missing: Option<&String>) {
    report.section(
        "Statements over HTTP",
        "On one disk, clients on the same cores; each sends its next entry once the last is answered. \
         Median round; all answers of all rounds.",
        &["server", "clients", "entries/s", "p50 ms", "p99 ms", "reach"],
    );
    for (which, clients) in [1, 8].into_iter().enumerate() {
        let best = contenders.iter().skip(1).map(|c| c.seen[which].rate());
        let best = best.fold(0.0, f64::max);
        for (at, contender) in contenders.iter().enumerate() {
            let seen = &contender.seen[which];
            let mut reached = Vec::new();
            if at == 0 && best > 0.0 {
                let ratio = seen.rate() / best;
                let met = if ratio >= 1.0 { "met" } else { "**missed**" };
                reached.push(format!("{ratio:.2} x Tessera, >= 1: {met}"));
            }
            if at == 0 && clients == 1 {
                reached.push(crate::report::reach(seen.percentile(50), 2.0, "ms"));
            }
            report.row(&[
                contender.name.clone(),
                clients.to_string(),
                format!("{:.0}", seen.rate()),
                format!("{:.2}", seen.percentile(50)),
                format!("{:.2}", seen.percentile(99)),
                reached.join("; "),
            ]);
        }
    }
    if let Some(why) = missing {
        report.row(&[
            &format!("{TESSERA}: **not measured**, {why}"),
            "",
            "",
            "",
            "",
            "",
        ]);
    }
}

impl Contender {
    fn round(&mut self, which: usize, clients: usize, round: usize, key: &SecretKey) {
        let entries: Vec<Vec<Vec<u8>>> = (0..clients)
            .map(|client| {
                let name = |n| format!("{}-{which}-{round}-{client}-{n}", self.name);
                (0..ENTRIES).map(|n| trusted(&name(n), 0, key)).collect()
            })
            .collect();
        let begun = Instant::now();
        let address = self.address;
        let latencies: Vec<Duration> = std::thread::scope(|scope| {
            let running: Vec<_> = entries
                .iter()
                .map(|entries| scope.spawn(move || client(address, entries)))
                .collect();
            running
                .into_iter()
                .flat_map(|one| one.join().unwrap())
                .collect()
        });
        let rate = latencies.len() as f64 / begun.elapsed().as_secs_f64();
        self.seen[which].rates.push(rate);
        self.seen[which].latencies.extend(latencies);
    }
}

fn client(address: SocketAddr, entries: &[Vec<u8>]) -> Vec<Duration> {
    let mut client = Client::connect(address).unwrap();
    let one = |entry: &Vec<u8>| {
        let begun = Instant::now();
        let answer = client.add(entry).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        begun.elapsed()
    };
    entries.iter().map(one).collect()
}

impl Seen {
    fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    }

    /// In milliseconds.
    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3
    }
}

/// Tessera behind the personality of `tessera/main.go`.
struct Tessera {
    process: Child,
    address: SocketAddr,
}

impl Tessera {
    fn start(program: &Path, directory: &Path, batch: &str, wait: &str) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let process = Command::new(program)
            .arg(directory)
            .args([&address.to_string(), batch, wait])
            .env("LOG_PRIVATE_KEY", private_key())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while Client::connect(address).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "Tessera does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { process, address }
    }
}

impl Drop for Tessera {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A key as Go's note package spells private ones.
fn private_key() -> String {
    use base64::Engine as _;
    let seed = [7; 32];
    let key = SecretKey::from_seed("ledger.test/tessera", &seed).unwrap();
    let bytes = [&[1][..], &seed].concat();
    let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!(
        "PRIVATE+KEY+{}+{:08x}+{encoded}",
        key.name(),
        key.verifier().id()
    )
}

/// Builds Tessera with the Go that is here; its version is pinned in `tessera/go.mod`.
fn tessera(scratch: &Scratch) -> Result<PathBuf, String> {
    let sources = scratch.folder("tessera");
    for name in ["main.go", "go.mod", "go.sum"] {
        std::fs::copy(
            format!("benches/figures/tessera/{name}"),
            sources.join(name),
        )
        .unwrap();
    }
    let program = sources.join("tessera");
    // Not the scratch folder's own home: the modules are kept for the next run.
    let built = Command::new("go")
        .args(["build", "-mod=mod", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(&sources)
        .output()
        .map_err(|error| format!("Go cannot be run: {error}"))?;
    if built.status.success() {
        return Ok(program);
    }
    let said = String::from_utf8_lossy(&built.stderr);
    Err(format!(
        "it cannot be built here: {}",
        said.lines().last().unwrap_or_default()
    ))
}
