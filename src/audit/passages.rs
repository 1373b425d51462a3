//! By which decision each container came to run: the record, read as it grows.
//!
//! Owns what makes a decision that of a start, and reading on from where it was left, across a
//! rotation of the file. A line that is no record says nothing.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::sys::clock::rfc3339;
use crate::sys::file::open_regular;

/// Some hundred thousand decisions: as much as is read at once, and of a file that is met the first time.
const MAX_READ: u64 = 64 << 20;

/// The gate decides just before the runtime makes the process; on a machine that starts hundreds at
/// once the two may be this many seconds apart.
const MAX_AGO: u64 = 60;

/// The decision that let a container start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Passage {
    /// When, as RFC 3339 has it.
    pub time: String,
    /// `allow` or `warn`.
    pub verdict: String,
    /// The stable reason code.
    pub code: String,
    /// Whether it started only because the node was in audit mode.
    #[serde(default)]
    pub would_deny: bool,
}

/// How a container came to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered {
    /// Through the gate, by this decision.
    ByGate(Passage),
    /// Not through the gate: the record goes back further, and has no decision of its start.
    Around,
    /// Before the record that this node still has.
    Before,
}

impl Entered {
    /// The stable name used in metrics and records.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ByGate(_) => "by-gate",
            Self::Around => "around",
            Self::Before => "before",
        }
    }
}

/// The decisions that let something start, the newest of each container.
#[derive(Debug, Default)]
pub struct Passages {
    path: PathBuf,
    /// What was read of the file that has the name now, and which file that is.
    read: Option<(u64, Mark)>,
    /// The bytes of a line that was not yet whole.
    rest: Vec<u8>,
    by_id: HashMap<String, Passage>,
    /// The time of the oldest decision that was read.
    oldest: Option<String>,
}

/// By what a file is known when its name has gone to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
}

#[derive(Deserialize)]
struct Line {
    container: Container,
    verb: String,
    #[serde(flatten)]
    passage: Passage,
}

#[derive(Deserialize)]
struct Container {
    id: String,
}

impl Passages {
    /// The record in the file at `path`, and in the one that it was last rotated to. Nothing is read yet.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }

    /// The file that it reads.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what was appended since. A file that is not there has nothing in it.
    ///
    /// # Errors
    /// The operating system's.
    pub fn read_on(&mut self) -> io::Result<()> {
        let Some(file) = opened(&self.path)? else {
            return Ok(());
        };
        let (mark, length) = marked(&file)?;
        let from = match self.read {
            Some((from, known)) if known == mark && from <= length => from,
            before => {
                self.read_rotated(before)?;
                length.saturating_sub(MAX_READ)
            }
        };
        let end = self.take(file, from)?;
        self.read = Some((end, mark));
        Ok(())
    }

    /// Reads the rest of the file that had the name before, by the name that logrotate gives it.
    fn read_rotated(&mut self, before: Option<(u64, Mark)>) -> io::Result<()> {
        let mut name = self.path.clone().into_os_string();
        name.push(".1");
        let Some(file) = opened(Path::new(&name))? else {
            self.rest.clear();
            return Ok(());
        };
        let (mark, length) = marked(&file)?;
        let from = match before {
            Some((from, known)) if known == mark => from,
            _ => length.saturating_sub(MAX_READ),
        };
        self.take(file, from)?;
        self.rest.clear();
        Ok(())
    }

    /// Takes what is in a file from an offset on, and says where that ends.
    fn take(&mut self, mut file: File, from: u64) -> io::Result<u64> {
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = std::mem::take(&mut self.rest);
        let before = bytes.len() as u64;
        file.take(MAX_READ).read_to_end(&mut bytes)?;
        let end = from
            .saturating_add(bytes.len() as u64)
            .saturating_sub(before);
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        self.rest = bytes.split_off(whole);
        for line in bytes.split(|byte| *byte == b'\n') {
            self.learn(line);
        }
        Ok(end)
    }

    fn learn(&mut self, line: &[u8]) {
        // A name may have escapes, which only a whole parse understands.
        let Ok(line) = serde_json::from_slice::<Line>(line) else {
            return;
        };
        let Line {
            container,
            verb,
            passage,
        } = line;
        if self
            .oldest
            .as_ref()
            .is_none_or(|oldest| passage.time < *oldest)
        {
            self.oldest = Some(passage.time.clone());
        }
        // Another process in a container that runs is no start of it, and a refusal starts nothing.
        if verb != "exec" && passage.verdict != "deny" {
            self.by_id.insert(container.id, passage);
        }
    }

    /// How a container came to run whose first process was started at `started`, in Unix seconds.
    #[must_use]
    pub fn of_start(&self, id: &str, started: u64) -> Entered {
        let earliest = rfc3339(started.saturating_sub(MAX_AGO));
        match self.by_id.get(id) {
            Some(passage) if passage.time >= earliest => Entered::ByGate(passage.clone()),
            _ if self
                .oldest
                .as_ref()
                .is_some_and(|oldest| *oldest <= rfc3339(started)) =>
            {
                Entered::Around
            }
            _ => Entered::Before,
        }
    }

    /// Forgets all but the containers that are still `wanted`, once there are many more.
    pub fn forget(&mut self, wanted: &dyn Fn(&str) -> bool) {
        const MANY: usize = 10_000;
        if self.by_id.len() > MANY {
            self.by_id.retain(|id, _| wanted(id));
        }
    }
}

fn opened(path: &Path) -> io::Result<Option<File>> {
    match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

fn marked(file: &File) -> io::Result<(Mark, u64)> {
    let metadata = file.metadata()?;
    let mark = Mark {
        device: metadata.dev(),
        inode: metadata.ino(),
    };
    Ok((mark, metadata.len()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;

    use super::{Entered, Passages};
    use crate::sys::clock::rfc3339;

    const NOON: u64 = 1_700_000_000;

    fn line(id: &str, verdict: &str, verb: &str, time: u64) -> String {
        format!(
            r#"{{"schema":"vcn-hook/decision/v1","time":"{}","verdict":"{verdict}","code":"trusted","detail":"\n","container":{{"id":"{id}","name":"a\"b"}},"image":null,"verb":"{verb}","mode":"enforce"}}"#,
            rfc3339(time)
        ) + "\n"
    }

    fn append(path: &Path, text: &str) {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        file.expect("it opens")
            .write_all(text.as_bytes())
            .expect("it is written");
    }

    fn name(entered: &Entered) -> &'static str {
        match entered {
            Entered::ByGate(_) => "gate",
            Entered::Around => "around",
            Entered::Before => "before",
        }
    }

    #[test]
    fn a_start_is_known_by_the_decision_just_before_it() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("decisions.jsonl");
        let mut passages = Passages::of(&path);
        passages.read_on().expect("nothing is there");
        assert_eq!(passages.of_start("a", NOON), Entered::Before);
        append(&path, &line("a", "allow", "create", NOON));
        append(&path, &line("b", "deny", "create", NOON));
        append(&path, &line("c", "allow", "exec", NOON));
        append(&path, "no record\n");
        append(&path, &line("d", "warn", "hook", NOON + 500));
        passages.read_on().expect("it is read");
        for (id, started, expected) in [
            ("a", NOON + 1, "gate"),
            ("a", NOON + 60, "gate"),
            // Started once more, and not through the gate.
            ("a", NOON + 61, "around"),
            ("b", NOON + 1, "around"),
            ("c", NOON + 1, "around"),
            ("d", NOON + 501, "gate"),
            ("e", NOON, "around"),
            ("e", NOON - 1, "before"),
        ] {
            let found = passages.of_start(id, started);
            assert_eq!(name(&found), expected, "{id} {started}");
        }
    }

    #[test]
    fn reads_on_over_half_lines_and_a_rotation() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("decisions.jsonl");
        let mut passages = Passages::of(&path);
        let (first, second) = (
            line("a", "allow", "create", NOON),
            line("b", "allow", "run", NOON),
        );
        let (half, other) = second.split_at(40);
        append(&path, &(first + half));
        passages.read_on().expect("it is read");
        assert_eq!(name(&passages.of_start("a", NOON)), "gate");
        assert_eq!(name(&passages.of_start("b", NOON)), "around");
        append(
            &path,
            &(other.to_owned() + &line("c", "allow", "run", NOON)),
        );
        std::fs::rename(&path, directory.path().join("decisions.jsonl.1")).expect("renamed");
        append(&path, &line("d", "allow", "run", NOON).repeat(2));
        passages.read_on().expect("it is read");
        for id in ["a", "b", "c", "d"] {
            assert_eq!(name(&passages.of_start(id, NOON)), "gate", "{id}");
        }
        // One that was emptied in place begins anew.
        std::fs::write(&path, line("e", "allow", "run", NOON)).expect("written");
        passages.read_on().expect("it is read");
        assert_eq!(name(&passages.of_start("e", NOON)), "gate");
    }
}
