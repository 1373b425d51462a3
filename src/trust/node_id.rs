//! The name of one node, as an exemption is made out to it.
//!
//! Owns how it follows from the machine id: systemd's application-specific id
//! (`sd_id128_get_machine_app_specific`), so that it says nothing of the machine
//! id itself, which is meant to stay on the machine. Reading the file is the
//! caller's. A machine id that is none, such as that of an image that has not
//! been booted, names no node.

use std::fmt;
use std::str::FromStr;

use ring::hmac;

use crate::image::digest::hex;

/// The file that it follows from (machine-id(5)).
pub const MACHINE_ID: &str = "/etc/machine-id";

/// The most bytes of that file that are read.
pub const MAX_MACHINE_ID: u64 = 64;

/// What makes it ours: `systemd-id128 machine-id --app-specific=` with this shows the same.
const APPLICATION: [u8; 16] = [
    0xbe, 0x61, 0x6f, 0x35, 0xc9, 0x25, 0x43, 0x1a, 0x90, 0x67, 0xd2, 0x29, 0x4f, 0x6f, 0xae, 0xda,
];

/// 128 bits, written as 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId([u8; 16]);

/// Why there is no node id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeIdError(&'static str);

impl NodeId {
    /// Derives it from what is in [`MACHINE_ID`].
    ///
    /// # Errors
    /// [`NodeIdError`] unless that is one machine id, in lower case, and not all zero.
    pub fn of_machine_id(file: &[u8]) -> Result<Self, NodeIdError> {
        const NONE: NodeIdError = NodeIdError("it holds no machine id");
        let text = std::str::from_utf8(file).map_err(|_| NONE)?;
        let machine: Self = text.trim_end().parse().map_err(|_| NONE)?;
        if machine.0 == [0; 16] {
            return Err(NONE);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, &machine.0);
        let tag = hmac::sign(&key, &APPLICATION);
        let (id, _) = tag.as_ref().split_first_chunk().ok_or(NONE)?;
        // As a random UUID says of itself (RFC 9562, sections 4.1 and 5.4), and so does systemd.
        let mut id: [u8; 16] = *id;
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut id;
        *version = *version & 0x0f | 0x40;
        *variant = *variant & 0x3f | 0x80;
        Ok(Self(id))
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, NodeIdError> {
        const FORM: NodeIdError = NodeIdError("a node id is 32 lower-case hexadecimal digits");
        let canonical = text.len() == 32
            && text
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return Err(FORM);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| FORM)?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Display for NodeIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NodeIdError {}

#[cfg(test)]
mod tests {
    use super::NodeId;

    #[test]
    fn is_what_systemd_derives() {
        // systemd-id128 machine-id --app-specific=be616f35c925431a9067d2294f6faeda, where
        // /etc/machine-id was the first of these.
        let id = NodeId::of_machine_id(b"3d1219c7c4c5404aaa1f6d2a48adfda4\n").unwrap();
        assert_eq!(id.to_string(), "0fb5f7213de24d90817e523870be7b54");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_machine_that_was_never_booted_is_no_node() {
        for file in [
            &b""[..],
            b"uninitialized\n",
            b"00000000000000000000000000000000\n",
            b"3D1219C7C4C5404AAA1F6D2A48ADFDA4\n",
            b"3d1219c7c4c5404aaa1f6d2a48adfda4\n3d1219c7c4c5404aaa1f6d2a48adfda4\n",
            b"\xff",
        ] {
            assert!(NodeId::of_machine_id(file).is_err(), "{file:?}");
        }
    }
}
