//! The units under a systemd that runs them: the timer syncs, the path applies, the journal explains.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::time::{Duration, Instant};

use support::booted::boot;
use support::machine::Machine;
use support::package::{self, Suite};
use support::scratch::Scratch;

#[test]
fn the_units_do_their_work_on_debian_12() {
    works(Suite::Bookworm);
}

#[test]
fn the_units_do_their_work_on_debian_13() {
    works(Suite::Trixie);
}

fn works(suite: Suite) {
    let scratch = Scratch::new(&format!("boot-{suite}"));
    let deb = package::deb(&scratch, "0.1.0~test1");
    let machine = boot(&scratch, suite);
    let bytes = std::fs::read(&deb).unwrap();
    machine.write("/root/vcn-hook.deb", bytes);
    machine
        .run(&["apt-get", "install", "-y", "/root/vcn-hook.deb"])
        .ok();
    for unit in ["vcn-hook-sync.timer", "vcn-hook-apply.path"] {
        assert_eq!(
            machine.run(&["systemctl", "is-active", unit]).ok(),
            "active",
            "{unit}"
        );
    }

    // As an administrator would who wants it more often than every five minutes.
    let often = "[Timer]\nOnCalendar=\nOnCalendar=*:*:*\nRandomizedDelaySec=0\n";
    machine.write(
        "/etc/systemd/system/vcn-hook-sync.timer.d/often.conf",
        often,
    );
    machine.run(&["systemctl", "daemon-reload"]).ok();
    machine
        .run(&["systemctl", "restart", "vcn-hook-sync.timer"])
        .ok();
    machine
        .vcn(&["ledger", "init", "/srv/ledger", "--origin", "l.test/boot"])
        .ok();
    machine.vcn(&["enroll", "/srv/ledger"]).ok();

    // A word that this machine has to fetch: the writer follows nothing.
    let applied = count(&machine, "vcn-hook-apply.service");
    machine.write("/root/nothing.toml", "");
    let hash = "a".repeat(64);
    let words = [
        "-c",
        "/root/nothing.toml",
        "notarize",
        "--ledger",
        "/srv/ledger",
        "--hash",
        &hash,
    ];
    machine.vcn(&words).ok();
    eventually(&machine, "the timer syncs", || {
        let status = machine.vcn(&["-o", "json", "inspect", "--hash", &hash]);
        status.out.contains("TRUSTED")
    });
    eventually(&machine, "the path applies", || {
        count(&machine, "vcn-hook-apply.service") > applied
    });
    // Whatever it did, it did as the account, and nothing was in its way.
    let script = "find /var/lib/vcn-hook/allowlist /var/lib/vcn-hook/log ! -user vcn-hook";
    assert_eq!(machine.sh(script).ok(), "");
    for unit in ["vcn-hook-sync.service", "vcn-hook-apply.service"] {
        let result = machine
            .run(&["systemctl", "show", "-P", "Result", unit])
            .ok();
        assert_eq!(result, "success", "{}", journal(&machine));
    }

    // The ledger's own timer, which `ledger init` turned on, signs the index anew.
    let unit = "vcn-hook-index@srv-ledger";
    let timer = format!("{unit}.timer");
    machine.run(&["systemctl", "is-enabled", &timer]).ok();
    machine.run(&["systemctl", "is-active", &timer]).ok();
    machine
        .run(&["systemctl", "start", &format!("{unit}.service")])
        .ok();

    // In its sandbox it still sees what runs, and says what would not start again.
    machine.image("app:evil", "evil");
    machine
        .sh("docker run -d --name running app:evil /bin/busybox sleep 10000")
        .ok();
    machine
        .run(&["systemctl", "start", "vcn-hook-apply.service"])
        .ok();
    let said = machine
        .run(&["journalctl", "--no-pager", "-u", "vcn-hook-apply"])
        .out;
    assert!(said.contains("of running (unknown)"), "{said}");

    // A denial, explained.
    machine.vcn(&["configure", "--runtime", "system"]).ok();
    machine.vcn(&["mode", "enforce", "--yes"]).ok();
    machine.sh("docker run --rm app:evil").failed();
    eventually(&machine, "the journal explains", || {
        let words = ["journalctl", "--no-pager", "-x", "-t", "vcn-hook"];
        let said = machine.run(&words).out;
        said.contains("Subject: vcn-hook: unknown")
            && said.contains("the ledger has no word about it")
    });
    watches(&machine);
    machine.run(&["apt-get", "purge", "-y", "vcn-hook"]).ok();
    let left = machine.run(&[
        "systemctl",
        "list-units",
        "--all",
        "--plain",
        "--no-legend",
        "vcn-hook*",
    ]);
    assert_eq!(left.ok(), "");
}

/// In its sandbox the watch judges, has Docker pause what nobody knows, runs the program that is to be told,
/// and reads layers, at the least priority.
fn watches(machine: &Machine) {
    machine.image("app:good", "good");
    machine.vcn(&["notarize", "docker://app:good"]).ok();
    machine.vcn(&["sync"]).ok();
    machine
        .sh("docker run -d --name good app:good /bin/busybox sleep 10000")
        .ok();
    machine
        .sh("echo other >$(docker inspect -f '{{.GraphDriver.Data.LowerDir}}' good | sed 's/.*://')/which")
        .ok();
    // /var/lib/vcn-hook is where it may write.
    let script = "#!/bin/sh\necho \"$1 $VCN_HOOK_CODE\" >>/var/lib/vcn-hook/told\n";
    machine.write("/usr/local/sbin/on-alert", script);
    machine.sh("chmod 755 /usr/local/sbin/on-alert").ok();
    let settings = "[watch]\non_unknown = \"pause\"\nexec = \"/usr/local/sbin/on-alert\"\n";
    machine.write("/etc/vcn-hook/conf.d/60-watch.toml", settings);
    // It says itself when it is ready.
    let unit = "vcn-hook-watch.service";
    machine.run(&["systemctl", "start", unit]).ok();
    for (name, code, is_paused) in [
        ("running", "unknown", true),
        ("good", "layer-differs", false),
    ] {
        let words = ["docker", "inspect", "-f", "{{.Id}} {{.State.Paused}}", name];
        eventually(
            machine,
            "what fails is told, and what nobody knows is paused",
            || {
                let said = machine.run(&words).ok();
                let (id, paused) = said.split_once(' ').unwrap();
                let told = format!("{} {code}\n", &id[..12]);
                let all = machine.sh("cat /var/lib/vcn-hook/told").out;
                paused == is_paused.to_string() && all.contains(&told)
            },
        );
    }
    let script = "pid=$(systemctl show -P MainPID vcn-hook-watch) && grep -l '^layers$' /proc/$pid/task/*/comm | \
                  sed 's,comm$,stat,' | xargs awk '{print $19}'";
    assert_eq!(machine.sh(script).ok(), "19", "its niceness");
    let status = machine
        .run(&["systemctl", "show", "-P", "StatusText", unit])
        .ok();
    assert!(status.contains(" containers run, "), "{status}");
    machine.run(&["systemctl", "stop", unit]).ok();
    let result = machine
        .run(&["systemctl", "show", "-P", "Result", unit])
        .ok();
    assert_eq!(result, "success", "{}", journal(machine));
}

/// How often a unit has run to its end.
fn count(machine: &Machine, unit: &str) -> usize {
    let said = machine
        .run(&["journalctl", "--no-pager", "-o", "cat", "-u", unit])
        .out;
    said.lines()
        .filter(|line| line.starts_with("Finished "))
        .count()
}

fn journal(machine: &Machine) -> String {
    machine
        .run(&["journalctl", "--no-pager", "-u", "vcn-hook-*"])
        .out
}

#[track_caller]
fn eventually(machine: &Machine, what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{what}: {}",
            journal(machine)
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}
