//! One setting of config.toml, written without touching the rest of the file.
//!
//! Owns the insertion of a top-level text value. Comments, order and spelling of
//! everything else are the administrator's and stay. The result is read back
//! before it replaces the file, so whatever this simple editor does not
//! understand becomes an error and not a broken configuration.

use std::io;
use std::path::Path;

use super::failure::{Failure, OrFail as _};
use crate::sys::file;
use crate::verdict::ReasonCode;

/// A configuration is written by people; a longer one is not ours to edit.
const MAX_CONFIG: u64 = 4 << 20;

/// Sets the top-level `name` of the file at `path`, which may not exist yet, to `value`.
///
/// # Errors
/// A failure with the exit code of `configuration`; the file is then what it was.
pub fn set(path: &Path, name: &str, value: &str) -> Result<(), Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let what = || format!("cannot write '{name}' to '{}'", path.display());
    let old = match file::read_capped(path, MAX_CONFIG) {
        Ok(bytes) => String::from_utf8(bytes).or_fail(code, what)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).or_fail(code, what),
    };
    let new = with(&old, name, value);
    let reread: toml::Table = toml::from_str(&new).or_fail(code, what)?;
    let mut expected: toml::Table = toml::from_str(&old).or_fail(code, what)?;
    expected.insert(name.to_owned(), toml::Value::String(value.to_owned()));
    if reread != expected {
        let text = format!("set {name} = {} in it by hand", quoted(value));
        return Err(Failure::configuration(format!("{}: {text}", what())));
    }
    if new == old {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).or_fail(code, what)?;
    }
    file::replace(path, new.as_bytes(), 0o644).or_fail(code, what)
}

/// The text with the setting in it: in place of the old one, or before the first section.
fn with(old: &str, name: &str, value: &str) -> String {
    let line = format!("{name} = {}", quoted(value));
    let lines: Vec<_> = old.lines().collect();
    let top = lines
        .iter()
        .position(|line| line.trim_start().starts_with('['))
        .unwrap_or(lines.len());
    let is_setting = |line: &&str| {
        line.trim_start()
            .strip_prefix(name)
            .is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let (above, below) = lines.split_at_checked(top).unwrap_or((&lines, &[]));
    let mut new: Vec<&str> = Vec::with_capacity(lines.len() + 2);
    match above.iter().position(is_setting) {
        Some(at) => {
            new.extend(above.iter().take(at));
            new.push(&line);
            new.extend(above.iter().skip(at + 1));
        }
        None => {
            new.extend(above);
            new.push(&line);
            if !below.is_empty() {
                new.push("");
            }
        }
    }
    new.extend(below);
    new.join("\n") + "\n"
}

/// A TOML basic string, which a JSON string is too, but for a DEL that reading back refuses.
fn quoted(value: &str) -> String {
    serde_json::Value::String(value.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::{set, with};

    #[test]
    fn everything_else_stays_as_it_was_written() {
        for (old, new) in [
            ("", "ledger = \"/srv/l\"\n"),
            (
                "# mine\nmode = \"audit\"\n",
                "# mine\nmode = \"audit\"\nledger = \"/srv/l\"\n",
            ),
            (
                "ledger=\"x\" # old\nmode = \"audit\"\n",
                "ledger = \"/srv/l\"\nmode = \"audit\"\n",
            ),
            (
                "[host]\npolicy = \"warn\"\n",
                "ledger = \"/srv/l\"\n\n[host]\npolicy = \"warn\"\n",
            ),
            (
                "# ledger = \"a\"\n",
                "# ledger = \"a\"\nledger = \"/srv/l\"\n",
            ),
            (
                "[x]\nledger = \"a\"\n",
                "ledger = \"/srv/l\"\n\n[x]\nledger = \"a\"\n",
            ),
        ] {
            assert_eq!(with(old, "ledger", "/srv/l"), new);
        }
    }

    #[test]
    fn what_it_does_not_understand_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        for old in [
            "x = \"\"\"\nledger = 1\n\"\"\"\n",
            "a = [\n[1]]\nledger = \"b\"\n",
            "not toml",
        ] {
            std::fs::write(&path, old).unwrap();
            assert_eq!(
                set(&path, "ledger", "/srv/l").unwrap_err().code,
                14,
                "{old}"
            );
            let kept = crate::sys::file::read_capped(&path, 1000).unwrap();
            assert_eq!(kept, old.as_bytes());
        }
    }

    #[test]
    fn a_new_file_and_its_directory_are_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("etc/config.toml");
        set(&path, "ledger", "a\"b\\c").unwrap();
        set(&path, "ledger", "a\"b\\c").unwrap();
        let text = crate::sys::file::read_capped(&path, 1000).unwrap();
        let table: toml::Table = toml::from_str(std::str::from_utf8(&text).unwrap()).unwrap();
        assert_eq!(
            table.get("ledger").and_then(toml::Value::as_str),
            Some("a\"b\\c")
        );
    }
}
