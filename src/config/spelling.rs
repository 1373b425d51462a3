//! Where each key of a file stands, and which of them mean nothing.
//!
//! Owns the walk over a parsed file with its places. What a value may be is
//! not looked at: only names.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::names::SETTINGS;

/// One key of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
}

/// A key that no version of this program reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Where it stands.
    pub place: Place,
    /// Its name, sections included.
    pub name: String,
    /// The known name that looks most like it, if one does.
    pub nearest: Option<String>,
}

/// Every key of a file, under the name that [`SETTINGS`] would have for it, and its line.
pub(super) fn keys(text: &str) -> Result<Vec<(String, usize)>, toml::de::Error> {
    let mut found = Vec::new();
    walk("", DeTable::parse(text)?.get_ref(), text, &mut found);
    Ok(found)
}

fn walk(prefix: &str, table: &DeTable<'_>, text: &str, found: &mut Vec<(String, usize)>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if is_section(&name) => {
                walk(&format!("{name}."), inner, text, found);
            }
            DeValue::Array(list) if is_section(&format!("{name}[]")) => {
                for entry in list.iter().map(Spanned::get_ref) {
                    match entry {
                        DeValue::Table(inner) => walk(&format!("{name}[]."), inner, text, found),
                        _ => found.push((name.clone(), line(text, key.span().start))),
                    }
                }
            }
            _ => found.push((name, line(text, key.span().start))),
        }
    }
}

fn is_section(name: &str) -> bool {
    SETTINGS
        .iter()
        .filter_map(|setting| setting.name.strip_prefix(name))
        .any(|rest| rest.starts_with('.'))
}

fn line(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    before.filter(|byte| **byte == b'\n').count() + 1
}

/// The keys among these that mean nothing. A section's name with a plain value is a wrong type, which
/// whoever reads values says better.
pub(super) fn unknown(file: &Path, keys: &[(String, usize)]) -> Vec<Unknown> {
    let is_known = |name: &str| {
        is_section(name)
            || is_section(&format!("{name}[]"))
            || SETTINGS.iter().any(|setting| setting.name == name)
    };
    keys.iter()
        .filter(|(name, _)| !is_known(name))
        .map(|(name, line)| Unknown {
            place: Place {
                file: file.to_owned(),
                line: *line,
            },
            nearest: nearest(name),
            name: plain(name),
        })
        .collect()
}

/// The known name, section or key, that a typing error would make this one of.
fn nearest(name: &str) -> Option<String> {
    /// Less alike than this (Jaro and Winkler), a suggestion is a guess.
    const ALIKE: f64 = 0.85;
    let names = SETTINGS.iter().map(|setting| setting.name);
    let sections = SETTINGS
        .iter()
        .filter_map(|setting| Some(setting.name.rsplit_once('.')?.0));
    let split = |name: &str| match name.rsplit_once('.') {
        Some((parent, key)) => (parent.to_owned(), key.to_owned()),
        None => (String::new(), name.to_owned()),
    };
    let (parent, key) = split(name);
    let likeness = |known: &str| match split(known) {
        // A key in the wrong section is as likely as a misspelt one.
        (_, same) if same == key => 1.0,
        (same, known) if same == parent => strsim::jaro_winkler(&known, &key),
        _ if is_section(&parent) => 0.0,
        _ => strsim::jaro_winkler(known, name),
    };
    names
        .chain(sections)
        .map(|known| (likeness(known), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| plain(known))
}

/// A name without the marks of lists.
fn plain(name: &str) -> String {
    name.replace("[]", "")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line } = &self.place;
        let name = &self.name;
        write!(
            f,
            "in '{}': line {line}: unknown key '{name}'",
            file.display()
        )?;
        match &self.nearest {
            Some(nearest) => write!(f, " (did you mean '{nearest}'?)"),
            None => Ok(()),
        }
    }
}
