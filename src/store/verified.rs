//! Which note was verified last on this node, so that its signatures are verified once and not at
//! every start.
//!
//! Owns the file `verified` in the run directory. It is root's alone, as gate.bin is, which holds the
//! keys: whoever could write the one could write the other. It holds one digest, over the keys, their
//! threshold, the origin and the note's own bytes: a note that differs in a byte, or other keys, is
//! verified anew. It is never needed: without it every start verifies.

use std::path::Path;

use crate::allowlist::note::VerifierKey;
use crate::image::digest::Digest;
use crate::sys::file;

/// What the digest is over; a change of what it covers changes this.
const LABEL: &[u8] = b"vcn-hook verified note v1\n";
const MAX_SIZE: u64 = 128;

/// Names a note together with everything that its verification depends on.
pub(super) fn name(bytes: &[u8], keys: &[VerifierKey], threshold: usize, origin: &str) -> Digest {
    let mut named = LABEL.to_vec();
    named.extend(format!("{threshold}\n{origin}\n").as_bytes());
    for key in keys {
        // A key's name has neither spaces nor line breaks, so that one list has one spelling.
        named.extend(key.to_string().as_bytes());
        named.push(b'\n');
    }
    named.push(b'\n');
    named.extend(bytes);
    Digest::of(&named)
}

/// Whether it is `note` that was verified last.
pub(super) fn is_remembered(path: &Path, note: &Digest) -> bool {
    file::read_owned(path, MAX_SIZE).is_ok_and(|bytes| bytes == line(note))
}

/// Remembers `note`; best effort, and not across a restart of the machine.
pub(super) fn remember(path: &Path, note: &Digest) {
    let _ = file::replace_volatile(path, &line(note), 0o644);
}

fn line(note: &Digest) -> Vec<u8> {
    format!("{}\n", note.hex()).into_bytes()
}
