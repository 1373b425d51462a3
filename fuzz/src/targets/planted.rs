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

fn panics(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"\x7fPLANT") && bytes.get(6..8) == Some(b"ED") {
        let none: Option<u8> = black_box(None);
        return none.unwrap() > 0;
    }
    true
}

fn hangs(bytes: &[u8]) -> bool {
    if bytes.get(..8) == Some(b"for ever") {
        loop {
            black_box(bytes);
        }
    }
    true
}

fn believes(bytes: &[u8]) -> bool {
    if bytes.get(..4) == Some(b"LEN=") {
        let length = bytes.get(4..8).map_or(0, |word| {
            word.iter()
                .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
        });
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
