//! The way from nothing to a gate that refuses, as an administrator walks it, on real engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::daemon::Daemon;
use support::image::{EVIL, Image, SAYS};
use support::machine::Machine;
use support::node::Node;
use support::podman::Podman;
use support::scratch::Scratch;

#[test]
fn the_mode_is_written_beside_the_configuration_and_applied_at_once() {
    let scratch = Scratch::new("mode");
    let machine = Machine::of_host(&scratch);
    let fragment = "/etc/vcn-hook/conf.d/50-node.toml";
    let mode = |args: &[&str]| machine.vcn(&[&["-o", "json", "mode"], args].concat());

    // A package sets it before there is a ledger.
    let set = mode(&["audit"]);
    assert_eq!(set.json()["written"], fragment);
    assert_eq!(set.json()["applied"], false);
    let text = machine.read(fragment);
    assert!(text.starts_with("# Written by vcn-hook"), "{text}");
    assert!(text.ends_with("\nmode = \"audit\"\n"), "{text}");
    mode(&["enforce"]).exits(14);

    machine.init_ledger();
    machine.vcn(&["enroll", "/srv/ledger"]).ok();
    let shown = mode(&[]).json();
    assert_eq!(
        (&shown["mode"], &shown["applied"]),
        (&"audit".into(), &"audit".into())
    );
    assert_eq!(shown["origin"], fragment);

    // Nothing would be refused, so nobody is asked.
    assert_eq!(
        mode(&["enforce", "--dry-run"]).json()["written"],
        Value::Null
    );
    assert_eq!(mode(&[]).json()["applied"], "audit");
    assert_eq!(mode(&["enforce"]).json()["applied"], true);
    assert_eq!(mode(&[]).json()["applied"], "enforce");
    assert!(!machine.path("/etc/vcn-hook/config.toml").exists());
    let text = machine.read(fragment);
    assert!(text.contains("ledger = \"/srv/ledger\"\n"), "{text}");

    // Where people have written it themselves, it is changed there.
    machine.write("/etc/vcn-hook/config.toml", "# ours\nmode = \"enforce\"\n");
    let set = mode(&["audit"]).json();
    assert_eq!(
        (&set["written"], &set["applied"]),
        (&"/etc/vcn-hook/config.toml".into(), &true.into())
    );
    assert_eq!(
        machine.read("/etc/vcn-hook/config.toml"),
        "# ours\nmode = \"audit\"\n"
    );

    // Another fragment has the last word, and that is said.
    machine.write("/etc/vcn-hook/conf.d/90-site.toml", "mode = \"enforce\"\n");
    let refused = mode(&["audit"]).exits(14);
    assert!(refused.err.contains("90-site.toml"), "{refused:?}");
}

#[test]
fn enforcing_shows_what_would_be_refused_and_wants_a_yes() {
    let scratch = Scratch::new("enforcing");
    let machine = followed(&scratch);
    gate_docker(&machine);
    let app = Image::app("app:1");
    let evil = app.with_other_config("app:evil");
    let idle = Image::saying("idle:1", "idle");
    for image in [&app, &evil, &idle] {
        load(&machine, image);
    }
    let docker = |words: &[&str]| machine.run(&[&["docker"], words].concat());
    let start = |image: &str| docker(&["run", "--rm", "--network=none", image]);
    assert_eq!(start("app:1").ok(), SAYS);
    assert_eq!(start("app:evil").ok(), EVIL);
    let sleep = [
        "--entrypoint",
        "/bin/sleep",
        "--name",
        "idle",
        "idle:1",
        "1000",
    ];
    docker(&[&["run", "-d", "--network=none"][..], &sleep].concat()).ok();
    machine.sh("rm /var/log/vcn-hook/decisions.jsonl").ok();
    assert_eq!(start("app:1").ok(), SAYS);
    assert_eq!(start("app:evil").ok(), EVIL);

    // Of what runs nothing is on record any more: it is judged as its next start would be.
    let asked = machine.vcn(&["mode", "enforce"]).exits(14);
    let ids = [&app, &evil, &idle].map(Image::id);
    for part in [
        "unknown",
        "app:evil",
        &ids[0],
        &ids[1],
        &ids[2],
        "3 of these",
        "--yes",
    ] {
        assert!(asked.err.contains(part), "{part} in {asked:?}");
    }
    assert_eq!(start("app:evil").ok(), EVIL);
    let report = |args: &[&str]| -> Value {
        let report = machine.vcn(&[&["-o", "json", "report"], args].concat());
        report.json()
    };
    assert_eq!(report(&[]).as_array().unwrap().len(), 2);
    let with_running = report(&["--running", "--since", "1h"]);
    let group = |report: &Value, image: &str| -> Value {
        let mut groups = report.as_array().unwrap().iter();
        groups
            .find(|group| group["image"] == image)
            .cloned()
            .unwrap()
    };
    assert_eq!(group(&with_running, "idle:1")["running"], json!(["idle"]));
    let next = group(&with_running, "app:evil")["next"].clone();
    let wanted = format!("baseline --only '{}*'", &evil.id()[7..19]);
    assert!(next.as_str().unwrap().contains(&wanted), "{next}");

    // What was notarized since would start.
    machine
        .vcn(&["baseline", "--except", "app:evil", "--yes"])
        .ok();
    let report = report(&[]);
    assert_eq!(group(&report, "app:1")["settled"], true);
    assert_eq!(group(&report, "app:evil")["settled"], false);
    let dry = machine.vcn(&["-o", "json", "mode", "enforce", "--dry-run"]);
    assert_eq!(
        dry.json()["refusals"].as_array().unwrap().len(),
        1,
        "{dry:?}"
    );
    assert_eq!(start("app:evil").ok(), EVIL);

    machine.vcn(&["mode", "enforce", "--yes"]).ok();
    assert_eq!(start("app:1").ok(), SAYS);
    assert!(start("app:evil").failed().contains("(unknown)"));
    docker(&["restart", "-t", "0", "idle"]).ok();
    machine.vcn(&["mode", "audit"]).ok();
    assert_eq!(start("app:evil").ok(), EVIL);
}

#[test]
fn a_baseline_notarizes_what_runs_and_what_is_stored_and_overrides_nobody() {
    let scratch = Scratch::new("baseline");
    let daemon = Daemon::start(&scratch);
    let podman = Podman::new(&scratch);
    let node = Node::new(&scratch, "node", Some(&daemon)).with_storage(&podman.root());
    daemon.gated_by(&node.config());
    podman.gated_by(&node.config());
    node.vcn(&["mode", "audit"]).ok();

    let app = Image::app("app:1");
    let bad = app.with_other_config("team/bad:1");
    let both = Image::saying("localhost/both:1", "both");
    let alone = Image::saying("localhost/alone:1", "alone");
    let gone = Image::saying("gone:1", "gone");
    let unnamed = Image::saying("unnamed:1", "unnamed");
    let running = Image::saying("running:1", "running");
    for image in [&app, &bad, &both, &gone, &unnamed, &running] {
        image.load(&daemon);
    }
    for image in [&both, &alone] {
        podman.load(image);
    }
    node.vcn(&["untrust", "docker://team/bad:1"]).ok();
    let start = |image: &str, name: &str| {
        let sleep = ["--entrypoint", "/bin/sleep", "--name", name, image, "1000"];
        daemon
            .docker(&[&["run", "-d", "--network=none"][..], &sleep].concat())
            .ok()
    };
    start("running:1", "one");
    start("running:1", "two");
    start("gone:1", "three");
    let words = ["run", "-d", "--name", "pod", "--entrypoint", "/bin/sleep"];
    podman
        .podman(&[&words[..], &["localhost/alone:1", "1000"]].concat())
        .ok();
    // Names go to the next image of that name; what runs stays what it is.
    for tag in ["unnamed:1", "running:1"] {
        app.clone().with_tag(tag).load(&daemon);
    }
    // No engine of today loses the image of a container that runs: this stands in for one that does.
    let content = format!(
        "image/overlay2/imagedb/content/sha256/{}",
        &gone.id()["sha256:".len()..]
    );
    fs::remove_file(daemon.root().join(content)).unwrap();

    let baseline = |args: &[&str]| node.vcn(&[&["-o", "json", "baseline"], args].concat());
    let before = node.vcn(&["-o", "json", "status"]).json()["allowlist"]["logSize"].clone();
    let listed = baseline(&["--dry-run"]).json();
    let line = |listed: &Value, image: &Image| -> Value {
        let hash = &image.id()["sha256:".len()..];
        let lines = listed["images"].as_array().unwrap();
        let line = lines.iter().find(|line| line["hash"] == hash);
        line.cloned().unwrap_or_default()
    };
    for (image, outcome, status) in [
        (&app, "wanted", 2),
        (&both, "wanted", 2),
        (&alone, "wanted", 2),
        (&running, "wanted", 2),
        (&unnamed, "left", 2),
        (&bad, "left", 1),
    ] {
        let line = line(&listed, image);
        assert_eq!(line["outcome"], outcome, "{}: {line}", image.tag);
        assert_eq!(line["status"], status, "{}: {line}", image.tag);
    }
    assert_eq!(listed["images"].as_array().unwrap().len(), 6, "{listed:#}");
    assert_eq!(line(&listed, &running)["containers"], json!(["one", "two"]));
    assert_eq!(line(&listed, &alone)["containers"], json!(["pod"]));
    assert_eq!(
        line(&listed, &both)["names"],
        json!(["podman://localhost/both:1", "docker://localhost/both:1"])
    );
    // What else runs on this machine is left out here.
    let left = listed["leftOut"].as_array().unwrap();
    let lost = left.iter().find(|left| left["name"] == "three").unwrap();
    assert_eq!(lost["image"], "gone:1");
    assert!(lost["why"].as_str().unwrap().contains(&gone.id()), "{lost}");

    // Nobody is here to agree, and a dry run is one.
    assert!(baseline(&[]).exits(14).err.contains("4 images"));
    let after = node.vcn(&["-o", "json", "status"]).json()["allowlist"]["logSize"].clone();
    assert_eq!(before, after);

    // One image fails, and the others do not.
    let config = |image: &Image| {
        let id = &image.id()["sha256:".len()..];
        daemon
            .root()
            .join("image/overlay2/imagedb/content/sha256")
            .join(id)
    };
    let bytes = fs::read(config(&app)).unwrap();
    fs::write(config(&app), "{}").unwrap();
    let done = baseline(&["--yes", "--except", "localhost/*"])
        .exits(1)
        .json();
    assert_eq!(
        (&done["notarized"], &done["failed"]),
        (&json!(1), &json!(1)),
        "{done:#}"
    );
    fs::write(config(&app), bytes).unwrap();
    let table = node.vcn(&["baseline", "--only", "app*", "--yes"]).ok();
    for word in [
        "TRUSTED",
        "docker://app:1",
        &app.id()[7..19],
        "notarized as entry",
    ] {
        assert!(table.contains(word), "{word} in\n{table}");
    }
    assert_eq!(line(&baseline(&["--dry-run"]).json(), &bad)["status"], 1);
    let done = baseline(&["--yes"]).json();
    assert_eq!(
        (&done["notarized"], &done["failed"]),
        (&json!(2), &json!(0)),
        "{done:#}"
    );
}

/// A machine that follows a ledger of its own, in audit mode, whose Docker is as it comes.
fn followed(scratch: &Scratch) -> Machine {
    let machine = Machine::of_host(scratch);
    machine.dockerd();
    machine.init_ledger();
    machine.vcn(&["mode", "audit"]).ok();
    machine.vcn(&["enroll", "/srv/ledger"]).ok();
    machine
}

/// Puts the gate where Docker finds it first.
fn gate_docker(machine: &Machine) {
    machine
        .run(&["ln", "-s", "/usr/bin/vcn-hook", "/usr/local/sbin/runc"])
        .ok();
}

#[track_caller]
fn load(machine: &Machine, image: &Image) {
    let loaded = machine.run_with(&["docker", "load", "-q"], &image.archive());
    assert!(loaded.ok().contains(&image.tag));
}

/// What `self-test` answers, and that it left nothing behind.
#[track_caller]
fn self_test(machine: &Machine, engine: &str, code: i32) -> Value {
    let tested = machine
        .vcn(&["-o", "json", "self-test", "--engine", engine])
        .exits(code);
    let answer = tested.json();
    let record = machine.read("/var/lib/vcn-hook/self-test.json");
    assert_eq!(serde_json::from_str::<Value>(&record).unwrap(), answer);
    assert_eq!(answer["leftBehind"], json!([]), "{answer:#}");
    assert_eq!(machine.run(&[engine, "ps", "-aq"]).ok(), "");
    let images = machine.run(&[engine, "images", "-aq"]).ok();
    assert_eq!(images, "", "images of {engine}");
    answer
}

#[test]
fn a_self_test_proves_the_gate_and_notices_when_it_is_not_in_the_way() {
    let scratch = Scratch::new("self-test");
    let machine = followed(&scratch);
    let outcome = |answer: &Value| {
        let half = |name: &str| answer[name]["outcome"].as_str().unwrap().to_owned();
        (half("unknown"), half("trusted"))
    };
    let is = |answer: &Value, unknown: &str, trusted: &str| {
        assert_eq!(
            outcome(answer),
            (unknown.into(), trusted.into()),
            "{answer:#}"
        );
    };

    // Docker as it comes: nobody decides anything, in either mode.
    is(
        &self_test(&machine, "docker", 1),
        "started-unseen",
        "not-notarized",
    );
    machine.vcn(&["mode", "enforce", "--yes"]).ok();
    is(
        &self_test(&machine, "docker", 1),
        "started-unseen",
        "not-notarized",
    );
    let loud = machine.vcn(&["self-test"]).exits(1);
    for part in ["THE GATE IS NOT ON", "docker", "vcn-hook doctor"] {
        assert!(loud.err.contains(part), "{part} in {loud:?}");
    }

    // With the gate in the way, what is missing is one word of the ledger's.
    gate_docker(&machine);
    is(
        &self_test(&machine, "docker", 2),
        "refused",
        "not-notarized",
    );
    machine.vcn(&["mode", "audit"]).ok();
    is(
        &self_test(&machine, "docker", 2),
        "would-deny",
        "not-notarized",
    );
    let dry = machine
        .vcn(&["-o", "json", "self-test", "--dry-run"])
        .json();
    assert_eq!(dry["notarized"], false);
    let published = machine.vcn(&["-o", "json", "self-test", "--publish"]);
    assert_eq!(published.json()["entry"], 0);
    assert_eq!(published.json()["canaries"].as_array().unwrap().len(), 2);
    let again = machine.vcn(&["-o", "json", "self-test", "--publish"]);
    assert_eq!(again.json()["entry"], Value::Null);
    is(&self_test(&machine, "docker", 0), "would-deny", "started");
    machine.vcn(&["mode", "enforce", "--yes"]).ok();
    let proven = self_test(&machine, "docker", 0);
    is(&proven, "refused", "started");
    assert_eq!(
        (&proven["mode"], &proven["unknown"]["code"]),
        (&"enforce".into(), &"unknown".into())
    );

    // Podman has runtimes of its own: what is proven of Docker is not proven of it.
    is(
        &self_test(&machine, "podman", 1),
        "started-unseen",
        "started-unseen",
    );
    machine
        .sh("mkdir -p /usr/libexec/vcn-hook/gate /etc/containers/containers.conf.d
             for name in runc crun; do ln -s /usr/bin/vcn-hook /usr/libexec/vcn-hook/gate/$name; done")
        .ok();
    machine.write(
        "/etc/containers/containers.conf.d/50-gate.conf",
        "[engine.runtimes]\nrunc = [\"/usr/libexec/vcn-hook/gate/runc\"]\n\
         crun = [\"/usr/libexec/vcn-hook/gate/crun\"]\n",
    );
    is(&self_test(&machine, "podman", 0), "refused", "started");

    // Without its word the one that must start does not, and nobody's word against it is undone.
    let canary = published.json()["canaries"][0].as_str().unwrap().to_owned();
    machine.vcn(&["untrust", "--hash", &canary]).ok();
    is(&self_test(&machine, "docker", 1), "refused", "refused");
    let refused = machine.vcn(&["self-test", "--publish"]).exits(1);
    assert!(refused.err.contains("withdrawn"), "{refused:?}");
    machine.stop_dockerd();
    let stopped = machine.vcn(&["self-test", "--engine", "docker"]).exits(14);
    assert!(stopped.err.contains("is Docker running?"), "{stopped:?}");
}

/// Every file of the gate's and the engines' settings, with what is in it.
fn settings(machine: &Machine) -> String {
    let list = "find /etc/vcn-hook /etc/docker /etc/containers /var/lib/vcn-hook /usr/libexec/vcn-hook \
                /usr/sbin/runc /usr/bin/crun /srv ! -name '*.lock' -printf '%p %y %m %l %T@\\n' -type f \
                -exec sha256sum {} + 2>/dev/null | sort";
    machine.sh(list).out
}

/// The state of each step.
fn states(setup: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let steps = setup["steps"].as_array();
    let steps = steps.unwrap_or_else(|| panic!("{setup:#}")).iter();
    steps
        .map(|step| (text(&step["step"]), text(&step["state"])))
        .collect()
}

fn states_are(setup: &Value, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(step, state)| ((*step).to_owned(), (*state).to_owned()))
        .collect();
    assert_eq!(states(setup), expected, "{setup:#}");
}

#[test]
fn a_setup_ends_with_a_node_that_refuses_and_does_nothing_twice() {
    let scratch = Scratch::new("setup");
    let machine = Machine::of_host(&scratch);
    machine.dockerd();
    let app = Image::app("app:1");
    load(&machine, &app);
    let setup = |words: &[&str]| machine.vcn(&[&["-o", "json", "setup"], words].concat());
    let start = |image: &str| machine.run(&["docker", "run", "--rm", "--network=none", image]);

    setup(&[]).exits(64);
    machine
        .vcn(&[
            "ledger",
            "init",
            "/srv/ledger",
            "--origin",
            "ledger.example/team",
        ])
        .ok();
    let before = settings(&machine);
    let asked = setup(&["/srv/ledger"]).exits(14);
    for part in [
        "vcn-hook enroll /srv/ledger",
        "vcn-hook configure",
        "mode enforce",
        "--yes",
    ] {
        assert!(asked.err.contains(part), "{part} in {asked:?}");
    }
    let dry = setup(&["/srv/ledger", "--dry-run"]);
    let would = ["enroll", "configure", "baseline", "self-test", "enforce"];
    states_are(&dry.json(), &would.map(|step| (step, "would-do")));
    assert_eq!(settings(&machine), before);

    let done = setup(&["/srv/ledger", "--yes", "--audit"]);
    states_are(&done.json(), &would.map(|step| (step, "done"))[..4]);
    let steps = done.json();
    assert_eq!(steps["mode"], "audit");
    assert_eq!(steps["steps"][2]["result"]["notarized"], 1, "{steps:#}");
    assert_eq!(steps["steps"][3]["result"]["selfTest"]["proven"], true);

    // Whoever goes on finds the first steps done.
    let text = machine.vcn(&["setup", "--yes"]).ok();
    for part in [
        "== 1/5 enroll",
        "$ vcn-hook enroll",
        "done before: this machine follows /srv/ledger",
        "done before: the gate is in the way of system",
        "proven: the gate is on",
        "this node starts what the ledger vouches for",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let evil = app.with_other_config("app:evil");
    load(&machine, &evil);
    assert_eq!(start("app:1").ok(), SAYS);
    assert!(start("app:evil").failed().contains("(unknown)"));
    machine.run(&["docker", "rmi", "app:evil"]).ok();

    let again = setup(&["/srv/ledger", "--yes"]).json();
    states_are(
        &again,
        &[
            ("enroll", "already"),
            ("configure", "already"),
            ("baseline", "done"),
            ("self-test", "done"),
            ("enforce", "already"),
        ],
    );
    assert_eq!(again["steps"][2]["result"]["notarized"], 0);

    // And away again, as it was.
    machine.vcn(&["unconfigure"]).ok();
    load(&machine, &evil);
    assert_eq!(start("app:evil").ok(), EVIL);
}

#[test]
fn a_setup_asks_at_each_step_and_goes_on_where_it_stopped() {
    let scratch = Scratch::new("asking");
    let machine = Machine::of_host(&scratch);
    machine
        .vcn(&[
            "ledger",
            "init",
            "/srv/ledger",
            "--origin",
            "ledger.example/team",
        ])
        .ok();
    let typed = |answers: &[u8]| {
        let line = "vcn-hook setup /srv/ledger";
        machine.run_with(&["script", "-qec", line, "/dev/null"], answers)
    };
    // The second step is declined: nothing is in the way of anything.
    let stopped = typed(b"y\nn\n");
    assert!(
        stopped
            .out
            .contains("step 2/5 configure stopped: nobody agreed"),
        "{stopped:?}"
    );
    assert!(
        stopped
            .out
            .contains("go on with 'vcn-hook setup /srv/ledger'"),
        "{stopped:?}"
    );
    assert_eq!(
        machine.vcn(&["-o", "json", "mode"]).json()["applied"],
        "audit"
    );
    let status = machine.vcn(&["-o", "json", "configure", "--status"]).json();
    let states = status["targets"].as_array().unwrap().iter();
    assert!(
        states
            .map(|target| &target["state"])
            .all(|state| state == "off"),
        "{status}"
    );

    // Docker is stopped; Podman is there, and proves it.
    let done = typed(b"y\ny\ny\ny\n");
    assert!(
        done.out.contains("done before: this machine follows"),
        "{done:?}"
    );
    assert!(
        done.out
            .contains("this node starts what the ledger vouches for"),
        "{done:?}"
    );
    assert_eq!(
        machine.vcn(&["-o", "json", "mode"]).json()["applied"],
        "enforce"
    );
    let record: Value =
        serde_json::from_str(&machine.read("/var/lib/vcn-hook/self-test.json")).unwrap();
    assert_eq!(
        (&record["engine"], &record["proven"]),
        (&"podman".into(), &true.into())
    );
}

#[test]
fn a_setup_ends_without_any_engine_and_says_what_is_not_proven() {
    let scratch = Scratch::new("engineless");
    let machine = Machine::of_host(&scratch);
    machine.run(&["rm", "/usr/bin/podman"]).ok();
    machine
        .vcn(&[
            "ledger",
            "init",
            "/srv/ledger",
            "--origin",
            "ledger.example/team",
        ])
        .ok();
    let setup = |words: &[&str]| machine.vcn(&[&["-o", "json", "setup"], words].concat());
    // A node has no publisher's key: what it can do ends before the word of others.
    machine
        .run(&["mv", "/root/.config/vcn-hook/keys", "/root/keys"])
        .ok();
    let done = setup(&["/srv/ledger", "--yes"]).json();
    states_are(
        &done,
        &[
            ("enroll", "done"),
            ("configure", "done"),
            ("baseline", "done"),
            ("self-test", "skipped"),
            ("enforce", "done"),
        ],
    );
    assert_eq!(
        (&done["mode"], &done["steps"][4]["result"]["selfTest"]),
        (&"enforce".into(), &Value::Null)
    );

    machine.dockerd();
    let app = Image::app("app:1");
    load(&machine, &app);
    let stopped = setup(&["--yes"]).exits(14);
    assert!(
        stopped.err.contains("step 3/5 baseline stopped"),
        "{stopped:?}"
    );
    assert!(stopped.err.contains("--skip baseline"), "{stopped:?}");
    let stopped = setup(&["--yes", "--skip", "baseline"]).exits(14);
    assert!(stopped.err.contains("self-test --publish"), "{stopped:?}");
    machine
        .vcn(&["self-test", "--publish", "--key", "/root/keys/default"])
        .ok();
    let done = setup(&["--yes", "--skip", "baseline"]).json();
    assert_eq!(
        done["steps"][3]["result"]["selfTest"]["proven"], true,
        "{done:#}"
    );
}
