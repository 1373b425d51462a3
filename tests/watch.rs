//! The watch on real engines: what runs is judged again and again, and told.
//!
//! One Docker and one Podman serve the whole file; each case has its own node and ledger. Whatever
//! else runs on this machine is watched too, and left out of what is compared.

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
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock};
use support::command::{Ran, command, run};
use support::daemon::Daemon;
use support::image::Image;
use support::node::Node;
use support::podman::Podman;
use support::scratch::Scratch;
use support::watching::{Receiver, Watching, wait_until};

const SLEEP: [&str; 2] = ["/bin/sleep", "1000"];

/// Mounts a file system whose server never answers at `$1`, and becomes the rest.
const HANGS: &str = "exec 3<>/dev/fuse
    mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 none \"$1\" && shift && exec \"$@\"";

/// What all cases share; only one of them uses the engines at a time.
struct Stage {
    scratch: Scratch,
    daemon: Daemon,
    podman: Podman,
    /// Where `podman` is this engine's.
    bin: PathBuf,
}

fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| {
        let scratch = Scratch::new("watch");
        let daemon = Daemon::start(&scratch);
        let podman = Podman::new(&scratch);
        let bin = scratch.folder("bin");
        podman.script(&bin.join("podman"));
        Mutex::new(Stage {
            scratch,
            daemon,
            podman,
            bin,
        })
    });
    // A case that failed says nothing about the next one.
    let stage = stage
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    stage.daemon.ungated();
    stage.podman.ungated();
    for id in stage
        .daemon
        .docker(&["ps", "-q", "--filter", "status=paused"])
        .ok()
        .lines()
    {
        stage.daemon.docker(&["unpause", id]).ok();
    }
    stage.daemon.clear();
    stage.podman.clear();
    stage
}

impl Stage {
    /// A node of both engines that trusts this image, and judges from now on.
    fn node(&self, name: &str, app: &Image) -> Node {
        app.load(&self.daemon);
        self.podman.load(app);
        let node = Node::new(&self.scratch, name, Some(&self.daemon));
        let node = node.with_storage(&self.podman.root());
        node.apply();
        self.daemon.gated_by(&node.config());
        self.podman.gated_by(&node.config());
        node.notarize(&format!("docker://{}", app.tag));
        node
    }

    #[track_caller]
    fn docker(&self, name: &str, tag: &str) -> String {
        let words = ["run", "-d", "--network=none", "--name", name];
        let entry = ["--entrypoint", SLEEP[0], tag, SLEEP[1]];
        self.daemon.docker(&[&words[..], &entry].concat()).ok()
    }

    #[track_caller]
    fn podman(&self, name: &str, tag: &str) -> String {
        let words = ["run", "-d", "--name", name];
        let entry = ["--entrypoint", SLEEP[0], tag, SLEEP[1]];
        self.podman.podman(&[&words[..], &entry].concat()).ok()
    }

    fn path(&self) -> String {
        format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.bin.display())
    }

    fn watch(&self, node: &Node, args: &[&str]) -> Ran {
        let mut command = node.command(args);
        command.env("PATH", self.path()).env("NODENAME", "node-1");
        run(command)
    }

    /// One look, as JSON, and what it says of one container.
    #[track_caller]
    fn look(&self, node: &Node, id: &str) -> Value {
        let ran = self.watch(node, &["-o", "json", "watch", "--once", "--dry-run"]);
        let sweep = ran.json();
        let containers = sweep["containers"].as_array().unwrap();
        let found = containers.iter().find(|container| container["id"] == id);
        found.unwrap_or_else(|| panic!("{ran:?}")).clone()
    }

    fn is_paused(&self, id: &str) -> bool {
        let words = ["inspect", "--format", "{{.State.Paused}}", id];
        self.daemon.docker(&words).ok() == "true"
    }

    fn runs_in_podman(&self, id: &str) -> bool {
        let words = ["inspect", "--format", "{{.State.Running}}", id];
        self.podman.podman(&words).ok() == "true"
    }
}

/// Told of as much as runs on this machine, which may be other tests' too.
fn slack(receiver: &Receiver) -> String {
    format!(
        "[watch]\ninterval = 3600\nalerts_per_minute = 10000\nslack_webhook = {:?}\n",
        receiver.url()
    )
}

fn failed(id: &str, tag: &str) -> String {
    format!("Container {} ({tag}) verification failed", &id[..12])
}

#[test]
fn a_withdrawn_image_is_told_of_once_and_once_when_it_is_trusted_again() {
    let stage = stage();
    let tag = "withdrawn:1";
    let node = stage.node("withdrawn", &Image::app(tag));
    let receiver = Receiver::start();
    node.configure(&slack(&receiver));
    let docker = stage.docker("web", tag);
    let podman = stage.podman("db", tag);
    let watching = Watching::start(&node, &stage.path(), &[]);
    for id in [&docker, &podman] {
        // Podman knows the image by another name than Docker, the ledger by one.
        let line = format!(
            "Container {} (docker://{tag}) check successful (publisher: default, level: 2, status: 0)",
            &id[..12]
        );
        assert!(watching.out().contains(&line), "{line}\n{}", watching.out());
        assert_eq!(receiver.about(&id[..12]), Vec::<String>::new());
    }
    node.vcn(&["untrust", &format!("docker://{tag}")]).ok();
    // Nothing but the new allowlist says that a look is due.
    node.sync();
    for (id, name) in [
        (&docker, tag.to_owned()),
        (&podman, format!("localhost/{tag}")),
    ] {
        let told = receiver.wait_for(&id[..12], 1);
        let text = failed(id, &name);
        assert!(
            told[0].contains(&format!("\"{text}\\nit is UNTRUSTED by")),
            "{told:#?}"
        );
        wait_until("line about it", || watching.err().contains(&text));
    }
    watching.look_again(&docker);
    watching.look_again(&docker);
    node.notarize(&format!("docker://{tag}"));
    for id in [&docker, &podman] {
        let told = receiver.wait_for(&id[..12], 2);
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(
            told[1].contains("verification successful again"),
            "{told:#?}"
        );
    }
    stage.daemon.docker(&["rm", "-f", &docker]).ok();
    watching.look_again(&podman);
    assert_eq!(
        receiver.about(&docker[..12]).len(),
        2,
        "what ends well is no news"
    );
    let secret = format!("{}{}", watching.out(), watching.err());
    assert!(!secret.contains("SECRET"), "{secret}");
    watching.end();
}

#[test]
fn a_receiver_that_is_away_is_told_later_and_once_across_a_restart() {
    let stage = stage();
    let tag = "away:1";
    let node = stage.node("away", &Image::app(tag));
    let receiver = Receiver::start();
    node.configure(&format!(
        "[watch]\ninterval = 3600\nalerts_per_minute = 10000\nslack_webhook = \"http://{}/x\"\nwebhook = {:?}\n",
        Receiver::nobody(),
        receiver.url()
    ));
    // This one is reached, and is not well.
    receiver.answer(&[500; 100]);
    let id = stage.docker("web", tag);
    let watching = Watching::start(&node, &stage.path(), &[]);
    node.vcn(&["untrust", &format!("docker://{tag}")]).ok();
    node.sync();
    wait_until("failure", || {
        let err = watching.err();
        err.contains("cannot tell slack, and will try again")
            && err.contains("cannot tell webhook, and will try again: the receiver answers 500")
    });
    let status = node.vcn(&["status"]).ok();
    assert!(
        status.contains("slack:") && status.contains("wait"),
        "{status}"
    );
    watching.end();
    assert_eq!(receiver.about(&id).len(), 0);
    // Both come back while nobody watches.
    receiver.answer(&[]);
    node.configure(&format!(
        "[watch]\ninterval = 3600\nalerts_per_minute = 10000\nslack_webhook = {url:?}\nwebhook = {url:?}\n",
        url = receiver.url()
    ));
    let watching = Watching::start(&node, &stage.path(), &[]);
    // One in Slack's form, which has the short id alone, and one in ours.
    let told = receiver.wait_for(&failed(&id, tag), 2);
    assert_eq!(told.len(), 2, "{told:#?}");
    watching.look_again(&id);
    watching.end();
    let watching = Watching::start(&node, &stage.path(), &[]);
    watching.look_again(&id);
    assert_eq!(receiver.about(&failed(&id, tag)).len(), 2, "nothing twice");
    let ours = receiver.about("vcn-hook/alert/v1");
    let ours = ours.iter().find(|body| body.contains(&id)).unwrap();
    let ours: Value = serde_json::from_str(ours).unwrap();
    assert_eq!(
        (
            &ours["event"],
            &ours["code"],
            &ours["node"],
            &ours["container"]["status"]
        ),
        (
            &"failed".into(),
            &"untrusted".into(),
            &"node-1".into(),
            &"UNTRUSTED".into()
        )
    );
    watching.end();
}

#[test]
fn a_container_is_paused_or_stopped_where_that_is_said_and_no_more_than_a_minute_has_room_for() {
    let stage = stage();
    let tag = "acted:1";
    let node = stage.node("acted", &Image::app(tag));
    let watch = |more: &str| format!("{more}[watch]\nactions_per_minute = 1\n");
    node.configure(&watch(""));
    let one = stage.docker("one", tag);
    let two = stage.docker("two", tag);
    let pod = stage.podman("three", tag);
    node.vcn(&["untrust", &format!("docker://{tag}")]).ok();
    node.sync();
    let once = |args: &[&str]| stage.watch(&node, &[&["watch", "--once"], args].concat());
    let text = |ran: &Ran| ran.err.clone();
    // Alerts are what happens where nothing is said.
    let ran = once(&[]).exits(1);
    assert!(ran.err.contains(&failed(&one, tag)), "{ran:?}");
    assert!(!stage.is_paused(&one) && !stage.is_paused(&two));

    node.configure(&(watch("") + "on_untrusted = \"pause\"\n"));
    let ran = once(&["--dry-run"]).exits(1);
    assert!(text(&ran).contains("it would be paused"), "{ran:?}");
    assert!(!stage.is_paused(&one) && !node.base().join("log/actions.jsonl").exists());
    // A node that only audits does not act either.
    node.configure(&(watch("mode = \"audit\"\n") + "on_untrusted = \"pause\"\n"));
    node.apply();
    once(&[]).exits(1);
    assert!(!stage.is_paused(&one) && !stage.is_paused(&two));

    node.configure(&(watch("") + "on_untrusted = \"pause\"\n"));
    node.apply();
    let ran = once(&[]).exits(1);
    assert!(text(&ran).contains("was paused"), "{ran:?}");
    assert!(stage.is_paused(&one) && !stage.is_paused(&two), "{ran:?}");
    let found = stage.look(&node, &one);
    assert_eq!(
        (&found["paused"], &found["passes"]),
        (&true.into(), &false.into())
    );
    // What is paused needs no pausing: the next minute has room for the other.
    once(&[]).exits(1);
    assert!(stage.is_paused(&two));

    node.configure(&(watch("") + "on_untrusted = \"stop\"\n"));
    stage.daemon.docker(&["rm", "-f", &one, &two]).ok();
    assert!(stage.runs_in_podman(&pod));
    let ran = once(&[]).exits(1);
    assert!(text(&ran).contains("was stopped"), "{ran:?}");
    assert!(!stage.runs_in_podman(&pod));
    let actions = fs::read_to_string(node.base().join("log/actions.jsonl")).unwrap();
    let actions: Vec<Value> = actions
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let said: Vec<_> = actions
        .iter()
        .filter(|line| line["outcome"] == "done")
        .map(|line| {
            (
                line["action"].as_str().unwrap(),
                line["container"]["id"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(said, [("pause", &*one), ("pause", &*two), ("stop", &*pod)]);
}

#[test]
fn nothing_is_done_to_what_is_on_the_floor() {
    let stage = stage();
    let tag = "floor:1";
    let app = Image::app(tag);
    let node = stage.node("floor", &app);
    let id = stage.docker("web", tag);
    node.vcn(&["untrust", &format!("docker://{tag}")]).ok();
    node.sync();
    node.configure(&format!(
        "[watch]\non_untrusted = \"stop\"\n[floor]\nconfigs = [\"{}\"]\n",
        app.id()
    ));
    node.apply();
    let ran = stage.watch(&node, &["watch", "--once"]).exits(1);
    assert!(ran.err.contains(&failed(&id, tag)), "{ran:?}");
    let words = ["inspect", "--format", "{{.State.Running}}", &id];
    assert_eq!(stage.daemon.docker(&words).ok(), "true");
}

#[test]
fn what_came_round_the_gate_or_was_there_before_it_is_marked() {
    let stage = stage();
    let tag = "marked:1";
    let node = stage.node("marked", &Image::app(tag));
    stage.daemon.ungated();
    let before = stage.docker("before", tag);
    let found = stage.look(&node, &before);
    assert_eq!(
        (&found["entered"], &found["passes"]),
        (&"before".into(), &true.into())
    );
    stage.daemon.gated_by(&node.config());
    let gated = stage.docker("gated", tag);
    let found = stage.look(&node, &gated);
    assert_eq!(
        (&found["entered"], &found["passage"]["verdict"]),
        (&"by-gate".into(), &"allow".into())
    );
    stage.daemon.ungated();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let around = stage.docker("around", tag);
    let found = stage.look(&node, &around);
    assert_eq!(
        (&found["entered"], &found["passes"]),
        (&"around".into(), &true.into())
    );
    assert_eq!(stage.look(&node, &before)["entered"], "before");
    // A restart through the gate is a start through the gate.
    stage.daemon.gated_by(&node.config());
    stage.daemon.docker(&["restart", "-t", "0", &around]).ok();
    assert_eq!(stage.look(&node, &around)["entered"], "by-gate");
}

#[test]
fn a_name_is_harmless_wherever_it_is_shown() {
    let stage = stage();
    let tag = "hostile:1";
    let node = stage.node("hostile", &Image::app(tag));
    let receiver = Receiver::start();
    let id = stage.docker("web", tag);
    let name =
        "a\"b,c\nContainer x (y) check successful\u{1b}[2J\u{202e}<script>`touch /tmp/x`$(id)'\\";
    let record = stage.daemon.container_folder(&id).join("config.v2.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    value["Config"]["Image"] = name.into();
    value["Name"] = format!("/{name}").into();
    fs::write(&record, serde_json::to_vec(&value).unwrap()).unwrap();
    let script = node.base().join("on-alert");
    let log = node.base().join("told");
    let text = format!(
        "#!/bin/sh\nprintf '%s\\0' \"$1\" \"$2\" \"$VCN_HOOK_EVENT\" \"$VCN_HOOK_CODE\" >>{}\n",
        log.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    node.configure(&format!(
        "[watch]\nalerts_per_minute = 10000\nslack_webhook = {url:?}\nwebhook = {url:?}\nexec = {script:?}\n",
        url = receiver.url()
    ));
    node.vcn(&["untrust", &format!("docker://{tag}")]).ok();
    node.sync();
    let ran = stage.watch(&node, &["watch", "--once"]).exits(1);
    let line = ran
        .err
        .lines()
        .find(|line| line.contains(&id[..12]))
        .unwrap();
    assert!(line.ends_with(") verification failed"), "{line}");
    assert!(
        !ran.err.contains('\u{1b}') && !ran.err.contains('\u{202e}'),
        "{ran:?}"
    );
    let told = receiver.wait_for(&id[..12], 2);
    for body in &told {
        let body: Value = serde_json::from_str(body).unwrap();
        let text = body["text"].as_str().unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        if body["schema"].is_null() {
            assert!(
                text.contains("&lt;script&gt;") && !text.contains('<'),
                "{text}"
            );
        } else {
            assert_eq!(body["container"]["image"], name);
        }
    }
    let told = fs::read_to_string(&log).unwrap();
    let words: Vec<_> = told.split('\0').collect();
    let at = words.iter().position(|word| *word == &id[..12]).unwrap();
    assert_eq!(&words[at..at + 4], [&id[..12], name, "failed", "untrusted"]);
}

#[test]
fn a_node_that_cannot_decide_is_told_of_once_and_nothing_is_done() {
    let stage = stage();
    let tag = "undecided:1";
    let node = stage.node("undecided", &Image::app(tag));
    let receiver = Receiver::start();
    let id = stage.docker("web", tag);
    node.configure(&(slack(&receiver) + "on_unknown = \"stop\"\non_untrusted = \"stop\"\n"));
    let note = node.state().join("allowlist/note");
    let kept = fs::read(&note).unwrap();
    fs::remove_file(&note).unwrap();
    let ran = stage.watch(&node, &["watch", "--once"]).exits(1);
    assert!(ran.err.contains("(no-allowlist)"), "{ran:?}");
    assert!(
        ran.err.contains(&format!(
            "Container {} ({tag}) could not be verified",
            &id[..12]
        )),
        "{ran:?}"
    );
    stage.watch(&node, &["watch", "--once"]).exits(1);
    let told = receiver.about("no-allowlist");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].contains("Node node-1 not everything can be verified"),
        "{told:#?}"
    );
    let words = ["inspect", "--format", "{{.State.Running}}", &id];
    assert_eq!(stage.daemon.docker(&words).ok(), "true");
    fs::write(&note, kept).unwrap();
    stage.watch(&node, &["watch", "--once"]);
    let told = receiver.about("no-allowlist");
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[1].contains("verification possible again"), "{told:#?}");
}

#[test]
fn a_broken_configuration_keeps_the_last_and_a_mended_one_is_taken_without_a_signal() {
    let stage = stage();
    let tag = "reload:1";
    let node = stage.node("reload", &Image::app(tag));
    node.configure("[watch]\ninterval = 3600\n");
    let id = stage.docker("web", tag);
    let watching = Watching::start(&node, &stage.path(), &[]);
    node.configure("[watch]\nintervall = 5\n");
    wait_until("complaint", || {
        watching.err().contains("the last configuration stays")
    });
    assert!(watching.err().contains("intervall"), "{}", watching.err());
    watching.look_again(&id);
    let receiver = Receiver::start();
    node.configure(&slack(&receiver));
    node.vcn(&["untrust", &format!("docker://{tag}")]).ok();
    node.sync();
    receiver.wait_for(&failed(&id, tag), 1);
    // Two that tell would tell everything twice.
    let other = stage.watch(&node, &["watch", "--once"]).exits(14);
    assert!(other.err.contains("another watch"), "{other:?}");
    watching.end();
}

#[test]
fn a_layer_that_was_changed_on_disk_is_told_once_and_once_when_it_is_whole_again() {
    const BIG: u64 = 48 << 20;
    let stage = stage();
    let tag = "changed:1";
    let big = support::image::Node::File(vec![7; 48 << 20], 0o644);
    let image = Image::saying(tag, "as it was pulled").with_layer(&[("data/big", big)]);
    let node = stage.node("changed", &image);
    let receiver = Receiver::start();
    node.configure(&slack(&receiver));
    let id = stage.docker("web", tag);
    let other = stage.podman("db", tag);
    let layers = fs::read_dir(stage.daemon.root().join("overlay2")).unwrap();
    let app = layers
        .map(|layer| layer.unwrap().path().join("diff/bin/app"))
        .find(|app| fs::read_to_string(app).is_ok_and(|text| text.contains("as it was pulled")))
        .unwrap();
    let text = fs::read_to_string(&app).unwrap();
    fs::write(&app, text.replace("pulled", "forged")).unwrap();
    // What changed within the last second is not remembered.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let watching = Watching::start(&node, &stage.path(), &[]);
    let told = receiver.wait_for(&id[..12], 1);
    assert!(told[0].contains("(layer-differs)"), "{told:#?}");
    assert!(told[0].contains("bin/app (content)"), "{told:#?}");
    wait_until("line about it", || {
        watching.err().contains("(layer-differs)")
    });
    // The layers of either engine but that one.
    let intact = node.state().join("watch/intact.json");
    wait_until("memory of what is intact", || {
        let bytes = fs::read(&intact).unwrap_or_default();
        let kept: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        kept["layers"]
            .as_object()
            .is_some_and(|layers| layers.len() == 7)
    });
    assert!(watching.read() > 2 * BIG, "{}", watching.read());
    watching.end();

    // Neither a restart nor a single look takes back what was found.
    let watching = Watching::start(&node, &stage.path(), &[]);
    watching.look_again(&id);
    watching.end();
    let ran = stage.watch(&node, &["watch", "--once"]).exits(1);
    assert!(ran.err.contains(&failed(&id, tag)), "{ran:?}");
    assert_eq!(receiver.about(&id[..12]).len(), 1);

    fs::write(&app, text).unwrap();
    let watching = Watching::start(&node, &stage.path(), &[]);
    let told = receiver.wait_for(&id[..12], 2);
    assert!(
        told[1].contains("verification successful again"),
        "{told:#?}"
    );
    watching.look_again(&id);
    assert_eq!(receiver.about(&id[..12]).len(), 2);
    assert_eq!(receiver.about(&other[..12]), Vec::<String>::new());
    // What was intact, and has not changed, is not read again.
    assert!(watching.read() < BIG, "{}", watching.read());
    watching.end();
}

#[test]
fn a_layer_that_nobody_can_compare_is_counted_and_called_neither_intact_nor_changed() {
    let stage = stage();
    let tag = "counted:1";
    let top = support::image::Node::File(b"on top".to_vec(), 0o644);
    let node = stage.node("counted", &Image::app(tag).with_layer(&[("data/top", top)]));
    let textfile = node.base().join("vcn-hook.prom");
    node.configure(&format!(
        "[watch]\ninterval = 3600\ntextfile = {textfile:?}\n"
    ));
    let id = stage.docker("web", tag);
    let format = "{{range .RootFS.Layers}}{{.}}\n{{end}}";
    let layers = stage.daemon.docker(&["inspect", "--format", format, tag]);
    let layers = layers.ok();
    let records = stage.daemon.root().join("image/overlay2/layerdb/sha256");
    let mut records = fs::read_dir(records).unwrap();
    let top = records.find_map(|record| {
        let record = record.unwrap().path();
        let diff = fs::read_to_string(record.join("diff")).unwrap();
        layers
            .ends_with(&diff)
            .then(|| record.join("tar-split.json.gz"))
    });
    fs::remove_file(top.unwrap()).unwrap();
    let watching = Watching::start(&node, &stage.path(), &[]);
    let intact = layers.lines().count() - 1;
    wait_until("count of what was read", || {
        watching.look_again(&id);
        let metrics = fs::read_to_string(&textfile).unwrap();
        let counts = |name: &str, count: usize| metrics.contains(&format!("{name} {count}\n"));
        counts("vcn_hook_layers{found=\"intact\"}", intact)
            && counts("vcn_hook_layers{found=\"differing\"}", 0)
            && counts("vcn_hook_layers{found=\"undecidable\"}", 1)
            && counts("vcn_hook_images_unread", 0)
            && counts("vcn_hook_images_unread_seconds", 0)
    });
    watching.end();
}

#[test]
fn a_full_disk_keeps_no_alert_back_and_no_deed_unsaid() {
    const FULL: &str = "mount -t tmpfs -o size=64k,mode=700 none \"$1\"
        head -c 1M /dev/zero >\"$1/zeros\" 2>/dev/null; shift; exec \"$@\"";
    let stage = stage();
    let tag = "full:1";
    let node = stage.node("full", &Image::app(tag));
    let receiver = Receiver::start();
    node.configure(&format!("{}on_untrusted = \"pause\"\n", slack(&receiver)));
    let id = stage.docker("web", tag);
    let own = node.state().join("watch");
    fs::create_dir_all(&own).unwrap();
    // In a mount namespace of its own: the watch's disk alone is full.
    let by = ["unshare", "-m", "sh", "-c", FULL, "sh"];
    let by = [&by[..], &[own.to_str().unwrap()]].concat();
    let watching = Watching::start_by(&by, &node, &stage.path(), &[]);
    node.vcn(&["untrust", &format!("docker://{tag}")]).ok();
    node.sync();
    receiver.wait_for(&failed(&id, tag), 1);
    wait_until("word about the disk", || {
        watching.err().contains("cannot keep alerts") && watching.err().contains("No space left")
    });
    wait_until("word about the deed", || {
        watching.err().contains("was paused")
    });
    watching.end();
}

#[test]
fn an_engine_whose_disk_hangs_delays_no_other() {
    let stage = stage();
    let tag = "hangs:1";
    let node = stage.node("hangs", &Image::app(tag));
    let hung = node.base().join("hung");
    fs::create_dir(&hung).unwrap();
    let node = node.with_storage(&hung);
    node.apply();
    let id = stage.docker("web", tag);
    let below = hung.join("overlay-layers");
    fs::create_dir(&below).unwrap();
    let line = node.command(&["watch", "--once", "--dry-run"]);
    let words = line.get_args().skip(3).map(|word| word.to_str().unwrap());
    let words: Vec<_> = words.collect();
    for disk in [&hung, &below] {
        // In a mount namespace of its own: nobody else waits for it.
        let hangs = ["-m", "sh", "-c", HANGS, "sh", disk.to_str().unwrap()];
        let mut inside = command("unshare", [&hangs[..], &words].concat());
        node.environment(&mut inside);
        let ran = run(inside).exits(1);
        let said = format!("'{}' does not answer", hung.display());
        assert!(ran.err.contains(&said), "{ran:?}");
        let line = format!("Container {} (docker://{tag}) check successful", &id[..12]);
        assert!(ran.out.contains(&line), "{ran:?}");
    }
}

#[test]
fn what_the_slow_lane_waits_for_neither_a_look_nor_the_end_waits_for() {
    let stage = stage();
    let tag = "waits:1";
    let folder = support::image::Node::Folder;
    let image = Image::app(tag).with_layer(&[("data/waits", folder)]);
    let node = stage.node("waits", &image);
    let textfile = node.base().join("vcn-hook.prom");
    node.configure(&format!(
        "[watch]\ninterval = 3600\ntextfile = {textfile:?}\n"
    ));
    let id = stage.docker("web", tag);
    let layers = fs::read_dir(stage.daemon.root().join("overlay2")).unwrap();
    let mut layers = layers.map(|layer| layer.unwrap().path().join("diff/data/waits"));
    let waits = layers.find(|path| path.exists()).unwrap();
    let hangs = ["unshare", "-m", "sh", "-c", HANGS, "sh"];
    let by = [&hangs[..], &[waits.to_str().unwrap()]].concat();
    let watching = Watching::start_by(&by, &node, &stage.path(), &[]);
    wait_until("layer that is waited for", || {
        watching.waits_in("layers").contains("fuse")
    });
    watching.look_again(&id);
    watching.look_again(&id);
    assert!(watching.waits_in("layers").contains("fuse"));
    wait_until("word that it is not read", || {
        watching.look_again(&id);
        let metrics = fs::read_to_string(&textfile).unwrap_or_default();
        metrics.contains("vcn_hook_images_unread 1\n")
            && !metrics.contains("vcn_hook_images_unread_seconds 0\n")
    });
    watching.end();
}

#[test]
fn a_watch_that_is_not_shown_the_marks_of_overlayfs_calls_no_layer_changed() {
    let stage = stage();
    let tag = "unseen:1";
    let node = stage.node("unseen", &Image::app(tag));
    let id = stage.docker("web", tag);
    let by = ["setpriv", "--bounding-set", "-sys_admin", "--"];
    let watching = Watching::start_by(&by, &node, &stage.path(), &[]);
    let said = "no layers are read again: that needs CAP_SYS_ADMIN";
    assert!(watching.err().contains(said), "{}", watching.err());
    watching.look_again(&id);
    assert_eq!(watching.waits_in("layers"), "");
    watching.end();
}

#[test]
fn the_heartbeat_comes_for_each_look_that_ends_and_for_none_that_hangs() {
    let stage = stage();
    let tag = "beats:1";
    let node = stage.node("beats", &Image::app(tag));
    let heart = Receiver::start();
    node.configure(&format!(
        "[watch]\ninterval = 3600\ndeep_hours = 0\nheartbeat = {:?}\n",
        heart.url()
    ));
    let id = stage.docker("web", tag);
    let by = ["unshare", "-m"];
    let watching = Watching::start_by(&by, &node, &stage.path(), &[]);
    heart.wait_for("", 1);
    watching.look_again(&id);
    heart.wait_for("", 2);
    watching.look_again(&id);
    heart.wait_for("", 3);
    // The decisions are on a disk that hangs from now on, for the watch alone.
    let pid = watching.pid().to_string();
    let log = node.base().join("log");
    let enter = ["-t", &pid, "-m", "sh", "-c", HANGS, "sh"];
    let rest = [log.to_str().unwrap(), "sleep", "1000"];
    let mut disk = std::process::Command::new("nsenter")
        .args(enter)
        .args(rest)
        .spawn()
        .unwrap();
    wait_until("disk that hangs", || {
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        mounts.contains(" - fuse none ")
    });
    watching.signal(nix::sys::signal::Signal::SIGHUP);
    wait_until("look that hangs", || {
        watching.waits_in("vcn-hook").contains("fuse")
    });
    assert_eq!(heart.about("").len(), 3);
    // Its end ends the look, which beats, although it has found something wrong.
    disk.kill().unwrap();
    disk.wait().unwrap();
    heart.wait_for("", 4);
    wait_until("word about it", || {
        watching.err().contains("cannot read '") && watching.err().contains("decisions.jsonl")
    });
    watching.end();
}

#[test]
fn only_what_changed_is_said_where_that_is_asked_for() {
    let stage = stage();
    let tag = "quiet:1";
    let node = stage.node("quiet", &Image::app(tag));
    let id = stage.docker("web", tag);
    for (setting, flag) in [("log = \"changes\"\n", &[][..]), ("", &["--changes"][..])] {
        // What counts the looks.
        let heart = Receiver::start();
        let settings = format!(
            "[watch]\ninterval = 3600\n{setting}heartbeat = {:?}\n",
            heart.url()
        );
        node.configure(&settings);
        let watching = Watching::start(&node, &stage.path(), flag);
        let lines = |text: &str| text.matches(&id[..12]).count();
        let said = || (lines(&watching.out()), lines(&watching.err()));
        let (good, bad) = said();
        let look = |count| {
            watching.signal(nix::sys::signal::Signal::SIGHUP);
            heart.wait_for("", count);
        };
        heart.wait_for("", 1);
        look(2);
        look(3);
        assert_eq!(said(), (good, bad));
        node.vcn(&["untrust", &format!("docker://{tag}")]).ok();
        node.sync();
        heart.wait_for("", 4);
        look(5);
        look(6);
        assert_eq!(said(), (good, bad + 1));
        assert!(watching.err().contains(&failed(&id, tag)));
        // The heartbeat's address is in the one, and not in the other.
        let exposed = |file: &str| watching.err().contains(&format!("{file}' can be read by"));
        assert_eq!(
            (exposed("config.toml"), exposed("50-node.toml")),
            (true, false)
        );
        node.notarize(&format!("docker://{tag}"));
        wait_until("line about it", || said() == (good + 1, bad + 1));
        watching.end();
    }
}
