//! How far long work has come, shown to whoever watches stderr.
//!
//! Owns the one line that is drawn over and over, and removed at the end. Without a terminal, and in
//! silence, nothing is drawn: a log has no use for it.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::moment;
use super::output::Output;

/// It is drawn this often at most, in milliseconds: eyes see no more, and terminals can be slow.
const BETWEEN: u64 = 100;
/// No rate is told of less time than this: it would only be noise.
const SETTLED: Duration = Duration::from_millis(500);
/// The bar's length.
const WIDTH: usize = 24;

/// Shows how far long work has come, on a terminal only, and removes itself.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    began: Instant,
    /// When it may be drawn again, in milliseconds since it began; 0 as long as it never was.
    next: AtomicU64,
}

impl Output {
    /// Progress of what comes next, where somebody watches.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            shown: self.watched,
            began: Instant::now(),
            next: AtomicU64::new(0),
        }
    }
}

impl Progress {
    /// Shows that `done` bytes were read, of `all` where that is known. It may be called often.
    pub fn bytes(&self, done: u64, all: Option<u64>) {
        self.draw(|| bytes(done, all, self.began.elapsed()));
    }

    /// Shows that `done` of `all` things were done.
    pub fn steps(&self, done: usize, all: usize, things: &str) {
        self.draw(|| format!("{done} of {all} {things}"));
    }

    fn draw(&self, line: impl FnOnce() -> String) {
        if !self.shown {
            return;
        }
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let due = |next| (now >= next).then(|| now.saturating_add(BETWEEN));
        let relaxed = Ordering::Relaxed;
        // Of several threads one draws.
        if self.next.fetch_update(relaxed, relaxed, due).is_ok() {
            // Progress that cannot be shown is no reason to stop.
            let _ = write!(io::stderr(), "\r{}\u{1b}[K", line());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.next.load(Ordering::Relaxed) > 0 {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

/// `[######            ]  25%  1.2 GB of 4.8 GB, 410 MB/s`.
fn bytes(done: u64, all: Option<u64>, took: Duration) -> String {
    let mut line = match all {
        Some(all) if all > 0 => {
            let done = done.min(all);
            let (part, percent) = (of(done, all, WIDTH as u64), of(done, all, 100));
            let full = "#".repeat(usize::try_from(part).unwrap_or(WIDTH));
            let (done, all) = (moment::size(done), moment::size(all));
            format!("[{full:WIDTH$}] {percent:3}%  {done} of {all}")
        }
        Some(_) | None => format!("{} read", moment::size(done)),
    };
    if took >= SETTLED {
        let rate = u128::from(done) * 1000 / took.as_millis();
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        line.push_str(&format!(", {}/s", moment::size(rate)));
    }
    line
}

/// So many of `whole` as `done` is of `all`, which is more than 0.
fn of(done: u64, all: u64, whole: u64) -> u64 {
    let part = u128::from(done) * u128::from(whole) / u128::from(all.max(1));
    u64::try_from(part).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::bytes;
    use std::time::Duration;

    #[test]
    fn the_line_has_a_bar_where_the_end_is_known_and_a_rate_once_there_is_one() {
        let line = |done, all, milliseconds| bytes(done, all, Duration::from_millis(milliseconds));
        let empty = " ".repeat(24);
        let half = format!("{}{}", "#".repeat(12), " ".repeat(12));
        let full = "#".repeat(24);
        for (found, expected) in [
            (line(0, Some(10), 0), format!("[{empty}]   0%  0 B of 10 B")),
            (
                line(5_000_000, Some(10_000_000), 2_000),
                format!("[{half}]  50%  5.0 MB of 10 MB, 2.5 MB/s"),
            ),
            (
                line(11, Some(10), 499),
                format!("[{full}] 100%  10 B of 10 B"),
            ),
            (
                line(u64::MAX, Some(u64::MAX), 0),
                format!("[{full}] 100%  18446 PB of 18446 PB"),
            ),
            (line(7, None, 0), "7 B read".to_owned()),
            (
                line(7_000, Some(0), 1_000),
                "7.0 kB read, 7.0 kB/s".to_owned(),
            ),
        ] {
            assert_eq!(found, expected);
        }
    }
}
