//! README's quick start, line by line as it stands there, from the built package alone, in clean Debian roots; and
//! away again.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise"
)]

mod support;

use support::package::{self, Suite};
use support::scratch::Scratch;
use support::snapshot::Snapshot;

const README: &str = include_str!("../README.md");

/// More than a new user would type before anything happens.
const MOST: usize = 6;

/// The lines of the block between the marks.
fn lines() -> Vec<&'static str> {
    let (_, rest) = README.split_once("<!-- quick start").unwrap();
    let (block, _) = rest.split_once("<!-- end of quick start -->").unwrap();
    let (_, rest) = block.split_once("```sh\n").unwrap();
    let (script, _) = rest.split_once("```").unwrap();
    script.lines().collect()
}

#[test]
fn it_leads_to_a_refusal_on_debian_12_and_away_again() {
    quick_start(Suite::Bookworm);
}

#[test]
fn it_leads_to_a_refusal_on_debian_13_and_away_again() {
    quick_start(Suite::Trixie);
}

fn quick_start(suite: Suite) {
    let lines = lines();
    assert!(lines.len() <= MOST, "{lines:?}");
    let (refused, before_it) = lines.split_last().unwrap();

    let scratch = Scratch::new(&format!("quickstart-{suite}"));
    let deb = package::deb(&scratch, "0.1.0~test1");
    let machine = package::clean_machine(&scratch, suite);
    machine.dockerd();
    machine.image("app:good", "good");
    machine
        .sh("docker run -d --name older app:good /bin/busybox sleep 10000")
        .ok();
    let before = Snapshot::of(&machine);

    // Carried there, and typed.
    machine.write(
        "/root/vcn-hook_0.1.0~test1_amd64.deb",
        std::fs::read(deb).unwrap(),
    );
    let typed =
        |line: &str| machine.run_with(&["sh", "-c", &format!("cd /root && {line}")], b"y\n");
    for line in before_it {
        let done = typed(line);
        assert_eq!(done.code, 0, "{done:?}");
    }
    // "Any image that came after."
    machine.image("app:evil", "evil");
    let said = typed(refused).failed();
    assert!(
        said.contains("the ledger has no word about it (unknown)"),
        "{said}"
    );
    // What was here before goes on, and starts.
    machine.sh("docker exec older /bin/busybox true").ok();
    machine.sh("docker run --rm app:good").ok();
    machine.sh("docker restart -t 0 older").ok();
    assert_eq!(
        machine.vcn(&["-o", "json", "mode"]).json()["mode"],
        "enforce"
    );

    assert!(README.contains("`apt purge vcn-hook`"));
    let purged = typed("apt purge vcn-hook");
    assert_eq!(purged.code, 0, "{purged:?}");
    machine.sh("docker run --rm app:evil").ok();
    machine.sh("docker exec older /bin/busybox true").ok();
    // The package was carried there, and the ledger and its keys were made, by hand.
    machine
        .sh("rm -r /srv/ledger /root/.config /root/vcn-hook_*.deb")
        .ok();
    Snapshot::of(&machine).assert_same(&before);
}
