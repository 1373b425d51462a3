//! A static Rust process that does nothing: what the language costs before we do anything.

fn main() {}
