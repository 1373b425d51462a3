//! Extended attributes of a path itself, never of what it links to, and of what is open.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::libc;

/// The kernel's own limit of a list of names, and of a value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const MAX: usize = 64 << 10;

/// What almost every file has fits in here.
const USUAL: usize = 512;

/// Whether `path` itself, not what it links to, has the attribute `name`, whatever its value.
///
/// # Errors
/// The operating system's.
pub fn has(path: &Path, name: &CStr) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    Ok(value_into(&path, name, &mut [])?.is_some())
}

/// The value of one attribute; `None` where there is none of this name.
///
/// # Errors
/// The operating system's.
pub fn value(path: &CStr, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    filled(|buffer| value_into(path, name, buffer))
}

/// The names of all attributes.
///
/// # Errors
/// The operating system's.
pub fn names(path: &CStr) -> io::Result<Vec<CString>> {
    listed(|buffer| names_into(path, buffer))
}

/// The value of one attribute of what is open; `None` where there is none of this name.
///
/// # Errors
/// The operating system's.
pub fn value_of(open: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    filled(|buffer| {
        let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: the descriptor is open and the name a live C string, and the kernel writes at most
        // `size` bytes to `start`, which are `buffer`'s own.
        let length = unsafe { libc::fgetxattr(open.as_raw_fd(), name.as_ptr(), start, size) };
        if_any(length)
    })
}

/// The names of all attributes of what is open.
///
/// # Errors
/// The operating system's.
pub fn names_of(open: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    listed(|buffer| {
        let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: the descriptor is open, and the kernel writes at most `size` bytes to `start`, which
        // are `buffer`'s own.
        let length = unsafe { libc::flistxattr(open.as_raw_fd(), start, size) };
        if_any(length)
    })
}

/// What `fill` writes; it says how many bytes that were, or `ERANGE` where they have no room.
fn filled(fill: impl Fn(&mut [u8]) -> io::Result<Option<usize>>) -> io::Result<Option<Vec<u8>>> {
    let mut usual = [0; USUAL];
    match fill(&mut usual) {
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {
            let mut buffer = vec![0; MAX];
            let length = fill(&mut buffer)?;
            Ok(length.map(|length| {
                buffer.truncate(length);
                buffer
            }))
        }
        length => Ok(length?.map(|length| usual.get(..length).unwrap_or_default().to_vec())),
    }
}

fn listed(fill: impl Fn(&mut [u8]) -> io::Result<Option<usize>>) -> io::Result<Vec<CString>> {
    let names = filled(fill)?.unwrap_or_default();
    let names = names.split_inclusive(|byte| *byte == 0);
    // Each ends in the only zero byte that it has.
    Ok(names
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok().map(CStr::to_owned))
        .collect())
}

/// Reads a value into `buffer`, or with an empty one only asks how long it is.
fn value_into(path: &CStr, name: &CStr, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: path and name are live C strings, and the kernel writes at most `size` bytes to `start`,
    // which are `buffer`'s own.
    let length = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), start, size) };
    if_any(length)
}

fn names_into(path: &CStr, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the path is a live C string, and the kernel writes at most `size` bytes to `start`,
    // which are `buffer`'s own.
    let length = unsafe { libc::llistxattr(path.as_ptr(), start, size) };
    if_any(length)
}

/// The length that a call has answered; `None` where there is no such attribute, or can be none.
fn if_any(length: isize) -> io::Result<Option<usize>> {
    match usize::try_from(length) {
        Ok(length) => Ok(Some(length)),
        Err(_) => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::EOPNOTSUPP)) => {
                Ok(None)
            }
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{has, libc, names, names_of, value, value_of};
    use std::ffi::{CStr, CString};
    use std::os::fd::AsFd as _;

    fn set(path: &CStr, name: &CStr, value: &[u8]) {
        // SAFETY: path and name are live C strings, and `value` is as long as is said.
        let result = unsafe {
            libc::lsetxattr(
                path.as_ptr(),
                name.as_ptr(),
                value.as_ptr().cast(),
                value.len(),
                0,
            )
        };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }

    #[test]
    fn attributes_are_read_whatever_their_length() {
        // Where `/tmp` is in memory it may have no such attributes.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "").unwrap();
        let c = CString::new(path.to_str().unwrap()).unwrap();
        assert_eq!(names(&c).unwrap(), Vec::<CString>::new());
        set(&c, c"user.a", b"1");
        set(&c, c"user.b", &[b'x'; 2000]);
        let open = std::fs::File::open(&path).unwrap();
        for mut found in [names(&c).unwrap(), names_of(open.as_fd()).unwrap()] {
            found.sort();
            assert_eq!(found, [c"user.a".to_owned(), c"user.b".to_owned()]);
        }
        for (name, is) in [
            (c"user.a", Some(b"1".to_vec())),
            (c"user.b", Some(vec![b'x'; 2000])),
            (c"user.c", None),
        ] {
            assert_eq!(value(&c, name).unwrap(), is);
            assert_eq!(value_of(open.as_fd(), name).unwrap(), is);
        }
        for at in 0..40 {
            let name = format!("user.{}{at}", "n".repeat(20));
            set(&c, &CString::new(name).unwrap(), b"");
        }
        assert_eq!(names(&c).unwrap().len(), 42);
        assert_eq!(names_of(open.as_fd()).unwrap().len(), 42);
        assert!(has(&path, c"user.a").unwrap() && !has(&path, c"user.c").unwrap());
    }
}
