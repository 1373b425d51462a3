//! Docker's `daemon.json`, as bytes.
//!
//! Owns which default runtime can be wrapped with all its options, which must be left alone, and how
//! our part comes out of a file that was changed since. Where the file is, is `docker`'s to know.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::json as text;
use super::places::Places;
use crate::engine::RuntimeKind;

/// What our runtime is called. Docker reserves the name runc.
pub const NAME: &str = "vcn";

const DEFAULT: &str = "default-runtime";
const RUNTIMES: &str = "runtimes";

/// What Docker calls runc when nobody says anything.
const RUNC: [&str; 4] = [
    "runc",
    "io.containerd.runc.v2",
    "io.containerd.runtime.v1.linux",
    "",
];

/// `daemon.json`, as far as it concerns runtimes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Settings {
    text: String,
    values: Map<String, Value>,
}

impl Settings {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let values = text::object(text)?;
        let text = text.to_owned();
        Ok(Self { text, values })
    }

    /// The runtime that Docker uses when nobody says which.
    pub(super) fn default(&self) -> &str {
        self.values
            .get(DEFAULT)
            .and_then(Value::as_str)
            .unwrap_or("runc")
    }

    /// Where Docker keeps its containers, if the file says so.
    pub(super) fn data_root(&self) -> Option<&str> {
        self.values.get("data-root").and_then(Value::as_str)
    }

    fn entry(&self, name: &str) -> Option<&Map<String, Value>> {
        self.values.get(RUNTIMES)?.get(name)?.as_object()
    }

    /// Whether our runtime is there, and leads to us.
    pub(super) fn has_entry(&self, places: &Places) -> bool {
        self.entry(NAME)
            .is_some_and(|entry| is_our_entry(entry, places))
    }

    pub(super) fn is_ours(&self, places: &Places) -> bool {
        self.default() == NAME && self.has_entry(places)
    }

    /// Our runtime, which does what the default did, and what it did it with.
    pub(super) fn wrapped(
        &self,
        places: &Places,
        wrap: &dyn Fn(RuntimeKind, &Path) -> Result<(), String>,
    ) -> Result<Value, String> {
        let name = self.default();
        if self
            .entry(NAME)
            .is_some_and(|entry| !is_our_entry(entry, places))
        {
            return Err(format!(
                "daemon.json has another runtime of the name '{NAME}': give it another name, or use \
             '--runtime system'"
            ));
        }
        let gate = |kind| json!(places.gate(kind).display().to_string());
        if RUNC.contains(&name) || name == NAME {
            return Ok(json!({ "path": gate(RuntimeKind::Runc) }));
        }
        let foreign = |what: &str| {
            format!(
                "Docker's default runtime '{name}' {what}: let it be, and use '--runtime system', which \
             stands below every runtime that calls runc or crun"
            )
        };
        let mut entry = self
            .entry(name)
            .cloned()
            .ok_or_else(|| foreign("is not in daemon.json"))?;
        let (holder, key) = match entry.get("runtimeType").and_then(Value::as_str) {
            None => (&mut entry, "path"),
            Some("io.containerd.runc.v2") => {
                let options = entry.entry("options").or_insert_with(|| json!({}));
                let options = options.as_object_mut();
                (
                    options.ok_or_else(|| foreign("is not understood"))?,
                    "BinaryName",
                )
            }
            Some(_) => return Err(foreign("is no runc or crun")),
        };
        let program = holder.get(key).and_then(Value::as_str).unwrap_or("runc");
        let program = PathBuf::from(program);
        let file = program
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let kinds = [RuntimeKind::Runc, RuntimeKind::Crun];
        let kind = kinds
            .into_iter()
            .find(|kind| file.starts_with(kind.as_str()));
        let kind = kind.ok_or_else(|| foreign("is no runc or crun"))?;
        wrap(kind, &program).map_err(|why| foreign(&format!("cannot be wrapped: {why}")))?;
        holder.insert(key.to_owned(), gate(kind));
        Ok(entry.into())
    }

    pub(super) fn with(&self, entry: &Value) -> Result<Vec<u8>, String> {
        let text = text::set(&self.text, &[RUNTIMES, NAME], entry)?;
        let text = text::set(&text, &[DEFAULT], &json!(NAME))?;
        Ok(text.into_bytes())
    }

    /// The runtimes of other names, which a client may ask for.
    pub(super) fn beside(&self) -> impl Iterator<Item = String> {
        let runtimes = self.values.get(RUNTIMES).and_then(Value::as_object);
        let names = runtimes.into_iter().flat_map(Map::keys);
        names.filter(|name| *name != NAME).cloned()
    }
}

fn is_our_entry(entry: &Map<String, Value>, places: &Places) -> bool {
    let options = entry
        .get("options")
        .and_then(|options| options.get("BinaryName"));
    let path = entry.get("path").or(options).and_then(Value::as_str);
    path.is_some_and(|path| Path::new(path).starts_with(places.libexec.join("gate")))
}

/// The file without our part: what the default was before, where that is known, and everything else as it is now.
/// `None` if it then says nothing, and there was no file before.
pub(super) fn without(
    now: &[u8],
    before: Option<&[u8]>,
    places: &Places,
) -> Result<Option<Vec<u8>>, String> {
    let settings = Settings::parse(now)?;
    let before = before.and_then(|before| Settings::parse(before).ok());
    let had = |name: &str| before.as_ref().and_then(|before| before.values.get(name));
    let mut text = settings.text.clone();
    if settings.default() == NAME {
        text = match had(DEFAULT).filter(|default| **default != json!(NAME)) {
            Some(default) => text::set(&text, &[DEFAULT], default)?,
            None => text::remove(&text, &[DEFAULT])?,
        };
    }
    if settings.has_entry(places) {
        let others = settings.values.get(RUNTIMES).and_then(Value::as_object);
        let is_alone = others.is_some_and(|others| others.len() == 1) && had(RUNTIMES).is_none();
        let way = [RUNTIMES, NAME];
        text = text::remove(&text, if is_alone { &way[..1] } else { &way })?;
    }
    let is_empty = text::object(&text)?.is_empty();
    let is_new = before.is_none() && text != settings.text;
    Ok((!is_empty || !is_new).then(|| text.into_bytes()))
}

/// What we write over a file, and what we have written over it for the moment of [`super::let_go`].
pub(super) fn written_over(before: Option<&[u8]>, places: &Places) -> Result<Vec<Vec<u8>>, String> {
    let settings = Settings::parse(before.unwrap_or_default())?;
    let ours = settings.with(&settings.wrapped(places, &|_, _| Ok(()))?)?;
    let released = released(&ours, &settings)?;
    Ok(vec![ours, released])
}

pub(super) fn released(now: &[u8], before: &Settings) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(now).map_err(|error| error.to_string())?;
    let text = text::set(text, &[DEFAULT], &json!(before.default()))?;
    Ok(text.into_bytes())
}

#[cfg(test)]
#[path = "daemon_json_tests.rs"]
mod tests;
