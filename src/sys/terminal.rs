//! The terminal: one line that is not shown while it is typed.

use std::io::{self, BufRead as _, Read as _};
use std::os::fd::AsFd;

use nix::sys::termios::{self, LocalFlags, SetArg, Termios};

/// Reads one line of at most `cap` bytes from standard input, which must be a terminal, without
/// echoing it. The line end is not part of it.
///
/// # Errors
/// The terminal's; `UnexpectedEof` when the input ends before a line does.
pub fn read_unseen(cap: u64) -> io::Result<String> {
    let stdin = io::stdin();
    let _shown_again = Unseen::begin(stdin.as_fd())?;
    let mut line = String::new();
    stdin.lock().take(cap).read_line(&mut line)?;
    let text = line
        .strip_suffix('\n')
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// A terminal that does not echo until this is dropped.
struct Unseen<F: AsFd> {
    terminal: F,
    before: Termios,
}

impl<F: AsFd> Unseen<F> {
    fn begin(terminal: F) -> io::Result<Self> {
        let before = termios::tcgetattr(&terminal)?;
        let mut unseen = before.clone();
        unseen.local_flags.remove(LocalFlags::ECHO);
        // The line end stays visible, so that the cursor moves on when the line is finished.
        unseen.local_flags.insert(LocalFlags::ECHONL);
        termios::tcsetattr(&terminal, SetArg::TCSAFLUSH, &unseen)?;
        Ok(Self { terminal, before })
    }
}

impl<F: AsFd> Drop for Unseen<F> {
    fn drop(&mut self) {
        // Nothing is left to do for a terminal that cannot be set back.
        let _ = termios::tcsetattr(&self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}
