//! Becoming another program, so that it cannot tell.
//!
//! Owns `execve(2)` with arguments, environment and descriptors untouched,
//! and the one thing that the language's start-up changes: `SIGPIPE`.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;

/// Whether `SIGPIPE` was ignored before Rust's start-up ignored it.
static WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// Runs before `main`, hence before Rust's start-up.
#[used]
#[unsafe(link_section = ".init_array")]
static REMEMBER: extern "C" fn() = remember;

extern "C" fn remember() {
    // SAFETY: SIG_DFL is a valid disposition, and nothing else runs yet that could mind.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    WAS_IGNORED.store(before == libc::SIG_IGN, Ordering::Relaxed);
}

/// Replaces this process by `program`. Returns only when that fails.
///
/// # Errors
/// The operating system's; `InvalidInput` for an argument with a NUL.
pub fn replace(program: &Path, arguments: &[OsString]) -> io::Result<Infallible> {
    let program = c_string(program.as_os_str())?;
    let arguments = arguments
        .iter()
        .map(|argument| c_string(argument))
        .collect::<io::Result<Vec<_>>>()?;
    if !WAS_IGNORED.load(Ordering::Relaxed) {
        // SAFETY: SIG_DFL is a valid disposition; a write to a closed pipe may now end us,
        // as it would have ended the program.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    }
    // `environ` is what it was: this program never changes it.
    Ok(nix::unistd::execv(&program, &arguments)?)
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}
