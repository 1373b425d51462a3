//! `/proc/PID/mountinfo`: every mount, for kernels that cannot be asked about one, and of another process.
//!
//! Owns the text format (`proc_pid_mountinfo(5)`) and its octal escapes.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::file::read_capped;
use super::mount::Mount;

/// Room for some hundred thousand mounts.
const CAP: u64 = 64 << 20;

/// One mount, and the id of the mount it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The mount; its id is the one that is used again.
    pub mount: Mount,
    /// The mount that its mount point is on.
    pub parent: u64,
    /// Whether nothing can be written through it.
    pub read_only: bool,
}

/// Reads all mounts of this process's namespace.
///
/// # Errors
/// The operating system's; `InvalidData` for a line that is not understood.
pub fn read() -> io::Result<Vec<Line>> {
    parse(&read_capped(Path::new("/proc/self/mountinfo"), CAP)?)
}

/// Reads all mounts of another process's namespace that its root directory reaches, as it sees them.
///
/// # Errors
/// The operating system's; `InvalidData` for a line that is not understood.
pub fn read_of(pid: u32) -> io::Result<Vec<Line>> {
    parse(&read_capped(&path_of(pid), CAP)?)
}

/// The file that says the mounts of a process.
#[must_use]
pub fn path_of(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/mountinfo"))
}

/// Parses the whole file.
///
/// # Errors
/// `InvalidData` for a line that is not understood.
pub fn parse(bytes: &[u8]) -> io::Result<Vec<Line>> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| parse_line(line).ok_or_else(|| io::ErrorKind::InvalidData.into()))
        .collect()
}

fn parse_line(line: &[u8]) -> Option<Line> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let mut device = fields.next()?.split(|byte| *byte == b':');
    let device = (
        number(device.next()?)?.try_into().ok()?,
        number(device.next()?)?.try_into().ok()?,
    );
    let root = path(fields.next()?)?;
    let point = path(fields.next()?)?;
    // Mount options, then any number of optional fields, then a single hyphen.
    let flags = fields.next()?;
    let kind = fields.by_ref().skip_while(|field| *field != b"-").nth(1)?;
    let options = fields.nth(1)?;
    let mount = Mount {
        id,
        device,
        root,
        point,
        kind: String::from_utf8(unescape(kind)?).ok()?,
        options: without_flag(options).to_vec(),
    };
    Some(Line {
        mount,
        parent,
        read_only: is_read_only(flags) || is_read_only(options),
    })
}

fn is_read_only(options: &[u8]) -> bool {
    options.split(|byte| *byte == b',').any(|o| o == b"ro")
}

/// Leaves out the `rw` or `ro` (and `sync`, ...) that mountinfo puts before the file system's own options.
fn without_flag(mut options: &[u8]) -> &[u8] {
    const FLAGS: [&[u8]; 7] = [b"rw", b"ro", b"sync", b"dirsync", b"mand", b"lazytime", b""];
    loop {
        let end = options.iter().position(|byte| *byte == b',');
        let (first, rest) = options.split_at(end.unwrap_or(options.len()));
        if !FLAGS.contains(&first) || options.is_empty() {
            return options;
        }
        options = rest.strip_prefix(b",").unwrap_or_default();
    }
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn path(field: &[u8]) -> Option<PathBuf> {
    Some(OsString::from_vec(unescape(field)?).into())
}

/// Turns `\040` and the like back into what they stand for. `None` for an incomplete escape.
#[must_use]
pub fn unescape(field: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'\\' {
            plain.push(byte);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_at_checked(3)?;
        let digits = std::str::from_utf8(digits).ok()?;
        plain.push(u8::from_str_radix(digits, 8).ok()?);
        rest = after;
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::{Line, parse, unescape};
    use crate::sys::mount::Mount;

    #[test]
    fn reads_optional_fields_and_escapes() {
        let text = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n\
            37 36 0:45 / /m rw - overlay overlay ro,lowerdir=/a\\054b:/c,upperdir=/u\n";
        let line = |id, parent, device, root: &str, point: &str, kind: &str, options: &str| Line {
            mount: Mount {
                id,
                device,
                root: root.into(),
                point: point.into(),
                kind: kind.to_owned(),
                options: options.as_bytes().to_vec(),
            },
            parent,
            read_only: kind == "overlay",
        };
        assert_eq!(
            parse(text).expect("both lines are well formed"),
            [
                line(
                    36,
                    35,
                    (98, 0),
                    "/mnt1",
                    "/mnt 2",
                    "ext3",
                    "errors=continue"
                ),
                line(
                    37,
                    36,
                    (0, 45),
                    "/",
                    "/m",
                    "overlay",
                    "lowerdir=/a\\054b:/c,upperdir=/u"
                ),
            ]
        );
    }

    #[test]
    fn refuses_lines_that_are_cut() {
        let whole = "36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(
            parse(whole.as_bytes()).map(|lines| lines.len()).ok(),
            Some(1)
        );
        for cut in [3, 10, 20, 30, 40, 45] {
            assert!(
                parse(&whole.as_bytes()[..cut]).is_err(),
                "{}",
                &whole[..cut]
            );
        }
    }

    #[test]
    fn unescapes_octal_only() {
        for (escaped, plain) in [
            (&b"a\\040b"[..], Some(&b"a b"[..])),
            (b"\\134\\072", Some(b"\\:")),
            (b"plain", Some(b"plain")),
            (b"a\\04", None),
            (b"a\\", None),
            (b"\\999", None),
            (b"\\777", None),
        ] {
            assert_eq!(unescape(escaped).as_deref(), plain);
        }
    }
}
