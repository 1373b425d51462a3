//! Is the allowlist recent enough to answer?
//!
//! Owns the comparison of times and versions; signed values only. Where the
//! high-water mark is kept belongs to `store`.

use crate::verdict::{Reason, ReasonCode};

/// The signed times of an allowlist, and the node's clock. All in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// When the note was signed.
    pub signed: u64,
    /// When it expires.
    pub expires: u64,
    /// The largest signing time that this node has ever seen.
    pub high_water: u64,
    /// The node's clock.
    pub now: u64,
}

impl Ages {
    /// What the time is: the node's clock, or the newest signature ever seen where that is later.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now.max(self.signed).max(self.high_water)
    }
}

/// Whether the allowlist still answers, `grace` seconds of lateness forgiven.
///
/// A clock that stands before the newest signature ever seen is wrong, and is
/// raised to it: a node that boots in 1970 starts what it should, and gains no
/// time once its clock is right.
///
/// # Errors
/// The reason, [`ReasonCode::Stale`].
pub fn check(ages: &Ages, grace: u64) -> Result<(), Reason> {
    let now = ages.now();
    let limit = ages.expires.saturating_add(grace);
    if now <= limit {
        return Ok(());
    }
    let detail = format!("the allowlist expired {} ago", duration(now - ages.expires));
    Err(Reason::new(
        ReasonCode::Stale,
        detail,
        "run 'vcn-hook sync'",
    ))
}

/// A length of time as people say it, to one unit.
#[must_use]
pub fn duration(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::{Ages, check, duration};
    use crate::verdict::ReasonCode;

    const DAY: u64 = 86_400;
    const FRESH: Ages = Ages {
        signed: 1_000_000,
        expires: 1_000_000 + DAY,
        high_water: 0,
        now: 1_000_001,
    };

    #[test]
    fn answers_until_the_second_it_expires() {
        for (now, stale) in [
            (0, false),
            (FRESH.expires, false),
            (FRESH.expires + 1, true),
        ] {
            let code = check(&Ages { now, ..FRESH }, 0).map_err(|reason| reason.code);
            assert_eq!(
                code,
                if stale {
                    Err(ReasonCode::Stale)
                } else {
                    Ok(())
                },
                "{now}"
            );
        }
    }

    #[test]
    fn a_clock_set_back_gains_no_time() {
        let ages = Ages {
            now: 0,
            high_water: FRESH.expires + 1,
            ..FRESH
        };
        assert_eq!(
            check(&ages, 0).map_err(|reason| reason.code),
            Err(ReasonCode::Stale)
        );
    }

    #[test]
    fn grace_is_counted_from_the_expiry() {
        let ages = Ages {
            now: FRESH.expires + 3_600,
            ..FRESH
        };
        assert_eq!(check(&ages, 3_600), Ok(()));
        assert!(check(&ages, 3_599).is_err());
        assert_eq!(
            check(
                &Ages {
                    now: u64::MAX,
                    ..FRESH
                },
                u64::MAX
            ),
            Ok(())
        );
    }

    #[test]
    fn says_durations_as_people_do() {
        let said: Vec<_> = [1, 90, 150, 90_000, 900_000].map(duration).into();
        assert_eq!(
            said,
            ["1 second", "90 seconds", "2 minutes", "25 hours", "10 days"]
        );
    }
}
