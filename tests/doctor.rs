//! Each way round the gate opened for real, found by name, closed by what the finding says, and gone.
//!
//! What concerns engines is tried on a machine of its own, with a real Docker and Podman; what
//! concerns the node's own files, on a node with its ledger.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use support::command::{Ran, command, run, sh};
use support::image::Image;
use support::ledger;
use support::machine::Machine;
use support::node::Node;
use support::scratch::Scratch;
use support::{binary, program};
use vcn_hook::config::Config;
use vcn_hook::doctor::{self, Check, Question, Severity};
use vcn_hook::sys::clock;

/// What `doctor -o json` has answered.
struct Answer {
    ran: Ran,
    value: Value,
}

impl Answer {
    fn of(ran: Ran) -> Self {
        let value = ran.json();
        assert_eq!(value["schema"], "vcn-hook/doctor/v1");
        let bad = ["warning", "danger"].contains(&value["worst"].as_str().unwrap());
        assert_eq!(ran.code, i32::from(bad), "{ran:?}");
        Self { ran, value }
    }

    /// What a check found that is not as it should be: severity, words and fix.
    fn of_check(&self, check: &str) -> Vec<(String, String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let findings = self.value["findings"].as_array().unwrap().iter();
        findings
            .filter(|finding| finding["check"] == check && finding["severity"] != "ok")
            .map(|f| (text(&f["severity"]), text(&f["what"]), text(&f["fix"])))
            .collect()
    }

    /// The one finding of a check, of this severity and with these words in it: its fix.
    #[track_caller]
    fn finds(&self, check: &str, severity: &str, words: &str) -> String {
        let found = self.of_check(check);
        let mut fitting = found
            .iter()
            .filter(|(grade, what, _)| grade == severity && what.contains(words));
        match (fitting.next(), fitting.next()) {
            (Some((.., fix)), None) => fix.clone(),
            _ => panic!("{check}, {severity}, '{words}': {found:#?}\n{:?}", self.ran),
        }
    }

    #[track_caller]
    fn finds_nothing(&self, check: &str) {
        let found = self.of_check(check);
        assert!(found.is_empty(), "{check}: {found:#?}");
    }
}

/// A node with a ledger, and what doctor says of it.
struct OnNode {
    _scratch: Scratch,
    node: Node,
}

impl OnNode {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let node = Node::new(&scratch, "node", None);
        node.sync();
        Self {
            _scratch: scratch,
            node,
        }
    }

    fn ask(&self) -> Answer {
        Answer::of(self.node.vcn(&["-o", "json", "doctor"]))
    }

    /// Types what a finding says, as this node's administrator.
    #[track_caller]
    fn type_in(&self, fix: &str) {
        let gate = format!("{} -c {}", binary().display(), self.node.config().display());
        let line = fix.replace("vcn-hook ", &format!("{gate} "));
        let mut shell = command("sh", ["-c", &line]);
        self.node.environment(&mut shell);
        run(shell).ok();
    }

    /// Opens a hole, finds it, closes it as it is told to, and finds it no more.
    #[track_caller]
    fn closes(&self, check: &str, severity: &str, words: &str, open: impl FnOnce(&Node)) {
        self.ask().finds_nothing(check);
        open(&self.node);
        let fix = self.ask().finds(check, severity, words);
        self.type_in(&fix);
        self.ask().finds_nothing(check);
    }
}

#[test]
fn the_gates_own_files_are_looked_after() {
    let on = OnNode::new("doctor-gate");
    let state = on.node.state();
    on.closes("gate", "danger", "there is no '", |_| {
        fs::remove_file(state.join("gate.bin")).unwrap();
    });
    on.closes("gate", "danger", "cannot be used", |_| {
        fs::write(state.join("gate.bin"), "junk").unwrap();
    });
    on.closes("gate", "danger", "does not take", |_| {
        set_mode(&state.join("gate.bin"), 0o666);
    });
    on.closes("files", "danger", "others than root can change", |node| {
        set_mode(&node.base().join("etc"), 0o777);
    });
    on.closes("files", "danger", "config.toml", |node| {
        chown(&node.config(), 65534);
    });
    on.closes("applied", "warning", "has changed", |node| {
        node.configure("mode = \"audit\"\n");
    });
    on.ask().finds("mode", "note", "audit");
    let broken = fs::read_to_string(on.node.config()).unwrap() + "mdoe = 1\n";
    fs::write(on.node.config(), broken).unwrap();
    // A gate.bin that stands elsewhere cannot be found without the configuration that says where.
    on.ask().finds("applied", "warning", "cannot be used");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn chown(path: &Path, user: u32) {
    std::os::unix::fs::chown(path, Some(user), None).unwrap();
}

#[test]
fn the_allowlist_and_how_it_comes_are_looked_after() {
    let on = OnNode::new("doctor-allowlist");
    let note = on.node.state().join("allowlist/note");
    let ledgers = on.node.ledger().join("index/note");
    assert!(ledgers.exists() || note.exists());
    on.closes("allowlist", "danger", "expired", |node| {
        ledger::age(&note, node, 25);
    });
    on.closes("allowlist", "warning", "it answers for", |node| {
        ledger::age(&note, node, 20);
    });
    on.closes("allowlist", "danger", "note", |_| {
        fs::write(&note, "junk").unwrap();
    });
    on.closes("high-water", "warning", "an older allowlist", |node| {
        fs::remove_file(node.state().join("high-water")).unwrap();
    });
    on.closes("high-water", "danger", "cannot be used", |node| {
        set_mode(&node.state().join("high-water"), 0o666);
    });
    on.closes("records", "warning", "could not be written", |node| {
        fs::write(node.base().join("run/unrecorded"), "..").unwrap();
    });

    let away = on.node.base().join("away");
    fs::rename(on.node.ledger(), &away).unwrap();
    on.node.vcn(&["sync"]).failed();
    let fix = on.ask().finds("sync", "warning", "failed");
    fs::rename(&away, on.node.ledger()).unwrap();
    on.type_in(&fix);
    on.ask().finds_nothing("sync");

    let evidence = on.node.state().join("log/evidence");
    fs::create_dir_all(&evidence).unwrap();
    fs::write(evidence.join("1"), "").unwrap();
    on.ask().finds("sync", "danger", "cannot both be true");
}

#[test]
fn a_full_disk_is_told_before_it_stops_anything() {
    let on = OnNode::new("doctor-disk");
    let log = on.node.base().join("log");
    on.ask().finds_nothing("disk");
    sh(
        "mount",
        &[
            "-t",
            "tmpfs",
            "-o",
            "size=1M",
            "tmpfs",
            log.to_str().unwrap(),
        ],
    )
    .ok();
    on.ask().finds("disk", "warning", "room for");
    sh("umount", &[log.to_str().unwrap()]).ok();
    on.ask().finds_nothing("disk");
}

/// The clock is an argument: no machine's is moved.
#[test]
fn what_time_brings_is_told() {
    let on = OnNode::new("doctor-time");
    let at = |now: u64| {
        let config = Config::load(&on.node.config()).unwrap();
        let found = doctor::examine(&Question {
            config_path: on.node.config(),
            config: Ok(config),
            is_root: true,
            now,
        });
        let severity = |check: Check| {
            let of_check = found.all().filter(|finding| finding.check == check);
            of_check.map(|finding| finding.severity).max().unwrap()
        };
        [
            Check::Clock,
            Check::Allowlist,
            Check::Sync,
            Check::TrustRoot,
        ]
        .map(severity)
    };
    const DAY: u64 = 86_400;
    let now = clock::now();
    let [clock, allowlist, sync, root] = at(now);
    assert!(clock <= Severity::Note);
    assert_eq!([allowlist, sync, root], [Severity::Ok; 3]);
    assert_eq!(at(now - DAY)[0], Severity::Danger, "the clock is behind");
    assert_eq!(
        at(now + 2 * DAY)[1..3],
        [Severity::Danger, Severity::Warning]
    );
    assert_eq!(at(now + 100 * 365 * DAY)[3], Severity::Danger);
    let last = (0..).map(|days| at(now + days * 10 * DAY)[3]);
    assert!(last.take(400).any(|root| root == Severity::Warning));
}

#[test]
fn whoever_is_not_root_is_told_what_was_not_looked_at() {
    let on = OnNode::new("doctor-user");
    fs::write(on.node.decisions_file(), "").unwrap();
    set_mode(&on.node.decisions_file(), 0o640);
    let config = on.node.config();
    let words = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut asked = command(program("setpriv"), words);
    asked.arg(binary()).arg("-c").arg(config);
    asked.args(["-o", "json", "doctor"]);
    let answer = Answer::of(run(asked));
    let unseen = answer.value["notLookedAt"].as_array().unwrap();
    let checks: Vec<_> = unseen
        .iter()
        .map(|each| each["check"].as_str().unwrap())
        .collect();
    assert!(checks.contains(&"running-decision"), "{checks:?}");
    assert!(checks.contains(&"running-image"), "{checks:?}");
    answer.finds_nothing("gate");
}

/// A machine with a real Docker and Podman, whose gate is in the place of runc and crun.
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

const SLEEP: &str = "--entrypoint /bin/sleep good:1 1000";

impl Site {
    /// One container runs already when the gate is put in.
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let machine = Machine::of_host(&scratch);
        let site = Self {
            machine,
            _scratch: scratch,
        };
        let image = Image::app("good:1");
        site.write("/var/lib/good.tar", image.archive());
        site.dockerd();
        site.sh("docker load -q -i /var/lib/good.tar").ok();
        site.sh(&format!(
            "docker run -d --network=none --name early {SLEEP}"
        ))
        .ok();
        let ledger = [
            "ledger",
            "init",
            "/srv/ledger",
            "--origin",
            "ledger.test/vcn",
        ];
        site.vcn(&ledger).ok();
        site.vcn(&["enroll", "/srv/ledger"]).ok();
        site.vcn(&["notarize", "docker-archive:/var/lib/good.tar"])
            .ok();
        site
    }

    fn ask(&self) -> Answer {
        Answer::of(self.vcn(&["-o", "json", "doctor"]))
    }

    /// Opens a hole, finds it, types what closes it, and finds it no more.
    #[track_caller]
    fn closes(&self, check: &str, severity: &str, words: &str, open: &str) {
        self.ask().finds_nothing(check);
        self.sh(open).ok();
        let fix = self.ask().finds(check, severity, words);
        self.sh(&fix).ok();
        self.ask().finds_nothing(check);
    }

    /// The same where what closes it is no one command.
    #[track_caller]
    fn closes_by(&self, check: &str, severity: &str, words: &str, open: &str, close: &str) {
        self.ask().finds_nothing(check);
        self.sh(open).ok();
        let fix = self.ask().finds(check, severity, words);
        assert!(!fix.is_empty());
        self.sh(close).ok();
        self.ask().finds_nothing(check);
    }
}

#[test]
fn each_way_round_the_gate_is_found_and_closed() {
    let site = Site::new("doctor-around");
    let plain = "cp /usr/libexec/vcn-hook/runc";

    // Before the gate is in, everything is open.
    let open = site.ask();
    let fix = open.finds("docker-default-runtime", "danger", "is not vcn-hook");
    open.finds("build-runtime", "danger", "is not vcn-hook");
    open.finds("docker-containers", "danger", "keep 'runc' as runtime");
    open.finds("running-runtime", "danger", "'early'");
    assert!(!open.of_check("engine-path").is_empty());
    assert!(!open.of_check("podman-runtimes").is_empty());
    site.sh(&fix).ok();
    let closed = site.ask();
    for check in [
        "configured",
        "engine-path",
        "docker-default-runtime",
        "docker-runtimes",
        "docker-containers",
        "build-runtime",
        "podman-runtimes",
        "running-runtime",
    ] {
        closed.finds_nothing(check);
    }

    // What ran before the gate is there still, and is judged once it starts again.
    let fix = closed.finds("running-decision", "warning", "before anything was judged");
    site.sh(&fix).ok();
    let healthy = site.ask();
    assert_eq!(healthy.ran.code, 0, "{:?}", healthy.ran);

    // A package's upgrade puts a plain runtime over our link.
    site.closes(
        "configured",
        "danger",
        "replaced by another program",
        "cp --remove-destination /usr/libexec/vcn-hook/runc $(readlink -e /usr/sbin)/runc",
    );
    // Another one that is found before ours.
    site.closes(
        "engine-path",
        "danger",
        "'/usr/local/sbin/runc'",
        &format!("{plain} /usr/local/sbin/runc"),
    );
    // Where containerd looks first.
    site.closes_by(
        "engine-path",
        "danger",
        "'/opt/containerd/bin/runc'",
        &format!("mkdir -p /opt/containerd/bin && {plain} /opt/containerd/bin/runc"),
        "rm /opt/containerd/bin/runc",
    );
    // Products that bring their own.
    for place in [
        "/var/lib/rancher/k3s/data/0a1b/bin",
        "/snap/docker/2915/bin",
    ] {
        site.closes_by(
            "bundled-runtimes",
            "warning",
            place,
            &format!("mkdir -p {place} && {plain} {place}/runc"),
            &format!("rm -r {place}"),
        );
    }
    site.closes_by(
        "containerd-runtimes",
        "danger",
        "BinaryName",
        &format!(
            "mkdir -p /opt/x /etc/containerd && {plain} /opt/x/runc && printf 'version = 2\n[plugins.x.options]\nBinaryName = \"/opt/x/runc\"\n' >/etc/containerd/config.toml"
        ),
        "rm /etc/containerd/config.toml",
    );
    site.closes_by(
        "real-runtime",
        "danger",
        "no real crun",
        "mv /usr/libexec/vcn-hook/crun /usr/libexec/vcn-hook/crun.away",
        "mv /usr/libexec/vcn-hook/crun.away /usr/libexec/vcn-hook/crun",
    );

    // Podman: a second crun by another name of containers.conf, and a hook whose program is gone.
    let conf = "/etc/containers/containers.conf.d/90-second.conf";
    site.closes_by(
        "podman-runtimes",
        "danger",
        "'/opt/y/crun'",
        &format!(
            "mkdir -p /opt/y /etc/containers/containers.conf.d && cp /usr/libexec/vcn-hook/crun /opt/y/crun && printf '[engine.runtimes]\ncrun = [\"/opt/y/crun\"]\n' >{conf}"
        ),
        &format!("rm {conf}"),
    );
    site.closes(
        "podman-hooks",
        "danger",
        "Podman skips it",
        "mkdir -p /usr/share/containers/oci/hooks.d && cat >/usr/share/containers/oci/hooks.d/50-vcn-hook.json <<'X'\n{\"version\":\"1.0.0\",\"hook\":{\"path\":\"/usr/local/bin/vcn-hook\"},\"when\":{\"always\":true},\"stages\":[\"createRuntime\"]}\nX",
    );
    assert_eq!(site.ask().ran.code, 0);
}

#[test]
fn a_container_that_came_round_the_gate_is_an_alert_until_it_is_gone() {
    let site = Site::new("doctor-round");
    site.vcn(&["configure", "--runtime", "system"]).ok();
    site.sh("docker restart -t 0 early").ok();
    assert_eq!(site.ask().ran.code, 0, "{:?}", site.ask().ran);

    // Whoever may use Docker may name any runtime that daemon.json has.
    site.sh(
        "mkdir -p /etc/docker /opt/kata && cp /usr/libexec/vcn-hook/runc /opt/kata/kata-runtime",
    )
    .ok();
    site.write(
        "/etc/docker/daemon.json",
        r#"{"runtimes":{"kata":{"path":"/opt/kata/kata-runtime"}}}"#,
    );
    site.reload_dockerd();
    let open = site.ask();
    open.finds("docker-runtimes", "danger", "--runtime=kata");
    // The record goes back well before what comes now.
    std::thread::sleep(std::time::Duration::from_secs(5));
    site.sh(&format!(
        "docker run -d --network=none --runtime=kata --name round {SLEEP}"
    ))
    .ok();
    let open = site.ask();
    open.finds("running-runtime", "danger", "'round'");
    open.finds(
        "running-decision",
        "danger",
        "'round' started, and nothing was decided",
    );
    let fix = open.finds("docker-containers", "danger", "keep 'kata' as runtime");
    let (remove, _) = fix.split_once(',').unwrap();
    site.sh(remove).ok();
    let gone = site.ask();
    for check in ["running-runtime", "running-decision", "docker-containers"] {
        gone.finds_nothing(check);
    }
    site.write("/etc/docker/daemon.json", "{}");
    site.ask().finds_nothing("docker-runtimes");

    // What dockerd is told by its environment for builds.
    site.stop_dockerd();
    site.sh("ln -s /opt/kata/kata-runtime /opt/kata/runc; DOCKER_BUILDKIT_RUNC_COMMAND=/opt/kata/runc dockerd \
             --iptables=false --ip6tables=false --bridge=none --storage-driver=overlay2 >>/var/log/dockerd.log 2>&1 </dev/null &")
        .ok();
    site.sh(
        "for i in $(seq 150); do docker version >/dev/null 2>&1 && exit 0; sleep 0.2; done; exit 1",
    )
    .ok();
    let fix = site
        .ask()
        .finds("build-runtime", "danger", "'/opt/kata/runc'");
    assert!(fix.contains("DOCKER_BUILDKIT_RUNC_COMMAND"));
    site.stop_dockerd();
    site.dockerd();
    site.ask().finds_nothing("build-runtime");

    // An image that is withdrawn while it runs.
    site.sh("docker start early").ok();
    site.ask().finds_nothing("running-image");
    site.vcn(&["untrust", "docker://good:1"]).ok();
    let fix = site.ask().finds("running-image", "warning", "(untrusted)");
    site.sh(&fix).ok();
    site.ask().finds_nothing("running-image");
}

#[test]
fn what_a_self_test_has_proven_is_told() {
    let site = Site::new("doctor-self-test");
    site.vcn(&["configure", "--runtime", "system"]).ok();
    site.ask().finds("self-test", "note", "never tried");
    site.vcn(&["self-test", "--publish"]).ok();
    site.vcn(&["self-test"]).ok();
    site.ask().finds_nothing("self-test");
    // Without the gate the canary that must be refused starts.
    site.vcn(&["unconfigure"]).ok();
    site.vcn(&["self-test"]).failed();
    let fix = site.ask().finds("self-test", "danger", "was not refused");
    site.vcn(&["configure", "--runtime", "system"]).ok();
    site.sh(&fix).ok();
    site.ask().finds_nothing("self-test");
}
