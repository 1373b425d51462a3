//! Every target for some seconds, two at a time.
//!
//! Owns how targets are run, what is printed of it, and where a finding is kept. Each run is
//! a process of its own, because a finding ends it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::targets::{self, Target};

/// Seconds that one input may take before it counts as a hang: parsers take microseconds.
const HANG: u32 = 10;
/// Megabytes of a whole run, its own corpus included.
const PROCESS: u32 = 2048;

/// Runs `[--seconds=N] [--seed=N] [NAME]...`, and says with which code to exit.
pub fn run(words: &[String]) -> i32 {
    let number = |name: &str| {
        let value = words.iter().find_map(|word| word.strip_prefix(name));
        value.and_then(|value| value.parse::<u32>().ok())
    };
    let seconds = number("--seconds=").unwrap_or(10);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = number("--seed=").unwrap_or_else(|| clock.map_or(1, |now| now.subsec_nanos()));
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen: Vec<&Target> = if names.is_empty() {
        targets::ALL.iter().collect()
    } else {
        names
            .iter()
            .filter_map(|name| targets::find(name))
            .collect()
    };
    if chosen.is_empty() || (!names.is_empty() && chosen.len() != names.len()) {
        eprintln!("fuzz: no such target; see 'fuzz list'");
        return 64;
    }
    let stale: Vec<&str> = chosen
        .iter()
        .filter(|target| !has_accepted_seed(target))
        .map(|target| target.name)
        .collect();
    if !stale.is_empty() {
        eprintln!(
            "fuzz: no seed of {} is accepted any more: the corpus is stale",
            stale.join(", ")
        );
        return 1;
    }
    println!("{} targets, {seconds} s each, seed {seed}", chosen.len());
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |cores| cores.get()) {
            scope.spawn(|| {
                while let Some(target) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !run_one(target, seconds, seed) {
                        failed.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    i32::from(failed.load(Ordering::Relaxed))
}

fn run_one(target: &Target, seconds: u32, seed: u32) -> bool {
    match start(target, seconds, seed) {
        Ok((true, said)) => {
            let executed = said
                .lines()
                .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
            let covered = said
                .lines()
                .rev()
                .find_map(|line| line.split_once(" cov: ")?.1.split(' ').next());
            let (executed, covered) = (executed.unwrap_or("?").trim(), covered.unwrap_or("?"));
            println!(
                "{:<14} {executed:>9} inputs, {covered:>5} edges",
                target.name
            );
            true
        }
        Ok((false, said)) => {
            let from = said
                .rmatch_indices('\n')
                .map(|(at, _)| at)
                .nth(60)
                .unwrap_or(0);
            println!("{:<14} FOUND\n{}", target.name, &said[from..]);
            if let Some(file) = said
                .lines()
                .find_map(|line| line.split_once("Test unit written to "))
            {
                println!(
                    "again: {} --target={} {}",
                    program().display(),
                    target.name,
                    file.1
                );
            }
            false
        }
        Err(error) => {
            println!("{:<14} cannot be run: {error}", target.name);
            false
        }
    }
}

fn start(target: &Target, seconds: u32, seed: u32) -> io::Result<(bool, String)> {
    let found = directory("found");
    let grown = directory("grown").join(target.name);
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&grown)?;
    let output = Command::new(program())
        .arg(format!("--target={}", target.name))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-seed={seed}"))
        .arg(format!("-max_len={}", target.longest))
        .arg(format!("-timeout={HANG}"))
        .arg(format!("-rss_limit_mb={PROCESS}"))
        .arg(format!(
            "-artifact_prefix={}/{}-",
            found.display(),
            target.name
        ))
        .args(["-print_final_stats=1", "-verbosity=1"])
        .arg(&grown)
        .arg(corpus(target))
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((output.status.success(), said))
}

/// Whether the corpus still is what the parser reads.
fn has_accepted_seed(target: &Target) -> bool {
    let files = fs::read_dir(corpus(target)).into_iter().flatten().flatten();
    files
        .filter_map(|file| fs::read(file.path()).ok())
        .any(|bytes| (target.run)(&bytes))
}

/// Writes the seeds that our own code makes into the corpus.
pub fn write_made_seeds() -> i32 {
    for target in targets::ALL.iter().chain(targets::PLANTED) {
        let Some(made) = target.made else { continue };
        for (name, bytes) in made() {
            let written = fs::create_dir_all(corpus(target))
                .and_then(|()| fs::write(corpus(target).join(name), bytes));
            if let Err(error) = written {
                eprintln!("fuzz: cannot write a seed of {}: {error}", target.name);
                return 1;
            }
        }
    }
    0
}

fn corpus(target: &Target) -> PathBuf {
    directory("corpus").join(target.name)
}

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("fuzz"))
}
