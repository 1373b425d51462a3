//! By which decision each container came to run: the record, read as it grows.
//!
//! Owns what makes a decision that of a start. A line that is no record says nothing.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::follow::Follow;
use crate::sys::clock::rfc3339;

/// Some hundred thousand decisions: as much as is read at once, and of a file that is met the first time.
const MAX_READ: u64 = 64 << 20;

/// The gate decides just before the runtime makes the process; on a machine that starts hundreds at
/// once the two may be this many seconds apart.
const MAX_AGO: u64 = 60;

/// Both times are rounded to a second.
const ROUNDED: u64 = 2;

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
#[derive(Debug)]
pub struct Passages {
    path: PathBuf,
    follow: Follow,
    /// Whether the file was read that had the name before.
    is_old_read: bool,
    starts: Starts,
    /// The decisions of the processes that run, once they were found.
    known: HashMap<(String, u32), Passage>,
}

/// What was learnt from all lines.
#[derive(Debug, Default)]
struct Starts {
    by_id: HashMap<String, Passage>,
    /// The time of the oldest decision that was read.
    oldest: Option<String>,
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
        Self::reading(path, MAX_READ)
    }

    fn reading(path: &Path, most: u64) -> Self {
        Self {
            path: path.to_owned(),
            follow: Follow::of(path, most),
            is_old_read: false,
            starts: Starts::default(),
            known: HashMap::new(),
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
        let Self {
            path,
            follow,
            is_old_read,
            starts,
            ..
        } = self;
        if *is_old_read {
            return follow.read_on(&mut |line| starts.learn(line));
        }
        // The name that logrotate gives it.
        let mut old = path.clone().into_os_string();
        old.push(".1");
        Follow::of(Path::new(&old), MAX_READ).read_on(&mut |line| starts.learn(line))?;
        *is_old_read = true;
        let of_old = starts.oldest.take();
        follow.read_on(&mut |line| starts.learn(line))?;
        // Of a file that was not read from its beginning, what came before is not on record either.
        if !follow.is_late() {
            starts.oldest = of_old.into_iter().chain(starts.oldest.take()).min();
        }
        Ok(())
    }

    /// How a container came to run whose first process is `init`. What was found of one that runs stays: if
    /// the clock is set, or the machine was frozen for a while, its start moves by the kernel's word, and
    /// its decision does not.
    pub fn of_process(&mut self, id: &str, init: u32, started: u64) -> Entered {
        let key = (id.to_owned(), init);
        if let Some(passage) = self.known.get(&key) {
            return Entered::ByGate(passage.clone());
        }
        let entered = self.of_start(id, started);
        if let Entered::ByGate(passage) = &entered {
            self.known.insert(key, passage.clone());
        }
        entered
    }

    /// How a container came to run whose first process was started at `started`, in Unix seconds.
    #[must_use]
    pub fn of_start(&self, id: &str, started: u64) -> Entered {
        let earliest = rfc3339(started.saturating_sub(MAX_AGO));
        let since = rfc3339(started.saturating_sub(ROUNDED));
        match self.starts.by_id.get(id) {
            Some(passage) if passage.time >= earliest => Entered::ByGate(passage.clone()),
            _ if self
                .starts
                .oldest
                .as_ref()
                .is_some_and(|oldest| *oldest <= since) =>
            {
                Entered::Around
            }
            _ => Entered::Before,
        }
    }

    /// Forgets what does not run any more, of starts once there are many: one that has just been decided may
    /// not run yet.
    pub fn forget(&mut self, running: &HashSet<(&str, u32)>) {
        const MANY: usize = 10_000;
        self.known
            .retain(|(id, init), _| running.contains(&(id.as_str(), *init)));
        if self.starts.by_id.len() > MANY {
            let ids: HashSet<_> = running.iter().map(|(id, _)| *id).collect();
            self.starts.by_id.retain(|id, _| ids.contains(id.as_str()));
        }
    }
}

impl Starts {
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
            ("b", NOON + 2, "around"),
            ("c", NOON + 2, "around"),
            ("d", NOON + 501, "gate"),
            ("e", NOON + 2, "around"),
            ("e", NOON + 1, "before"),
        ] {
            let found = passages.of_start(id, started);
            assert_eq!(name(&found), expected, "{id} {started}");
        }
    }

    #[test]
    fn a_clock_that_is_set_makes_nobody_come_around_the_gate() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("decisions.jsonl");
        append(&path, &line("a", "allow", "create", NOON));
        let mut passages = Passages::of(&path);
        passages.read_on().expect("it is read");
        let found =
            |passages: &mut Passages, init, started| name(&passages.of_process("a", init, started));
        assert_eq!(found(&mut passages, 7, NOON + 1), "gate");
        // An hour later by the clock, which was set: the same process.
        assert_eq!(found(&mut passages, 7, NOON + 3601), "gate");
        assert_eq!(found(&mut passages, 8, NOON + 3601), "around");
        passages.forget(&[("a", 8)].into());
        assert_eq!(found(&mut passages, 7, NOON + 3601), "around");
    }

    #[test]
    fn what_lies_in_a_gap_of_the_record_is_not_held_to_be_around_the_gate() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("decisions.jsonl");
        let old = directory.path().join("decisions.jsonl.1");
        append(&old, &line("a", "allow", "create", NOON));
        let lines = [("b", 100), ("c", 200), ("d", 300)];
        let lines = lines.map(|(id, after)| line(id, "allow", "create", NOON + after));
        append(&path, &lines.concat());
        let last = lines[2].len() as u64 + 1;
        let mut passages = Passages::reading(&path, last);
        passages.read_on().expect("it is read");
        for (id, after, expected) in [("a", 0, "gate"), ("b", 100, "before"), ("e", 302, "around")]
        {
            let found = passages.of_start(id, NOON + after);
            assert_eq!(name(&found), expected, "{id}");
        }
    }

    #[test]
    fn knows_the_file_that_had_the_name_before() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("decisions.jsonl");
        append(
            &directory.path().join("decisions.jsonl.1"),
            &line("a", "allow", "create", NOON),
        );
        append(&path, &line("b", "allow", "run", NOON));
        let mut passages = Passages::of(&path);
        passages.read_on().expect("it is read");
        for id in ["a", "b"] {
            assert_eq!(name(&passages.of_start(id, NOON)), "gate", "{id}");
        }
    }
}
