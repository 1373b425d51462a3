//! The packages, as an administrator meets them: installed, upgraded, removed and purged in clean Debian roots.
//!
//! The roots are made by `tests/roots.sh`; each test has a layer of its own over one, with a real dockerd.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use support::machine::Machine;
use support::package::{self, Suite};
use support::scratch::Scratch;
use support::snapshot::Snapshot;

/// One account, one folder, one file a line: who owns what after the installation.
const LAYOUT: &str = "\
755 root:root /etc/vcn-hook
755 root:root /etc/vcn-hook/conf.d
644 root:root /etc/vcn-hook/conf.d/50-node.toml
644 root:root /etc/vcn-hook/config.toml
755 root:root /run/vcn-hook
755 root:root /usr/bin/vcn-hook
755 root:root /var/lib/vcn-hook
755 vcn-hook:vcn-hook /var/lib/vcn-hook/allowlist
755 vcn-hook:vcn-hook /var/lib/vcn-hook/log
755 vcn-hook:vcn-hook /var/lib/vcn-hook/log/root
755 root:root /var/log/vcn-hook
";

/// What the installation switches on.
const UNITS: [&str; 2] = [
    "timers.target.wants/vcn-hook-sync.timer",
    "multi-user.target.wants/vcn-hook-apply.path",
];

#[test]
fn debians_package_lives_and_goes_on_debian_12() {
    life(Suite::Bookworm);
}

#[test]
fn debians_package_lives_and_goes_on_debian_13() {
    life(Suite::Trixie);
}

fn life(suite: Suite) {
    let scratch = Scratch::new(&format!("packages-{suite}"));
    let first = package::deb(&scratch, "0.1.0~test1");
    let second = package::deb(&scratch, "0.1.0~test2");
    let machine = package::clean_machine(&scratch, suite);
    let before = Snapshot::of(&machine);

    machine
        .run(&["apt-get", "install", "-y", first.to_str().unwrap()])
        .ok();
    assert_eq!(layout(&machine), LAYOUT.trim());
    assert_eq!(machine.vcn(&["-o", "json", "mode"]).json()["mode"], "audit");
    for unit in UNITS {
        assert!(
            is_there(&machine, &format!("/etc/systemd/system/{unit}")),
            "{unit}"
        );
    }
    let catalog = machine.run(&["journalctl", "--list-catalog"]).ok();
    assert!(catalog.contains("vcn-hook: vcn-hook: unknown"), "{catalog}");

    // What an administrator changes stays through an upgrade: a setting, a unit that was switched off.
    machine.sh("echo '# ours' >>/etc/vcn-hook/config.toml").ok();
    machine.run(&["vcn-hook", "mode", "enforce", "--yes"]);
    machine
        .run(&["systemctl", "disable", "vcn-hook-sync.timer"])
        .ok();
    let old = inode(&machine);
    machine
        .run(&["apt-get", "install", "-y", second.to_str().unwrap()])
        .ok();
    assert_ne!(inode(&machine), old);
    assert!(
        machine
            .read("/etc/vcn-hook/config.toml")
            .ends_with("# ours\n")
    );
    assert!(!is_there(
        &machine,
        "/etc/systemd/system/timers.target.wants/vcn-hook-sync.timer"
    ));

    machine.run(&["apt-get", "remove", "-y", "vcn-hook"]).ok();
    assert!(!is_there(&machine, "/usr/bin/vcn-hook"));
    assert!(
        is_there(&machine, "/etc/vcn-hook/config.toml") && is_there(&machine, "/var/lib/vcn-hook")
    );
    machine.run(&["apt-get", "purge", "-y", "vcn-hook"]).ok();
    Snapshot::of(&machine).assert_same(&before);
}

fn layout(machine: &Machine) -> String {
    let paths = LAYOUT.lines().map(|line| line.rsplit_once(' ').unwrap().1);
    let words: Vec<_> = ["stat", "-c", "%a %U:%G %n"]
        .into_iter()
        .chain(paths)
        .collect();
    machine.run(&words).ok()
}

fn is_there(machine: &Machine, path: &str) -> bool {
    fs::symlink_metadata(machine.path(path)).is_ok()
}

fn inode(machine: &Machine) -> u64 {
    fs::metadata(machine.path("/usr/bin/vcn-hook"))
        .unwrap()
        .ino()
}

/// Stands for what the root really has, which its dpkg knows and rpm does not: a shell, an account tool.
const WORLD: &str = "Name: world\nVersion: 1\nRelease: 1\nSummary: What a Debian root has\nLicense: none\n\
    BuildArch: noarch\nProvides: /bin/sh, shadow-utils\n%description\nx\n%files\n";

/// Its own database; Debian's rpm wants to be told that somebody means it.
const RPM: [&str; 4] = ["rpm", "--dbpath", "/var/lib/rpm-of-test", "--force-debian"];

#[test]
fn the_rpm_lives_and_goes() {
    let scratch = Scratch::new("packages-rpm");
    let world = package::other_rpm(&scratch, "world", WORLD);
    let first = package::rpm(&scratch, "0.1.0~test1");
    let second = package::rpm(&scratch, "0.1.0~test2");
    let machine = package::clean_machine(&scratch, Suite::Bookworm);
    let rpm = |words: &[&str]| machine.run(&[&RPM[..], words].concat()).ok();
    rpm(&["-i", world.to_str().unwrap()]);
    let before = Snapshot::of(&machine);

    rpm(&["-i", first.to_str().unwrap()]);
    assert_eq!(layout(&machine), LAYOUT.trim());
    assert_eq!(machine.vcn(&["-o", "json", "mode"]).json()["mode"], "audit");
    for unit in UNITS {
        assert!(
            is_there(&machine, &format!("/etc/systemd/system/{unit}")),
            "{unit}"
        );
    }
    let catalog = machine.run(&["journalctl", "--list-catalog"]).ok();
    assert!(catalog.contains("vcn-hook: vcn-hook: unknown"), "{catalog}");

    machine.sh("echo '# ours' >>/etc/vcn-hook/config.toml").ok();
    machine
        .run(&["systemctl", "disable", "vcn-hook-sync.timer"])
        .ok();
    let old = inode(&machine);
    rpm(&["-U", second.to_str().unwrap()]);
    assert_ne!(inode(&machine), old);
    assert!(
        machine
            .read("/etc/vcn-hook/config.toml")
            .ends_with("# ours\n")
    );
    assert!(!is_there(
        &machine,
        "/etc/systemd/system/timers.target.wants/vcn-hook-sync.timer"
    ));

    rpm(&["-e", "vcn-hook"]);
    assert!(!is_there(&machine, "/usr/bin/vcn-hook"));
    // An rpm has no purge: what stays is what the docs have one remove.
    let docs = include_str!("../docs/packages.md");
    let line = docs
        .lines()
        .find(|line| line.starts_with("rm -rf "))
        .unwrap();
    machine.sh(line).ok();
    Snapshot::of(&machine).assert_same(&before);
}

#[test]
fn built_twice_in_two_places_a_package_is_the_same() {
    let scratch = Scratch::new("packages-twice");
    let builds = ["one", "another/place"].map(|place| {
        let copy = package::copy_of_sources(&scratch, place);
        fs::read(package::deb_from(
            &copy,
            &scratch.folder(place).join("out"),
            "9.8.7",
        ))
        .unwrap()
    });
    assert!(builds[0] == builds[1], "the packages differ");
}
