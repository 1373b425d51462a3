//! journald's native protocol (`systemd.io/JOURNAL_NATIVE_PROTOCOL`): one datagram, sent without waiting.

use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, sendto, socket};

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// Sends one entry. Journald's absence, or a queue that is full, is an error like any other.
///
/// # Errors
/// The operating system's.
pub fn send(to: &Path, fields: &[(&str, &str)]) -> io::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    let quiet = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendto(
        socket.as_raw_fd(),
        &encode(fields),
        &UnixAddr::new(to)?,
        quiet,
    )?;
    Ok(())
}

/// `NAME=value` where the value is one line; else the name, the length (64 bits, little-endian) and the value.
fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(1024);
    for (name, value) in fields {
        datagram.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            datagram.push(b'\n');
            datagram.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            datagram.push(b'=');
        }
        datagram.extend_from_slice(value.as_bytes());
        datagram.push(b'\n');
    }
    datagram
}

#[cfg(test)]
mod tests {
    use super::{encode, send};

    #[test]
    fn a_value_cannot_add_a_field() {
        assert_eq!(
            encode(&[("A", "b"), ("C", "d\nE=f")]),
            b"A=b\nC\n\x05\0\0\0\0\0\0\0d\nE=f\n"
        );
    }

    #[test]
    fn sends_one_datagram() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("socket");
        let journald = std::os::unix::net::UnixDatagram::bind(&path).expect("bound");
        send(&path, &[("MESSAGE", "hello")]).expect("somebody listens");
        let mut datagram = [0; 64];
        let length = journald.recv(&mut datagram).expect("it was sent");
        assert_eq!(&datagram[..length], b"MESSAGE=hello\n");
    }
}
