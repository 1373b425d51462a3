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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use support::command::Ran;
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
    machine.dockerd();
    machine.image("app:good", "good");
    machine.image("app:evil", "evil");
    machine
        .sh("docker run -d --name older app:good /bin/busybox sleep 10000")
        .ok();
    let before = Snapshot::of(&machine);
    let apt = |words: &[&str]| machine.run(&[&["apt-get", "-y"], words].concat()).ok();

    apt(&["install", first.to_str().unwrap()]);
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
    machine.sh(EVIL).ok();

    machine
        .vcn(&["ledger", "init", "/srv/ledger", "--origin", "l.test/life"])
        .ok();
    machine.vcn(&["enroll", "/srv/ledger"]).ok();
    machine.vcn(&["notarize", "docker://app:good"]).ok();
    machine.vcn(&["configure", "--runtime", "system"]).ok();
    machine.sh(EVIL).ok();
    machine.vcn(&["mode", "enforce", "--yes"]).ok();
    let refused = machine.sh(EVIL).failed();
    assert!(refused.contains("unknown"), "{refused}");

    // What an administrator changes stays through an upgrade: a setting, a unit that was switched off.
    machine.sh("echo '# ours' >>/etc/vcn-hook/config.toml").ok();
    machine
        .run(&["systemctl", "disable", "vcn-hook-sync.timer"])
        .ok();
    let starts = Starts::begin(&machine);
    for package in [&second, &first, &second] {
        let old = inode(&machine);
        machine.run(&["dpkg", "-i", package.to_str().unwrap()]).ok();
        assert_ne!(inode(&machine), old);
        starts.go_on(2);
    }
    machine.sh(EVIL).failed();
    assert!(
        machine
            .read("/etc/vcn-hook/config.toml")
            .ends_with("# ours\n")
    );
    assert!(!is_there(
        &machine,
        "/etc/systemd/system/timers.target.wants/vcn-hook-sync.timer"
    ));

    // Removed while containers start: the engine has its own runtime back, and lost nothing.
    apt(&["remove", "vcn-hook"]);
    starts.end();
    machine.sh(EVIL).ok();
    machine.sh("docker exec older /bin/busybox true").ok();
    machine.sh("docker restart -t 0 older").ok();
    assert!(!is_there(&machine, "/usr/bin/vcn-hook"));
    assert!(
        is_there(&machine, "/etc/vcn-hook/config.toml") && is_there(&machine, "/var/lib/vcn-hook")
    );

    apt(&["purge", "vcn-hook"]);
    // What was made by hand, not by the package: a ledger, and the keys to write to it.
    machine.sh("rm -r /srv/ledger /root/.config").ok();
    Snapshot::of(&machine).assert_same(&before);
}

/// An image that nobody notarized.
const EVIL: &str = "docker run --rm app:evil /bin/busybox true";

/// Containers of the trusted image, one after the other, until it is said that it is enough.
#[derive(Debug)]
struct Starts {
    enough: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<Ran>>,
}

impl Starts {
    fn begin(machine: &Machine) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let made = Arc::new(AtomicUsize::new(0));
        let (told, count) = (Arc::clone(&enough), Arc::clone(&made));
        let machine = machine.clone();
        let thread = std::thread::spawn(move || {
            let mut starts = Vec::new();
            while !told.load(Ordering::Relaxed) {
                starts.push(machine.sh("docker run --rm app:good /bin/busybox true"));
                count.fetch_add(1, Ordering::Relaxed);
            }
            starts
        });
        Self {
            enough,
            made,
            thread,
        }
    }

    /// Waits until so many more have ended, however slow the machine is.
    fn go_on(&self, more: usize) {
        let before = self.made.load(Ordering::Relaxed);
        while self.made.load(Ordering::Relaxed) < before + more && !self.thread.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn end(self) {
        self.enough.store(true, Ordering::Relaxed);
        let starts = self.thread.join().unwrap();
        let failed: Vec<_> = starts.iter().filter(|start| start.code != 0).collect();
        assert!(
            failed.is_empty(),
            "{} of {}: {failed:#?}",
            failed.len(),
            starts.len()
        );
        assert!(
            starts.len() > 5,
            "too few to say anything: {}",
            starts.len()
        );
    }
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

/// A fake runc: it only says whose it is.
const RUNC: &str = "Name: runc\nVersion: 9\nRelease: 1\nSummary: Says whose it is\nLicense: none\n\
    BuildArch: noarch\n%description\nx\n%install\nmkdir -p %{buildroot}/usr/sbin\n\
    printf '#!/bin/sh\\necho of the rpm\\n' >%{buildroot}/usr/sbin/runc\n\
    chmod 755 %{buildroot}/usr/sbin/runc\n%files\n/usr/sbin/runc\n";

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
    // As rpm systems have it: nobody there knows diversions.
    machine.run(&["rm", "/usr/bin/dpkg-divert"]).ok();
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

    machine
        .vcn(&["ledger", "init", "/srv/ledger", "--origin", "l.test/rpm"])
        .ok();
    machine.vcn(&["enroll", "/srv/ledger"]).ok();
    machine.vcn(&["configure", "--runtime", "system"]).ok();
    assert_eq!(
        machine.run(&["readlink", "/usr/sbin/runc"]).ok(),
        "/usr/bin/vcn-hook"
    );
    let runc = fs::read(machine.path("/usr/libexec/vcn-hook/runc")).unwrap();
    // An upgrade of runc puts a plain one over the gate, and is put behind it.
    let other = package::other_rpm(&scratch, "runc", RUNC);
    rpm(&["-i", other.to_str().unwrap()]);
    assert_eq!(
        machine.run(&["readlink", "/usr/sbin/runc"]).ok(),
        "/usr/bin/vcn-hook"
    );
    assert_eq!(machine.run(&["runc", "--version"]).ok(), "of the rpm");
    machine.vcn(&["configure", "--status"]).ok();

    rpm(&["-e", "vcn-hook"]);
    assert_eq!(machine.run(&["/usr/sbin/runc"]).ok(), "of the rpm");
    rpm(&["-e", "runc"]);
    fs::write(machine.path("/usr/sbin/runc"), runc).unwrap();
    machine
        .sh("chmod 755 /usr/sbin/runc; rm -r /srv/ledger /root/.config")
        .ok();
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

#[test]
fn debians_own_checker_finds_nothing() {
    let scratch = Scratch::new("packages-lintian");
    let deb = package::deb(&scratch, "0.1.0~test1");
    let mut words = vec!["--fail-on", "error,warning", "--allow-root"];
    if std::env::var_os("VCN_HOOK_BIN").is_none() {
        // What cargo builds for tests is not static; the release is.
        words.extend(["--suppress-tags", "missing-dependency-on-libc"]);
    }
    words.push(deb.to_str().unwrap());
    let said = support::command::sh("lintian", &words);
    assert_eq!(said.clone().ok(), "", "{said:?}");
}
