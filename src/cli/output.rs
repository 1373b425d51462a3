//! Where answers and diagnoses go.
//!
//! Owns the two streams, the three formats and the colours: stdout is the
//! answer, stderr the diagnosis. What the answer says is each verb's.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::escape;
use super::failure::Failure;
use super::yaml;
use crate::allowlist::record::Status;
use crate::doctor::Severity;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[value(alias = "")]
    Text,
    /// One JSON value.
    Json,
    /// One YAML document.
    Yaml,
}

/// The two streams, and how to write on them.
#[expect(
    missing_debug_implementations,
    reason = "streams have nothing to show that a person could use"
)]
pub struct Output {
    answer: Box<dyn Write + Send>,
    diagnosis: Box<dyn Write + Send>,
    /// How answers are written.
    pub format: Format,
    /// True when only answers and errors are wanted.
    pub silent: bool,
    /// True when the answer may carry colours.
    pub colour: bool,
    /// True when somebody watches stderr, so that progress is worth showing.
    pub watched: bool,
}

impl Output {
    /// The process's own streams. Colours only on a terminal, and never against `NO_COLOR`.
    #[must_use]
    pub fn of_process(format: Format, silent: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            colour: io::stdout().is_terminal() && !plain,
            watched: io::stderr().is_terminal() && !silent,
            answer: Box::new(io::stdout()),
            diagnosis: Box::new(io::stderr()),
            format,
            silent,
        }
    }

    /// Writes the answer: `text` for people, `value` for scripts.
    ///
    /// # Errors
    /// The stream's.
    pub fn answer<T: Serialize + ?Sized>(
        &mut self,
        value: &T,
        text: impl FnOnce(Paint) -> String,
    ) -> Result<(), Failure> {
        let written = match self.format {
            Format::Text => text(Paint(self.colour)),
            Format::Json => escape::json(&serde_json::to_string(value)?) + "\n",
            Format::Yaml => yaml::document(&serde_json::to_value(value)?),
        };
        let mut write = || {
            self.answer.write_all(written.as_bytes())?;
            self.answer.flush()
        };
        Ok(write().map_err(Unwritten)?)
    }

    /// How an answer may be coloured that is not written as one.
    #[must_use]
    pub const fn paint(&self) -> Paint {
        Paint(self.colour)
    }

    /// Says something beside the answer, unless silence was asked for.
    pub fn note(&mut self, message: impl Display) {
        if !self.silent {
            self.say(&message.to_string());
        }
    }

    /// Shows a table beside the answer, whose cells are escaped already: what a question is about.
    pub fn show(&mut self, table: &str) {
        // As for `note`: what cannot be shown must not stop the work.
        let _ = self.diagnosis.write_all(table.as_bytes());
    }

    /// Says what must be heard even in silence.
    pub fn warn(&mut self, message: &str) {
        self.say(message);
    }

    /// Says that the verb failed: on stderr always, and as `{"error": …}` on stdout for scripts.
    pub fn fail(&mut self, failure: &Failure) {
        let message = failure.to_string();
        self.say(&message);
        if self.format != Format::Text {
            let value = json!({ "error": message });
            // Nothing is left to tell this failure to.
            let _ = self.answer(&value, |_| String::new());
        }
    }

    /// Says what is wrong with the command line; unlike other failures it may take several lines.
    pub fn refuse_usage(&mut self, message: &str) {
        let lines: Vec<_> = message.lines().map(escape::message).collect();
        let _ = writeln!(self.diagnosis, "vcn-hook: {}", lines.join("\n"));
        if self.format != Format::Text {
            // Nothing is left to tell a failure to.
            let _ = self.answer(&json!({ "error": lines.first() }), |_| String::new());
        }
    }

    fn say(&mut self, message: &str) {
        // A diagnosis that nobody can read must not stop the work it is about.
        let _ = writeln!(self.diagnosis, "vcn-hook: {}", escape::message(message));
    }
}

/// The answer could not be written: told apart from every other failure of a stream or a socket.
#[derive(Debug)]
struct Unwritten(io::Error);

impl Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write the answer: {}", self.0)
    }
}

impl std::error::Error for Unwritten {}

/// Says whether a verb failed only because whoever reads its answer has read enough.
#[must_use]
pub fn is_closed(failure: &Failure) -> bool {
    let unwritten = failure.error.downcast_ref::<Unwritten>();
    unwritten.is_some_and(|error| error.0.kind() == io::ErrorKind::BrokenPipe)
}

/// Colours a status, where colours are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    /// No colours.
    pub const PLAIN: Self = Self(false);

    /// Green for TRUSTED, yellow for UNKNOWN, red for the rest, as vcn has it.
    #[must_use]
    pub fn status(self, status: Status, text: &str) -> String {
        let code = match status {
            Status::Trusted => 32,
            Status::Unknown => 33,
            Status::Untrusted | Status::Unsupported | Status::Revoked => 31,
        };
        self.paint(code, text)
    }

    /// Green for what is as it should be, red for danger.
    #[must_use]
    pub fn severity(self, severity: Severity, text: &str) -> String {
        let code = match severity {
            Severity::Ok => 32,
            Severity::Note => 36,
            Severity::Warning => 33,
            Severity::Danger => 31,
        };
        self.paint(code, text)
    }

    pub(super) fn paint(self, code: u8, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The JSON of one answer, or an array of several.
#[must_use]
pub fn one_or_many(mut values: Vec<Value>) -> Value {
    match values.pop() {
        Some(only) if values.is_empty() => only,
        last => values.into_iter().chain(last).collect(),
    }
}

/// Lays out `label: value` rows in two columns; a row without a value is left out.
/// Values are text from outside, and escaped.
#[must_use]
pub fn rows(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0) + 2;
    rows.iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(label, value)| format!("{:width$}{}\n", format!("{label}:"), escape::Escaped(value)))
        .collect()
}

/// Lays out a table: a heading, then lines whose columns are as wide as their longest cell.
/// Cells are text from outside, and escaped.
#[must_use]
pub fn table<const N: usize>(heading: [&str; N], lines: &[[String; N]]) -> String {
    let escaped: Vec<[String; N]> = std::iter::once(heading.map(str::to_owned))
        .chain(lines.iter().map(|line| {
            line.each_ref()
                .map(|cell| escape::Escaped(cell).to_string())
        }))
        .collect();
    let mut widths = [0; N];
    for line in &escaped {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &escaped {
        let mut row = String::new();
        for (width, cell) in widths.iter().zip(line) {
            row.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{rows, table};

    #[test]
    fn rows_align_and_leave_out_what_is_empty() {
        let laid = rows(&[
            ("Asset", "a\u{202e}".to_owned()),
            ("Company", String::new()),
            ("Key", "k".to_owned()),
        ]);
        assert_eq!(laid, "Asset:   a\\u{202e}\nKey:     k\n");
    }

    #[test]
    fn tables_are_as_wide_as_their_cells() {
        let laid = table(
            ["A", "LONGER"],
            &[
                ["Bücher".to_owned(), "1".to_owned()],
                ["x\n".to_owned(), String::new()],
            ],
        );
        assert_eq!(laid, "A       LONGER\nBücher  1\nx\\n\n");
    }
}
