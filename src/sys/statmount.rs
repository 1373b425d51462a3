//! `statx(2)`, `statmount(2)` and `listmount(2)`: the kernel's answer about one mount.
//!
//! Owns the three raw calls and the layout of their structures
//! (`include/uapi/linux/{stat,mount}.h`). What the answers mean is
//! [`super::mount`]'s.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use nix::libc;

use super::mount::{Mount, Place};

/// Same number on every architecture: both calls are younger than the common table.
const SYS_STATMOUNT: libc::c_long = 457;
const SYS_LISTMOUNT: libc::c_long = 458;

const STATX_INO: u32 = 0x100;
const STATX_MNT_ID_UNIQUE: u32 = 0x4000;

const STATMOUNT_SB_BASIC: u64 = 0x1;
const STATMOUNT_MNT_BASIC: u64 = 0x2;
const STATMOUNT_MNT_ROOT: u64 = 0x8;
const STATMOUNT_MNT_POINT: u64 = 0x10;
const STATMOUNT_FS_TYPE: u64 = 0x20;
const STATMOUNT_MNT_OPTS: u64 = 0x80;
/// All that is asked for; a kernel that leaves one of them out is too old (before 6.11).
const WANTED: u64 = STATMOUNT_SB_BASIC
    | STATMOUNT_MNT_BASIC
    | STATMOUNT_MNT_ROOT
    | STATMOUNT_MNT_POINT
    | STATMOUNT_FS_TYPE
    | STATMOUNT_MNT_OPTS;

/// Bytes of `struct statmount` before its strings.
const STRINGS_AT: usize = 512;
/// Room for the first answer, on the stack: overlay options are at most a page, paths seldom long.
const FIRST_BUFFER: usize = 6 << 10;
/// Room for the last: more than the kernel ever needs for one mount.
const LAST_BUFFER: usize = 1 << 20;
/// The ids that one call lists.
const IDS_AT_ONCE: usize = 64;
/// The most mounts that are listed below one.
const MAX_BELOW: usize = 64 << 10;

/// `struct mnt_id_req`, its first version.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mount: u64,
    param: u64,
}

/// Says which mount `path` is on, by the id that is never used again, and its inode.
///
/// # Errors
/// The operating system's; `Unsupported` before Linux 6.8.
pub fn place(path: &Path) -> io::Result<Place> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut bytes = [0_u8; 256];
    // SAFETY: `path` is a live C string and `bytes` has room for `struct statx`; the kernel copies
    // into it, wherever it starts, and writes nothing else.
    let result = unsafe {
        libc::syscall(
            libc::SYS_statx,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT,
            STATX_MNT_ID_UNIQUE | STATX_INO,
            bytes.as_mut_ptr(),
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if u32_at(&bytes, 0) & STATX_MNT_ID_UNIQUE == 0 {
        return Err(unsupported());
    }
    Ok(Place {
        mount: u64_at(&bytes, 144),
        inode: u64_at(&bytes, 32),
        directory: u16_at(&bytes, 28) & 0o170_000 == 0o040_000,
    })
}

/// Describes one mount.
///
/// # Errors
/// The operating system's; `Unsupported` before Linux 6.11.
pub fn describe(mount: u64) -> io::Result<Mount> {
    let mut first = [0; FIRST_BUFFER];
    match call(SYS_STATMOUNT, mount, WANTED, &mut first) {
        Ok(_) => parse(&first),
        Err(error) if error.raw_os_error() == Some(libc::EOVERFLOW) => {
            let mut last = vec![0; LAST_BUFFER];
            call(SYS_STATMOUNT, mount, WANTED, &mut last)?;
            parse(&last)
        }
        Err(error) => Err(error),
    }
}

/// Lists the ids of all mounts below `mount`, in no particular order.
///
/// # Errors
/// The operating system's; `FileTooLarge` for more than anybody has.
pub fn below(mount: u64) -> io::Result<Vec<u64>> {
    let mut all = Vec::new();
    let mut ids = [0_u8; 8 * IDS_AT_ONCE];
    while all.len() < MAX_BELOW {
        let after = all.last().copied().unwrap_or(0);
        let count = call(SYS_LISTMOUNT, mount, after, &mut ids)?;
        all.extend(ids.chunks_exact(8).take(count).map(|id| u64_at(id, 0)));
        if count < IDS_AT_ONCE {
            return Ok(all);
        }
    }
    Err(io::ErrorKind::FileTooLarge.into())
}

fn call(number: libc::c_long, mount: u64, param: u64, answer: &mut [u8]) -> io::Result<usize> {
    let request = Request {
        size: 24,
        spare: 0,
        mount,
        param,
    };
    // statmount counts bytes, listmount ids.
    let room = if number == SYS_STATMOUNT {
        answer.len()
    } else {
        answer.len() / 8
    };
    // SAFETY: `request` has the 24 bytes that its `size` says, and `answer` the room that is
    // passed; the kernel copies into it, wherever it starts, and writes nothing else.
    let result = unsafe {
        libc::syscall(
            number,
            std::ptr::from_ref(&request),
            answer.as_mut_ptr(),
            room,
            0,
        )
    };
    usize::try_from(result).map_err(|_| match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENOSYS) => unsupported(),
        error => error,
    })
}

/// Parses `struct statmount` with its strings.
///
/// # Errors
/// `Unsupported` when the kernel left out what was asked for.
pub fn parse(bytes: &[u8]) -> io::Result<Mount> {
    if u64_at(bytes, 8) & (WANTED & !STATMOUNT_MNT_OPTS) != WANTED & !STATMOUNT_MNT_OPTS {
        return Err(unsupported());
    }
    let kind = text_at(bytes, 36);
    let has_options = u64_at(bytes, 8) & STATMOUNT_MNT_OPTS != 0;
    // A kernel that knows the flag leaves it out for a mount without options; an overlay has some.
    if !has_options && kind == b"overlay" {
        return Err(unsupported());
    }
    let options = if has_options { text_at(bytes, 4) } else { b"" };
    Ok(Mount {
        id: u64_at(bytes, 40),
        device: (u32_at(bytes, 16), u32_at(bytes, 20)),
        root: path(text_at(bytes, 104)),
        point: path(text_at(bytes, 108)),
        kind: String::from_utf8_lossy(kind).into_owned(),
        options: options.to_vec(),
    })
}

fn path(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

/// The C string whose place in the string area stands at `at`; empty when it is outside.
fn text_at(bytes: &[u8], at: usize) -> &[u8] {
    let start = STRINGS_AT.saturating_add(u32_at(bytes, at) as usize);
    let rest = bytes.get(start..).unwrap_or_default();
    rest.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    chunk_at(bytes, at).map_or(0, u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    chunk_at(bytes, at).map_or(0, u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    chunk_at(bytes, at).map_or(0, u64::from_ne_bytes)
}

fn chunk_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn unsupported() -> io::Error {
    io::ErrorKind::Unsupported.into()
}
