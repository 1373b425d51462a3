//! Processes: whose child one is, and since when.
//!
//! Owns `/proc/<pid>/stat` (proc(5)) as far as it tells two processes of one number apart.

use std::io;
use std::path::Path;

use super::file::read_small;

/// The unit of times in `/proc/<pid>/stat`, the same on every architecture that containers run on.
const TICKS_PER_SECOND: u64 = 100;

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its parent.
    pub parent: u32,
    /// For how many seconds it has been there.
    pub age: u64,
}

/// Looks a process up.
///
/// # Errors
/// The operating system's; `InvalidData` for text that is not understood.
pub fn of(pid: u32) -> io::Result<Process> {
    let stat = read_small::<1024>(Path::new(&format!("/proc/{pid}/stat")))?;
    let uptime = read_small::<128>(Path::new("/proc/uptime"))?;
    parse(&stat, &uptime).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(stat: &[u8], uptime: &[u8]) -> Option<Process> {
    // The name is in parentheses, and may have any in it.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let ticks: u64 = fields.nth(17)?.parse().ok()?;
    let up = std::str::from_utf8(uptime).ok()?.split('.').next()?;
    let up: u64 = up.parse().ok()?;
    Some(Process {
        parent,
        age: up.saturating_sub(ticks / TICKS_PER_SECOND),
    })
}

#[cfg(test)]
mod tests {
    use super::{Process, of, parse};

    #[test]
    fn reads_parent_and_age_whatever_the_name() {
        let stat = b"77 (a) b (c) S 42 77 77 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 5000 1 1\n";
        let process = Process {
            parent: 42,
            age: 50,
        };
        assert_eq!(parse(stat, b"100.25 90.00\n"), Some(process));
        for (stat, uptime) in [
            (&b""[..], &b"1.0 1.0"[..]),
            (b"77 (a) S 42", b"1.0"),
            (stat, b""),
            (
                b"77 a S 42 77 77 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 5000",
                b"1.0",
            ),
        ] {
            assert_eq!(parse(stat, uptime), None);
        }
    }

    #[test]
    fn knows_this_process() {
        let this = of(std::process::id()).expect("we run");
        assert_eq!(this.parent, std::os::unix::process::parent_id());
    }
}
