//! The throw-away machine that other tests change: that nothing leaks out of it, and that engines run in it.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use std::path::Path;
use support::image::{Image, SAYS};
use support::machine::Machine;
use support::scratch::Scratch;

#[test]
fn a_throw_away_machine_runs_engines_and_leaves_this_one_alone() {
    let scratch = Scratch::new("machine");
    let machine = Machine::of_host(&scratch);
    machine.write("/etc/vcn-test-mark", "inside");
    machine.sh("mv /usr/sbin/runc /usr/sbin/runc.away").ok();
    assert!(!Path::new("/etc/vcn-test-mark").exists());
    assert!(Path::new("/usr/sbin/runc").exists());
    machine.sh("mv /usr/sbin/runc.away /usr/sbin/runc").ok();
    assert_eq!(machine.read("/etc/vcn-test-mark"), "inside");
    assert!(machine.vcn(&["version"]).ok().contains("vcn-hook"));

    machine.dockerd();
    let image = Image::app("machine:1");
    machine.run_with(&["docker", "load"], &image.archive()).ok();
    let said = machine.run(&["docker", "run", "--rm", "--network=none", "machine:1"]);
    assert_eq!(said.ok(), SAYS);
    machine.run_with(&["podman", "load"], &image.archive()).ok();
    for runtime in support::podman::RUNTIMES {
        let words = ["podman", "--runtime", runtime, "run", "machine:1"];
        machine.run(&words).ok();
    }
    machine.stop_dockerd();
}
