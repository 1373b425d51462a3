//! What a service tells its manager (`sd_notify`, systemd): one datagram, sent without waiting.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, sendto, socket};

/// Sends lines of `NAME=value` to the socket that the manager has named in `NOTIFY_SOCKET`.
///
/// # Errors
/// The operating system's.
pub fn send(to: &OsStr, lines: &str) -> io::Result<()> {
    let address = match to.as_bytes().strip_prefix(b"@") {
        Some(name) => UnixAddr::new_abstract(name)?,
        None => UnixAddr::new(Path::new(to))?,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    let quiet = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendto(socket.as_raw_fd(), lines.as_bytes(), &address, quiet)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::send;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn sends_one_datagram_to_a_path() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("notify");
        // A fake: it stands where a service's manager does.
        let manager = UnixDatagram::bind(&path).expect("the name is free");
        send(path.as_os_str(), "READY=1\nSTATUS=x").expect("it is sent");
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).expect("one datagram");
        assert_eq!(&bytes[..length], b"READY=1\nSTATUS=x");
        send(directory.path().join("none").as_os_str(), "READY=1").expect_err("nobody listens");
    }
}
