//! Which part of a file a request wants, if any (RFC 9110, 13 and 14).
//!
//! Pure: header values and a length in, a decision out.

use crate::http::message::Head;

/// What to send of a file of which all bytes are known to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing: the client has it.
    Nothing,
    /// Everything.
    Whole,
    /// So many bytes from here on.
    Part { from: u64, length: u64 },
    /// A range that begins beyond its end.
    Beyond,
}

impl Wanted {
    /// Decides for a file of `length` bytes whose strong etag is `etag`.
    pub(super) fn of(head: &Head, etag: &str, length: u64) -> Self {
        if head
            .if_none_match
            .as_deref()
            .is_some_and(|known| names(known, etag))
        {
            return Self::Nothing;
        }
        match (&head.range, &head.if_range) {
            (None, _) => Self::Whole,
            // A part of something else than the client has the beginning of is of no use.
            (Some(_), Some(known)) if known != etag => Self::Whole,
            (Some(range), _) => part(range, length),
        }
    }
}

/// Says whether a list of etags has this one. A proxy may have weakened it on the way.
fn names(known: &str, etag: &str) -> bool {
    known
        .split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}

/// Several ranges, other units and what is no range are answered with everything, as HTTP has it.
fn part(range: &str, length: u64) -> Wanted {
    let spelled = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'));
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number that does not fit is beyond the end of any file.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (from, end) = match spelled.map(|(from, to)| (from.trim(), to.trim())) {
        Some(("", last)) => match number(last) {
            Some(0) => return Wanted::Beyond,
            Some(last) => (length.saturating_sub(last), length),
            None => return Wanted::Whole,
        },
        Some((from, "")) => match number(from) {
            Some(from) => (from, length),
            None => return Wanted::Whole,
        },
        Some((from, to)) => match (number(from), number(to)) {
            (Some(from), Some(to)) if from <= to => (from, length.min(to.saturating_add(1))),
            _ => return Wanted::Whole,
        },
        None => return Wanted::Whole,
    };
    if from >= length {
        return Wanted::Beyond;
    }
    Wanted::Part {
        from,
        length: end.saturating_sub(from),
    }
}

#[cfg(test)]
mod tests {
    use super::Wanted;
    use crate::http::message::Head;

    fn wanted(lines: &str, length: u64) -> Wanted {
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
        let (head, _) = Head::parse(text.as_bytes()).unwrap().unwrap();
        Wanted::of(&head, "\"e\"", length)
    }

    #[test]
    fn a_range_is_cut_at_the_end_and_refused_beyond_it() {
        use Wanted::{Beyond, Part, Whole};
        let part = |from, length| Part { from, length };
        for (range, expected) in [
            ("bytes=0-", part(0, 10)),
            ("bytes=0-0", part(0, 1)),
            ("bytes=3-5", part(3, 3)),
            ("bytes=9-", part(9, 1)),
            ("bytes=9-99", part(9, 1)),
            ("bytes=3-99999999999999999999999", part(3, 7)),
            ("bytes=-1", part(9, 1)),
            ("bytes=-10", part(0, 10)),
            ("bytes=-99", part(0, 10)),
            ("bytes=10-", Beyond),
            ("bytes=10-12", Beyond),
            ("bytes=99999999999999999999999-", Beyond),
            ("bytes=-0", Beyond),
            ("bytes=5-3", Whole),
            ("bytes=0-1,3-4", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-", Whole),
            ("lines=0-1", Whole),
            ("", Whole),
        ] {
            assert_eq!(
                wanted(&format!("Range: {range}\r\n"), 10),
                expected,
                "{range}"
            );
        }
        assert_eq!(wanted("Range: bytes=0-\r\n", 0), Beyond);
    }

    #[test]
    fn who_has_it_is_sent_nothing_and_who_has_another_everything() {
        use Wanted::{Nothing, Part, Whole};
        for (lines, expected) in [
            ("If-None-Match: \"e\"\r\n", Nothing),
            ("If-None-Match: \"a\", W/\"e\"\r\n", Nothing),
            ("If-None-Match: *\r\n", Nothing),
            ("If-None-Match: \"a\"\r\n", Whole),
            ("If-None-Match: e\r\n", Whole),
            ("If-None-Match: \"e\"\r\nRange: bytes=99-\r\n", Nothing),
            (
                "If-Range: \"e\"\r\nRange: bytes=1-\r\n",
                Part { from: 1, length: 9 },
            ),
            ("If-Range: \"a\"\r\nRange: bytes=1-\r\n", Whole),
            ("If-Range: W/\"e\"\r\nRange: bytes=1-\r\n", Whole),
        ] {
            assert_eq!(wanted(lines, 10), expected, "{lines}");
        }
    }
}
