//! Moments and sizes, as people and scripts read and write them.
//!
//! Owns the text forms of Unix seconds (vcn's for text, RFC 3339 for JSON)
//! and of byte counts, and the parsing of an end date. Refuses to ask what time it is.

const DAY: u64 = 86_400;

/// The form of vcn's text output: `2019-05-01 14:00:35 +0000 UTC`.
#[must_use]
pub fn text(unix: u64) -> String {
    let (date, time) = parts(unix);
    format!("{date} {time} +0000 UTC")
}

/// The form of vcn's JSON output: `2019-05-01T14:00:35Z`.
#[must_use]
pub fn rfc3339(unix: u64) -> String {
    let (date, time) = parts(unix);
    format!("{date}T{time}Z")
}

/// Bytes in decimal units, with one decimal below ten: `270 MB`, `1.6 GB`, `82 B`.
#[must_use]
pub fn size(bytes: u64) -> String {
    let mut unit = 1_u64;
    for name in ["B", "kB", "MB", "GB", "TB", "PB"] {
        // The largest unit takes whatever is left.
        let next = unit.saturating_mul(1000);
        if bytes < next || name == "PB" {
            let tenths = bytes / (unit / 10).max(1);
            return if unit > 1 && tenths < 100 {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            } else {
                format!("{} {name}", bytes / unit)
            };
        }
        unit = next;
    }
    format!("{bytes} B")
}

/// Reads a span of time: `90m`, `24h` or `2d`.
#[must_use]
pub fn span(input: &str) -> Option<u64> {
    let (number, unit) = input.split_at_checked(input.len().checked_sub(1)?)?;
    let unit = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => DAY,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Reads an end date: `2027-03-31` (the end of that day, UTC), `2027-03-31T12:00:00Z`, or a span
/// from `now` such as `90d` or `12h`.
#[must_use]
pub fn parse(input: &str, now: u64) -> Option<u64> {
    if let Some(days) = input.strip_suffix('d') {
        return now.checked_add(days.parse::<u64>().ok()?.checked_mul(DAY)?);
    }
    if let Some(hours) = input.strip_suffix('h') {
        return now.checked_add(hours.parse::<u64>().ok()?.checked_mul(3_600)?);
    }
    let (date, time) = match input.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (input, "23:59:59"),
    };
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    if !(1970..=9999).contains(&year) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let start = days_before(year, month, day)? * DAY;
    let unix = start + hour * 3_600 + minute * 60 + second;
    // A day that the month does not have comes back as another date.
    parts(unix).0.eq(date).then_some(unix)
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut numbers = text.split(separator).map(|part| {
        part.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| part.parse().ok())
            .flatten()
    });
    let three = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(three)
}

fn parts(unix: u64) -> (String, String) {
    let (year, month, day) = civil(unix / DAY);
    let second = unix % DAY;
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!(
            "{:02}:{:02}:{:02}",
            second / 3_600,
            second / 60 % 60,
            second % 60
        ),
    )
}

/// The proleptic Gregorian date of a day counted from 1970-01-01, with March as the first month
/// so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let since = days + 719_468;
    let era = since / 146_097;
    let day_of_era = since % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn days_before(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year - u64::from(month <= 2);
    let year_of_era = year % 400;
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * shifted + 2) / 5 + day - 1;
    (year / 400 * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::{parse, rfc3339, size, text};

    #[test]
    fn writes_moments_as_vcn_does() {
        assert_eq!(text(1_556_719_235), "2019-05-01 14:00:35 +0000 UTC");
        for (unix, written) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(unix), written);
            assert_eq!(parse(written, 0), Some(unix));
        }
    }

    #[test]
    fn reads_end_dates() {
        for (input, unix) in [
            ("1970-01-01", Some(86_399)),
            ("90d", Some(1_000 + 90 * 86_400)),
            ("2h", Some(8_200)),
            ("2023-02-29", None),
            ("2023-13-01", None),
            ("1969-12-31", None),
            ("+1-01-01", None),
            ("tomorrow", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(parse(input, 1_000), unix, "{input}");
        }
    }

    #[test]
    fn writes_sizes_for_people() {
        for (bytes, written) in [
            (0, "0 B"),
            (82, "82 B"),
            (999, "999 B"),
            (1_600, "1.6 kB"),
            (9_999, "9.9 kB"),
            (270_000_000, "270 MB"),
            (u64::MAX, "18446 PB"),
        ] {
            assert_eq!(size(bytes), written);
        }
    }
}
