//! The figures of docs/performance.md, measured: `make bench`.
//!
//! Every figure is a ratio to a named baseline raced in the same rounds.
//! Nothing here asserts a time: a missed figure is printed as missed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    unnameable_types,
    reason = "a program for developers that may stop at the first surprise"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod append;
mod deep;
mod engines;
mod growth;
mod held;
mod hour;
mod race;
mod report;
mod sweep;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use race::{Runner, race};
use report::{Report, reach};
use serde_json::{Value, json};
use support::scratch::Scratch;
use support::{binary, program};

const PAGE: &str = "docs/performance.md";

fn main() {
    // `cargo test --all-targets` runs this too, and wants no figures; `cargo bench` says so.
    if !std::env::args_os().any(|word| word == "--bench") {
        return;
    }
    if std::env::var_os(ALONE).is_none() {
        again_without_hybrid_cgroups();
    }
    let rounds = std::env::var("ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(400);
    // `make bench FIGURES="start at-once"` measures those anew and leaves the rest of the page.
    let only = std::env::var("FIGURES").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only.split_whitespace().any(|word| word == name);
    let mut report = match only.as_str() {
        "" => Report::default(),
        _ => Report::partial(machine()),
    };
    if only.is_empty() {
        introduction(&mut report);
    }
    let scratch = Scratch::new("figures");
    let empty = compiled(&scratch, "empty");
    let maxrss = compiled(&scratch, "maxrss");
    if wanted("decision") {
        decision(&mut report, &scratch, &empty, &maxrss, rounds);
    }
    if wanted("gate") {
        gate(&mut report, &empty, &maxrss, rounds);
    }
    if wanted("append") {
        append::append(&mut report, &scratch);
    }
    if wanted("start") {
        engines::alone(&mut report, rounds / 10);
    }
    if wanted("at-once") {
        engines::at_once(&mut report);
    }
    if wanted("deep") {
        deep::deep(&mut report, &scratch, &maxrss);
    }
    if wanted("sweep") {
        sweep::sweep(&mut report, &maxrss);
    }
    if wanted("hour") {
        hour::hour(&mut report);
    }
    if wanted("size") {
        size(&mut report);
    }
    report.write(Path::new(PAGE));
}

fn introduction(report: &mut Report) {
    report.line("# Figures");
    report.line(
        "\nMade by `make bench`; do not edit. Medians of whole processes, spawn to exit, all",
    );
    report.line("programs of a table raced in the same rounds, each round in another order. The baseline is");
    report.line(
        "an empty static C process unless a table says otherwise. Ratios hold where times do not.",
    );
    report.line(
        "A section that was measured apart (`make bench FIGURES=...`) names its own machine.",
    );
    report.line(&format!("\n{}", machine()));
}

/// Set for the run in a mount namespace of its own.
const ALONE: &str = "VCN_HOOK_FIGURES_ALONE";

/// Starts over where crun sees no half-mounted cgroup2 beside cgroup v1, which it refuses to run on.
fn again_without_hybrid_cgroups() -> ! {
    let script = "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"";
    let error = Command::new(program("unshare"))
        .args(["-m", "sh", "-c", script, "figures"])
        .arg(std::env::current_exe().unwrap())
        .arg("--bench")
        .env(ALONE, "1")
        .exec();
    panic!("cannot run unshare: {error}");
}

/// A state directory with an allowlist of so many records, made by `examples/tables.rs`.
struct Tables {
    records: u64,
    state: PathBuf,
    present: String,
    absent: String,
    chain: String,
    build_seconds: f64,
    disk_seconds: f64,
    hash_seconds: f64,
}

impl Tables {
    fn new(state: &Path, records: u64) -> Self {
        let mut command = Command::new(example("tables"));
        let output = command
            .arg(state)
            .arg(records.to_string())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        let seconds = |name: &str| answer[name].as_f64().unwrap();
        Self {
            records,
            state: state.to_owned(),
            present: text("present"),
            absent: text("absent"),
            chain: text("chain"),
            build_seconds: seconds("build_seconds"),
            disk_seconds: seconds("disk_seconds"),
            hash_seconds: seconds("hash_seconds"),
        }
    }
}

/// The allowlist's answer as a process of its own, from a thousand to ten million records.
fn decision(report: &mut Report, scratch: &Scratch, empty: &Path, maxrss: &Path, rounds: usize) {
    let nodes: Vec<_> = [1_000, 1_000_000, 10_000_000]
        .map(|records| Tables::new(&scratch.folder(&format!("n{records}")), records))
        .into();
    let decide = example("decide");
    let mut runners = vec![Runner::new(empty, []), Runner::new(example("nothing"), [])];
    for node in &nodes {
        let state = node.state.to_str().unwrap();
        runners.push(Runner::new(&decide, [state, &node.present, &node.chain]));
        let absent = Runner::new(&decide, [state, &node.absent, &node.chain]);
        runners.push(Runner {
            expected: 1,
            ..absent
        });
    }
    let largest = nodes.last().unwrap();
    let state = largest.state.to_str().unwrap();
    let words = [state, &largest.present, &largest.chain, "anew"];
    runners.push(Runner::new(&decide, words));
    let times = race(&runners, rounds);
    report.section(
        "The allowlist's decision",
        "One process: gate.bin, note, delta, base, policy; page cache warm. The signatures of one note are \
         verified at the first start after a sync, and known again after that.",
        &["program", "median us", "x empty C", "peak RSS KiB", "reach"],
    );
    let names = ["empty static C", "empty static Rust"]
        .map(str::to_owned)
        .into_iter();
    let labelled = nodes.iter().flat_map(|node| {
        [
            format!("{} records, present", node.records),
            format!("{} records, absent", node.records),
        ]
    });
    let anew = format!("{} records, first start after a sync", largest.records);
    for (at, name) in names.chain(labelled).chain([anew]).enumerate() {
        let ratio = times[at].ratio(&times[0]);
        let reached = match at {
            2..8 => reach(ratio, 3.5, "x"),
            _ => String::new(),
        };
        report.row(&[
            name,
            micros(&times[at]),
            format!("{ratio:.2}"),
            resident(maxrss, &runners[at]).to_string(),
            reached,
        ]);
    }
    let growth = times[6].ratio(&times[2]);
    report.line(&format!(
        "\nFrom 10^3 to 10^7 records the decision grows {growth:.2} x ({}).",
        reach(growth, 1.3, "x")
    ));
    let (build, hash) = (largest.build_seconds, largest.hash_seconds);
    report.line(&format!(
        "Building the table of 10^7 sorted records took {build:.2} s ({}), {:.2} x of hashing as many pages \
         on all cores ({hash:.2} s); the disk took {:.2} s more to have it.",
        reach(build, 2.0, "s"),
        build / hash,
        largest.disk_seconds
    ));
}

/// The whole gate on a real `create`, and whole containers with and without it.
fn gate(report: &mut Report, empty: &Path, maxrss: &Path, rounds: usize) {
    let held = held::Held::container(10);
    let gate = held.gate(empty);
    let runners = [Runner::new(empty, []), gate];
    let times = race(&runners, rounds);
    let ratio = times[1].ratio(&times[0]);
    let rss = resident(maxrss, &runners[1]);
    report.section(
        "The whole gate",
        "The very `create` that Docker typed for a 10-layer image, in front of a runtime that does nothing \
         (its own start is in the figure).",
        &["program", "median us", "x empty C", "peak RSS KiB", "reach"],
    );
    report.row(&[
        "empty static C".to_owned(),
        micros(&times[0]),
        "1.00".to_owned(),
        String::new(),
        String::new(),
    ]);
    report.row(&[
        "gate, then empty static C".to_owned(),
        micros(&times[1]),
        format!("{ratio:.2}"),
        rss.to_string(),
        format!(
            "{}; {}",
            reach(ratio - 1.0, 4.0, "x (less the runtime's own)"),
            reach(f64::from(rss), 4096.0, "KiB")
        ),
    ]);
    report.section(
        "A container through the gate",
        "`run` of `true` on the same rootfs, read-only; the hook is an empty static C createRuntime hook; \
         the gate as a hook stands in its place, alone. Debian's crun now and then fails a run with a hook, \
         whatever the hook is: such a run is repeated, and counted here.",
        &["runtime", "variant", "median ms", "p90 ms", "ratio", "paired ms", "reach"],
    );
    for (name, limit) in [("crun", 1.08), ("runc", 1.04)] {
        containers(report, &held, name, limit, empty, rounds / 2);
    }
}

fn containers(
    report: &mut Report,
    held: &held::Held,
    name: &str,
    limit: f64,
    empty: &Path,
    rounds: usize,
) {
    let real = program(name);
    let plain = held.bundle("plain", &Value::Null);
    let hooked = held.bundle("hooked", &json!({"path": empty}));
    let judged = json!({"path": binary(), "args": ["vcn-hook", "hook"]});
    let judged = held.bundle("judged", &judged);
    let runners = [
        held.run(Runner::new(&real, []), &plain),
        held.run(Runner::new(&real, []), &plain),
        held.run(held.gated(&real, name), &plain),
        held.run(Runner::new(&real, []), &hooked).patient(),
        held.run(Runner::new(&real, []), &judged).patient(),
    ];
    let times = race(&runners, rounds);
    let hook = times[3].paired_ms(&times[0]);
    let labels = [
        "alone",
        "alone again (noise)",
        "through the gate",
        "static C hook",
        "the gate as a hook",
    ];
    for (at, label) in labels.iter().enumerate() {
        let ratio = times[at].ratio(&times[0]);
        let paired = times[at].paired_ms(&times[0]);
        let reached = match at {
            2 => format!(
                "{}; {}",
                reach(ratio, limit, "x"),
                reach(paired, 2.0 * hook, "ms (twice the hook's)")
            ),
            4 => reach(times[4].ratio(&times[3]), 1.05, "x the static C hook"),
            _ => String::new(),
        };
        let reached = match times[at].failed() {
            0 => reached,
            failed => format!("{reached} ({failed} runs failed and were run again)"),
        };
        report.row(&[
            name.to_owned(),
            (*label).to_owned(),
            format!("{:.2}", times[at].median().as_secs_f64() * 1e3),
            format!("{:.2}", times[at].percentile(90).as_secs_f64() * 1e3),
            format!("{ratio:.3}"),
            format!("{paired:+.2}"),
            reached,
        ]);
    }
}

fn size(report: &mut Report) {
    let bytes = std::fs::metadata(binary()).unwrap().len();
    let megabytes = f64::from(u32::try_from(bytes).unwrap()) / 1e6;
    report.section("The binary", "Static, stripped.", &["file", "MB", "reach"]);
    report.row(&[
        "vcn-hook".to_owned(),
        format!("{megabytes:.2}"),
        reach(megabytes, 6.0, "MB"),
    ]);
}

fn micros(times: &race::Times) -> String {
    format!("{:.0}", times.median().as_secs_f64() * 1e6)
}

/// The largest resident set of a few runs, in KiB.
fn resident(maxrss: &Path, runner: &Runner) -> u32 {
    let largest = (0..5).map(|_| {
        let mut command = Command::new(maxrss);
        command
            .arg(&runner.program)
            .args(&runner.arguments)
            .current_dir(&runner.directory);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // The runner may print too; the figure is the last line.
        text.split_whitespace()
            .next_back()
            .unwrap()
            .parse()
            .unwrap()
    });
    largest.max().unwrap()
}

fn compiled(scratch: &Scratch, name: &str) -> PathBuf {
    let output = scratch.join(name);
    let source = format!("benches/figures/{name}.c");
    let built = Command::new(program("musl-gcc"))
        .args(["-O2", "-static", "-o"])
        .arg(&output)
        .arg(source)
        .status();
    assert!(built.unwrap().success(), "musl-gcc cannot compile {name}.c");
    output
}

/// A small program of this crate, built beside the release binary.
fn example(name: &str) -> PathBuf {
    let path = binary().with_file_name("examples").join(name);
    assert!(
        path.is_file(),
        "{} is missing; run 'make bench'",
        path.display()
    );
    path
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "Machine: {cores} cores, {}, kernel {}.",
        model.map_or("unknown CPU", |(_, name)| name),
        kernel.trim()
    )
}
