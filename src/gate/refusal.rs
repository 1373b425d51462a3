//! How a refusal reaches whoever asked: the runtime's log, where engines look, and stderr.
//!
//! Owns the sentence's frame and the words that it must not contain.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc;
use serde::Serialize;

use crate::audit::escape_controls;
use crate::engine::Container;
use crate::sys::clock;
use crate::verdict::Reason;

/// Words in which engines see a failure of their own, and make exit code 126 or 127 of it.
const MISREAD: [(&str, &str); 5] = [
    ("no such file or directory", "it is missing"),
    ("executable file not found", "the program is missing"),
    ("permission denied", "access is refused"),
    ("operation not permitted", "access is refused"),
    ("not a directory", "something in its path is a file"),
];

/// One refusal, in the words that people read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(String);

/// A line as runc and crun write it with `--log-format json`.
#[derive(Serialize)]
struct LogLine<'a> {
    level: &'static str,
    msg: &'a str,
    time: String,
}

impl Refusal {
    /// Frames a reason: which container, which image, why, and what next.
    #[must_use]
    pub fn of(id: &str, container: Option<&Container>, reason: &Reason) -> Self {
        let name = container
            .and_then(|container| container.name.as_deref())
            .filter(|name| !name.is_empty())
            .unwrap_or(id);
        let subject = match (name, container) {
            ("", _) => String::new(),
            (name, None) => format!("container '{name}': "),
            (name, Some(container)) => {
                format!(
                    "container '{name}' of image {}: ",
                    container.identity.config
                )
            }
        };
        let text = format!("vcn-hook: {subject}{reason}");
        // One line, whatever the names in it are.
        let line = escape_controls(&text);
        Self(reworded(line))
    }

    /// Writes it to the runtime's log, if there is one, and to stderr.
    pub fn tell(&self, log: Option<&Path>) {
        // Either may be missing; the decision record has it in any case.
        let _ = log.map(|path| self.append(path));
        let _ = writeln!(io::stderr(), "{}", self.0);
    }

    fn append(&self, log: &Path) -> io::Result<()> {
        let line = LogLine {
            level: "error",
            msg: &self.0,
            time: clock::rfc3339(clock::now()),
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
            .open(log)?;
        file.write_all(&text)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error of the operating system, without the words that are misread.
#[must_use]
pub fn words(error: &io::Error) -> String {
    reworded(error.to_string())
}

fn reworded(mut text: String) -> String {
    for (misread, instead) in MISREAD {
        // Each replacement has none of these words in it, so this ends.
        while let Some(at) = text.to_ascii_lowercase().find(misread) {
            text.replace_range(at..at + misread.len(), instead);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Refusal, libc, words};
    use crate::verdict::{Reason, ReasonCode};

    #[test]
    fn frames_a_reason_in_one_line_without_misread_words() {
        let reason = Reason::new(
            ReasonCode::Unreadable,
            "cannot read '/x': No such file or directory (os error 2)\n\u{1b}[2J",
            "see that the file is there and whole, and start it again",
        );
        assert_eq!(
            Refusal::of("abc", None, &reason).to_string(),
            "vcn-hook: container 'abc': cannot read '/x': it is missing (os error 2)\\u000a\\u001b[2J \
             (unreadable); see that the file is there and whole, and start it again"
        );
        let denied = std::io::Error::from_raw_os_error(libc::EACCES);
        assert_eq!(words(&denied), "access is refused (os error 13)");
    }

    #[test]
    fn tells_the_log_in_a_line_of_json() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("log.json");
        let reason = Reason::new(ReasonCode::Unknown, "no \"word\"", "");
        Refusal::of("abc", None, &reason).tell(Some(&log));
        let text = crate::sys::file::read_capped(&log, 4096).expect("it was written");
        let line: serde_json::Value = serde_json::from_slice(&text).expect("one line of JSON");
        assert_eq!(line["level"], "error");
        assert_eq!(
            line["msg"],
            "vcn-hook: container 'abc': no \"word\" (unknown)"
        );
    }
}
