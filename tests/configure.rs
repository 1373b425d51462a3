//! Turning the gate on and off, on throw-away machines with real engines.
//!
//! Each case ends by comparing what is on the machine with what was there before: content, mode, owner
//! and time of every file below the places where engines and programs have theirs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use support::command::Ran;
use support::image::{EVIL, Image, SAYS};
use support::machine::Machine;
use support::scratch::Scratch;

const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// As an administrator has it, with an indentation of its own and no line break at its end.
const SETTINGS: &str = "{\n    \"labels\": [\"rack=7\"],\n    \"max-concurrent-downloads\": 2\n}";

/// Every file where programs and engines' settings are. Of programs that no case touches by name, content
/// is compared where asked for: that takes its time.
const SNAPSHOT: &str = r#"
places="/etc /usr/sbin /usr/bin /usr/local/sbin /usr/local/bin /usr/libexec /usr/share/containers"
find $places -xdev \( -type f -o -type l \) -printf '%p\t%y %m %U:%G %T@ %s %l\n'
find $places -xdev -type d -printf '%p\t%y %m %U:%G\n'
sums() { xargs -0 sha256sum | sed 's/^\(\S*\)  \(.*\)$/\2 (sum)\t\1/'; }
if [ "$ALL" = yes ]; then find $places -xdev -type f -print0 | sums; exit; fi
find /etc /usr/libexec/vcn-hook /usr/share/containers -xdev -type f -print0 2>/dev/null | sums
find /usr/sbin /usr/bin /usr/local/sbin /usr/local/bin -xdev -type f \( -name '*runc*' -o -name '*crun*' \) -print0 | sums
"#;

type Snapshot = BTreeMap<String, String>;

fn snapshot(machine: &Machine) -> Snapshot {
    snapshot_of(machine, "no")
}

fn snapshot_of(machine: &Machine, all: &str) -> Snapshot {
    let said = machine.sh(&format!("ALL={all}\n{SNAPSHOT}")).ok();
    let lines = said.lines().filter_map(|line| line.split_once('\t'));
    lines
        .map(|(path, what)| (path.to_owned(), what.to_owned()))
        .collect()
}

/// What is different; times are compared unless asked not to.
fn differences(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let differ = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name));
    differ
        .map(|name| format!("{name}: {:?} -> {:?}", before.get(name), after.get(name)))
        .collect()
}

#[track_caller]
fn same(before: &Snapshot, machine: &Machine) {
    assert_eq!(
        differences(before, &snapshot(machine)),
        Vec::<String>::new()
    );
}

/// A machine that follows a ledger in which `good:1` is TRUSTED, and nothing else.
struct Site {
    machine: Machine,
    // It goes last: with it everything ends.
    _scratch: Scratch,
}

impl std::ops::Deref for Site {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

fn good() -> Image {
    Image::app("good:1")
}

fn evil() -> Image {
    Image::saying("evil:1", EVIL)
}

impl Site {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(&format!("configure-{name}"));
        let machine = Machine::of_host(&scratch);
        // A file of the layer below gets another number when it gets another name.
        machine
            .sh("for file in /usr/sbin/runc /usr/bin/crun; do cp -a $file $file.new && mv $file.new $file; done")
            .ok();
        machine.init_ledger();
        machine.vcn(&["enroll", "/srv/ledger"]).ok();
        let archive = "/var/lib/good.tar";
        machine.write(archive, good().archive());
        machine
            .vcn(&["notarize", &format!("docker-archive:{archive}")])
            .ok();
        Self {
            machine,
            _scratch: scratch,
        }
    }

    fn with_docker(name: &str) -> Self {
        let site = Self::new(name);
        site.write(DAEMON_JSON, SETTINGS);
        site.dockerd();
        for image in [good(), evil()] {
            site.run_with(&["docker", "load"], &image.archive()).ok();
        }
        site
    }

    fn with_podman(name: &str) -> Self {
        let site = Self::new(name);
        for image in [good(), evil()] {
            site.run_with(&["podman", "load"], &image.archive()).ok();
        }
        site
    }

    fn docker(&self, args: &[&str]) -> Ran {
        self.run(&[&["docker", "run", "--rm", "--network=none"], args].concat())
    }

    fn podman(&self, args: &[&str]) -> Ran {
        let ran = || self.run(&[&["podman", "run", "--rm"], args].concat());
        // Podman 4.3 now and then loses what a container says that ends at once.
        match ran() {
            silent if silent.code == 0 && silent.out.is_empty() => ran(),
            said => said,
        }
    }

    fn configure(&self, way: &str) -> Ran {
        self.vcn(&["configure", "--runtime", way])
    }

    /// The state of one way in, by `--status`.
    fn state(&self, way: &str) -> String {
        let status = self.vcn(&["-o", "json", "configure", "--status"]).json();
        let targets = status["targets"].as_array().unwrap();
        let target = targets
            .iter()
            .find(|target| target["target"] == way)
            .unwrap();
        target["state"].as_str().unwrap().to_owned()
    }

    fn inode(&self, path: &str) -> u64 {
        std::fs::symlink_metadata(self.path(path)).unwrap().ino()
    }
}

#[track_caller]
fn refused(ran: Ran) {
    let said = ran.failed();
    assert!(said.contains("vcn-hook") && !said.contains(EVIL), "{said}");
}

#[test]
fn in_the_place_of_runc_and_crun_every_engine_is_gated_and_undoing_leaves_no_trace() {
    let site = Site::with_docker("system");
    for image in [good(), evil()] {
        site.run_with(&["podman", "load"], &image.archive()).ok();
    }
    assert_eq!(site.docker(&["evil:1"]).ok(), EVIL);
    site.vcn(&["mode", "enforce", "--yes"]).ok();
    let before = snapshot_of(&site, "yes");
    let inodes = [site.inode("/usr/sbin/runc"), site.inode("/usr/bin/crun")];

    // Without a word the way in is this one on Debian.
    let said = site.vcn(&["configure"]).ok();
    assert!(said.contains("'/usr/sbin/runc' is vcn-hook now"), "{said}");
    assert!(!said.contains("audit mode"), "{said}");
    assert_eq!(site.state("system"), "on");
    refused(site.docker(&["evil:1"]));
    refused(site.docker(&["--runtime=io.containerd.runc.v2", "evil:1"]));
    assert_eq!(site.docker(&["good:1"]).ok(), SAYS);
    for runtime in support::podman::RUNTIMES {
        let with = |image| ["--runtime", runtime, image];
        let words = |image| [&["podman"], &with(image)[..2], &["run", "--rm", image]].concat();
        refused(site.run(&words("evil:1")));
        site.run(&words("good:1")).ok();
    }
    let kept = site.inode("/usr/libexec/vcn-hook/runc");
    assert_eq!(kept, inodes[0]);

    // Where nothing is refused yet, that is said.
    site.vcn(&["mode", "audit"]).ok();
    assert!(site.configure("system").ok().contains("audit mode"));
    assert_eq!(site.docker(&["evil:1"]).ok(), EVIL);
    site.vcn(&["mode", "enforce", "--yes"]).ok();
    refused(site.docker(&["evil:1"]));

    // Once more changes nothing.
    let on = snapshot(&site);
    let said = site.configure("system").ok();
    assert!(said.contains("configured already"), "{said}");
    same(&on, &site);

    let said = site.vcn(&["unconfigure"]).ok();
    assert!(
        said.contains("'/usr/sbin/runc' is the real one again"),
        "{said}"
    );
    let mut after = snapshot_of(&site, "yes");
    let (mut before, node) = (before, "/etc/vcn-hook/conf.d/50-node.toml");
    // Written anew by `mode`, with the same in it.
    assert!(before.remove(node).is_some() && after.remove(node).is_some());
    assert_eq!(differences(&before, &after), Vec::<String>::new());
    assert_eq!(site.state("system"), "off");
    assert_eq!(
        [site.inode("/usr/sbin/runc"), site.inode("/usr/bin/crun")],
        inodes
    );
    let diverted = site.run(&["dpkg-divert", "--list"]).ok();
    assert!(!diverted.contains("vcn-hook"), "{diverted}");
    assert_eq!(site.docker(&["evil:1"]).ok(), EVIL);
    assert!(
        site.vcn(&["unconfigure"])
            .ok()
            .contains("nothing of vcn-hook's")
    );
}

#[test]
fn dockers_default_runtime_is_gated_after_a_reload_and_its_settings_come_back_to_the_byte() {
    let site = Site::with_docker("docker");
    let before = snapshot(&site);
    let inode = site.inode(DAEMON_JSON);
    site.run(&["docker", "create", "--network=none", "--name=old", "evil:1"])
        .ok();

    let said = site.configure("docker").ok();
    assert!(said.contains("systemctl reload docker"), "{said}");
    assert!(said.contains("created anew: old"), "{said}");
    let text = site.read(DAEMON_JSON);
    assert!(text.starts_with(&SETTINGS[..SETTINGS.len() - 2]), "{text}");
    assert!(!text.ends_with('\n'), "{text}");
    // It runs on by what it read, and that is said.
    assert_eq!(site.docker(&["evil:1"]).ok(), EVIL);
    let status = site.vcn(&["configure", "--status"]).exits(1).out;
    assert!(
        status.contains("dockerd still starts with 'runc'"),
        "{status}"
    );
    site.reload_dockerd();
    refused(site.docker(&["evil:1"]));
    assert_eq!(site.docker(&["good:1"]).ok(), SAYS);
    assert_eq!(site.state("docker"), "on");
    let on = snapshot(&site);
    assert!(site.configure("docker").ok().contains("configured already"));
    same(&on, &site);
    // It starts with these settings, too.
    site.stop_dockerd();
    site.dockerd();
    refused(site.docker(&["evil:1"]));

    site.run(&["docker", "create", "--network=none", "--name=new", "evil:1"])
        .ok();
    let said = site.vcn(&["unconfigure", "--runtime", "docker"]).ok();
    assert!(
        said.contains("created with the runtime 'vcn'") && said.contains("anew: new"),
        "{said}"
    );
    same(&before, &site);
    assert_eq!(site.inode(DAEMON_JSON), inode);
    // Docker 20.10 does not go back to its own default because a setting is gone: it was told.
    assert!(said.contains("nothing was restarted"), "{said}");
    assert_eq!(site.docker(&["evil:1"]).ok(), EVIL);
    assert_eq!(
        site.vcn(&["configure", "--status"])
            .ok()
            .matches("off")
            .count(),
        3
    );

    // What runs since before is watched over by a shim that calls the runtime it was told of.
    site.configure("docker").ok();
    site.reload_dockerd();
    let sleeps = ["--entrypoint=/bin/sleep", "good:1", "1000"];
    let line = ["docker", "run", "-d", "--network=none", "--name=long"];
    site.run(&[&line[..], &sleeps].concat()).ok();
    let said = site.vcn(&["unconfigure"]).ok();
    assert!(said.contains("after they have ended: long"), "{said}");
    assert_eq!(site.state("docker"), "off");
    let hi = ["docker", "exec", "long", "/bin/echo", "hi"];
    assert_eq!(site.run(&hi).ok(), "hi");
    // Without this program, too: a package may be removed now.
    site.sh("mv /usr/bin/vcn-hook /usr/bin/vcn-hook.away").ok();
    assert_eq!(site.run(&hi).ok(), "hi");
    site.run(&["docker", "stop", "-t", "1", "long"]).ok();
    site.sh("mv /usr/bin/vcn-hook.away /usr/bin/vcn-hook").ok();
    site.vcn(&["unconfigure"]).ok();
    same(&before, &site);

    // A daemon that does not answer is not waited for; what it takes then is said.
    site.configure("docker").ok();
    site.reload_dockerd();
    site.sh("mv /run/docker.sock /run/docker.sock.away").ok();
    let said = site.vcn(&["unconfigure"]).ok();
    assert!(said.contains("systemctl restart docker"), "{said}");
    site.sh("mv /run/docker.sock.away /run/docker.sock").ok();
    same(&before, &site);
    let status = site.vcn(&["configure", "--status"]).exits(1).out;
    assert!(status.contains("systemctl restart docker"), "{status}");
    site.stop_dockerd();
    site.dockerd();
    assert_eq!(site.docker(&["evil:1"]).ok(), EVIL);
}

#[test]
fn podmans_names_and_hook_are_ours_until_they_are_taken_away() {
    let site = Site::with_podman("podman");
    let before = snapshot(&site);
    site.configure("podman").ok();
    for runtime in support::podman::RUNTIMES {
        let words = |image| ["podman", "--runtime", runtime, "run", "--rm", image];
        refused(site.run(&words("evil:1")));
        site.run(&words("good:1")).ok();
    }
    assert_eq!(site.state("podman"), "on");
    // Past the names, the hook still stands there.
    let past = [
        "podman",
        "--runtime",
        "/usr/sbin/runc",
        "run",
        "--rm",
        "evil:1",
    ];
    refused(site.run(&past));
    let on = snapshot(&site);
    assert!(site.configure("podman").ok().contains("configured already"));
    same(&on, &site);
    site.vcn(&["unconfigure"]).ok();
    same(&before, &site);
    assert_eq!(site.podman(&["evil:1"]).ok(), EVIL);
}

#[test]
fn a_dry_run_changes_nothing_and_its_patch_gives_the_very_result() {
    let site = Site::new("dry");
    site.write(DAEMON_JSON, SETTINGS);
    let contents = |snapshot: Snapshot| -> Snapshot {
        let plain = |what: &str| {
            let words: Vec<_> = what.split(' ').collect();
            // A patch knows neither the owner nor the time, and only one mode of plain files.
            match words.as_slice() {
                ["f" | "l", ..] => [&words[..1], &words[4..]].concat().join(" "),
                _ => what.to_owned(),
            }
        };
        let kept = snapshot
            .into_iter()
            .filter(|(path, _)| !path.contains(".before-vcn-hook"));
        kept.map(|(path, what)| (path, plain(&what))).collect()
    };
    for way in ["docker", "podman", "system"] {
        let before = snapshot(&site);
        let patch = site.vcn(&["configure", "--runtime", way, "--dry-run"]).ok() + "\n";
        same(&before, &site);
        assert_eq!(site.state(way), "off");
        site.configure(way).ok();
        let result = contents(snapshot(&site));
        let back = site.vcn(&["unconfigure", "--dry-run"]).ok() + "\n";
        assert_eq!(contents(snapshot(&site)), result);
        site.vcn(&["unconfigure"]).ok();
        same(&before, &site);

        site.run_with(&["patch", "-p1", "-d", "/"], patch.as_bytes())
            .ok();
        assert_eq!(
            differences(&result, &contents(snapshot(&site))),
            Vec::<String>::new(),
            "{patch}"
        );
        site.run_with(&["patch", "-p1", "-d", "/"], back.as_bytes())
            .ok();
        assert_eq!(
            differences(&contents(before), &contents(snapshot(&site))),
            Vec::<String>::new(),
            "{back}"
        );
        site.sh(&format!("printf '%s' '{SETTINGS}' >{DAEMON_JSON}"))
            .ok();
    }
}

#[test]
fn of_a_file_that_was_changed_since_only_our_part_is_taken_out_and_shown() {
    let site = Site::new("changed");
    site.write(DAEMON_JSON, SETTINGS);
    site.configure("docker").ok();
    site.configure("podman").ok();
    let more = site
        .read(DAEMON_JSON)
        .replacen("\"rack=7\"", "\"rack=8\"", 1);
    site.write(DAEMON_JSON, more);
    let conf = "/etc/containers/containers.conf.d/50-vcn-hook.conf";
    site.write(conf, site.read(conf) + "kata = [\"/opt/kata\"]\n");

    let said = site.vcn(&["unconfigure"]).ok();
    assert!(said.contains("was changed since"), "{said}");
    assert!(said.contains("-    \"default-runtime\": \"vcn\""), "{said}");
    assert_eq!(site.read(DAEMON_JSON), SETTINGS.replace("rack=7", "rack=8"));
    let rest = site.read(conf);
    assert!(
        rest.contains("kata") && !rest.contains("vcn-hook/gate"),
        "{rest}"
    );
    assert!(!site.path(format!("{DAEMON_JSON}.before-vcn-hook")).exists());
    assert!(!site.path("/usr/libexec/vcn-hook").exists());
    assert_eq!(
        (site.state("docker"), site.state("podman")),
        ("off".to_owned(), "off".to_owned())
    );
}

#[test]
fn undoing_needs_no_configuration_no_gate_bin_no_engine_and_no_record() {
    let site = Site::new("broken");
    site.write(DAEMON_JSON, SETTINGS);
    // Directories that were made are not known without a record; let there be none to make.
    site.sh("mkdir -p /usr/libexec/vcn-hook/gate /etc/containers/containers.conf.d /usr/share/containers/oci/hooks.d")
        .ok();
    site.sh("ln -s /usr/bin/vcn-hook /usr/libexec/vcn-hook/gate/runc; ln -s ../../../bin/vcn-hook /usr/libexec/vcn-hook/gate/crun")
        .ok();
    let before = snapshot(&site);
    for way in ["docker", "podman", "system"] {
        site.configure(way).ok();
    }
    site.write("/etc/vcn-hook/config.toml", "this is no = [toml");
    site.sh("echo broken >/var/lib/vcn-hook/gate.bin; rm -r /var/lib/vcn-hook/configured")
        .ok();
    site.vcn(&["unconfigure"]).ok();
    site.sh("rm /etc/vcn-hook/config.toml").ok();
    let mut after = snapshot(&site);
    let own = |path: &String, _: &mut String| !path.starts_with("/etc/vcn-hook");
    let mut before = before;
    before.retain(own);
    after.retain(own);
    assert_eq!(differences(&before, &after), Vec::<String>::new());
    site.vcn(&["unconfigure"]).ok();
    // And nothing is put in while nothing could start.
    let said = site.configure("system").exits(14).failed();
    assert!(said.contains("vcn-hook enroll"), "{said}");
}

#[test]
fn what_cannot_be_done_is_refused_with_the_next_step_and_changes_nothing() {
    let site = Site::new("refused");
    let case = |text: &str, code, words: &[&str]| {
        site.write(DAEMON_JSON, text);
        let before = snapshot(&site);
        let said = site.configure("docker").exits(code).failed();
        for word in words {
            assert!(said.contains(word), "{said}");
        }
        same(&before, &site);
    };
    case("{\n  \"debug\": true,\n}\n", 14, &["daemon.json", "line 3"]);
    case("[]", 14, &["no JSON object"]);
    let nvidia = r#"{"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "/usr/bin/nvidia-container-runtime"}}}"#;
    case(nvidia, 14, &["'nvidia'", "--runtime system"]);
    site.sh(&format!(
        "mv {DAEMON_JSON} /etc/docker/other && ln -s other {DAEMON_JSON}"
    ))
    .ok();
    assert!(site.configure("docker").failed().contains("symlink"));
    site.sh(&format!(
        "rm {DAEMON_JSON}; mv /etc/docker/other {DAEMON_JSON}; chown 1000 {DAEMON_JSON}"
    ))
    .ok();
    assert!(
        site.configure("docker")
            .failed()
            .contains("others than root")
    );
    for way in ["containerd", "crio"] {
        assert!(
            site.configure(way)
                .exits(64)
                .failed()
                .contains("--runtime system")
        );
    }

    // By another name we would not know that we are called as a runtime; and undoing minds nothing.
    site.sh("mv /usr/bin/crun /usr/bin/crun-1.8 && ln -s crun-1.8 /usr/bin/crun")
        .ok();
    assert!(
        site.configure("system")
            .exits(14)
            .failed()
            .contains("'/usr/bin/crun-1.8'")
    );
    site.vcn(&["unconfigure"]).ok();
    site.sh("mv /usr/bin/crun-1.8 /usr/bin/crun").ok();

    // A file system that nothing can be written to: what was done before is undone.
    let before = snapshot(&site);
    site.sh("mount --bind /usr/share/containers /usr/share/containers && mount -o remount,bind,ro /usr/share/containers")
        .ok();
    let said = site.configure("podman").exits(1).failed();
    assert!(
        said.contains("/usr/share/containers/oci") && said.contains("Read-only"),
        "{said}"
    );
    site.sh("umount /usr/share/containers").ok();
    same(&before, &site);
    assert_eq!(site.state("podman"), "off");
}

#[test]
fn below_another_runtime_that_calls_runc_the_gate_still_stands() {
    let site = Site::with_docker("chain");
    // It stands for the wrappers of this world: it edits nothing, and calls runc.
    site.write(
        "/usr/local/bin/wrapper-runtime",
        "#!/bin/sh\necho \"$@\" >>/var/log/wrapper\nexec runc \"$@\"\n",
    );
    site.sh("chmod 755 /usr/local/bin/wrapper-runtime").ok();
    let settings = "{\"default-runtime\": \"wrapper\", \"runtimes\": {\"wrapper\": {\"path\": \"/usr/local/bin/wrapper-runtime\"}}}\n";
    site.write(DAEMON_JSON, settings);
    site.reload_dockerd();
    assert_eq!(site.docker(&["evil:1"]).ok(), EVIL);
    let said = site.configure("docker").exits(14).failed();
    assert!(
        said.contains("'wrapper'") && said.contains("--runtime system"),
        "{said}"
    );
    assert_eq!(site.read(DAEMON_JSON), settings);
    site.configure("system").ok();
    refused(site.docker(&["evil:1"]));
    assert_eq!(site.docker(&["good:1"]).ok(), SAYS);
    assert!(site.read("/var/log/wrapper").contains("create"));
}

#[test]
fn a_plain_runtime_of_another_name_is_wrapped_with_its_options() {
    let site = Site::with_docker("options");
    let settings = "{\n  \"default-runtime\": \"fast\",\n  \"runtimes\": {\n    \"fast\": {\n      \"path\": \"crun\",\n      \"runtimeArgs\": [\n        \"--debug\"\n      ]\n    }\n  }\n}\n";
    site.write(DAEMON_JSON, settings);
    let before = snapshot(&site);
    site.configure("docker").ok();
    let now: serde_json::Value = serde_json::from_str(&site.read(DAEMON_JSON)).unwrap();
    let ours =
        serde_json::json!({"path": "/usr/libexec/vcn-hook/gate/crun", "runtimeArgs": ["--debug"]});
    assert_eq!(
        (&now["runtimes"]["vcn"], &now["default-runtime"]),
        (&ours, &"vcn".into())
    );
    site.reload_dockerd();
    refused(site.docker(&["evil:1"]));
    assert_eq!(site.docker(&["good:1"]).ok(), SAYS);
    site.vcn(&["unconfigure"]).ok();
    same(&before, &site);
}

#[test]
fn an_upgrade_of_the_runtimes_package_goes_behind_the_gate() {
    let site = Site::with_docker("upgrade");
    // The package of this machine, made again with another runc: bytes after its end change nothing but its sum.
    let build = r#"
set -e
mkdir -p /var/tmp/new/DEBIAN
for file in $(dpkg -L runc); do
    [ -d "$file" ] || cp -a --parents "$(readlink -f "$(dirname "$file")")/$(basename "$file")" /var/tmp/new 2>/dev/null || true
done
mkdir -p /var/tmp/new/usr/sbin
cp "$RUNC" /var/tmp/new/usr/sbin/runc
echo newer >>/var/tmp/new/usr/sbin/runc
dpkg-query -W -f='Package: runc\nVersion: ${Version}.1\nArchitecture: ${Architecture}\nMaintainer: ${Maintainer}\nDescription: ${binary:Summary}\n' runc >/var/tmp/new/DEBIAN/control
dpkg-deb -b /var/tmp/new /var/tmp/new.deb >/dev/null
"#;
    let build = |real: &str| site.sh(&format!("RUNC={real}\n{build}")).ok();
    let ends_newer = |path: &str| site.run(&["tail", "-c", "6", path]).ok() == "newer";
    build("/usr/sbin/runc");
    site.configure("system").ok();
    site.run(&["dpkg", "-i", "/var/tmp/new.deb"]).ok();
    assert_eq!(site.state("system"), "on");
    assert!(ends_newer("/usr/libexec/vcn-hook/runc"));
    refused(site.docker(&["evil:1"]));
    assert_eq!(site.docker(&["good:1"]).ok(), SAYS);
    site.vcn(&["unconfigure"]).ok();
    assert!(
        ends_newer("/usr/sbin/runc"),
        "the newer one is back under its name"
    );
    assert_eq!(site.run(&["dpkg", "--verify", "runc"]).ok(), "");

    // Where nobody keeps the register, a plain one comes back: that is told, and repaired.
    site.configure("system").ok();
    site.sh("cp /usr/libexec/vcn-hook/runc /usr/sbin/runc.new; echo newest >>/usr/sbin/runc.new; mv /usr/sbin/runc.new /usr/sbin/runc")
        .ok();
    assert_eq!(site.docker(&["evil:1"]).ok(), EVIL);
    assert_eq!(site.state("system"), "overwritten");
    site.vcn(&["configure", "--status"]).exits(1);
    site.configure("system").ok();
    assert_eq!(site.state("system"), "on");
    refused(site.docker(&["evil:1"]));
    assert_eq!(
        site.run(&["tail", "-c", "7", "/usr/libexec/vcn-hook/runc"])
            .ok(),
        "newest"
    );
}

#[test]
fn not_one_start_fails_while_the_gate_is_turned_on_and_off() {
    let site = Site::with_docker("loop");
    let starts = r#"
set -u
rm -f /var/tmp/stop
(
    n=0; while [ ! -e /var/tmp/stop ]; do
        runc --version >/dev/null 2>>/var/tmp/failed || echo "runc $?" >>/var/tmp/failed
        n=$((n + 1)); echo $n >/var/tmp/calls
    done
) &
n=0; while [ ! -e /var/tmp/stop ]; do
    docker run --rm --network=none good:1 >/dev/null 2>>/var/tmp/failed || echo "docker $?" >>/var/tmp/failed
    n=$((n + 1)); echo $n >/var/tmp/starts
done
wait
touch /var/tmp/ended
"#;
    site.sh(&format!("(\n{starts}\n) >/dev/null 2>&1 </dev/null &"))
        .ok();
    let count = |name: &str| -> u32 {
        let text = std::fs::read_to_string(site.path(name)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    };
    let mut rounds = 0;
    while count("/var/tmp/starts") < 15 || rounds < 20 {
        site.configure("system").ok();
        site.vcn(&["unconfigure"]).ok();
        rounds += 1;
        assert!(rounds < 3000, "the loop of starts does not go on");
    }
    site.sh("touch /var/tmp/stop; until [ -e /var/tmp/ended ]; do sleep 0.1; done")
        .ok();
    let failed = std::fs::read_to_string(site.path("/var/tmp/failed")).unwrap_or_default();
    assert_eq!(
        failed,
        "",
        "{} starts, {} calls",
        count("/var/tmp/starts"),
        count("/var/tmp/calls")
    );
    assert!(count("/var/tmp/calls") > 20);
}

/// Whatever changes a name; between two of them a crash leaves what a crash leaves.
const STEPS: &str =
    "rename,renameat,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir";

#[test]
fn a_crash_between_any_two_steps_leaves_a_runtime_and_is_repaired_by_either_verb() {
    let site = Site::new("crash");
    site.write(DAEMON_JSON, SETTINGS);
    let before = snapshot(&site);
    let mut crashes = 0;
    for way in ["system", "docker", "podman"] {
        for verb in ["configure", "unconfigure"] {
            for step in 1.. {
                assert!(step < 100, "it does not come to an end");
                if verb == "unconfigure" {
                    site.configure(way).ok();
                }
                let inject = format!("inject={STEPS}:signal=KILL:when={step}");
                let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e"];
                let line = ["/usr/bin/vcn-hook", verb, "--runtime", way];
                let ran = site.run(&[&strace[..], &[&inject], &line].concat());
                site.run(&["runc", "--version"]).ok();
                site.run(&["crun", "--version"]).ok();
                if step % 2 == 0 {
                    site.configure(way).ok();
                    assert_eq!(site.state(way), "on", "{verb} {way} {step}");
                }
                site.vcn(&["unconfigure"]).ok();
                let differ = differences(&before, &snapshot(&site));
                assert_eq!(differ, Vec::<String>::new(), "{verb} {way} {step}");
                if ran.code == 0 {
                    break;
                }
                crashes += 1;
            }
        }
    }
    assert!(
        crashes > 20,
        "only {crashes} crashes: does strace inject them?"
    );
}

#[test]
fn a_second_runtime_in_the_path_makes_way_too() {
    let site = Site::new("second");
    site.sh("cp /usr/sbin/runc /usr/local/sbin/runc").ok();
    site.sh("mkdir /usr/local/bin/other && mount -t tmpfs -o mode=0755 none /usr/local/bin && cp -a /usr/bin/crun /usr/local/bin/crun").ok();
    let before = snapshot(&site);
    let said = site.configure("system").ok();
    assert!(
        said.contains("'/usr/sbin/runc' is not run any more"),
        "{said}"
    );
    for name in [
        "/usr/local/sbin/runc",
        "/usr/sbin/runc",
        "/usr/local/bin/crun",
        "/usr/bin/crun",
    ] {
        let to = std::fs::read_link(site.path(name)).unwrap();
        assert_eq!(to.to_str(), Some("/usr/bin/vcn-hook"), "{name}");
        let version = site.run(&[name, "--version"]).ok();
        assert!(version.contains(&name[name.len() - 4..]), "{version}");
    }
    let kept = std::fs::read_link(site.path("/usr/libexec/vcn-hook/crun")).unwrap();
    assert_eq!(kept.to_str(), Some("/usr/local/bin/crun.distrib"));
    let on = snapshot(&site);
    assert!(site.configure("system").ok().contains("configured already"));
    same(&on, &site);
    // One that comes later is seen, and makes way as well.
    site.sh("cp /usr/libexec/vcn-hook/crun /usr/local/sbin/crun")
        .ok();
    assert_eq!(site.state("system"), "partial");
    site.configure("system").ok();
    assert_eq!(site.state("system"), "on");
    site.vcn(&["unconfigure"]).ok();
    site.sh("rm /usr/local/sbin/crun").ok();
    same(&before, &site);
}

#[test]
fn only_root_changes_anything() {
    let site = Site::new("user");
    let before = snapshot(&site);
    let user = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "/usr/bin/vcn-hook",
    ];
    let said = site.run(&[&user[..], &["configure", "--runtime", "system"]].concat());
    assert!(said.failed().contains("only root"));
    let status = site
        .run(&[&user[..], &["configure", "--status"]].concat())
        .ok();
    assert!(status.contains("system: off"), "{status}");
    same(&before, &site);
}

#[test]
fn without_dpkg_the_way_in_is_asked_for_and_what_an_upgrade_may_do_is_said() {
    let site = Site::new("plain");
    site.sh("mv /usr/bin/dpkg-divert /usr/bin/dpkg-divert.away")
        .ok();
    let before = snapshot(&site);
    let said = site.vcn(&["configure"]).exits(64).failed();
    assert!(said.contains("--runtime system"), "{said}");
    let said = site.configure("system").ok();
    assert!(
        said.contains("an upgrade of runc or crun may put a plain one back"),
        "{said}"
    );
    assert_eq!(site.state("system"), "on");
    site.run(&["runc", "--version"]).ok();
    site.vcn(&["unconfigure"]).ok();
    same(&before, &site);
}
