//! What would be changed, as a patch that `patch -p1 -d /` takes.
//!
//! Owns the unified format with git's extended headers, which know symlinks and renames. A change that
//! no patch can make is a line that `patch` passes over.

use std::fmt::Write as _;
use std::path::Path;

use super::escape;
use crate::configure::{Change, Diversion, Edit};

/// Lines around a change.
const CONTEXT: usize = 3;

/// All changes, in order.
#[must_use]
pub fn of(changes: &[Change]) -> String {
    changes.iter().map(one).collect()
}

fn one(change: &Change) -> String {
    match change {
        // `patch` makes and removes directories by itself.
        Change::MakeDirectory(path) => format!("# mkdir '{}'\n", shown(path)),
        Change::RemoveDirectory(path) => format!("# rmdir '{}', if it is empty\n", shown(path)),
        Change::Link { path, to } => match std::fs::read_link(path) {
            Ok(old) => removed_link(path, &old) + &new_link(path, to),
            Err(_) => new_link(path, to),
        },
        Change::Unlink(path) => {
            let to = std::fs::read_link(path).unwrap_or_default();
            removed_link(path, &to)
        }
        Change::Edit(edit) => edited(edit),
        Change::Divert(diversion) => {
            let Diversion {
                path,
                real,
                program,
                ..
            } = diversion;
            let link = std::fs::read_link(path).ok();
            let first = match link {
                Some(old) => removed_link(path, &old),
                None => renamed(path, real),
            };
            registered("--add", diversion) + &first + &new_link(path, program)
        }
        Change::Undivert(diversion) => {
            let Diversion { path, real, .. } = diversion;
            let first = match std::fs::read_link(path) {
                Ok(to) => removed_link(path, &to),
                Err(_) => String::new(),
            };
            let second = match (path.is_symlink() || !path.exists(), real.exists()) {
                (true, true) => renamed(real, path),
                (false, true) => format!("# rm '{}'\n", shown(real)),
                _ => String::new(),
            };
            first + &second + &registered("--remove", diversion)
        }
    }
}

/// The change of one file.
#[must_use]
pub fn edited(edit: &Edit) -> String {
    let (old, new) = (edit.old.as_deref(), edit.new.as_deref());
    if old == new {
        return String::new();
    }
    let name = below_root(&edit.path);
    let (mut text, from, to) = (
        header(&edit.path, &edit.path),
        format!("a/{name}"),
        format!("b/{name}"),
    );
    let none = || "/dev/null".to_owned();
    let (from, to) = match (old, new) {
        (None, _) => {
            text.push_str("new file mode 100644\n");
            (none(), to)
        }
        (_, None) => {
            text.push_str("deleted file mode 100644\n");
            (from, none())
        }
        _ => (from, to),
    };
    let _ = write!(text, "--- {from}\n+++ {to}\n");
    let old = String::from_utf8_lossy(old.unwrap_or_default());
    let new = String::from_utf8_lossy(new.unwrap_or_default());
    text + &hunk(&old, &new)
}

/// One hunk from the first line that differs to the last one.
fn hunk(old: &str, new: &str) -> String {
    let (old, new) = (lines(old), lines(new));
    let same = |(one, other): &(&&str, &&str)| one == other;
    let before = old.iter().zip(&new).take_while(same).count();
    let rest = old.len().min(new.len()) - before;
    let after = old.iter().rev().zip(new.iter().rev()).take(rest);
    let after = after.take_while(same).count();
    let start = before.saturating_sub(CONTEXT);
    let context = |line: &&str| marked(' ', line);
    let end = old.len() - after;
    let head: String = old.iter().take(before).skip(start).map(context).collect();
    let minus: String = old
        .iter()
        .take(end)
        .skip(before)
        .map(|line| marked('-', line))
        .collect();
    let plus = new.iter().take(new.len() - after).skip(before);
    let plus: String = plus.map(|line| marked('+', line)).collect();
    let tail: String = old.iter().skip(end).take(CONTEXT).map(context).collect();
    let count = |all: usize| all - start - after.saturating_sub(CONTEXT);
    let range = |all: usize| match count(all) {
        // A range of no lines is named by the line before it.
        0 => format!("{start},0"),
        lines => format!("{},{lines}", start + 1),
    };
    format!(
        "@@ -{} +{} @@\n{head}{minus}{plus}{tail}",
        range(old.len()),
        range(new.len())
    )
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn marked(mark: char, line: &str) -> String {
    match line.strip_suffix('\n') {
        Some(line) => format!("{mark}{line}\n"),
        None => format!("{mark}{line}\n\\ No newline at end of file\n"),
    }
}

fn header(from: &Path, to: &Path) -> String {
    format!("diff --git a/{} b/{}\n", below_root(from), below_root(to))
}

fn renamed(from: &Path, to: &Path) -> String {
    format!(
        "{}similarity index 100%\nrename from {}\nrename to {}\n",
        header(from, to),
        below_root(from),
        below_root(to)
    )
}

fn new_link(path: &Path, to: &Path) -> String {
    let (header, name) = (header(path, path), below_root(path));
    let hunk = hunk("", &to.display().to_string());
    format!("{header}new file mode 120000\n--- /dev/null\n+++ b/{name}\n{hunk}")
}

fn removed_link(path: &Path, to: &Path) -> String {
    let (header, name) = (header(path, path), below_root(path));
    let hunk = hunk(&to.display().to_string(), "");
    format!("{header}deleted file mode 120000\n--- a/{name}\n+++ /dev/null\n{hunk}")
}

fn registered(how: &str, diversion: &Diversion) -> String {
    let Diversion {
        path,
        real,
        dpkg_divert,
        ..
    } = diversion;
    dpkg_divert.as_ref().map_or_else(String::new, |_| {
        let line = "dpkg-divert --no-rename --package vcn-hook --divert";
        format!("# {line} '{}' {how} '{}'\n", shown(real), shown(path))
    })
}

fn below_root(path: &Path) -> String {
    shown(path).trim_start_matches('/').to_owned()
}

fn shown(path: &Path) -> String {
    escape::message(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::hunk;

    #[test]
    fn a_hunk_holds_what_differs_and_three_lines_around_it() {
        let numbers =
            |range: std::ops::Range<u32>| range.map(|n| format!("{n}\n")).collect::<String>();
        let old = numbers(1..12);
        let new = old.replace("6\n", "six\n6b\n");
        assert_eq!(
            hunk(&old, &new),
            "@@ -3,7 +3,8 @@\n 3\n 4\n 5\n-6\n+six\n+6b\n 7\n 8\n 9\n"
        );
        assert_eq!(hunk("", "a\n"), "@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(hunk("a\n", ""), "@@ -1,1 +0,0 @@\n-a\n");
        assert_eq!(
            hunk("a\nb", "a\nb\n"),
            "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n"
        );
    }
}
