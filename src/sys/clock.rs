//! The wall clock, read in one place.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix seconds; 0 for a clock before 1970, which every caller treats as "unknown past".
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
