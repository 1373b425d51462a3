//! The newest decisions of this node, read back for people.
//!
//! Owns reading the end of `decisions.jsonl` with a bound, however long the
//! file has grown. What a record says is `audit`'s; a line that is none is counted.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use crate::sys::file::open_regular;

/// Some tens of thousands of decisions; whoever wants older ones has the file.
const MAX_TAIL: u64 = 32 << 20;

/// One record, as far as people are shown it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Decision {
    /// RFC 3339.
    pub time: String,
    /// `allow`, `deny` or `warn`.
    pub verdict: String,
    /// The stable reason code.
    pub code: String,
    /// One sentence about this start.
    pub detail: String,
    /// What to do next.
    #[serde(default)]
    pub hint: String,
    /// Which container.
    pub container: Container,
    /// What the user asked for.
    pub image: Option<String>,
    /// The config digest, where the container was bound to one.
    pub config: Option<String>,
    /// The chain ID of the layers that were mounted.
    #[serde(default)]
    pub chain: Option<String>,
    /// True when nothing but root's word says that the files are those of `config`.
    #[serde(default)]
    pub unbound: bool,
    /// The runtime's verb.
    pub verb: String,
    /// The node's mode.
    #[serde(default)]
    pub mode: String,
    /// True when it would have been refused, and was let through in audit mode.
    #[serde(default)]
    pub would_deny: bool,
}

/// Which container a decision is about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Container {
    /// The runtime's id of it.
    pub id: String,
    /// The name that people know it by.
    pub name: Option<String>,
}

/// The end of the record.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Oldest first.
    pub decisions: Vec<Decision>,
    /// Lines that are no decision records.
    pub unreadable: usize,
    /// True when there are older ones that were not read.
    pub cut: bool,
}

impl Decision {
    /// Says whether the start was refused, or would have been outside of audit mode.
    #[must_use]
    pub fn refused(&self) -> bool {
        self.verdict == "deny" || self.would_deny
    }

    /// Says whether a person who typed `wanted` means this container: by name, or by the
    /// beginning of its id.
    #[must_use]
    pub fn is_about(&self, wanted: &str) -> bool {
        self.container.id.starts_with(wanted) || self.container.name.as_deref() == Some(wanted)
    }
}

/// Reads the newest decisions. A file that is not there has none.
///
/// # Errors
/// The operating system's.
pub fn tail(path: &Path) -> io::Result<Tail> {
    tail_of(path, MAX_TAIL)
}

fn tail_of(path: &Path, cap: u64) -> io::Result<Tail> {
    let mut file = match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Tail::default()),
        opened => opened?,
    };
    let start = file.metadata()?.len().saturating_sub(cap);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(cap).read_to_end(&mut bytes)?;
    Ok(parse(&bytes, start > 0))
}

/// Parses the end of the record. With `cut`, there is more before it.
#[must_use]
pub fn parse(bytes: &[u8], cut: bool) -> Tail {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    if cut {
        // The first line has most likely lost its beginning.
        lines.next();
    }
    let mut tail = Tail {
        cut,
        ..Tail::default()
    };
    for line in lines.filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(decision) => tail.decisions.push(decision),
            Err(_) => tail.unreadable += 1,
        }
    }
    tail
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Tail, tail, tail_of};

    /// A record as `audit` writes it.
    pub(crate) fn line(id: &str, name: &str, verdict: &str, code: &str) -> String {
        format!(
            concat!(
                r#"{{"schema":"vcn-hook/decision/v1","time":"2024-02-29T12:34:56Z","verdict":"{}","#,
                r#""code":"{}","detail":"no word","hint":"notarize it","container":{{"id":"{}","#,
                r#""name":"{}"}},"image":"app:1","config":null,"chain":null,"manifest":null,"#,
                r#""engine":null,"verb":"create","mode":"enforce","allowlist":null,"duration_us":4}}"#
            ),
            verdict, code, id, name
        ) + "\n"
    }

    #[test]
    fn a_file_that_is_not_there_has_no_decisions() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(
            tail(&directory.path().join("none")).unwrap(),
            Tail::default()
        );
    }

    #[test]
    fn reads_the_end_and_counts_what_is_no_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("decisions.jsonl");
        let (old, new) = (
            line("old", "a", "allow", "trusted"),
            line("new", "b", "deny", "unknown"),
        );
        std::fs::write(&path, format!("{old}garbage\n{new}{{\"half\":")).unwrap();
        let whole = tail(&path).unwrap();
        assert_eq!(
            (whole.decisions.len(), whole.unreadable, whole.cut),
            (2, 2, false)
        );
        let cut = tail_of(&path, new.len() as u64 + 20).unwrap();
        assert_eq!((cut.decisions.len(), cut.cut), (1, true));
        let decision = cut.decisions.first().unwrap();
        assert!(decision.refused() && decision.is_about("ne") && decision.is_about("b"));
        assert!(!decision.is_about("old") && !decision.is_about("a"));
    }
}
