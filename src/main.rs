//! The one program. The name that it was called by and its first words choose the entrance, and
//! nothing else is decided here: no command-line parser is built on the way of a start.

use std::ffi::OsString;
use std::process::ExitCode;

use vcn_hook::sys::arena::Arena;
use vcn_hook::{cli, gate};

#[global_allocator]
static MEMORY: Arena = Arena::new();

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    match gate::entrance(&words) {
        Some(entrance) => {
            MEMORY.prepare();
            entrance.enter()
        }
        None => cli::run(&words),
    }
}
