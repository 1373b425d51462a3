//! What a source reaches.

use std::path::{Path, PathBuf};

use super::{Guard, is_bind, is_dockers_own, is_dockers_own_name};
use crate::engine::Guarded;
use crate::engine::bundle::Mount;
use crate::sys::mount::{Mount as Mounted, Mounts};

#[test]
fn knows_the_names_of_dockers_own_mounts() {
    for (name, own) in [
        ("containers/abc/hosts", true),
        ("containers/abc/resolv.conf", true),
        ("containers/abc/mounts/shm", true),
        ("containers/abc/mounts/shm/x", false),
        ("containers/abc/mounts/secrets/x", true),
        ("containers/abc/mounts/secrets/x/y", false),
        ("containers/abc/mounts/x", false),
        ("volumes/data/_data", true),
        ("volumes/data/_data/sub", true),
        ("volumes/data/_data/a/b/c/d/e", true),
        ("volumes/data/_data/../../x", false),
        ("containers/abc/config.v2.json", false),
        ("containers/abc/hosts/x", false),
        ("containers/abc", false),
        ("tmp/safe-mount123", true),
        ("tmp/safe-mount123/x", false),
        ("tmp/x", false),
        ("volumes/data", false),
        ("volumes/metadata.db", false),
        ("overlay2/x/diff", false),
        ("", false),
    ] {
        assert_eq!(is_dockers_own_name(Path::new(name)), own, "{name}");
    }
}

#[test]
fn docker_makes_mounts_for_their_own_container_and_no_symlinks() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let root = folder.path().canonicalize().expect("it is there");
    for id in ["abc", "other"] {
        let shm = root.join("containers").join(id).join("mounts/shm");
        std::fs::create_dir_all(&shm).expect("made");
        std::os::unix::fs::symlink("/", shm.join("l")).expect("linked");
    }
    let hostname = root.join("containers/abc/hostname");
    std::os::unix::fs::symlink("/etc/hostname", hostname).expect("linked");
    for (name, own) in [
        ("containers/abc/mounts/shm", true),
        ("containers/abc/mounts/shm/l", false),
        ("containers/other/mounts/shm", false),
        ("containers/other/mounts/shm/l", false),
        ("containers/abc/hostname", false),
        ("containers/abc/hosts", false),
    ] {
        let source = root.join(name);
        assert_eq!(is_dockers_own(&root, "abc", &source), own, "{name}");
    }
}

fn bind(options: &[&str]) -> Mount {
    Mount {
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..Mount::default()
    }
}

#[test]
fn an_option_makes_a_bind() {
    assert!(is_bind(&bind(&["rbind"])) && is_bind(&bind(&["bind"])) && !is_bind(&bind(&["ro"])));
}

#[test]
fn a_volume_that_may_show_something_else_reaches_it() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let root = folder.path().canonicalize().expect("it is there");
    std::fs::create_dir_all(root.join("upper")).expect("made");
    std::fs::create_dir_all(root.join("containers")).expect("made");
    let guarded = Guarded {
        paths: vec![root.join("containers")],
        sockets: Vec::new(),
    };
    let mounts = Mounts::ask();
    let guard = Guard::new(&mounts, &guarded, &root);
    let volume = root.join("volumes/v/_data");
    let absolute = |name: &str| format!("lowerdir=/l,upperdir={}", root.join(name).display());
    for (kind, options, reached) in [
        ("ext4", String::new(), None),
        ("nfs4", String::new(), None),
        ("ecryptfs", String::new(), Some("ecryptfs".into())),
        ("fuse.bindfs", String::new(), Some("fuse.bindfs".into())),
        ("proc", String::new(), Some("proc".into())),
        ("sysfs", String::new(), Some("sysfs".into())),
        ("overlay", "lowerdir=/l".to_owned(), None),
        ("overlay", absolute("upper"), None),
        (
            "overlay",
            absolute("containers"),
            Some(root.join("containers")),
        ),
        ("overlay", absolute("missing"), Some("overlay".into())),
        (
            "overlay",
            "lowerdir=/l,upperdir=relative".to_owned(),
            Some("overlay".into()),
        ),
        (
            "overlay",
            "lowerdir=/l::/m,upperdir=/u".to_owned(),
            Some("overlay".into()),
        ),
    ] {
        let mount = Mounted {
            id: 1,
            device: (0, 9999),
            root: "/".into(),
            point: volume.clone(),
            kind: kind.to_owned(),
            options: options.clone().into_bytes(),
        };
        let found = guard
            .written(Some(&volume), &mount.location(), &mount)
            .expect("judged");
        assert_eq!(found, reached, "{kind} {options}");
    }
}

#[test]
fn compares_real_paths_both_ways() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let base = directory.path().canonicalize().expect("it is there");
    for name in [
        "state/inner",
        "docker/volumes/v/_data",
        "docker/overlay2/m/diff",
        "home",
        "run",
    ] {
        std::fs::create_dir_all(base.join(name)).expect("made");
    }
    std::fs::write(base.join("run/docker.sock"), "").expect("written");
    std::os::unix::fs::symlink(base.join("state"), base.join("home/link")).expect("linked");
    let guarded = Guarded {
        paths: ["state", "docker", "missing"]
            .map(|name| base.join(name))
            .to_vec(),
        sockets: vec![base.join("run/docker.sock")],
    };
    let mounts = Mounts::ask();
    let root = base.join("docker");
    let guard = Guard::new(&mounts, &guarded, &root);
    for (source, options, reached, socket) in [
        ("state", &["rbind"][..], Some("state"), false),
        ("state/inner", &["rbind"], Some("state"), false),
        ("state", &["bind", "ro"], None, false),
        ("state", &["rbind", "ro", "rw"], Some("state"), false),
        ("state", &["rbind", "rro"], None, false),
        ("state", &["rbind", "ro", "rro"], None, false),
        ("state", &["rbind", "rro", "rrw"], Some("state"), false),
        ("", &["bind"], Some("state"), true),
        ("home", &["rbind"], None, false),
        ("home/link", &["rbind"], Some("state"), false),
        ("docker/volumes/v/_data", &["rbind"], None, false),
        ("docker/volumes", &["rbind"], Some("docker"), false),
        ("docker/overlay2/m/diff", &["bind"], Some("docker"), false),
        ("run", &["bind", "ro"], None, true),
    ] {
        let found = guard
            .reached_by(&base.join(source), &bind(options))
            .expect("it is there");
        let expected: Option<PathBuf> = reached.map(|name| base.join(name));
        assert_eq!(
            (found.guarded, found.socket.is_some()),
            (expected, socket),
            "{source}"
        );
    }
}
