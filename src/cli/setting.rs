//! One setting, written where this program's own settings are kept.
//!
//! config.toml is a package's and people's, so a verb writes to a fragment of
//! its own, `conf.d/50-node.toml`, and edits config.toml only where somebody
//! has already written that very setting there: then it is looked for there.
//! Owns the insertion of a top-level text value. Comments, order and spelling of
//! everything else stay. The result is read back before it replaces a file, so
//! whatever this simple editor does not understand becomes an error and not a
//! broken configuration.

use std::io;
use std::path::{Path, PathBuf};

use super::failure::{Failure, OrFail as _};
use crate::config::DEFAULT_PATH;
use crate::sys::file;
use crate::verdict::ReasonCode;

/// A configuration is written by people; a longer one is not ours to edit.
const MAX_CONFIG: u64 = 4 << 20;

/// How the fragment begins that verbs write.
const OWN_HEAD: &str = "# Written by vcn-hook ('enroll', 'mode'), and laid over config.toml.\n";

/// What a configuration is made with that only has settings of verbs.
const EMPTY_HEAD: &str =
    "# Settings of vcn-hook. What its verbs write is in conf.d/50-node.toml.\n";

/// The fragment beside `config` that verbs write.
#[must_use]
pub fn own_fragment(config: &Path) -> PathBuf {
    config.with_file_name("conf.d").join("50-node.toml")
}

/// Sets the top-level `name` of the configuration at `config` to `value`, and says in which file.
///
/// # Errors
/// A failure with the exit code of `configuration`; the file is then what it was.
pub fn set(config: &Path, name: &str, value: &str) -> Result<PathBuf, Failure> {
    let own = own_fragment(config);
    if sets(config, name)? {
        edit(config, "", name, Some(value))?;
        if sets(&own, name)? {
            // It would be laid over what was just written.
            edit(&own, "", name, None)?;
        }
        return Ok(config.to_owned());
    }
    // Of a configuration that was asked for, the file itself must exist.
    if config != Path::new(DEFAULT_PATH) && !config.exists() {
        write(config, EMPTY_HEAD, name)?;
    }
    edit(&own, OWN_HEAD, name, Some(value))?;
    Ok(own)
}

/// The file that has the last word on the top-level `name`; `None` when no file sets it.
///
/// # Errors
/// As [`set`].
pub fn origin(files: &[PathBuf], name: &str) -> Result<Option<PathBuf>, Failure> {
    for file in files.iter().rev() {
        if sets(file, name)? {
            return Ok(Some(file.clone()));
        }
    }
    Ok(None)
}

fn sets(path: &Path, name: &str) -> Result<bool, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let text = read(path, name)?.unwrap_or_default();
    let table: toml::Table = toml::from_str(&text).or_fail(code, || unwritten(path, name))?;
    Ok(table.contains_key(name))
}

/// Sets `name` in the file at `path`, or removes it; a file that is not there begins with `head`.
fn edit(path: &Path, head: &str, name: &str, value: Option<&str>) -> Result<(), Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let what = || unwritten(path, name);
    let old = read(path, name)?;
    let there = old.is_some();
    let old = old.unwrap_or_else(|| head.to_owned());
    let new = with(&old, name, value);
    let reread: toml::Table = toml::from_str(&new).or_fail(code, what)?;
    let mut expected: toml::Table = toml::from_str(&old).or_fail(code, what)?;
    match value {
        Some(value) => expected.insert(name.to_owned(), toml::Value::String(value.to_owned())),
        None => expected.remove(name),
    };
    if reread != expected {
        let by_hand = match value {
            Some(value) => format!("set {name} = {} in it by hand", quoted(value)),
            None => format!("remove {name} from it by hand"),
        };
        return Err(Failure::configuration(format!("{}: {by_hand}", what())));
    }
    if there && new == old {
        return Ok(());
    }
    write(path, &new, name)
}

fn read(path: &Path, name: &str) -> Result<Option<String>, Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let what = || unwritten(path, name);
    match file::read_capped(path, MAX_CONFIG) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).or_fail(code, what),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).or_fail(code, what),
    }
}

fn write(path: &Path, text: &str, name: &str) -> Result<(), Failure> {
    let code = ReasonCode::Configuration.exit_code();
    let what = || unwritten(path, name);
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).or_fail(code, what)?;
    }
    file::replace(path, text.as_bytes(), 0o644).or_fail(code, what)
}

fn unwritten(path: &Path, name: &str) -> String {
    format!("cannot write '{name}' to '{}'", path.display())
}

/// The text with the setting in it, in place of the old one or before the first section; without a
/// value, the text without it.
fn with(old: &str, name: &str, value: Option<&str>) -> String {
    let line = value.map(|value| format!("{name} = {}", quoted(value)));
    let line = line.as_deref();
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
            new.extend(line);
            new.extend(above.iter().skip(at + 1));
        }
        None => {
            new.extend(above);
            new.extend(line);
            if line.is_some() && !below.is_empty() {
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
    use super::{origin, own_fragment, set, with};
    use std::path::Path;

    fn text(path: &Path) -> String {
        String::from_utf8(crate::sys::file::read_capped(path, 1000).unwrap()).unwrap()
    }

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
            assert_eq!(with(old, "ledger", Some("/srv/l")), new);
        }
        let old = "# mine\nledger = \"a\"\n[x]\nledger = \"b\"\n";
        assert_eq!(with(old, "ledger", None), "# mine\n[x]\nledger = \"b\"\n");
    }

    #[test]
    fn what_it_does_not_understand_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        for old in [
            "\"ledger\" = \"a\"\n",
            "a = [\n[1]]\nledger = \"b\"\n",
            "not toml",
        ] {
            std::fs::write(&path, old).unwrap();
            let failure = set(&path, "ledger", "/srv/l").unwrap_err();
            assert_eq!(failure.code, 14, "{old}");
            assert_eq!(text(&path), old);
        }
    }

    #[test]
    fn a_fragment_of_our_own_takes_what_nobody_wrote_into_the_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("etc/config.toml");
        for value in ["x", "a\"b\\c"] {
            assert_eq!(set(&path, "ledger", value).unwrap(), own_fragment(&path));
        }
        assert!(text(&path).starts_with("# Settings"), "it must exist");
        let own = text(&own_fragment(&path));
        assert!(own.starts_with("# Written by vcn-hook"), "{own}");
        let table: toml::Table = toml::from_str(&own).unwrap();
        assert_eq!(
            table.get("ledger").and_then(toml::Value::as_str),
            Some("a\"b\\c")
        );
        assert_eq!(own.lines().count(), 2, "{own}");

        let theirs = "# mode = \"audit\"\n[host]\npolicy = \"warn\"\n";
        std::fs::write(&path, theirs).unwrap();
        assert_eq!(set(&path, "mode", "audit").unwrap(), own_fragment(&path));
        assert_eq!(text(&path), theirs);
    }

    #[test]
    fn what_people_wrote_into_the_configuration_is_changed_there_and_has_the_last_word() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        let own = own_fragment(&path);
        set(&path, "mode", "audit").unwrap();
        set(&path, "ledger", "/srv/l").unwrap();
        std::fs::write(&path, "# why\nmode = \"audit\"\n").unwrap();
        let files = [path.clone(), own.clone()];
        assert_eq!(origin(&files, "mode").unwrap(), Some(own.clone()));
        assert_eq!(set(&path, "mode", "enforce").unwrap(), path);
        assert_eq!(text(&path), "# why\nmode = \"enforce\"\n");
        assert_eq!(origin(&files, "mode").unwrap(), Some(path.clone()));
        assert_eq!(origin(&files, "ledger").unwrap(), Some(own));
        assert_eq!(origin(&files, "state_dir").unwrap(), None);
    }
}
