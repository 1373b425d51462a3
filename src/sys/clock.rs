//! The wall clock, read in one place, and whether something keeps it right.

use std::io;
use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::libc;

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

/// Whether the kernel has been told lately, by NTP or the like, that the clock is right.
///
/// # Errors
/// The operating system's.
pub fn is_synchronised() -> io::Result<bool> {
    // Modes 0: nothing is set.
    let mut state = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: the pointer is to a live `timex` of zeros, which is a valid one with `modes` 0; the
    // kernel fills it in and keeps no reference.
    let answer = unsafe { libc::adjtimex(state.as_mut_ptr()) };
    match answer {
        -1 => Err(io::Error::last_os_error()),
        // The answer is the clock's state, and this is the one that NTP has not set.
        state => Ok(state != libc::TIME_ERROR),
    }
}

/// Writes Unix seconds as RFC 3339 has them, in UTC.
#[must_use]
pub fn rfc3339(seconds: u64) -> String {
    let (hour, minute, second) = time_of_day(seconds);
    let (year, month, day) = date(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads what [`rfc3339`] writes, and no other spelling.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // Months as `date` below counts them, from March.
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let year = year.checked_sub(u64::from(month <= 2))?;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + in_year;
    let seconds = days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second;
    // Whatever is no date comes back as another one.
    (rfc3339(seconds) == text).then_some(seconds)
}

/// Reads a time as Go writes it in JSON: RFC 3339 with any fraction and any zone, to the second.
///
/// What Go writes for a time that never was is none, as is all before 1970.
#[must_use]
pub fn parse_go_time(text: &str) -> Option<u64> {
    let (second, rest) = text.split_at_checked("2006-01-02T15:04:05".len())?;
    let seconds = parse_rfc3339(&format!("{second}Z"))?;
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
        None => rest,
    };
    if zone == "Z" {
        return Some(seconds);
    }
    let (sign, hours) = zone.split_at_checked(1)?;
    let ahead = parse_rfc3339(&format!("1970-01-01T{hours}:00Z"))?;
    match sign {
        "+" => seconds.checked_sub(ahead),
        "-" => Some(seconds + ahead),
        _ => None,
    }
}

/// Writes Unix seconds as HTTP has them (RFC 9110, 5.6.7).
#[must_use]
pub fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (hour, minute, second) = time_of_day(seconds);
    let (year, month, day) = date(seconds / 86_400);
    let named = |names: &'static [&'static str], at: u64| {
        let at = usize::try_from(at).unwrap_or(0);
        names.get(at).copied().unwrap_or_default()
    };
    let weekday = named(&DAYS, seconds / 86_400 % 7);
    let month = named(&MONTHS, month.saturating_sub(1));
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

const fn time_of_day(seconds: u64) -> (u64, u64, u64) {
    let in_day = seconds % 86_400;
    (in_day / 3600, in_day / 60 % 60, in_day % 60)
}

/// Year, month and day of a day counted from 1 January 1970.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from 1 March of year 0, so that leap days end years; 400 years have 146097 days.
    let days = days + 719_468;
    let (era, in_era) = (days / 146_097, days % 146_097);
    let year_in_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
    let month_from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_in_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{http_date, parse_go_time, parse_rfc3339, rfc3339};

    #[test]
    fn writes_dates_as_http_has_them() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        ] {
            assert_eq!(http_date(seconds), text);
        }
    }

    #[test]
    fn writes_dates_as_date_1_does() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_210_096, "2024-02-29T12:34:56Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
            assert_eq!(parse_rfc3339(text), Some(seconds));
        }
        for text in [
            "",
            "2024-02-30T12:34:56Z",
            "2024-13-01T00:00:00Z",
            "2024-02-29T24:00:00Z",
            "2024-02-29 12:34:56Z",
            "2024-02-29T12:34:56+00",
            "0000-00-00T00:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn reads_times_as_go_writes_them() {
        let noon = parse_rfc3339("2026-11-22T12:00:00Z");
        for text in [
            "2026-11-22T12:00:00Z",
            "2026-11-22T12:00:00.540777881Z",
            "2026-11-22T13:00:00.5+01:00",
            "2026-11-22T02:30:00-09:30",
        ] {
            assert_eq!(parse_go_time(text), noon, "{text}");
        }
        for text in [
            "",
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z2026-11-22T12:00:00Z",
            "2026-11-22T12:00:00",
            "2026-11-22T12:00:00.Z",
            "2026-11-22T12:00:00.5",
            "2026-11-22T12:00:00+01:60",
            "2026-11-22T12:00:00+24:00",
            "2026-11-22T12:00:00+0a:00",
            "2026-11-22T12:00:00Zé",
            "2026-11-22T12:00:0é",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert_eq!(parse_go_time(text), None, "{text}");
        }
    }
}
