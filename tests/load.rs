//! Two hundred starts at once, on Docker and on Podman, while the allowlist is swapped all the time:
//! none is lost, none is wrong. How long they take is a figure, and `make bench` prints it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test file"
)]

mod support;

use std::sync::{Mutex, PoisonError};

use support::burst::{Burst, codes_by_name, while_syncing};
use support::command::Ran;
use support::daemon::Daemon;
use support::image::{EVIL, Image, SAYS};
use support::node::Node;
use support::podman::Podman;
use support::scratch::Scratch;

const STARTS: usize = 200;

/// Every fourth start is of an image that nobody notarized.
fn is_unknown(number: usize) -> bool {
    number % 4 == 3
}

fn name(number: usize) -> String {
    format!("load-{number}")
}

/// One burst at a time: two of them at once are another test.
static TURN: Mutex<()> = Mutex::new(());

/// Makes the burst and compares every outcome, at the engine and on record.
fn hold(node: &Node, run: impl Fn(&str, &str) -> Ran + Sync) {
    let (burst, swaps) = while_syncing(node, || {
        Burst::of(STARTS, |number| {
            let image = if is_unknown(number) {
                "load:other"
            } else {
                "load:app"
            };
            run(&name(number), image)
        })
    });
    let codes = codes_by_name(node);
    let mut wrong = Vec::new();
    for (number, ran) in burst.ran.iter().enumerate() {
        let code = if is_unknown(number) {
            "unknown"
        } else {
            "trusted"
        };
        let told = codes.get(&name(number));
        // A runtime may be asked about one start twice, at `create` and at `start`.
        let on_record =
            told.is_some_and(|told| !told.is_empty() && told.iter().all(|told| told == code));
        // Under this load engines now and then lose what a runtime said, or how a container ended that has
        // spoken and is gone; never whether it spoke.
        let spoke = ran.out.contains(SAYS) || ran.out.contains(EVIL);
        let at_engine = if is_unknown(number) {
            ran.code != 0 && !spoke && (ran.err.is_empty() || ran.err.contains("(unknown)"))
        } else {
            ran.code == 0 || ran.out.contains(SAYS)
        };
        if !on_record || !at_engine {
            wrong.push(format!("{}: {told:?}, {ran:?}", name(number)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(5)]
    );
    assert!(swaps > 1, "the allowlist was swapped {swaps} times");
    eprintln!(
        "{STARTS} starts and {swaps} swaps, the slowest start after {:.1} s",
        burst.slowest().as_secs_f64()
    );
}

#[test]
fn docker_loses_none_of_two_hundred_starts_and_gets_none_wrong() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::new("loadd");
    let daemon = Daemon::start(&scratch);
    let app = Image::app("load:app");
    app.load(&daemon);
    app.with_other_config("load:other").load(&daemon);
    let node = Node::new(&scratch, "node", Some(&daemon));
    node.notarize("docker://load:app");
    daemon.gated_by(&node.config());
    hold(&node, |name, image| daemon.run(&["--name", name, image]));
}

#[test]
fn podman_loses_none_of_two_hundred_starts_and_gets_none_wrong() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let scratch = Scratch::new("loadp");
    let podman = Podman::new(&scratch);
    let app = Image::app("load:app");
    podman.load(&app);
    podman.load(&app.with_other_config("load:other"));
    let node = Node::of_podman(&scratch, "node", &podman);
    node.notarize("podman://load:app");
    podman.gated_by(&node.config());
    hold(&node, |name, image| {
        podman.podman(&["run", "--rm", "--name", name, image])
    });
}
