//! The fuzzing finds bugs: each kind, planted on purpose, is found, saved, and found again in what was saved.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");

/// Builds the fuzzing binary, unless it is there already.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || Path::new(FOLDER).join("target"),
            |shared| Path::new(&shared).join("fuzz"),
        );
        // In its folder, whose settings instrument the code.
        let built = Command::new("cargo")
            .args(["build", "--quiet", "--release", "--locked"])
            .current_dir(FOLDER)
            .env("CARGO_TARGET_DIR", &target)
            .status()
            .unwrap();
        assert!(built.success(), "the fuzzing binary does not build");
        target.join("x86_64-unknown-linux-gnu/release/fuzz")
    })
}

fn fuzz(arguments: &[&str]) -> Output {
    Command::new(program())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Fuzzes one target, then runs what it saved; both must fail and say `why`.
#[track_caller]
fn finds(target: &str, saved_as: &str, why: &str, options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("--target={target}");
    let prefix = format!("-artifact_prefix={}/", folder.path().display());
    let found = fuzz(
        &[
            &[&*name, "-max_total_time=120", "-seed=1", &*prefix],
            options,
        ]
        .concat(),
    );
    let said = String::from_utf8_lossy(&found.stderr);
    assert!(!found.status.success() && said.contains(why), "{said}");

    let mut saved = std::fs::read_dir(folder.path()).unwrap();
    let file = saved.next().expect("nothing was saved").unwrap();
    let file_name = file.file_name().into_string().unwrap();
    assert!(file_name.starts_with(saved_as), "{file_name}");
    let file = file.path().display().to_string();
    let limit = options.first().copied();
    let again = fuzz(
        &[&*name, &*file]
            .into_iter()
            .chain(limit)
            .collect::<Vec<_>>(),
    );
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success() && said.contains(why), "{said}");
}

#[test]
fn finds_a_panic_behind_eight_bytes() {
    finds(
        "planted-panic",
        "crash-",
        "called `Option::unwrap()` on a `None` value",
        &["-timeout=10"],
    );
}

#[test]
fn finds_a_loop_without_end() {
    finds("planted-hang", "timeout-", "timeout after", &["-timeout=2"]);
}

#[test]
fn finds_a_length_that_is_believed() {
    finds(
        "planted-memory",
        "crash-",
        "one input holds",
        &["-timeout=10"],
    );
}

#[test]
fn finds_a_signature_that_nobody_verifies() {
    let seeds = format!("{FOLDER}/corpus/planted-allow");
    // The first directory is where libFuzzer keeps what it finds on the way.
    let folder = tempfile::tempdir().unwrap();
    let grown = folder.path().display().to_string();
    finds(
        "planted-allow",
        "crash-",
        "a text that nobody signed is believed",
        &["-timeout=10", &grown, &seeds],
    );
}

#[test]
fn every_target_has_seeds_and_no_seed_lacks_a_target() {
    let listed = fuzz(&["list"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut targets: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .chain(["planted-allow"])
        .collect();
    targets.sort_unstable();
    let mut folders: Vec<String> = std::fs::read_dir(format!("{FOLDER}/corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort_unstable();
    assert_eq!(targets, folders);
}
