//! Fuzzing of every parser of outside bytes, guided by coverage, on stable Rust.
//!
//! One binary for all targets. Owns the entrance: `fuzz list` and `fuzz smoke` are
//! answered here, `fuzz --target=NAME [libFuzzer's options] [FILE|DIRECTORY]...` runs
//! libFuzzer on one target. What a target does, and what must never happen there,
//! is in `targets`.

#![no_main]

mod memory;
mod mutation;
mod random;
mod smoke;
mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use targets::Target;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fuzz_target!(
    init: {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let target = choose(&words);
        assert!(TARGET.set(target).is_ok(), "started twice");
    },
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            memory::watched(target.memory, || {
                (target.run)(data);
            });
        }
    }
);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    match TARGET.get() {
        Some(target) => mutation::mutate(target, data, size, max_size, seed),
        None => libfuzzer_sys::fuzzer_mutate(data, size, max_size),
    }
});

/// The target that libFuzzer is to run. The other commands end here.
fn choose(words: &[String]) -> &'static Target {
    match words.first().map(String::as_str) {
        Some("list") => {
            for target in targets::ALL {
                println!("{:<14} {}", target.name, target.what);
            }
            std::process::exit(0);
        }
        Some("smoke") => std::process::exit(smoke::run(&words[1..])),
        Some("seed") => std::process::exit(smoke::write_made_seeds()),
        _ => {}
    }
    let name = words.iter().find_map(|word| word.strip_prefix("--target="));
    let target = name.and_then(targets::find);
    target.unwrap_or_else(|| {
        eprintln!("fuzz: say --target=NAME, with a name of 'fuzz list'; or 'fuzz smoke [--seconds=N] [NAME]...'");
        std::process::exit(64);
    })
}
