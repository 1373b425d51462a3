//! YAML, as far as an answer needs it.
//!
//! Owns the block form of a JSON value with every string in double quotes,
//! so that no value is mistaken for a number, a date or `no`. Reads nothing:
//! a writer of forty lines does not need a library that also parses.

use std::fmt::Write as _;

use serde_json::Value;

use super::escape::deceives;

/// Writes `value` as one YAML document, ending in a line end.
#[must_use]
pub fn document(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(&mut text, value, 0),
        Value::Array(list) if !list.is_empty() => block(&mut text, value, 0),
        _ => {
            text.push_str(&scalar(value));
            text.push('\n');
        }
    }
    text
}

fn block(text: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                text.push_str(&" ".repeat(indent));
                text.push_str(&name(key));
                text.push(':');
                nested(text, value, indent + 2);
            }
        }
        Value::Array(list) => {
            for value in list {
                text.push_str(&" ".repeat(indent));
                text.push('-');
                nested(text, value, indent + 2);
            }
        }
        _ => {}
    }
}

fn nested(text: &mut String, value: &Value, indent: usize) {
    let empty = match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    };
    if empty {
        text.push(' ');
        text.push_str(&scalar(value));
        text.push('\n');
    } else {
        text.push('\n');
        block(text, value, indent);
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(string) => quoted(string),
        Value::Array(_) => "[]".to_owned(),
        Value::Object(_) => "{}".to_owned(),
    }
}

fn name(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
            .contains(&key.to_ascii_lowercase().as_str());
    if plain { key.to_owned() } else { quoted(key) }
}

fn quoted(string: &str) -> String {
    let mut text = String::from("\"");
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            // Writing into a String cannot fail.
            other if deceives(other) => {
                let _ = write!(text, "\\U{:08x}", u32::from(other));
            }
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::document;
    use serde_json::json;

    #[test]
    fn nests_and_quotes() {
        let value = json!({
            "a": 1, "b": [], "c": {"no": "yes", "x-y": null},
            "d": [{"e": "1.4"}, "f\n\u{202e}\"", [true]],
        });
        assert_eq!(
            document(&value),
            "a: 1\nb: []\nc:\n  \"no\": \"yes\"\n  \"x-y\": null\nd:\n  -\n    e: \"1.4\"\n  \
             - \"f\\n\\U0000202e\\\"\"\n  -\n    - true\n"
        );
        assert_eq!(document(&json!({})), "{}\n");
    }
}
