//! One image, reached in every way a publisher can name it, on real engines.
//!
//! A private dockerd and a private containerd; whatever the way, the config
//! digest and its chain must be those of the bytes the image was made from.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test file"
)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::command::{command, run, sh};
use support::containerd::containerd;
use support::daemon::Daemon;
use support::image::{Image, hex};
use support::program;
use support::scratch::Scratch;
use vcn_hook::cli::images::{Sources, resolve};
use vcn_hook::image::subjects::{ImageSubjects, SubjectOf};

const NOBODY: u32 = 65534;

fn resolved(
    text: &str,
    docker: &[PathBuf],
    containerd: &[PathBuf],
    socket: &Path,
) -> ImageSubjects {
    let sources = Sources {
        docker_roots: docker,
        containerd_roots: containerd,
        storage_roots: &[],
        docker_socket: socket,
        progress: &|_, _| (),
    };
    resolve(text, &sources).unwrap_or_else(|failure| panic!("{text}: {failure}"))
}

/// The config and chain that every way must give.
#[track_caller]
fn assert_is(image: &Image, found: &ImageSubjects) {
    let config = &found.subjects[0];
    let SubjectOf::Config { chain: Some(chain) } = config.of else {
        panic!("no config comes first: {found:?}");
    };
    let expected = (image.id(), image.chain());
    assert_eq!(
        (config.digest.to_string(), chain.to_string()),
        expected,
        "{found:?}"
    );
    for subject in &found.subjects[1..] {
        if let SubjectOf::Manifest { config } = subject.of {
            assert_eq!(config.to_string(), image.id());
        }
    }
}

#[test]
fn docker_files_api_archive_and_layout_give_the_same_image() {
    let scratch = Scratch::new("images");
    let daemon = Daemon::start(&scratch);
    let app = Image::app("app:1.4");
    app.load(&daemon);
    daemon
        .docker(&["tag", "app:1.4", "reg.example:5000/team/app:2"])
        .ok();
    let (roots, socket) = ([daemon.root()], daemon.socket());
    let nowhere = Path::new("/nonexistent");

    let id = app.id();
    let short = &id["sha256:".len()..][..12];
    for name in ["app:1.4", "reg.example:5000/team/app:2", &id, short] {
        let found = resolved(&format!("docker://{name}"), &roots, &[], nowhere);
        assert_is(&app, &found);
    }
    let files = resolved("docker://app:1.4", &roots, &[], nowhere);
    assert_eq!(files.name, "docker://app:1.4");
    let inspect = ["image", "inspect", "--format", "{{.Size}}", "app:1.4"];
    assert_eq!(files.size.to_string(), daemon.docker(&inspect).ok());

    let api = resolved("docker://app:1.4", &[], &[], socket);
    assert_eq!(api, files);

    let archive = scratch.join("app.tar");
    daemon
        .docker(&["save", "-o", archive.to_str().unwrap(), "app:1.4"])
        .ok();
    let from = format!("docker-archive:{}", archive.display());
    let found = resolved(&from, &[], &[], nowhere);
    assert_is(&app, &found);
    assert_eq!(found.name, "docker-archive:app:1.4");

    let layout = format!("oci:{}:1.4", scratch.join("layout").display());
    sh(
        program("skopeo"),
        &["--insecure-policy", "copy", &from, &layout],
    )
    .ok();
    let found = resolved(&layout, &[], &[], nowhere);
    // skopeo writes the config anew, in OCI's spelling: another ID on the same layers.
    let SubjectOf::Config { chain } = found.subjects[0].of else {
        panic!("no config comes first: {found:?}");
    };
    assert_eq!(chain.unwrap().to_string(), app.chain());
    assert_eq!(found.subjects.len(), 2);

    as_a_member_of_group_docker(&scratch, &daemon, &app);
    an_imported_tarball(&scratch, &daemon, &roots);
    a_changed_config(&daemon, &app, &roots);
}

fn an_imported_tarball(scratch: &Scratch, daemon: &Daemon, roots: &[PathBuf]) {
    let tarball = scratch.join("layer.tar");
    fs::write(&tarball, &Image::app("x:1").layers[0]).unwrap();
    let id = daemon
        .docker(&["import", tarball.to_str().unwrap(), "imported:1"])
        .ok();
    let found = resolved("docker://imported:1", roots, &[], Path::new("/nonexistent"));
    assert_eq!(found.subjects[0].digest.to_string(), id);
}

/// A user who can reach the socket and none of Docker's files, in a process of their own.
fn as_a_member_of_group_docker(scratch: &Scratch, daemon: &Daemon, app: &Image) {
    chown(daemon.socket(), None, Some(NOBODY)).unwrap();
    fs::set_permissions(daemon.socket(), fs::Permissions::from_mode(0o660)).unwrap();
    let copy = scratch.join("tests-images");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let user = NOBODY.to_string();
    let mut child = command(
        program("setpriv"),
        [
            &format!("--reuid={user}"),
            &format!("--regid={user}"),
            "--clear-groups",
        ],
    );
    child
        .arg(copy)
        .args([
            "--ignored",
            "--exact",
            "resolves_for_the_unprivileged",
            "--nocapture",
        ])
        .env("ROOT", daemon.root())
        .env("SOCKET", daemon.socket());
    let said = run(child).ok();
    let expected = format!("resolved {} {}", app.id(), app.chain());
    assert!(
        said.contains(&expected),
        "expected {expected}, found {said}"
    );
}

#[test]
#[ignore = "run as another user by docker_files_api_archive_and_layout_give_the_same_image"]
#[allow(clippy::print_stdout, reason = "how the parent learns of it")]
fn resolves_for_the_unprivileged() {
    let root = PathBuf::from(std::env::var_os("ROOT").unwrap());
    let socket = PathBuf::from(std::env::var_os("SOCKET").unwrap());
    assert!(
        fs::read_dir(root.join("image")).is_err(),
        "the files are readable"
    );
    let found = resolved("docker://app:1.4", &[root], &[], &socket);
    let SubjectOf::Config { chain: Some(chain) } = found.subjects[0].of else {
        panic!("no config comes first: {found:?}");
    };
    println!("resolved {} {chain}", found.subjects[0].digest);
}

fn a_changed_config(daemon: &Daemon, app: &Image, roots: &[PathBuf]) {
    let config = app.config_bytes();
    let path = roots[0]
        .join("image/overlay2/imagedb/content/sha256")
        .join(hex(&config));
    fs::write(
        &path,
        Image::app("other:1")
            .with_other_config("other:1")
            .config_bytes(),
    )
    .unwrap();
    let sources = Sources {
        docker_roots: roots,
        containerd_roots: &[],
        storage_roots: &[],
        docker_socket: daemon.socket(),
        progress: &|_, _| (),
    };
    let refused = resolve("docker://app:1.4", &sources)
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains(&format!("expected {}", app.id())),
        "{refused}"
    );
    fs::write(path, config).unwrap();
}

#[test]
fn the_containerd_store_is_read_while_containerd_holds_its_lock_and_writes() {
    let scratch = Scratch::new("images-containerd");
    let (root, ctr) = containerd(&scratch);
    let app = Image::app("app:1.4");
    let archive = scratch.join("app.tar");
    fs::write(&archive, app.archive()).unwrap();
    ctr(&["images", "import", "--no-unpack", archive.to_str().unwrap()]).ok();
    let roots = [root];
    let nowhere = Path::new("/nonexistent");
    let first = resolved("docker://app:1.4", &[], &roots, nowhere);
    assert_is(&app, &first);
    let SubjectOf::Manifest { .. } = first.subjects[1].of else {
        panic!("the manifest is at hand: {first:?}");
    };
    // In this store, an image ID is the digest of what the name points at.
    let id = first.subjects.last().unwrap().digest.hex();
    let by_id = resolved(&format!("docker://{}", &id[..12]), &[], &roots, nowhere);
    assert_eq!(by_id, first);

    let done = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        for writer in 0..3 {
            let (ctr, done) = (&ctr, &done);
            scope.spawn(move || {
                let mut count = 0;
                while !done.load(Ordering::Relaxed) {
                    let name = format!("docker.io/library/w{writer}:{}", count % 40);
                    ctr(&[
                        "images",
                        "tag",
                        "--force",
                        "docker.io/library/app:1.4",
                        &name,
                    ])
                    .ok();
                    count += 1;
                }
            });
        }
        let begun = Instant::now();
        let mut reads = 0;
        while begun.elapsed() < Duration::from_secs(5) {
            assert_eq!(resolved("docker://app:1.4", &[], &roots, nowhere), first);
            assert_eq!(
                resolved(&format!("docker://{id}"), &[], &roots, nowhere).subjects,
                first.subjects
            );
            reads += 2;
        }
        done.store(true, Ordering::Relaxed);
        reads
    });
    assert!(reads > 100, "only {reads} reads in five seconds");
}
