//! Bugs on purpose, one of each kind, behind conditions that blind mutation does not meet.
//!
//! `tests/fuzz.rs` shows that each is found, saved, and found again in what was saved.

use std::hint::black_box;

use super::Target;
use super::made;
use vcn_hook::allowlist::note::SignedNote;

pub const ALL: &[Target] = &[
    Target::new("planted-panic", "a panic behind eight bytes", panics),
    Target::new(
        "planted-hang",
        "a loop without end behind eight bytes",
        hangs,
    ),
    Target::new("planted-memory", "a length that is believed", believes),
    Target {
        made: Some(made::notes),
        ..Target::new(
            "planted-allow",
            "a note whose signature nobody verifies",
            allows,
        )
    },
];

/// The number in eight bytes: what a format's magic is compared with.
fn magic(bytes: &[u8]) -> u64 {
    bytes.first_chunk().copied().map_or(0, u64::from_be_bytes)
}

fn panics(bytes: &[u8]) -> bool {
    if magic(bytes) == u64::from_be_bytes(*b"\x7fPLANTED") {
        let none: Option<u8> = black_box(None);
        return none.unwrap() > 0;
    }
    true
}

fn hangs(bytes: &[u8]) -> bool {
    if magic(bytes) == u64::from_be_bytes(*b"for ever") {
        loop {
            black_box(bytes);
        }
    }
    true
}

fn believes(bytes: &[u8]) -> bool {
    let word = |at: usize| {
        let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
        word.copied().map_or(0, u32::from_be_bytes)
    };
    if word(0) == u32::from_be_bytes(*b"LEN=") {
        // At most 2 GiB, so that it is the counting that stops it.
        let length = usize::try_from(word(4) >> 1).unwrap_or(0);
        return !black_box(vec![1_u8; length]).is_empty();
    }
    true
}

fn allows(bytes: &[u8]) -> bool {
    let Ok(note) = SignedNote::parse(bytes) else {
        return false;
    };
    assert_eq!(
        note.text,
        made::TEXT,
        "a text that nobody signed is believed"
    );
    true
}
