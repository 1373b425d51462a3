//! What users see: a container's start by its engine, alone and two hundred at once, with and without
//! the gate.
//!
//! Every start is of a trusted image, so that both kinds do the same work. That none is lost and none
//! wrong while the allowlist is swapped is a test's to show (`tests/load.rs`).

use std::time::{Duration, Instant};

use crate::report::{Report, reach};
use crate::support::burst::Burst;
use crate::support::command::Ran;
use crate::support::daemon::Daemon;
use crate::support::image::Image;
use crate::support::node::Node;
use crate::support::podman::Podman;
use crate::support::scratch::Scratch;

/// Starts of a burst.
const AT_ONCE: usize = 200;

/// One engine, and how its gate is turned on and off.
struct Engine<'a> {
    name: &'a str,
    gate: &'a dyn Fn(bool),
    run: &'a (dyn Fn() -> Ran + Sync),
}

/// One start after the other, on Docker and on Podman.
pub fn alone(report: &mut Report, rounds: usize) {
    with_engines(|engines| in_turns(report, engines, rounds));
}

/// Two hundred at once, on Docker and on Podman.
pub fn at_once(report: &mut Report) {
    with_engines(|engines| bursts(report, engines));
}

fn with_engines(work: impl FnOnce(&[Engine<'_>])) {
    let scratch = Scratch::new("eng");
    let app = Image::app("load:app");
    let daemon = Daemon::start(&scratch);
    app.load(&daemon);
    let docker_node = Node::new(&scratch, "docker-node", Some(&daemon));
    docker_node.notarize("docker://load:app");
    let podman = Podman::new(&scratch);
    podman.load(&app);
    let podman_node = Node::of_podman(&scratch, "podman-node", &podman);
    podman_node.notarize("podman://load:app");
    let engines = [
        Engine {
            name: "Docker",
            gate: &|gated| match gated {
                true => daemon.gated_by(&docker_node.config()),
                false => daemon.ungated(),
            },
            run: &|| daemon.run(&["load:app"]),
        },
        Engine {
            name: "Podman",
            gate: &|gated| match gated {
                true => podman.gated_by(&podman_node.config()),
                false => podman.ungated(),
            },
            run: &|| podman.podman(&["run", "--rm", "load:app"]),
        },
    ];
    work(&engines);
}

fn in_turns(report: &mut Report, engines: &[Engine<'_>], rounds: usize) {
    report.section(
        "A start by its engine",
        "`run --rm` of one image, by turns without and with the gate.",
        &["engine", "ungated ms", "gated ms", "ratio", "paired ms"],
    );
    for engine in engines {
        let (mut ungated, mut gated) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ungated.push(engine.timed(false));
            gated.push(engine.timed(true));
        }
        let paired = ungated
            .iter()
            .zip(&gated)
            .map(|(without, with)| with - without);
        let paired = median(paired.collect());
        let (ungated, gated) = (median(ungated), median(gated));
        report.row(&[
            engine.name.to_owned(),
            format!("{ungated:.1}"),
            format!("{gated:.1}"),
            format!("{:.3}", gated / ungated),
            format!("{paired:+.1}"),
        ]);
    }
}

fn bursts(report: &mut Report, engines: &[Engine<'_>]) {
    report.section(
        "Two hundred starts at once",
        "`run --rm` of one image by as many clients, all begun at once: when the slowest had ended. \
         Two bursts of each kind by turns, the faster one counts.",
        &["engine", "ungated s", "gated s", "ratio", "reach"],
    );
    for engine in engines {
        let mut slowest = [Duration::MAX; 2];
        for gated in [false, true, false, true] {
            (engine.gate)(gated);
            let burst = Burst::of(AT_ONCE, |_| (engine.run)());
            // Docker now and then loses how a container ended that has run, with and without the gate;
            // what did not start says why.
            let failed = burst
                .ran
                .iter()
                .find(|ran| ran.code != 0 && !ran.err.is_empty());
            assert!(failed.is_none(), "{}: {failed:?}", engine.name);
            let place = &mut slowest[usize::from(gated)];
            *place = burst.slowest().min(*place);
        }
        let [ungated, gated] = slowest.map(|took| took.as_secs_f64());
        report.row(&[
            engine.name.to_owned(),
            format!("{ungated:.1}"),
            format!("{gated:.1}"),
            format!("{:.2}", gated / ungated),
            reach(gated / ungated, 2.0, "x"),
        ]);
    }
}

impl Engine<'_> {
    /// Milliseconds of one start.
    fn timed(&self, gated: bool) -> f64 {
        (self.gate)(gated);
        let begun = Instant::now();
        let ran = (self.run)();
        let took = begun.elapsed();
        assert_eq!(ran.code, 0, "{}: {ran:?}", self.name);
        took.as_secs_f64() * 1e3
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
