//! What a source reaches.

use std::path::PathBuf;

use super::{Guard, is_bind};
use crate::engine::Guarded;
use crate::engine::bundle::Mount;
use crate::engine::home::Home;
use crate::sys::mount::{Mount as Mounted, Mounts};

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
    let home = Home::docker(root.clone());
    let guard = Guard::new(&mounts, &guarded, &home);
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
    let home = Home::docker(root.clone());
    let guard = Guard::new(&mounts, &guarded, &home);
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
