//! The terminal: a line that is not shown while it is typed, and a screen of our own.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _};

use nix::sys::termios::{self, LocalFlags, SetArg, SpecialCharacterIndices, Termios};

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

/// A screen of our own on the terminal. What was there before comes back when this is dropped.
#[derive(Debug)]
pub struct Screen {
    before: Termios,
}

impl Screen {
    /// Takes the terminal of standard input and output: nothing that is typed is shown, and each key
    /// is read when it is typed, Ctrl-C among them.
    ///
    /// # Errors
    /// The terminal's.
    pub fn take() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = termios::tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        // A read ends with a key, or after a tenth of a second without one.
        for (place, value) in [
            (SpecialCharacterIndices::VMIN, 0),
            (SpecialCharacterIndices::VTIME, 1),
        ] {
            if let Some(slot) = raw.control_chars.get_mut(place as usize) {
                *slot = value;
            }
        }
        termios::tcsetattr(&stdin, SetArg::TCSAFLUSH, &raw)?;
        let screen = Self { before };
        write("\u{1b}[?1049h\u{1b}[?25l")?;
        Ok(screen)
    }

    /// Columns and lines.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let mut size = libc::winsize {
            ws_row: 0,
            ws_col: 0,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let fd = io::stdout().as_raw_fd();
        // SAFETY: TIOCGWINSZ writes one `winsize` to its argument, which is one and lives until the
        // call returns; the descriptor is the process's own, and any other answers with an error.
        let asked = unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &raw mut size) };
        match (asked, size.ws_col, size.ws_row) {
            (0, columns @ 1.., lines @ 1..) => (columns.into(), lines.into()),
            _ => (80, 24),
        }
    }

    /// Shows these lines, and nothing else. What stays the same is written over itself, so that
    /// nothing flickers.
    ///
    /// # Errors
    /// The terminal's.
    pub fn show(&self, lines: &[String]) -> io::Result<()> {
        let body = lines.join("\u{1b}[K\r\n");
        write(&format!(
            "\u{1b}[?2026h\u{1b}[H{body}\u{1b}[K\u{1b}[J\u{1b}[?2026l"
        ))
    }

    /// The next key, if one was typed within a tenth of a second.
    ///
    /// # Errors
    /// The terminal's; `UnexpectedEof` when it is gone.
    pub fn key(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        match nix::unistd::read(io::stdin(), &mut byte) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(byte.first().copied()),
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing is left to do for a terminal that cannot be set back.
        let _ = write("\u{1b}[?25h\u{1b}[?1049l");
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.before);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
