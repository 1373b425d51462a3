//! Five hundred containers on one node: all are judged, the one that is not trusted is found, and each costs as
//! little as one of a hundred. Starting them is what takes its three minutes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use serde_json::Value;
use support::daemon::Daemon;
use support::image::Image;
use support::many::start;
use support::node::Node;
use support::scratch::Scratch;
use support::watching::{Receiver, Watching, wait_until};

const FEW: usize = 100;
const MANY: usize = 500;

#[test]
fn five_hundred_are_judged_and_cost_no_more_each_than_one_hundred() {
    let scratch = Scratch::new("many");
    let daemon = Daemon::start(&scratch);
    let node = Node::new(&scratch, "many", Some(&daemon));
    let receiver = Receiver::start();
    node.configure(&format!(
        "[watch]\ninterval = 3600\ndeep_hours = 0\nalerts_per_minute = 10000\nslack_webhook = {:?}\n",
        receiver.url()
    ));
    for tag in ["many:good", "many:bad"] {
        Image::saying(tag, tag).load(&daemon);
        node.notarize(&format!("docker://{tag}"));
    }
    let watching = Watching::start(&node, "/usr/bin:/bin", &["-o", "json"]);

    start(&daemon, "many:good", 0..FEW);
    look(&watching, FEW);
    let few = read_in_a_look(&watching, FEW);
    start(&daemon, "many:good", FEW..MANY - 1);
    start(&daemon, "many:bad", MANY - 1..MANY);
    let sweep = look(&watching, MANY);
    assert_eq!(judged(&sweep, true), MANY);
    let many = read_in_a_look(&watching, MANY);
    println!("one look reads {few} bytes for {FEW} containers, {many} for {MANY}");
    // What a look reads of the allowlist, and of itself, does not grow with what runs.
    assert!(many * FEW as u64 <= few * MANY as u64, "{few}, {many}");

    node.vcn(&["untrust", "docker://many:bad"]).ok();
    node.sync();
    receiver.wait_for("many:bad", 1);
    let sweep = look(&watching, MANY);
    assert_eq!((judged(&sweep, true), judged(&sweep, false)), (MANY - 1, 1));
    assert_eq!(receiver.about("many:").len(), 1);
    println!(
        "{MANY} containers: {} ms, {} KiB at most",
        sweep["duration_ms"],
        watching.memory("VmHWM:")
    );
    watching.end();
}

/// The next look, which is to have found so many of ours.
fn look(watching: &Watching, count: usize) -> Value {
    // A line that is being written is none yet.
    let looks = || watching.out().matches('\n').count();
    let before = looks();
    watching.signal(nix::sys::signal::Signal::SIGHUP);
    wait_until("another look", || looks() > before);
    let out = watching.out();
    let whole = out.lines().take(out.matches('\n').count());
    let sweep: Value = serde_json::from_str(whole.last().unwrap()).unwrap();
    assert_eq!(judged(&sweep, true) + judged(&sweep, false), count);
    sweep
}

/// How many of ours pass, or do not.
fn judged(sweep: &Value, passes: bool) -> usize {
    let containers = sweep["containers"].as_array().unwrap();
    let ours = containers.iter().filter(|container| {
        let image = container["image"].as_str().unwrap_or_default();
        image.starts_with("many:") && container["passes"] == passes
    });
    ours.count()
}

/// How many bytes a look reads, from files and from the kernel.
fn read_in_a_look(watching: &Watching, count: usize) -> u64 {
    let before = watching.read();
    look(watching, count);
    watching.read() - before
}
