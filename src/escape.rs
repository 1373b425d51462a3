//! Text from outside, made harmless.
//!
//! Image names, companies and error texts of other programs end on terminals
//! and in logs. Owns the rule which characters may not get there as they
//! are: those that move a cursor, end a line, or change the order or the
//! presence of what is read. Nothing else is changed, and no information is lost.

use std::fmt::{self, Write as _};

/// Shows a text with every deceptive character, and the backslash itself, escaped.
///
/// ```
/// use vcn_hook::escape::Escaped;
///
/// assert_eq!(Escaped("app\u{1b}[2J\u{202e}").to_string(), r"app\u{1b}[2J\u{202e}");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                other if deceives(other) => write!(f, "\\u{{{:x}}}", u32::from(other))?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Makes an error message harmless: as [`Escaped`], but a backslash, common in messages that
/// already quote, stays one.
#[must_use]
pub fn message(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if deceives(character) {
            // Writing into a String cannot fail.
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Replaces deceptive characters in JSON text by their `\u` escapes. The value stays the same:
/// outside of strings JSON has none of them but line ends, which are left alone.
#[must_use]
pub fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '\n' && deceives(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// True for a character that shows nothing, or changes how its neighbours are shown.
#[must_use]
pub fn deceives(character: char) -> bool {
    character.is_control()
        || matches!(u32::from(character),
            0xad | 0x034f | 0x061c | 0x115f..=0x1160 | 0x17b4..=0x17b5
            | 0x180b..=0x180f
            // Zero width, directional marks, line and paragraph separators, embeddings, isolates.
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f
            | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb
            // Musical and shorthand format controls, then tags and variation selectors.
            | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

#[cfg(test)]
mod tests {
    use super::{Escaped, json, message};

    #[test]
    fn shows_what_would_move_hide_or_reorder_text() {
        for (text, shown) in [
            ("docker://app:1.4", "docker://app:1.4"),
            ("Bücher GmbH 株式会社", "Bücher GmbH 株式会社"),
            ("a\nStatus:  \"TRUSTED\"", "a\\nStatus:  \"TRUSTED\""),
            ("\u{1b}]0;x\u{7}", "\\u{1b}]0;x\\u{7}"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("\u{e0041}", "\\u{e0041}"),
            ("a\\u{202e}", "a\\\\u{202e}"),
        ] {
            assert_eq!(Escaped(text).to_string(), shown);
        }
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({"name": "a\u{202e}b\u{7f}\n\u{e0041}\u{1b}"});
        let safe = json(&serde_json::to_string_pretty(&value).unwrap());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&safe).unwrap(),
            value
        );
        assert!(safe.is_ascii());
    }

    #[test]
    fn a_message_stays_on_one_line() {
        assert_eq!(
            message("cannot read 'a\nb': \\x"),
            "cannot read 'a\\u{a}b': \\x"
        );
    }
}
