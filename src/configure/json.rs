//! One member of a JSON object, set or removed in the text itself.
//!
//! Owns the places of members in a text, and how the text around them is laid
//! out, so that order, indentation and spelling of everything else stay the
//! administrator's. What comes out is read back before it is returned: a text
//! that this does not understand becomes an error and not another meaning.

use std::ops::Range;

use serde_json::{Map, Value};

/// How many objects may stand in one another on the way to a member.
type Way<'a> = &'a [&'a str];

/// Parses a text whose whole is an object; one without any text is an empty object.
///
/// # Errors
/// What is wrong with it, and the line.
pub fn object(text: &str) -> Result<Map<String, Value>, String> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("it is no JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Sets the member at `way`, makes the objects above it that are not there, and changes nothing else.
///
/// # Errors
/// Why it cannot be done: no JSON object, or a way through something that is none.
pub fn set(text: &str, way: Way<'_>, value: &Value) -> Result<String, String> {
    let mut expected = object(text)?;
    insert(&mut expected, way, value)?;
    let text = if text.trim().is_empty() {
        "{\n}\n"
    } else {
        text
    };
    let style = Style::of(text);
    let new = replaced(text, way, value, &style).ok_or_else(not_understood)?;
    checked(new, &expected)
}

/// Removes the member at `way`, if it is there, and changes nothing else.
///
/// # Errors
/// As [`set`].
pub fn remove(text: &str, way: Way<'_>) -> Result<String, String> {
    let mut expected = object(text)?;
    let mut above = Some(&mut expected);
    if let Some((last, way)) = way.split_last() {
        for name in way {
            above = above.and_then(|object| object.get_mut(*name)?.as_object_mut());
        }
        if above.and_then(|object| object.remove(*last)).is_none() {
            return Ok(text.to_owned());
        }
    }
    let new = without(text, way).ok_or_else(not_understood)?;
    checked(new, &expected)
}

fn not_understood() -> String {
    "it is laid out in a way that is not understood".to_owned()
}

fn checked(new: String, expected: &Map<String, Value>) -> Result<String, String> {
    let same = object(&new).is_ok_and(|object| object == *expected);
    same.then_some(new).ok_or_else(not_understood)
}

fn insert(object: &mut Map<String, Value>, way: Way<'_>, value: &Value) -> Result<(), String> {
    match way {
        [] => Ok(()),
        [last] => {
            object.insert((*last).to_owned(), value.clone());
            Ok(())
        }
        [first, rest @ ..] => {
            let below = object
                .entry((*first).to_owned())
                .or_insert_with(|| Map::new().into());
            let below = below.as_object_mut();
            let below = below.ok_or_else(|| format!("\"{first}\" is no object"))?;
            insert(below, rest, value)
        }
    }
}

/// Where a member is: from the first quote of its name to the end of its value.
struct Member {
    name: String,
    start: usize,
    value: Range<usize>,
}

/// An object in the text: the places of its braces, and its members.
struct Object {
    braces: Range<usize>,
    members: Vec<Member>,
}

impl Object {
    /// The object that begins at `at`, in a text that is known to be JSON. Two members of a name are not understood.
    fn at(text: &str, at: usize) -> Option<Self> {
        let bytes = text.as_bytes();
        let mut members: Vec<Member> = Vec::new();
        let mut next = skip_space(bytes, at.checked_add(1)?);
        while *bytes.get(next)? != b'}' {
            let start = next;
            let end = skip_value(bytes, start)?;
            let name: String = serde_json::from_str(text.get(start..end)?).ok()?;
            let colon = skip_space(bytes, end);
            let value = skip_space(bytes, colon.checked_add(1)?);
            let value = value..skip_value(bytes, value)?;
            next = skip_space(bytes, value.end);
            if members.iter().any(|member| member.name == name) {
                return None;
            }
            members.push(Member { name, start, value });
            if *bytes.get(next)? == b',' {
                next = skip_space(bytes, next.checked_add(1)?);
            }
        }
        let braces = at..next;
        Some(Self { braces, members })
    }

    fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// The end of the value that begins at `at`.
fn skip_value(bytes: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut next = at;
    loop {
        match *bytes.get(next)? {
            b'"' => next = skip_string(bytes, next)?,
            b'{' | b'[' => {
                depth += 1;
                next += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                next += 1;
            }
            _ => {
                let more = |byte: &u8| !b" \t\r\n,:{}[]\"".contains(byte);
                let word = bytes.get(next..)?.iter().take_while(|b| more(b)).count();
                next += word.max(1);
            }
        }
        if depth == 0 {
            return Some(next);
        }
    }
}

fn skip_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut next = at.checked_add(1)?;
    loop {
        match *bytes.get(next)? {
            b'"' => return next.checked_add(1),
            b'\\' => next += 2,
            _ => next += 1,
        }
    }
}

/// How a text is laid out, by the look of its first member.
struct Style {
    /// What one level is indented by; `None` for a text that stands on one line.
    indent: Option<String>,
    line_end: &'static str,
    /// What stands behind a colon, and behind a comma on one line.
    space: &'static str,
}

impl Style {
    fn of(text: &str) -> Self {
        let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let root = Object::at(text, skip_space(text.as_bytes(), 0));
        let first = root.as_ref().and_then(|root| root.members.first());
        let Some(first) = first else {
            // As Docker's documentation and most of its users write it.
            let indent = text.trim().contains('\n').then(|| "  ".to_owned());
            let (line_end, space) = (line_end, " ");
            return Self {
                indent,
                line_end,
                space,
            };
        };
        let before = text.get(..first.start).unwrap_or_default();
        let line = before.rsplit_once('\n').map(|(_, line)| line);
        let colon = text.get(first.start..first.value.start).unwrap_or_default();
        Self {
            indent: line.map(str::to_owned),
            line_end,
            space: if colon.ends_with(':') { "" } else { " " },
        }
    }

    /// A value as it stands in a line that is indented by `indent`.
    fn render(&self, value: &Value, indent: &str) -> String {
        let (Value::Object(object), Some(unit)) = (value, &self.indent) else {
            return match value {
                Value::Object(object) => {
                    let members = object.iter().map(|(name, value)| {
                        format!(
                            "{}:{}{}",
                            Value::from(name.as_str()),
                            self.space,
                            self.render(value, "")
                        )
                    });
                    let comma = format!(",{}", self.space);
                    format!("{{{}}}", members.collect::<Vec<_>>().join(&comma))
                }
                other => other.to_string(),
            };
        };
        if object.is_empty() {
            return "{}".to_owned();
        }
        let inner = format!("{indent}{unit}");
        let members = object.iter().map(|(name, value)| {
            let value = self.render(value, &inner);
            format!(
                "{inner}{}:{}{value}",
                Value::from(name.as_str()),
                self.space
            )
        });
        let comma = format!(",{}", self.line_end);
        let members = members.collect::<Vec<_>>().join(&comma);
        format!("{{{0}{members}{0}{indent}}}", self.line_end)
    }
}

/// The text with the member replaced, or put behind the last one of its object.
fn replaced(text: &str, way: Way<'_>, value: &Value, style: &Style) -> Option<String> {
    let mut object = Object::at(text, skip_space(text.as_bytes(), 0))?;
    let mut way = way;
    while let [name, rest @ ..] = way {
        let Some(member) = object.member(name) else {
            break;
        };
        if rest.is_empty() {
            let indent = indent_of(text, member.start);
            let new = style.render(value, indent);
            return spliced(text, member.value.clone(), &new);
        }
        object = Object::at(text, member.value.start)?;
        way = rest;
    }
    let (first, rest) = way.split_first()?;
    let nested = rest.iter().rev().fold(value.clone(), |value, name| {
        Map::from_iter([((*name).to_owned(), value)]).into()
    });
    let name = Value::from(*first);
    let member = |indent: &str| format!("{name}:{}{}", style.space, style.render(&nested, indent));
    let Object { braces, members } = object;
    let Some(last) = members.last() else {
        let indent = indent_of(text, braces.start);
        let new = match &style.indent {
            Some(unit) => {
                let inner = format!("{indent}{unit}");
                format!("{0}{inner}{1}{0}{indent}", style.line_end, member(&inner))
            }
            None => member(""),
        };
        return spliced(text, braces.start.checked_add(1)?..braces.end, &new);
    };
    let before = text.get(..last.start)?.trim_end_matches([' ', '\t']);
    let new = if before.ends_with('\n') {
        let indent = indent_of(text, last.start);
        format!(",{}{indent}{}", style.line_end, member(indent))
    } else {
        format!(",{}{}", style.space, member(indent_of(text, last.start)))
    };
    spliced(text, last.value.end..last.value.end, &new)
}

/// The text without the member, and without the comma that parted it from its neighbour.
fn without(text: &str, way: Way<'_>) -> Option<String> {
    let (last, above) = way.split_last()?;
    let mut object = Object::at(text, skip_space(text.as_bytes(), 0))?;
    for name in above {
        let start = object.member(name)?.value.start;
        object = Object::at(text, start)?;
    }
    let Object { braces, members } = &object;
    let at = members.iter().position(|member| member.name == *last)?;
    let member = members.get(at)?;
    let before = at.checked_sub(1).and_then(|at| members.get(at));
    let range = match (before, members.get(at + 1)) {
        (Some(before), _) => before.value.end..member.value.end,
        (None, Some(after)) => member.start..after.start,
        (None, None) => braces.start.checked_add(1)?..braces.end,
    };
    spliced(text, range, "")
}

/// The white space with which the line of a place begins.
fn indent_of(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
    let rest = line.trim_start_matches([' ', '\t']);
    line.get(..line.len() - rest.len()).unwrap_or_default()
}

fn spliced(text: &str, range: Range<usize>, new: &str) -> Option<String> {
    Some([text.get(..range.start)?, new, text.get(range.end..)?].concat())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{object, remove, set};

    const WAY: &[&str] = &["runtimes", "vcn"];

    fn entry() -> Value {
        json!({"path": "/g"})
    }

    #[test]
    fn a_member_stands_behind_the_last_as_the_others_do() {
        for (old, new) in [
            (
                "",
                "{\n  \"runtimes\": {\n    \"vcn\": {\n      \"path\": \"/g\"\n    }\n  }\n}\n",
            ),
            ("{}", "{\"runtimes\": {\"vcn\": {\"path\": \"/g\"}}}"),
            (
                "{\n}\n",
                "{\n  \"runtimes\": {\n    \"vcn\": {\n      \"path\": \"/g\"\n    }\n  }\n}\n",
            ),
            (
                "{\"a\":1,\"b\":[1,2]}",
                "{\"a\":1,\"b\":[1,2],\"runtimes\":{\"vcn\":{\"path\":\"/g\"}}}",
            ),
            (
                "{\n\t\"a\": \"}\\\"\"\n}",
                "{\n\t\"a\": \"}\\\"\",\n\t\"runtimes\": {\n\t\t\"vcn\": {\n\t\t\t\"path\": \"/g\"\n\t\t}\n\t}\n}",
            ),
            (
                "{\n    \"runtimes\": {\n        \"x\": { \"path\": \"/x\" }\n    },\n    \"z\": 1\n}\n",
                "{\n    \"runtimes\": {\n        \"x\": { \"path\": \"/x\" },\n        \"vcn\": {\n            \"path\": \"/g\"\n        }\n    },\n    \"z\": 1\n}\n",
            ),
            (
                "{\r\n  \"a\": 1\r\n}",
                "{\r\n  \"a\": 1,\r\n  \"runtimes\": {\r\n    \"vcn\": {\r\n      \"path\": \"/g\"\r\n    }\r\n  }\r\n}",
            ),
            (
                "{ \"runtimes\": {} }",
                "{ \"runtimes\": {\"vcn\": {\"path\": \"/g\"}} }",
            ),
            (
                "{\n  \"runtimes\": { \"vcn\": {\"path\": \"/old\", \"z\": 1} }\n}",
                "{\n  \"runtimes\": { \"vcn\": {\n    \"path\": \"/g\"\n  } }\n}",
            ),
        ] {
            assert_eq!(set(old, WAY, &entry()).as_deref(), Ok(new), "{old}");
        }
    }

    #[test]
    fn what_was_put_in_comes_out_without_a_trace() {
        for old in [
            "{\"a\":1}",
            "{ \"b\" : [ {} ] }\n",
            "{\n    \"z\": 1,\n    \"a\": {\"runtimes\": 2}\n}\n",
            "{\n  \"runtimes\": {\n    \"x\": {\"path\": \"/x\"}\n  }\n}",
            "{\r\n\t\"log-opts\": {\r\n\t\t\"max-size\": \"1m\"\r\n\t}\r\n}\r\n",
        ] {
            let has_runtimes = object(old).unwrap().contains_key("runtimes");
            let way = if has_runtimes { WAY } else { &WAY[..1] };
            let new = set(old, WAY, &entry()).unwrap();
            assert_ne!(new, old);
            assert_eq!(remove(&new, way).as_deref(), Ok(old));
            assert_eq!(remove(old, way).as_deref(), Ok(old));
        }
        let first = "{\n  \"vcn\": 1,\n  \"b\": 2\n}";
        assert_eq!(remove(first, &["vcn"]).as_deref(), Ok("{\n  \"b\": 2\n}"));
        assert_eq!(remove("{\n \"vcn\": 1\n}", &["vcn"]).as_deref(), Ok("{}"));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in [
            "[]",
            "{\"a\":1,}",
            "{\"runtimes\":[]}",
            "{\"a\":1} x",
            "{\"runtimes\":{},\"runtimes\":{\"a\":{}}}",
        ] {
            set(text, WAY, &entry()).expect_err(text);
        }
        assert_eq!(
            set("{\n\"a\": \n}", WAY, &entry()),
            Err("expected value at line 3 column 1".to_owned())
        );
    }
}
