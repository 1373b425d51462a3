//! Extended attributes of a path itself, never of what it links to.

use std::ffi::{CStr, CString};
use std::io;
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
    let mut buffer = vec![0; USUAL];
    let length = match value_into(path, name, &mut buffer) {
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {
            buffer.resize(MAX, 0);
            value_into(path, name, &mut buffer)
        }
        read => read,
    };
    Ok(length?.map(|length| {
        buffer.truncate(length);
        buffer
    }))
}

/// The names of all attributes.
///
/// # Errors
/// The operating system's.
pub fn names(path: &CStr) -> io::Result<Vec<CString>> {
    let mut buffer = vec![0; USUAL];
    let length = match names_into(path, &mut buffer) {
        Err(error) if error.raw_os_error() == Some(libc::ERANGE) => {
            buffer.resize(MAX, 0);
            names_into(path, &mut buffer)
        }
        read => read,
    };
    buffer.truncate(length?);
    let names = buffer.split_inclusive(|byte| *byte == 0);
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

fn names_into(path: &CStr, buffer: &mut [u8]) -> io::Result<usize> {
    let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: the path is a live C string, and the kernel writes at most `size` bytes to `start`,
    // which are `buffer`'s own.
    let length = unsafe { libc::llistxattr(path.as_ptr(), start, size) };
    match usize::try_from(length) {
        Ok(length) => Ok(length),
        Err(_) => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(0),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{has, libc, names, value};
    use std::ffi::{CStr, CString};

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
        let mut found = names(&c).unwrap();
        found.sort();
        assert_eq!(found, [c"user.a".to_owned(), c"user.b".to_owned()]);
        assert_eq!(value(&c, c"user.a").unwrap(), Some(b"1".to_vec()));
        assert_eq!(value(&c, c"user.b").unwrap(), Some(vec![b'x'; 2000]));
        assert_eq!(value(&c, c"user.c").unwrap(), None);
        assert!(has(&path, c"user.a").unwrap() && !has(&path, c"user.c").unwrap());
    }
}
