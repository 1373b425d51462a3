//! The watch's memory over a real hour on a node that is in use.
//!
//! Owns what happens in that hour. What a look costs, and what many looks without a pause between
//! them leave behind, is `sweep`'s.

use std::time::{Duration, Instant};

use crate::growth::Growth;
use crate::report::Report;
use crate::support::daemon::Daemon;
use crate::support::image::Image;
use crate::support::many;
use crate::support::node::Node;
use crate::support::scratch::Scratch;
use crate::support::telemetry::Service;
use crate::support::watching::{Receiver, Watching};
use crate::sweep::PATH;

/// Containers that stay.
const CONTAINERS: usize = 100;

const MINUTES: usize = 60;

/// After which minutes memory is told.
const TOLD: [usize; 5] = [1, 15, 30, 45, 60];

pub fn hour(report: &mut Report) {
    let scratch = Scratch::new("hour");
    let daemon = Daemon::start(&scratch);
    let node = Node::new(&scratch, "node", Some(&daemon));
    for tag in ["hour:good", "hour:turns", "hour:bad"] {
        Image::saying(tag, tag).load(&daemon);
        node.notarize(&format!("docker://{tag}"));
    }
    node.vcn(&["untrust", "docker://hour:bad"]).ok();
    node.sync();
    let influx = Service::influxdb(&scratch, "mydb");
    let receiver = Receiver::start();
    node.configure(&format!(
        "[watch]\nslack_webhook = {:?}\nheartbeat = {:?}\ntextfile = {:?}\n[watch.influx]\nurl = \"{}\"\ndb = \"mydb\"\n",
        receiver.url(),
        receiver.url(),
        node.base().join("vcn-hook.prom"),
        influx.url("")
    ));
    daemon.gated_by(&node.config());
    many::start(&daemon, "hour:good", 0..CONTAINERS);
    starts(&daemon, "turns", "hour:turns");
    let begun = Instant::now();
    let watching = Watching::start(&node, PATH, &["--changes"]);
    let (mut growth, mut told) = (Growth::default(), 0);
    for minute in 1..=MINUTES {
        happens(&daemon, &node, minute);
        let until = Duration::from_secs(60 * u64::try_from(minute).unwrap());
        std::thread::sleep(until.saturating_sub(begun.elapsed()));
        // A withdrawal and its end are each told once.
        told += usize::from(minute % 10 == 0 || minute % 10 == 5);
        receiver.wait_for("(hour:turns)", told);
        if TOLD.contains(&minute) {
            growth.note(minute, &watching);
        }
    }
    watching.end();
    growth.section(
        report,
        "The watch's memory over an hour",
        &format!(
            "Resident, at the default settings, {CONTAINERS} containers that stay. Each minute one comes, one goes and \
             one is refused; every ten minutes the image of one that runs is withdrawn, and trusted again after five. \
             It alerts, beats, and writes to InfluxDB and the textfile."
        ),
        "minutes",
    );
}

/// What one minute brings.
fn happens(daemon: &Daemon, node: &Node, minute: usize) {
    starts(daemon, &format!("m{minute}"), "hour:good");
    if minute > 1 {
        let gone = format!("m{}", minute - 1);
        daemon.docker(&["rm", "-f", &gone]).ok();
    }
    let refused = daemon.run(&["hour:bad"]);
    assert!(refused.err.contains("UNTRUSTED"), "{}", refused.err);
    let verb = match minute % 10 {
        5 => "untrust",
        0 => "notarize",
        _ => return,
    };
    node.vcn(&[verb, "docker://hour:turns"]).ok();
    node.sync();
}

fn starts(daemon: &Daemon, name: &str, tag: &str) {
    let words = ["run", "-d", "--network=none", "--name", name];
    let entry = ["--entrypoint", "/bin/sleep", tag, "100000"];
    daemon.docker(&[&words[..], &entry].concat()).ok();
}
