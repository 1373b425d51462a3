//! Questions to whoever sits at the terminal.
//!
//! Owns when a question may be asked at all: only when both the question is
//! seen and the answer is typed by a person. Scripts are never asked.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use super::escape;
use crate::sys::terminal;

/// An answer is a word; whoever pipes in more is not a person.
const MAX_ANSWER: u64 = 4096;

/// Says whether somebody is there to ask.
#[must_use]
pub fn somebody() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a yes-or-no question; anything but a yes is a no.
///
/// # Errors
/// The terminal's.
pub fn yes(question: &str) -> io::Result<bool> {
    let mut terminal = io::stderr();
    write!(terminal, "{} [y/N] ", escape::message(question))?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().lock().take(MAX_ANSWER).read_line(&mut answer)?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

/// Asks for a passphrase, which is not shown.
///
/// # Errors
/// The terminal's.
pub fn unseen(prompt: &str) -> io::Result<String> {
    let mut stderr = io::stderr();
    write!(stderr, "{}: ", escape::message(prompt))?;
    stderr.flush()?;
    terminal::read_unseen(MAX_ANSWER)
}
