//! vcn-hook.
fn main() {}
