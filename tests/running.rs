//! What runs on a node, found on real engines without asking them.
//!
//! One Docker and one Podman serve the whole file; whatever else runs on this machine is left out of
//! what is compared.

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
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};
use support::bundle::Bundle;
use support::command::{command, run, sh};
use support::daemon::Daemon;
use support::image::Image;
use support::podman::Podman;
use support::program;
use support::scratch::Scratch;
use vcn_hook::engine::running::{self, Container, Running, Source};
use vcn_hook::engine::{Declared, Engines};
use vcn_hook::sys::clock;
use vcn_hook::verdict::ReasonCode;

const SLEEP: [&str; 2] = ["/bin/sleep", "1000"];

/// What all cases share; only one of them uses the engines at a time.
struct Stage {
    scratch: Scratch,
    daemon: Daemon,
    podman: Podman,
    app: Image,
    other: Image,
}

fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| {
        let scratch = Scratch::new("running");
        let daemon = Daemon::start(&scratch);
        let podman = Podman::new(&scratch);
        let app = Image::app("localhost/app:1");
        let other = Image::saying("localhost/other:1", "another");
        for image in [&app, &other] {
            image.load(&daemon);
            podman.load(image);
        }
        Mutex::new(Stage {
            scratch,
            daemon,
            podman,
            app,
            other,
        })
    });
    // A case that failed says nothing about the next one.
    let stage = stage
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    stage.daemon.clear();
    stage.podman.clear();
    stage
}

impl Stage {
    fn engines(&self) -> Engines {
        Engines {
            docker_roots: vec![self.daemon.root()],
            storage_roots: vec![self.podman.root()],
            ..Engines::default()
        }
    }

    fn list(&self) -> Running {
        let running = running::list(&self.engines(), clock::now());
        assert_eq!(running.unread, []);
        running
    }

    /// `docker run -d`: the container's id.
    #[track_caller]
    fn docker(&self, name: &str, image: &Image) -> String {
        let words = ["run", "-d", "--network=none", "--name", name];
        let entry = ["--entrypoint", SLEEP[0], &image.tag, SLEEP[1]];
        self.daemon.docker(&[&words[..], &entry].concat()).ok()
    }

    /// `podman run -d`: the container's id.
    #[track_caller]
    fn podman(&self, podman: &Podman, more: &[&str]) -> String {
        let entry = ["--entrypoint", SLEEP[0], &self.app.tag, SLEEP[1]];
        podman.podman(&[&["run", "-d"], more, &entry].concat()).ok()
    }

    fn pid(&self, id: &str) -> u32 {
        let words = ["inspect", "--format", "{{.State.Pid}}", id];
        self.daemon.docker(&words).ok().parse().unwrap()
    }
}

/// The containers with these ids, in the order of their starts.
fn only<'a>(running: &'a Running, ids: &[&str]) -> Vec<&'a Container> {
    let found = running.containers.iter();
    found
        .filter(|found| ids.contains(&found.id.as_str()))
        .collect()
}

/// Asserts that it is of this image, and bound to its layers.
#[track_caller]
fn bound(container: &Container, image: &Image) {
    let found = container
        .image
        .as_ref()
        .unwrap_or_else(|why| panic!("{why}"));
    let chain = found.identity.chain.map(|chain| chain.to_string());
    assert_eq!(
        (found.identity.config.to_string(), chain),
        (image.id(), Some(image.chain()))
    );
    assert_eq!(container.image_name.as_deref(), Some(image.tag.as_str()));
}

#[track_caller]
fn code(container: &Container) -> ReasonCode {
    container
        .image
        .as_ref()
        .expect_err("it is not bound")
        .0
        .code
}

#[test]
fn docker_containers_are_found_in_every_state_in_which_they_have_a_process() {
    let stage = stage();
    let before = clock::now();
    let plain = stage.docker("plain", &stage.app);
    let paused = stage.docker("paused", &stage.other);
    stage.daemon.docker(&["pause", "paused"]).ok();
    let again = stage.docker("again", &stage.app);
    let first = stage.pid(&again);
    stage.daemon.docker(&["restart", "-t", "0", "again"]).ok();
    let exited = stage.docker("exited", &stage.app);
    stage.daemon.docker(&["kill", "exited"]).ok();
    let created = stage.daemon.create(&["--name", "created", &stage.app.tag]);

    let running = stage.list();
    let ids = [&plain, &paused, &again, &exited, &created].map(String::as_str);
    let found = only(&running, &ids);
    let names: Vec<_> = found.iter().map(|c| c.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["plain", "paused", "again"]);
    for (container, image) in found.iter().zip([&stage.app, &stage.other, &stage.app]) {
        bound(container, image);
        assert_eq!(container.source, Source::Docker);
        assert_eq!(container.init, stage.pid(&container.id));
        assert!((before.saturating_sub(1)..=clock::now()).contains(&container.started));
        let gate = stage.scratch.join("docker/bin/runc");
        assert_eq!(container.runtime.as_ref(), Some(&gate));
        assert!(container.monitor.is_some());
    }
    assert_ne!(found[2].init, first);
    stage.daemon.docker(&["unpause", "paused"]).ok();
}

/// A container whose record is changed under the daemon, which keeps its own in memory.
fn change_record(stage: &Stage, id: &str, change: impl FnOnce(&mut Value)) {
    let path = stage.daemon.container_folder(id).join("config.v2.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut record);
    fs::write(path, serde_json::to_vec(&record).unwrap()).unwrap();
}

#[test]
fn a_record_that_lies_about_its_process_hides_and_invents_nothing() {
    let stage = stage();
    let hidden = stage.docker("hidden", &stage.app);
    let init = stage.pid(&hidden);
    change_record(&stage, &hidden, |record| {
        record["State"]["Running"] = false.into();
        record["State"]["Pid"] = 1.into();
    });
    let invented = stage.daemon.create(&["--name", "invented", &stage.app.tag]);
    change_record(&stage, &invented, |record| {
        record["State"]["Running"] = true.into();
        record["State"]["Pid"] = init.into();
    });
    let running = stage.list();
    let found = only(&running, &[&hidden, &invented]);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].id.as_str(), found[0].init),
        (hidden.as_str(), init)
    );
    bound(found[0], &stage.app);
}

#[test]
fn a_container_whose_layers_are_not_those_on_record_is_there_and_unbound() {
    let stage = stage();
    let id = stage.docker("swapped", &stage.app);
    let layers = stage.daemon.root().join("image/overlay2/layerdb/mounts");
    let parent = layers.join(&id).join("parent");
    let whole = fs::read(&parent).unwrap();
    fs::write(&parent, stage.other.chain()).unwrap();
    let running = stage.list();
    assert_eq!(code(only(&running, &[&id])[0]), ReasonCode::Unbound);

    // One whose record is gone is found by its layers, and by its shim's word called what it was.
    fs::write(&parent, whole).unwrap();
    let record = stage.daemon.container_folder(&id).join("config.v2.json");
    let kept = fs::read(&record).unwrap();
    fs::remove_file(&record).unwrap();
    let running = stage.list();
    let found = only(&running, &[&id]);
    assert_eq!(found[0].source, Source::Unrecorded);
    assert_eq!(code(found[0]), ReasonCode::NoIdentity);

    // One that cannot be parsed is told, and hides nobody else.
    let other = stage.docker("other", &stage.other);
    fs::write(&record, "{").unwrap();
    let running = running::list(&stage.engines(), clock::now());
    assert_eq!(running.unread.len(), 1, "{:?}", running.unread);
    assert_eq!(only(&running, &[&id, &other]).len(), 2);
    bound(only(&running, &[&other])[0], &stage.other);
    fs::write(&record, kept).unwrap();
}

#[test]
fn a_namespace_that_a_container_makes_is_no_container_more() {
    let stage = stage();
    let id = stage.docker("one", &stage.app);
    let pid = stage.pid(&id).to_string();
    let inside = ["-t", &pid, "-m", "-p", "--", "/bin/sh", "-c"];
    let script = "/bin/sleep 1000 >/dev/null 2>&1 </dev/null & echo started";
    let mut nested = vec!["-m", "nsenter"];
    nested.extend(inside);
    nested.push(script);
    // From outside, as an exec with the right to do so would.
    assert_eq!(sh("unshare", &nested).ok(), "started");
    let running = stage.list();
    assert_eq!(only(&running, &[&id]).len(), 1);
}

/// Waits until a process has made another directory its root.
fn changes_its_root(pid: u32) {
    let root = format!("/proc/{pid}/root");
    let begun = std::time::Instant::now();
    while fs::read_link(&root).unwrap() == Path::new("/") {
        assert!(begun.elapsed().as_secs() < 60, "{pid} stays where it is");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_first_process_that_changes_its_root_hides_nothing() {
    let stage = stage();
    // The kernel shows a process no mount above its root, and engines let every container call chroot.
    let words = ["chroot", "/bin", "/busybox", "sleep", "1000"];
    let entry = ["--entrypoint", "/bin/busybox", &stage.app.tag];
    let entry = [&entry[..], &words].concat();
    let run = [&["run", "-d", "--network=none"][..], &entry].concat();
    let of_docker = stage.daemon.docker(&run).ok();
    changes_its_root(stage.pid(&of_docker));
    // Into what is mounted in there, as servers do with a directory of their own.
    let jail = stage.scratch.join("jail");
    fs::create_dir_all(&jail).unwrap();
    fs::copy("/bin/busybox", jail.join("busybox")).unwrap();
    let volume = format!("{}:/jail:ro", jail.display());
    let words = ["chroot", "/jail", "/busybox", "sleep", "1000"];
    let jailed = ["run", "-d", "--network=none", "-v", &volume];
    let jailed = [&jailed[..], &entry[..3], &words].concat();
    let jailed = stage.daemon.docker(&jailed).ok();
    changes_its_root(stage.pid(&jailed));
    let podman = [&["run", "-d", "--cap-add=SYS_CHROOT"][..], &entry].concat();
    let of_podman = stage.podman.podman(&podman).ok();
    let inspect = ["inspect", "--format", "{{.State.Pid}}", &of_podman];
    let pid = stage.podman.podman(&inspect).ok();
    changes_its_root(pid.parse().unwrap());

    let running = stage.list();
    let found = only(&running, &[&of_docker, &jailed, &of_podman]);
    let sources: Vec<_> = found.iter().map(|found| found.source).collect();
    assert_eq!(sources, [Source::Docker, Source::Docker, Source::Podman]);
    for container in found {
        bound(container, &stage.app);
    }
}

#[test]
fn fifty_containers_are_found_each_with_its_own_and_no_file_is_read_once_for_each() {
    let stage = stage();
    let read = || {
        let before = bytes_read();
        let running = stage.list();
        (running, bytes_read() - before)
    };
    let start = |from: usize, to: usize| -> Vec<String> {
        (from..to)
            .map(|n| {
                let image = if n % 2 == 0 { &stage.app } else { &stage.other };
                stage.docker(&format!("n{n}"), image)
            })
            .collect()
    };
    let (_, none) = read();
    let mut ids = start(0, 25);
    let (_, some) = read();
    ids.extend(start(25, 50));
    let (running, all) = read();
    let found = only(
        &running,
        &ids.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    assert_eq!(found.len(), 50);
    for (n, container) in found.iter().enumerate() {
        let image = if n % 2 == 0 { &stage.app } else { &stage.other };
        assert_eq!(container.name.as_deref(), Some(format!("n{n}").as_str()));
        bound(container, image);
    }
    // Twice as many cost twice as much; reading what the others have for each would cost four times.
    assert!(
        all.saturating_sub(none) < 3 * some.saturating_sub(none),
        "{none}, {some}, {all} bytes"
    );
}

/// What this thread has read so far.
fn bytes_read() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[test]
fn podman_containers_are_found_in_every_state_in_which_they_have_a_process() {
    let stage = stage();
    for name in support::podman::RUNTIMES {
        let podman = stage.podman.on(name);
        let plain = stage.podman(&podman, &[]);
        let paused = stage.podman(&podman, &[]);
        podman.podman(&["pause", &paused]).ok();
        let again = stage.podman(&podman, &["--name", "again"]);
        podman.podman(&["restart", "-t", "0", "again"]).ok();
        let entry = ["--entrypoint", SLEEP[0], &stage.app.tag, SLEEP[1]];
        let made = podman.create(&entry);
        podman.podman(&["init", &made]).ok();
        let exited = stage.podman(&podman, &[]);
        podman.podman(&["kill", &exited]).ok();
        let created = podman.create(&entry);

        let running = stage.list();
        let ids = [&plain, &paused, &again, &made, &exited, &created].map(String::as_str);
        let found = only(&running, &ids);
        let found_ids: Vec<_> = found.iter().map(|c| c.id.as_str()).collect();
        assert_eq!(found_ids, [&plain, &paused, &again, &made], "on {name}");
        for container in &found {
            bound(container, &stage.app);
            assert_eq!(container.source, Source::Podman);
            let gate = stage.scratch.join("podman/bin").join(name);
            assert_eq!(container.runtime.as_ref(), Some(&gate));
        }
        podman.podman(&["unpause", &paused]).ok();
        stage.podman.clear();
    }
}

#[test]
fn a_pods_own_container_is_known_for_what_it_is() {
    let stage = stage();
    stage
        .podman
        .podman(&["pod", "create", "--name", "pod"])
        .ok();
    let id = stage.podman(&stage.podman, &["--pod", "pod"]);
    let running = stage.list();
    let of_podman = |c: &&Container| c.source == Source::Podman;
    let found: Vec<_> = running.containers.iter().filter(of_podman).collect();
    let kinds: Vec<_> = found
        .iter()
        .map(|c| (c.id == id, c.image.as_ref().unwrap().pause))
        .collect();
    assert_eq!(kinds, [(false, true), (true, false)]);
}

#[test]
fn what_is_started_by_hand_is_found_by_the_runtimes_state_or_by_its_bundle() {
    let stage = stage();
    let id = format!("by-hand-{}", std::process::id());
    let bundle = Bundle::unpacked(&stage.scratch.join("hand"), &stage.app);
    bundle.edit(|spec| spec["process"]["args"] = SLEEP.to_vec().into());
    let start = |root: &[&str]| {
        let words = [root, &["run", "-d", "--bundle", bundle.str(), &id]].concat();
        // The container keeps the output of whoever starts it.
        let mut runc = command(program("runc"), words);
        let null = std::process::Stdio::null;
        assert!(
            runc.stdin(null())
                .stdout(null())
                .stderr(null())
                .status()
                .unwrap()
                .success()
        );
    };
    let end = |root: &[&str]| {
        let words = [root, &["delete", "--force", &id]].concat();
        run(command(program("runc"), words)).ok();
    };
    start(&[]);
    let listed = stage.list();
    let found = only(&listed, &[&id]);
    let seen = (found.len(), found[0].source, code(found[0]));
    let declared = Engines {
        bundles: vec![Declared {
            path: PathBuf::from(&bundle.path),
            config: stage.app.id().parse().unwrap(),
        }],
        ..stage.engines()
    };
    let with = running::list(&declared, clock::now());
    let by_state: Vec<_> = only(&with, &[&id]).into_iter().cloned().collect();
    end(&[]);
    assert_eq!(seen, (1, Source::Other, ReasonCode::NoIdentity));
    assert_eq!(by_state.len(), 1);
    assert_eq!(by_state[0].source, Source::Bundle);
    let image = by_state[0].image.as_ref().unwrap();
    assert_eq!(image.identity.config.to_string(), stage.app.id());
    assert!(image.identity.is_unbound());

    // Where the state is, nobody can know; what is declared is found by where its root is.
    let elsewhere = stage.scratch.join("elsewhere");
    let root = ["--root", elsewhere.to_str().unwrap()];
    start(&root);
    let running = running::list(&declared, clock::now());
    end(&root);
    let of_bundle = |c: &&Container| c.source == Source::Bundle;
    assert_eq!(running.containers.iter().filter(of_bundle).count(), 1);
}

#[test]
fn layers_of_an_engine_that_somebody_else_mounted_are_found_by_the_kernel_alone() {
    let stage = stage();
    let id = stage.docker("source", &stage.app);
    let running = stage.list();
    let image = only(&running, &[&id])[0].image.clone().unwrap();
    let bundle = Bundle::empty(&stage.scratch.join("stolen"));
    bundle.mount(&image.rootfs.lowers);
    bundle.edit(|spec| spec["process"]["args"] = SLEEP.to_vec().into());
    let elsewhere = stage.scratch.join("stolen-state");
    let root = ["--root", elsewhere.to_str().unwrap()];
    let mut runc = command(program("runc"), root);
    runc.args(["run", "-d", "--bundle", bundle.str(), "stolen"]);
    let null = std::process::Stdio::null;
    assert!(
        runc.stdin(null())
            .stdout(null())
            .stderr(null())
            .status()
            .unwrap()
            .success()
    );
    let listed = stage.list();
    let mut delete = command(program("runc"), root);
    delete.args(["delete", "--force", "stolen"]);
    run(delete).ok();
    bundle.unmount();
    let unrecorded = |c: &&Container| c.source == Source::Unrecorded;
    let found: Vec<_> = listed.containers.iter().filter(unrecorded).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(code(found[0]), ReasonCode::NoIdentity);
}

/// A fake: a script called conmon, which a user runs and which makes namespaces as the real one does.
#[test]
fn what_a_users_own_engine_runs_is_told_and_nothing_that_it_says_is_read() {
    let stage = stage();
    let script = stage.scratch.join("conmon");
    let text = "#!/bin/sh\nunshare -r -m sleep 1000 </dev/null >/dev/null 2>&1\n:\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut conmon = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&script)
        .args(["-c", "forged", "-r", "/forged"])
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    let found = loop {
        let running = stage.list();
        let theirs = running.containers.into_iter();
        let theirs: Vec<_> = theirs
            .filter(|container| container.monitor == Some(conmon.id()))
            .collect();
        if !theirs.is_empty() || begun.elapsed().as_secs() > 20 {
            break theirs;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    for container in &found {
        sh("kill", &["-KILL", &container.init.to_string()]).ok();
    }
    conmon.wait().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].source, Source::User);
    assert_eq!((found[0].id.as_str(), &found[0].runtime), ("", &None));
}
