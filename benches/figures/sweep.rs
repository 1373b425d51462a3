//! The watch: a look beside one of vcn-watchdog's script at the same containers, from a withdrawal to the
//! alert, and its memory after many looks. A real hour of it is in `hour`.
//!
//! The script is the seeds' own; its `vcn` is a link to this program, and `sleep` ends it after one look.
//! Both write to one InfluxDB.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::growth::Growth;
use crate::report::Report;
use crate::support::daemon::Daemon;
use crate::support::image::Image;
use crate::support::many;
use crate::support::node::Node;
use crate::support::scratch::Scratch;
use crate::support::telemetry::Service;
use crate::support::watching::{Receiver, Watching, wait_until};
use crate::support::{binary, program};

/// How many containers run, one after the other.
const CONTAINERS: [usize; 2] = [100, 500];

/// Looks of either kind, by turns.
const ROUNDS: usize = 3;

/// Withdrawals, each taken back.
const WITHDRAWALS: usize = 10;

/// Looks in quick succession.
const LOOKS: [usize; 4] = [1, 100, 500, 1000];

pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What one look cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    seconds: f64,
    /// Of all its processes.
    cpu: f64,
    /// Of the engine, meanwhile.
    engine: f64,
    /// Of the largest of its processes.
    mebibytes: f64,
}

pub fn sweep(report: &mut Report, maxrss: &Path) {
    let scratch = Scratch::new("sweep");
    let daemon = Daemon::start(&scratch);
    let node = Node::new(&scratch, "node", Some(&daemon));
    for tag in ["many:good", "many:bad"] {
        Image::saying(tag, tag).load(&daemon);
        node.notarize(&format!("docker://{tag}"));
    }
    node.vcn(&["untrust", "docker://many:bad"]).ok();
    node.sync();
    many::start(&daemon, "many:bad", 0..1);
    looks(report, &scratch, &daemon, &node, maxrss);
    withdrawals(report, &node);
    memory(report, &node);
}

fn looks(report: &mut Report, scratch: &Scratch, daemon: &Daemon, node: &Node, maxrss: &Path) {
    let influx = Service::influxdb(scratch, "mydb");
    node.configure(&format!(
        "[watch.influx]\nurl = \"{}\"\ndb = \"mydb\"\n",
        influx.url("")
    ));
    let script = script(scratch, &influx);
    report.section(
        "A look at everything that runs",
        "`vcn-hook watch --once` beside one look of vcn-watchdog's script, by turns, at the same containers of one \
         Docker, one of them UNTRUSTED; both write to one InfluxDB. Processor time is that of all processes of \
         either; the engine's is apart. Memory is that of the largest process.",
        &[
            "containers",
            "program",
            "s",
            "CPU s",
            "dockerd's CPU s",
            "peak RSS MiB",
            "x script's time",
            "x script's CPU",
            "x script's memory",
        ],
    );
    let mut running = 1;
    for containers in CONTAINERS {
        many::start(daemon, "many:good", running..containers);
        running = containers;
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let mut seeds = Command::new(maxrss);
            seeds.arg(program("bash")).arg(&script).env_clear();
            node.environment(&mut seeds);
            seeds
                .env(
                    "PATH",
                    format!("{}:{PATH}", script.parent().unwrap().display()),
                )
                .env("HOME", script.parent().unwrap())
                .env("HOSTNAME", "a-sidecar")
                .env("NODENAME", "node-1")
                .env("DOCKER_HOST", daemon.host())
                .env("VCN_HOOK_CONFIG", node.config());
            theirs.push(cost(seeds, daemon, containers));
            let mut watch = Command::new(maxrss);
            watch.arg(binary()).arg("-c").arg(node.config());
            watch.args(["watch", "--once"]).env_clear();
            node.environment(&mut watch);
            watch.env("PATH", PATH).env("NODENAME", "node-1");
            ours.push(cost(watch, daemon, containers));
        }
        let (theirs, ours) = (median(&theirs), median(&ours));
        for (name, cost, is_ours) in [
            ("vcn-watchdog's script", theirs, false),
            ("vcn-hook watch --once", ours, true),
        ] {
            let beside = |ours: f64, theirs: f64| match is_ours {
                true => format!("{:.4}", ours / theirs),
                false => "1".to_owned(),
            };
            report.row(&[
                containers.to_string(),
                name.to_owned(),
                format!("{:.2}", cost.seconds),
                format!("{:.2}", cost.cpu),
                format!("{:.2}", cost.engine),
                format!("{:.1}", cost.mebibytes),
                beside(ours.seconds, theirs.seconds),
                beside(ours.cpu, theirs.cpu),
                beside(ours.mebibytes, theirs.mebibytes),
            ]);
        }
    }
}

/// The seeds' script in a folder with all that it calls and we choose.
fn script(scratch: &Scratch, influx: &Service) -> PathBuf {
    let home = scratch.folder("seeds");
    // The script asks for 'influx:8086', whose name curl is told.
    let rule = format!("connect-to = \"influx:8086:{}\"\n", influx.address);
    fs::write(home.join(".curlrc"), rule).unwrap();
    symlink(binary(), home.join("vcn")).unwrap();
    let sleep = home.join("sleep");
    fs::write(&sleep, "#!/bin/sh\nkill $PPID\n").unwrap();
    fs::set_permissions(&sleep, fs::Permissions::from_mode(0o755)).unwrap();
    let script = home.join("verify");
    fs::copy("tests/seeds/verify", &script).unwrap();
    script
}

/// Runs it by `maxrss`, and sees that it has said something of each container.
fn cost(mut command: Command, daemon: &Daemon, containers: usize) -> Cost {
    let before = processor_time(daemon);
    let begun = Instant::now();
    let output = command.stdin(Stdio::null()).output().unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    let engine = processor_time(daemon) - before;
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let said = |text: &str, what: &str| {
        let lines = text.lines().filter(|line| line.starts_with("Container "));
        lines.filter(|line| line.contains(what)).count()
    };
    let good = said(&out, "many:good) check successful");
    let bad = said(&err, "(many:bad) verification failed");
    assert_eq!((good, bad), (containers - 1, 1), "{err}");
    let usage = out.lines().last().unwrap();
    let (cpu, kibibytes) = usage.split_once(' ').unwrap();
    Cost {
        seconds,
        cpu: cpu.parse::<f64>().unwrap() / 1e6,
        engine,
        mebibytes: kibibytes.parse::<f64>().unwrap() / 1024.0,
    }
}

/// What the engine's daemon has had of the processor, in seconds.
fn processor_time(daemon: &Daemon) -> f64 {
    let pid = fs::read_to_string(daemon.root().with_file_name("pid")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split_whitespace();
    let ticks = fields
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}

fn median(costs: &[Cost]) -> Cost {
    let of = |field: fn(&Cost) -> f64| middle(costs.iter().map(field).collect());
    Cost {
        seconds: of(|cost| cost.seconds),
        cpu: of(|cost| cost.cpu),
        engine: of(|cost| cost.engine),
        mebibytes: of(|cost| cost.mebibytes),
    }
}

fn middle(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_unstable_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// From `untrust` to Slack, or what stands for it.
fn withdrawals(report: &mut Report, node: &Node) {
    let receiver = Receiver::start();
    node.configure(&format!(
        "[watch]\ninterval = 3600\ndeep_hours = 0\nalerts_per_minute = 1000\nslack_webhook = {:?}\n",
        receiver.url()
    ));
    let containers = CONTAINERS[CONTAINERS.len() - 1];
    let watching = Watching::start(node, PATH, &["--changes"]);
    let mut parts: [Vec<f64>; 4] = Default::default();
    let mut told = receiver.about("(many:bad)").len();
    for withdrawal in 0..WITHDRAWALS {
        node.vcn(&["notarize", "docker://many:bad"]).ok();
        node.vcn(&["sync"]).ok();
        told += 1;
        receiver.wait_for("(many:bad)", told);
        // Not always as long after the watch's last look for a new allowlist.
        let phase = 1000 * withdrawal / WITHDRAWALS;
        std::thread::sleep(Duration::from_millis(u64::try_from(phase).unwrap()));
        let begun = Instant::now();
        node.vcn(&["untrust", "docker://many:bad"]).ok();
        let withdrawn = begun.elapsed();
        node.vcn(&["sync"]).ok();
        let synced = begun.elapsed();
        told += 1;
        receiver.wait_for("(many:bad)", told);
        let all = begun.elapsed();
        for (part, took) in [withdrawn, synced - withdrawn, all - synced, all]
            .into_iter()
            .enumerate()
        {
            parts[part].push(took.as_secs_f64() * 1e3);
        }
    }
    watching.end();
    report.section(
        "From a withdrawal to the alert",
        &format!(
            "`untrust` at the ledger, `sync` on the node at once, a watch of {containers} containers, one of them \
             concerned, and a receiver that stands for Slack, all on one machine. With the packaged timer up to five \
             minutes go by before the sync; nothing else waits for an interval but the watch, which looks once a \
             second whether there is a new allowlist."
        ),
        &["part", "median ms", "slowest ms"],
    );
    let names = [
        "untrust: signed, in the log, index signed",
        "sync: fetched, verified, installed",
        "up to a second's wait, the look, the alert",
        "all of it",
    ];
    for (name, part) in names.iter().zip(parts) {
        let slowest = part.iter().copied().fold(0.0, f64::max);
        let median = middle(part);
        report.row(&[
            (*name).to_owned(),
            format!("{median:.0}"),
            format!("{slowest:.0}"),
        ]);
    }
}

/// What the watch keeps, after many looks without a pause between them.
fn memory(report: &mut Report, node: &Node) {
    let heart = Receiver::start();
    let textfile = node.base().join("vcn-hook.prom");
    node.configure(&format!(
        "[watch]\ninterval = 3600\nheartbeat = {:?}\ntextfile = {textfile:?}\n",
        heart.url()
    ));
    let containers = CONTAINERS[CONTAINERS.len() - 1];
    let begun = Instant::now();
    let watching = Watching::start(node, PATH, &["--changes"]);
    let mut looks = 1;
    heart.wait_for("", 1);
    let mut growth = Growth::default();
    for until in LOOKS {
        while looks < until {
            watching.signal(Signal::SIGHUP);
            looks += 1;
            // It beats after each look.
            wait_until("a beat", || heart.count() >= looks);
        }
        // What a look leaves behind is given back by then.
        std::thread::sleep(Duration::from_millis(100));
        growth.note(until, &watching);
    }
    let took = begun.elapsed().as_secs();
    watching.end();
    growth.section(
        report,
        "The watch's memory",
        &format!(
            "Resident, after so many looks at {containers} containers without a pause between them ({took} s in all; at \
             the default interval the last row is {} hours). Each look reads the settings again, writes the metrics \
             and beats; layers are read once.",
            LOOKS[LOOKS.len() - 1] / 60
        ),
        "looks",
    );
}
